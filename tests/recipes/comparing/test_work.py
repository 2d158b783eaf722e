"""Nothing that is done is done again, and what is interrupted goes on as if it had not been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparing_ground import Ground, asked, make_ground, text_run, trained

from transrec.data.splits import split_of
from transrec.data.worlds import World
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.items.identity import IdentityEncoder
from transrec.model import TransRec
from transrec.recipes.comparing import work
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.cost import with_cost
from transrec.recipes.comparing.jobs import Job, split_settings
from transrec.recipes.comparing.rows import possible_rows
from transrec.recipes.comparing.work import Finished, Workshop
from transrec.rules import without
from transrec.runs import RunRecord
from transrec.training.loop import Loop


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


def shop(ground: Ground, out: Path, **given: Any) -> Workshop:
    return Workshop(ground.bench(**given), asked(**given), out)


def job(row: str, workshop: Workshop, *, fraction: float = 1.0, seed: int = 0) -> Job:
    rows, _ = possible_rows(asked(rows=row), workshop.bench)
    return Job(rows[0], fraction, seed)


@pytest.mark.parametrize("row", ["ease", "similarity", "zero-shot", "identity", "scratch", "transferred"])
def test_a_job_is_done_once(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    workshop = shop(ground, tmp_path)
    wanted = job(row, workshop)
    assert not workshop.is_done(wanted)
    first = workshop.done(wanted)
    assert workshop.is_done(wanted)
    for name in ("train", "transfer", "tuned_baselines", "rank_targets"):
        monkeypatch.setattr(work, name, None)  # whoever calls one of these now fails
    again = shop(ground, tmp_path).done(wanted)
    assert np.array_equal(first.ranked.ranks, again.ranked.ranks)
    assert (again.validation, again.cost, again.fit, again.method) == (first.validation, first.cost, first.fit, first.method)


def test_what_is_kept_of_each_kind(ground: Ground, tmp_path: Path) -> None:
    workshop = shop(ground, tmp_path)
    simple, as_it_is, moved = (workshop.done(job(row, workshop)) for row in ("ease", "zero-shot", "transferred"))
    assert simple.method == "EASE" and simple.chosen == {"ridge": simple.chosen["ridge"]} and simple.fit is None
    assert as_it_is.validation is None and as_it_is.cost is None and as_it_is.method == ""
    assert moved.fit.best == moved.validation and moved.fit.steps > 0 and not moved.resumed
    assert moved.cost.seconds > 0
    record = RunRecord.read(moved.folder / "run")
    assert record.verb == "transfer" and record.data[0].fingerprint == ground.target.fingerprint
    TransRec.load(moved.folder / "run")
    assert not list(moved.folder.rglob("checkpoints"))
    assert json.loads((moved.folder / "done.json").read_text())["key"]["dataset"] == ground.target.fingerprint


def test_models_need_not_be_kept(ground: Ground, tmp_path: Path) -> None:
    workshop = shop(ground, tmp_path, keep_models=False)
    found = workshop.done(job("scratch", workshop))
    assert not (found.folder / "run").exists() and len(found.ranked) == 80
    assert shop(ground, tmp_path).is_done(job("scratch", workshop)), "the numbers are the same ones"


class Interrupted(BaseException):
    """Not an error of ours: like Ctrl-C, or the machine going down."""


@pytest.mark.parametrize("row", ["scratch", "transferred"])
@pytest.mark.parametrize("after", [0, 20])
def test_an_interrupted_training_goes_on(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, after: int
) -> None:
    given = {"training": {"epochs": 4}}  # of 8 steps each
    whole = shop(ground, tmp_path / "whole", **given)
    expected = whole.done(job(row, whole))
    assert expected.fit.steps == 32
    steps, own = [], Loop._step

    def until(self: Loop, *arguments: Any) -> Any:
        if len(steps) >= after:
            raise Interrupted
        steps.append(1)
        return own(self, *arguments)

    workshop = shop(ground, tmp_path / "parts", **given)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", until)
        with pytest.raises(Interrupted):
            workshop.done(job(row, workshop))
    assert not workshop.is_done(job(row, workshop))
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", lambda self, *arguments: steps.append(1) or own(self, *arguments))
        found = workshop.done(job(row, workshop))
    assert found.resumed and np.array_equal(found.ranked.ranks, expected.ranked.ranks) and found.fit == expected.fit
    assert len(steps) == after + 32 - 8 * (after // 8), "only what came after the last validation is trained again"


def test_few_users_train_and_all_are_ranked(ground: Ground, tmp_path: Path) -> None:
    workshop = shop(ground, tmp_path)
    few = job("markov", workshop, fraction=0.1, seed=2)
    found, whole = workshop.done(few), workshop.done(job("markov", workshop))
    assert len(found.ranked) == len(whole.ranked) == 80 and found.ranked.users.equals(whole.ranked.users)
    assert np.array_equal(found.ranked.history_lengths, whole.ranked.history_lengths), "histories are whole at test time"
    assert not np.array_equal(found.ranked.ranks, whole.ranked.ranks)
    split = split_of(ground.target.interactions, split_settings(few, workshop.bench))
    assert len(split.validation) == 50
    trained = workshop.done(job("scratch", workshop, fraction=0.1, seed=2))
    assert RunRecord.read(trained.folder / "run").split.users == 0.1, "the run says that it has not seen all users"


def test_from_scratch_begins_with_the_pre_trained_encoders(tmp_path: Path) -> None:
    _, target, run = text_run(tmp_path, tune="frozen")
    bench = Bench.open(run, target, asked())
    workshop = Workshop(bench, asked(), tmp_path / "jobs")
    scratch = workshop.done(job("scratch", workshop))
    ours, theirs = TransRec.load(scratch.folder / "run"), TransRec.load(run)
    name = next(name for name, _ in ours.named_parameters() if ".backbone." in name)
    assert torch.equal(ours.state_dict()[name], theirs.state_dict()[name]), "frozen, so still as published"
    parameters = json.loads((scratch.folder / "run" / "parameters.json").read_text())["parameters"]
    assert {p["source"] for p in parameters} == {"backbone", "fresh"}


def test_an_encoder_of_ones_own_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "examples"))
    world = World.make(np.random.default_rng(0), topics=4)
    source, target = (
        world.platform(name, users=60, items=30, generator=np.random.default_rng(seed), modalities="image")
        for seed, name in enumerate(("source", "target"))
    )
    own = {"custom": {"image": "custom_encoder:ThumbnailEncoder"}, "custom_options": {"image": {"side": "16"}}}
    run = trained(tmp_path / "run", source, model={"items": {"width": 16, **own}})
    bench = Bench.open(run, target, asked())
    workshop = Workshop(bench, asked(), tmp_path / "jobs")
    scratch, moved = (workshop.done(job(row, workshop)) for row in ("scratch", "transferred"))
    for found in (scratch, moved):
        encoder = TransRec.load(found.folder / "run").items.encoders["image"]
        assert type(encoder).__name__ == "ThumbnailEncoder" and encoder.side == 16


def test_cost_is_that_of_the_work_alone() -> None:
    device = torch.device("cpu")
    _, small = with_cost(lambda: sum(range(1000)), device)
    large, cost = with_cost(lambda: np.ones(40_000_000).sum(), device)
    _, after = with_cost(lambda: None, device)
    assert large == 40_000_000 and cost.seconds > 0
    if "while it ran" not in cost.memory_of:
        pytest.skip("this system does not forget its peak")
    assert cost.memory > small.memory + 250_000_000 and after.memory < cost.memory - 250_000_000


def test_memory_that_the_command_line_keeps_is_not_counted_again() -> None:
    """`transrec` tells the C library to keep freed memory, which cannot be taken back: so in a process of its own."""
    program = """if True:
        import numpy as np, torch
        from transrec.cli.allocator import keep_freed_memory
        from transrec.recipes.comparing.cost import with_cost
        keep_freed_memory()
        _, cost = with_cost(lambda: [np.ones(1_000_000).sum() for _ in range(3)], torch.device("cpu"))
        _, large = with_cost(lambda: [np.ones(1_000_000) for _ in range(40)] and None, torch.device("cpu"))
        _, after = with_cost(lambda: None, torch.device("cpu"))
        print(large.memory - cost.memory, large.memory - after.memory, "while it ran" in after.memory_of)
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_"))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    grew, fell, forgotten = done.stdout.split()
    if forgotten == "False":
        pytest.skip("this system does not forget its peak")
    assert int(grew) > 250_000_000 and int(fell) > 250_000_000


