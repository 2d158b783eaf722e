"""Which column is what: chosen by flags, else guessed from the names that public datasets use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from transrec.errors import DataError

NONE = "none"
"""Given instead of a column: do not use one, and do not guess."""

USER = (
    "user_id", "user", "uid", "customer_id", "customer", "reviewer_id", "visitor_id", "member_id", "account_id",
    "person_id", "session_id", "session",
)  # fmt: skip
ITEM = (
    "item_id", "item", "iid", "product_id", "product", "movie_id", "article_id", "book_id", "parent_asin", "asin",
    "track_id", "song_id", "video_id", "news_id", "post_id", "business_id", "content_id", "sku",
)  # fmt: skip
TIME = (
    "timestamp", "time", "datetime", "date", "unix_review_time", "t_dat", "created_at", "event_time", "event_timestamp",
    "unix_time", "ts", "rating_timestamp",
)  # fmt: skip
WEIGHT = ("rating", "weight", "overall", "stars", "score", "count", "play_count")
TITLE = ("title", "name", "headline", "item_name", "product_name", "prod_name", "movie_title")
DESCRIPTION = ("description", "desc", "abstract", "detail_desc", "summary", "overview", "plot", "body")
TEXT = ("text", "content")
IMAGE = (
    "image", "image_path", "image_file", "img", "picture", "photo", "poster", "cover", "thumbnail", "image_url", "img_url",
    "im_url", "picture_url", "poster_url", "image_bytes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a role.

    Attributes:
        role: such as ``"user"``.
        column: the column, a template of several for text, or None where the role is not used.
        guessed: whether it was guessed from the name.
        flag: how to choose another.
        note: what is used instead of a column.
    """

    role: str
    column: str | None
    guessed: bool
    flag: str
    note: str = ""

    @property
    def shown(self) -> str:
        """One line for a person."""
        if self.note:
            return f"{self.role}: {self.note}"
        if self.column is None:
            return f"{self.role}: none" + (f" ({self.flag} COLUMN to choose one)" if self.guessed else "")
        return f"{self.role}: {self.column}" + (f" (guessed; {self.flag} to choose another)" if self.guessed else "")


def choose(role: str, given: str | None, known: Sequence[str], columns: Sequence[str], *, flag: str) -> Choice:
    """The column for a role: the given one, none where "none" was given, else the first that has a known name.

    Raises:
        DataError: the given column is not there.
    """
    if given == NONE:
        return Choice(role, None, guessed=False, flag=flag)
    if given is not None:
        if given not in columns:
            raise DataError(
                f"there is no column {given!r} for the {role}",
                remedy=f"the columns are {', '.join(map(repr, columns))}; choose one with {flag}",
            )
        return Choice(role, given, guessed=False, flag=flag)
    by_name = {plain(column): column for column in reversed(columns)}
    found = next((by_name[plain(name)] for name in known if plain(name) in by_name), None)
    return Choice(role, found, guessed=True, flag=flag)


def require(choice: Choice, columns: Sequence[str], *, where: str) -> str:
    """The column of a role that cannot be left out.

    Raises:
        DataError: none was given, and none could be guessed.
    """
    if choice.column is None:
        raise DataError(
            f"no column looks like the {choice.role}",
            where=where,
            remedy=f"name it with {choice.flag} COLUMN; the columns are {', '.join(map(repr, columns))}",
        )
    return choice.column


def choose_text(given: str | None, columns: Sequence[str]) -> Choice:
    """The text column or template: the given one, else title and description, else a column of text."""
    if given == NONE:
        return Choice("text", None, guessed=False, flag="--text")
    if given is not None:
        return Choice("text", given, guessed=False, flag="--text")
    parts = [choose("", None, known, columns, flag="").column for known in (TITLE, DESCRIPTION)]
    named = [part for part in parts if part is not None]
    if not named:
        return choose("text", None, TEXT, columns, flag="--text")
    template = named[0] if len(named) == 1 else ". ".join("{" + name + "}" for name in named)
    return Choice("text", template, guessed=True, flag="--text")


def plain(name: str) -> str:
    """A column's name without case, separators, and the type that RecBole writes after a colon."""
    return re.sub(r"[^a-z0-9]", "", name.partition(":")[0].lower())
