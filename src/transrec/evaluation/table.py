"""Results in front of people and programs: one table of rankers, one of slices, and a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from transrec.evaluation.lists import ListsMeasured
from transrec.evaluation.probing import Probed
from transrec.evaluation.protocol import Evaluation, EvaluationSettings, compare

FORMAT = 1


def shown_metrics(settings: EvaluationSettings) -> tuple[str, ...]:
    """The metrics that tables show: HR and NDCG at 10 and HR at the largest cutoff, or the nearest that there are."""
    near = min(settings.cutoffs, key=lambda k: abs(k - 10))
    far = max(settings.cutoffs)
    return (f"HR@{near}", f"NDCG@{near}", *([f"HR@{far}"] if far != near else []))


def result_table(found: Sequence[Evaluation], *, title: str) -> Table:
    """One row a ranker, with intervals; the title says how it was measured, the caption how sure the gain is.

    Args:
        found: measured on the same targets.
        title: what the targets are from, for example the name of the dataset.
    """
    first = found[0]
    choices, settings = first.choices, first.settings
    skipped = "".join(f"; {count:,} users left out: {reason}" for reason, count in choices.skipped.items() if count)
    lines = [
        f"{title}: {first.overall.targets:,} targets, ranked among {choices.candidates}",
        f"split: {choices.split}{skipped}",
        f"masked: {choices.masked}; {settings.confidence:.0%} intervals over users",
    ]
    caption = Text("\n").join([*_near_ties(found), *_gains(found)])
    table = Table(title="\n".join(lines), title_justify="left", caption=caption or None, caption_justify="left")
    table.add_column("ranker")
    metrics = shown_metrics(settings)
    for name in metrics:
        table.add_column(name, justify="right")
    for result in found:
        table.add_row(_named(result), *(Text(str(result.overall.metrics[name])) for name in metrics))
    return table


def slice_table(found: Sequence[Evaluation]) -> Table:
    """One row a slice, one column a ranker, the first of the shown metrics.

    Args:
        found: measured on the same targets.
    """
    first = found[0]
    name = shown_metrics(first.settings)[0]
    caption = f"* fewer than {first.settings.small_slice} targets: too few to lean on"
    table = Table(title=f"{name} by kind of target", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("target")
    table.add_column("number", justify="right")
    for result in found:
        table.add_column(Text(result.ranker), justify="right")
    group = None
    for place, part in enumerate(first.slices):
        if part.group != group:
            group = part.group
            table.add_section()
            table.add_row(Text(f"{group}:", style="bold"))
        # the interval below its value: side by side they are too wide for several rankers
        cells = [Text(str(result.slices[place].metrics[name]).replace(" ", "\n", 1)) for result in found]
        table.add_row(Text(f"  {part.label}"), f"{part.targets:,}{'*' if part.small else ''}", *cells)
    return table


def lists_table(lists: ListsMeasured, *, title: str) -> Table:
    """What the lists of a run are like, one row a measure.

    Args:
        lists: as they were measured.
        title: whose.
    """
    table = Table(title=f"lists of {lists.length} of {title}", title_justify="left", show_header=False)
    table.add_row(f"MaxDiv@{lists.length}", f"{lists.spread.value:.2f} [{lists.spread.low:.2f}, {lists.spread.high:.2f}]")
    if lists.covered is not None:
        table.add_row(Text(f"share of the user's {lists.groups} served"), str(lists.covered))
    table.add_row("share of the catalog in anybody's list", f"{lists.shown:.4f}")
    return table


def probe_table(probed: Probed, *, title: str) -> Table:
    """What a linear map tells from few labels, one row a number of labels.

    Args:
        probed: as it was measured.
        title: whose user vectors.
    """
    table = Table(title=Text(f"{probed.column} of the next item, told from {title}"), title_justify="left")
    for name in ("labels", "user vectors", "mean of the items", "most frequent"):
        table.add_column(name, justify="right")
    for labels in probed.accuracy["users"]:
        told = (probed.accuracy[name][labels] for name in ("users", "items"))
        cells = [f"{np.mean(each):.4f} [{min(each):.4f}, {max(each):.4f}]" for each in told]
        table.add_row(f"{labels:,}", *cells, f"{probed.most_frequent:.4f}")
    table.caption = (
        f"the share of right ones among {probed.values:,} values, over {probed.users:,} users less those with a label; the "
        "mean over draws of these, the lowest and the highest"
    )
    table.caption_justify = "left"
    return table


def document(
    found: Sequence[Evaluation], lists: ListsMeasured | None = None, probed: Probed | None = None
) -> dict[str, Any]:
    """All results as values that JSON can hold, with a format version, and the first ranker's paired gain over the others.

    Args:
        found: measured on the same targets.
        lists: what the first one's are like; None where they were not looked at.
        probed: what its user vectors tell; None where they were not asked.
    """
    metric = shown_metrics(found[0].settings)[1]
    return {
        "format": FORMAT,
        **({} if lists is None else {"lists": asdict(lists)}),
        **({} if probed is None else {"probe": asdict(probed)}),
        "evaluations": [result.to_json() for result in found],
        "paired": [
            {
                "first": found[0].ranker,
                "second": other.ranker,
                "metric": metric,
                **asdict(compare(found[0], other, metric=metric)),
            }
            for other in found[1:]
        ],
    }


def _named(result: Evaluation) -> Text:
    chosen = ", ".join(f"{name} {_short(value)}" for name, value in result.ranker_settings.items())
    return Text.assemble(result.ranker, (f" ({chosen})" if chosen else "", "dim"))


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _near_ties(found: Sequence[Evaluation]) -> list[Text]:
    return [
        Text(
            f"{result.ranker}: {result.ranked.near_ties:,} of {len(result.ranked):,} targets had another item within "
            "rounding of their score; float64 decided which is the higher"
        )
        for result in found
        if result.ranked.near_ties
    ]


def _gains(found: Sequence[Evaluation]) -> list[Text]:
    if len(found) == 1:
        return []
    metric = shown_metrics(found[0].settings)[1]
    best = max(found[1:], key=lambda result: result.overall.metrics[metric].value)
    difference = compare(found[0], best, metric=metric)
    gain = difference.gain
    told = Text(
        f"{metric} of {found[0].ranker} minus that of {best.ranker}, paired by user: "
        f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], p = {difference.p_value:.3f}"
    )
    return [told]
