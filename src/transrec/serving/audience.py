"""Audience: who would get an item that is not in the catalog yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.item import Item
from transrec.data.times import whole_seconds
from transrec.retrieval.encoding import encode_given
from transrec.retrieval.index import encode_histories
from transrec.serving.recommender import Recommender

MOST_USERS = 1_000
"""Users who are asked when a dataset has more."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Where a new item would stand in the lists of users.

    Attributes:
        places: of everybody who was asked, the best place first: the user's id, and the place from 1; ties at their mean.
        users: how many the dataset has.
        items: how many there are in a list, with the new one.
    """

    places: tuple[tuple[str, float], ...]
    users: int
    items: int

    def within(self, k: int) -> int:
        """For how many of those who were asked it would be among the first ``k``."""
        return sum(place <= k for _, place in self.places)


@torch.no_grad()
def audience_of(
    recommender: Recommender,
    dataset: Dataset,
    item: Item,
    *,
    popularity: float = 1.0,
    most_users: int = MOST_USERS,
    seed: int = 0,
) -> Audience:
    """Where an item would stand in the list of every user, were it added as it is. Nothing is added.

    A list is made of the user's whole history, without what the user has had, as :meth:`Recommender.recommend` makes it.

    Args:
        recommender: is not changed.
        dataset: whose users; its items are the first ones of the recommender's catalog.
        item: what it is. Its id does not count: it is taken for a new item in any case.
        popularity: how much of what popularity is worth counts; a new item has none.
        most_users: where the dataset has more, so many are drawn.
        seed: of that draw.

    Raises:
        DataError: no encoder of the model can read the item.
    """
    now, events = recommender.now, dataset.interactions
    kept_1W = encode_given(recommender.model, [item], recommender.live.platform)
    row = len(now.catalog)
    index = now.index.with_versions(kept_1W, np.array([row])).weighing(popularity)
    users = np.arange(len(events.users))
    if len(users) > most_users:
        users = np.sort(np.random.default_rng(seed).choice(users, most_users, replace=False))
    starts, ends = events.offsets[users], events.offsets[users + 1]
    histories = Histories.between(events.rows, starts, ends, whole_seconds(events.times))
    shown = np.split(histories.rows, histories.offsets[1:-1])
    hidden = Histories.from_lists([np.union1d(own, index.removed) for own in shown])
    places = index.rank(encode_histories(recommender.model, index, histories), np.full(len(users), row), hidden)
    order = np.argsort(places, kind="stable")
    reached = tuple((str(events.users[int(users[at])]), float(places[at])) for at in order)
    return Audience(reached, len(events.users), row + 1 - len(index.removed))
