"""Splits: which events train, which one validates and which one tests; pure functions Interactions -> Split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from transrec.data.epochs import Replay
from transrec.data.interactions import Interactions
from transrec.errors import DataError
from transrec.settings import Settings

FEWEST_USERS = 50
"""A sample of the users has at least so many, as far as there are so many."""


class SplitSettings(Settings):
    """Which events train, validate and test."""

    kind: Literal["leave-one-out", "time"] = "leave-one-out"
    """Leave-one-out holds out each user's last two events; time holds out what happened last on the whole platform."""
    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the events that validate, of a split by time."""
    test: float = Field(default=0.1, gt=0, lt=1)
    """Share of the events that test, of a split by time."""
    users: float = Field(default=1.0, gt=0, le=1)
    """Share of the users whose events train and validate, at least fifty users; the test is the same whatever this is."""
    users_seed: int = Field(default=0, ge=0)
    """Which users these are; with the same seed a smaller share is a part of a larger one."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Events to be predicted, each from all earlier events of its user.

    Attributes:
        users: user index of each target, int64 of shape (E,).
        positions: index of each target in ``interactions.rows``, int64 of shape (E,).
    """

    users: np.ndarray
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which events train and which are predicted.

    Attributes:
        interactions: all events.
        train_ends: for each user the end (exclusive, in ``interactions.rows``) of what may be trained on, int64, (users,).
        validation: chosen by; may be looked at during training.
        test: sealed; ``evaluate`` and ``compare`` open it.
        description: how it was made, for every table that shows a number.
        skipped: users without a target, by reason.
        replay: what an earlier training has learned already, and how much of it is learned again; None: all is alike.
    """

    interactions: Interactions
    train_ends: np.ndarray
    validation: Targets
    test: Targets
    description: str
    skipped: dict[str, int]
    replay: Replay | None = None

    def require_trainable(self) -> None:
        """Raise a DataError when no user has two training events, for then there is nothing to predict.

        Raises:
            DataError: see above.
        """
        if not (self.train_ends - self.interactions.offsets[:-1] >= 2).any():
            raise DataError(
                f"none of the {len(self.interactions.users):,} users has two training events, so there is nothing to "
                "predict",
                where=self.description,
                remedy="training needs users with at least two events before the held-out ones; with leave-one-out that "
                "is four in all",
            )

    def train_rows(self) -> np.ndarray:
        """The rows of all training events, int64 of shape (events,)."""
        rows: np.ndarray = self.interactions.rows[self.train_mask()]
        return rows

    def train_mask(self) -> np.ndarray:
        """Which events train, bool of shape (N,)."""
        positions = np.arange(len(self.interactions))
        return positions < np.repeat(self.train_ends, self.interactions.lengths)

    def train_counts(self, num_items: int) -> np.ndarray:
        """How often each item occurs in training, int64 of shape (V,)."""
        return np.bincount(self.train_rows(), minlength=num_items)


def leave_one_out(interactions: Interactions) -> Split:
    """Last event tests, last but one validates, the rest trains; users with fewer than three events only train.

    Raises:
        DataError: no user has three events.
    """
    starts, ends = interactions.offsets[:-1], interactions.offsets[1:]
    users = np.flatnonzero(interactions.lengths >= 3)
    if not len(users):
        raise DataError(
            f"none of the {len(interactions.users):,} users has three events, which leave-one-out needs",
            remedy="split by time, or add longer histories",
        )
    train_ends = ends.copy()
    train_ends[users] -= 2
    return Split(
        interactions=interactions,
        train_ends=train_ends,
        validation=Targets(users, ends[users] - 2),
        test=Targets(users, ends[users] - 1),
        description="leave-one-out (last event tests, last but one validates)",
        skipped={"fewer than three events": int((ends - starts < 3).sum())},
    )


