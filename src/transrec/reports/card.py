"""The dataset card: what a run learned from, in numbers and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from transrec.data.dataset import Dataset
from transrec.data.ingest.doctor import Contents, Diagnosis, diagnose
from transrec.data.ingest.ordering import Filter
from transrec.data.ingest.plots import count_bins, times_to_draw
from transrec.reports.charts import FAINT, INK, MAIN, chart

SIZE = (5.2, 2.9)
"""Of a chart, in inches."""
LONGEST = 99.5
"""Texts longer than this percentile are drawn at its place."""


@dataclass(frozen=True, slots=True)
class Card:
    """A dataset.

    Attributes:
        name: what it is called.
        facts: what it is, by name.
        notes: what to know before one trusts a number on it.
        charts: SVG elements.
    """

    name: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    charts: Sequence[str]

    @classmethod
    def of(cls, dataset: Dataset, *, name: str) -> Card:
        """The card of a dataset.

        Args:
            dataset: which.
            name: what the ids of its charts begin with.
        """
        filters = [Filter(**own) for own in dataset.manifest.get("filters", [])]
        found = diagnose(Contents.of(dataset.catalog), dataset.interactions, [], filters, None)
        charts = [
            *([_times(found, f"{name}-times")] if len(found.interactions) else []),
            *([_lengths(found, f"{name}-lengths"), _items(found, f"{name}-items")] if len(found.interactions) else []),
            _modalities(dataset, f"{name}-modalities"),
            *_texts(dataset, f"{name}-texts"),
        ]
        return cls(dataset.name, _facts(dataset, found), found.notes, charts)


def _facts(dataset: Dataset, found: Diagnosis) -> dict[str, str]:
    events = dataset.interactions
    facts = {
        "users": f"{len(events.users):,}",
        "items": f"{len(dataset.catalog):,}",
        "events": f"{len(events):,}",
    }
    if found.lengths:
        spread = found.lengths
        facts["events of a user"] = f"{spread.least:g} to {spread.most:g}, half have {spread.median:g} or more"
        facts["density"] = f"{found.density:.3%} of all pairs of a user and an item"
        facts["period"] = " to ".join(found.period)
        facts["popularity"] = f"Gini {found.gini:.2f}; the top 1 % of the items have {found.top_share:.0%} of the events"
        facts["never touched"] = f"{found.untouched:,} items ({found.untouched / max(len(dataset.catalog), 1):.0%})"
    if removed := [f"{own.removed:,} events by {own.name}" for own in found.filters if own.removed]:
        facts["removed by filters"] = ", ".join(removed)
    if dataset.catalog.columns:
        facts["further columns"] = ", ".join(dataset.catalog.columns)
    facts["fingerprint"] = dataset.fingerprint
    return facts


def _times(found: Diagnosis, name: str) -> str:
    times, are_dates = times_to_draw(found)

    def draw(axes: Sequence[Axes]) -> None:
        axes[0].hist(times, bins=40, color=MAIN)
        if are_dates:
            axes[0].tick_params(axis="x", labelrotation=25)
        axes[0].set(title="Events over time", ylabel="events", xlabel="" if are_dates else "time, as the input has it")
        axes[0].yaxis.grid(visible=True)

    return chart(draw, name=name, title=f"Events over time, from {' to '.join(found.period)}", size=SIZE)


def _lengths(found: Diagnosis, name: str) -> str:
    lengths = found.interactions.lengths
    return _counts(lengths, name, title="Events of a user", unit="events", of="users")


def _items(found: Diagnosis, name: str) -> str:
    counts = np.bincount(found.interactions.rows, minlength=len(found.contents.ids))
    return _counts(counts[counts > 0], name, title="Events of an item, of those with any", unit="events", of="items")


def _counts(counts: np.ndarray, name: str, *, title: str, unit: str, of: str) -> str:
    """A histogram of whole numbers from 1 on; on a logarithmic axis where they reach far."""
    median = float(np.median(counts))

    def draw(axes: Sequence[Axes]) -> None:
        own = axes[0]
        own.hist(counts, bins=count_bins(own, counts), color=MAIN)
        own.axvline(median, color=INK, linewidth=1, linestyle="--")
        own.set(title=f"{title}, median {median:g}", xlabel=unit, ylabel=of)
        own.yaxis.grid(visible=True)

    spoken = f"{title}: from {counts.min():g} to {counts.max():g}, median {median:g}"
    return chart(draw, name=name, title=spoken, size=SIZE)


def _modalities(dataset: Dataset, name: str) -> str:
    shares = {
        kind: float(has.mean()) for kind, has in dataset.catalog.presence.items() if kind in dataset.catalog.modalities
    }

    names = [f"{kind} {share:.0%}" for kind, share in shares.items()]

    def draw(axes: Sequence[Axes]) -> None:
        own = axes[0]
        own.barh(names, [100.0] * len(names), color=FAINT, alpha=0.18)
        own.barh(names, [100 * share for share in shares.values()], color=MAIN)
        own.set(title="Items that have each kind of content", xlabel="% of the items", xlim=(0, 100))
        own.invert_yaxis()

    spoken = f"Items that have each kind of content: {', '.join(names)}"
    return chart(draw, name=name, title=spoken, size=(SIZE[0], 1.3 + 0.4 * len(names)))


def _texts(dataset: Dataset, name: str) -> list[str]:
    """How long texts are, in words; no chart where no item has one."""
    texts = dataset.catalog.column("text").drop_nulls()
    if not len(texts):
        return []
    words = (texts.str.count_matches(r"\s+") + 1).to_numpy()
    cut = np.minimum(words, np.percentile(words, LONGEST))
    median = float(np.median(words))

    def draw(axes: Sequence[Axes]) -> None:
        own = axes[0]
        step = max(1, int(cut.max() - cut.min()) // 40)  # whole words, or bars would hold unlike numbers of lengths
        own.hist(cut, bins=(np.arange(cut.min(), cut.max() + step + 1, step) - 0.5).tolist(), color=MAIN)
        own.axvline(median, color=INK, linewidth=1, linestyle="--")
        own.set(title=f"Length of the texts, median {median:g}", xlabel="words", ylabel="items")
        own.yaxis.grid(visible=True)

    spoken = f"Length of the texts in words, median {median:g}, longest {words.max():g}"
    return [chart(draw, name=name, title=spoken, size=SIZE)]
