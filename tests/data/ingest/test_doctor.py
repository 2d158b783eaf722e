"""The doctor's numbers, against small data where they are known."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.ingest import doctor
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.data.interactions import Interactions
from transrec.errors import DataError


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_gini_is_the_mean_difference(counts: list[int]) -> None:
    array = np.array(counts)
    expected = np.abs(array[:, None] - array).sum() / (2 * len(array) * array.sum()) if array.sum() else 0
    assert doctor.gini(array) == pytest.approx(expected)


def test_top_share_has_at_least_one_item() -> None:
    assert doctor.top_share(np.array([6, 2, 2])) == 0.6
    assert doctor.top_share(np.arange(200)) == pytest.approx((199 + 198) / np.arange(200).sum())


@pytest.fixture
def files(tmp_path: Path) -> IngestSettings:
    (tmp_path / "events.csv").write_text("user,item,time\na,1,5\na,2,5\na,1,3\nb,1,1600000000000\nb,9,2\n")
    (tmp_path / "items.csv").write_text("item,title\n1,Same\n2,Same\n3,\n4,Other\n")
    return IngestSettings(
        files=FileSettings(interactions=(str(tmp_path / "events.csv"),), items=(str(tmp_path / "items.csv"),))
    )


def test_check_counts_without_writing(files: IngestSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found, findings = doctor.check(files)
    assert sorted(tmp_path.rglob("*")) == before
    assert found.contents.ids == ["1", "2", "4"]
    assert (len(found.interactions), found.ties, found.disorder, found.twins, found.untouched) == (4, 2, 1, 1, 1)
    assert found.lengths == doctor.Spread(1, 2, 2, 3)
    assert found.density == pytest.approx(3 / 6)
    assert {tally.reason.value for tally in findings.tallies()} == {"unknown item", "item without content"}
    told = " ".join(found.notes)
    for expected in ("milliseconds", "same content", "fewer than 3 events", "share their time", "1 event below"):
        assert expected in told


def test_a_dataset_folder_is_diagnosed_too(tmp_path: Path) -> None:
    catalog = Catalog.from_frame(pl.DataFrame({"item_id": ["x", "y"], "title": ["X", "Y"]}), text="title")
    events = pl.DataFrame({"user_id": ["a"] * 3, "item_id": ["x", "y", "x"], "timestamp": [1.6e9, 1.6e9 + 60, 1.6e9 + 120]})
    Dataset(catalog, Interactions.from_frame(events, catalog)).save(tmp_path / "data")
    found, findings = doctor.check_dataset(tmp_path / "data")
    assert (len(findings), found.disorder) == (0, None)
    assert found.period == ("2020-09-13 12:26", "2020-09-13 12:28")
    with pytest.raises(DataError, match="not a dataset folder"):
        doctor.check_dataset(tmp_path)


def test_data_without_a_usable_event_is_told(files: IngestSettings, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user,item,time\na,77,5\n")
    found, _ = doctor.check(files)
    assert found.lengths is None
    assert found.notes == ["There is nothing to train on: every row was set aside, see the findings."]
