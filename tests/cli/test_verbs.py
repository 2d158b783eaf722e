"""The verbs from the command line, on a small world, as a new user would type them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from transrec.cli import app, main
from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.errors import DataError, RunError, SettingsError, TransRecError
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import TransRec
from transrec.runs import RunRecord
from transrec.serving.recommender import Recommender
from transrec.training.loop import Loop


class Ground:
    """Two platforms of one world on disk, small backbones, a settings file, and a trained run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        world = World.make(np.random.default_rng(0), topics=4)
        source = world.platform("source", users=60, items=60, generator=np.random.default_rng(1))
        target = world.platform("target", users=40, items=50, generator=np.random.default_rng(2), dialect="magazine")
        self.source = source.save(folder / "source")
        self.target = target.save(folder / "target")
        texts = [text for text in source.catalog.column("text").to_list() if text]
        new_text_backbone(texts, folder / "text", width=16, layers=2, heads=2)
        new_image_backbone(folder / "image", side=32, width=16, layers=2)
        self.config = folder / "small.yaml"
        self.config.write_text(
            yaml.safe_dump(
                {
                    "model": {
                        "items": {
                            "width": 16,
                            "text": {"backbone": str(folder / "text"), "max_length": 16},
                            "image": {"backbone": str(folder / "image")},
                        },
                        "users": {"window": 8, "layers": 1, "heads": 2, "feedforward": 16},
                    },
                    "training": {"epochs": 1, "batch_size": 32, "device": "cpu", "tensorboard": False},
                    "tune": "top:1",
                }
            )
        )
        self.fitting = folder / "fitting.yaml"
        fitting = {name: value for name, value in yaml.safe_load(self.config.read_text()).items() if name != "model"}
        self.fitting.write_text(yaml.safe_dump(fitting))
        self.run = folder / "run"
        run("train", folder / "source", "--out", self.run, "--config", self.config)


def run(*words: object) -> None:
    """Call the command line in this process; errors come through as they are raised."""
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("ground"))


def test_a_run_folder_is_complete(ground: Ground) -> None:
    present = {path.name for path in ground.run.iterdir()}
    assert {"settings.yaml", "model.safetensors", "encoders", "parameters.json", "metrics.jsonl", "README.md"} <= present
    document = yaml.safe_load((ground.run / "settings.yaml").read_text())
    assert document["format"] == 2 and document["model"]["items"]["modalities"] == ["text", "image"]
    record = RunRecord.read(ground.run)
    assert record.verb == "train" and record.tune == "top:1"
    assert record.data[0].fingerprint == ground.source.fingerprint
    parameters = json.loads((ground.run / "parameters.json").read_text())["parameters"]
    names = [name for name, _ in TransRec.load(ground.run).named_parameters()]
    assert [p["name"] for p in parameters] == names
    card = (ground.run / "README.md").read_text()
    assert "| NDCG@10 |" in card and "source" in card and "library_name: transrec" in card


def test_flags_go_before_the_file(ground: Ground, tmp_path: Path) -> None:
    run(
        *("train", ground.folder / "source", "--out", tmp_path / "run", "--config", ground.config),
        *("--training.max-steps", 1, "--tune", "frozen", "--model.users.window", 5),
    )
    record, model = RunRecord.read(tmp_path / "run"), TransRec.load(tmp_path / "run")
    assert record.tune == "frozen" and record.training["max_steps"] == 1
    assert model.window == 5 and model.items.width == 16


def test_the_settings_of_a_run_repeat_it(ground: Ground, tmp_path: Path) -> None:
    run("train", ground.folder / "source", "--out", tmp_path / "again", "--config", ground.run / "settings.yaml")
    ours, theirs = TransRec.load(tmp_path / "again").state_dict(), TransRec.load(ground.run).state_dict()
    assert all(tensor.equal(theirs[name]) for name, tensor in ours.items())


def test_several_sources(ground: Ground, tmp_path: Path) -> None:
    run(
        *("train", ground.folder / "source", ground.folder / "target", "--out", tmp_path / "run"),
        *("--config", ground.config, "--training.max-steps", 2),
    )
    assert [d.name for d in RunRecord.read(tmp_path / "run").data] == ["source", "target"]


