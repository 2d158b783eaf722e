"""TransRec: parts that fit, a folder that is enough, and messages for those that are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml
from cases import SETTINGS, Case, platform, timed_case

from transrec.errors import ModelError, RunError, SettingsError
from transrec.model import TransRec
from transrec.scoring import DotScorer, PrefixScorer
from transrec.users.encoder import UserEncoder
from transrec.users.gated import GatedUserEncoder
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder
from transrec.views import UserKind, UserOutput


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    Case().model.save(tmp_path / "run")
    return tmp_path / "run"


def test_the_heart_encodes_distinct_items_once_and_then_histories() -> None:
    case = Case()
    case.model.eval()
    batch = case.batches.batch(0)
    outputs = case.model(batch)
    assert outputs.items.fused_UD.shape == (batch.items.size, 16)
    assert outputs.users.vectors.shape == (*batch.mask_BL.shape, 16)
    expected = case.model.users(case.model.items(batch.items).fused_UD[batch.history_BL], batch.mask_BL)
    assert outputs.users.vectors.equal(expected.vectors)


def test_parts_that_do_not_fit_are_refused() -> None:
    model = Case().model
    narrow = TransformerUserEncoder(8, UserSettings(heads=2))
    with pytest.raises(ModelError, match="items have the width 16, the user encoder takes 8"):
        TransRec(model.items, narrow, model.scorer, model.settings)
    interests = DotScorer()
    interests.takes = "interests"
    with pytest.raises(ModelError, match="DotScorer scores interests, TransformerUserEncoder gives states"):
        TransRec(model.items, model.users, interests, model.settings)
    nested = Case(items={"nested": [8, 16]}).model
    with pytest.raises(ModelError, match=r"items can be cut to \(8, 16\), TransformerUserEncoder to nothing"):
        TransRec(nested.items, model.users, model.scorer, nested.settings)
    for users, name in (({"interests": {"count": 2}}, "InterestUserEncoder"), ({"kind": "missrec"}, "MissrecUserEncoder")):
        with pytest.raises(ModelError, match=rf"items can be cut to \(8, 16\), {name} to nothing"):
            Case(users=users, items={"nested": [8, 16]})
    with pytest.raises(ModelError, match="17 numbers are to be compared, vectors have 16"):
        TransRec.build(SETTINGS.updated({"scored_width": 17}), [platform().catalog])
    with pytest.raises(SettingsError, match="end with the width, 16"):
        SETTINGS.updated({"items": {"nested": [4, 8]}})


def test_the_same_seed_builds_the_same_model() -> None:
    one, same, other = (TransRec.build(SETTINGS, [platform().catalog], seed=seed) for seed in (1, 1, 2))
    assert all(t.equal(same.state_dict()[name]) for name, t in one.state_dict().items())
    assert not one.users.positions.weight.equal(other.users.positions.weight)


def test_a_folder_is_enough(saved: Path) -> None:
    loaded, model = TransRec.load(saved), Case().model
    assert loaded.settings == model.settings
    assert not loaded.training
    assert all(tensor.equal(loaded.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_saving_again_keeps_other_sections_of_the_settings(saved: Path) -> None:
    document = yaml.safe_load((saved / "settings.yaml").read_text())
    (saved / "settings.yaml").write_text(yaml.safe_dump({**document, "run": {"verb": "train"}}))
    TransRec.load(saved).save(saved)
    assert yaml.safe_load((saved / "settings.yaml").read_text())["run"] == {"verb": "train"}


def change(path: Path, **values: Any) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def test_folders_that_are_no_runs(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no settings\.yaml"):
        TransRec.load(tmp_path)
    change(saved / "settings.yaml", format=99)
    with pytest.raises(RunError, match="this run has format 99, this version of transrec reads up to 2"):
        TransRec.load(saved)
    change(saved / "settings.yaml", format=1)
    with pytest.raises(RunError, match="made by an earlier version of transrec"):
        TransRec.load(saved)
    change(saved / "settings.yaml", format=2, model={"scorer": "dice"})
    with pytest.raises(SettingsError, match="scorer"):
        TransRec.load(saved)
    (saved / "settings.yaml").write_text("training: {}\n")
    with pytest.raises(RunError, match="does not describe a model"):
        TransRec.load(saved)


def test_weights_that_are_missing_damaged_or_others(saved: Path, tmp_path: Path) -> None:
    weights = saved / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    with pytest.raises(RunError, match="the weights are missing"):
        TransRec.load(saved)
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="the weights are damaged"):
        TransRec.load(saved)
    wider = SETTINGS.updated({"items": {"width": 32}})
    TransRec.build(wider, [platform().catalog]).save(tmp_path / "wider")
    weights.write_bytes((tmp_path / "wider" / "model.safetensors").read_bytes())
    with pytest.raises(RunError, match="the weights do not fit the parts of the model"):
        TransRec.load(saved)


def test_the_hub_gets_the_folder_without_checkpoints(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, Any] = {}

    class Hub:
        def __init__(self, token: str | None) -> None:
            calls["token"] = token

        def create_repo(self, repository: str, **options: Any) -> None:
            calls["made"] = (repository, options)

        def upload_file(self, **options: Any) -> None:
            calls["settings"] = yaml.safe_load(options["path_or_fileobj"])

        def upload_folder(self, **options: Any) -> str:
            calls["uploaded"] = options
            return "https://example.org/commit/1"

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    record = {"source": "/home/me/runs/source", "data": [{"name": "garden", "path": "/home/me/data", "fingerprint": "f"}]}
    change(saved / "settings.yaml", run=record)
    address = TransRec.load(saved).push_to_hub("me/garden", saved, token="secret")
    assert address == "https://example.org/commit/1"
    assert calls["token"] == "secret"
    assert calls["made"] == ("me/garden", {"private": True, "exist_ok": True})
    assert calls["uploaded"]["repo_id"] == "me/garden"
    assert {"checkpoints/*", "stages/*", "evaluation/*.parquet", "settings.yaml"} <= set(
        calls["uploaded"]["ignore_patterns"]
    )
    assert calls["settings"]["model"] == yaml.safe_load((saved / "settings.yaml").read_text())["model"]
    assert calls["settings"]["run"] == {
        "source": "source",
        "data": [{"name": "garden", "path": "", "fingerprint": "f"}],
        "ancestors": [],
    }


def test_the_hub_is_asked_for_names_that_are_no_folders(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name: str(saved) if name == "me/garden" else None)
    assert TransRec.load("me/garden").settings == TransRec.load(saved).settings

    def offline(name: str) -> str:
        raise OSError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(RunError, match="neither a folder here nor a repository that the hub gave us"):
        TransRec.load("me/garden")


def test_bfloat16_is_close() -> None:
    """What a GPU computes in its short type stays near what float32 gives."""
    case = Case()
    case.model.eval()
    batch = case.batches.batch(0)
    with torch.no_grad():
        exact = case.model(batch).users.last_BD
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = case.model(batch).users.last_BD
    assert torch.nn.functional.cosine_similarity(exact, short.float(), dim=1).min() > 0.99


def test_gated_users_are_saved_and_loaded(tmp_path: Path) -> None:
    case = timed_case()
    case.model.save(tmp_path)
    loaded, batch = TransRec.load(tmp_path), case.batches.batch(0)
    assert isinstance(loaded.users, GatedUserEncoder) and loaded.settings == case.model.settings
    assert batch.times_BL is not None
    expected = case.model.eval()(batch).users.vectors
    assert loaded(batch).users.vectors.equal(expected)
    assert not loaded(replace(batch, times_BL=None)).users.vectors.equal(expected)


def test_a_run_from_before_there_were_kinds_of_users_is_a_transformer(saved: Path) -> None:
    batch = Case().batches.batch(0)
    expected = TransRec.load(saved)(batch).users.vectors
    document = yaml.safe_load((saved / "settings.yaml").read_text())
    for new in ("kind", "gated"):
        del document["model"]["users"][new]
    (saved / "settings.yaml").write_text(yaml.safe_dump(document))
    loaded = TransRec.load(saved)
    assert isinstance(loaded.users, TransformerUserEncoder) and not loaded.users.reads_times
    assert loaded(batch).users.vectors.equal(expected)


def test_users_of_your_own_with_two_arguments_go_on_working() -> None:
    class Newest(UserEncoder):
        gives: UserKind = "states"
        causal = True
        window, width = 6, 16

        def forward(self, items_BLD: torch.Tensor, mask_BL: torch.Tensor) -> UserOutput:
            return UserOutput("states", items_BLD, mask_BL)

    case = Case()
    model = TransRec(case.model.items, Newest(), case.model.scorer, case.model.settings)
    batch = case.batches.batch(0)
    timed = replace(batch, times_BL=torch.zeros_like(batch.history_BL))
    assert model.eval()(timed).users.vectors.equal(model(batch).users.vectors)


@pytest.mark.parametrize("kind", ["transformer", "gated", "lru"])
def test_a_nested_model_is_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    case = Case(users={"kind": kind, "start": "fresh"}, items={"nested": [8, 16]})
    cut = case.model.settings.updated({"scored_width": 8})
    model = TransRec(case.model.items, case.model.users, PrefixScorer(case.model.scorer, 8), cut, case.model.prior)
    model.save(tmp_path)
    loaded = TransRec.load(tmp_path)
    assert loaded.users.nested == (8, 16) and loaded.scorer.reads == 8
    batch = case.batches.batch(0)
    assert torch.equal(loaded(batch).users.vectors, case.model.eval()(batch).users.vectors)
    fresh = loaded.fresh_for(case.dataset.catalog, seed=3)
    assert fresh.users.nested == (8, 16) and not torch.equal(fresh(batch).users.vectors, loaded(batch).users.vectors)
