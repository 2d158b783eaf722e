"""Runs: what a run folder holds besides the model: where it came from, what became of every parameter, a model card."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from transrec._version import __version__
from transrec.data.dataset import Dataset
from transrec.data.folders import local_folder, require_place
from transrec.data.sealing import write_whole
from transrec.data.splits import SplitSettings
from transrec.errors import RunError
from transrec.rules import Fate, FateSummary, pace_columns, summarised
from transrec.settings import Settings, read_yaml
from transrec.weights import SETTINGS


class DataRecord(Settings):
    """One dataset that a run learned from."""

    name: str
    """What it was called."""
    path: str
    """Where it was, as an absolute path; empty when it was in memory."""
    fingerprint: str
    """Of its items and events."""

    @classmethod
    def of(cls, dataset: Dataset) -> DataRecord:
        """The record of a dataset."""
        path = str(dataset.folder.resolve()) if dataset.folder else ""
        return cls(name=dataset.name, path=path, fingerprint=dataset.fingerprint)


PARAMETERS = "parameters.json"
CONTINUED = "continued.json"
CARD = "README.md"
"""The model card; it is written last, so that a run without one has not ended."""

FITTING = ("stages", "objective", "training", "split", "tune", "continuing")
"""Sections of the settings file that can be given back with --config, with the model's own."""


class RunRecord(Settings):
    """How a run came to be; kept in ``settings.yaml`` beside the model's settings."""

    verb: Literal["train", "transfer", "slice"]
    """What made it."""
    version: str = __version__
    """Of transrec, when the run was made."""
    source: str = ""
    """The run that it started from, as an absolute path; empty when it was trained from scratch."""
    data: tuple[DataRecord, ...]
    """What it learned from, the first being what it recommends from."""
    ancestors: tuple[DataRecord, ...] = ()
    """What the runs before it learned from, back to the first."""
    split: SplitSettings
    """Which of the events it learned from."""
    tune: str
    """Which parameters learned."""
    rules: tuple[str, ...] = ()
    """Where parameters came from, in the order of the rules."""
    flags: tuple[str, ...] = ()
    """What a verb that trains nothing was told besides."""
    objective: dict[str, Any]
    """What was made smaller."""
    training: dict[str, Any]
    """How."""
    stages: tuple[dict[str, Any], ...] = ()
    """The trainings before it, in order, where there were any."""
    continuing: dict[str, Any] = Field(default={})
    """How it went on from its source, where that learned from the same platform; empty where it did not."""

    def place_of(self, dataset: Dataset) -> int | None:
        """Which of the run's datasets this is, as it was or as it has grown; None if the run has not learned from it."""
        given = DataRecord.of(dataset)
        for place, own in enumerate(self.data):
            same_folder = own.path == given.path if own.path and given.path else own.name == given.name
            if own.fingerprint == given.fingerprint or same_folder:
                return place
        return None

    def with_training(self, place: int, changes: Mapping[str, Any]) -> RunRecord:
        """The record with settings of one of its trainings changed: of the stage at this place, or of the last training."""
        if place == len(self.stages):
            return self.model_copy(update={"training": {**self.training, **changes}})
        stages = list(self.stages)
        stages[place] = {**stages[place], "training": {**stages[place]["training"], **changes}}
        return self.model_copy(update={"stages": tuple(stages)})

    @classmethod
    def read(cls, folder: str | Path) -> RunRecord:
        """The record in a run folder.

        Raises:
            RunError: the folder is not a run, or only holds a saved model.
        """
        path = Path(folder) / SETTINGS
        if not path.exists():
            raise RunError(f"{folder} is not a run folder: it has no {SETTINGS}", remedy="transrec train DATA --out RUN")
        document = read_yaml(path)
        if "run" not in document:
            raise RunError(f"{folder} holds a model, but not where it came from", remedy="name the dataset: --data DATA")
        fitting = {name: document[name] for name in FITTING if name in document}
        return cls.from_mapping({**document["run"], **fitting}, where=str(path))

    def write(self, folder: Path) -> None:
        """Put the record into the folder's settings file; the model's section stays."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / SETTINGS
        present = read_yaml(path) if path.exists() else {}
        own = self.model_dump(mode="json")
        fitting = {name: own.pop(name) for name in FITTING}
        fitting = {name: value for name, value in fitting.items() if value or name != "continuing"}
        document = {**present, **fitting, "run": own}
        write_whole(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def place_in(run: str | Path, dataset: Dataset) -> int | None:
    """Which of the datasets of a run this is, None if it is none of them; 0 for a folder that only holds a model."""
    folder = local_folder(run)
    recorded = (folder / SETTINGS).exists() and "run" in read_yaml(folder / SETTINGS)
    return RunRecord.read(folder).place_of(dataset) if recorded else 0


def learned_from(run: str | Path) -> tuple[DataRecord, ...]:
    """Everything that a run and those before it learned from; empty for a folder that only holds a model."""
    if "run" not in (read_yaml(Path(run) / SETTINGS) if (Path(run) / SETTINGS).exists() else {}):
        return ()
    record = RunRecord.read(run)
    return (*record.data, *record.ancestors)


def open_run_data(run: str | Path, data: str | Path | None = None) -> Dataset:
    """The dataset that a run recommends from, or the one given in its place.

    Args:
        run: a run folder.
        data: a dataset folder; the one that the run records when None.

    Raises:
        RunError: the recorded dataset is not where it was, or has changed since.
    """
    if data is not None:
        return Dataset.open(data)
    record = RunRecord.read(run).data[0]
    if not record.path or not Path(record.path).exists():
        raise RunError(
            f"the dataset {record.name!r} that this run learned from is no longer at {record.path or 'any path'}",
            where=str(run),
            remedy="say where it is: --data DATA",
        )
    dataset = Dataset.open(record.path)
    if dataset.fingerprint != record.fingerprint:
        raise RunError(
            f"the dataset at {record.path} has changed since this run learned from it",
            where=str(run),
            remedy="train again, or say that you mean the data as it is now: --data " + record.path,
        )
    return dataset


def index_folder(run: str | Path, dataset: Dataset) -> Path | None:
    """Where the index of a dataset is kept beside a run (``RUN/index/<dataset>``); None where nothing may be written."""
    folder = local_folder(run)
    if not os.access(folder, os.W_OK):
        return None
    return folder / "index" / (re.sub(r"[^\w.-]+", "-", dataset.name).strip(".") or "dataset")


def require_empty(folder: Path, *, flag: str = "--out") -> None:
    """Raise a RunError when the folder holds anything: a run is never written over.

    Raises:
        RunError: it does.
        DataError: nothing can be written there.
    """
    require_place(folder, flag=flag)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(
            f"{folder} is there already and not empty",
            remedy=f"give another {flag}, remove it, or add --resume to go on with an interrupted training",
        )


def write_parameters(folder: Path, fates: Sequence[Fate]) -> None:
    """Write ``parameters.json``: the source and the fate of every parameter."""
    document = {"format": 1, "parameters": [asdict(fate) for fate in fates]}
    write_whole(folder / PARAMETERS, json.dumps(document, indent=1) + "\n")


def read_sources(folder: Path) -> dict[str, str]:
    """Where the value of every parameter of a run came from, as :func:`write_parameters` wrote it; empty if it did not.

    Raises:
        RunError: the file is damaged.
    """
    if not (folder / PARAMETERS).exists():
        return {}
    try:
        return {row["name"]: row["source"] for row in json.loads((folder / PARAMETERS).read_text())["parameters"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"what became of the parameters cannot be read: {error}",
            where=str(folder / PARAMETERS),
            remedy="copy the file again, or train into another folder",
        ) from None


def write_card(folder: Path, record: RunRecord, fates: Sequence[Fate], validation: Mapping[str, Any]) -> None:
    """Write ``README.md``: a model card with what the run is, where it came from and how it did.

    Args:
        folder: the run folder.
        record: how it came to be.
        fates: of its parameters.
        validation: named numbers of the training's end.
    """
    parts = summarised(fates)
    learning, total = sum(part.learning for part in parts), sum(part.total for part in parts if part.source != "drop")
    learned = "\n".join(f"- {d.name} (fingerprint `{d.fingerprint}`)" for d in record.data)
    numbers = "\n".join(f"| {name} | {_told(value)} |" for name, value in validation.items())
    origin = f"It started from the run `{Path(record.source).name}`." if record.source else "It started from no other run."
    write_whole(
        folder / CARD,
        f"""---
