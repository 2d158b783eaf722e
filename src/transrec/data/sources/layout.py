"""Layout: which files of a folder hold the events and the items, how they are written, and which columns are meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transrec.data.reading.delimited import Format


@dataclass(frozen=True, slots=True)
class Layout:
    """What a public format says about the files of one folder.

    Attributes:
        interactions: the files of events.
        items: the files of items.
        interaction_format: how the events are written; None: as the files themselves tell.
        item_format: how the items are written.
        roles: by setting (``user``, ``item``, ``time``, ``weight``, ``id``, ``text``), the column or template.
        lists: by column of the items, the mark between the members of a list; read as ``", "``.
        vectors: name -> column of given vectors.
    """

    interactions: tuple[Path, ...]
    items: tuple[Path, ...]
    interaction_format: Format | None = None
    item_format: Format | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, str] = field(default_factory=dict)
