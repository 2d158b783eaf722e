"""What training from scratch and transfer share: data into batches, a model fitted, a run folder written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import field_validator
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.splits import Split, SplitSettings, split_of
from transrec.errors import ModelError
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.recipes.lesson import Lesson
from transrec.recipes.platform import Platform
from transrec.recipes.showing import fate_table, tell_of_parameters
from transrec.recipes.sizing import found_sizes
from transrec.recipes.stages import Stage, StageSettings, as_value_error, course_of, stage_folders, stage_to_resume
from transrec.recipes.starting import Choosing, begin, count_ids
from transrec.rules import (
    Fate,
    SourceRule,
    Tuning,
    apply_tuning,
    fates,
    merge,
    merged_copy,
    untaught,
    with_earlier,
)
from transrec.runs import DataRecord, RunRecord, read_sources, write_card, write_parameters
from transrec.settings import Settings
from transrec.training.checkpoint import Keeper
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Fit, processes, resolve_device


class FitSettings(Settings, ABC):
    """How a model learns from data; the same for a first training and for a transfer."""

    objective: ObjectiveSettings = ObjectiveSettings()
    """What training makes smaller."""
    training: TrainingSettings = TrainingSettings()
    """The training loop."""
    split: SplitSettings = SplitSettings()
    """Which events train, validate and test."""
    tune: str = "top:2"
    """Which parameters learn: full, top:N (the N top blocks of each encoder and all above), frozen (all but the encoders),
    bitfit, lora, lora:R or ia3 (little of the encoders, and all above), adapter or adapter:R (little of the user
    encoder), projections (of the user encoder its norms alone)."""

    stages: tuple[StageSettings, ...] = ()
    """Trainings that come before this one, in order, each with an objective, a tuning rule and training settings of its own.
    What the loop keeps of them is in RUN/stages/1, RUN/stages/2, ..."""

    @field_validator("tune")
    @classmethod
    def _is_a_tuning_rule(cls, text: str) -> str:
        return str(as_value_error(Tuning.parse, text))

    @property
    def course(self) -> Sequence[Stage]:
        """All stages in order, the last being what these settings say themselves."""
        return course_of(self.stages, Stage(self.objective, self.tune, self.training))

    @property
    @abstractmethod
    def verb(self) -> Literal["train", "transfer"]:
        """The verb that these settings belong to."""


class TrainSettings(FitSettings):
    """A training from scratch: everything in a configuration file."""

    model: ModelSettings = ModelSettings()
    """The parts of the model."""

    @property
    def verb(self) -> Literal["train", "transfer"]:
        return "train"


class TransferSettings(FitSettings):
    """A transfer: the model is that of the source run."""

    rules: tuple[str, ...] = ()
    """Where parameters come from: PATTERN=copy or PATTERN=fresh over their names, the first that matches counts; what none
    matches is copied, except an identity table and what popularity is worth, which start fresh, and means and clusters of
    items, which are found anew. 'users.*=fresh' moves the item encoders alone, 'items.encoders.NAME.*=drop' leaves one of
    them out, 'items.encoders.identity.*=add' puts a table of the target's item ids beside them. 'users.*=fraction(0.2)' lets
    weights start fresh with 0.2 of the source's added, fraction(0.2, convex) with 0.2 of the source's and 0.8 of fresh;
    biases and norms are copied. Projections that were born similar are copied, or 'items.projections.*=aligned': born again
    on the target's items and turned to agree with the source's; where no rule is about them, whichever ranks the validation
    users better before training."""

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            as_value_error(SourceRule.parse, text)
        return texts

    @property
    def verb(self) -> Literal["train", "transfer"]:
        return "transfer"


@dataclass(frozen=True, slots=True, eq=False)
class NewRun:
    """A run that is being made.

    Attributes:
        sources: by parameter, where its value comes from.
        record: how the run comes to be.
        folder: where it is written; nothing is written when None.
        resume: whether to go on from the folder's last checkpoint.
        projections_open: whether copied projections may be aligned with the platform's items instead; see
            :func:`~transrec.recipes.starting.begin`.
        splits: of the datasets, where they are not those that the settings name alone; None: they are.
    """

    sources: Mapping[str, str]
    record: RunRecord
    folder: Path | None = None
    resume: bool = False
    projections_open: bool = False
    splits: Sequence[Split] | None = None

    def known_sources(self) -> dict[str, str]:
        """By parameter, where its value comes from; what an interrupted run had aligned stays so."""
        written = read_sources(self.folder) if self.folder and self.resume else {}
        return {**self.sources, **{name: source for name, source in written.items() if source == "aligned"}}

    def split_of(self, place: int, dataset: Dataset, settings: SplitSettings) -> Split:
        """The split of the dataset at this place: the one that was given, or what the settings say."""
        return self.splits[place] if self.splits else split_of(dataset.interactions, settings)


def fit(
    model: TransRec, datasets: Sequence[Dataset], settings: FitSettings, run: NewRun, *, console: Console | None = None
) -> Fit:
    """Train a model on one or several platforms and write the run folder.

    Args:
        model: with its starting weights.
        datasets: what to learn from; the first is what the run recommends from.
        settings: see there.
        run: what is being made.
        console: where tables and progress go; standard error when None.
    """
    device = resolve_device(settings.training.device)
    ranks = processes(device)
    console = console if console and ranks.is_main_process else Console(stderr=True, quiet=not ranks.is_main_process)
    course = settings.course
    check_course(model, course)
    folders = stage_folders(run.folder, len(course))
    begun = stage_to_resume(folders) if run.resume else 0
    prepared = [
        Platform.ready(dataset, run.split_of(place, dataset, settings.split), model, place=place, console=console)
        for place, dataset in enumerate(datasets)
    ]
    count_ids(model, prepared)
    sources, became, record = run.known_sources(), list[Fate](), run.record
    for place, (stage, folder) in enumerate(zip(course, folders, strict=True)):
        sources |= apply_tuning(
            model, Tuning.parse(stage.tune), fresh=untaught(sources, became), seed=settings.training.seed
        )
        if place < begun:
            became = with_earlier(Lesson.of(model, prepared, stage, sources).fates, became)
            merge(model)
            continue
        if len(course) > 1:
            console.rule(f"stage {place + 1} of {len(course)}: {stage.objective.kind}, tuning {stage.tune}")
        model.to(device)
        resume = run.resume and place == begun
        if resume and folder:
            _go_on(folder, stage, model)  # what rests is run over the content next, as earlier stages have left it
        states = stage.training.frozen_states
        platforms = [platform.encoded(model, states, device=device, console=console) for platform in prepared]
        starts = place == 0 and not run.resume
        if starts:
            sources = begin(model, platforms, sources, stage.training, Choosing(run.projections_open, console))
        found = found_sizes(model, platforms, stage, console=console)
        stage = replace(stage, training=stage.training.updated(found))
        record = record.with_training(place, found)
        lesson = Lesson.of(model, platforms, stage, sources, folder=folder, console=console)
        became = with_earlier(lesson.fates, became)
        console.print(fate_table(lesson.fates))
        ranks.wait_for_everyone()
        if run.folder and ranks.is_main_process:
            if starts:  # else what is there already is worth more than fresh weights
                merged_copy(model).save(run.folder)
            if starts or found:
                record.write(run.folder)
            write_parameters(run.folder, became)
            tell_of_parameters(console)
        result = lesson.fit(model, resume=resume)
        merge(model)
    if run.folder and ranks.is_main_process:
        model.save(run.folder)
        write_card(run.folder, record, became, {settings.training.metric: f"{result.best:.4f}", **asdict(result)})
    return result


def _go_on(folder: Path, stage: Stage, model: TransRec) -> None:
    """Put the weights of the stage's last checkpoint in place."""
    with build_objective(stage.objective, model).lending(model):  # the checkpoint has its head, too
        Keeper.load_weights(folder, model)


