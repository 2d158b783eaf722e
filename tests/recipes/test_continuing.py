"""Time goes on: newer events and items of the same platform, on small platforms of given vectors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from cases import SETTINGS
from cases import platform as drawn_platform
from rich.console import Console

from transrec.cli import app
from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.errors import DataError, RunError, SettingsError
from transrec.model import TransRec
from transrec.recipes import continuing
from transrec.recipes.continuing import ContinueSettings, carry_on
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.forgetting import require_remembered
from transrec.recipes.report import report
from transrec.recipes.serve import serve
from transrec.recipes.train import train
from transrec.runs import RunRecord
from transrec.serving.http.settings import ServeSettings

QUIET = Console(quiet=True)
TRAINING = {"epochs": 1, "batch_size": 16, "device": "cpu", "tensorboard": False, "estimate": False}


def settings(**training: object) -> TrainSettings:
    given = {"items": {"width": 16, "modalities": ["given", "identity"]}}
    return TrainSettings.from_mapping(
        {"model": SETTINGS.updated(given).model_dump(), "training": {**TRAINING, **training}, "tune": "full"}
    )


class Ground:
    """A platform before and now (its items in another order, some new; users with more events, and new ones), and a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        whole = drawn_platform(users=60, items=40)
        early = whole.interactions.to_frame().filter((pl.col("row") < 34) & (pl.col("time") < 8) & (pl.col("user") < "5"))
        old = Catalog.from_items(whole.catalog.items(range(34)))
        self.before = Dataset(old, Interactions.from_columns(early), "shop").save(folder / "before")
        order = np.random.default_rng(1).permutation(40)
        rows = np.argsort(order)
        events = whole.interactions.to_frame().with_columns(row=pl.Series(rows[whole.interactions.rows]))
        now = Catalog.from_items(whole.catalog.items(order))
        self.now = Dataset(now, Interactions.from_columns(events), "shop").save(folder / "now")
        self.tested = int((self.before.interactions.lengths >= 3).sum())
        train([folder / "before"], settings(), folder / "run", console=QUIET)

    def go_on(self, out: Path | None, chosen: ContinueSettings | None = None, **training: object) -> TransRec:
        given = settings(**training)
        return carry_on(self.folder / "run", self.folder / "now", given, out, continuing=chosen, console=QUIET)[0]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("continuing"))


@pytest.fixture(scope="module")
def gone_on(ground: Ground) -> Path:
    ground.go_on(ground.folder / "next")
    return ground.folder / "next"


