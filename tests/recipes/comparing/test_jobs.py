"""What a job is made of decides its folder, and nothing else does."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comparing_ground import Ground, asked, make_ground, text_run, trained
from viewed_ground import viewed_platform

from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.jobs import (
    Job,
    distinct_fractions,
    folder_name,
    jobs_of,
    key_of,
    lengths_of,
    settings_of,
    split_settings,
)
from transrec.recipes.comparing.rows import possible_rows
from transrec.recipes.comparing.variants import ROWS, FromScratch, Row, Transferred
from transrec.recipes.fitting import TrainSettings, TransferSettings


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


def job_of(name: str, ground: Ground, *, tune: str = "", **own: Any) -> Job:
    given = {"tune": tune} if tune else {}
    [row] = possible_rows(asked(rows=name, **given), ground.bench(**given))[0]
    return Job(row, **own)


def fitted(job: Job, ground: Ground, **given: Any) -> Any:
    return settings_of(job, asked(**given), ground.bench(**given))


def name(job: Job, ground: Ground, **given: Any) -> str:
    return folder_name(job, key_of(job, asked(**given), ground.bench(**given)))


def test_trained_rows_take_the_settings_of_the_run(ground: Ground) -> None:
    scratch, moved = (fitted(job_of(row, ground), ground) for row in ("scratch", "transferred"))
    assert isinstance(scratch, TrainSettings) and isinstance(moved, TransferSettings)
    for settings in (scratch, moved):
        assert settings.training.epochs == 2 and settings.training.batch_size == 16 and settings.tune == "full"
    assert scratch.model.users.window == 6 and scratch.model.items.modalities == ("given",)


def test_what_is_given_goes_before_them_and_leaves_the_rest(ground: Ground) -> None:
    given = {"training": {"epochs": 7}, "split": {"kind": "time"}, "objective": {"kind": "multistep"}}
    settings = fitted(job_of("scratch", ground), ground, **given)
    assert settings.training.epochs == 7 and settings.training.batch_size == 16
    assert settings.split.kind == "time" and settings.objective.kind == "multistep"


def test_seed_and_rate_are_the_job_s(ground: Ground) -> None:
    settings = fitted(job_of("transferred", ground, seed=5, rate=0.1), ground)
    usual = fitted(job_of("transferred", ground), ground)
    assert settings.training.seed == 5
    assert settings.training.learning_rate == pytest.approx(0.1 * usual.training.learning_rate)
    assert settings.training.encoder_learning_rate == pytest.approx(0.1 * usual.training.encoder_learning_rate)


def test_what_a_row_from_scratch_reads_is_said_by_its_variant(ground: Ground) -> None:
    def reads(made: FromScratch) -> tuple[str, ...]:
        found: tuple[str, ...] = fitted(Job(Row("own", "own", made)), ground).model.items.modalities
        return found

    assert reads(FromScratch(tune="full")) == ("given",)
    assert reads(FromScratch(content=False, identity=True, tune="full")) == ("identity",)
    assert reads(FromScratch(identity=True, tune="full")) == ("given", "identity"), "a variant to come needs a line alone"


def test_a_row_with_one_view_has_the_plain_cosine(tmp_path: Path) -> None:
    source, target = (viewed_platform(users=60, seed=seed).save(tmp_path / f"viewed-{seed}") for seed in (0, 1))
    run = trained(tmp_path / "run", source, model={"scorer": "views"})
    viewed = Ground(tmp_path, run, source, target)
    reads = {"id": (False, True), "content": (True, False), "both": (True, True)}
    made = {name: FromScratch(content, identity, tune="full") for name, (content, identity) in reads.items()}
    found = {name: fitted(Job(Row("own", "own", making)), viewed).model for name, making in made.items()}
    assert {name: model.scorer for name, model in found.items()} == {"id": "cosine", "content": "views", "both": "views"}


def test_few_users_may_take_as_many_steps(ground: Ground) -> None:
    job = job_of("scratch", ground, fraction=0.5, seed=3)  # the least sample, 50 of 80 users
    by_epochs = fitted(job, ground).training
    by_steps = fitted(replace(job, length=1.6), ground, training={"unfreeze_every": 2})
    assert (by_steps.training.epochs, by_steps.training.validate_every, by_steps.training.unfreeze_every) == (4, 2, 3)
    assert (by_epochs.epochs, by_epochs.validate_every, by_epochs.unfreeze_every) == (2, 1, None)
    assert (by_steps.split.users, by_steps.split.users_seed) == (0.5, 3)


def test_lengths_are_from_as_many_epochs_to_as_many_steps(ground: Ground) -> None:
    bench = ground.bench()
    assert lengths_of(0.5, asked(budget="epochs"), bench) == [1.0]
    assert lengths_of(0.5, asked(budget="steps"), bench) == [1.6]
    assert lengths_of(1.0, asked(), bench) == [1.0]
    longer = ground.bench(training={"epochs": 10})
    assert lengths_of(0.5, asked(), longer) == [1.0, pytest.approx(1.6**0.5), 1.6]
    shorter = ground.bench(training={"epochs": 1})
    assert lengths_of(0.5, asked(), shorter) == [1.0, 1.6], "two lengths of two epochs would be one training"


def test_stages_are_stretched_alike(ground: Ground, tmp_path: Path) -> None:
    stages = [{"objective": {"kind": "softmax"}, "training": {"epochs": 3, "learning_rate": 0.01}}]
    [stage] = fitted(job_of("scratch", ground, fraction=0.5, rate=0.5, length=1.6), ground, stages=stages).stages
    assert stage.training == {"epochs": 5, "learning_rate": 0.005}


def test_all_users_are_the_split_itself(ground: Ground) -> None:
    assert split_settings(job_of("scratch", ground, seed=3), ground.bench()).users_seed == 0


def test_shares_that_are_the_same_users_are_one(ground: Ground) -> None:
    bench = ground.bench()
    assert distinct_fractions((0.01, 0.1, 0.7, 1.0), bench) == [0.01, 0.7, 1.0]
    assert distinct_fractions((0.999,), bench) == [1.0]


def test_what_has_nothing_random_in_it_is_done_once(ground: Ground) -> None:
    settings = asked(rows="zero-shot,ease,scratch,transferred", seeds="0,1", fractions="0.7,1", rates="1,0.5")
    bench = ground.bench()
    jobs = jobs_of(possible_rows(settings, bench)[0], settings, bench)
    counts = {row: sum(job.row.name == row for job in jobs) for row in ("zero-shot", "ease", "scratch", "transferred")}
    assert counts == {"zero-shot": 1, "ease": 2 + 1, "scratch": 12, "transferred": 12}
    assert len(set(jobs)) == len(jobs)
    kinds = [isinstance(job.row.made, FromScratch | Transferred) for job in jobs]
    assert kinds == sorted(kinds), "what is quick comes first"


def test_a_run_that_counts_is_done_for_each_share(ground: Ground, tmp_path: Path) -> None:
    settings = asked(rows="zero-shot", seeds="0,1", fractions="0.7,1")
    bench = Bench.open(trained(tmp_path / "run", ground.source, model={"prior": "counts"}), ground.target, settings)
    jobs = jobs_of(possible_rows(settings, bench)[0], settings, bench)
    assert [(job.fraction, job.seed) for job in jobs] == [(0.7, 0), (0.7, 1), (1.0, 0)]
    keys = [key_of(job, settings, bench) for job in jobs]
    assert keys[0] != keys[1] != keys[2], "other users are other counts"


def test_names_are_for_people_and_for_paths(ground: Ground) -> None:
    [full, _] = possible_rows(asked(rows="transferred", tune="full,top:2"), ground.bench())[0]
    [_, top] = possible_rows(asked(rows="transferred", tune="full,top:2"), ground.bench())[0]
    assert full.label == "transferred (full)" and top.name == "transferred-top2"
    assert name(Job(top, 0.5, 3, 0.1), ground).startswith("transferred-top2-users0.5-seed3-rate0.1-")
    assert str(Job(full, 0.5, 3)) == "transferred (full), 0.5 of the users, seed 3"
    assert str(Job(ROWS["zero-shot"])) == "zero-shot"


def test_the_name_changes_with_everything_that_decides_the_outcome(ground: Ground, tmp_path: Path) -> None:
    usual = job_of("transferred", ground)
    others = [
        name(usual, ground),
        name(replace(usual, seed=1), ground),
        name(replace(usual, fraction=0.7), ground),
        name(replace(usual, rate=0.5), ground),
        name(job_of("transferred", ground, tune="frozen"), ground),
        name(usual, ground, training={"epochs": 3}),
        name(usual, ground, objective={"kind": "multistep"}),
        name(usual, ground, split={"kind": "time"}),
        name(usual, ground, rules=["users.*=fresh"]),
        name(usual, ground, evaluation={"popularity": 0.5}),
        name(job_of("scratch", ground), ground),
        name(job_of("zero-shot", ground), ground),
    ]
    assert len(set(others)) == len(others)
    assert name(usual, ground) == name(usual, ground, alpha=0.01, metric="HR@10", seeds="0,1,2,3"), (
        "what only reads does not"
    )


def test_the_name_changes_with_the_run_where_the_row_takes_from_it(ground: Ground, tmp_path: Path) -> None:
    other = trained(
        tmp_path / "other", ground.source, training={"epochs": 1, "device": "cpu", "tensorboard": False, "seed": 4}
    )
    given = {"training": {"epochs": 2, "batch_size": 16}}
    ours, theirs = ground.bench(**given), Bench.open(other, ground.target, asked(**given))

    def same(row: str) -> bool:
        job = job_of(row, ground)
        return key_of(job, asked(**given), ours) == key_of(job, asked(**given), theirs)

    assert not same("transferred") and not same("zero-shot")
    assert same("scratch") and same("identity") and same("ease"), "these know nothing of the run's weights"


def test_the_name_does_not_change_with_where_things_are(ground: Ground, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(ground.run, moved)
    job = job_of("transferred", ground)
    assert key_of(job, asked(), ground.bench()) == key_of(job, asked(), Bench.open(moved, ground.target, asked()))
    json.dumps(key_of(job, asked(), ground.bench()))


def test_another_backbone_at_the_same_place_is_another_job(tmp_path: Path) -> None:
    _, target, run = text_run(tmp_path)
    settings = asked(rows="scratch,transferred")

    def keys() -> list[dict[str, Any]]:
        bench = Bench.open(run, target, settings)
        return [key_of(Job(row), settings, bench) for row in possible_rows(settings, bench)[0]]

    [scratch, moved] = keys()
    assert scratch["backbones"].keys() == {"text"}, "the one for pictures is not read"
    (tmp_path / "text" / "note").write_text("something else")
    [other_scratch, still_moved] = keys()
    assert other_scratch != scratch and still_moved == moved
