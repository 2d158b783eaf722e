"""A small platform of items with texts, and a model over it whose encoder has blocks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from transrec.data.batches import SequenceBatches
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.items.scratch import new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.objectives.objective import Objective
from transrec.rules import Tuning, apply_tuning
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Fit, Trainer


@dataclass
class TextCase:
    """A model over texts with its objective and its batches."""

    model: TransRec
    objective: Objective
    batches: SequenceBatches

    def fit(
        self,
        values: list[float],
        folder: Path | None = None,
        *,
        resume: bool = False,
        anchored: Collection[str] = (),
        **changes: object,
    ) -> Fit:
        """Train; the n-th validation gives the n-th value, and is interrupted when there is none."""
        remaining = list(values)

        def validate(model: TransRec) -> dict[str, float]:
            model.eval()
            if not remaining:
                raise KeyboardInterrupt
            return {"NDCG@10": remaining.pop(0)}

        common = {"device": "cpu", "tensorboard": False, "log_every": 1}
        trainer = Trainer(TrainingSettings.from_mapping({**common, **changes}), folder, anchored=anchored)
        return trainer.fit(self.model, self.objective, self.batches, validate, resume=resume)


@pytest.fixture(scope="session")
def text_case(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TextCase]:
    """Make one: the same backbone each time, everything else by seed, tuned by a rule."""
    world = World.make(np.random.default_rng(0), topics=4)
    platform = world.platform("texts", users=24, items=40, generator=np.random.default_rng(1), modalities="text")
    backbone = new_text_backbone(
        platform.catalog.column("text").to_list(), tmp_path_factory.mktemp("text") / "bert", width=16, layers=2, heads=2
    )
    items = {"width": 16, "text": {"backbone": str(backbone), "max_length": 12}}
    users = {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.2}
    settings = ModelSettings.from_mapping({"items": items, "users": users})

    def make(seed: int = 0, tune: str = "full") -> TextCase:
        model = TransRec.build(settings, [platform.catalog], seed=seed)
        apply_tuning(model, Tuning.parse(tune), seed=seed)
        store = ContentStore.prepare(platform.catalog, model.items.preparers())
        objective = build_objective(ObjectiveSettings(), model)
        split = leave_one_out(platform.interactions)
        return TextCase(model, objective, SequenceBatches(split, store, objective.plan, batch_size=12, seed=1))

    return make
