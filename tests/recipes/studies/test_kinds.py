"""The study of kinds of target, from the versions to the table."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from comparing_ground import text_run
from studying_ground import QUICK, Done, Ground, Told

from transrec.data.dataset import Dataset
from transrec.errors import DataError, RunError
from transrec.recipes.comparing import work
from transrec.recipes.studies.kinds import kept_version, study_kinds
from transrec.recipes.studies.settings import KindsSettings


def asked(**given: Any) -> KindsSettings:
    return KindsSettings.from_mapping({**QUICK, "training": {"epochs": 1}, **given})


def test_every_kind_is_compared_on_the_same_targets(done: Done, ground: Ground) -> None:
    study = done.study
    assert [line.label for line in study.lines] == ["mixed", "text", "image", "both"]
    benches = [line.comparison.bench for line in study.lines]
    for bench in benches:
        assert np.array_equal(bench.whole.test.positions, benches[0].whole.test.positions)
        assert len(bench.dataset.catalog) == 40
        assert bench.training.epochs == 1
    assert [bench.content for bench in benches] == [("text", "image"), ("text",), ("image",), ("text", "image")]
    assert len({bench.dataset.fingerprint for bench in benches}) == 4 and benches[3].dataset is ground.target
    assert all([row.row.name for row in line.comparison.findings.table] == list(study_rows()) for line in study.lines)


def study_rows() -> tuple[str, ...]:
    return ("scratch", "zero-shot", "transferred")


def test_versions_are_kept_with_what_was_prepared_of_them(done: Done, ground: Ground) -> None:
    versions = sorted((done.folder / "data").iterdir())
    assert [path.name.split("-")[0] for path in versions] == ["image", "mixed", "text"]
    assert all(list((path / "store").iterdir()) for path in versions), "prepared and encoded once for all models"
    opened = kept_version(ground.target, "text", done.folder / "data")
    assert opened.folder == versions[2] and opened.name == "target, text only"


def test_a_second_call_trains_nothing(done: Done, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "transfer", "rank_targets"):
        monkeypatch.setattr(work, name, None)
    again = study_kinds(ground.run, ground.target, asked(), done.folder, console=Told())
    assert again.sentences == done.study.sentences
    assert len(json.loads((done.folder / "compare" / "text" / "compare.json").read_text())["test_opened"]) == 2


def test_items_without_the_kind_rank_last_and_are_counted(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("sparse")
    sparse = ground.world.platform("sparse", users=60, items=40, generator=np.random.default_rng(5), modalities="mixed")
    console = Told()
    study = study_kinds(ground.run, sparse, asked(kinds="text", rows="zero-shot"), folder, console=console)
    [line] = study.lines
    assert line.facts["items"] == 40 and line.facts["items_that_rank_last"] == 20
    bench = line.comparison.bench
    rows_E = bench.whole.interactions.rows[bench.whole.test.positions]
    lost_E = ~sparse.catalog.presence["text"][rows_E]
    assert line.facts["targets_that_rank_last"] == lost_E.sum() > 0
    # a target that ranks last cannot be among the first ten of forty items, whose histories are short
    [row] = line.comparison.findings.table
    assert row.measured.values_SE[:, lost_E].max() == 0 < row.measured.values_SE[:, ~lost_E].max()
    told = " ".join(console.text.split())
    assert "20 of 40 items have nothing that the run reads and rank last" in told and "20 last" in told
    assert "was not asked" in study.headline


def test_what_cannot_be_had_is_left_out_unless_it_was_named(
    ground: Ground, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    texts = ground.world.platform("texts", users=60, items=40, generator=np.random.default_rng(6), modalities="text")
    study = study_kinds(ground.run, texts, asked(rows="zero-shot"), folder, console=Told())
    assert [line.label for line in study.lines] == ["text", "both"]
    assert study.left_out == {
        "mixed": "there is nothing to mix: no item has a picture",
        "image": "no item has a picture",
    }
    with pytest.raises(DataError, match="no item has a picture, so there is no kind 'image'"):
        study_kinds(ground.run, texts, asked(kinds="image"), folder, console=Told())


def test_a_run_that_cannot_read_the_kind(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("blind")
    _, _, run = text_run(folder)
    with pytest.raises(RunError, match="the run reads text alone, and so nothing of the kind 'image'"):
        study_kinds(run, ground.target, asked(kinds="text,image"), folder, console=Told())


def test_a_run_that_learned_from_the_target(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("home")
    with pytest.raises(RunError, match="has learned from 'source' itself"):
        study_kinds(ground.run, ground.source, asked(kinds="text"), folder, console=Told())
    assert not list(folder.iterdir()), "no version was made, and no test opened"
    copy = Dataset(ground.source.catalog, ground.source.interactions, name="copy")
    with pytest.raises(RunError, match="itself"):
        study_kinds(ground.run, copy, asked(kinds="text"), folder, console=Told())
