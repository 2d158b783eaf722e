"""Scale of the source: how many of its users does it take before a transfer helps?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.data.splits import sample_size, split_of
from transrec.errors import EvaluationError, RunError, SettingsError
from transrec.recipes.compare import compare
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.settings import SourcesSettings
from transrec.recipes.studies.study import Line, Study, folder_name
from transrec.recipes.studies.tables import DOCUMENT, keep, tell
from transrec.recipes.studies.trained import trained_run
from transrec.recipes.train import require_once


def study_sources(
    data: Sequence[str | Path | Dataset],
    target: str | Path | Dataset,
    training: TrainSettings,
    settings: SourcesSettings | None = None,
    out: str | Path | None = None,
    *,
    console: Console | None = None,
) -> Study:
    """Train a run with each share of the source users and compare it on one target.

    The target is split and trained on in the same way for every share, so that what is trained from scratch is trained once.
    What is done is found again, what is interrupted goes on.

    Args:
        data: the sources: dataset folders, or datasets in memory.
        target: likewise.
        training: the model and how it learns, from the sources and then from the target.
        settings: which shares and seeds, and how sure one wants to be.
        out: a folder for the table, the figure, the runs and the comparisons; ``study-<target>`` when None.
        console: where everything goes; when None tables go to standard output and the training of runs to standard error.

    Returns:
        everything that was found.

    Raises:
        SettingsError: the training has a share of the users of its own.
        RunError: the target is one of the sources.
        DataError: nothing can be written there.
        EvaluationError: no test target is left.
    """
    told_to, settings = console or Console(highlight=False), settings or SourcesSettings()
    sources = [own if isinstance(own, Dataset) else Dataset.open(own) for own in data]
    elsewhere = target if isinstance(target, Dataset) else Dataset.open(target)
    folder = Path(out) if out is not None else Path(f"study-{folder_name(elsewhere.name)}")
    require_place(folder / DOCUMENT)
    _require_apart(sources, elsewhere)
    _require_measurable(sources, elsewhere, training)
    if training.split.users != 1:
        raise SettingsError(
            f"the training has a share of the users of its own, {training.split.users:g}",
            where="split.users",
            remedy="leave it out of the training's settings; a study takes --shares",
        )
    asked = settings.of_compare(
        training=training.training.model_dump(mode="json"),
        stages=[stage.model_dump(mode="json") for stage in training.stages],
    )
    everyone = users_of(sources, training, 1.0)
    lines = []
    for share, users in distinct_shares(sources, training, settings.shares).items():
        told_to.rule(f"{share:g} of the source: {users:,} of {everyone:,} users")
        own = of_share(training, share, settings, stretch=everyone / users)
        run = trained_run(sources, own, folder / "runs", f"share{share:g}", console=console)
        name = f"compare/share{share:g}"
        comparison = compare(run, elsewhere, asked, folder / name, jobs=folder / "jobs", console=told_to)
        facts = {"share": share, "source_users": users, "run": str(run.relative_to(folder))}
        lines.append(Line(f"{users:,}", f"{users / everyone:.0%}", comparison, name, size=users, facts=facts))
    study = Study(
        name="sources",
        title=f"{', '.join(own.name for own in sources)} to {elsewhere.name}, by the number of source users",
        column="source users",
        lines=tuple(lines),
        metric=settings.metric,
        alpha=settings.alpha,
        notes=_notes(settings, training, lines),
        left_out={},
    )
    keep(study, folder)
    tell(study, folder, told_to)
    return study


def users_of(sources: Sequence[Dataset], training: TrainSettings, share: float) -> int:
    """How many users of all sources train and validate at this share."""
    return sum(
        sample_size(int((split.train_ends > split.interactions.offsets[:-1]).sum()), share)
        for split in (split_of(source.interactions, training.split) for source in sources)
    )


def distinct_shares(sources: Sequence[Dataset], training: TrainSettings, shares: Sequence[float]) -> dict[float, int]:
    """The shares that are different numbers of users, increasing, with the number; one that comes to all users is 1."""
    everyone = users_of(sources, training, 1.0)
    by_users = {users_of(sources, training, share): share for share in sorted(shares)}
    return {1.0 if users == everyone else share: users for users, share in sorted(by_users.items())}


def of_share(training: TrainSettings, share: float, settings: SourcesSettings, *, stretch: float) -> TrainSettings:
    """The training with this share of the users.

    Args:
        training: with all users.
        share: of the users of every source.
        settings: which users these are, and the budget.
        stretch: all users by those of this share: so much longer are epochs that make as many steps.
    """
    own: dict[str, Any] = {"split": {"users": share, "users_seed": settings.users_seed}} if share < 1 else {}
    if settings.budget == "steps" and stretch > 1:
        own["training"] = training.training.longer(stretch).model_dump(mode="json")
        own["stages"] = [stage.longer(stretch).model_dump(mode="json") for stage in training.stages]
    return training.updated(own)


def _require_apart(sources: Sequence[Dataset], target: Dataset) -> None:
    here = target.folder.resolve() if target.folder else None
    require_once(sources)
    for source in sources:
        if source.fingerprint == target.fingerprint or (here and source.folder and source.folder.resolve() == here):
            raise RunError(
                f"the target {target.name!r} is one of the sources, so nothing would be transferred",
                where=str(source.folder or source.name),
                remedy="take another platform as --target, or take it out of the sources",
            )


def _require_measurable(sources: Sequence[Dataset], target: Dataset, training: TrainSettings) -> None:
    """Say before hours of training that nothing could be measured afterwards."""
    if not len(split_of(target.interactions, training.split).test):
        raise EvaluationError(
            f"no user of {target.name!r} has a test target under this split",
            where=str(target.folder or target.name),
            remedy="take another --target, or another split",
        )
    asked = training.model.items
    held = {name for own in sources for name in own.catalog.modalities}
    reads = set(asked.named(held))
    there = {*target.catalog.modalities, *asked.custom}
    if not (reads - {"identity"}) & there:
        raise RunError(
            f"the model is to read {', '.join(sorted(reads))}, {target.name!r} has {', '.join(target.catalog.modalities)}",
            where=str(target.folder or target.name),
            remedy="take a target with content that the sources have, or other model.items.modalities",
        )


def _notes(settings: SourcesSettings, training: TrainSettings, lines: Sequence[Line]) -> tuple[str, ...]:
    spent = {"steps": "about as many steps", "epochs": "as many epochs"}[settings.budget]
    notes = [
        f"one run for each share, all from seed {training.training.seed}, with {spent}; intervals speak of the target's "
        "users, not of another training on the source",
        f"the larger samples hold the smaller ones (sample {settings.users_seed}), at least fifty users of every source",
        "from scratch is the same for every share: it learns from the target alone",
    ]
    if len(lines) < len(settings.shares):
        notes.append(f"of {len(settings.shares)} shares some come to the same number of users")
    return tuple(notes)
