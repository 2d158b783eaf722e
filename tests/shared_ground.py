"""Steps of trainings whose batches one process or several compute, for the test that they are the same steps."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.retrieval.encoding import encode_items
from transrec.training.together import Together
from transrec.training.trainer import Task

CASES: Mapping[str, Mapping[str, object]] = {
    "softmax": {"objective": {"kind": "softmax", "softmax": {"shared_negatives": 5}}},
    "softmax with a memory": {"objective": {"kind": "softmax", "softmax": {"memory": 2}}},
    "gbce": {"objective": {"kind": "gbce"}},
    "multistep": {"objective": {"kind": "multistep"}, "prior": "none"},
    "masked": {
        "objective": {"kind": "masked", "masked": {"share": 0.4}},
        "prior": "none",
        "users": {"attention": "bidirectional", "mask_token": True},
    },
    "barlow": {"objective": {"kind": "barlow"}, "prior": "none", "users": {"mask_token": True}},
    "gated": {"objective": {"kind": "softmax"}, "users": {"kind": "gated", "gated": {"untimed": 0.0}}},
    "three interests held apart": {
        "objective": {"kind": "softmax", "added": {"diversity": 1.0}},
        "users": {"interests": {"count": 3, "adaptive": True}},
    },
    "interests of whole histories": {
        "objective": {"kind": "hinge", "added": {"diversity": 1.0}},
        "users": {"attention": "bidirectional", "interests": {"count": 2}},
        "scorer": "distance",
        "prior": "none",
    },
    "missrec": {
        "objective": {"kind": "softmax", "added": {"seq_seq": 0.1, "orthogonality": 0.1}},
        "users": {"kind": "missrec", "missrec": {"ratio": 0.3}},
        "scorer": "views",
    },
    "nested widths, recurrent": {
        "objective": {"kind": "softmax", "matryoshka": {"sizes": [8, 16]}},
        "users": {"kind": "lru"},
        "items": {"nested": [8, 16]},
    },
    "a batch smaller than the processes": {
        "objective": {"kind": "softmax", "softmax": {"shared_negatives": 5}},
        "batch_size": 1,
        "window": 2,
    },
}
"""By name: the objective, and what differs of the model and the batches."""

STEPS = 3


def ground(folder: Path) -> None:
    """A platform of texts and pictures, of which some items have one and some both, and two small networks."""
    world = World.make(np.random.default_rng(0), topics=4)
    data = world.platform("both", users=24, items=40, generator=np.random.default_rng(1), modalities="mixed")
    data.save(folder / "data")
    texts = [text for text in data.catalog.column("text").to_list() if text]
    new_text_backbone(texts, folder / "text", width=16, layers=2, heads=2)
    new_image_backbone(folder / "image", side=16, width=16, layers=1)


def built(folder: Path, case: str) -> tuple[Dataset, TransRec]:
    """The platform, and the model of a case on it, without dropout."""
    chosen = CASES[case]
    dataset = Dataset.open(folder / "data")
    form = {
        "items": {
            "width": 16,
            "text": {"backbone": str(folder / "text"), "max_length": 12},
            "image": {"backbone": str(folder / "image")},
        },
        "users": {"window": chosen.get("window", 6), "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.0},
        "prior": chosen.get("prior", "counts"),
    }
    for part in ("items", "users"):
        form[part] = {**form[part], **chosen.get(part, {})}  # type: ignore[dict-item]
    form["scorer"] = chosen.get("scorer", "cosine")
    model = TransRec.build(ModelSettings.from_mapping(form), [dataset.catalog], seed=3)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for encoder in model.items.preparers().values():
        for name in ("attention_probs_dropout_prob", "hidden_dropout_prob"):
            setattr(encoder.backbone.config, name, 0.0)
    return dataset, model


def steps_of(
    folder: Path, case: str, rank: int = 0, ranks: int = 1, *, device: str = "cpu", rounded: bool = False
) -> dict[str, Tensor]:
    """Losses and gradients of the first steps, by name; and, under ``encoded``, how many contents this process encoded.

    Args:
        folder: of the :func:`ground`.
        case: its name.
        rank: which of the processes this is.
        ranks: how many there are.
        device: where it is computed; what is found is on the CPU.
        rounded: whether the forward pass computes in bfloat16.
    """
    chosen = CASES[case]
    dataset, model = built(folder, case)
    model.to(device)
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    if model.users.attunes:
        model.users.attune(encode_items(model, store), generator=torch.Generator().manual_seed(0))
    objective = build_objective(ObjectiveSettings.from_mapping(chosen["objective"]), model)
    split = leave_one_out(dataset.interactions)
    counts = Counts.of(split, len(dataset.catalog)) if objective.asks_counts else None
    size = chosen.get("batch_size", 8)
    batches = SequenceBatches(split, store, objective.plan, batch_size=size, seed=1, counts=counts)  # type: ignore[arg-type]
    batches = batches.going_to(torch.device(device))
    task: torch.nn.Module = Task(model, objective, Together.between_processes(rank, ranks) if ranks > 1 else None)
    if ranks > 1:
        task = torch.nn.parallel.DistributedDataParallel(task, find_unused_parameters=True)
        batches = batches.of_rank(rank, ranks)
    task.train()
    found: dict[str, Tensor] = {"encoded": torch.zeros(STEPS, dtype=torch.int64)}
    for step in range(STEPS):
        batch = batches.batch(step)
        found["encoded"][step] = contents_of(batch)
        with torch.autocast(device, torch.bfloat16, enabled=rounded):
            loss = task(batch.to(torch.device(device)))
        loss.total.backward()
        found[f"{step} loss"] = loss.total.detach().cpu()
        found |= {
            f"{step} {name}": torch.zeros_like(own, device="cpu") if own.grad is None else own.grad.cpu().clone()
            for name, own in model.named_parameters()
        }
        task.zero_grad()
    return found


def contents_of(batch: SequenceBatch) -> int:
    """How many contents the encoders are given for a batch."""
    parts = batch.items.parts.values()
    return sum(len(part.index_n) if part.inverse_n is None else int(part.inverse_n.max()) + 1 for part in parts)


def main() -> None:
    """What one of several processes does: every case, what it found into a file, and a whole training if one is laid."""
    folder = Path(sys.argv[1])
    torch.distributed.init_process_group("gloo")
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    for place, case in enumerate(CASES):
        safetensors.torch.save_file(steps_of(folder, case, rank, ranks), folder / f"{place}-{rank}.safetensors")
    fifty = folder / "fifty"
    if fifty.exists():
        settings = TrainSettings.from_mapping(json.loads((fifty / "settings.json").read_text()))
        _, fit = train([fifty / "rare"], settings, fifty / "two", resume=False)
        if not rank:
            (fifty / "fit.json").write_text(json.dumps(asdict(fit)))
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