def by_time(interactions: Interactions, *, validation: float = 0.1, test: float = 0.1) -> Split:
    """Two moments cut time: events before the first train, each user's first event after a moment is its target.

    The moments are quantiles of all event times, so that about ``test`` of the events lie after the second and
    ``validation`` between the two. A target's history is everything the user did before it. Nothing that trains happened
    after anything that is predicted, also across users.

    Raises:
        DataError: a share is out of range, or no user has an event after a moment and one before.
    """
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise DataError(f"shares must be above 0 and sum to less than 1, not {validation} and {test}")
    moments = np.quantile(interactions.times, [1 - validation - test, 1 - test])
    per_user = np.repeat(np.arange(len(interactions.users)), interactions.lengths)
    starts, ends = interactions.offsets[:-1], interactions.offsets[1:]
    # the first event at or after each moment, as an index into all events
    firsts = [
        starts + np.bincount(per_user[interactions.times < moment], minlength=len(interactions.users)) for moment in moments
    ]
    # a validation target must itself lie before the test moment, else it is the test target
    validating = np.flatnonzero((firsts[0] > starts) & (firsts[0] < firsts[1]))
    testing = np.flatnonzero((firsts[1] > starts) & (firsts[1] < ends))
    if not len(validating) or not len(testing):
        raise DataError(
            f"splitting by time leaves {len(validating)} users to validate and {len(testing)} to test",
            remedy="use leave-one-out, or larger shares; users need an event before and one after the moment",
        )
    return Split(
        interactions=interactions,
        train_ends=firsts[0],
        validation=Targets(validating, firsts[0][validating]),
        test=Targets(testing, firsts[1][testing]),
        description=f"by time (last {test:.0%} of the events test, {validation:.0%} before them validate; "
        "each user's first event in the period)",
        skipped={
            "no event after the test moment": int((firsts[1] >= ends).sum()),
            "no event before the test moment": int((firsts[1] == starts).sum()),
        },
    )


def few_users(split: Split, share: float, *, seed: int = 0, at_least: int = FEWEST_USERS) -> Split:
    """The split as a younger platform would have it: only some of the users train and validate, all of them test.

    At test time every history is whole: who comes to the platform later brings a history, too. The same seed draws samples
    that contain each other, so that more users always means the earlier ones and others.

    Args:
        split: of all users.
        share: of the users who have training events, above 0 and at most 1.
        seed: of the sample.
        at_least: users in a sample, as far as there are so many.

    Raises:
        DataError: the share is out of range, or none of the sampled users validates.
    """
    if not 0 < share <= 1:
        raise DataError(f"a share of users must be above 0 and at most 1, not {share:g}")
    starts = split.interactions.offsets[:-1]
    training = np.flatnonzero(split.train_ends > starts)
    size = sample_size(len(training), share, at_least=at_least)
    if size == len(training):
        return split
    sampled = np.zeros(len(starts), dtype=bool)
    sampled[np.random.default_rng(seed).permutation(training)[:size]] = True
    validating = sampled[split.validation.users]
    if not validating.any():
        raise DataError(
            f"none of the {size:,} sampled users has a validation target", remedy="take a larger share of the users"
        )
    return replace(
        split,
        train_ends=np.where(sampled, split.train_ends, starts),
        validation=Targets(split.validation.users[validating], split.validation.positions[validating]),
        description=f"{split.description}; {size:,} of {len(training):,} users train and validate (sample {seed})",
    )


def sample_size(users: int, share: float, *, at_least: int = FEWEST_USERS) -> int:
    """How many of so many users a share of them is: rounded, at least so many, at most all."""
    return min(users, max(round(share * users), at_least))


def split_of(interactions: Interactions, settings: SplitSettings) -> Split:
    """The split that the settings describe.

    Raises:
        DataError: it leaves nobody to validate or test.
    """
    if settings.kind == "leave-one-out":
        whole = leave_one_out(interactions)
    else:
        whole = by_time(interactions, validation=settings.validation, test=settings.test)
    return whole if settings.users == 1 else few_users(whole, settings.users, seed=settings.users_seed)
