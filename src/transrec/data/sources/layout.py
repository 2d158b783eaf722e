"""Layout: which files of a folder hold the events and the items, how they are written, and which columns are meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transrec.data.reading.delimited import Format
from transrec.data.reading.recast import Recast


@dataclass(frozen=True, slots=True)
class Layout:
    """What a public format says about the files of one folder.

    Attributes:
        interactions: the files of events.
        items: the files of items.
        interaction_format: how the events are written; None: as the files themselves tell.
        item_format: how the items are written.
        roles: by setting (``user``, ``item``, ``time``, ``weight``, ``id``, ``text``, ``image_column``), the column or
            template; "none" for a role that is not used.
        lists: by column of the items, the mark between the members of a list; read as ``", "``.
        vectors: name -> column of given vectors.
        images: the folder from which the paths of ``image_column`` start.
        addresses: the column of pictures' addresses, used where they are to be fetched.
        recasts: by file, how its rows become one event or item a row.
    """

    interactions: tuple[Path, ...]
    items: tuple[Path, ...]
    interaction_format: Format | None = None
    item_format: Format | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, str] = field(default_factory=dict)
    images: Path | None = None
    addresses: str | None = None
    recasts: Mapping[Path, Recast] = field(default_factory=dict)
