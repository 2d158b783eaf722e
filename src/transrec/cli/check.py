"""``transrec check``."""

from __future__ import annotations

from pathlib import Path

from transrec.cli.inputs import Content, Events, Fetch, Files, Pictures
from transrec.data.ingest.choices import EventSettings, ItemSettings
from transrec.data.ingest.fetch import FetchSettings
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.data.pictures import PictureSettings
from transrec.recipes.check import check as check_recipe


def check(
    data: Path | None = None,
    /,
    *,
    plots: Path | None = None,
    strict: bool = False,
    files: Files = FileSettings(),  # noqa: B008
    events: Events = EventSettings(),  # noqa: B008
    content: Content = ItemSettings(),  # noqa: B008
    pictures: Pictures = PictureSettings(),  # noqa: B008
    fetch: Fetch = FetchSettings(),  # noqa: B008
) -> None:
    """Say what is in tables or a dataset folder, and what is wrong with it, without writing anything.

    Args:
        data: a dataset folder; or leave it out and name tables as for ``transrec ingest``.
        plots: a folder for plots of lengths, popularity and times.
        strict: end with an error where rows cannot be used.
        files: which files are read.
        events: columns of the interactions, and which of them are wanted.
        content: columns of the items.
        pictures: how pictures are decoded.
        fetch: whether pictures behind addresses are fetched.
    """
    settings = IngestSettings(files=files, strict=strict, events=events, content=content, pictures=pictures, fetch=fetch)
    check_recipe(settings, data, plots=plots)