def test_a_split_by_time_is_kept_for_the_evaluation(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        *("train", ground.folder / "source", "--out", tmp_path / "run", "--config", ground.config),
        *("--split.kind", "time", "--split.test", 0.2, "--training.max-steps", 1),
    )
    run("evaluate", tmp_path / "run", "--no-baselines", "--device", "cpu", "--resamples", 100)
    assert "by time (last 20% of the events test" in " ".join(capsys.readouterr().out.split())


def test_transfer_copies_everything_and_notes_where_it_came_from(ground: Ground, tmp_path: Path) -> None:
    run(
        *("transfer", ground.run, ground.folder / "target", "--out", tmp_path / "moved", "--config", ground.fitting),
        *("--rules", "users.*=fresh", "--tune", "frozen"),
    )
    record = RunRecord.read(tmp_path / "moved")
    assert record.verb == "transfer" and Path(record.source) == ground.run.resolve()
    assert record.rules == ("users.*=fresh",) and record.data[0].name == "target"
    document = json.loads((tmp_path / "moved" / "parameters.json").read_text())
    sources = {parameter["name"]: parameter["source"] for parameter in document["parameters"]}
    assert {name.split(".")[0] for name, source in sources.items() if source == "fresh"} == {"users", "prior"}
    others = {name: source for name, source in sources.items() if not name.startswith(("users.", "prior."))}
    assert set(others.values()) <= {"copy", "aligned"}
    assert {name.split(".")[1] for name, source in others.items() if source == "aligned"} <= {"projections"}
    ours, theirs = TransRec.load(tmp_path / "moved").state_dict(), TransRec.load(ground.run).state_dict()
    frozen = [name for name in ours if ".backbone." in name]
    assert frozen and all(ours[name].equal(theirs[name]) for name in frozen)
    # the moved run stands alone: it is loaded without the run that it came from
    assert TransRec.load(tmp_path / "moved").settings.items == TransRec.load(ground.run).settings.items


def test_the_settings_of_a_transferred_run_repeat_it(ground: Ground, tmp_path: Path) -> None:
    words = ("transfer", ground.run, ground.folder / "target", "--out")
    run(*words, tmp_path / "moved", "--config", ground.fitting, "--training.max-steps", 1)
    run(*words, tmp_path / "again", "--config", tmp_path / "moved" / "settings.yaml")
    ours, theirs = TransRec.load(tmp_path / "again").state_dict(), TransRec.load(tmp_path / "moved").state_dict()
    assert all(tensor.equal(theirs[name]) for name, tensor in ours.items())


