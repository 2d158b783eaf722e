"""Cards: items as people see them, in HTML. Everything that comes from data is escaped here, and only here.

A card is a button where it can be taken or put back: ``data-do`` says what pressing it does, ``data-item`` to which item.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from transrec.data.catalog import Catalog
from transrec.data.item import Item
from transrec.retrieval.explaining import Reason

TEXT = 110
"""Characters of a text that stand in the place of a picture."""
SIDE = 256
"""Pixels of a picture's longer side: what screens with two dots a pixel show of it."""


@dataclass(frozen=True, slots=True)
class Card:
    """An item, ready to be shown.

    Attributes:
        key: what pressing it tells: the item's id, or its place where it has none in the catalog.
        title: what it is called.
        picture: where its picture is; empty where it has none.
        text: stands in the picture's place; may be empty.
    """

    key: str
    title: str
    picture: str
    text: str

    @classmethod
    def of(cls, item: Item, title: str, *, key: str | None = None) -> Card:
        """The card of an item; pictures of the catalog's come from the service, those of others are in the page."""
        picture = ""
        if item.image is not None:
            picture = f"v1/items/{quote(item.id, safe='')}/thumbnail?side={SIDE}" if key is None else _inside(item.image)
        text = item.text or ""
        return cls(item.id if key is None else key, title, picture, text if len(text) <= TEXT else text[: TEXT - 2] + " …")


def cards_of(catalog: Catalog, ids: Sequence[str]) -> list[Card]:
    """The cards of items of a catalog; ids that it does not hold are left out."""
    rows = catalog.rows(ids)
    rows = rows[rows >= 0]
    return [Card.of(item, title) for item, title in zip(catalog.items(rows), catalog.titles(rows), strict=True)]


@dataclass(frozen=True, slots=True)
class Line:
    """What stands below the title of a recommended item.

    Attributes:
        place: in the list, from 1.
        score: of the item.
        reason: why; None where there is no telling.
        near: titles of the items of ``reason.nearest``.
        marks: short words that set it off: "next", "in both".
    """

    place: int
    score: float
    reason: Reason | None = None
    near: Sequence[str] = ()
    marks: Sequence[str] = ()


def plain_cards(cards: Sequence[Card], *, do: str, label: str, empty: str) -> str:
    """Cards in a row.

    Args:
        cards: what to show.
        do: what pressing one does: ``"add"``, ``"drop"``; nothing happens, and they are no buttons, when empty.
        label: what a button is called, before the title, for those who hear the page.
        empty: what is said where there is nothing.
    """
    if not cards:
        return f'<p class="tr-empty">{escape(empty)}</p>'
    return '<ul class="tr-strip">' + "".join(f"<li>{_face(card, do, label)}</li>" for card in cards) + "</ul>"


def ranked_cards(cards: Sequence[Card], lines: Sequence[Line], *, empty: str) -> str:
    """Cards in the order of a list, with place, score and reason; pressing one adds it to the history."""
    if not cards:
        return f'<p class="tr-empty">{escape(empty)}</p>'
    shown = [
        f"<li>{_face(card, 'add', 'add to the history:')}{_below(line)}</li>"
        for card, line in zip(cards, lines, strict=True)
    ]
    return '<ol class="tr-list">' + "".join(shown) + "</ol>"


def message(text: str, *, wrong: bool = False) -> str:
    """A sentence beside what it is about; said aloud at once where something is wrong."""
    return f'<p class="tr-{"wrong" if wrong else "told"}" role="{"alert" if wrong else "status"}">{escape(text)}</p>'


def heading(text: str) -> str:
    """A heading of a list."""
    return f'<h3 class="tr-heading">{escape(text)}</h3>'


def _face(card: Card, do: str, label: str) -> str:
    """Picture (or the beginning of the text) and title."""
    title = escape(card.title)
    if card.picture:
        front = f'<img src="{escape(card.picture)}" alt="" loading="lazy">'
    else:
        front = f'<span class="tr-text">{escape(card.text)}</span>'
    inside = f'{front}<span class="tr-title">{title}</span>'
    if not do:
        return f'<div class="tr-face">{inside}</div>'
    key, name = escape(card.key), escape(f"{label} {card.title}")
    return (
        f'<button type="button" class="tr-face" data-do="{do}" data-item="{key}" aria-label="{name}" '
        f'title="{name}">{inside}</button>'
    )


def _below(line: Line) -> str:
    """Place, score, shares of the views, and what of the history is near."""
    marks = "".join(f'<span class="tr-mark">{escape(mark)}</span>' for mark in line.marks)
    parts = [f'<p class="tr-score"><b>{line.place}</b> <span>{line.score:.3g}</span>{marks}</p>']
    if line.reason is not None:
        parts.append(_shares(line.reason))
        if line.near:
            title, cosine = line.near[0], line.reason.nearest[0][1]
            parts.append(f'<p class="tr-why">near “{escape(title)}” ({cosine:.2f})</p>')
    return "".join(parts)


def _shares(reason: Reason) -> str:
    """A bar of the views' shares, and the same in words."""
    if not reason.views:
        return '<p class="tr-why">nothing of it could be read</p>'
    order = sorted(reason.views)
    bars = "".join(f'<i class="tr-{_kind(name)}" style="width:{reason.views[name] * 100:.1f}%"></i>' for name in order)
    words = " · ".join(f"{escape(name)} {reason.views[name]:.0%}" for name in order)
    counts = f" · counts {reason.counts:+.2g}" if abs(reason.counts) >= 0.005 else ""
    return f'<span class="tr-bar" aria-hidden="true">{bars}</span><p class="tr-why">{words}{counts}</p>'


def _kind(name: str) -> str:
    return name if name in ("text", "image") else "other"


def _inside(picture: bytes) -> str:
    """A picture as a part of the page; as :func:`transrec.data.pictures.encode` leaves it, a JPEG."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
