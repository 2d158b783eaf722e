"""The demo writes what it says, compares all methods honestly, and never writes over anything but a demo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from told import Told

from transrec.data.dataset import Dataset
from transrec.data.worlds import Modalities, SourceAndTargets, World
from transrec.errors import RunError
from transrec.evaluation.intervals import Difference, Interval
from transrec.recipes import demo as demo_module
from transrec.recipes.demo import demo
from transrec.recipes.demo_report import METHODS, DemoResult, verdicts
from transrec.recipes.demo_runs import DemoSettings
from transrec.serving.recommender import Recommender

TARGETS: dict[str, Modalities] = {"mixed": "mixed", "text": "text", "image": "image", "elsewhere": "mixed"}


def tiny_world(seed: int, *, scale: float) -> SourceAndTargets:
    worlds, *streams = np.random.default_rng(seed).spawn(6)
    world = World.make(worlds, topics=4, styles=2)
    source = world.platform("source", users=round(30 * scale), items=40, generator=streams[0])
    targets = {
        name: world.platform(name, users=12, items=30, modalities=kind, generator=stream)
        for (name, kind), stream in zip(TARGETS.items(), streams[1:], strict=True)
    }
    return SourceAndTargets(source, targets)


def one_epoch() -> DemoSettings:
    once: Mapping[str, Any] = {"epochs": 1, "batch_size": 16}
    return DemoSettings().updated({"source": once, "identity": once, "scratch": once, "transferred": once})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    out, console = tmp_path_factory.mktemp("demo") / "out", Told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_module, "source_and_targets", tiny_world)
        result = demo(out, one_epoch(), seed=3, console=console)
    return SimpleNamespace(out=out, result=result, text=console.text)


def test_every_method_is_measured_on_the_test_events_of_every_target(finished: SimpleNamespace) -> None:
    result: DemoResult = finished.result
    assert list(result.evaluations) == list(TARGETS)
    for found in result.evaluations.values():
        assert tuple(found) == METHODS
        assert {e.choices.split for e in found.values()} == {found[METHODS[0]].choices.split}
        assert all("test targets" in e.choices.split and e.overall.targets == 12 for e in found.values())


def test_datasets_runs_and_pictures_are_left_to_play_with(finished: SimpleNamespace) -> None:
    out: Path = finished.out
    assert {p.name for p in out.iterdir()} == set(demo_module.WRITTEN)
    assert {p.name for p in (out / "data").iterdir()} == {"source", *TARGETS}
    made = {f"{target}-{kind}" for target in TARGETS for kind in ("identity", "scratch", "transferred")}
    assert {p.name for p in (out / "runs").iterdir()} == {"source", *made}
    for picture in ("demo.png", "items.png"):
        with Image.open(out / picture) as image:
            assert min(image.size) > 300
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 20, "an empty picture has few colours"
    titles = Dataset.open(out / "data" / "mixed").catalog.titles(range(30))
    found = Recommender.load(out / "runs" / "mixed-transferred").recommend(
        Dataset.open(out / "data" / "mixed").catalog.ids[:3], 5
    )
    assert len(found) == 5
    assert {item.title for item in found.items} <= set(titles)


def test_the_numbers_are_kept_as_json(finished: SimpleNamespace) -> None:
    numbers = json.loads((finished.out / "demo.json").read_text())
    assert numbers["seed"] == 3
    kept = numbers["evaluations"]["image"]["popularity"]["overall"]["metrics"]["HR@10"]["value"]
    assert kept == finished.result.evaluations["image"]["popularity"].overall.metrics["HR@10"].value
    assert set(numbers["transferred_minus_from_scratch"]) == set(TARGETS)
    assert set(numbers["best_validation"]) == {p.name for p in (finished.out / "runs").iterdir()}


def test_it_says_how_it_measured_what_came_out_and_what_to_do_next(finished: SimpleNamespace) -> None:
    text: str = finished.text
    for part in (
        "leave-one-out",
        "all 30 items of the catalog",
        "the user's history",
        "95%",
        *METHODS,
        *TARGETS,
        "recommended",
    ):
        assert part in text, part
    assert "…" not in text, "the table must fit into 80 columns"
    assert text.count("*") >= 1 + len(TARGETS), "the best of every target is marked"
    for command in ("recommend", "evaluate", "check", "ingest", "train"):
        assert f"  transrec {command} " in text


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.01, 0.1, "helped"), (-0.02, 0.1, "no difference shown"), (-0.2, -0.1, "did harm")]
)
def test_the_verdict_follows_the_interval(
    finished: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, low: float, high: float, said: str
) -> None:
    gain = Difference(Interval((low + high) / 2, low, high), 0.5)
    monkeypatch.setattr(DemoResult, "gains", lambda self: dict.fromkeys(self.evaluations, gain))
    told = verdicts(replace(finished.result))
    assert len(told) == len(TARGETS)
    assert all(said in sentence for sentence in told)


def test_a_folder_with_anything_in_it_is_refused(finished: SimpleNamespace) -> None:
    with pytest.raises(RunError, match="--overwrite"):
        demo(finished.out)


def test_a_folder_that_no_demo_made_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious.txt").write_text("a life's work")
    with pytest.raises(RunError, match="not made by the demo"):
        demo(tmp_path, overwrite=True)
    assert (tmp_path / "data" / "precious.txt").exists()


def test_overwriting_takes_away_what_a_demo_left_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Enough(Exception):
        pass

    def stop(seed: int, *, scale: float) -> SourceAndTargets:
        raise Enough

    monkeypatch.setattr(demo_module, "source_and_targets", stop)
    for name in ("runs", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(Enough):
        demo(tmp_path, overwrite=True, console=Told())
    assert {p.name for p in tmp_path.iterdir()} == {"mine", "demo.json"}
    # what is left of an interrupted demo can be overwritten in its turn
    with pytest.raises(Enough):
        demo(tmp_path, overwrite=True, console=Told())
