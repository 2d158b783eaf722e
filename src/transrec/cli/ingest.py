"""``transrec ingest``."""

from __future__ import annotations

from pathlib import Path

from transrec.cli.inputs import Content, Events, Fetch, Files, Pictures
from transrec.data.ingest.choices import EventSettings, ItemSettings
from transrec.data.ingest.fetch import FetchSettings
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.data.pictures import PictureSettings
from transrec.recipes.ingest import ingest as ingest_recipe


def ingest(
    *,
    out: Path,
    strict: bool = False,
    name: str | None = None,
    files: Files = FileSettings(),  # noqa: B008
    events: Events = EventSettings(),  # noqa: B008
    content: Content = ItemSettings(),  # noqa: B008
    pictures: Pictures = PictureSettings(),  # noqa: B008
    fetch: Fetch = FetchSettings(),  # noqa: B008
) -> None:
    """Turn tables and pictures into a dataset folder; nothing is dropped silently.

    Columns that are not named are guessed, and the guesses printed. Rows that cannot be used are set aside in
    ``OUT/rejects.parquet`` with file, row and reason.

    Args:
        out: the dataset folder; where it is one already, new items and events are added, and items keep their rows.
        strict: stop at such rows instead, before anything is written.
        name: what to call the dataset in tables; the name of its folder by default.
        files: which files are read.
        events: columns of the interactions, and which of them are wanted.
        content: columns of the items.
        pictures: how pictures are stored.
        fetch: whether pictures behind addresses are fetched.
    """
    settings = IngestSettings(
        files=files, strict=strict, name=name, events=events, content=content, pictures=pictures, fetch=fetch
    )
    ingest_recipe(settings, out)
