"""Demo: the whole path on a small built-in world: pre-train, transfer to four platforms, compare, recommend."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.data.worlds import source_and_targets
from transrec.errors import RunError
from transrec.evaluation.baselines.popularity import Popularity
from transrec.evaluation.protocol import Evaluation
from transrec.evaluation.protocol import evaluate as measure
from transrec.evaluation.ranks import ModelRanker, Ranker
from transrec.items.image import ImageSettings
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.items.text import TextSettings
from transrec.items.tower import AUTO, ItemSettings
from transrec.model import ModelSettings, TransRec
from transrec.recipes.demo_figure import save_bars, save_items
from transrec.recipes.demo_report import (
    IDENTITY,
    METHODS,
    POPULARITY,
    SCRATCH,
    TRANSFERRED,
    ZERO_SHOT,
    DemoResult,
    comparison_table,
    verdicts,
)
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.recommend import recommend
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.retrieval.index import CatalogIndex
from transrec.settings import Settings
from transrec.training.settings import TrainingSettings
from transrec.users.transformer import UserSettings

WRITTEN = ("data", "backbones", "runs", "demo.json", "demo.png", "items.png")
"""Everything that the demo puts into its folder."""


def _training(epochs: int, rate: float, **others: int) -> TrainingSettings:
    # untrained encoders learn as fast as everything else
    return TrainingSettings(epochs=epochs, learning_rate=rate, encoder_learning_rate=rate, tensorboard=False, **others)


class DemoSettings(Settings):
    """How long the demo learns; rates and epochs were chosen on the validation events of other worlds than seed 0's."""

    scale: float = Field(default=1.0, gt=0)
    """Multiplies the 3,000 users of the source."""
    source: TrainingSettings = _training(14, 3e-3, patience=14)
    """Pre-training on the source."""
    scratch: TrainingSettings = _training(30, 3e-3)
    """TransRec from scratch on a target."""
    identity: TrainingSettings = _training(30, 3e-3)
    """The ID-based recommender from scratch on a target."""
    transferred: TrainingSettings = _training(15, 1e-3)
    """TransRec on a target, starting from the source's run."""


@dataclass(frozen=True, slots=True)
class _Demo:
    """The folder, what is said where, and what has been measured so far."""

    out: Path
    settings: DemoSettings
    seed: int
    console: Console
    validation: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Say what is being done, and how long it took."""
        self.console.print(f"[bold]{name}[/bold] ...", highlight=False)
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
        self.console.print(f"  done in {self.seconds[name]:.0f} s", highlight=False)

    def run(self, name: str) -> Path:
        """Where a run is."""
        return self.out / "runs" / name

    def model(self, *modalities: str) -> ModelSettings:
        """The same small model for everything; with ``identity`` it is the ID-based recommender."""
        return ModelSettings(
            items=ItemSettings(
                width=64,
                projection="norm",
                modalities=modalities or AUTO,
                text=TextSettings(backbone=str(self.out / "backbones" / "text"), max_length=40),
                image=ImageSettings(backbone=str(self.out / "backbones" / "image")),
            ),
            users=UserSettings(window=20, layers=2, heads=4, feedforward=128),
        )

    def fitted(self, name: str, data: Dataset, training: TrainingSettings, *modalities: str, of: str = "") -> TransRec:
        """Train from scratch, or transfer the run ``of``, into a run folder of this name."""
        training = training.model_copy(update={"seed": self.seed})
        told = self.console if name == "source" else Console(quiet=True)
        if of:
            settings = TransferSettings(training=training, tune="full")
            model, fit = transfer(self.run(of), data, settings, self.run(name), console=told)
        else:
            given = TrainSettings(training=training, tune="full", model=self.model(*modalities))
            model, fit = train([data], given, self.run(name), console=told)
        self.validation[name] = fit.best
        return model


def demo(
    out: str | Path,
    settings: DemoSettings | None = None,
    *,
    seed: int = 0,
    overwrite: bool = False,
    console: Console | None = None,
) -> DemoResult:
    """Pre-train on a platform of a built-in world, move to four others, compare on their test events, recommend.

    Args:
        out: a folder for datasets, runs, ``demo.json`` with all numbers, ``demo.png`` and ``items.png``.
        settings: how long it learns.
        seed: of the world, of the weights and of the training.
        overwrite: take away what an earlier demo left in ``out``.
        console: where it is told; standard output when None.

    Raises:
        RunError: ``out`` is not empty; or it is to be overwritten, but no demo made it.
    """
    this = _Demo(Path(out), settings or DemoSettings(), seed, console or Console())
    _make_room(this.out, overwrite=overwrite)
    with this.stage("drawing a source and four target platforms"):
        source, targets = _platforms(this)
    with this.stage(f"pre-training on the source ({len(source.interactions.users):,} users, {len(source.catalog):,} items)"):
        pretrained = this.fitted("source", source, this.settings.source)
    evaluations = {}
    for name, target in targets.items():
        with this.stage(f"{name}: ID-based, from scratch, and transferred"):
            evaluations[name] = _compared(this, pretrained, name, target)
    result = DemoResult(evaluations, this.validation, this.seconds)
    _report(this, result, targets)
    return result


def _make_room(out: Path, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file", remedy="give another --out")
    if out.exists() and any(out.iterdir()):
        if not overwrite:
            raise RunError(f"{out} is there already and not empty", remedy="give another --out, or add --overwrite")
        if not (out / "demo.json").exists():
            raise RunError(f"{out} was not made by the demo, so it is not overwritten", remedy="give another --out")
        for name in WRITTEN:
            shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "demo.json").write_text('{"unfinished": true}\n')  # also an interrupted demo can be overwritten


def _platforms(this: _Demo) -> tuple[Dataset, Mapping[str, Dataset]]:
    """Draw and save the world's platforms, a picture of their items, and untrained encoders."""
    drawn = source_and_targets(this.seed, scale=this.settings.scale)
    source = drawn.source.save(this.out / "data" / "source")
    targets = {name: target.save(this.out / "data" / name) for name, target in drawn.targets.items()}
    save_items({"source": source, "elsewhere": targets["elsewhere"]}, this.out / "items.png")
    texts = [text for text in source.catalog.column("text").to_list() if text]
    new_text_backbone(texts, this.out / "backbones" / "text", layers=1, seed=this.seed)
    new_image_backbone(this.out / "backbones" / "image", kind="vit", layers=1, seed=this.seed)
    return source, targets


