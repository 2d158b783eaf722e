"""Results: the documents of ``transrec evaluate`` as tables and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from transrec.reports.charts import FAINT, INK, MAIN, chart
from transrec.reports.numbers import ENDS, interval_text


@dataclass(frozen=True, slots=True)
class Dot:
    """A mean with its interval, of one ranker.

    Attributes:
        label: of the ranker.
        value: the mean.
        low: lower end of the interval.
        high: upper end of the interval.
        own: whether it is what the report is about.
    """

    label: str
    value: float
    low: float
    high: float
    own: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as texts, with the names of the columns; the first cell of a row names it.

    Attributes:
        columns: their names.
        rows: texts; a row of one cell is a heading.
        own: the places of the rows that are what the report is about.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    own: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation on one dataset.

    Attributes:
        dataset: its name.
        how: the choices without which the numbers mean nothing.
        opened: when the test split was opened.
        headline: the run's own numbers, by metric.
        chart: an SVG element: the metric of every ranker with its interval.
        overall: a row for each ranker.
        slices: a row for each kind of target.
        gains: what the run gains over the others, in sentences.
    """

    dataset: str
    how: Sequence[str]
    opened: Sequence[str]
    headline: Mapping[str, str]
    chart: str
    overall: Table
    slices: Table
    gains: Sequence[str]

    @classmethod
    def of(cls, document: Mapping[str, Any], *, name: str) -> Measured:
        """What a document of ``transrec evaluate`` says.

        Args:
            document: with a format, as read.
            name: what the ids of the chart begin with.
        """
        found = document["evaluations"]
        first = found[0]
        metrics = _shown(first["settings"]["cutoffs"])
        choices = first["choices"]
        skipped = [f"{count:,} users left out: {reason}" for reason, count in choices["skipped"].items() if count]
        own = first["overall"]["metrics"]
        dots = [
            Dot(one["ranker"], **{end: float(one["overall"]["metrics"][metrics[1]][end]) for end in ENDS}, own=one is first)
            for one in found
        ]
        return cls(
            dataset=document["dataset"]["name"],
            how=[
                f"{first['overall']['targets']:,} targets, ranked among {choices['candidates']}",
                f"split: {choices['split']}",
                f"masked: {choices['masked']}; {choices['metrics']}",
                f"{first['settings']['confidence']:.0%} intervals over users",
                *skipped,
            ],
            opened=document["test_opened"],
            headline={metric: interval_text(own[metric]) for metric in metrics},
            chart=dot_chart(dots, metric=metrics[1], name=name),
            overall=_overall(found, metrics),
            slices=_slices(found, metrics[1]),
            gains=[_gain(pair) for pair in document.get("paired", [])],
        )


def dot_chart(dots: Sequence[Dot], *, metric: str, name: str) -> str:
    """A dot with its interval for each ranker, the first at the top.

    Args:
        dots: in order.
        metric: what they show.
        name: what the ids of the chart begin with.
    """
    places = list(range(len(dots)))[::-1]

    def draw(axes: Sequence[Axes]) -> None:
        own = axes[0]
        for place, dot in zip(places, dots, strict=True):
            colour = MAIN if dot.own else FAINT
            own.plot((dot.low, dot.high), (place, place), color=colour, linewidth=2.4, solid_capstyle="butt")
            own.plot(dot.value, place, "o", color=colour, markersize=7.5)
            own.annotate(
                f"{dot.value:.4f}", (dot.high, place), xytext=(6, 0), textcoords="offset points", va="center", color=INK
            )
        own.set_yticks(places, [dot.label for dot in dots])
        own.set_ylim(-0.6, len(dots) - 0.4)
        own.margins(x=0.16)
        own.set_xlim(left=max(0.0, own.get_xlim()[0]))
        own.set_xlabel(metric)
        own.xaxis.grid(visible=True)

    spoken = "; ".join(f"{dot.label} {dot.value:.4f}" for dot in dots)
    return chart(draw, name=name, title=f"{metric} with intervals: {spoken}", size=(8.4, 1.1 + 0.42 * len(dots)))


def _shown(cutoffs: Sequence[int]) -> tuple[str, ...]:
    """HR and NDCG at 10 and HR at the largest cutoff, or the nearest that there are."""
    near, far = min(cutoffs, key=lambda k: abs(k - 10)), max(cutoffs)
    return (f"HR@{near}", f"NDCG@{near}", *([f"HR@{far}"] if far != near else []))


def shown_of(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that a table shows of all that there are."""
    return _shown([int(name.partition("@")[2]) for name in metrics if name.startswith("HR@")] or [10])


def _overall(found: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    rows = []
    for one in found:
        chosen = ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in one["ranker_settings"].items()
        )
        label = f"{one['ranker']} ({chosen})" if chosen else one["ranker"]
        rows.append([label, *(interval_text(one["overall"]["metrics"][metric]) for metric in metrics)])
    return Table(["ranker", *metrics], rows, frozenset({0}))


def _slices(found: Sequence[Mapping[str, Any]], metric: str) -> Table:
    rows: list[list[str]] = []
    group = None
    for place, part in enumerate(found[0]["slices"]):
        if part["group"] != group:
            group = part["group"]
            rows.append([str(group)])
        few = " (few)" if part["small"] else ""
        cells = [interval_text(one["slices"][place]["metrics"][metric]) for one in found]
        rows.append([part["label"], f"{part['targets']:,}{few}", *cells])
    return Table([f"{metric} of targets", "targets", *(one["ranker"] for one in found)], rows)


def _gain(pair: Mapping[str, Any]) -> str:
    gain = pair["gain"]
    return (
        f"{pair['metric']} of {pair['first']} minus that of {pair['second']}, paired by user: "
        f"{gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}], p = {pair['p_value']:.3f}"
    )
