"""Transfer: a run moves to a platform with other users and other items."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from rich.console import Console

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.holding import holding
from transrec.data.splits import split_of
from transrec.model import TransRec
from transrec.recipes.fitting import NewRun, TransferSettings, fit, record_of, writes
from transrec.recipes.resuming import as_started, require_same, to_go_on
from transrec.rules import PROJECTIONS, SourceRule, copy_parameters, dropped, ids_in_fusion, usual_rules, with_ids, without
from transrec.runs import learned_from
from transrec.training.trainer import Fit


def transfer(
    run: str | Path,
    data: str | Path | Dataset,
    settings: TransferSettings,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    console: Console | None = None,
) -> tuple[TransRec, Fit]:
    """Start from a run and train on another platform.

    Args:
        run: the source run.
        data: the target platform: a dataset folder, or a dataset in memory.
        settings: where parameters come from, and how it learns.
        out: the run folder to make; nothing is written when None.
        resume: go on with an interrupted transfer in ``out``.
        console: where tables and progress go; standard error when None.

    Returns:
        the model with the weights that validated best, and how the training went.

    Raises:
        RunError: the source is not a run, ``out`` is not empty, or another process writes it.
        Stopped: SIGINT or SIGTERM came; the state is kept.
        ModelError: a parameter that is to be copied is not in the source, or has another shape there.
    """
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = Path(out) if out is not None else None
    split_of(dataset.interactions, settings.split).require_trainable()
    resume = to_go_on(folder, settings, resume=resume, console=console)
    with holding(folder if writes(settings) else None, "transrec transfer"):
        if resume:
            settings = as_started(folder, settings)
        record = record_of([dataset], settings, source=str(Path(run).resolve()), ancestors=learned_from(run))
        if resume:
            require_same(folder, record)
        model, sources = moved(TransRec.load(run), dataset.catalog, settings)
        made = NewRun(sources, record, folder, resume, projections_open=not _about_projections(settings, model))
        result = fit(model, [dataset], settings, made, console=console)
    return model, result


def moved(source: TransRec, catalog: Catalog, settings: TransferSettings) -> tuple[TransRec, dict[str, str]]:
    """A run's model for another platform, as its training there begins, and by parameter where its value comes from.

    Args:
        source: the run's model.
        catalog: of the platform.
        settings: say where parameters come from.

    Raises:
        ModelError: a parameter that is to be copied is not in the source, or has another shape there.
            Or no item encoder is left, or a table of ids is to be added where there is one.
        SettingsError: a rule matches nothing.
    """
    given = _given(settings)
    left_out, seed = dropped(given), settings.training.seed
    base = without(source, left_out) if left_out else source
    rules = [rule for rule in given if rule.source not in ("drop", "add")]
    if any(rule.source == "add" for rule in given):
        base = with_ids(base, catalog, seed=seed)
        rules += [SourceRule(name, "fresh") for name in ids_in_fusion(base)]
    model = base.fresh_for(catalog, seed=seed)
    sources = copy_parameters(model, source.state_dict(), usual_rules(model, rules))
    model.items.centre_like(source.items)
    return model, sources


def _given(settings: TransferSettings) -> list[SourceRule]:
    return [SourceRule.parse(rule) for rule in settings.rules]


def _about_projections(settings: TransferSettings, model: TransRec) -> bool:
    """Whether people have said where projections come from."""
    weights = [f"{PROJECTIONS}{name}.linear.weight" for name in model.items.projected]
    return any(fnmatch.fnmatchcase(name, rule.pattern) for rule in _given(settings) for name in weights)