def test_what_is_read_back_is_what_was_written(ground: Ground, tmp_path: Path) -> None:
    workshop = shop(ground, tmp_path)
    wanted = job("identity", workshop, seed=3)
    found = workshop.done(wanted)
    assert Finished.open(wanted, workshop.place(wanted)).job.seed == 3
    assert found.ranked.num_items == 50


def test_a_run_with_ids_is_compared_by_content_on_both_sides(ground: Ground, tmp_path: Path) -> None:
    items = {"width": 16, "modalities": ["given", "identity"], "fusion": "gated"}
    run = trained(tmp_path / "run", ground.source, model={"items": items})
    bench = Bench.open(run, ground.target, asked())
    workshop = Workshop(bench, asked(), tmp_path / "jobs")
    rows = ("scratch", "transferred", "plus-identity", "transferred-identity", "zero-shot")
    done = {row: workshop.done(job(row, workshop)) for row in rows}
    reads = {row: set(TransRec.load(own.folder / "run").items.encoders) for row, own in done.items() if own.fit}
    both = {"given", "identity"}
    assert reads == {
        **{"scratch": {"given"}, "transferred": {"given"}},
        **{"plus-identity": both, "transferred-identity": both},
    }
    content = ModelRanker.of(without(TransRec.load(run), ["identity"]), ground.target, bench.whole, place=None)
    assert np.array_equal(done["zero-shot"].ranked.ranks, rank_targets(content, bench.whole, bench.whole.test).ranks)
    record = RunRecord.read(done["transferred"].folder / "run")
    assert record.rules == ("items.encoders.identity.*=drop",), "so that the same run can be made again"
    kept = json.loads((done["transferred"].folder / "run" / "parameters.json").read_text())["parameters"]
    assert {own["source"] for own in kept if ".identity." in own["name"]} == {"drop"}
    kept = json.loads((done["transferred-identity"].folder / "run" / "parameters.json").read_text())["parameters"]
    assert {own["source"] for own in kept if ".identity." in own["name"]} == {"fresh"}


@pytest.mark.parametrize("fusion", ["mean", "gated"])
def test_a_run_of_content_gets_a_table_of_ids_where_it_is_trained_on(ground: Ground, tmp_path: Path, fusion: str) -> None:
    run = trained(tmp_path / "run", ground.source, model={"items": {"width": 16, "fusion": fusion}})
    bench = Bench.open(run, ground.target, asked())
    found = Workshop(bench, asked(), tmp_path / "jobs").done(
        job("transferred-identity", Workshop(bench, asked(), tmp_path / "jobs"))
    )
    record = RunRecord.read(found.folder / "run")
    assert record.rules == ("items.encoders.identity.*=add",)
    model = TransRec.load(found.folder / "run")
    table = model.items.encoders["identity"]
    assert isinstance(table, IdentityEncoder) and table.ids == tuple(ground.target.catalog.ids)
    assert table.events.tolist() == bench.whole.train_counts(50).tolist()
    kept = json.loads((found.folder / "run" / "parameters.json").read_text())["parameters"]
    fates = {own["name"]: own["source"] for own in kept}
    assert {fate for name, fate in fates.items() if ".identity." in name} == {"fresh"}
    assert "copy" in {fate for name, fate in fates.items() if name.startswith("users.")}
