"""Ingest as a person meets it: files in, a folder out, everything that was wrong on record."""

import csv
import http.server
import io
import json
import os
import shutil
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transrec.data.dataset import Dataset
from transrec.data.ingest import writing
from transrec.data.ingest.choices import EventSettings, ItemSettings
from transrec.data.ingest.fetch import FetchSettings
from transrec.data.ingest.ingest import Ingested, ingest
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.data.pictures import PictureSettings
from transrec.data.reading.findings import Reason
from transrec.errors import DataError, SettingsError

ALL = EventSettings()
EVENTS = "user_id,item_id,timestamp,rating\na,1,5,4\na,2,3,5\nb,1,7,1\nb,3,8,2\n"
ITEMS = "item_id,title,description,price\n1,One,first,10\n2,Two,,20\n3,Three,third,30\n"


def picture(colour: str = "red", size: tuple[int, int] = (40, 20)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


class Desk:
    """A folder with tables, and ingest with few words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("events.csv", EVENTS)
        self.write("items.csv", ITEMS)

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def settings(self, table: str | None = "events.csv", items: str | None = "items.csv", **more: object) -> IngestSettings:
        files = FileSettings(
            interactions=(str(self.folder / table),) if table else (), items=(str(self.folder / items),) if items else ()
        )
        return IngestSettings(files=files, **more)  # type: ignore[arg-type]

    @property
    def out(self) -> Path:
        return self.folder / "data"

    def reasons(self, found: Ingested) -> list[tuple[str, int, str, bool]]:
        return found.findings.frame().select("table", "row", "reason", "kept").rows()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_dataset_folder_holds_what_the_tables_held(desk: Desk) -> None:
    found = run(desk)
    data = Dataset.open(desk.out)
    assert data.catalog.ids == ["1", "2", "3"]
    assert [item.text for item in data.catalog.items([0, 1, 2])] == ["One. first", "Two", "Three. third"]
    assert data.catalog.column("price").to_list() == ["10", "20", "30"]
    assert data.interactions.users.to_list() == ["a", "b"]
    assert data.interactions.rows.tolist() == [1, 0, 0, 2]
    assert data.interactions.times.tolist() == [3, 5, 7, 8]
    assert data.interactions.weights is not None
    assert data.interactions.weights.tolist() == [5, 4, 1, 2]
    assert len(found.findings) == 0
    assert sorted(path.name for path in desk.out.iterdir()) == [
        "catalog.lance",
        "dataset.json",
        "interactions.parquet",
        "rejects.parquet",
    ]


def test_the_manifest_tells_columns_counts_filters_and_fingerprint(desk: Desk) -> None:
    found = run(desk)
    manifest = json.loads((desk.out / "dataset.json").read_text())
    assert (manifest["users"], manifest["items"], manifest["interactions"]) == (2, 3, 4)
    assert manifest["columns"]["interactions"] == {
        "user": "user_id",
        "item": "item_id",
        "time": "timestamp",
        "weight": "rating",
    }
    assert manifest["columns"]["items"] == {"id": "item_id", "text": "{title}. {description}"}
    assert manifest["fingerprint"] == found.dataset.fingerprint
    assert manifest["ingests"][0]["event_rows_read"] == 4


def run(desk: Desk, *, items: str = "items.csv", wanted: EventSettings = ALL, **more: object) -> Ingested:
    return ingest(desk.settings(items=items, events=wanted, **more), desk.out)


def test_filters_say_how_many_rows_they_removed(desk: Desk) -> None:
    desk.write("events.csv", EVENTS + "a,1,9,5\n")
    found = run(desk, wanted=EventSettings(min_weight=2, repeats="first", min_user_events=2))
    assert [(own.name, own.removed) for own in found.events.filters] == [  # type: ignore[union-attr]
        ("weight at least 2", 1),
        ("only the first event of a user with an item", 1),
        ("users with at least 2 events", 1),
    ]
    assert found.dataset.interactions.users.to_list() == ["a"]
    assert found.dataset.manifest["filters"][0] == {"name": "weight at least 2", "removed": 1}


def test_the_smallest_weight_that_is_wanted_stays(desk: Desk) -> None:
    desk.write("events.csv", "user,item,time,rating\na,1,1,4.1\na,2,2,4.0\n")
    assert len(run(desk, wanted=EventSettings(min_weight=4.1)).dataset.interactions) == 1


def test_minimum_lengths_hold_together(desk: Desk) -> None:
    desk.write("events.csv", "user,item,time\na,1,1\na,2,2\nb,1,1\nb,2,2\nb,3,3\nc,3,1\n")
    found = run(desk, wanted=EventSettings(min_user_events=2, min_item_events=2))
    # c goes, then item 3 has one event left and goes too
    assert found.dataset.interactions.to_frame().select("user", "row").rows() == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert len(found.dataset.catalog) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",1,5,4", Reason.NO_USER),
        ("a,,5,4", Reason.NO_ITEM),
        ("a,1,,4", Reason.BAD_TIME),
        ("a,1,soon,4", Reason.BAD_TIME),
        ("a,1,6,good", Reason.BAD_WEIGHT),
        ("a,99,6,4", Reason.UNKNOWN_ITEM),
        ("a,1,5,4", Reason.DUPLICATE_EVENT),
        ("a,1,6", Reason.RAGGED),
        ("a,1,6,4,7", Reason.RAGGED),
        ("a\0,1,6,4", Reason.NUL_BYTE),
    ],
)
def test_a_bad_event_is_set_aside_with_its_row(desk: Desk, line: str, reason: Reason) -> None:
    path = desk.write("events.csv", EVENTS + line + "\nc,2,9,1\n")
    found = run(desk)
    rejects = pl.read_parquet(desk.out / "rejects.parquet")
    assert rejects.select("table", "file", "row", "line", "reason", "kept").rows() == [
        ("interactions", str(path), 5, 6, reason.value, False)
    ]
    assert len(found.dataset.interactions) == 5
    assert path.read_text().splitlines()[rejects["line"][0] - 1] == line


def test_wrong_encoding_in_an_event(desk: Desk) -> None:
    desk.write("events.csv", EVENTS.encode() + b"caf\xe9,1,5,4\n")
    assert desk.reasons(run(desk)) == [("interactions", 5, "wrong encoding", False)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",No id,x,1", Reason.NO_ID),
        ("4,,,1", Reason.NO_CONTENT),
        ("1,Other,x,1", Reason.DUPLICATE_ID),
        ("4,Four", Reason.RAGGED),
        ("4,Fo\0ur,x,1", Reason.NUL_BYTE),
    ],
)
def test_a_bad_item_is_set_aside_with_its_row(desk: Desk, line: str, reason: Reason) -> None:
    desk.write("items.csv", ITEMS + line + "\n5,Five,x,1\n")
    found = run(desk)
    assert desk.reasons(found) == [("items", 4, reason.value, False)]
    assert found.dataset.catalog.ids == ["1", "2", "3", "5"]
    assert found.dataset.catalog.items([0])[0].text == "One. first"


def test_the_same_item_twice_is_counted_and_harmless(desk: Desk) -> None:
    desk.write("items.csv", ITEMS + "1,One,first,99\n")
    found = run(desk)
    assert (found.roll.read, found.roll.repeated, len(found.findings)) == (4, 1, 0)


def test_strict_writes_nothing(desk: Desk) -> None:
    desk.write("events.csv", EVENTS + "a,99,6,4\n")
    with pytest.raises(DataError, match="unknown item"):
        run(desk, strict=True)
    assert sorted(path.name for path in desk.folder.iterdir()) == ["events.csv", "items.csv"]


def test_an_interrupt_leaves_the_old_dataset_and_no_scraps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(desk).dataset.fingerprint
    desk.write("more.csv", "item_id,title,description,price\n7,Seven,,1\n")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing.CatalogWriter, "flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(desk, items="more.csv")
    assert Dataset.open(desk.out).fingerprint == before
    assert [path.name for path in desk.folder.iterdir() if path.name.startswith(".")] == []


def test_ingesting_again_appends_and_rows_stay(desk: Desk) -> None:
    first = run(desk).dataset
    desk.write("items.csv", "item_id,title,description,colour\n4,Four,,red\n1,One,first,\n2,Changed,,\n")
    desk.write("events.csv", "user_id,item_id,timestamp,rating\nb,4,7.5,3\nA,4,1,1\na,1,5,4\n")
    found = run(desk)
    data = found.dataset
    assert data.catalog.ids == [*first.catalog.ids, "4"]
    assert data.catalog.column("price").to_list() == ["10", "20", "30", None]
    assert data.catalog.column("colour").to_list() == [None, None, None, "red"]
    assert data.interactions.to_frame().rows() == [
        ("A", 3, 1.0, 1.0),
        ("a", 1, 3.0, 5.0),
        ("a", 0, 5.0, 4.0),
        ("b", 0, 7.0, 1.0),
        ("b", 3, 7.5, 3.0),
        ("b", 2, 8.0, 2.0),
    ]
    assert (found.roll.repeated, found.events.present) == (1, 1)  # type: ignore[union-attr]
    assert desk.reasons(found) == [("items", 3, "duplicate id with different content", False)]
    assert len(data.manifest["ingests"]) == 2
    assert pl.read_parquet(desk.out / "rejects.parquet")["ingest"].to_list() == [2]


def test_the_old_folder_is_not_changed_through_its_links(desk: Desk) -> None:
    first = run(desk).dataset
    kept = desk.folder / "kept"
    desk.out.rename(kept)
    shutil.copytree(kept, desk.out, copy_function=os.link)  # as a person might keep a copy that shares its files
    desk.write("items.csv", "item_id,title,description,price\n4,Four,,1\n")
    ingest(desk.settings(None), desk.out)
    assert Dataset.open(kept).catalog.ids == first.catalog.ids
    assert Dataset.open(desk.out).catalog.ids == ["1", "2", "3", "4"]


def test_only_items_or_only_events_extend_a_dataset_but_do_not_make_one(desk: Desk) -> None:
    with pytest.raises(DataError, match="--items"):
        ingest(desk.settings(items=None), desk.out)
    run(desk)
    desk.write("more.csv", "user_id,item_id,timestamp,rating\nc,1,1,1\n")
    assert len(ingest(desk.settings("more.csv", None), desk.out).dataset.interactions) == 5


def test_weights_now_and_not_before_are_an_error(desk: Desk) -> None:
    run(desk)
    with pytest.raises(DataError, match="weights"):
        run(desk, wanted=EventSettings(weight="none"))


def test_something_else_is_not_overwritten(desk: Desk) -> None:
    desk.write("data/diary.txt", "dear")
    with pytest.raises(DataError, match="not a dataset folder"):
        run(desk)
    assert (desk.out / "diary.txt").read_text() == "dear"


def test_nothing_usable_is_an_error_with_reasons(desk: Desk) -> None:
    desk.write("events.csv", "user,item,time\na,98,1\nb,99,1\n")
    with pytest.raises(DataError, match=r"2 rows of the interactions were set aside \(unknown item\)"):
        run(desk)
    desk.write("items.csv", "item_id,title\n1,\n")
    with pytest.raises(DataError, match="item without content"):
        run(desk)


def with_pictures(desk: Desk) -> None:
    for name, data in {"1.png": picture(), "2.jpg": b"broken", "3.PNG": picture("blue"), "9.png": picture()}.items():
        desk.write(f"images/{name}", data)


def test_pictures_named_by_item(desk: Desk) -> None:
    with_pictures(desk)
    found = run(desk, content=ItemSettings(images=desk.folder / "images"), pictures=PictureSettings(picture_side=16))
    assert found.dataset.catalog.presence["image"].tolist() == [True, False, True]
    image = found.dataset.catalog.items([0])[0].image
    assert image is not None
    assert Image.open(io.BytesIO(image)).size == (16, 8)
    assert desk.reasons(found) == [("items", 2, "unreadable picture", True)]


def test_pictures_by_path_stay_within_the_folder(desk: Desk) -> None:
    with_pictures(desk)
    desk.write("secret.png", picture())
    desk.write(
        "items.csv",
        "item_id,title,image\n1,One,1.png\n2,,2.jpg\n3,Three,../secret.png\n4,Four,5.png\n5,Five,\n6,Six,https://x.y/z.png\n",
    )
    found = run(desk, content=ItemSettings(images=desk.folder / "images", image_column="image"))
    assert found.dataset.catalog.presence["image"].tolist() == [True, False, False, False, False]
    assert desk.reasons(found) == [
        ("interactions", 2, "unknown item", False),
        ("items", 2, "unreadable picture", False),  # and no text: the item is lost
        ("items", 3, "path leaves the folder", True),
        ("items", 4, "picture not found", True),
        ("items", 6, "picture is an address", True),
    ]


def test_an_item_may_have_any_part_of_text_picture_and_vectors(desk: Desk) -> None:
    table = pl.DataFrame(
        {
            "item_id": [1, 2, 3, 4, 5],
            "title": ["One", None, None, "Four", "Five"],
            "image": [None, picture(), None, picture("blue"), None],
            "clip": [None, None, [1.0, 2.0], [3.0, 4.0], [1.0, float("nan")]],
            "year": [1, 2, 3, 4, 5],
        }
    )
    table.write_parquet(desk.folder / "items.parquet")
    found = run(desk, items="items.parquet", content=ItemSettings(vectors=("look=clip",)))
    catalog = found.dataset.catalog
    assert catalog.ids == ["1", "2", "3", "4", "5"]
    assert {name: present.tolist() for name, present in catalog.presence.items()} == {
        "text": [True, False, False, True, True],
        "image": [False, True, False, True, False],
        "look": [False, False, True, True, False],
    }
    np.testing.assert_array_equal(catalog.items([3])[0].vectors["look"], [3, 4])
    assert catalog.column("year").dtype == pl.Int64
    assert desk.reasons(found) == [
        ("items", 2, "empty text", True),
        ("items", 3, "empty text", True),
        ("items", 5, "bad vector", True),
    ]
    assert found.findings.frame()["line"].to_list() == [None, None, None]


def test_picture_size_is_that_of_the_first_ingest(desk: Desk) -> None:
    with_pictures(desk)
    content = ItemSettings(images=desk.folder / "images")
    run(desk, content=content, pictures=PictureSettings(picture_side=16))
    again = run(desk, content=content)
    assert (again.roll.repeated, [r for r in desk.reasons(again) if r[2] != "unreadable picture"]) == (3, [])
    with pytest.raises(DataError, match="--picture-side 16, now 32"):
        run(desk, content=content, pictures=PictureSettings(picture_side=32))


def test_many_files_by_glob_keep_their_own_row_numbers(desk: Desk) -> None:
    desk.write("part-0.csv", "user,item,time\na,1,1\na,99,2\n")
    desk.write("part-1.csv", "time,item,user\n3,99,a\n4,2,a\n")
    found = ingest(desk.settings("part-*.csv"), desk.out)
    assert found.findings.frame().select("row", pl.col("file").str.tail(10)).rows() == [(2, "part-0.csv"), (1, "part-1.csv")]
    assert found.dataset.interactions.rows.tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl"])
def test_every_kind_of_table_gives_the_same_dataset(desk: Desk, kind: str) -> None:
    plain = run(desk).dataset.fingerprint
    for name, text in (("events", EVENTS), ("items", ITEMS)):
        table = pl.read_csv(io.StringIO(text))
        writers = {"csv": table.write_csv, "parquet": table.write_parquet, "jsonl": table.write_ndjson}
        path = desk.folder / f"{name}.{kind}"
        table.write_csv(path, separator="\t") if kind == "tsv" else writers[kind](path)  # type: ignore[operator]
    assert ingest(desk.settings(f"events.{kind}", f"items.{kind}"), desk.folder / "other").dataset.fingerprint == plain


def test_vectors_need_a_name() -> None:
    with pytest.raises(SettingsError, match="vectors"):
        ItemSettings.from_mapping({"vectors": ["clip"]})


class _Poster(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if self.path == "/1.png" else 404)
        self.end_headers()
        self.wfile.write(picture())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_pictures_behind_addresses_are_fetched_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Poster)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        host = f"http://127.0.0.1:{server.server_address[1]}"
        desk.write("items.csv", f"item_id,title,image\n1,One,{host}/1.png\n2,Two,{host}/2.png\n3,Three,\n")
        for place in ("data", "again"):
            settings = desk.settings(
                fetch=FetchSettings(fetch_images=True, fetch_private=True, fetch_folder=desk.folder / "kept")
            )
            found = ingest(settings, desk.folder / place)
            assert found.dataset.catalog.presence["image"].tolist() == [True, False, False]
            assert desk.reasons(found) == [("items", 2, "picture not fetched", True)]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert sorted(_Poster.asked) == ["/1.png", "/2.png", "/2.png"]


FIELDS = st.sampled_from(["", " ", "1", "2", "3", "red, blue", 'a "quoted" one', "two\nlines", "nan", "\u00e9", "x" * 40])


@settings(max_examples=25)
@given(
    st.lists(st.tuples(FIELDS, FIELDS, st.sampled_from(["", "5", "1e3", "2026-01-01", "soon"])), max_size=12),
    st.lists(st.tuples(FIELDS, FIELDS), max_size=8),
)
def test_every_row_is_in_the_dataset_or_on_record(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, str, str]], items: list[tuple[str, str]]
) -> None:
    """Nothing is dropped silently: rows that are kept, repeated and set aside come to all the rows that there were."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    for name, header, rows in (
        ("events.csv", ("user_id", "item_id", "timestamp"), [("a", "1", "5"), *events]),
        ("items.csv", ("item_id", "title"), [("1", "One"), *items]),
    ):
        with (desk.folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    found = ingest(desk.settings(), desk.out)
    rejects = pl.read_parquet(desk.out / "rejects.parquet").filter(~pl.col("kept"))
    of_events = rejects.filter(pl.col("table") == "interactions")
    assert len(found.dataset.interactions) + len(of_events) == 1 + len(events)
    assert len(found.dataset.catalog) + found.roll.repeated + len(rejects) - len(of_events) == 1 + len(items)
    assert rejects.select("table", "file", "row").is_unique().all()
    assert found.dataset.interactions.rows.max() < len(found.dataset.catalog)
