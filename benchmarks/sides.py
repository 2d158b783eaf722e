"""The two trainings of ``quality.py``: the same model on the same batches, with the tricks of the library and without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.rungs import EVERY_OCCURRENCE, STORE, loss_on

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.dataset import Dataset
from transrec.data.splits import Split, leave_one_out
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.evaluation.ranks import ModelRanker, validation_metrics
from transrec.items.scratch import new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.index import CatalogIndex
from transrec.retrieval.prefix import Keeping, with_states
from transrec.rules import Tuning, apply_tuning
from transrec.training.ahead import prefetched
from transrec.training.optimiser import adamw, optimiser_groups, rate_factor, set_rates
from transrec.training.settings import TrainingSettings

METRIC = "HR@10"
CALIBRATION_ITEMS = 2048
VOCABULARY_ITEMS = 2_000
"""From whose texts an untrained network takes its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is trained, and for how long; see ``--help``."""

    data: Path | None = None
    backbone: Path | None = None
    users: int = 3_000
    items: int = 1_500
    layers: int = 4
    width: int = 256
    top: int = 2
    max_length: int = 32
    batch: int = 64
    epochs: float = 12
    every: int | None = None
    rate: float = 3e-3
    encoder_rate: float = 3e-3
    start: str = "fresh"
    validation_users: int = 2_000
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What both sides have in common.

    Attributes:
        model: with its starting weights.
        split: of the events.
        tokens: the store of token ids.
        states: the store of what frozen layers make of them.
        filling: seconds that filling it took.
        training: settings of the loop.
    """

    model: TransRec
    split: Split
    tokens: ContentStore
    states: ContentStore
    filling: float
    training: TrainingSettings

    @classmethod
    def make(cls, options: Options, folder: Path) -> Ground:
        """Read or draw the data, build the model, fill the store in a folder that lasts as long."""
        dataset = Dataset.open(options.data) if options.data else drawn_world(options)
        backbone = options.backbone
        if backbone is None:
            readable = np.flatnonzero(dataset.catalog.presence["text"])[:VOCABULARY_ITEMS]
            texts = [str(item.text) for item in dataset.catalog.items(readable)]
            shape = {"width": options.width, "layers": options.layers, "max_length": options.max_length}
            backbone = new_text_backbone(texts, folder / "backbone", **shape)
        text = {"backbone": str(backbone), "max_length": options.max_length}
        parts = {"items": {"modalities": ["text"], "text": text}, "users": {"start": options.start}, "prior": "none"}
        settings = ModelSettings.from_mapping(parts)
        model = TransRec.build(settings, [dataset.catalog], seed=options.seed)
        apply_tuning(model, Tuning.parse(f"top:{options.top}"), seed=options.seed)
        tokens = ContentStore.prepare(dataset.catalog, model.items.preparers(), folder / "store")
        model.items.calibrate(tokens.sample(CALIBRATION_ITEMS, seed=options.seed), model.items.projected, seed=options.seed)
        start = time.perf_counter()
        states = with_states(model, tokens, Keeping(folder / "store", say=print))
        filling = time.perf_counter() - start
        training = TrainingSettings(learning_rate=options.rate, encoder_learning_rate=options.encoder_rate)
        return cls(model, leave_one_out(dataset.interactions), tokens, states, filling, training)


def drawn_world(options: Options) -> Dataset:
    """A platform whose items are sentences."""
    worlds, platforms = np.random.default_rng(options.seed).spawn(2)
    world = World.make(worlds)
    return world.platform("world", users=options.users, items=options.items, generator=platforms, modalities="text")


class Side:
    """One of the two trainings.

    Args:
        ground: what both have in common; its model is copied.
        options: see there.
        tricks: whether this is the library as it is.
    """

    def __init__(self, ground: Ground, options: Options, *, tricks: bool) -> None:
        self.ground, self.tricks = ground, tricks
        self.rung = STORE if tricks else EVERY_OCCURRENCE
        self.model = deepcopy(ground.model).eval()  # nothing is dropped
        self.objective = build_objective(ObjectiveSettings(), self.model)
        store = ground.states if tricks else ground.tokens
        plan = self.objective.plan
        self.batches = SequenceBatches(ground.split, store, plan, batch_size=options.batch, seed=options.seed)
        self.total = round(options.epochs * self.batches.steps_per_epoch)
        self.optimiser = adamw(optimiser_groups(self.model, ground.training, total=self.total), self.model.device)
        self.seconds = ground.filling if tricks else 0.0
        self.validation_users = options.validation_users

    def loss(self, batch: SequenceBatch) -> torch.Tensor:
        """The loss of a batch."""
        return loss_on(self.rung, self.model, self.objective, batch)

    def rehearse(self) -> float:
        """The loss of the first step, which moves no weights and is not timed: it warms up."""
        loss = self.loss(self.batches.batch(0))
        loss.backward()
        self.optimiser.zero_grad()
        return float(loss.detach())

    def train(self, steps: range) -> None:
        """Some steps, as the library's loop does them; they are timed."""
        start = time.perf_counter()
        for step, batch in zip(steps, self._made(steps), strict=True):
            set_rates(self.optimiser, rate_factor(step, self.total, self.ground.training))
            self.loss(batch).backward()
            if self.ground.training.clip is not None:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.ground.training.clip)
            self.optimiser.step()
            self.optimiser.zero_grad()
        self.seconds += time.perf_counter() - start

    def _made(self, steps: range) -> Iterator[SequenceBatch]:
        if not self.tricks:
            return (self.batches.batch(step) for step in steps)
        waits: list[float] = []  # the library's log asks for them
        return (batch for (batch,) in prefetched(lambda step: [self.batches.batch(step)], steps, waits.append))

    def validate(self) -> float:
        """HR@10 on the validation targets; both sides read the store of frozen layers, which no one times here."""
        ranker = ModelRanker(self.model, CatalogIndex.encode(self.model, self.ground.states))
        return validation_metrics(ranker, self.ground.split, limit=self.validation_users)[METRIC]
