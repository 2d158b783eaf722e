"""Desk: what the playground's page asks for, without anything of a page but the cards it shows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl

from transrec.data.catalog import TITLE_COLUMNS, Catalog
from transrec.data.dataset import Dataset
from transrec.data.item import Item
from transrec.errors import ServingError
from transrec.serving.audience import audience_of
from transrec.serving.playground.cards import Card, Line, cards_of, heading, message, plain_cards, ranked_cards
from transrec.serving.recommender import Recommender
from transrec.serving.request import Recommendation, Recommendations

FOUND = 24
"""Items that are shown of those found."""
SHOWN_USERS = 6
"""Users that are shown of those who would get a new item."""
LISTS = (10, 100)
"""Lengths of lists of which it is told how many it would be in."""
LAST = 8
"""Items that are shown of a user's history there."""

Past = Sequence[str | Item]
"""A history: ids, and items that are in no catalog."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs that are looked at.

    Attributes:
        name: of the run.
        recommender: the present one; a service may have another one a moment later.
    """

    name: str
    recommender: Callable[[], Recommender]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of a list; see :class:`~transrec.serving.request.Request`."""

    k: int = 12
    where: str = ""
    diversity: float = 0.0
    popularity: float = 1.0
    seen: bool = False


@final
class Desk:
    """Histories, lists and new items of one dataset under one run or several.

    Args:
        sides: the runs; pictures come from the first one's service.
        dataset: whose users there are.
    """

    def __init__(self, sides: Sequence[Side], dataset: Dataset) -> None:
        self.sides = sides
        self.dataset = dataset
        self._places: dict[str, int] = {}
        self._titles: tuple[Catalog, pl.Series] | None = None

    @property
    def catalog(self) -> Catalog:
        """What the first run can recommend."""
        return self.sides[0].recommender().catalog

    # ---- histories ------------------------------------------------------------------------------------------------------

    def users(self, most: int) -> list[str]:
        """The first ``most`` users."""
        return [str(user) for user in self.dataset.interactions.users.head(most)]

    def somebody(self) -> str:
        """A user drawn from those with at least two events; of all, where nobody has two."""
        events = self.dataset.interactions
        fit = np.flatnonzero(events.lengths >= 2)
        return str(events.users[random.choice(fit.tolist() if len(fit) else range(len(events.users)))])

    def history_of(self, user: str) -> list[str | Item]:
        """What a user did, oldest first.

        Raises:
            ServingError: there is no such user.
        """
        events = self.dataset.interactions
        if not self._places:
            self._places = {str(name): place for place, name in enumerate(events.users)}
        place = self._places.get(user.strip())
        if place is None:
            raise ServingError(f"there is no user {user.strip()!r}", status=404, remedy="take one of the list")
        ids = self.dataset.catalog.ids
        return [ids[row] for row in events.rows[events.offsets[place] : events.offsets[place + 1]]]

    def found(self, words: str) -> list[Card]:
        """Items in whose title all these words stand; without words those of most events."""
        catalog = self.catalog
        if not words.strip():
            counts = np.bincount(self.dataset.interactions.rows, minlength=len(self.dataset.catalog))
            rows = np.argsort(-counts, kind="stable")
        else:
            titles = self._lowered(catalog)
            fits = pl.Series([True]).new_from_index(0, len(titles))
            for word in words.lower().split():
                fits &= titles.str.contains(word, literal=True)
            rows = np.flatnonzero(fits.fill_null(value=False).to_numpy())
        rows = rows[~np.isin(rows, self.sides[0].recommender().index.removed)][:FOUND]
        return cards_of(catalog, [catalog.ids[row] for row in rows])

    def strip(self, history: Past) -> str:
        """A history, oldest first; pressing an item takes it out."""
        cards = [
            Card.of(item, item.text or "your picture", key=str(place)) if isinstance(item, Item) else None
            for place, item in enumerate(history)
        ]
        catalog = self.catalog
        known = [place for place, item in enumerate(history) if isinstance(item, str) and item in catalog]
        rows = catalog.rows([str(history[place]) for place in known])
        for place, item, title in zip(known, catalog.items(rows), catalog.titles(rows), strict=True):
            card = Card.of(item, title)
            cards[place] = Card(str(place), card.title, card.picture, card.text)
        return plain_cards(
            [card for card in cards if card is not None],
            do="drop",
            label="take out of the history:",
            empty="Nothing yet: pick a user, or press items below.",
        )

    # ---- lists ------------------------------------------------------------------------------------------------------------

    def lists(self, history: Past, wishes: Wishes, next_id: str | None = None) -> list[str]:
        """What each run recommends to whoever has this history, with reasons.

        Args:
            history: oldest first.
            wishes: what is wanted.
            next_id: what came next, where that is held back: it is marked.

        Raises:
            DataError, UnknownItemError: as :meth:`~transrec.serving.recommender.Recommender.recommend`.
        """
        if not history:
            return [message("Make a history first.") for _ in self.sides]
        answers = [
            side.recommender().recommend(
                history,
                wishes.k,
                where=wishes.where.strip() or None,
                diversity=wishes.diversity,
                popularity=wishes.popularity,
                seen=wishes.seen,
                explain=True,
            )
            for side in self.sides
        ]
        ids = [{item.id for item in answer} for answer in answers]
        common = set.intersection(*ids) if len(ids) > 1 else set()
        named = {item.id: item.text or "your picture" for item in history if isinstance(item, Item)}
        return [self._list(side, answer, named, common, next_id) for side, answer in zip(self.sides, answers, strict=True)]

    def _list(
        self, side: Side, answer: Recommendations, named: dict[str, str], common: set[str], next_id: str | None
    ) -> str:
        catalog = side.recommender().catalog
        lines = []
        for place, item in enumerate(answer, 1):
            near = [name for name, _ in item.reason.nearest] if item.reason else []
            marks = [word for word, so in (("next", item.id == next_id), ("in both", item.id in common)) if so]
            titles = [named[name] if name in named else catalog.titles([catalog.row(name)])[0] for name in near]
            lines.append(Line(place, item.score, item.reason, titles, marks))
        shown = ranked_cards(
            cards_of(catalog, [item.id for item in answer]), lines, empty="No item may be shown: look at the filter."
        )
        return heading(side.name) + self._of_next(answer, next_id) + shown

    def _of_next(self, answer: Recommendations, next_id: str | None) -> str:
        """Whether what came next is in the list."""
        if next_id is None:
            return ""
        place = next((place for place, item in enumerate(answer, 1) if item.id == next_id), None)
        title = self.catalog.titles([self.catalog.row(next_id)])[0]
        where = f"stands at place {place}" if place else f"is not among these {len(answer)}"
        return message(f"Held back: “{title}”. It {where}.")

    # ---- new items --------------------------------------------------------------------------------------------------------

    def nearest(self, item: Item, k: int = FOUND // 2) -> list[str]:
        """The items nearest to one that is in no catalog, under each run.

        Raises:
            DataError: a model cannot read it.
        """
        return [self._near(side, side.recommender().similar(item, k)) for side in self.sides]

    def _near(self, side: Side, found: Sequence[Recommendation]) -> str:
        lines = [Line(place, item.score) for place, item in enumerate(found, 1)]
        cards = cards_of(side.recommender().catalog, [item.id for item in found])
        return heading(f"Nearest under {side.name}") + ranked_cards(cards, lines, empty="There are no items.")

    def audience(self, item: Item, popularity: float = 1.0) -> list[str]:
        """Who would get an item that is in no catalog, under each run.

        Raises:
            DataError: a model cannot read it.
        """
        return [self._audience(side, item, popularity) for side in self.sides]

    def _audience(self, side: Side, item: Item, popularity: float) -> str:
        found = audience_of(side.recommender(), self.dataset, item, popularity=popularity)
        asked = len(found.places)
        drawn = "" if asked == found.users else f" drawn from {found.users:,}"
        first = ", ".join(f"among the first {k} for {found.within(k):,}" for k in LISTS if k < found.items)
        told = message(f"Of {asked:,} users{drawn} it would be {first or 'in every list'}; there are {found.items:,} items.")
        shown = []
        for user, place in found.places[:SHOWN_USERS]:
            last = [str(name) for name in self.history_of(user)[-LAST:]]
            cards = plain_cards(cards_of(self.dataset.catalog, last), do="", label="", empty="")
            shown.append(f"{message(f'{user}: at place {place:,.0f}; their last items:')}{cards}")
        return heading(f"Who would get it under {side.name}") + told + "".join(shown)

    def _lowered(self, catalog: Catalog) -> pl.Series:
        """All titles in small letters; made once a state of the catalog."""
        if self._titles is None or self._titles[0] is not catalog:
            name = next((column for column in TITLE_COLUMNS if column in catalog.columns), "text")
            self._titles = (catalog, catalog.column(name).cast(pl.String).str.to_lowercase())
        return self._titles[1]
