"""``transrec compare`` as it is typed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from comparing_ground import Ground, make_ground

from transrec import cli
from transrec.cli import app, main
from transrec.errors import RunError, SettingsError, Stopped
from transrec.model import TransRec
from transrec.runs import RunRecord


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
    assert written["sentence"] in shown.out


def test_a_file_with_a_model_is_told_that_the_model_is_the_runs(ground: Ground, tmp_path: Path) -> None:
    config = tmp_path / "frozen.yaml"
    config.write_text(yaml.safe_dump({"model": {"items": {"width": 8}}, "tune": "frozen"}))
    with pytest.raises(SettingsError, match="the model is the run's") as caught:
        run("compare", ground.run, "--data", ground.folder / "target", "--config", config)
    assert "--backbones.text" in str(caught.value) and str(config) in str(caught.value)
    with pytest.raises(SettingsError, match="the model is the run's") as caught:
        run("transfer", ground.run, ground.folder / "target", "--out", tmp_path / "out", "--config", config)
    assert "--backbones" not in str(caught.value), "the verb has no such flag"


QUICK = ("--seeds", 3, "--evaluation.resamples", 100, "--permutations", 100)


def suggested(shown: str) -> list[list[str]]:
    """The commands under Next, as words, without the first."""
    return [shlex.split(line, comments=True)[1:] for line in shown.splitlines() if line.startswith("  transrec ")]


@pytest.mark.parametrize("row", ["scratch", "transferred"])
@pytest.mark.parametrize("kept", [True, False])
def test_what_is_suggested_is_the_model_that_was_compared(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, kept: bool
) -> None:
    run(
        *("compare", ground.run, "--data", ground.folder / "target", "--out", tmp_path / "out", "--rows", row, *QUICK),
        *("--tune", "frozen", "--rules", "users.*=fresh", "--training.epochs", 3, "--training.learning-rate", 0.003),
        *(() if kept else ("--no-keep-models",)),
    )
    shown = capsys.readouterr()
    [job] = (tmp_path / "out" / "jobs").iterdir()
    *serving, again = suggested(shown.err)
    if kept:
        assert serving == [["serve", str(job / "run")]] and f"the run {job / 'run'}" in shown.out
        run("recommend", job / "run", "--history", "i0,i1")
    else:
        assert not serving and "its weights were not kept" in shown.out
    out = tmp_path / "again"
    run(*(str(out) if word == "RUN2" else word for word in again))
    made = RunRecord.read(out)
    assert (made.training["epochs"], made.training["learning_rate"], made.training["seed"]) == (3, 0.003, 3)
    assert made.data[0].fingerprint == ground.target.fingerprint
    if row == "transferred":
        assert (made.verb, made.tune, made.rules) == ("transfer", "frozen", ("users.*=fresh",))
    if kept:
        assert made == RunRecord.read(job / "run")
        ours, theirs = (TransRec.load(folder).state_dict() for folder in (out, job / "run"))
        assert all(bool((ours[name] == tensor).all()) for name, tensor in theirs.items())


def test_zero_shot_is_the_run_itself(ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ground.folder / "target"
    run("compare", ground.run, "--data", target, "--out", tmp_path, "--rows", "markov,zero-shot", *QUICK)
    assert suggested(capsys.readouterr().err) == [["serve", str(ground.run), "--data", str(target)]]


def test_simple_methods_lead_to_no_command(ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("compare", ground.run, "--data", ground.folder / "target", "--out", tmp_path, "--rows", "markov", *QUICK)
    shown = capsys.readouterr()
    assert "Next" not in shown.err and "of the models" not in shown.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rows", "scratch,trasferred"), "did you mean 'transferred'?"),
        (("--fractions", "0,1"), "greater than 0"),
        (("--seeds", "one"), "seeds"),
        (("--metric", "AUC"), "there is no such metric"),
        (("--tune", "some"), "is not a tuning rule"),
        (("--budget", "beste"), "--budget: Input should be 'best', 'steps' or 'epochs'; did you mean 'best'?"),
    ],
)
def test_wrong_flags_are_told_in_words(
    ground: Ground, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit):
        app(["compare", str(ground.run), "--data", str(ground.folder / "target"), *words])
    shown = " ".join(re.sub(r"[│╭╰─╮╯]", " ", capsys.readouterr().err).split())
    assert told in shown and "Traceback" not in shown


def test_a_target_without_its_flag_is_told(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["compare", str(ground.run), str(ground.folder / "target")])
    shown = capsys.readouterr().err
    assert "--data is missing." in shown and "requires an argument" not in shown
    with pytest.raises(SystemExit):
        app(["compare", str(ground.run), "--dat", str(ground.folder / "target")])
    assert "--data is missing. Did you mean --data instead of --dat?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "stop", "told", "wrong"),
    [
        ("compare RUN --data DATA", KeyboardInterrupt(), "the same command goes on", "--resume"),
        ("compare RUN --data DATA", Stopped(5, 2, kept=True), "the same command goes on", "--resume"),
        ("recommend RUN --all", KeyboardInterrupt(), "the same command goes on", "--resume"),
        ("train DATA --out RUN", KeyboardInterrupt(), "--resume goes on", "the same command"),
        (
            "train DATA --out RUN",
            Stopped(5, 2, kept=True),
            "after step 5; its state is kept, --resume goes on",
            "same command",
        ),
        ("ingest --out DATA", KeyboardInterrupt(), "what is finished is kept", "goes on"),
    ],
)
def test_an_interrupt_says_how_to_go_on_with_this_verb(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    stop: KeyboardInterrupt,
    told: str,
    wrong: str,
) -> None:
    def interrupted(_: object) -> None:
        raise stop

    monkeypatch.setattr(cli, "app", interrupted)
    monkeypatch.setattr("sys.argv", ["transrec", *words.split()])
    with pytest.raises(SystemExit) as caught:
        main()
    shown = capsys.readouterr().err
    assert caught.value.code == 130 and told in shown and wrong not in shown


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
