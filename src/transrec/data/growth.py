"""Growth: what of a platform's newer data an earlier training has not seen, and what is kept from the next one.

"Before" is the dataset of the earlier training, "now" the newer one of the same platform. Items and users are the same where
their ids are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.splits import Split, Targets
from transrec.errors import DataError


def shared_items(before: Catalog, now: Catalog) -> float:
    """The share of the smaller catalog's ids that the other one has, too."""
    return float((now.rows(before.ids) >= 0).sum()) / max(1, min(len(before), len(now)))


def new_events(before: Dataset, trained: Split, now: Dataset) -> np.ndarray:
    """Which events of the newer data the earlier training has not learned from, bool (N,).

    An event is known again by its user, its item and its time. What the earlier split held out is new.

    Args:
        before: the earlier data.
        trained: its split.
        now: the newer data.
    """
    learned = before.interactions.to_frame().filter(pl.Series(trained.train_mask()))
    rows = now.catalog.rows(before.catalog.ids)
    learned = learned.with_columns(pl.Series("row", rows[learned["row"].to_numpy()])).select("user", "row", "time").unique()
    events = now.interactions.to_frame().select("user", "row", "time")
    known = events.join(learned.with_columns(known=True), on=["user", "row", "time"], how="left", maintain_order="left")
    is_new: np.ndarray = known["known"].is_null().to_numpy()
    return is_new


def held_back(split: Split, now: Catalog, before: Dataset, trained: Split, users: np.ndarray) -> Split:
    """A split of the newer data in which some users teach no more than they taught the earlier training.

    What trains of such a user is the beginning of their events that is also the beginning of what trained earlier, so that
    no event that was held out then is learned from, nor any that came later; and they do not validate. Their test targets
    stay.

    Args:
        split: of the newer data.
        now: the catalog of the newer data.
        before: the earlier data.
        trained: its split.
        users: whom, as indices into the users of the earlier data.

    Raises:
        DataError: nobody is left who validates.
    """
    old, new = before.interactions, split.interactions
    place_of = {user: place for place, user in enumerate(new.users.to_list())}
    taught_rows = now.rows(before.catalog.ids)[old.rows]
    ends, held = split.train_ends.copy(), np.zeros(len(new.users), dtype=bool)
    for user, user_id in zip(users.tolist(), old.users.gather(users).to_list(), strict=True):
        place = place_of.get(user_id)
        if place is None:
            continue
        taught, line = taught_rows[old.offsets[user] : trained.train_ends[user]], new.history(place)
        both = min(len(taught), len(line))
        alike = int(np.argmin([*(taught[:both] == line[:both]), False]))
        ends[place], held[place] = min(ends[place], new.offsets[place] + alike), True
    validating = ~held[split.validation.users]
    if not validating.any():
        raise DataError(
            f"all {len(validating):,} users who validate are kept out of the training to measure what it forgets",
            remedy="keep fewer of them: --continuing.check-users",
        )
    return replace(
        split,
        train_ends=ends,
        validation=Targets(split.validation.users[validating], split.validation.positions[validating]),
        description=f"{split.description}; {int(held.sum()):,} users teach what they taught before",
    )
