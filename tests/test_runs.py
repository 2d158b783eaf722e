"""Run folders: where a run came from, and data that is still what it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import Case, platform

from transrec.data.dataset import Dataset
from transrec.data.splits import SplitSettings
from transrec.errors import RunError
from transrec.rules import fates, initial_sources
from transrec.runs import DataRecord, RunRecord, open_run_data, place_in, require_empty, write_card, write_parameters


def recorded(folder: Path, dataset: Dataset) -> RunRecord:
    record = RunRecord(
        verb="transfer",
        source="somewhere/source",
        data=(DataRecord.of(dataset),),
        split=SplitSettings(),
        tune="frozen",
        rules=("users.*=fresh",),
        objective={"kind": "softmax"},
        training={"epochs": 3},
    )
    record.write(folder)
    return record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    Case().model.save(tmp_path)
    record = recorded(tmp_path, platform())
    assert RunRecord.read(tmp_path) == record
    assert record.data[0].path == "", "this platform lives in memory"


def test_a_folder_without_a_record_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        RunRecord.read(tmp_path)
    Case().model.save(tmp_path)
    with pytest.raises(RunError, match="holds a model, but not where it came from"):
        RunRecord.read(tmp_path)


def test_data_is_found_again_or_its_absence_is_said(tmp_path: Path) -> None:
    data = platform().save(tmp_path / "data")
    recorded(tmp_path / "run", data)
    assert open_run_data(tmp_path / "run").fingerprint == data.fingerprint
    other = platform(seed=5).save(tmp_path / "other")
    assert open_run_data(tmp_path / "run", tmp_path / "other").fingerprint == other.fingerprint
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(RunError, match="no longer at"):
        open_run_data(tmp_path / "run")
    (tmp_path / "other").rename(tmp_path / "data")
    with pytest.raises(RunError, match="has changed since this run learned from it"):
        open_run_data(tmp_path / "run")


def test_a_folder_with_anything_in_it_is_not_written_over(tmp_path: Path) -> None:
    require_empty(tmp_path / "new")
    require_empty(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is there already and not empty"):
        require_empty(tmp_path)


def test_the_card_says_what_a_reader_needs(tmp_path: Path) -> None:
    model = Case().model
    stage = {"objective": {"kind": "masked"}, "tune": "frozen"}
    record = recorded(tmp_path, platform()).model_copy(update={"stages": (stage,)})
    became = fates(model, initial_sources(model))
    write_parameters(tmp_path, became)
    write_card(
        tmp_path, record, became, {"NDCG@10": "0.1234", "best_step": 7, "weighed": {"popularity": 0.5, "unseen": 1.0}}
    )
    card = (tmp_path / "README.md").read_text()
    total = sum(p.numel() for p in model.parameters())
    for told in ("library_name: transrec", "`source`", "0.1234", f"{total:,} of {total:,} parameters", "`users` | fresh"):
        assert told in card
    assert "Stages before: masked (`frozen`)." in card
    assert "| weighed | popularity 0.5, unseen 1 |" in card


def test_a_run_knows_which_of_its_datasets_is_meant(tmp_path: Path) -> None:
    first, second, other = (platform(seed=seed) for seed in range(3))
    for name, dataset in (("garden", first), ("kitchen", second), ("attic", other)):
        dataset.save(tmp_path / name)
    garden, kitchen, attic = (Dataset.open(tmp_path / name) for name in ("garden", "kitchen", "attic"))
    record = recorded(tmp_path / "run", garden).model_copy(update={"data": (DataRecord.of(garden), DataRecord.of(kitchen))})
    assert [record.place_of(dataset) for dataset in (garden, kitchen, attic)] == [0, 1, None]
    platform(seed=5).save(tmp_path / "grown")  # what stands in its folder has changed since
    moved = record.data[1].model_copy(update={"path": str((tmp_path / "grown").resolve())})
    grown = record.model_copy(update={"data": (record.data[0], moved)})
    assert grown.place_of(Dataset.open(tmp_path / "grown")) == 1


def test_a_folder_that_only_holds_a_model_is_taken_as_at_home(tmp_path: Path) -> None:
    case = Case()
    case.model.save(tmp_path)
    assert place_in(tmp_path, case.dataset) == 0