def test_evaluate_keeps_numbers_and_notes_that_the_test_was_opened(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    run("evaluate", ground.run, "--device", "cpu", "--resamples", 100)
    shown = capsys.readouterr().out
    assert "popularity" in shown and "Markov" in shown and "EASE" in shown and "similarity" in shown
    document = json.loads((ground.run / "evaluation" / "source.json").read_text())
    assert document["dataset"]["fingerprint"] == ground.source.fingerprint and len(document["test_opened"]) == 1
    assert "leave-one-out" in json.dumps(document)
    run("evaluate", ground.run, "--data", ground.folder / "target", "--no-baselines", "--device", "cpu", "--resamples", 100)
    assert "zero-shot" in capsys.readouterr().out
    assert (ground.run / "evaluation" / "target.json").exists()


def test_baselines_are_chosen_by_name_and_similarity_needs_content(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        *("train", ground.folder / "source", "--out", tmp_path / "ids", "--config", ground.config),
        *("--model.items.modalities", "identity", "--tune", "full", "--training.max-steps", 1),
    )
    run("evaluate", tmp_path / "ids", "--baselines", "ials", "similarity", "--device", "cpu", "--resamples", 100)
    shown = " ".join(capsys.readouterr().out.split())
    assert "similarity of content is left out: the run reads no content of these items" in shown
    document = json.loads((tmp_path / "ids" / "evaluation" / "source.json").read_text())
    assert [found["ranker"] for found in document["evaluations"]] == ["ids (train)", "iALS"]


def test_recommend_prints_json_for_programs(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ids = ground.source.catalog.ids
    run("recommend", ground.run, "--history", f"{ids[3]},nobody,{ids[7]}", "--k", 5, "--json")
    found = json.loads(capsys.readouterr().out)
    assert [item["id"] for item in found["items"]] == list(dict.fromkeys(item["id"] for item in found["items"]))
    assert len(found["items"]) == 5 and not {ids[3], ids[7]} & {item["id"] for item in found["items"]}
    assert found["unknown"] == ["nobody"] and found["used"] == [ids[3], ids[7]]
    assert found["items"] == sorted(found["items"], key=lambda item: -item["score"])


def test_recommend_shows_titles_to_people(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ids = ground.source.catalog.ids
    run("recommend", ground.run, "--history", f"{ids[3]}, nobody", "--k", 2)
    shown = capsys.readouterr().out
    assert "not in the catalog" in shown and "'nobody'" in shown
    assert ground.source.catalog.titles([3])[0][:20] in shown


def test_recommend_filters_excludes_spreads_and_explains(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ids = ground.source.catalog.ids
    wishes = ["--where", f"id <> '{ids[9]}' and id < '{ids[40]}'", "--exclude", f"{ids[1]},{ids[2]}", "--diversity", "0.3"]
    run("recommend", ground.run, "--history", ids[3], "--k", 70, "--json", "--explain", *wishes)
    found = json.loads(capsys.readouterr().out)["items"]
    gone = {ids[place] for place in (1, 2, 3, 9)}
    assert {item["id"] for item in found} == {own for own in ids if own < ids[40]} - gone
    assert all(sum(item["reason"]["views"].values()) == pytest.approx(1) for item in found)
    assert {item["reason"]["nearest"][0][0] for item in found} == {ids[3]}
    run("recommend", ground.run, "--history", ids[3], "--k", 2, "--explain")
    assert "why" in capsys.readouterr().out
    with pytest.raises(DataError, match="no column 'colour'"):
        run("recommend", ground.run, "--history", ids[3], "--where", "colour = 1")


def test_index_says_what_was_encoded(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(ground.run / "index", ignore_errors=True)
    run("index", ground.run)
    assert "60 of 60 items of source were encoded now" in capsys.readouterr().out
    recommender = Recommender.load(ground.run)
    recommender.remove([ground.source.catalog.ids[0]])
    recommender.close()
    run("index", ground.run)
    shown = capsys.readouterr().out
    assert "0 of 60 items" in shown and "59 items can be recommended" in shown
    shutil.rmtree(ground.run / "index")


def test_a_run_is_never_written_over(ground: Ground) -> None:
    with pytest.raises(RunError, match="is there already and not empty"):
        run("train", ground.folder / "source", "--out", ground.run, "--config", ground.config)


def test_resume_wants_the_same_settings(ground: Ground) -> None:
    run("train", ground.folder / "source", "--out", ground.run, "--config", ground.config, "--resume")
    with pytest.raises(RunError, match="was started with another training"):
        run(
            *("train", ground.folder / "source", "--out", ground.run, "--config", ground.config),
            *("--training.learning-rate", 0.5, "--resume"),
        )


def test_resuming_without_checkpoints_leaves_a_finished_model_alone(ground: Ground, tmp_path: Path) -> None:
    shutil.copytree(ground.run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        run("train", ground.folder / "source", "--out", tmp_path / "run", "--config", ground.config, "--resume")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_an_interrupt_before_the_first_validation_can_be_resumed(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", ground.folder / "source", "--out", tmp_path / "run", "--config", ground.config)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(*words)
    run(*words, "--resume")
    ours, theirs = TransRec.load(tmp_path / "run").state_dict(), TransRec.load(ground.run).state_dict()
    assert all(tensor.equal(theirs[name]) for name, tensor in ours.items())


def test_what_a_run_has_learned_from_is_never_called_zero_shot(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        *("transfer", ground.run, ground.folder / "target", "--out", tmp_path / "moved", "--config", ground.fitting),
        *("--training.max-steps", 1),
    )
    quick = ("--no-baselines", "--device", "cpu", "--resamples", 100)
    run("evaluate", tmp_path / "moved", "--data", ground.folder / "source", *quick)
    document = json.loads((tmp_path / "moved" / "evaluation" / "source.json").read_text())
    assert document["evaluations"][0]["ranker"] == "moved (learned there before it moved)"
    fewer = type(ground.target.interactions).from_columns(ground.target.interactions.to_frame().head(-4))
    Dataset(ground.target.catalog, fewer, "target").save(tmp_path / "target")
    run("evaluate", tmp_path / "moved", "--data", tmp_path / "target", *quick)
    document = json.loads((tmp_path / "moved" / "evaluation" / "target.json").read_text())
    assert document["evaluations"][0]["ranker"] == "moved (transfer, data changed since)"


def test_an_identity_run_is_refused_on_another_platform(ground: Ground, tmp_path: Path) -> None:
    run(
        *("train", ground.folder / "source", "--out", tmp_path / "ids", "--config", ground.config),
        *("--model.items.modalities", "identity", "--tune", "full", "--training.max-steps", 1),
    )
    with pytest.raises(RunError, match="knows items by their identity, which means nothing on another platform"):
        run("evaluate", tmp_path / "ids", "--data", ground.folder / "target", "--device", "cpu")


def test_titles_are_shown_as_they_are(ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    titles = [f"Film {n} [director's cut] [/b]" for n in range(len(ground.source.catalog))]
    catalog = Catalog.from_items(ground.source.catalog.items(range(len(titles))), {"title": titles})
    odd = Dataset(catalog, ground.source.interactions, "odd").save(tmp_path / "odd")
    run("recommend", ground.run, "--data", odd.folder, "--history", catalog.ids[0], "--k", 1)
    assert "Film 0 [director's cut] [/b]" in capsys.readouterr().out


def test_users_with_too_few_events_are_told_before_any_encoder_is_loaded(ground: Ground, tmp_path: Path) -> None:
    events = ground.source.interactions.to_frame().group_by("user", maintain_order=True).head(3)
    short = Dataset(ground.source.catalog, type(ground.source.interactions).from_columns(events), "short")
    short.save(tmp_path / "short")
    with pytest.raises(DataError, match="none of the 60 users has two training events"):
        run("train", tmp_path / "short", "--out", tmp_path / "run", "--model.items.text.backbone", "nowhere")


def test_a_changed_dataset_is_refused(ground: Ground, tmp_path: Path) -> None:
    data = Dataset.open(ground.folder / "source")
    copied = Dataset(data.catalog, data.interactions, "copied").save(tmp_path / "data")
    run(
        *("train", copied.folder, "--out", tmp_path / "run", "--config", ground.config),
        *("--training.max-steps", 1),
    )
    events = data.interactions.to_frame().head(-3)
    type(data.interactions).from_columns(events).save(tmp_path / "data" / "interactions.parquet")
    with pytest.raises(RunError, match="has changed since this run learned from it"):
        run("recommend", tmp_path / "run", "--history", data.catalog.ids[0])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere is not a dataset folder"),
        (["recommend", "nowhere", "--history", "a"], "nowhere is not a run folder"),
        (["evaluate", "nowhere"], "nowhere is not a run folder"),
    ],
)
def test_what_is_not_there_is_said(words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TransRecError, match=told):
        run(*words)


def test_an_unknown_setting_in_a_file_is_said(ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.yaml").write_text("training:\n  epoch: 3\n")
    with pytest.raises((SettingsError, SystemExit)) as caught:
        run("train", ground.folder / "source", "--out", tmp_path / "run", "--config", tmp_path / "wrong.yaml")
    shown = capsys.readouterr()
    told = str(caught.value) + shown.err + shown.out
    assert "epoch" in told
    assert not (tmp_path / "run").exists()


def test_a_mistake_ends_in_a_message_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["transrec", "recommend", "nowhere", "--history", "a"])
    with pytest.raises(SystemExit) as caught:
        main()
    told = capsys.readouterr().err
    assert caught.value.code == 2
    assert "Error:" in told and "To mend it:" in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--tune", "half"], "--tune: 'half' is not a tuning rule; write full, top:N"),
        (["--training.batch-size", "many"], "--training.batch-size: it is a whole number from 1 on, or auto"),
        (["--training.epochs", "0"], "--training.epochs: Input should be greater than or equal to 1 (given: '0')"),
        (["--training.epoch", "3"], "Did you mean --training.epochs?"),
    ],
)
def test_wrong_flags_are_told_before_any_work(
    flags: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["transrec", "train", "nowhere", "--out", "x", *flags])
    with pytest.raises(SystemExit) as caught:
        main()
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert caught.value.code == 2
    assert told in shown
    assert "pydantic.dev" not in shown
