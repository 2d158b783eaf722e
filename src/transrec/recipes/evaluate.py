"""Evaluate: open the test split of a run's platform, or of another one, and say how well the run ranks there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.splits import Split, split_of
from transrec.errors import ModelError, RunError
from transrec.evaluation.baselines.kept import KeptBaseline, kept_baselines
from transrec.evaluation.baselines.tuning import BaselineName
from transrec.evaluation.lists import ListMeasureSettings, measure_lists
from transrec.evaluation.probing import ProbeSettings, probe
from transrec.evaluation.protocol import Evaluation, EvaluationSettings, measured
from transrec.evaluation.protocol import evaluate as measure
from transrec.evaluation.ranks import ModelRanker
from transrec.evaluation.table import document, lists_table, probe_table, result_table, slice_table
from transrec.model import TransRec
from transrec.recipes.published import published_vectors
from transrec.recipes.showing import progress_bar
from transrec.runs import RunRecord, open_run_data
from transrec.training.trainer import resolve_device

BASELINES: tuple[BaselineName, ...] = ("popularity", "markov", "ease", "similarity")
"""What a run stands beside unless something else is asked for."""


def evaluate(  # noqa: PLR0913  (what is measured, beside what, and where it is told)
    run: str | Path,
    data: str | Path | Dataset | None = None,
    settings: EvaluationSettings | None = None,
    *,
    baselines: Sequence[BaselineName] = BASELINES,
    lists: ListMeasureSettings | None = None,
    probed_by: ProbeSettings | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> Sequence[Evaluation]:
    """Rank the test targets of a platform under a run, beside simple baselines; print tables and keep the numbers.

    The split is the one that the run was trained with. On another platform than its own the run is measured as it is:
    zero-shot. The numbers go into ``evaluation/<dataset>.json`` of the run folder, which also notes that the test split was
    opened and when; the rank of every target goes beside it as Parquet.

    Args:
        run: the run folder.
        data: another dataset; the run's own when None.
        settings: cutoffs and intervals.
        baselines: the simple methods, tuned on validation, that are measured too; similarity of content is left out, and
            said to be, where the run reads no content or its published encoders cannot be found.
        lists: whether the run's lists are looked at as wholes, and how; not when None.
        probed_by: whether a linear map tells something from its user vectors, and what; not when None.
        device: auto, cpu, cuda or mps.
        console: where tables go; standard output when None.

    Returns:
        the run first, then the baselines.

    Raises:
        RunError: the folder is not a run, or its data has moved or changed.
        EvaluationError: a score is not a number, or there are no targets.
    """
    out = console or Console()
    record = RunRecord.read(run)
    dataset = data if isinstance(data, Dataset) else open_run_data(run, data)
    model = TransRec.load(run, device=resolve_device(device))
    split = split_of(dataset.interactions, record.split)
    relation = _relation(record, dataset, model)
    with progress_bar() as progress:
        weight = (settings or EvaluationSettings()).popularity
        ranker = ModelRanker.of(model, dataset, split, place=record.place_of(dataset), popularity=weight, progress=progress)
    label = f"{Path(run).resolve().name} ({relation})"
    looked = lists if lists is not None and lists.length else None
    shown = None if looked is None else measure_lists(ranker, split, dataset.catalog, looked, settings=settings)
    asked = probed_by if probed_by is not None and probed_by.column else None
    probed = None if asked is None else probe(ranker, split, dataset.catalog, asked)
    found = [measure(ranker, split, dataset.catalog, name=label, settings=settings)]
    for kept in _baselines(baselines, model, dataset, split, out):
        found.append(
            measured(kept.ranked, split, dataset.catalog, name=kept.name, ranker_settings=kept.settings, settings=settings)
        )
    out.print(result_table(found, title=dataset.name))
    out.print(slice_table(found))
    if shown:
        out.print(lists_table(shown, title=label))
    if probed:
        out.print(probe_table(probed, title=label))
    path = _keep(Path(run), dataset, found, document(found, shown, probed))
    out.print(f"kept in {path}; the test split has been opened", highlight=False, soft_wrap=True)
    return found


def _baselines(
    names: Sequence[BaselineName], model: TransRec, dataset: Dataset, split: Split, out: Console
) -> Sequence[KeptBaseline]:
    """The simple methods on the test targets; what they need of the run is looked up, and said when it is not there."""
    vectors: Mapping[str, np.ndarray] = {}
    if "similarity" in names:
        lacking = "the run reads no content of these items"
        try:
            with progress_bar() as progress:
                vectors = published_vectors(model, dataset, progress=progress)
        except ModelError as error:
            lacking = error.what
        if not vectors:
            out.print(f"similarity of content is left out: {lacking}", markup=False, highlight=False, soft_wrap=True)
            names = [name for name in names if name != "similarity"]
    return kept_baselines(split, len(dataset.catalog), dataset.store_folder, which=names, vectors=vectors)


def _relation(record: RunRecord, dataset: Dataset, model: TransRec) -> str:
    """What the run has to do with the dataset: what it learned there, or that it has never seen it.

    Raises:
        RunError: it has never seen it, and knows items by their identity.
    """
    if dataset.fingerprint in {source.fingerprint for source in record.data}:
        return record.verb
    before = [*record.data, *record.ancestors]
    if dataset.fingerprint in {source.fingerprint for source in before}:
        return "learned there before, and from events since" if record.continuing else "learned there before it moved"
    here = str(dataset.folder.resolve()) if dataset.folder else None
    if any(source.name == dataset.name or (here and source.path == here) for source in before):
        return f"{record.verb}, data changed since"
    if "identity" in model.items.encoders:
        raise RunError(
            "this run knows items by their identity, which means nothing on another platform",
            where=dataset.name,
            remedy="transfer it: transrec transfer RUN DATA --out RUN2",
        )
    return "zero-shot"


def _keep(run: Path, dataset: Dataset, found: Sequence[Evaluation], numbers: Mapping[str, Any]) -> Path:
    """Write the numbers and the ranks, and note that the test split was opened."""
    folder = run / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "-", dataset.name)
    path = folder / f"{stem}.json"
    opened = json.loads(path.read_text())["test_opened"] if path.exists() else []
    written = {
        **numbers,
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "test_opened": [*opened, datetime.now(UTC).isoformat(timespec="seconds")],
    }
    path.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    found[0].ranked.save(folder / f"{stem}.ranks.parquet")
    return path
