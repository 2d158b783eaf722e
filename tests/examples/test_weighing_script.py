"""experiments/weighing.py on a small world: its table, that it starts from what was learned, and that it resumes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from transrec.data.splits import leave_one_out
from transrec.data.worlds import World
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.items.scratch import new_text_backbone
from transrec.model import TransRec


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, called for a small world of texts with an untrained network in the place of MiniLM."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    world = World.make(np.random.default_rng(0), topics=4)
    dataset = world.platform("small", users=40, items=200, generator=np.random.default_rng(1), modalities="text")
    new_text_backbone(dataset.catalog.column("text").to_list(), tmp_path / "bert", width=16, layers=1, heads=2)
    dataset.save(tmp_path / "out" / "data" / "small")
    words = ["--out", tmp_path / "out", "--minilm", tmp_path / "bert", "--squeezenet", "none", "--sets", "small"]
    monkeypatch.setattr(sys, "argv", ["weighing.py", *map(str, words)])
    return importlib.import_module("experiments.weighing")


def table(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> dict[tuple[float, float], list[float]]:
    """What the script prints: by what was set, NDCG@10 of all, cold and tail."""
    script.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| small")]
    cells = [[float(cell) for cell in line.strip("| ").split(" | ")[1:]] for line in lines]
    return {(factor, added): found for factor, added, *found, _ in cells}


def test_the_table_begins_from_what_was_learned_and_is_not_made_twice(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = table(script, capsys)
    assert tuple(found) == script.PAIRS
    assert all(0 <= values[0] <= 1 for values in found.values())

    [run] = (tmp_path / "out" / "weighing").glob("small-0-*")
    learned, weighed = script.learned(run).prior, TransRec.load(run).prior
    with torch.no_grad():
        chosen = float(weighed.popularity / learned.popularity), float(weighed.unseen - learned.unseen)
    card = (run / "README.md").read_text()
    assert chosen != (1.0, 0.0) and f"| weighed | popularity {chosen[0]:.4g}, unseen {chosen[1]:.4g}, " in card
    data = script.Dataset.open(tmp_path / "out" / "data" / "small")
    split = leave_one_out(data.interactions)
    expected = rank_targets(ModelRanker.of(TransRec.load(run), data, split), split, split.validation)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it is trained again")

    monkeypatch.setattr(script, "train", never)
    assert table(script, capsys) == found
    monkeypatch.setattr(script, "PAIRS", (chosen, (1.0, 50.0)))
    as_weighed, new_first = table(script, capsys).values()
    assert as_weighed[0] == pytest.approx(float(ndcg(expected.ranks, 10).mean()), abs=1e-4)
    assert new_first[1] > found[1.0, 0.0][1] and new_first[0] < found[1.0, 0.0][0], "what nobody has touched comes first"


def test_an_interrupted_training_goes_on(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transrec.recipes import lesson

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(lesson, "mean_validation", interrupted)
        with pytest.raises(KeyboardInterrupt):
            script.main()
    [run] = (tmp_path / "out" / "weighing").glob("small-0-*")
    assert not (run / "README.md").exists()
    assert tuple(table(script, capsys)) == script.PAIRS
