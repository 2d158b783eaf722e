"""A small platform of texts and pictures and its training without dropout, for the tests of trainings on a cluster."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from shared_ground import ground

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.model import TransRec
from transrec.objectives import build_objective
from transrec.recipes.fitting import TrainSettings
from transrec.training.trainer import Fit

STEPS = 50
BATCH = 3


def laid(folder: Path) -> TrainSettings:
    """A dataset in ``folder/rare``, two small networks beside it, and the settings of a training on them."""
    ground(folder)
    both = Dataset.open(folder / "data")
    # few have pictures, so that a worker's share of a batch often has none
    there = both.catalog.items(range(len(both.catalog)))
    pictured = [item.id for item in there if item.image][::5]
    spare = itertools.cycle(item.text for item in there if item.text)
    items = [
        Item(item.id, image=item.image) if item.id in pictured else Item(item.id, text=item.text or next(spare))
        for item in there
    ]
    Dataset(Catalog.from_items(items), both.interactions, "rare").save(folder / "rare")
    for name in ("text", "image"):
        path = folder / name / "config.json"
        still = dict.fromkeys(("attention_probs_dropout_prob", "hidden_dropout_prob"), 0.0)
        path.write_text(json.dumps({**json.loads(path.read_text()), **still}))
    return TrainSettings.from_mapping(
        {
            "model": {
                "items": {
                    "width": 16,
                    "text": {"backbone": str(folder / "text"), "max_length": 12},
                    "image": {"backbone": str(folder / "image")},
                },
                "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.0},
            },
            "tune": "full",
            "training": {
                "epochs": 100,
                "max_steps": STEPS,
                "batch_size": BATCH,
                "device": "cpu",
                "tensorboard": False,
                "log_every": 1,
                "patience": 100,
                "keep": "last",
            },
        }
    )


def share_without_a_modality(settings: TrainSettings, data: Path) -> int:
    """At how many steps one of two processes has no texts, or no pictures, among the items that it encodes."""
    dataset = Dataset.open(data)
    model = TransRec.build(settings.model, [dataset.catalog])
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    plan = build_objective(settings.objective, model).plan
    batches = SequenceBatches(leave_one_out(dataset.interactions), store, plan, batch_size=BATCH, seed=0)
    lacking = 0
    for step in range(STEPS):
        held = [set(batches.of_rank(rank, 2).batch(step).items.parts) for rank in range(2)]
        lacking += any(len(own) < 2 for own in held)
    return lacking


def rows(run: Path) -> list[dict[str, float]]:
    """What a training has written down, without times."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("windows_per_second", "waiting_for_input")} for row in found]


def same_training(ours: Path, our: Fit, theirs: Path, their: Fit) -> None:
    """Two trainings are the same but for rounding: losses at every step, validations, weights."""
    assert (our.steps, our.best_step, our.weighed.keys()) == (STEPS, their.best_step, their.weighed.keys())
    np.testing.assert_allclose(our.best, their.best, rtol=1e-6)
    told, other = rows(ours), rows(theirs)
    assert [(row["kind"], row["step"]) for row in told] == [(row["kind"], row["step"]) for row in other]
    for own, row in zip(told, other, strict=True):
        numbers = [name for name, value in row.items() if isinstance(value, float)]
        np.testing.assert_allclose([own[n] for n in numbers], [row[n] for n in numbers], rtol=1e-4, err_msg=str(row))
    weights = [safetensors.torch.load_file(run / "model.safetensors") for run in (ours, theirs)]
    assert largest_difference(*weights) < 1e-4


def largest_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The norm of the difference of all weights, as a share of the norm of all weights."""
    assert ours.keys() == theirs.keys()
    apart = sum(float((ours[name].double() - theirs[name].double()).square().sum()) for name in ours)
    whole = sum(float(theirs[name].double().square().sum()) for name in ours)
    return (apart / whole) ** 0.5


def killed_at(step: int, died: Path, *, node: bool = False) -> Callable[[Any], Any]:
    """The work of a worker, of which the last is killed before this step, once.

    Args:
        step: see there.
        died: a file that is there when it was.
        node: whether the process that keeps its node in the cluster is killed, instead of the worker alone.
    """
    told = str(died)

    def sabotaged(job: Any) -> Any:
        import os
        import signal
        import time
        from pathlib import Path

        from transrec.cluster.training import work
        from transrec.training.loop import Loop

        plain = Loop._step

        def stepped(self: Loop, parts: Any, now: int) -> Any:
            last = int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1
            if now == step and last and not Path(told).exists():
                Path(told).write_text(str(os.getpid()))
                os.kill(os.getppid() if node else os.getpid(), signal.SIGKILL)
                time.sleep(600)  # until the node takes it along
            return plain(self, parts, now)

        Loop._step = stepped
        return work(job)

    return sabotaged


def mortal(maker: str, died: Path, *, at: tuple[int, ...]) -> type:
    """A maker of ``transrec.cluster``, ``module:name``, whose process is killed at pieces that begin so, once at each.

    Args:
        maker: see there.
        died: a folder with a file for each process that was killed.
        at: the beginnings.
    """
    died.mkdir(exist_ok=True)
    told = str(died)

    class Mortal:
        def __init__(self, **given: Any) -> None:
            from importlib import import_module

            module, _, name = maker.partition(":")
            self.made = getattr(import_module(f"transrec.cluster.{module}"), name)(**given)

        def __call__(self, piece: range) -> bytes:
            import os
            import signal
            from pathlib import Path

            mark = Path(told) / str(piece.start)
            if piece.start in at and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            made: bytes = self.made(piece)
            return made

    return Mortal
