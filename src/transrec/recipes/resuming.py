"""Resuming: whether a run folder holds a training to go on with, and whether it is the same one."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from rich.console import Console

from transrec.errors import RunError
from transrec.recipes.fitting import FitSettings, writes
from transrec.recipes.stages import stage_folders
from transrec.runs import CARD, PARAMETERS, RunRecord, require_empty
from transrec.training.checkpoint import Keeper
from transrec.training.settings import AUTO
from transrec.weights import SETTINGS, WEIGHTS

Fitting = TypeVar("Fitting", bound=FitSettings)

BEGINNINGS = {SETTINGS, WEIGHTS, PARAMETERS, "encoders", "checkpoints", "stages", "tensorboard", "metrics.jsonl"}
"""What a training may have written before its first state."""


def has_begun(folder: Path, settings: FitSettings) -> bool:
    """Whether any stage of a training in this run folder has left a state to go on from."""
    return any(Keeper.has_begun(stage) for stage in stage_folders(folder, len(settings.course)) if stage)


def to_go_on(folder: Path | None, settings: FitSettings, *, resume: bool, console: Console | None = None) -> bool:
    """Whether there is a state to go on from; a training that was killed before it had one begins anew.

    Args:
        folder: the run folder.
        settings: of the training.
        resume: whether it is asked to go on.
        console: where it is told that it begins anew; standard error when None.

    Raises:
        RunError: without ``resume`` the folder holds something; with it there is no folder, or it holds something else than
            what a training begins with.
    """
    if not resume:
        if folder and writes(settings):  # where several train together, another may have come after the first has begun
            require_empty(folder)
        return False
    if folder is None:
        raise RunError("there is no folder to resume in", remedy="give --out")
    if has_begun(folder, settings):
        return True
    if not folder.is_dir():
        raise RunError(f"{folder} is not a run folder: it is not there", remedy="train without --resume")
    strange = sorted(path.name for path in folder.iterdir() if path.name not in BEGINNINGS and path.name[0] != ".")
    if strange:
        ended = CARD in strange
        raise RunError(
            f"there is no checkpoint to resume from in {folder}, "
            + ("whose training has ended" if ended else f"and it holds {strange[0]}"),
            remedy="train into another folder, without --resume",
        )
    out = console or Console(stderr=True)
    out.print(f"no state had been kept in {folder} yet: the training begins anew", markup=False, soft_wrap=True)
    return False


def as_started(folder: Path | None, settings: Fitting) -> Fitting:
    """The settings with the sizes that the run in the folder has found where they say ``auto``.

    Raises:
        RunError: the folder is not a run.
    """
    if folder is None:
        return settings
    record = RunRecord.read(folder)
    found = {name: record.training.get(name, AUTO) for name in settings.training.to_find}
    stages = []
    for own, stage, then in zip(settings.stages, settings.course, record.stages, strict=False):
        sizes = {name: then["training"][name] for name in stage.training.to_find if name in then["training"]}
        stages.append(own.model_copy(update={"training": {**own.training, **sizes}}))
    stages += settings.stages[len(stages) :]
    return settings.model_copy(update={"training": settings.training.updated(found), "stages": tuple(stages)})


def require_same(folder: Path | None, record: RunRecord) -> None:
    """Raise a RunError when the run in the folder was started with other data or settings than the record's.

    Raises:
        RunError: it was, or there is no run.
    """
    if folder is None:
        raise RunError("there is no folder to resume in", remedy="give --out")
    before = RunRecord.read(folder)
    own, other = record.model_dump(mode="json"), before.model_dump(mode="json")
    differing = [name for name in own if own[name] != other[name] and name != "version"]
    if differing:
        raise RunError(
            f"the training in {folder} was started with another {', '.join(differing)}",
            where=str(folder),
            remedy="resume with the same data and settings (they are in its settings.yaml), or train into another folder",
        )
