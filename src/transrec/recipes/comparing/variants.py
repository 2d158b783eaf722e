"""Variants: every row that a comparison can have, and how its model comes to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transrec.evaluation.baselines.tuning import BaselineName


@dataclass(frozen=True, slots=True)
class SimpleMethod:
    """A simple method, tuned on validation.

    Attributes:
        which: of those that :func:`~transrec.evaluation.baselines.tuning.tuned_baselines` knows.
    """

    which: BaselineName


@dataclass(frozen=True, slots=True)
class FromScratch:
    """A model like the run's, trained on the target alone; its encoders are the pre-trained ones that the run began with.

    Attributes:
        content: whether it reads what the run reads.
        identity: whether it has a table of the target's item ids.
        tune: which parameters learn; as in the run when None.
        counts: whether it has a prior over counts, if the run has one.
    """

    content: bool = True
    identity: bool = False
    tune: str | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """The run as it is, without training on the target."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """The run, trained on.

    Attributes:
        tune: which parameters learn; when None there is a row for each rule that the settings name.
    """

    tune: str | None = None


@dataclass(frozen=True, slots=True)
class TransferredWithIds:
    """The run, trained on with a fresh table of the target's item ids beside its content.

    Attributes:
        tune: which parameters learn; the first rule that the settings name when None.
    """

    tune: str | None = None


Making = SimpleMethod | FromScratch | ZeroShot | Transferred | TransferredWithIds
"""How a row's model comes to be."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the comparison.

    Attributes:
        name: as people ask for it.
        label: as the table shows it.
        made: how its model comes to be.
    """

    name: str
    label: str
    made: Making


SCRATCH, TRANSFERRED = "scratch", "transferred"
"""The two rows that the question is about."""
WITH_IDS = "plus-identity"
"""The row from scratch that has item ids beside its content."""
MOVED_WITH_IDS = "transferred-identity"
"""The transferred row that has them."""

ROWS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row("popularity", "popularity", SimpleMethod("popularity")),
        Row("markov", "Markov chain", SimpleMethod("markov")),
        Row("ease", "EASE", SimpleMethod("ease")),
        Row("knn", "item-kNN", SimpleMethod("knn")),
        Row("ials", "iALS", SimpleMethod("ials")),
        Row("similarity", "content similarity", SimpleMethod("similarity")),
        Row("identity", "ID-based", FromScratch(content=False, identity=True, tune="full", counts=False)),
        Row("identity-counts", "ID-based with counts", FromScratch(content=False, identity=True, tune="full")),
        Row("no-counts", "from scratch without counts", FromScratch(counts=False)),
        Row(WITH_IDS, "from scratch with ids", FromScratch(identity=True)),
        Row("frozen", "frozen from scratch", FromScratch(tune="frozen")),
        Row(SCRATCH, "from scratch", FromScratch()),
        Row("zero-shot", "zero-shot", ZeroShot()),
        Row(TRANSFERRED, "transferred", Transferred()),
        Row(MOVED_WITH_IDS, "transferred with ids", TransferredWithIds()),
    )
}
"""All rows by name. A new one is a line here; a new kind of making is also a case in ``work.py`` and ``jobs.py``."""

USUAL = ("popularity", "markov", "ease", "similarity", "identity", "frozen", SCRATCH, "zero-shot", TRANSFERRED)
"""The rows of a comparison unless others are asked for."""
