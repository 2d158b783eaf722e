"""RunFiles: what a run folder says in words and numbers, read without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transrec.errors import RunError
from transrec.rules import Fate
from transrec.runs import CARD, CONTINUED, PARAMETERS, RunRecord
from transrec.weights import SETTINGS, WEIGHTS


@dataclass(frozen=True, slots=True)
class Course:
    """What the log of one training says; a run with stages has one for each.

    Attributes:
        name: what to call it.
        training: rows with a step, an epoch, the loss and its parts.
        validation: rows with a step, an epoch and metrics.
    """

    name: str
    training: Sequence[Mapping[str, Any]]
    validation: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What is in a run folder besides the weights.

    Attributes:
        folder: where, as it was given.
        record: how the run came to be.
        settings: the text of its settings file.
        courses: its trainings, in order.
        fates: what became of every parameter; empty where nothing says so.
        evaluations: the documents of ``transrec evaluate``, by the stem of their files.
        comparisons: the documents of ``transrec compare``, by their folder.
        continued: what a run that went on after another says of it, beside which it was measured; empty where it did not, or
            is not at its end.
        ended: whether training came to its end.
        weights: bytes of the weights' file; 0 where there is none.
    """

    folder: Path
    record: RunRecord
    settings: str
    courses: Sequence[Course]
    fates: Sequence[Fate]
    evaluations: Mapping[str, Mapping[str, Any]]
    comparisons: Mapping[Path, Mapping[str, Any]]
    continued: Mapping[str, Any]
    ended: bool
    weights: int

    @property
    def name(self) -> str:
        """What to call the run."""
        return self.folder.resolve().name

    @property
    def metric(self) -> str:
        """What validation chose by."""
        return str(self.record.training.get("metric", "NDCG@10"))

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The best validation of the last training, a row of its log; None before the first."""
        rows = [row for row in self.courses[-1].validation if self.metric in row]
        return max(rows, key=lambda row: float(row[self.metric]), default=None)

    def evaluation_on(self, fingerprint: str) -> Mapping[str, Any] | None:
        """The document of an evaluation on the dataset with this fingerprint, if its test split has been opened."""
        for document in self.evaluations.values():
            if document.get("dataset", {}).get("fingerprint") == fingerprint and document.get("test_opened"):
                return document
        return None

    @classmethod
    def read(cls, folder: str | Path) -> RunFiles:
        """Read a run folder; what is not there yet is empty.

        Raises:
            RunError: the folder is not a run, or a file in it is not what it should be.
        """
        folder = Path(folder)
        record = RunRecord.read(folder)
        weights = folder / WEIGHTS
        return cls(
            folder=folder,
            record=record,
            settings=(folder / SETTINGS).read_text(),
            courses=_courses(folder, len(record.stages)),
            fates=_fates(folder),
            evaluations={path.stem: _document(path) for path in sorted((folder / "evaluation").glob("*.json"))},
            comparisons={p.parent: _document(p) for p in sorted((folder / "compare").glob("*/compare.json"))},
            continued=_document(folder / CONTINUED) if (folder / CONTINUED).exists() else {},
            ended=(folder / CARD).exists(),
            weights=weights.stat().st_size if weights.exists() else 0,
        )


def _courses(folder: Path, stages: int) -> list[Course]:
    """The logs of the stages in order, the last being the run's own."""
    places = [folder / "stages" / str(number) for number in range(1, stages + 1)]
    names = [f"stage {number}" for number in range(1, stages + 1)]
    return [_course(*both) for both in zip([*names, "training"], [*places, folder], strict=True)]


def _course(name: str, folder: Path) -> Course:
    path = folder / "metrics.jsonl"
    rows: list[dict[str, Any]] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break  # a training was killed while it wrote this line, which is then the last
    by_kind = {kind: [row for row in rows if row.get("kind") == kind] for kind in ("train", "validation")}
    return Course(name, by_kind["train"], by_kind["validation"])


def _fates(folder: Path) -> list[Fate]:
    path = folder / PARAMETERS
    rows = _document(path)["parameters"] if path.exists() else []
    return [Fate(**{**row, "shape": tuple(row["shape"])}) for row in rows]


def _document(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file.

    Raises:
        RunError: it holds something else.
    """
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise RunError(
            f"this is not JSON: {error}",
            where=str(path),
            remedy="move the file away (it may say when the test was opened) and run the verb that wrote it again",
        ) from None
    if not isinstance(found, dict):
        raise RunError("this is not what transrec writes there", where=str(path), remedy="remove the file")
    return found
