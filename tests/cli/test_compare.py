"""``transrec compare`` as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from comparing_ground import Ground, make_ground

from transrec.cli import app, main
from transrec.errors import RunError


def run(*words: object) -> None:
    """Call the command line in this process; errors come through as they are raised."""
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


def test_flags_and_file(ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump({"training": {"epochs": 3, "batch_size": 8}, "tune": "full", "seeds": [4, 5]}))
    run(
        *("compare", ground.run, "--data", ground.folder / "target", "--out", tmp_path / "out", "--config", config),
        *("--rows", "popularity,scratch,transferred", "--fractions", "0.1,1", "--training.epochs", 1),
        *("--evaluation.resamples", 100, "--permutations", 100, "--no-keep-models"),
    )
    written = json.loads((tmp_path / "out" / "compare.json").read_text())
    training = written["trained_with"]["training"]
    assert (training["epochs"], training["batch_size"]) == (1, 8), "flags go before the file"
    assert training["tensorboard"] is False, "and the run's own settings stay where neither says anything"
    assert written["settings"]["seeds"] == [4, 5] and {point["users"] for point in written["curve"]} == {50, 80}
    assert [row["row"] for row in written["rows"]] == ["popularity", "scratch", "transferred"]
    assert not list((tmp_path / "out").rglob("model.safetensors"))
    shown = capsys.readouterr()
    assert written["sentence"] in shown.out and "transrec transfer" in shown.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rows", "scratch,trasferred"), "did you mean 'transferred'?"),
        (("--fractions", "0,1"), "greater than 0"),
        (("--seeds", "one"), "seeds"),
        (("--metric", "AUC"), "there is no such metric"),
        (("--tune", "some"), "is not a tuning rule"),
    ],
)
def test_wrong_flags_are_told_in_words(
    ground: Ground, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit):
        app(["compare", str(ground.run), "--data", str(ground.folder / "target"), *words])
    shown = " ".join(re.sub(r"[│╭╰─╮╯]", " ", capsys.readouterr().err).split())
    assert told in shown and "Traceback" not in shown


def test_the_source_as_target_is_told_in_a_line(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError):
        run("compare", ground.run, "--data", ground.folder / "source")
    monkeypatch.setattr("sys.argv", ["transrec", "compare", str(ground.run), "--data", str(ground.folder / "source")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and "nothing would be transferred" in capsys.readouterr().err


def test_help_says_what_every_flag_does(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    run("compare", "--help")
    shown = capsys.readouterr().out
    for flag in (
        "rows",
        "tune",
        "seeds",
        "fractions",
        "budget",
        "rates",
        "metric",
        "alpha",
        "remove-overlap",
        "out",
        "data",
    ):
        described = [line for line in shown.splitlines() if f"--{flag}" in line]
        assert described and len(described[0].strip("│ ").split()) > 4, flag
    assert "Will pre-training elsewhere help here?" in shown
