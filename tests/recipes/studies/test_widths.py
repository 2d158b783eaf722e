"""The study of widths: each line is what a slice, or a cut of the index, is measured to be; nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cases import platform
from told import Told

from transrec.data.dataset import Dataset
from transrec.data.splits import split_of
from transrec.errors import SettingsError
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.protocol import EvaluationSettings
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.model import ModelSettings, TransRec
from transrec.recipes.studies.settings import WidthsSettings
from transrec.recipes.studies.widths import study_widths
from transrec.rules.slicing import sliced
from transrec.runs import DataRecord, RunRecord


def made(folder: Path, nested: tuple[int, ...], taught: tuple[int, ...] = ()) -> tuple[Path, Dataset]:
    """A run that has learned nothing, with all that a study reads of it."""
    data = platform().save(folder / "data")
    form = {"items": {"width": 16, "nested": nested}, "users": {"window": 6, "heads": 4, "feedforward": 16}}
    TransRec.build(ModelSettings.from_mapping(form), [data.catalog]).save(folder / "run")
    record = {"verb": "train", "data": (DataRecord.of(data),), "split": {}, "tune": "frozen", "training": {}}
    RunRecord.from_mapping({**record, "objective": {"matryoshka": {"sizes": list(taught)}}}).write(folder / "run")
    return folder / "run", data


QUICK = WidthsSettings(timed=3, evaluation=EvaluationSettings(resamples=100))


def test_a_nested_run_is_sliced_and_a_width_between_is_cut(tmp_path: Path) -> None:
    run, data = made(tmp_path, (4, 8, 16))
    console = Told()
    study = study_widths(run, settings=QUICK.updated({"widths": "4,6,8"}), console=console)
    assert [(line.width, line.how) for line in study.lines] == [(4, "slice"), (6, "index"), (8, "slice"), (16, "whole")]
    small, index, _, whole = study.lines
    assert small.index_bytes * 4 == whole.index_bytes == 16 * 4 * 50 and index.index_bytes == 6 * 4 * 50
    assert small.parameters < whole.parameters == index.parameters
    assert all(line.reading > 0 and line.searching > 0 for line in study.lines)
    model, split = TransRec.load(run), split_of(data.interactions, RunRecord.read(run).split)
    by_hand = [
        ndcg(rank_targets(ModelRanker.of(own, data, split), split, split.validation).ranks, 10).mean()
        for own in (sliced(model, 4)[0], model)
    ]
    assert [small.value.value, whole.value.value] == pytest.approx(by_hand, abs=0)
    assert small.gain is not None and small.gain.value == pytest.approx(by_hand[0] - by_hand[1]) and whole.gain is None
    folder = run / "study" / data.name / "widths"
    assert {path.name for path in folder.iterdir()} == {"study.json", "study.md", "study.png"}
    written = json.loads((folder / "study.json").read_text())
    assert [line["width"] for line in written["lines"]] == [4, 6, 8, 16] and written["part"] == "validation"
    shown = " ".join(console.text.split())
    assert "sliced" in shown and "index cut: users" in shown and "test split" not in shown and "…" not in console.text
    assert f"| 4 | sliced | {small.value} |" in (folder / "study.md").read_text()


def test_of_a_dense_run_the_widths_that_were_taught_are_cut(tmp_path: Path) -> None:
    run, _ = made(tmp_path, (), taught=(8, 16))
    study = study_widths(run, settings=QUICK.updated({"part": "test"}), out=tmp_path / "out", console=Told())
    assert [(line.width, line.how) for line in study.lines] == [(8, "index"), (16, "whole")]
    assert "the test split has been opened" in (tmp_path / "out" / "study.md").read_text()


def test_where_there_is_nothing_smaller_it_says_so(tmp_path: Path) -> None:
    run, _ = made(tmp_path, ())
    for widths in ((), (16, 32)):
        with pytest.raises(SettingsError, match="no width below the 16") as told:
            study_widths(run, settings=QUICK.updated({"widths": widths}), console=Told())
        assert "--widths 4,8" in str(told.value)
    with pytest.raises(SettingsError, match=r"no metric 'NDCG@7'; known are HR@1"):
        WidthsSettings.from_mapping({"metric": "NDCG@7"})
