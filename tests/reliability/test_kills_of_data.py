"""kill -9 in an ingest or an index build: what was there stays, and the same command ends as if nothing had been."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from killing_ground import KILLED, started
from PIL import Image

from transrec.data.dataset import Dataset
from transrec.items.scratch import new_text_backbone

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")]

ITEMS, EVENTS, KILLS = 400, 20_000, 10
WORKED = re.compile(r"worked for ([0-9.]+) s")


class Ground:
    """Tables and pictures, a part of them and all; a dataset, a run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        generator = np.random.default_rng(0)
        (folder / "pictures").mkdir()
        for n in range(ITEMS):
            pixels, file = generator.integers(0, 256, (48, 48, 3), dtype=np.uint8), io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            (folder / "pictures" / f"i{n}.png").write_bytes(file.getvalue())
        words = np.array(["red", "blue", "green", "round", "small", "large", "soft", "hard", "old", "new", "light", "dark"])
        texts = [" ".join(generator.choice(words, 8)) for _ in range(ITEMS)]
        items = pl.DataFrame({"item": [f"i{n}" for n in range(ITEMS)], "title": texts})
        users, rows = generator.integers(0, 900, EVENTS), generator.integers(0, ITEMS, EVENTS)
        events = pl.DataFrame({"user": [f"u{n}" for n in users], "item": [f"i{n}" for n in rows], "time": np.arange(EVENTS)})
        items.write_csv(folder / "all-items.csv")
        items.head(ITEMS // 2).write_csv(folder / "some-items.csv")
        events.write_csv(folder / "all-events.csv")
        some = events.filter(pl.col("item").str.slice(1).cast(pl.Int64) < ITEMS // 2)
        some.head(len(some) // 2).write_csv(folder / "some-events.csv")
        new_text_backbone(texts, folder / "text", width=32, layers=4, heads=2)

    def ingest(self, which: str, out: Path) -> list[str]:
        """The words of an ingest."""
        files = ["--interactions", f"{self.folder}/{which}-events.csv", "--items", f"{self.folder}/{which}-items.csv"]
        return ["ingest", *files, "--images", f"{self.folder}/pictures", "--out", str(out)]

    def whole(self, words: list[str], place: str) -> float:
        """Do it undisturbed, and say how long the work took."""
        log = self.folder / "whole.log"
        log.unlink(missing_ok=True)
        assert started(words, log, place, 1, "never").wait(300) == 0, log.read_text()
        return float(WORKED.findall(log.read_text())[-1])

    def killed(self, words: list[str], place: str, seconds: float) -> bool:
        """Do it until so long after it has begun; whether it was still at work."""
        log = self.folder / "killed.log"
        code = started(words, log, place, 1, f"within {seconds}").wait(300)
        assert code in (0, KILLED), log.read_text()
        return code == KILLED


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("kills"))


def state_of(data: Path) -> str:
    """What a dataset folder holds; empty where there is none. A half-made one cannot be opened, or holds something else."""
    if not data.exists():
        return ""
    rejects = pl.read_parquet(data / "rejects.parquet")
    return f"{Dataset.open(data).fingerprint} {rejects.hash_rows(seed=0).sum()}"


def survived(
    work: Callable[[Path], list[str]], place: str, ground: Ground, begun: Path | None, state: Callable[[Path], str]
) -> str:
    """Kill a command at random moments and do it again, many times; what was counted, in words.

    Args:
        work: the words of the command for an output.
        place: the function that does the work.
        ground: see there.
        begun: a folder that is there before; None: nothing is.
        state: what an output holds.
    """
    out, generator = ground.folder / "out", np.random.default_rng()
    before = ""

    def begin() -> None:
        shutil.rmtree(out, ignore_errors=True)
        for left in ground.folder.glob(".out*"):
            shutil.rmtree(left)
        if begun is not None:
            shutil.copytree(begun, out)

    begin()
    before = state(out)
    seconds = ground.whole(work(out), place)
    after, kills, kept = state(out), 0, 0
    assert after != before
    while kills < KILLS:
        begin()
        moment = float(generator.uniform(0, seconds))
        if not ground.killed(work(out), place, moment):
            seconds *= 0.95  # the machine is quicker than it was
            continue
        kills += 1
        found = state(out)
        assert found in (before, after, ""), f"after {moment:.3f} s"
        kept += found == before
        ground.whole(work(out), place)
        assert state(out) == after, f"after {moment:.3f} s"
    return f"{kills} kills within {seconds:.2f} s of work, {kept} with what was there before, none with anything else"


def test_an_ingest(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    told = survived(lambda out: ground.ingest("all", out), "transrec.recipes.ingest:ingest", ground, None, state_of)
    with capsys.disabled():
        print(f"\ningest: {told}")


def test_an_ingest_into_a_dataset(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.whole(ground.ingest("some", ground.folder / "some"), "transrec.recipes.ingest:ingest")
    told = survived(
        lambda out: ground.ingest("all", out), "transrec.recipes.ingest:ingest", ground, ground.folder / "some", state_of
    )
    with capsys.disabled():
        print(f"\nsecond ingest: {told}")


def index_of(run: Path) -> str:
    """The vectors of an index that is whole; empty where there is none."""
    kept = sorted(run.glob("index/*/vectors-*"))
    assert len(kept) <= 1, kept
    digest = hashlib.blake2b()
    for path in sorted(path for own in kept for path in own.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest() if kept else ""


def test_an_index(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = ground.folder / "data", ground.folder / "run"
    ground.whole(ground.ingest("all", data), "transrec.recipes.ingest:ingest")
    model = {
        "items": {"width": 16, "modalities": ["text"], "text": {"backbone": str(ground.folder / "text")}},
        "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16},
    }
    training = {"epochs": 1, "max_steps": 1, "batch_size": 8, "device": "cpu", "tensorboard": False}
    (ground.folder / "small.yaml").write_text(yaml.safe_dump({"model": model, "training": training, "tune": "full"}))
    words = ["train", str(data), "--out", str(run), "--config", str(ground.folder / "small.yaml")]
    ground.whole(words, "transrec.recipes.train:train")
    told = survived(lambda out: ["index", str(out)], "transrec.recipes.index:index", ground, run, index_of)
    with capsys.disabled():
        print(f"\nindex: {told}")
