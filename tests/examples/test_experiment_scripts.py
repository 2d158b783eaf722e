"""The scripts of experiments/ on small worlds: what they find done is what would come out, and nothing else."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from transrec import Dataset, TrainSettings, train
from transrec.data.worlds import World
from transrec.evaluation.ranks import RankedTargets
from transrec.items.scratch import new_text_backbone
from transrec.runs import CARD

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def script(name: str) -> ModuleType:
    return importlib.import_module(f"experiments.{name}")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with two small platforms of texts, and an untrained network in the place of MiniLM beside it."""
    world = World.make(np.random.default_rng(0), topics=4)
    for place, name in enumerate(("small", "other")):
        generator = np.random.default_rng(place + 1)
        dataset = world.platform(name, users=60, items=80, generator=generator, modalities="text")
        dataset.save(tmp_path / "out" / "data" / name)
        if name == "small":
            new_text_backbone(dataset.catalog.column("text").to_list(), tmp_path / "bert", width=16, layers=1, heads=2)
    return tmp_path / "out"


Said = Callable[..., tuple[dict[str, list[str]], int, dict[str, Any]]]


@pytest.fixture
def said(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Call a script; its rows by name, how many models it made for them, and the table as numbers."""

    def call(module: ModuleType, *words: object) -> tuple[dict[str, list[str]], int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", [module.__name__, "--out", str(out), *map(str, words)])
        module.main()
        lines = capsys.readouterr().out.splitlines()
        cells = [line.strip("| ").split(" | ") for line in lines if line.startswith(("| small", "| other", "| office"))]
        first = next(place for place, cell in enumerate(cells[0]) if cell.startswith("0."))
        rows = {" ".join(row[1:first]): row[first:] for row in cells}
        table = json.loads(Path(lines[-1].removeprefix("as numbers: ")).read_text())
        return rows, sum("seed" in line and not line.startswith("|") for line in lines), table

    return call


def test_the_ablations_are_made_once_for_each_recipe(out: Path, said: Said) -> None:
    module = script("ablations")
    words = ["--minilm", out.parent / "bert", "--squeezenet", "none", "--sets", "small", "--seeds", 0]
    words += ["--choices", module.DEFAULT, "one layer"]
    rows, made, table = said(module, *words)
    assert list(rows) == [module.DEFAULT, "one layer"] and made == 2
    [recipe, one] = table["rows"]
    assert one["changes"] == {"model.users.layers": 1} and one["seeds"] == 1 and "torch" in table["versions"]
    told = recipe["metrics"]
    assert [f"{told[name]:.4f}" for name in ("HR@10", "NDCG@10")] == rows[module.DEFAULT][:2]
    assert one["metrics"]["NDCG@10"] - told["NDCG@10"] == pytest.approx(one["gain"]["value"])
    assert said(module, *words)[:2] == (rows, 0)
    alone = words[:-1]
    assert said(module, *alone, "--rate", 0.01)[1] == 1, "another learning rate is another result"
    dataset = Dataset.open(out / "data" / "small")
    events = dataset.interactions.to_frame()
    fewer = type(dataset.interactions).from_columns(events.filter(events["user"] != dataset.interactions.users[0]))
    Dataset(dataset.catalog, fewer, "small").save(out / "fewer")
    shutil.rmtree(out / "data" / "small")
    (out / "fewer").rename(out / "data" / "small")
    assert said(module, *alone)[1] == 1, "other events give another result"


def test_every_choice_is_a_recipe(out: Path) -> None:
    module = script("ablations")
    dataset = Dataset.open(out / "data" / "small")
    options = argparse.Namespace(minilm="bert", squeezenet="none")
    made = {choice: module.recipe(dataset, 0, options, module._changes(choice, dataset)) for choice in module.CHOICES}
    assert len({settings.model_dump_json() for settings in made.values()}) >= len(made) - 1, "text alone is the recipe here"
    plain, usual = TrainSettings(), made["the library's defaults, frozen"]
    encoders = ("text", "custom", "custom_options", "modalities")
    items = usual.model.items.model_copy(update={name: getattr(plain.model.items, name) for name in encoders})
    assert usual.model.model_copy(update={"items": items}) == plain.model
    assert usual.objective == plain.objective and usual.tune == "frozen"
    assert usual.training == plain.training.updated({"precision": "float32", "tensorboard": False})


def test_the_moves_are_made_once_for_each_run(out: Path, said: Said) -> None:
    module, recipes = script("moving"), script("ablations")
    options = argparse.Namespace(minilm=out.parent / "bert", squeezenet="none")
    other = Dataset.open(out / "data" / "other")
    for seed in (0, 1):
        settings = recipes.recipe(other, seed, options, {"training.epochs": 1})
        train([other], settings, out / "runs" / f"other-0000000{seed}", console=Console(quiet=True))
    words = ["--seeds", 0, "--share", 1, "--moves", "everything, projections aligned", "--pairs"]
    with pytest.raises(SystemExit, match="has 2 runs called other: name one of other-00000000, other-00000001"):
        said(module, *words, "small:other")
    with pytest.raises(SystemExit, match="has no run called none: "):
        said(module, *words, "small:none")
    (out / "runs" / "other-00000001").rename(out / "later")
    rows, made, table = said(module, *words, "small:other")
    assert [row["moves"] for row in table["rows"]] == [module.SCRATCH, words[5]] and len(rows) == made == 2
    assert table["rows"][0]["gain"] is None and table["rows"][1]["gain"]["value"] > -1
    assert said(module, *words, "small:other")[:2] == (rows, 0)
    assert said(module, *words, "small:other", "--part", "test")[1] == 2
    shutil.rmtree(out / "runs" / "other-00000000")
    (out / "later").rename(out / "runs" / "other-00000000")
    script("keeping").weights_of.cache_clear()  # of one call of the script
    assert said(module, *words, "small:other")[1] == 1, "from other weights, it is another transfer; scratch is the same"

    small, run = Dataset.open(out / "data" / "small"), out / "runs" / "other-00000000"
    settings = module.settings_of(module.Move(rate=0.25), 0, small, run, 1.0)
    assert settings.training.learning_rate == 0.002 / 4, "of the run's own"


def test_ranks_that_were_interrupted_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping, path = script("keeping"), tmp_path / "ranks.parquet"
    made = RankedTargets(pl.Series(["a"]), np.array([0]), np.array([2.0]), np.array([3]), 4)

    def broken(self: RankedTargets, place: Path) -> None:
        place.write_bytes(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(RankedTargets, "save", broken)
        with pytest.raises(KeyboardInterrupt):
            keeping.ranked(path, {"seed": 0}, lambda: made)
    assert keeping.ranked(path, {"seed": 0}, lambda: made).ranks.tolist() == [2.0]
    assert json.loads(path.with_suffix(".json").read_text())["decided_by"] == {"seed": 0}


@pytest.fixture
def commands(out: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What experiments/real.py would call; runs that it would train are there afterwards."""
    called: list[list[str]] = []

    def ran(command: list[object]) -> None:
        words = [str(word) for word in command]
        called.append(words)
        place = Path(words[words.index("--out") + 1])
        place.mkdir(parents=True, exist_ok=True)
        for name in (CARD,) if words[0] == "train" else ("compare.json", "compare.png"):
            (place / name).write_text(json.dumps({"asked": words, "rows": [], "sentence": " ".join(words)}))

    for name in script("real").PLATFORMS:
        shutil.copytree(out / "data" / "small", out / "data" / name)
    monkeypatch.setattr(script("real"), "ran", ran)
    return called


def verbs(commands: list[list[str]]) -> list[str]:
    found = [command[0] for command in commands]
    commands.clear()
    return found


def test_the_comparisons_are_asked_for_again(
    out: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script("real")
    fixed = ["--data-root", "none", "--minilm", "bert", "--squeezenet", "none", "--out", str(out), "--only", "office"]

    def called(*words: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["real.py", *fixed, *words])
        module.main()
        return verbs(commands)

    assert called("--seeds", "0") == ["train", "compare", "compare"]
    assert called("--seeds", "0,1,2") == ["compare", "compare"]
    assert "--seeds 0,1,2" in capsys.readouterr().out
    assert len(list((out / "results").glob("*.json"))) == 3, "the first of each is the same"
    assert called("--rate", "0.001") == ["train", "compare", "compare"]
    monkeypatch.setattr(sys, "argv", ["real.py", *fixed, "--rates", "1,2", "--budget", "epochs", "--rows", "scratch"])
    module.main()
    for command in commands:
        assert command[-4:] == ["--rates", "1,2", "--budget", "epochs"] and command[command.index("--rows") + 1] == "scratch"
    commands.clear()
    changed = out.parent / "real.yaml"
    changed.write_text(module.CONFIG.read_text().replace("layers: 2", "layers: 3"))
    monkeypatch.setattr(module, "CONFIG", changed)
    assert called("--seeds", "0") == ["train", "compare", "compare"], "other settings are another run"


def test_widths_are_trained_anew_at_another_rate(out: Path, commands: list[list[str]]) -> None:
    module = script("widths")
    found = set()
    for rate in ("0.001", "0.002", "0.001"):
        words = ["--data-root", "none", "--minilm", "bert", "--squeezenet", "none", "--out", str(out), "--rate", rate]
        found.add(module._run("office", "plain", 0, module.command_line().parse_args(words)))
    assert len(found) == 2 and verbs(commands) == ["train", "train"]


def test_every_mixture_of_sources_is_measured_before_and_after_its_transfer(
    out: Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    module, recipes, made = script("mixtures"), script("ablations"), []
    assert len(module.mixtures_of("office")) == 3 + 2 * 3 + 2
    (out / "data" / "other").rename(out / "data" / "films")
    (out / "data" / "small").rename(out / "data" / "office")
    generator = np.random.default_rng(5)
    platform = World.make(np.random.default_rng(0), topics=4).platform(
        "fashion", users=200, items=80, generator=generator, modalities="text"
    )
    platform.save(out / "data" / "fashion")

    def ran(command: list[object]) -> None:
        """What the command line would train, in this process."""
        words = [str(word) for word in command]
        own = dict(itertools.pairwise(words))
        options = argparse.Namespace(minilm=out.parent / "bert", squeezenet="none")
        datasets = [Dataset.open(word) for word in words[1 : words.index("--out")]]
        changes = {"training.mixture": own["--training.mixture"], "training.epochs": 1, "model.prior": "none"}
        assert own["--model.prior"] == "none"
        train(datasets, recipes.recipe(datasets[0], 0, options, changes), own["--out"], console=Console(quiet=True))
        made.append(own["--training.mixture"])

    monkeypatch.setattr(script("real"), "ran", ran)
    words = ["--data-root", "none", "--minilm", out.parent / "bert", "--squeezenet", "none", "--seeds", "0"]
    words += ["--without-counts", "--sources", "films", "fashion+films"]
    rows, _, table = said(module, *words)
    assert made == ["balanced", "balanced", "proportional"]
    kinds = [(row["sources"], row["mixture"], row["how"]) for row in table["rows"]]
    both = [("films+fashion", mixture, how) for mixture in module.MIXTURES for how in ("zero-shot", "transferred")]
    assert kinds == [("", "", "from scratch"), ("films", "", "zero-shot"), ("films", "", "transferred"), *both]
    assert len({row["metrics"]["NDCG@10"] for row in table["rows"]}) == len(kinds), "each is another model"
    assert said(module, *words)[0] == rows and len(made) == 3
