"""``transrec slice`` and ``transrec study widths`` as they are typed, on runs that have learned nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cases import platform

from transrec.cli import app, main
from transrec.model import ModelSettings, TransRec
from transrec.runs import DataRecord, RunRecord


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a nested and a dense run."""
    folder = tmp_path_factory.mktemp("ground")
    data = platform().save(folder / "data")
    for name, nested in (("nested", (4, 8, 16)), ("dense", ())):
        form = {"items": {"width": 16, "nested": nested}, "users": {"window": 6, "heads": 4, "feedforward": 16}}
        TransRec.build(ModelSettings.from_mapping(form), [data.catalog]).save(folder / name)
        record = RunRecord(verb="train", data=(DataRecord.of(data),), split={}, tune="full", objective={}, training={})
        record.write(folder / name)
    return folder


def run(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


def test_a_slice_is_made_and_what_to_do_next_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("slice", folder / "nested", "--width", 8, "--out", tmp_path / "small")
    shown = capsys.readouterr()
    assert "the first 8 of 16 numbers of every vector" in shown.out and "slice" in shown.out
    assert f"transrec evaluate {tmp_path / 'small'}" in shown.err
    assert TransRec.load(tmp_path / "small").items.width == 8
    run("slice", folder / "dense", "--width", 8, "--out", tmp_path / "cut", "--index-only")
    assert "measure before you use it" in " ".join(capsys.readouterr().out.split())
    assert TransRec.load(tmp_path / "cut").settings.scored_width == 8


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("dense", "--width", "8"), "--index-only"),
        (("nested", "--width", "5"), "the nested widths are 4, 8 of 16"),
        (("nested", "--width", "16", "--index-only"), "take from 1 to 15"),
        (("data", "--width", "8"), "not a run folder"),
    ],
)
def test_what_cannot_be_cut_is_told_in_a_few_lines(
    folder: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["transrec", "slice", str(folder / words[0]), *words[1:], "--out", str(tmp_path / "x")])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr().err
    assert stopped.value.code == 2 and told in shown and "Traceback" not in shown
    assert not (tmp_path / "x").exists()


def test_widths_are_studied(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--timed", 2, "--evaluation.resamples", 100, "--out", tmp_path)
    run("study", "widths", folder / "nested", "--widths", "4,8", *flags)
    written = json.loads((tmp_path / "study.json").read_text())
    assert [(line["width"], line["how"]) for line in written["lines"]] == [(4, "slice"), (8, "slice"), (16, "whole")]
    assert "whole run" in capsys.readouterr().out
    run("study", "widths", "--help")
    shown = capsys.readouterr().out
    assert all(f"--{flag}" in shown for flag in ("widths", "part", "metric", "timed", "data", "out"))
