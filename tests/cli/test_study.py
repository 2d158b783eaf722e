"""``transrec study`` as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from cases import SETTINGS
from comparing_ground import TRAINING
from studying_ground import Ground, make_ground

from transrec.cli import app, main

QUICK = ("--seeds", 0, "--permutations", 100, "--evaluation.resamples", 100)


def run(*words: object) -> None:
    """Call the command line in this process; errors come through as they are raised."""
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


def test_kinds(ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump({"training": {"epochs": 5, "batch_size": 8}, "kinds": ["text", "image"]}))
    run(
        *("study", "kinds", ground.run, "--data", ground.target.folder, "--config", config, "--out", tmp_path / "out"),
        *("--training.epochs", 1, "--kinds", "image,text", *QUICK, "--no-keep-models"),
    )
    written = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [line["label"] for line in written["lines"]] == ["image", "text"], "flags go before the file"
    compared = json.loads((tmp_path / "out" / "compare" / "text" / "compare.json").read_text())
    assert (compared["trained_with"]["training"]["epochs"], compared["trained_with"]["training"]["batch_size"]) == (1, 8)
    assert not list((tmp_path / "out").rglob("model.safetensors"))
    assert written["headline"] in capsys.readouterr().out


def test_sources(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = yaml.safe_load((ground.run / "settings.yaml").read_text())["model"]["items"]
    config = tmp_path / "small.yaml"
    model = {**SETTINGS.model_dump(mode="json"), "items": {**items, "modalities": ["text"]}, "prior": "none"}
    document = {"model": model, "training": {**TRAINING, "epochs": 3}, "tune": "frozen", "shares": [1.0]}
    config.write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)
    run(
        *("study", "sources", ground.source.folder, "--target", ground.target.folder, "--config", config),
        *("--training.epochs", 1, *QUICK),
    )
    written = json.loads((tmp_path / "study-target" / "study.json").read_text())
    assert [(line["share"], line["source_users"]) for line in written["lines"]] == [(1.0, 60)]
    own = yaml.safe_load((tmp_path / "study-target" / written["lines"][0]["run"] / "settings.yaml").read_text())
    assert own["training"]["epochs"] == 1 and own["tune"] == "frozen"


def test_one_platform(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = yaml.safe_load((ground.run / "settings.yaml").read_text())["model"]["items"]
    model = {**SETTINGS.model_dump(mode="json"), "items": {**items, "modalities": ["text"]}, "prior": "none"}
    document = {"model": model, "training": {**TRAINING, "epochs": 3}, "tune": "frozen"}
    (tmp_path / "encoders.yaml").write_text(yaml.safe_dump({**document, "tunes": ["frozen", "top:9"]}))
    (tmp_path / "identity.yaml").write_text(yaml.safe_dump({**document, "rates": [0.5]}))
    monkeypatch.chdir(tmp_path)
    for verb, chosen, lines in (
        ("encoders", ("--tunes", "frozen,top:1"), ["frozen", "top:1"]),
        ("identity", ("--lines", "identity"), ["content", "identity"]),
    ):
        given = ("--config", f"{verb}.yaml", "--training.epochs", 1, *chosen, *QUICK)
        run("study", verb, ground.source.folder, *given)
        written = json.loads((tmp_path / "study-source" / verb / "study.json").read_text())
        assert [line["line"] for line in written["lines"]] == lines, "flags go before the file"
        assert written["trained_with"]["training"]["epochs"] == 1 and len(written["test_opened"]) == 1
        assert written["headline"] in capsys.readouterr().out
        assert {line["rate"] for line in written["lines"]} == {0.5 if verb == "identity" else 1.0}


@pytest.mark.parametrize("verb", ["encoders", "identity"])
def test_several_platforms_are_refused(
    verb: str, ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file.yaml").write_text("tune: full\n")
    words = ["transrec", "study", verb, str(ground.source.folder), str(ground.target.folder)]
    monkeypatch.setattr("sys.argv", [*words, "--config", str(tmp_path / "file.yaml")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main()
    told = " ".join(capsys.readouterr().err.split())
    assert stopped.value.code == 2 and "of one platform, 2 are given" in told and "name one dataset" in told
    assert not list(tmp_path.glob("study-*"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("kinds", "RUN", "--data", "DATA", "--kinds", "txt"), "did you mean 'text'?"),
        (("kinds", "RUN", "--data", "DATA", "--fractions", "0.1"), "fractions"),
        (("sources", "DATA", "--target", "DATA", "--config", "FILE", "--shares", "0,1"), "greater than 0"),
        (("sources", "DATA", "--target", "DATA"), "--config"),
        (("encoders", "DATA", "--config", "FILE", "--tunes", "frozen,most"), "'most' is not a tuning rule"),
        (("encoders", "DATA"), "--config"),
        (("identity", "DATA", "--config", "FILE", "--lines", "contents"), "did you mean 'content'?"),
        (("fractions", "RUN", "--data", "DATA", "--omegas", "0,2"), "less than or equal to 1"),
    ],
)
def test_wrong_flags_are_told_in_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "file.yaml").write_text("tune: full\n")
    given = [str(tmp_path / "file.yaml") if word == "FILE" else word for word in words]
    with pytest.raises(SystemExit):
        app(["study", *given])
    shown = " ".join(re.sub(r"[│╭╰─╮╯]", " ", capsys.readouterr().err).split())
    assert told in shown and "Traceback" not in shown
    assert f"transrec study {words[0]} --help says what there is" in shown


def test_the_source_as_target_is_told_in_a_line(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["transrec", "study", "kinds", str(ground.run), "--data", str(ground.source.folder)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and "nothing would be transferred" in capsys.readouterr().err


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    run("study", "--help")
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in ("kinds", "sources", "fractions", "encoders", "identity"))
    for verb, flags in (
        ("kinds", ("kinds", "rows", "mix-seed", "data")),
        ("sources", ("shares", "budget", "target")),
        ("fractions", ("omegas", "parts", "mode", "data")),
        ("encoders", ("tunes", "config", "tune")),
        ("identity", ("lines", "config")),
    ):
        run("study", verb, "--help")
        lines = capsys.readouterr().out.splitlines()
        for flag in (*flags, "seeds", "rates", "metric", "alpha", "out"):
            described = [line for line in lines if f"--{flag}" in line]
            assert described and len(described[0].strip("│ ").split()) > 4, flag
