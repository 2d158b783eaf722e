"""Processes that are killed at a chosen call or at a random moment, and what they leave beside what an undisturbed one does.

The training is small and has everything that leaves files: texts that are tokenised into the dataset's store, frozen blocks
whose states are kept there, two stages, checkpoints after every step, validations, a prior that is weighed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from cases import platform

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.item import Item
from transrec.items.scratch import new_text_backbone

KILLED = -signal.SIGKILL

SABOTAGE = """
import os, signal, sys, threading, time
from importlib import import_module
from unittest import mock
place, call, moment = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if place:
    module, _, name = place.rpartition(":")
    owner = import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    plain, calls = getattr(owner, last), 0
    def sabotaged(*given, **named):
        global calls
        calls += 1
        if calls == call and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if calls == call and moment.startswith("within "):
            threading.Timer(float(moment[7:]), os.kill, (os.getpid(), signal.SIGKILL)).start()
        began = time.perf_counter()
        result = plain(*given, **named)
        if calls == call and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        print("worked for", time.perf_counter() - began, "s", file=sys.stderr)
        return result
    mock.patch.object(owner, last, sabotaged).start()
sys.argv = ["transrec", *sys.argv[4:]]
from transrec.cli import main
main()
"""


def started(
    words: Sequence[str], log: Path, place: str = "", call: int = 1, moment: str = "before"
) -> subprocess.Popen[bytes]:
    """A process of the command line that kills itself at this call of a function, ``module:name``, if one is given.

    Args:
        words: of the command line.
        log: what it prints is added to.
        place: the function.
        call: the how manieth.
        moment: before it, after it, or ``"within 0.2"`` seconds of its beginning; ``"never"`` only says how long it took.
    """
    command = [sys.executable, "-c", SABOTAGE, place, str(call), moment, *words]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"})


class Ground:
    """A dataset of texts, its untrained backbone, and trainings on it, each on a copy of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        events = platform(users=30, items=24).interactions
        words = ("red", "blue", "green", "round", "small", "large", "soft", "hard", "old", "new", "light", "dark", "wet")
        drawn = np.random.default_rng(0)
        texts = [" ".join(drawn.choice(words, size=int(drawn.integers(3, 9)))) for _ in range(24)]
        items = [Item(f"i{place}", text=text) for place, text in enumerate(texts)]
        Dataset(Catalog.from_items(items), events, name="small").save(folder / "data")
        new_text_backbone(texts, folder / "text", width=16, layers=2, heads=2, seed=0)
        document = {
            "model": {
                "items": {"width": 16, "text": {"backbone": str(folder / "text")}},
                "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.2},
            },
            "tune": "top:1",
            "stages": [{"objective": {"kind": "softmax"}, "training": {"epochs": 1}}],
            "training": {
                "epochs": 3,
                "batch_size": 8,
                "device": "cpu",
                "tensorboard": False,
                "checkpoint_minutes": 0,
                "log_every": 1,
                "patience": 9,
                "seed": 3,
            },
        }
        (folder / "train.yaml").write_text(yaml.safe_dump(document))

    def start(
        self, name: str, place: str = "", call: int = 0, *, moment: str = "before", resume: bool = False
    ) -> subprocess.Popen[bytes]:
        """A training in a process; it kills itself at this call of a function, ``module:name``, if one is given."""
        data = self.folder / name / "data"
        if not data.exists():
            shutil.copytree(self.folder / "data", data)
        words = ["train", str(data), "--out", str(self.folder / name / "run"), "--config", str(self.folder / "train.yaml")]
        words += ["--resume"] if resume else []
        return started(words, self.folder / f"{name}.log", place, call, moment)

    def told(self, name: str) -> str:
        """What the processes of a training have printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def outcome(self, name: str) -> dict[str, str]:
        """Digests of what a training has left: weights, states of the optimiser, numbers (without times) and settings."""
        run = self.folder / name / "run"
        digests = {
            str(path.relative_to(run)): hashlib.blake2b(path.read_bytes()).hexdigest()
            for path in sorted(run.rglob("*.safetensors"))
            if path.parent.name != "before"  # the state before the last one is another where a kill has begun a new count
        }
        for log in sorted(run.rglob("metrics.jsonl")):
            rows = [json.loads(line) for line in log.read_text().splitlines()]
            timeless = [
                {k: v for k, v in row.items() if k not in ("windows_per_second", "waiting_for_input")} for row in rows
            ]
            digests[str(log.relative_to(run))] = json.dumps(timeless)
        for name_ in ("parameters.json", "README.md"):
            digests[name_] = (run / name_).read_text()
        digests["settings.yaml"] = (run / "settings.yaml").read_text().replace(str(run.parent), "")
        return digests
