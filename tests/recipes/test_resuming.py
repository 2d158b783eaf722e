"""Going on: where there is a state, beginning anew where a kill came before it, and a refusal where it is something else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from transrec.errors import RunError
from transrec.recipes import resuming
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.resuming import to_go_on

SETTINGS = TrainSettings.from_mapping({"stages": [{"objective": {"kind": "softmax"}}]})


def asked(folder: Path | None, *, resume: bool = True) -> tuple[bool, str]:
    out = io.StringIO()
    return to_go_on(folder, SETTINGS, resume=resume, console=Console(file=out, width=200)), out.getvalue()


def test_a_state_of_any_stage_is_gone_on_with(tmp_path: Path) -> None:
    for place in ("checkpoints/last", "checkpoints/before", "stages/1/checkpoints/last"):
        run = tmp_path / place.replace("/", "-")
        (run / place).mkdir(parents=True)
        (run / place / "seal.json").write_text("{}")
        assert asked(run) == (True, "")


def test_what_was_killed_before_its_first_state_begins_anew_and_says_so(tmp_path: Path) -> None:
    for name in (".lock", "settings.yaml", "model.safetensors", "parameters.json", "metrics.jsonl", ".settings.yaml.new"):
        (tmp_path / name).write_text("")
    for name in ("encoders", "checkpoints/new", "stages/1", "tensorboard"):
        (tmp_path / name).mkdir(parents=True)
    goes_on, told = asked(tmp_path)
    assert not goes_on
    assert "begins anew" in told


def test_other_folders_are_refused_and_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"it holds thesis\.tex"):
        asked(tmp_path)
    ended = tmp_path / "ended"
    ended.mkdir()
    (ended / "README.md").write_text("card")
    with pytest.raises(RunError, match="whose training has ended"):
        asked(ended)
    with pytest.raises(RunError, match="it is not there"):
        asked(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(RunError, match="give --out"):
        asked(None)


def test_without_resume_a_folder_must_be_empty(tmp_path: Path) -> None:
    assert asked(tmp_path, resume=False) == (False, "")
    assert asked(None, resume=False) == (False, "")
    (tmp_path / "settings.yaml").write_text("")
    with pytest.raises(RunError, match="not empty"):
        asked(tmp_path, resume=False)


def test_where_several_train_only_the_one_that_writes_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".lock").write_text("the first has begun meanwhile")
    monkeypatch.setattr(resuming, "writes", lambda _: False)
    assert asked(tmp_path, resume=False) == (False, "")
    monkeypatch.setattr(resuming, "writes", lambda _: True)
    with pytest.raises(RunError, match="not empty"):
        asked(tmp_path, resume=False)