def writes(settings: FitSettings) -> bool:
    """Whether this process is the one that writes the run folder; where several train together the first does."""
    return bool(processes(resolve_device(settings.training.device)).is_main_process)


def check_course(model: TransRec, course: Sequence[Stage]) -> None:
    """Say at once, before anything is prepared or written, when the objectives of a course cannot train the model.

    Raises:
        ModelError: an objective does not fit the model, or the model has a prior and no objective teaches it anything.
    """
    objectives = [build_objective(stage.objective, model) for stage in course]
    if not objectives[-1].teaches_ranking:
        raise ModelError(
            f"nothing in {course[-1].objective.kind} says which item comes next, so a training cannot end with it",
            where="objective.kind",
            remedy="put it under stages, or beside another objective: objective.added, for example {barlow: 0.01}",
        )
    if model.prior is not None and not any(objective.asks_counts for objective in objectives):
        raise ModelError(
            f"the model has a prior, and {course[-1].objective.kind} does not teach it what counts are worth",
            where="model.prior",
            remedy="train with --model.prior none, or with the objective softmax or gbce; a run that has a prior is "
            "transferred with one of these",
        )


def rehearsed(model: TransRec, sources: Mapping[str, str], settings: FitSettings) -> Sequence[Fate]:
    """Go through all stages of a training without a step, so that what does not fit is known beforehand.

    Args:
        model: as the training would begin with it; its rules are applied to it.
        sources: by parameter, where its value comes from.
        settings: of the training.

    Returns:
        what would become of every parameter.

    Raises:
        ModelError: an objective or a tuning rule does not fit the model.
    """
    check_course(model, settings.course)
    known, became = dict(sources), list[Fate]()
    for stage in settings.course:
        fresh = untaught(known, became)
        known |= apply_tuning(model, Tuning.parse(stage.tune), fresh=fresh, seed=settings.training.seed)
        became = with_earlier(fates(model, known), became)
        merge(model)
    return became


def record_of(
    datasets: Sequence[Dataset], settings: FitSettings, *, source: str = "", ancestors: Sequence[DataRecord] = ()
) -> RunRecord:
    """How a run comes to be, for its folder."""
    return RunRecord(
        verb=settings.verb,
        source=source,
        data=tuple(DataRecord.of(dataset) for dataset in datasets),
        ancestors=tuple(ancestors),
        split=settings.split,
        tune=settings.tune,
        rules=settings.rules if isinstance(settings, TransferSettings) else (),
        objective=settings.objective.model_dump(mode="json"),
        training=settings.training.model_dump(mode="json"),
        stages=tuple(stage.model_dump(mode="json") for stage in settings.stages),
    )
