"""How groups of input settings become flags, for the two verbs that read tables."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Group, Parameter

from transrec.data.ingest.choices import EventSettings, ItemSettings
from transrec.data.ingest.fetch import FetchSettings
from transrec.data.ingest.inputs import FileSettings
from transrec.data.pictures import PictureSettings


def _flags(title: str, order: int) -> Parameter:
    return Parameter(name="*", consume_multiple=True, negative="", group=Group(title, sort_key=order))


Files = Annotated[FileSettings, _flags("Files", 1)]
Events = Annotated[EventSettings, _flags("Interactions", 2)]
Content = Annotated[ItemSettings, _flags("Items", 3)]
Pictures = Annotated[PictureSettings, _flags("Pictures", 4)]
Fetch = Annotated[FetchSettings, _flags("Pictures behind addresses", 5)]
