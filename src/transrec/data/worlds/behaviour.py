"""Behaviour: how the users of a world walk from item to item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from transrec.settings import Settings

DAY = 86_400.0
FIRST_MOMENT = 1_700_000_000.0


class Behaviour(Settings):
    """What moves the users; the same on all platforms of a world unless said otherwise.

    At every step a user goes on to a topic that follows the last one (``follow``), stays with it (``stay``), looks at
    anything (``explore``), or else comes back to one of their own interests. Within the topic they choose an item that
    they have not seen, more likely one of the style that they like and one that is popular.
    """

    follow: float = Field(default=0.5, ge=0, le=1)
    """Probability of going on to a topic that follows the last one: what a user encoder can learn and carry over."""

    stay: float = Field(default=0.2, ge=0, le=1)
    """Probability of staying with the topic of the last item."""

    explore: float = Field(default=0.05, ge=0, le=1)
    """Probability of a topic at random: noise that nobody can predict."""

    interests: int = Field(default=3, ge=1)
    """Topics that a user comes back to."""

    drift: float = Field(default=0.05, ge=0, le=1)
    """Probability, at every step, that one of the interests is exchanged; the liked style changes at a third of it."""

    taste: float = Field(default=12.0, gt=0)
    """How many times as likely an item of the liked style is as one of another style; 1 for no taste."""

    skew: float = Field(default=0.4, ge=0)
    """Spread of the items' popularity: the standard deviation of its logarithm; 0 for none."""

    shortest: int = Field(default=8, ge=1)
    """Least number of events of a user."""

    longest: int = Field(default=20, ge=1)
    """Largest number of events of a user; lengths are uniform between the two."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.follow + self.stay + self.explore > 1 + 1e-9:
            raise ValueError(f"follow + stay + explore is {self.follow + self.stay + self.explore:g}; it must not pass 1")
        if self.shortest > self.longest:
            raise ValueError(f"shortest is {self.shortest}, above longest, which is {self.longest}")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """What a platform offers, as its users see it; V items, T topics.

    Attributes:
        topics_V: topic of each item, int64.
        styles_V: style of each item, int64.
        appeal_V: logarithm of each item's popularity within its topic, float64.
        transitions_TT: probability of each topic (column) after each (row); rows sum to 1.
        styles: number of styles.
    """

    topics_V: np.ndarray
    styles_V: np.ndarray
    appeal_V: np.ndarray
    transitions_TT: np.ndarray
    styles: int

    def by_topic(self) -> tuple[np.ndarray, np.ndarray]:
        """The items of each topic: rows and whether a row is there, both of shape (T, most items of a topic)."""
        counts_T = np.bincount(self.topics_V, minlength=len(self.transitions_TT))
        present_TN = np.arange(counts_T.max())[None, :] < counts_T[:, None]
        rows_TN = np.zeros(present_TN.shape, dtype=np.int64)
        rows_TN[present_TN] = np.argsort(self.topics_V, kind="stable")
        return rows_TN, present_TN


def walk(offer: Offer, behaviour: Behaviour, *, users: int, generator: np.random.Generator) -> pl.DataFrame:
    """Let users walk; all of them take a step at once.

    Returns:
        one row an event: ``user`` (0 to users - 1), ``row`` (of the item) and ``time`` (seconds since 1970). No user
        meets an item twice.
    """
    num_topics = len(offer.transitions_TT)
    lengths_U = generator.integers(behaviour.shortest, behaviour.longest + 1, size=users)
    kept = min(behaviour.interests, num_topics)
    interests_UK = generator.permuted(np.tile(np.arange(num_topics), (users, 1)), axis=1)[:, :kept]
    likes_U = generator.integers(offer.styles, size=users)
    seen_UV = np.zeros((users, len(offer.topics_V)), dtype=bool)
    rows_UL = np.zeros((users, behaviour.longest), dtype=np.int64)
    topic_U = interests_UK[:, 0]
    for step in range(behaviour.longest):
        if step:
            topic_U = _next_topics(topic_U, interests_UK, offer, behaviour, generator)
        rows_UL[:, step] = _choose(topic_U, likes_U, seen_UV, offer, behaviour, generator)
        seen_UV[np.arange(users), rows_UL[:, step]] = True
        topic_U = offer.topics_V[rows_UL[:, step]]
        _drift(interests_UK, likes_U, offer, behaviour, generator)
    begins_U = FIRST_MOMENT + generator.uniform(0, 60 * DAY, size=users)
    times_UL = begins_U[:, None] + np.cumsum(generator.exponential(DAY, size=rows_UL.shape), axis=1)
    happened_UL = np.arange(behaviour.longest)[None, :] < lengths_U[:, None]
    return pl.DataFrame(
        {
            "user": np.repeat(np.arange(users), lengths_U),
            "row": rows_UL[happened_UL],
            "time": np.round(times_UL[happened_UL]),
        }
    )


def _next_topics(
    topic_U: np.ndarray, interests_UK: np.ndarray, offer: Offer, behaviour: Behaviour, generator: np.random.Generator
) -> np.ndarray:
    users, num_topics = len(topic_U), len(offer.transitions_TT)
    reach_UT = np.cumsum(offer.transitions_TT[topic_U], axis=1)
    following_U = (reach_UT < generator.uniform(size=(users, 1))).sum(axis=1).clip(max=num_topics - 1)
    anything_U = generator.integers(num_topics, size=users)
    own_U = interests_UK[np.arange(users), generator.integers(interests_UK.shape[1], size=users)]
    limits = np.cumsum([behaviour.follow, behaviour.stay, behaviour.explore])
    move_U = np.searchsorted(limits, generator.uniform(size=users), side="right")
    return np.choose(move_U, [following_U, topic_U, anything_U, own_U])


def _choose(
    topic_U: np.ndarray,
    likes_U: np.ndarray,
    seen_UV: np.ndarray,
    offer: Offer,
    behaviour: Behaviour,
    generator: np.random.Generator,
) -> np.ndarray:
    """An unseen item of the topic for each user; of any topic for those who have seen all of it."""
    rows_TN, present_TN = offer.by_topic()
    rows_UN = rows_TN[topic_U]
    # the largest of logits with Gumbel noise is a draw from their softmax
    logits_UN = offer.appeal_V[rows_UN] + generator.gumbel(size=rows_UN.shape)
    logits_UN += np.log(behaviour.taste) * (offer.styles_V[rows_UN] == likes_U[:, None])
    possible_UN = present_TN[topic_U] & ~np.take_along_axis(seen_UV, rows_UN, axis=1)
    best_U = np.where(possible_UN, logits_UN, -np.inf).argmax(axis=1)
    chosen_U = np.take_along_axis(rows_UN, best_U[:, None], axis=1)[:, 0]
    for user in np.flatnonzero(~possible_UN.any(axis=1)):
        chosen_U[user] = generator.choice(np.flatnonzero(~seen_UV[user]))
    return chosen_U


def _drift(
    interests_UK: np.ndarray, likes_U: np.ndarray, offer: Offer, behaviour: Behaviour, generator: np.random.Generator
) -> None:
    """Exchange some interests and liked styles, in place."""
    users, kept = interests_UK.shape
    moving = np.flatnonzero(generator.uniform(size=users) < behaviour.drift)
    slots = generator.integers(kept, size=len(moving))
    interests_UK[moving, slots] = generator.integers(len(offer.transitions_TT), size=len(moving))
    turning = np.flatnonzero(generator.uniform(size=users) < behaviour.drift / 3)
    likes_U[turning] = generator.integers(offer.styles, size=len(turning))
