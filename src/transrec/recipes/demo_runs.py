"""The runs of the demo: its settings, its one small model, and every method on one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.evaluation.baselines.popularity import Popularity
from transrec.evaluation.protocol import Evaluation
from transrec.evaluation.protocol import evaluate as measure
from transrec.evaluation.ranks import ModelRanker, Ranker
from transrec.items.image import ImageSettings
from transrec.items.settings import AUTO, ItemSettings
from transrec.items.text import TextSettings
from transrec.model import ModelSettings, TransRec
from transrec.recipes.demo_report import IDENTITY, METHODS, POPULARITY, SCRATCH, TRANSFERRED, ZERO_SHOT
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.settings import Settings
from transrec.training.settings import TrainingSettings
from transrec.users.settings import UserSettings

SOURCE = "source"
"""The run of the pre-training."""


def _training(epochs: int, rate: float, *, patience: int = 8) -> TrainingSettings:
    # the encoders are untrained, so they learn as fast as everything else
    return TrainingSettings(
        epochs=epochs, learning_rate=rate, encoder_learning_rate=rate, patience=patience, tensorboard=False
    )


class DemoSettings(Settings):
    """How long the demo learns.

    Rates and epochs were chosen on validation events, from small grids that overlap; each method was given the rate at which
    it did best.
    """

    scale: float = Field(default=1.0, gt=0)
    """Multiplies the 3,000 users of the source."""
    source: TrainingSettings = _training(14, 3e-3, patience=14)
    """Pre-training on the source."""
    identity: TrainingSettings = _training(40, 3e-3)
    """The ID-based recommender from scratch on a target."""
    scratch: TrainingSettings = _training(40, 3e-3)
    """TransRec from scratch on a target."""
    transferred: TrainingSettings = _training(20, 1e-3)
    """TransRec on a target, starting from the source's run."""


@dataclass(frozen=True, slots=True)
class DemoRuns:
    """Makes the demo's runs in a folder.

    Attributes:
        out: the demo's folder.
        settings: how long each run learns.
        seed: of fresh weights, order and dropout.
        validation: the best validation metric of every run so far, by name.
    """

    out: Path
    settings: DemoSettings
    seed: int
    validation: dict[str, float] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """Where a run is."""
        return self.out / "runs" / name

    def pretrained(self, source: Dataset, console: Console) -> TransRec:
        """The model that learned on the source."""
        return self._from_scratch(SOURCE, source, self.settings.source, console=console)

    def compared(self, pretrained: TransRec, name: str, target: Dataset) -> Mapping[str, Evaluation]:
        """Every method on one target, measured on its test events.

        Args:
            pretrained: the model of :meth:`pretrained`.
            name: of the target.
            target: another platform.
        """
        models = {
            IDENTITY: self._from_scratch(f"{name}-identity", target, self.settings.identity, ("identity",)),
            SCRATCH: self._from_scratch(f"{name}-scratch", target, self.settings.scratch),
            ZERO_SHOT: pretrained,
            TRANSFERRED: self._transferred(f"{name}-transferred", target),
        }
        split = leave_one_out(target.interactions)
        rankers: dict[str, Ranker] = {POPULARITY: Popularity.fit(split, len(target.catalog))}
        for method, model in models.items():
            rankers[method] = ModelRanker.of(model, target, split, place=None if method == ZERO_SHOT else 0)
        return {method: measure(rankers[method], split, target.catalog, name=method) for method in METHODS}

    def _from_scratch(
        self,
        name: str,
        data: Dataset,
        training: TrainingSettings,
        modalities: tuple[str, ...] = (AUTO,),
        *,
        console: Console | None = None,
    ) -> TransRec:
        settings = TrainSettings(training=self._seeded(training), tune="full", model=self._model(modalities))
        model, fit = train([data], settings, self.folder(name), console=console or Console(quiet=True))
        self.validation[name] = fit.best
        return model

    def _transferred(self, name: str, data: Dataset) -> TransRec:
        settings = TransferSettings(training=self._seeded(self.settings.transferred), tune="full")
        model, fit = transfer(self.folder(SOURCE), data, settings, self.folder(name), console=Console(quiet=True))
        self.validation[name] = fit.best
        return model

    def _seeded(self, training: TrainingSettings) -> TrainingSettings:
        return training.model_copy(update={"seed": self.seed})

    def _model(self, modalities: tuple[str, ...]) -> ModelSettings:
        """The same for every run; with an identity table alone, and without counts, it is the ID-based recommender."""
        return ModelSettings(
            items=ItemSettings(
                width=64,
                projection="norm",
                modalities=modalities,
                text=TextSettings(backbone=str(self.out / "backbones" / "text"), max_length=40),
                image=ImageSettings(backbone=str(self.out / "backbones" / "image")),
            ),
            prior="none" if modalities == ("identity",) else "counts",
            users=UserSettings(window=20, layers=2, heads=4, feedforward=128),
        )
