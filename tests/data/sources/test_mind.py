"""MIND's folders are read as they are published."""

import datetime
from pathlib import Path

import pytest
from public_formats import MORE_NEWS, NEWS, write_mind

from transrec.data.ingest.ingest import Ingested, ingest
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.errors import DataError

FIRST = datetime.datetime(2019, 11, 11, 9, 5, 58, tzinfo=datetime.UTC)  # the first impression of the sample


def read(folder: Path, out: Path) -> Ingested:
    return ingest(IngestSettings(files=FileSettings(source=("mind", folder))), out)


def events(found: Ingested) -> list[tuple[str, str, datetime.datetime]]:
    data = found.dataset
    return [
        (user, data.catalog.ids[row], datetime.datetime.fromtimestamp(time, datetime.UTC))
        for user, row, time in data.interactions.to_frame().select("user", "row", "time").iter_rows()
    ]


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime.datetime:
    return datetime.datetime(2019, 11, day, hour, minute, second, tzinfo=datetime.UTC)


def before(moment: datetime.datetime, seconds: int) -> datetime.datetime:
    return moment - datetime.timedelta(seconds=seconds)


def test_news_have_title_and_abstract(tmp_path: Path) -> None:
    found = read(write_mind(tmp_path / "MIND"), tmp_path / "data")
    catalog = found.dataset.catalog
    assert dict(zip(catalog.ids, catalog.column("text").to_list(), strict=True)) == {
        "N1": 'The "new" swing. How it is done.',
        "N2": "An island, renamed",
        "N3": "Cats. Of the week.",
    }
    assert catalog.column("category").to_list() == ["sports", "news", "lifestyle"]
    assert found.roll.repeated == 3  # dev repeats the news of train
    assert len(found.findings) == 0


def test_clicks_have_the_time_of_their_impression_and_histories_come_before_all(tmp_path: Path) -> None:
    found = read(write_mind(tmp_path / "MIND"), tmp_path / "data")
    assert events(found) == [
        ("U13740", "N2", before(FIRST, 2)),
        ("U13740", "N1", before(FIRST, 1)),
        ("U13740", "N3", FIRST),  # the history of dev has it too, and it is this click
        ("U13740", "N2", before(at(15, 8, 55, 22), 1)),  # for the second time, which no impression shows
        ("U13740", "N1", at(15, 8, 55, 22)),
        ("U91836", "N1", at(12, 0)),
        ("U91836", "N3", at(12, 0)),
    ]
    assert found.dataset.interactions.weights is None


def test_one_folder_alone(tmp_path: Path) -> None:
    found = read(write_mind(tmp_path / "MIND") / "MINDsmall_dev", tmp_path / "data")
    moment = at(15, 8, 55, 22)
    assert events(found) == [
        *[("U13740", news, before(moment, 4 - place)) for place, news in enumerate(("N2", "N1", "N3", "N2"))],
        ("U13740", "N1", moment),
    ]


def test_the_test_folder_has_histories_and_no_labels(tmp_path: Path) -> None:
    (tmp_path / "news.tsv").write_text(NEWS)
    (tmp_path / "behaviors.tsv").write_text("1\tU1\t11/16/2019 1:00:00 AM\tN1\tN1 N2\n")
    assert events(read(tmp_path, tmp_path / "data")) == [("U1", "N1", before(at(16, 1), 1))]


def test_what_is_wrong_is_found_in_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "news.tsv").write_text(NEWS + MORE_NEWS)
    (tmp_path / "behaviors.tsv").write_text(
        "1\tU1\t11/11/2019 9:00:00 AM\tN1\tN2-1 N9-1\n"
        "2\tU1\t2019-11-11 10:00\tN1\tN3-1\n"
        "3\tU1\t11/11/2019 11:00:00 AM\n"
        "4\tU2\t13/11/2019 9:00:00 AM\tN1 N2\tN3-0\n"
        "5\t\t11/11/2019 9:00:00 AM\t\tN3-1\n"
    )
    found = read(tmp_path, tmp_path / "data")
    told = found.findings.frame().select("row", "line", "reason", "detail").rows()
    unread = "not like 11/15/2019 9:05:58 AM: "
    assert [(row, line, reason) for row, line, reason, _ in told] == [
        (1, 1, "unknown item"),
        (2, 2, "bad or missing time"),
        (3, 3, "ragged row"),
        (4, 4, "bad or missing time"),
        (4, 4, "bad or missing time"),
        (5, 5, "missing user"),
    ]
    assert [detail for _, _, reason, detail in told if "time" in reason] == [
        unread + "2019-11-11 10:00",
        *[unread + "13/11/2019 9:00:00 AM"] * 2,
    ]
    assert [(user, news) for user, news, _ in events(found)] == [("U1", "N1"), ("U1", "N2")]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["train/news.tsv"], "no behaviors.tsv"),
        (["train/behaviors.tsv", "train/news.tsv", "dev/behaviors.tsv"], "no news.tsv beside"),
        (
            [f"MIND{size}_train/{name}.tsv" for size in ("small", "large") for name in ("behaviors", "news")],
            "the small MIND",
        ),
    ],
)
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, files: list[str], told: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=told):
        read(tmp_path, tmp_path / "data")
