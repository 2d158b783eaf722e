"""The composite of configs/composites/matryoshka.yaml, as typed: train, study, slice, evaluate, recommend, serve."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from transrec.cli import app
from transrec.data.worlds import World
from transrec.items.scratch import new_text_backbone
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.serving.http.application import build_app
from transrec.serving.http.held import Held
from transrec.serving.http.settings import ServeSettings, Tokens
from transrec.serving.recommender import Recommender

CONFIG = Path(__file__).parents[2] / "configs" / "composites" / "matryoshka.yaml"


def run(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


def test_one_training_is_cut_measured_and_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World.make(np.random.default_rng(0), topics=4)
    drawn = world.platform("garden", users=60, items=50, generator=np.random.default_rng(1), modalities="text")
    data = drawn.save(tmp_path / "data")
    new_text_backbone(data.catalog.column("text").to_list(), tmp_path / "text", width=16, layers=1, heads=2)
    big, small = tmp_path / "big", tmp_path / "small"
    tiny = ("--model.items.text.backbone", tmp_path / "text", "--training.epochs", 1, "--training.device", "cpu")
    tiny = (*tiny, "--training.no-tensorboard", "--objective.softmax.shared-negatives", 64)
    run("train", tmp_path / "data", "--out", big, "--config", CONFIG, *tiny)
    logged = [json.loads(line) for line in (big / "metrics.jsonl").read_text().splitlines()]
    assert any({"softmax", "softmax/32", "softmax/128"} <= entry.keys() for entry in logged)

    run("study", "widths", big, "--timed", 2, "--evaluation.resamples", 100)
    lines = json.loads((big / "study" / "garden" / "widths" / "study.json").read_text())["lines"]
    assert [(line["width"], line["how"]) for line in lines] == [
        *((32, "slice"), (64, "slice"), (128, "slice"), (256, "whole"))
    ]
    run("slice", big, "--width", 64, "--out", small)
    assert "the first 64 of 256 numbers of every vector" in capsys.readouterr().out
    model = TransRec.load(small)
    assert model.items.width == 64 and model.users.nested == (32, 64)

    run("evaluate", small, "--baselines", "popularity", "--device", "cpu")
    assert json.loads((small / "evaluation" / "garden.json").read_text())["evaluations"][0]["ranker"] == "small (slice)"
    first = data.catalog.ids[0]
    run("recommend", small, "--history", first, "--k", 3, "--json")
    out = capsys.readouterr().out
    listed = json.loads(out[out.index("{\n") :])
    assert len(listed["items"]) == 3
    held = Held(Recommender.load(small), lambda: Recommender.load(small), run=small)
    with TestClient(build_app(held, ServeSettings(), Tokens())) as client:
        answer = client.post("/v1/recommendations", json={"history": [first], "k": 3}).json()
    assert [item["id"] for item in answer["items"]] == [item["id"] for item in listed["items"]]


def test_the_file_says_how_to_run_it_and_is_read_as_it_is_written() -> None:
    text = CONFIG.read_text()
    for command in ("train DATA --out RUN --config configs/composites/matryoshka.yaml", "slice RUN --width 64 --out SMALL"):
        assert f"transrec {command}" in text
    _, bound, _ = app.parse_args(["train", "DATA", "--out", "RUN", "--config", str(CONFIG)])
    assert bound.arguments["settings"] == TrainSettings.from_yaml(CONFIG)
