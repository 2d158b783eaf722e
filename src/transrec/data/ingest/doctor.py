"""The doctor: what a person should know about a platform's data before training on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from rich.progress import Progress

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.ingest.content import Roll
from transrec.data.ingest.ingest import read_all_events, reader_of_items
from transrec.data.ingest.inputs import IngestSettings, Input, open_input
from transrec.data.ingest.ordering import Filter
from transrec.data.ingest.progress import Steps
from transrec.data.ingest.vectors import vector_widths
from transrec.data.interactions import Interactions
from transrec.data.reading import tables
from transrec.data.reading.damage import told_of
from transrec.data.reading.findings import Findings, Tally, counted

TOP = 0.01  # the most popular items, as a share
MANY = 0.2  # from this share on something is worth a note
_EARLIEST, _LATEST = 3e8, 4e9  # 1979 and 2096: numbers between them are taken for seconds since 1970


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What items have, without the content itself.

    Attributes:
        ids: in the order of the rows.
        keys: equal where the content is, one an item.
        presence: by modality, which items have it, bool of shape (V,).
    """

    ids: Sequence[str]
    keys: Sequence[bytes]
    presence: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, catalog: Catalog) -> Contents:
        """Those of a catalog."""
        return cls(catalog.ids, list(catalog.content_keys), catalog.presence)


@dataclass(frozen=True, slots=True)
class Spread:
    """How numbers are spread."""

    least: float
    median: float
    mean: float
    most: float

    @classmethod
    def of(cls, numbers: np.ndarray) -> Spread:
        """The spread of at least one number."""
        return cls(float(numbers.min()), float(np.median(numbers)), float(numbers.mean()), float(numbers.max()))


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """What the doctor found.

    Attributes:
        contents: what the items have.
        interactions: the events that would be, or are, in the dataset.
        tallies: what is wrong with the input, counted.
        filters: wishes that removed events.
        lengths: events a user; None without events.
        gini: of the events of the items, 0: all items alike, 1: one item has all.
        top_share: share of the events on the most popular one per cent of the items.
        untouched: items without any event.
        density: share of the user-item pairs that occur.
        ties: events at the same time as another of the same user.
        disorder: events that stood directly below a later one of the same user; None where the files are not at hand.
        twins: items whose content an earlier item has too.
        period: the first and the last time, as dates where they are seconds since 1970.
        notes: what follows from the numbers, in sentences.
    """

    contents: Contents
    interactions: Interactions
    tallies: list[Tally]
    filters: list[Filter]
    lengths: Spread | None
    gini: float
    top_share: float
    untouched: int
    density: float
    ties: int
    disorder: int | None
    twins: int
    period: tuple[str, str]
    notes: list[str]


def check(
    settings: IngestSettings,
    *,
    progress: Progress | None = None,
    announce: Callable[[Input], None] = lambda _: None,
) -> tuple[Diagnosis, Findings]:
    """Read everything as `ingest` would, and write nothing (pictures that are fetched are kept in their folder).

    Raises:
        DataError: a table or column is missing, or nothing says what it is.
    """
    given = open_input(settings)
    announce(given)
    findings, steps, roll = Findings(), Steps(progress), Roll()
    assert given.item_columns is not None
    widths = vector_widths(given.items, given.item_columns.vectors)
    advance = steps.step("Items", total=sum(map(tables.about_rows, given.items)))
    reader = reader_of_items(given, Path.cwd() / "pictures")
    names = ["text", "image", *widths]
    present: dict[str, list[bool]] = {name: [] for name in names}
    for part in reader.read(given.items, roll, findings, widths=widths, advance=advance):
        for name in names:
            present[name] += [item.has(name) for item in part.items]
    contents = Contents(
        list(roll.content), list(roll.content.values()), {n: np.array(p, dtype=bool) for n, p in present.items()}
    )
    events = read_all_events(given, contents.ids, findings, steps, count_disorder=True)
    assert events is not None
    diagnosis = diagnose(contents, events.interactions, findings.tallies(), events.filters, events.disorder)
    return diagnosis, findings


