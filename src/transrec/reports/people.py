"""People: some users with what they took, what they took next, and what was recommended, as strips of pictures."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transrec.data.catalog import Catalog
from transrec.data.pictures import PictureSettings, encode, own_limits

THUMBNAIL = PictureSettings(picture_side=112, picture_quality=66)
TEXT = 110
"""Characters of a text that stand in the place of a picture."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An item as people see it.

    Attributes:
        id: the platform's own name for it.
        title: what it is called.
        picture: a small JPEG as a data URI; empty where it has none, or none that can be read.
        text: the beginning of its text, to stand in the picture's place; may be empty.
    """

    id: str
    title: str
    picture: str
    text: str


@dataclass(frozen=True, slots=True)
class Person:
    """A user.

    Attributes:
        id: the platform's own name.
        events: how many there were before the truth.
        history: the last of them, oldest first.
        truth: what came next.
        rank: of the truth, among all items that are not in the history.
        recommended: best first.
    """

    id: str
    events: int
    history: Sequence[Shown]
    truth: Shown
    rank: float
    recommended: Sequence[Shown]

    @property
    def hit(self) -> bool:
        """Whether what came next is among what was recommended."""
        return any(item.id == self.truth.id for item in self.recommended)


@dataclass(frozen=True, slots=True)
class People:
    """Some users of a platform.

    Attributes:
        persons: drawn at random.
        part: whether what came next is the validation target or the test target.
        drawn_from: how many users have one.
        items: how many items the truth is ranked among.
    """

    persons: Sequence[Person]
    part: Literal["validation", "test"]
    drawn_from: int
    items: int


def shown_items(catalog: Catalog, rows: Sequence[int]) -> list[Shown]:
    """These rows of a catalog as people see them.

    Args:
        catalog: whose items.
        rows: which, in this order.
    """
    if not rows:
        return []
    with own_limits():
        return [
            Shown(
                id=item.id,
                title=title,
                picture=_data_uri(item.image) if item.image else "",
                text=textwrap.shorten(item.text, TEXT, placeholder=" …") if item.text else "",
            )
            for item, title in zip(catalog.items(rows), catalog.titles(rows), strict=True)
        ]


def _data_uri(picture: bytes) -> str:
    """The picture as a small JPEG inside a page; empty where it cannot be decoded."""
    small = encode(picture, THUMBNAIL)
    return f"data:image/jpeg;base64,{base64.b64encode(small).decode()}" if isinstance(small, bytes) else ""
