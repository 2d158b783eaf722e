"""Two processes train one model while blocks are unfrozen, weights are held, and layers are added."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from transrec.data.worlds import World
from transrec.items.scratch import new_text_backbone
from transrec.model import TransRec

PROGRAM = """
import os
import sys
from pathlib import Path

import safetensors.torch
import torch

from transrec import TrainSettings, train

out, tune = Path(sys.argv[1]), sys.argv[2]
training = {
    "epochs": 4, "batch_size": 12, "device": "cpu", "tensorboard": False, "unfreeze_every": 1, "layer_decay": 0.5,
    "learning_rate": 1e-2, "encoder_learning_rate": 1e-2, "anchor": 10.0 if tune == "full" else 0.0,
}
items = {"width": 16, "text": {"backbone": str(out / "text"), "max_length": 12}}
users = {"window": 6, "layers": 1, "heads": 2, "feedforward": 16}
settings = TrainSettings.from_mapping({"model": {"items": items, "users": users}, "training": training, "tune": tune})
model, fit = train([out / "data"], settings, out / "run")
torch.distributed.barrier()
safetensors.torch.save_file(dict(model.state_dict()), out / f"rank{os.environ['RANK']}.safetensors")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("tune", ["full", "lora:2"])
def test_two_ranks_end_with_the_same_weights(tmp_path: Path, tune: str) -> None:
    world = World.make(np.random.default_rng(0), topics=4)
    data = world.platform("texts", users=24, items=40, generator=np.random.default_rng(1), modalities="text")
    data.save(tmp_path / "data")
    new_text_backbone(data.catalog.column("text").to_list(), tmp_path / "text", width=16, layers=2, heads=2)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, str(tmp_path), tune], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [safetensors.torch.load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2)]
    assert all(tensor.equal(ranks[1][name]) for name, tensor in ranks[0].items())
    loaded = TransRec.load(tmp_path / "run").state_dict()
    assert all(tensor.equal(ranks[0][name]) for name, tensor in loaded.items())