def check_dataset(folder: str | Path) -> tuple[Diagnosis, Findings]:
    """The diagnosis of a dataset folder, with what was found when it was ingested.

    Raises:
        DataError: it is not a dataset folder, or a file of it is damaged.
    """
    dataset = Dataset.open(folder)
    findings = Findings()
    rejects = Path(folder) / "rejects.parquet"
    if rejects.exists():
        with told_of(rejects):
            findings = Findings.of(pl.read_parquet(rejects))
    filters = [Filter(**own) for own in dataset.manifest.get("filters", [])]
    return diagnose(Contents.of(dataset.catalog), dataset.interactions, findings.tallies(), filters, None), findings


def diagnose(
    contents: Contents, interactions: Interactions, tallies: list[Tally], filters: list[Filter], disorder: int | None
) -> Diagnosis:
    """Everything that follows from items and events."""
    counts = np.bincount(interactions.rows, minlength=len(contents.ids))
    users, events = len(interactions.users), len(interactions)
    diagnosis = Diagnosis(
        contents=contents,
        interactions=interactions,
        tallies=tallies,
        filters=filters,
        lengths=Spread.of(interactions.lengths) if users else None,
        gini=gini(counts),
        top_share=top_share(counts),
        untouched=int((counts == 0).sum()),
        density=_distinct_pairs(interactions) / (users * len(counts)) if users and len(counts) else 0.0,
        ties=_ties(interactions),
        disorder=disorder,
        twins=len(contents.keys) - len(set(contents.keys)),
        period=_period(interactions.times) if events else ("", ""),
        notes=[],
    )
    diagnosis.notes.extend(_notes(diagnosis))
    return diagnosis


def gini(counts: np.ndarray) -> float:
    """The Gini coefficient of counts: 0 where all are equal, towards 1 where one has everything."""
    if not counts.sum():
        return 0.0
    ordered, size = np.sort(counts), len(counts)
    return float((2 * np.arange(1, size + 1) - size - 1) @ ordered / (size * ordered.sum()))


def top_share(counts: np.ndarray, share: float = TOP) -> float:
    """The share of the sum that the largest ``share`` of the counts has, at least one of them."""
    if not counts.sum():
        return 0.0
    top = max(1, round(share * len(counts)))
    return float(np.sort(counts)[-top:].sum() / counts.sum())


def _distinct_pairs(interactions: Interactions) -> int:
    owner = np.repeat(np.arange(len(interactions.users)), interactions.lengths)
    return pl.Series(owner * (1 << 32) + interactions.rows).n_unique()


def _ties(interactions: Interactions) -> int:
    owner = np.repeat(np.arange(len(interactions.users)), interactions.lengths)
    same = (owner[1:] == owner[:-1]) & (interactions.times[1:] == interactions.times[:-1])
    return int((np.append(same, False) | np.insert(same, 0, False)).sum()) if len(same) else 0


def _period(times: np.ndarray) -> tuple[str, str]:
    first, last = float(times.min()), float(times.max())
    if first < _EARLIEST or last > _LATEST:
        return f"{first:.15g}", f"{last:.15g}"
    shown = [datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") for moment in (first, last)]
    return shown[0], shown[1]


def _notes(found: Diagnosis) -> list[str]:
    items, events = len(found.contents.ids), len(found.interactions)
    if not events or not items:
        return ["There is nothing to train on: every row was set aside, see the findings."]
    notes = []
    short = int((found.interactions.lengths < 3).sum())
    if short:
        notes.append(
            f"{counted(short, 'user')} with fewer than 3 events: leave-one-out trains on them and cannot test them."
        )
    if found.ties > MANY * events:
        notes.append(
            f"{found.ties / events:.0%} of the events share their time with another of the same user: "
            "their order is that of the table. Where it means nothing, results that depend on the last event mean little."
        )
    if found.disorder:
        notes.append(
            f"{counted(found.disorder, 'event')} below a later one of the same user in the files; all are sorted by time."
        )
    last = float(found.interactions.times.max())
    if last > 1e11:
        unit = "milliseconds" if last < 1e14 else "microseconds" if last < 1e17 else "nanoseconds"
        notes.append(f"The times look like {unit}: the order is right, dates and spans of time will not be.")
    if found.twins:
        notes.append(
            f"{counted(found.twins, 'item')} with the same content as an earlier one: content cannot tell them apart."
        )
    if found.untouched > MANY * items:
        notes.append(
            f"{found.untouched / items:.0%} of the items have no event: they are candidates that nobody has taken yet."
        )
    if found.top_share > MANY and items >= 1 / TOP:
        notes.append(f"The top 1 % of the items have {found.top_share:.0%} of the events: popularity alone will rank well.")
    return notes
