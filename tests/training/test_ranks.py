"""Two processes train one model: they share the items of every batch, and both end with the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
from cases import platform

COMMAND = """
import sys
from pathlib import Path
import torch
from cases import SETTINGS
from transrec import Dataset, TrainSettings, train

out = Path(sys.argv[1])
settings = TrainSettings.from_mapping({
    "model": SETTINGS.model_dump(), "tune": "full",
    "training": {"epochs": 2, "batch_size": 8, "device": "cpu", "tensorboard": False, "log_every": 1},
})
model, fit = train([out / "data"], settings, out / "run")
torch.distributed.barrier()
import os, safetensors.torch
safetensors.torch.save_file(dict(model.state_dict()), out / f"rank{os.environ['RANK']}.safetensors")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_train_one_model(tmp_path: Path) -> None:
    data = platform().save(tmp_path / "data")
    program = tmp_path / "program.py"
    program.write_text(COMMAND)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(tests), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, str(tmp_path)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [safetensors.torch.load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2)]
    assert all(tensor.equal(ranks[1][name]) for name, tensor in ranks[0].items())
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if row["kind"] == "train"]
    assert steps == list(range(1, len(steps) + 1)), "one rank writes the log"
    assert len(data.interactions.users) == 40
    assert len(steps) == 2 * -(-sum(-(-(int(n) - 3) // 6) for n in data.interactions.lengths) // 8)
