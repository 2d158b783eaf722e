"""World: topics, their looks and words, and what follows what; platforms are drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import polars as pl

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.worlds.behaviour import Behaviour, Offer, walk
from transrec.data.worlds.pictures import draw_picture
from transrec.data.worlds.sentences import invent_makers, write_sentence
from transrec.data.worlds.vocabulary import STYLES, TOPICS, Dialect, Style, Topic
from transrec.errors import DataError

Modalities = Literal["mixed", "text", "image", "both"]
"""What the items of a platform have: text or a picture (half of them each), text, a picture, or both."""

SOURCE_BEHAVIOUR = Behaviour()
TARGET_BEHAVIOUR = Behaviour(shortest=5, longest=9)
NUM_MAKERS = 40
ATTEMPTS = 1_000

_T = TypeVar("_T", Topic, Style)


class SourceAndTargets(NamedTuple):
    """A platform to learn on and platforms to move to."""

    source: Dataset
    targets: dict[str, Dataset]


@dataclass(frozen=True, eq=False)
class World:
    """What the platforms of one world have in common; T topics.

    Attributes:
        topics: what items can be about, each with its words and its motif.
        styles: how items can be, each with its words and its ground.
        transitions_TT: probability of each topic (column) to follow each (row); rows sum to 1, the diagonal is 0.
        picture_side: width and height of pictures, in pixels.
    """

    topics: tuple[Topic, ...]
    styles: tuple[Style, ...]
    transitions_TT: np.ndarray
    picture_side: int = 32

    def __post_init__(self) -> None:
        self.transitions_TT.setflags(write=False)

    @classmethod
    def make(
        cls,
        generator: np.random.Generator,
        *,
        topics: int = 12,
        styles: int = 4,
        apart_from: World | None = None,
        picture_side: int = 32,
    ) -> World:
        """Draw a world.

        Every topic has two successors: three times in four the next on one ring through all topics, else the next on
        another ring.

        Args:
            generator: decides which topics and styles there are and what follows what.
            topics: how many, at least 3; :data:`~transrec.data.worlds.vocabulary.TOPICS` has 24.
            styles: how many; :data:`~transrec.data.worlds.vocabulary.STYLES` has 8.
            apart_from: another world that this one shall share no topic, style, word or motif with.
            picture_side: width and height of pictures, in pixels.

        Raises:
            DataError: there are not enough topics or styles.
        """
        taken = apart_from or cls(topics=(), styles=(), transitions_TT=np.zeros((0, 0)))
        if topics < 3:
            raise DataError(f"a world of {topics} topics has no two rings", remedy="give it 3 topics or more")
        often_TT = seldom_TT = _ring(topics, generator)
        while (often_TT * seldom_TT).any():
            seldom_TT = _ring(topics, generator)
        return cls(
            topics=_draw(TOPICS, taken.topics, topics, generator, what="topics"),
            styles=_draw(STYLES, taken.styles, styles, generator, what="styles"),
            transitions_TT=0.75 * often_TT + 0.25 * seldom_TT,
            picture_side=picture_side,
        )

    def platform(  # noqa: PLR0913  what a platform is takes six words, all but three with a default
        self,
        name: str,
        *,
        users: int,
        items: int,
        generator: np.random.Generator,
        modalities: Modalities = "mixed",
        dialect: Dialect = "shop",
        behaviour: Behaviour = SOURCE_BEHAVIOUR,
    ) -> Dataset:
        """Draw a platform of this world: its own users, its own items, ids that mean nothing.

        Args:
            name: what to call it.
            users: how many.
            items: how many, at least the number of topics and more than a user's events.
            generator: decides everything about it.
            modalities: what its items have.
            dialect: how it speaks and draws.
            behaviour: how its users walk.

        Returns:
            a dataset in memory. Its catalog has the further columns ``title`` (a sentence, also for items that are
            pictures only), ``topic`` and ``style``, for display and for checks: no encoder reads them.

        Raises:
            DataError: there are too few items, or so many that their sentences would repeat.
        """
        least = max(len(self.topics), behaviour.longest + 1)
        if users < 1 or items < least:
            raise DataError(
                f"a platform of {users} users and {items} items is too small",
                remedy=f"give it at least 1 user and {least} items: every topic needs one, and no user sees all",
            )
        offer = self._offer(items, behaviour, generator)
        catalog = self._catalog(offer, modalities, dialect, generator)
        events = walk(offer, behaviour, users=users, generator=generator)
        user_ids = pl.Series("user", _opaque_ids("u", users, generator))
        events = events.with_columns(user=user_ids.gather(events["user"]))
        manifest = {
            "synthetic": True,
            "made_by": "transrec.data.worlds",
            "topics": [topic.name for topic in self.topics],
            "styles": [style.name for style in self.styles],
            "shape": modalities,
            "dialect": dialect,
            "behaviour": behaviour.model_dump(mode="json"),
        }
        return Dataset(catalog, Interactions.from_columns(events), name=name, manifest=manifest)

    def source_and_targets(self, generator: np.random.Generator, *, scale: float = 1.0) -> SourceAndTargets:
        """A platform to learn on, and the four kinds of platform to move to.

        The source has mixed modalities. The targets are ``mixed``, ``text``, ``image``, and ``elsewhere``: another kind
        of platform, also mixed, which speaks and draws in its own way. No two share a user, an item, or content.

        Args:
            generator: decides everything; the targets do not depend on ``scale``.
            scale: multiplies the 3,000 users of the source; its 1,500 items stay.
        """
        streams = generator.spawn(5)
        source = self.platform("source", users=max(1, round(3_000 * scale)), items=1_500, generator=streams[0])
        kinds: list[tuple[str, Modalities, Dialect]] = [
            ("mixed", "mixed", "shop"),
            ("text", "text", "shop"),
            ("image", "image", "shop"),
            ("elsewhere", "mixed", "magazine"),
        ]
        targets = {
            name: self.platform(
                name,
                users=250,
                items=500,
                generator=stream,
                modalities=modalities,
                dialect=dialect,
                behaviour=TARGET_BEHAVIOUR,
            )
            for (name, modalities, dialect), stream in zip(kinds, streams[1:], strict=True)
        }
        return SourceAndTargets(source, targets)

    def _offer(self, items: int, behaviour: Behaviour, generator: np.random.Generator) -> Offer:
        """Topics in nearly equal numbers, in random order, so that a row says nothing about its topic."""
        return Offer(
            topics_V=generator.permutation(np.arange(items) % len(self.topics)),
            styles_V=generator.integers(len(self.styles), size=items),
            appeal_V=behaviour.skew * generator.normal(size=items),
            transitions_TT=self.transitions_TT,
            styles=len(self.styles),
        )

    def _catalog(self, offer: Offer, modalities: Modalities, dialect: Dialect, generator: np.random.Generator) -> Catalog:
        items = len(offer.topics_V)
        topics = [self.topics[t] for t in offer.topics_V]
        styles = [self.styles[s] for s in offer.styles_V]
        titles = _distinct_sentences(topics, styles, dialect, generator)
        written = {
            "mixed": generator.permutation(np.arange(items) % 2 == 0),
            "text": np.ones(items, dtype=bool),
            "image": np.zeros(items, dtype=bool),
            "both": np.ones(items, dtype=bool),
        }[modalities]
        drawn = ~written | (modalities == "both")
        pictures = [
            draw_picture(topic, style, dialect=dialect, side=self.picture_side, generator=generator) if wanted else None
            for topic, style, wanted in zip(topics, styles, drawn, strict=True)
        ]
        ids = _opaque_ids("i", items, generator)
        made = [Item(id=ids[row], text=titles[row] if written[row] else None, image=pictures[row]) for row in range(items)]
        display = {"title": titles, "topic": [t.name for t in topics], "style": [s.name for s in styles]}
        return Catalog.from_items(made, display)


def source_and_targets(seed: int | np.random.Generator, *, scale: float = 1.0) -> SourceAndTargets:
    """A world and its platforms from one seed: see :meth:`World.make` and :meth:`World.source_and_targets`."""
    worlds, platforms = np.random.default_rng(seed).spawn(2)
    return World.make(worlds).source_and_targets(platforms, scale=scale)


def _draw(
    pool: Sequence[_T], taken: Sequence[_T], count: int, generator: np.random.Generator, *, what: str
) -> tuple[_T, ...]:
    free = [candidate for candidate in pool if candidate not in taken]
    if not 1 <= count <= len(free):
        raise DataError(f"a world of {count} {what} was asked for, but {len(free)} are free", remedy=f"ask for fewer {what}")
    return tuple(free[i] for i in generator.choice(len(free), size=count, replace=False))


def _ring(topics: int, generator: np.random.Generator) -> np.ndarray:
    """A permutation matrix that leads through all topics and back."""
    order = generator.permutation(topics)
    ring_TT = np.zeros((topics, topics))
    ring_TT[order, np.roll(order, -1)] = 1.0
    return ring_TT


def _opaque_ids(prefix: str, count: int, generator: np.random.Generator) -> list[str]:
    """Distinct random ids in random order."""
    numbers: dict[int, None] = {}
    while len(numbers) < count:
        numbers[int(generator.integers(36**8))] = None
    return [prefix + np.base_repr(number, 36).lower().zfill(8) for number in numbers]


def _distinct_sentences(
    topics: Sequence[Topic], styles: Sequence[Style], dialect: Dialect, generator: np.random.Generator
) -> list[str]:
    makers = invent_makers(generator, NUM_MAKERS)
    sentences: dict[str, None] = {}
    for topic, style in zip(topics, styles, strict=True):
        for _ in range(ATTEMPTS):
            sentence = write_sentence(topic, style, dialect=dialect, makers=makers, generator=generator)
            if sentence not in sentences:
                break
        else:
            raise DataError(
                f"no new sentence about {style.name} {topic.name} was found in {ATTEMPTS} attempts",
                remedy="make a platform with fewer items",
            )
        sentences[sentence] = None
    return list(sentences)