library_name: transrec
pipeline_tag: other
tags: [recommender-system, sequential-recommendation, transfer-learning]
---

# {folder.resolve().name}

A [TransRec](https://arxiv.org/abs/2206.06190) recommender made by `transrec {record.verb}` {record.version}: it knows items
by their content and can be moved to platforms that share no user and no item with it. {origin}

## Learned from

{learned}

Split: {record.split.kind}. Tuning rule: `{record.tune}`; {learning:,} of {total:,} parameters learned.{_stages(record)}

## Validation

| what | value |
|---|---|
{numbers}

These numbers chose the weights, so they flatter. `transrec evaluate` opens the test split and writes `evaluation/`.

## Parameters

{_parts(parts)}

## Use

```python
from transrec import Recommender

recommender = Recommender.load("{folder.name}", data="DATA")
recommender.recommend(["item id", "another item id"], k=10)
```

## Limits

The model repeats what its platform's users did, popularity and all. It was measured offline on held-out events, which says
which item a user took next, not which one would have pleased them most.
""",
    )


def _parts(rows: Sequence[FateSummary]) -> str:
    """The table of the model's parts."""
    paces = pace_columns(rows)
    headings = ["part", "from", "learning", "all", *paces]
    told = [
        [f"`{row.part}`", row.source, f"{row.learning:,}", f"{row.total:,}", *cells]
        for row, *cells in zip(rows, *paces.values(), strict=True)
    ]
    lines = [" | ".join(cells) for cells in [headings, *told]]
    return "\n".join([f"| {lines[0]} |", "|" + "---|" * len(headings), *(f"| {line} |" for line in lines[1:])])


def _told(value: object) -> str:
    """A value for a table: a mapping as its entries."""
    return ", ".join(f"{name} {number:g}" for name, number in value.items()) if isinstance(value, Mapping) else str(value)


def _stages(record: RunRecord) -> str:
    """A sentence on the trainings that came before; empty if none did."""
    stages = ", then ".join(f"{stage['objective']['kind']} (`{stage['tune']}`)" for stage in record.stages)
    return f" Stages before: {stages}." if stages else ""
