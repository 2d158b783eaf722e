"""The whole comparison, on platforms small enough for a second or two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from comparing_ground import Ground, asked, make_ground, text_run, trained
from PIL import Image
from told import Told

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.errors import EvaluationError, ModelError, RunError, TransRecError
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.model import TransRec
from transrec.recipes.compare import compare
from transrec.recipes.comparing import work
from transrec.recipes.comparing.going_on import best_model, where_it_is
from transrec.recipes.comparing.report import Comparison
from transrec.reports.numbers import DASH
from transrec.reports.verdict import Verdict

ROWS = ["popularity", "markov", "ease", "similarity", "identity", "scratch", "zero-shot", "transferred"]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture(scope="module")
def finished(ground: Ground) -> SimpleNamespace:
    console = Told()
    found = compare(ground.run, ground.folder / "target", asked(seeds="0,1", fractions="0.1,1"), console=console)
    folder = ground.run / "compare" / "small"
    return SimpleNamespace(
        found=found, folder=folder, text=console.text, json=json.loads((folder / "compare.json").read_text())
    )


def test_every_row_is_in_the_table_and_in_the_file(finished: SimpleNamespace) -> None:
    found: Comparison = finished.found
    assert [row.row.name for row in found.findings.table] == ROWS
    assert [row["row"] for row in finished.json["rows"]] == ROWS
    assert list(finished.json["left_out"]) == ["frozen"] and "left out: frozen: " in finished.text
    for row in found.findings.table:
        assert row.label.split()[0] in finished.text
    assert "…" not in finished.text, "the table must fit into 80 columns"


def test_it_says_how_it_measured_and_that_the_test_was_opened(finished: SimpleNamespace) -> None:
    told = " ".join(finished.text.split())
    for part in (
        "80 test targets, ranked among all 50 items of the catalog; masked: the user's history, never the target",
        "split: leave-one-out",
        "budget of every trained row: at most 2 epochs, 4 validations without a better NDCG@10",
        "with fewer users the best on validation of as many epochs, as many steps, and a length between",
        "seeds 0, 1; 95% intervals over users",
        "50, 80 users train and validate, all test",
        "200 relabellings, Holm-corrected for 7 tests",
        "the test split has been opened",
        "prove nothing",  # of the overlap
    ):
        assert part in told, part
    assert len(finished.json["test_opened"]) == 1
    assert finished.text.count("of 37: ") == 37, "every job is told as it is done"


def test_every_share_has_its_numbers_on_the_screen_and_in_the_files(finished: SimpleNamespace) -> None:
    assert "With fewer users: transferred against from scratch" in finished.text
    few, whole = finished.json["by_share"]
    assert (few["users"], whole["users"]) == (50, 80) and few["best_simple"]["label"] == "Markov chain"
    assert whole["gain"] == finished.json["transferred_against_scratch"][0]
    assert [row[0] for row in Verdict.of(finished.folder, finished.json, name="it").shares.rows] == ["50", "80"]
    for share in (few, whole):
        assert f"{share['gain']['points']['value']:+.4f}".replace("0.", ".", 1) in finished.text


def test_the_table_of_the_report_has_what_the_one_on_the_screen_has(finished: SimpleNamespace) -> None:
    table = Verdict.of(finished.folder, finished.json, name="it").table
    assert list(table.columns)[-6:] == [
        *("less the best other row", "less from scratch", "cold (0)"),
        *(table.columns[-3], "time", "memory"),
    ]
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    found = finished.found.findings
    for row in found.table:
        best, told = found.against_the_best(row.label), rows[row.label]
        assert (
            f"{best.points.value:+.4f} [{best.points.low:+.4f}, {best.points.high:+.4f}]" in told["less the best other row"]
        )
        assert told["time"].endswith(" s") or row.row.name == "zero-shot"
        assert told["memory"].endswith(" GiB") or row.row.name == "zero-shot"
    own = rows["transferred"]["less from scratch"]
    assert f"{found.transfers[0].points.value:+.4f} [" in own and f"p {found.transfers[0].corrected:.3f}" in own
    assert rows["from scratch"]["less from scratch"] == rows["from scratch"]["cold (0)"] == DASH
    assert rows["zero-shot"]["time"] == DASH


def test_the_report_says_what_else_the_screen_says(finished: SimpleNamespace) -> None:
    verdict = Verdict.of(finished.folder, finished.json, name="it")
    assert verdict.left_out == [f"frozen: {finished.found.left_out['frozen']}"]
    p, slices, costs = verdict.caption
    assert p == (
        "p: paired randomisation test over users, 200 relabellings (less the best other row: 7 tests, Holm-corrected; "
        "less from scratch: 1 test)"
    )
    assert "training events of all users touch" in slices and "highest peak (resident memory of the process" in costs
    assert len(verdict.shared) == 2 and all("in common with small" in told for told in verdict.shared)
    assert all("prove nothing" in told for told in verdict.shared), "user ids and item ids, which are numbers"
    take = finished.json["take"]
    best = best_model(finished.found)
    assert best and take["row"] == best.row.name and take["weights_kept"] is True
    assert verdict.take.startswith(take["told"]) and take["told"] in where_it_is(finished.found)
    assert verdict.take.endswith(f"in the job {take['job']}" if take["job"] else "it is this run itself")


def test_the_sentence_is_the_last_word_everywhere(finished: SimpleNamespace) -> None:
    sentence = finished.found.sentence
    assert sentence == finished.json["sentence"] and sentence in finished.text
    assert finished.json["winner"] == "Markov chain" and "best of all rows is Markov chain" in sentence


def test_the_figure_shows_something(finished: SimpleNamespace) -> None:
    with Image.open(finished.folder / "compare.png") as image:
        assert min(image.size) > 400
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 50


def test_the_file_holds_what_is_needed_to_do_it_again(finished: SimpleNamespace, ground: Ground) -> None:
    written: Mapping[str, Any] = finished.json
    assert written["format"] == 1 and written["metric"] == "NDCG@10"
    assert written["dataset"]["fingerprint"] == ground.target.fingerprint
    assert written["trained_with"]["training"]["epochs"] == 2
    assert written["settings"]["seeds"] == [0, 1]
    assert str(ground.folder) not in json.dumps({**written, "settings": None}), (
        "where things are on this machine is not told"
    )
    transferred = written["rows"][-1]
    assert transferred["kind"] == "Transferred" and transferred["made"] == {"tune": "full"}
    assert [job["seed"] for job in transferred["jobs"]] == [0, 1] and transferred["users"] == 80
    assert {point["users"] for point in written["curve"]} == {0, 50, 80}
    assert written["with_fewer_users"][0]["users"] == 50
    assert all((finished.folder / "jobs" / job["folder"]).is_dir() for row in written["rows"] for job in row["jobs"])


def test_the_numbers_are_those_of_the_models_that_are_kept(finished: SimpleNamespace, ground: Ground) -> None:
    row = finished.json["rows"][ROWS.index("scratch")]
    values = []
    for job in row["jobs"]:
        model = TransRec.load(finished.folder / "jobs" / job["folder"] / "run")
        split = finished.found.bench.whole
        ranked = rank_targets(ModelRanker.of(model, ground.target, split), split, split.test)
        kept = RankedTargets.open(finished.folder / "jobs" / job["folder"] / "ranks.parquet")
        assert np.array_equal(ranked.ranks, kept.ranks)
        values.append(ndcg(ranked.ranks, 10))
        assert job["metrics"]["NDCG@10"] == pytest.approx(values[-1].mean())
    assert row["metrics"]["NDCG@10"]["value"] == pytest.approx(np.mean(values))


def test_a_second_call_trains_nothing_and_says_the_same(
    finished: SimpleNamespace, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train", "transfer", "tuned_baselines", "rank_targets"):
        monkeypatch.setattr(work, name, None)
    console = Told()
    again = compare(ground.run, ground.folder / "target", asked(seeds="0,1", fractions="0.1,1"), console=console)
    assert again.sentence == finished.found.sentence and console.text.count("found done") == 37
    written = json.loads((finished.folder / "compare.json").read_text())
    assert len(written.pop("test_opened")) == 2, "it was looked at again"
    assert written == {name: value for name, value in finished.json.items() if name != "test_opened"}


def test_only_what_is_new_is_trained(ground: Ground, finished: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for name in ("train", "transfer", "tuned_baselines"):
        own = getattr(work, name)
        monkeypatch.setattr(work, name, lambda *a, own=own, name=name, **k: called.append(name) or own(*a, **k))
    compare(ground.run, ground.folder / "target", asked(seeds="0,1,2"), console=Told())
    assert sorted(called) == ["train", "train", "transfer"], "one more seed of three rows"
    called.clear()
    changed = asked(seeds="0", rows="ease,scratch,transferred", training={"epochs": 3})
    compare(ground.run, ground.folder / "target", changed, console=Told())
    assert called == ["train", "transfer"], "another budget is another training, and simple methods have none"


def test_one_model_is_told_in_the_singular(ground: Ground, tmp_path: Path) -> None:
    console = Told()
    compare(ground.run, ground.target, asked(rows="popularity"), tmp_path, console=console)
    assert "1 model to train, tune or rank" in console.text


def test_rates_are_tried_and_chosen_on_validation(ground: Ground, tmp_path: Path) -> None:
    settings = asked(rows="scratch,transferred", seeds="0", rates="1,0.001")
    found = compare(ground.run, ground.target, settings, tmp_path, console=Told())
    for row in found.findings.table:
        assert len(row.tried) == 2 and len(row.finished) == 1
        assert row.finished[0].validation == max(own.validation for own in row.tried)
    assert "learning rates x 1, 0.001" in " ".join(found.to_json()["measured"])


def test_a_run_with_a_prior(ground: Ground, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", ground.source, model={"prior": "counts"})
    settings = asked(rows="scratch,zero-shot,transferred", seeds="0", fractions="0.1,1")
    console = Told()
    found = compare(run, ground.target, settings, console=console)
    points = [row for row in found.findings.curve if row.row.name == "zero-shot"]
    assert [row.users for row in points] == [50, 80]
    assert points[0].metrics != points[1].metrics, "fewer users are fewer counts"
    assert [row.users for row in found.findings.table] == [80, 80, 80]
    assert "counts the training events of its users" in " ".join(console.text.split())


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    _, target, run = text_run(tmp_path_factory.mktemp("texts"))
    return SimpleNamespace(target=target, run=run)


def test_a_run_with_ids_says_what_is_read(ground: Ground, tmp_path: Path) -> None:
    items = {"width": 16, "modalities": ["given", "identity"]}
    run, console = trained(tmp_path / "run", ground.source, model={"items": items}), Told()
    found = compare(run, ground.target, asked(rows="scratch,zero-shot,transferred", seeds="0"), console=console)
    assert not found.left_out and "table of item ids is left out" in " ".join(console.text.split())
    best = best_model(found)
    assert best and best.row.name != "zero-shot", "of the content alone there is no run"


def test_frozen_and_tuned_text_encoders(texts: SimpleNamespace) -> None:
    settings = asked(rows="similarity,frozen,scratch,transferred", seeds="0", tune="full,frozen")
    console = Told()
    found = compare(texts.run, texts.target, settings, console=console)
    assert [row.label for row in found.findings.table] == [
        "content similarity",
        "frozen from scratch",
        "from scratch",
        "transferred (full)",
        "transferred (frozen)",
    ]
    assert len(found.findings.transfers) == 2 and found.to_json()["transfer"] != "not asked"
    assert "was in memory only" in console.text


def test_content_similarity_without_its_encoders_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    _, target, run = text_run(tmp_path)
    shutil.rmtree(tmp_path / "text")
    console = Told()
    found = compare(run, target, asked(rows="popularity,similarity,transferred", seeds="0"), console=console)
    assert list(found.left_out) == ["similarity"] and "left out: similarity: " in console.text
    assert "--backbones.text says where it is" in found.left_out["similarity"]
    with pytest.raises(ModelError, match=r"--backbones\.text FOLDER") as caught:  # no verdict is given without from scratch
        compare(run, target, asked(rows="scratch,transferred", seeds="0"), console=Told())
    assert "--model" not in str(caught.value), "the verb has no such flag"


def test_overlap_is_removed_from_the_test_alone(ground: Ground, tmp_path: Path) -> None:
    theirs, ours = ground.source.catalog.items(range(25)), ground.target.catalog.items(range(50))
    items = [replace(theirs[row], id=f"x{row}") if row < 25 else ours[row] for row in range(50)]
    target = Dataset(Catalog.from_items(items), ground.target.interactions, name="half")
    settings = asked(rows="scratch,transferred", seeds="0")
    minded = compare(ground.run, target, settings, tmp_path, console=Told())
    known = int((target.interactions.rows[minded.bench.whole.test.positions] < 25).sum())
    assert 0 < minded.findings.known == known and "mind the overlap" in minded.sentence
    console = Told()
    removed = compare(
        ground.run, target, asked(**settings.model_dump(exclude_unset=True), remove_overlap=True), tmp_path, console=console
    )
    assert removed.findings.targets == 80 - known and "mind the overlap" not in removed.sentence
    assert f"{80 - known} test targets ({known} left out, which the source knows, too)" in " ".join(console.text.split())
    assert console.text.count("found done") == 2, "the models are the same ones"
    assert removed.to_json()["targets_removed"] == known


def test_the_source_itself_is_no_target(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has learned from 'small' itself"):
        compare(ground.run, ground.folder / "source", console=Told())
    copy = ground.source.save(tmp_path / "copy")
    with pytest.raises(RunError, match="transrec evaluate"):
        compare(ground.run, copy, console=Told())


def test_what_is_no_run_is_an_error(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        compare(tmp_path, ground.target, console=Told())


def test_an_opened_test_is_noted_also_without_an_end(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(work, "train", None)
        with pytest.raises(TypeError):
            compare(ground.run, ground.target, asked(rows="popularity,scratch", seeds="0"), tmp_path, console=Told())
    unfinished = json.loads((tmp_path / "compare.json").read_text())
    assert unfinished["unfinished"] is True and len(unfinished["test_opened"]) == 1
    compare(ground.run, ground.target, asked(rows="popularity,scratch", seeds="0"), tmp_path, console=Told())
    done = json.loads((tmp_path / "compare.json").read_text())
    assert "unfinished" not in done and len(done["test_opened"]) == 2


def test_a_damaged_document_is_said_to_be_before_anything_is_done(ground: Ground, tmp_path: Path) -> None:
    (tmp_path / "compare.json").write_text('{"test_opened": ["2026-01-0')
    console = Told()
    with pytest.raises(RunError, match="move this file away"):
        compare(ground.run, ground.target, asked(rows="popularity"), tmp_path, console=console)
    assert not console.text and [path.name for path in tmp_path.iterdir()] == ["compare.json"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tune": "full,top:9"}, "the text encoder has 1 block,"),
        ({"rules": ["nothing.*=fresh"]}, "matches no parameter"),
        ({"rules": ["items.encoders.*=fresh"]}, "encoders move as a whole"),
        ({"stages": [{"tune": "top:9"}]}, "the text encoder has 1 block,"),
        ({"objective": {"kind": "barlow"}}, "no vector to put in their place"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained_or_opened(
    texts: SimpleNamespace, tmp_path: Path, given: dict[str, Any], told: str
) -> None:
    console = Told()
    with pytest.raises(TransRecError, match=told):
        compare(
            texts.run, texts.target, asked(rows="ease,scratch,transferred", seeds="0", **given), tmp_path, console=console
        )
    assert not list(tmp_path.iterdir()) and not console.text, "nor is the overlap checked, which takes its time"


def test_a_test_that_was_not_reached_is_not_noted(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = asked(rows="scratch", seeds="0")
    with monkeypatch.context() as patch:
        patch.setattr(work, "train", None)
        with pytest.raises(TypeError):
            compare(ground.run, ground.target, settings, tmp_path, console=Told())
    assert not (tmp_path / "compare.json").exists()
    for times in (1, 2):
        compare(ground.run, ground.target, settings, tmp_path, console=Told())
        assert len(json.loads((tmp_path / "compare.json").read_text())["test_opened"]) == times


def test_a_comparison_with_other_settings_loses_nothing(ground: Ground, tmp_path: Path) -> None:
    first, second = asked(rows="popularity,markov"), asked(rows="popularity", fractions="0.1,1")
    document, console = tmp_path / "compare.json", Told()
    written, drawn = [], []
    for settings in (first, first, second):
        compare(ground.run, ground.target, settings, tmp_path, console=console)
        written.append(json.loads(document.read_text()))
        drawn.append((tmp_path / "compare.png").read_bytes())
    assert console.text.count("another comparison had been kept there, with other settings") == 1, "the second was the same"
    [earlier] = (tmp_path / "earlier").iterdir()
    assert str(earlier) in console.text.replace("\n", "")
    kept = json.loads((earlier / "compare.json").read_text())
    assert kept["rows"] == written[1]["rows"] and (earlier / "compare.png").read_bytes() == drawn[1]
    assert len(written[2]["test_opened"]) == 3 and [row["row"] for row in written[2]["rows"]] == ["popularity"]
    compare(ground.run, ground.target, first, tmp_path, console=Told())
    [other] = (tmp_path / "earlier").iterdir()
    assert other != earlier and json.loads((other / "compare.json").read_text())["rows"] == written[2]["rows"]
    assert json.loads(document.read_text())["rows"] == written[0]["rows"], "the newest is where one looks for it"


def test_nothing_but_overlap_is_an_error(ground: Ground, tmp_path: Path) -> None:
    items = [replace(item, id=f"x{row}") for row, item in enumerate(ground.source.catalog.items(range(50)))]
    target = Dataset(Catalog.from_items(items), ground.target.interactions, name="same")
    with pytest.raises(EvaluationError, match="all 80 test targets"):
        compare(ground.run, target, asked(rows="popularity", remove_overlap=True), tmp_path, console=Told())