def test_all_weights_are_the_runs_and_an_identity_keeps_its_row(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = {}

    def looked_at(model: TransRec, *_: object, **__: object) -> None:
        begun.update({name: tensor.clone() for name, tensor in model.state_dict().items()})
        begun["ids"] = model.items.encoders["identity"].ids
        raise InterruptedError

    monkeypatch.setattr(continuing, "fit", looked_at)
    with pytest.raises(InterruptedError):
        ground.go_on(None)
    source = TransRec.load(ground.folder / "run")
    state, table = source.state_dict(), "items.encoders.identity.table.weight"
    assert set(begun) - {"ids"} == set(state)
    events = "items.encoders.identity.events"
    assert all(torch.equal(begun[name], tensor) for name, tensor in state.items() if name not in (table, events))
    known = source.items.encoders["identity"].ids
    assert begun["ids"][: len(known)] == known and set(begun["ids"]) == set(ground.now.catalog.ids)
    assert torch.equal(begun[table][: len(known)], state[table]) and state[events].any()
    assert torch.equal(begun[events][: len(known)], state[events]) and not begun[events][len(known) :].any()
    assert 0.005 < begun[table][len(known) :].std() < 0.05  # rows of the new ids are drawn


def test_means_of_items_stay_what_they_were(ground: Ground, gone_on: Path) -> None:
    name = "items.projections.given.means"
    ours, theirs = TransRec.load(gone_on).state_dict()[name], TransRec.load(ground.folder / "run").state_dict()[name]
    assert torch.equal(ours, theirs)


def test_nothing_that_was_held_out_of_those_who_are_kept_back_is_learned_from(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.setattr(continuing, "fit", lambda *given, **_: found.append(given[3].splits[0]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ground.go_on(None)
    split = found[0]
    held = set(ground.before.interactions.users.to_list())
    lines = {
        user: [ground.now.catalog.ids[row] for row in split.interactions.rows[start:end]]
        for user, start, end in zip(
            split.interactions.users.to_list(), split.interactions.offsets[:-1], split.train_ends, strict=True
        )
    }
    learned_before = {
        user: [ground.before.catalog.ids[row] for row in ground.before.interactions.history(place)][:-2]
        for place, user in enumerate(ground.before.interactions.users.to_list())
    }
    more = [user for user in held if len(lines[user]) > len(learned_before[user])]
    kept = [user for user in held if lines[user] == learned_before[user]]
    assert len(kept) >= ground.tested // 5 and more  # a fifth teaches nothing new, others do


def test_the_check_is_written_down_and_the_run_is_served(ground: Ground, gone_on: Path) -> None:
    written = json.loads((gone_on / "continued.json").read_text())
    check = written["check"]
    assert written["kept_back"] == check["users"] == ground.tested // 5 > 0
    assert written["new_items"] == 6 and 0 < written["new_events"] < written["training_events"]
    assert check["now"] - check["before"] == pytest.approx(check["points"]["value"])
    card = (gone_on / "README.md").read_text()
    assert f"On {check['users']} users of the earlier test" in card and card.index("Beside the run before") < card.index(
        "## Parameters"
    )
    record = RunRecord.read(gone_on)
    assert record.verb == "train" and record.source == str((ground.folder / "run").resolve())
    assert record.continuing["replay"] == 0.5 and record.ancestors[0].fingerprint == ground.before.fingerprint
    require_remembered(gone_on, console=QUIET)
    page = " ".join(report([gone_on], out=ground.folder / "report.html", console=QUIET).read_text().split())
    assert "A recommender trained further on shop, from the run run by transrec" in page
    assert f"{check['now']:.4f} now, on {check['users']} users of the earlier test" in page and "beside run" in page


def test_without_training_nothing_is_gained_or_lost(ground: Ground, tmp_path: Path) -> None:
    plain = settings().updated({"model": {"prior": "none"}})
    train([ground.folder / "before"], plain, tmp_path / "run", console=QUIET)
    still = plain.updated({"training": {"learning_rate": 1e-12, "encoder_learning_rate": 1e-12}})
    carry_on(tmp_path / "run", ground.folder / "now", still, tmp_path / "same", console=QUIET)
    check = json.loads((tmp_path / "same" / "continued.json").read_text())["check"]
    assert 0 < check["before"] == check["now"] and not check["forgotten"]


def test_a_run_that_has_forgotten_is_not_served(
    ground: Ground, gone_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it has learned is turned round before the check, as a training that has gone wrong might leave it."""
    chosen, kept = ContinueSettings(allowance=0.0, check_users=2000), continuing.checked

    def spoiled(run: Path, model: TransRec, *given: object, **named: object) -> object:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(-1)
        return kept(run, model, *given, **named)

    monkeypatch.setattr(continuing, "checked", spoiled)
    monkeypatch.setattr("transrec.recipes.forgetting.MOST_USERS", 0.8)
    shutil.copytree(ground.folder / "before", tmp_path / "before")
    train([tmp_path / "before"], settings(epochs=12, learning_rate=0.01), tmp_path / "run", console=QUIET)
    carry_on(tmp_path / "run", ground.folder / "now", settings(), tmp_path / "bad", continuing=chosen, console=QUIET)
    assert json.loads((tmp_path / "bad" / "continued.json").read_text())["check"]["forgotten"]
    with pytest.raises(
        RunError, match=r"(?s)has forgotten more of the earlier test than its allowance of 0%.*--allow-forgetting"
    ):
        serve(tmp_path / "bad", ServeSettings(), console=QUIET)
    require_remembered(tmp_path / "bad", allow=True, console=QUIET)


def test_earlier_data_that_are_gone_or_have_changed_are_said(ground: Ground, tmp_path: Path) -> None:
    record = RunRecord.read(ground.folder / "run")
    shutil.copytree(ground.folder / "run", tmp_path / "run")
    for path, told in ((tmp_path / "gone", "is no longer at"), (ground.folder / "now", "has changed since")):
        moved = record.data[0].model_copy(update={"path": str(path)})
        record.model_copy(update={"data": (moved,)}).write(tmp_path / "run")
        out = tmp_path / f"next of {path.name}"
        carry_on(tmp_path / "run", ground.folder / "now", settings(), out, console=QUIET)
        written = json.loads((out / "continued.json").read_text())
        assert written["check"] is None and told in written["unchecked"] and written["new_events"] is None
        assert told in (out / "README.md").read_text()
        console = Console(record=True, width=200)
        require_remembered(out, console=console)
        assert "was not measured" in console.export_text()
        chosen = ContinueSettings(before=str(ground.folder / "now"))
        with pytest.raises(RunError, match="is not what the run learned from"):
            carry_on(tmp_path / "run", ground.folder / "now", settings(), continuing=chosen, console=QUIET)
    chosen = ContinueSettings(before=str(ground.folder / "before"))
    carry_on(tmp_path / "run", ground.folder / "now", settings(), tmp_path / "found", continuing=chosen, console=QUIET)
    assert json.loads((tmp_path / "found" / "continued.json").read_text())["check"]["users"] > 0


def test_another_platform_is_for_transfer(ground: Ground, tmp_path: Path) -> None:
    items = ground.now.catalog.items(range(40))
    other = Catalog.from_items([type(item)(f"other {item.id}", vectors=item.vectors) for item in items])
    there = Dataset(other, ground.now.interactions, "elsewhere")
    with pytest.raises(DataError, match=r"(?s)elsewhere shares 0% of its items with shop.*transrec transfer"):
        carry_on(ground.folder / "run", there, settings(), tmp_path / "out", console=QUIET)
    shutil.copytree(ground.folder / "run", tmp_path / "run")
    record = RunRecord.read(tmp_path / "run")
    gone = record.data[0].model_copy(update={"path": ""})
    record.model_copy(update={"data": (gone,)}).write(tmp_path / "run")
    with pytest.raises(DataError, match="knows 0% of the items of elsewhere by their ids"):
        carry_on(tmp_path / "run", there, settings(), tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out").exists()


def test_settings_for_another_model_are_refused(ground: Ground) -> None:
    wider = settings().updated({"model": {"users": {"layers": 2}}})
    with pytest.raises(SettingsError, match="goes on with its own model, and the settings ask for other users"):
        carry_on(ground.folder / "run", ground.folder / "now", wider, console=QUIET)


def test_a_training_that_was_killed_before_the_check_goes_on_to_it(
    ground: Ground, gone_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(continuing, "checked", killed)
        with pytest.raises(InterruptedError):
            ground.go_on(tmp_path / "next")
    with pytest.raises(RunError, match=r"(?s)has not come to its end.*--resume"):
        require_remembered(tmp_path / "next", console=QUIET)
    words = [str(word) for word in ("train", ground.folder / "now", "--from", ground.folder / "run", "--resume", "--out")]
    # the settings of the run repeat it, with how it went on
    app([*words, str(tmp_path / "next"), "--config", str(gone_on / "settings.yaml")], result_action="return_value")
    for name in ("model.safetensors", "continued.json"):
        assert (tmp_path / "next" / name).read_bytes() == (gone_on / name).read_bytes()
    (tmp_path / "next" / "continued.json").write_text("{")
    with pytest.raises(RunError, match="what this run has forgotten cannot be read"):
        require_remembered(tmp_path / "next", console=QUIET)


def test_one_platform_at_a_time_and_the_settings_need_a_run(ground: Ground, tmp_path: Path) -> None:
    now, words = str(ground.folder / "now"), ("--out", str(tmp_path / "out"))
    with pytest.raises(SettingsError, match="the data of one platform, 2 are given"):
        app(["train", now, now, *words, "--from", str(ground.folder / "run")], result_action="return_value")
    with pytest.raises(SettingsError, match=r"(?s)going on from a run.*--from RUN"):
        app(["train", now, *words, "--continuing.replay", "0.3"], result_action="return_value")