def _compared(this: _Demo, pretrained: TransRec, name: str, target: Dataset) -> dict[str, Evaluation]:
    """Every method on one target, measured on its test events."""
    split = leave_one_out(target.interactions)
    choices = this.settings
    models = {
        IDENTITY: this.fitted(f"{name}-identity", target, choices.identity, "identity"),
        SCRATCH: this.fitted(f"{name}-scratch", target, choices.scratch),
        ZERO_SHOT: pretrained,
        TRANSFERRED: this.fitted(f"{name}-transferred", target, choices.transferred, of="source"),
    }
    rankers: dict[str, Ranker] = {POPULARITY: Popularity.fit(split, len(target.catalog))}
    for method, model in models.items():
        store = ContentStore.prepare(target.catalog, model.items.preparers(), target.store_folder)
        rankers[method] = ModelRanker(model, CatalogIndex.encode(model, store))
    return {method: measure(rankers[method], split, target.catalog, name=method) for method in METHODS}


def _report(this: _Demo, result: DemoResult, targets: Mapping[str, Dataset]) -> None:
    console, out = this.console, this.out
    numbers = {"seed": this.seed, "settings": this.settings.model_dump(mode="json"), **result.to_json()}
    (out / "demo.json").write_text(json.dumps(numbers, indent=2) + "\n")
    save_bars(result.evaluations, out / "demo.png", metric="HR@10")
    console.print()
    console.print(comparison_table(result))
    for sentence in verdicts(result):
        console.print(f"- {sentence}", markup=False, highlight=False)
    shown = targets["mixed"]
    history = [shown.catalog.ids[row] for row in shown.interactions.history(0)]
    console.print("\n[bold]A user of the platform 'mixed', and what the transferred model recommends[/bold]")
    recommend(this.run("mixed-transferred"), ",".join(history), k=5, console=console)
    minutes = sum(this.seconds.values()) / 60
    console.print(
        f"\nThat took {minutes:.1f} minutes. Written: {out}/demo.png, {out}/items.png, {out}/demo.json", highlight=False
    )
    console.print("\n[bold]Next[/bold]")
    for command in _next_commands(out, history):
        console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)


def _next_commands(out: Path, history: list[str]) -> tuple[str, ...]:
    """Commands that work as they stand, then the same path for tables of one's own."""
    return (
        f"transrec recommend {out}/runs/mixed-transferred --history {','.join(history[:3])}",
        f"transrec evaluate {out}/runs/image-transferred",
        f"transrec evaluate {out}/runs/source --data {out}/data/elsewhere",
        f"transrec check {out}/data/source",
        "transrec ingest --interactions YOUR_EVENTS.csv --items YOUR_ITEMS.csv --images YOUR_PICTURES --out DATA",
        "transrec train DATA --out RUN",
    )
