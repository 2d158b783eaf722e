"""Choices: which columns of the tables are what, and which events are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field, StringConstraints

from transrec.data.frames import render_text
from transrec.data.reading.columns import IMAGE, ITEM, TIME, USER, WEIGHT, Choice, choose, choose_text, require
from transrec.data.reading.tables import Table
from transrec.errors import DataError
from transrec.settings import Settings


class EventSettings(Settings):
    """Which columns of the interaction tables are what, and which events are wanted."""

    user: str | None = None
    """the column of user ids"""
    item: str | None = None
    """the column of item ids"""
    time: str | None = None
    """the column of times: numbers, or ISO dates (without a zone: UTC)"""
    weight: str | None = None
    """the column of ratings, counts or other strengths; "none" for no weights"""
    min_weight: float | None = None
    """leave out events with a smaller weight"""
    repeats: Literal["all", "first"] = "all"
    """what a user's later events with the same item are: kept, or left out"""
    min_user_events: int = Field(default=0, ge=0)
    """leave out users with fewer events"""
    min_item_events: int = Field(default=0, ge=0)
    """leave out the events of items with fewer events; the items stay in the catalog"""


@dataclass(frozen=True, slots=True)
class EventColumns:
    """The columns that were chosen, and how."""

    user: Choice
    item: Choice
    time: Choice
    weight: Choice

    @property
    def choices(self) -> list[Choice]:
        """All of them, to be shown."""
        return [self.user, self.item, self.time, self.weight]


def choose_event_columns(found: Sequence[Table], settings: EventSettings) -> EventColumns:
    """Choose the columns of the interaction tables from settings and names.

    Raises:
        DataError: a column is not there, or none looks like user, item or time.
    """
    columns, where = found[0].columns, str(found[0].path)
    user = choose("user", settings.user, USER, columns, flag="--user")
    item = choose("item", settings.item, ITEM, columns, flag="--item")
    time = choose("time", settings.time, TIME, columns, flag="--time")
    weight = choose("weight", settings.weight, WEIGHT, columns, flag="--weight")
    needed = [require(choice, columns, where=where) for choice in (user, item, time)]
    if settings.min_weight is not None:
        needed.append(require(weight, columns, where=where))
    if weight.column:
        needed.append(weight.column)
    for table in found[1:]:
        if missing := [name for name in needed if name not in table.columns]:
            raise DataError(
                f"there is no column {missing[0]!r}, which {where} has",
                where=str(table.path),
                remedy="give all tables the same columns, or ingest them one after the other",
            )
    return EventColumns(user, item, time, weight)


class ItemSettings(Settings):
    """Which columns of the item tables are what. "none" switches a role off; what is not given is guessed and printed."""

    id: str | None = None
    """the column of item ids"""
    text: str | None = None
    """a column of text, or a template of several such as "{title}. {description}" """
    image_column: str | None = None
    """a column of pictures: paths, http(s) addresses, or bytes (Parquet)"""
    images: Path | None = None
    """a folder of pictures: named by item id, or where the paths of --image-column start from"""
    vectors: tuple[Annotated[str, StringConstraints(pattern=r"^\w+=.+$")], ...] = ()
    """given vectors, each as name=column; the column holds lists, or numbers separated by spaces or commas"""

    @property
    def vector_columns(self) -> dict[str, str]:
        """The column of each given vector, by its name."""
        return dict(pair.split("=", 1) for pair in self.vectors)


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """The columns that were chosen, and how."""

    id: Choice
    text: Choice
    image: Choice
    vectors: Mapping[str, str]
    kept: tuple[str, ...]

    @property
    def choices(self) -> list[Choice]:
        """All of them, to be shown."""
        given = [Choice(f"vector {name}", column, guessed=False, flag="--vectors") for name, column in self.vectors.items()]
        return [self.id, self.text, self.image, *given]


def choose_item_columns(found: Sequence[Table], settings: ItemSettings, *, prefer: str | None = None) -> ItemColumns:
    """Choose the columns of the item tables from settings and names.

    Args:
        found: the tables; the columns of the first decide, the others must have them too.
        settings: what was given.
        prefer: the item column of the interactions, the first guess for the id.

    Raises:
        DataError: a column is not there, or none looks like the id.
    """
    columns = found[0].columns
    known = (*([prefer] if prefer else []), *ITEM, "id")
    chosen_id = choose("id", settings.id, known, columns, flag="--id")
    require(chosen_id, columns, where=str(found[0].path))
    text = choose_text(settings.text, columns)
    if text.column:
        render_text(pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), text.column)
    if settings.images and settings.image_column is None:
        image = Choice(
            "picture", None, guessed=False, flag="--image-column", note=f"files in {settings.images} named by item id"
        )
    else:
        image = choose("picture", settings.image_column, IMAGE, columns, flag="--image-column")
    for name, column in settings.vector_columns.items():
        choose(f"vector {name}", column, (), columns, flag="--vectors")
    if not (text.column or image.column or settings.images or settings.vectors):
        raise DataError(
            "the items have no content: no column looks like a text or a picture",
            where=str(found[0].path),
            remedy="name one with --text, --image-column, --images or --vectors; the columns are "
            + ", ".join(map(repr, columns)),
        )
    used = {chosen_id.column, image.column, *settings.vector_columns.values()}
    every = dict.fromkeys(column for table in found for column in table.columns)
    return ItemColumns(
        chosen_id, text, image, settings.vector_columns, tuple(column for column in every if column not in used)
    )
