"""What training from scratch and transfer share: data into batches, a model fitted, a run folder written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from pydantic import field_validator
from rich.console import Console

from transrec.data.batches import ItemBatch, MixedBatches, SequenceBatches
from transrec.data.dataset import Dataset
from transrec.data.splits import Split, SplitSettings, split_of
from transrec.data.store import ContentStore
from transrec.errors import SettingsError
from transrec.evaluation.ranks import ModelRanker, validation_metrics
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.recipes.showing import fate_table, progress_bar
from transrec.retrieval.index import CatalogIndex
from transrec.retrieval.vectors import with_vectors
from transrec.runs import DataRecord, RunRecord, write_card, write_parameters
from transrec.settings import Settings
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Fit, Trainer, processes, resolve_device
from transrec.transfer import SourceRule, Tuning, apply_tuning, fates

CALIBRATION_ITEMS = 2048
"""Items of each platform by which the encoders' vectors are standardised."""
CALIBRATION_BATCH = 256


class FitSettings(Settings, ABC):
    """How a model learns from data; the same for a first training and for a transfer."""

    objective: ObjectiveSettings = ObjectiveSettings()
    """What training makes smaller."""
    training: TrainingSettings = TrainingSettings()
    """The training loop."""
    split: SplitSettings = SplitSettings()
    """Which events train, validate and test."""
    tune: str = "top:2"
    """Which parameters learn: full, top:N (the N top blocks of each encoder and all above), or frozen (all but the
    encoders)."""

    @field_validator("tune")
    @classmethod
    def _is_a_tuning_rule(cls, text: str) -> str:
        return str(_as_value_error(Tuning.parse, text))

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
    matches is copied, except an identity table, which starts fresh. 'users.*=fresh' moves the item encoders alone."""

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            _as_value_error(SourceRule.parse, text)
        return texts

    @property
    def verb(self) -> Literal["train", "transfer"]:
        return "transfer"


_Parsed = TypeVar("_Parsed")


def _as_value_error(parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    """What a parser gives, its complaint turned into the kind that settings collect."""
    try:
        return parse(text)
    except SettingsError as error:
        raise ValueError(f"{error.what}; {error.remedy}") from None


@dataclass(frozen=True, slots=True, eq=False)
class NewRun:
    """A run that is being made.

    Attributes:
        sources: by parameter, where its value comes from.
        record: how the run comes to be.
        folder: where it is written; nothing is written when None.
        resume: whether to go on from the folder's last checkpoint.
    """

    sources: Mapping[str, str]
    record: RunRecord
    folder: Path | None = None
    resume: bool = False

    @property
    def fresh_projections(self) -> list[str]:
        """The modalities whose projection starts fresh, and so has to be standardised."""
        parts = [name.split(".") for name, source in self.sources.items() if source == "fresh"]
        return sorted({part[2] for part in parts if part[:2] == ["items", "projections"]})


@dataclass(frozen=True, slots=True, eq=False)
class Platform:
    """A dataset made ready to learn from.

    Attributes:
        dataset: as it was given.
        split: of its events.
        store: its items' content.
    """

    dataset: Dataset
    split: Split
    store: ContentStore

    @classmethod
    def ready(
        cls, dataset: Dataset, split: SplitSettings, model: TransRec, *, device: torch.device, console: Console | None = None
    ) -> Platform:
        """Split the events, prepare the content, and run the encoders that learn nothing over it once."""
        folder = dataset.store_folder
        with progress_bar(console) as progress:
            store = ContentStore.prepare(dataset.catalog, model.items.preparers(), folder, progress=progress)
            store.require_readable(model.items.encoders, dataset.name)
            store = with_vectors(model, store, folder, training=True, device=device, progress=progress)
        if len(store.unreadable) and console:
            console.print(
                f"{len(store.unreadable):,} items of {dataset.name} have nothing that the model reads; they rank last"
            )
        return cls(dataset, split_of(dataset.interactions, split), store)


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
    apply_tuning(model, Tuning.parse(settings.tune))
    became = fates(model, run.sources)
    console.print(fate_table(became))
    model.to(device)
    platforms = [Platform.ready(d, settings.split, model, device=device, console=console) for d in datasets]
    if model.settings.items.standardise and not run.resume:
        calibrate(model, platforms, run.fresh_projections, seed=settings.training.seed)
    objective = build_objective(settings.objective, model)
    size, seed = settings.training.batch_size, settings.training.seed
    shard = (ranks.process_index, ranks.num_processes)
    each = [SequenceBatches(p.split, p.store, objective.plan, batch_size=size, seed=seed, shard=shard) for p in platforms]
    ranks.wait_for_everyone()
    if run.folder and ranks.is_main_process and not run.resume:  # what is there already is worth more than fresh weights
        model.save(run.folder)
        run.record.write(run.folder)
        write_parameters(run.folder, became)

    def validate(learned: TransRec) -> Mapping[str, float]:
        return mean_validation(learned, platforms, users=settings.training.validation_users)

    batches = each[0] if len(each) == 1 else MixedBatches(each, seed=seed)
    trainer = Trainer(settings.training, run.folder, console=console)
    result = trainer.fit(model, objective, batches, validate, resume=run.resume)
    if run.folder and ranks.is_main_process:
        model.save(run.folder)
        write_card(run.folder, run.record, became, {settings.training.metric: f"{result.best:.4f}", **asdict(result)})
    return result


def calibrate(model: TransRec, platforms: Sequence[Platform], modalities: Sequence[str], *, seed: int) -> None:
    """Standardise what the encoders of these modalities make, by a sample of the items of every platform."""
    generator = np.random.default_rng(seed)

    def sample() -> Iterator[ItemBatch]:
        for platform in platforms:
            rows = generator.permutation(len(platform.store))[:CALIBRATION_ITEMS]
            for at in range(0, len(rows), CALIBRATION_BATCH):
                yield platform.store.gather(np.sort(rows[at : at + CALIBRATION_BATCH])).to(model.device)

    if modalities:
        model.items.calibrate(sample(), modalities)


def mean_validation(model: TransRec, platforms: Sequence[Platform], *, users: int | None) -> Mapping[str, float]:
    """Validation metrics, as the mean over platforms; the test split stays sealed."""
    found = []
    for platform in platforms:
        ranker = ModelRanker(model, CatalogIndex.encode(model, platform.store))
        found.append(validation_metrics(ranker, platform.split, limit=users))
    return {name: sum(metrics[name] for metrics in found) / len(found) for name in found[0]}


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
    )
