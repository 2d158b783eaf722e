"""iALS against plain dense solves, and against the sum that it says it makes small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import platform
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.evaluation.baselines import ials
from transrec.evaluation.baselines.ials import DEVIATION, SWEEPS, Ials

USERS, ITEMS, FACTORS = 30, 55, 8  # five items that nobody touched
UNOBSERVED, PENALTY = 0.2, 0.05
SPLIT = leave_one_out(platform(users=USERS, items=50).interactions)
TRAIN = [sorted(set(SPLIT.interactions.history(user)[:-2].tolist())) for user in range(USERS)]
SEEN = np.unique(np.concatenate(TRAIN))
LISTS = [TRAIN[0], [], [7, 3, 7], [54], list(range(20)), [2]]  # shorter than the factors are many, and longer
TOLERANCE = 2e-6  # the tie-break adds up to a millionth


def fitted(seed: int = 0) -> Ials:
    generator = torch.Generator().manual_seed(seed)
    return Ials.fit(SPLIT, ITEMS, factors=FACTORS, unobserved=UNOBSERVED, penalty=PENALTY, generator=generator)


def dense_solution(fixed: np.ndarray, met: list[int], active: int) -> np.ndarray:
    """The normal equations of one user or item, written out."""
    own = fixed[met]
    weight = PENALTY * (len(met) + UNOBSERVED * active)
    return np.linalg.solve(own.T @ own + UNOBSERVED * fixed.T @ fixed + weight * np.eye(FACTORS), own.sum(axis=0))


@pytest.mark.parametrize("at_once", [1 << 22, 1])
def test_a_history_is_solved_for_by_the_normal_equations(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = fitted()
    monkeypatch.setattr(ials, "GATHERED_AT_ONCE", at_once)  # all in one block, or each alone with the smaller matrix
    items = ranker.items.factors_NF.double().numpy()
    users = np.array([dense_solution(items, sorted(set(rows)), len(SEEN)) for rows in LISTS])
    scores = ranker.scores(Histories.from_lists(LISTS)).numpy()
    np.testing.assert_allclose(scores, users @ items.T, rtol=1e-4, atol=TOLERANCE)


def test_the_fit_alternates_dense_solves() -> None:
    fresh = torch.randn(ITEMS, FACTORS, generator=torch.Generator().manual_seed(0)) * (DEVIATION / FACTORS**0.5)
    items = fresh.double().numpy()
    items[np.setdiff1d(np.arange(ITEMS), SEEN)] = 0
    buyers = [[user for user in range(USERS) if row in TRAIN[user]] for row in range(ITEMS)]
    for _ in range(SWEEPS):
        users = np.array([dense_solution(items, rows, len(SEEN)) for rows in TRAIN])
        items = np.array([dense_solution(users, met, USERS) for met in buyers])
    users = np.array([dense_solution(items, rows, len(SEEN)) for rows in TRAIN])
    scores = fitted().scores(Histories.from_lists(TRAIN)).numpy()
    assert np.ptp(scores) > 0.3
    np.testing.assert_allclose(scores, users @ items.T, atol=1e-3)


def test_the_sum_in_the_docstring_is_as_small_as_it_gets_for_these_items() -> None:
    ranker = fitted()
    items = ranker.items.factors_NF.double()
    scores = ranker.scores(Histories.from_lists(TRAIN)).double()
    users = (scores @ torch.linalg.pinv(items).T).requires_grad_()
    observed = torch.zeros(USERS, ITEMS, dtype=torch.double)
    for user, rows in enumerate(TRAIN):
        observed[user, rows] = 1

    def total(users: Tensor) -> Tensor:
        products = users @ items.T
        weights = observed.sum(dim=1) + UNOBSERVED * len(SEEN)
        penalties = PENALTY * (weights * users.square().sum(dim=1)).sum()
        return (observed * (products - 1).square()).sum() + UNOBSERVED * products.square().sum() + penalties

    [slope] = torch.autograd.grad(total(users), users)
    [steep] = torch.autograd.grad(total(users * 1.1), users)
    assert slope.abs().max() < 1e-3 < 0.1 < steep.abs().max()


def test_a_seed_decides_and_repeats_do_not_count() -> None:
    histories = Histories.from_lists([[7, 3, 7], [7, 3]])
    first = fitted().scores(histories)
    assert torch.equal(first, fitted().scores(histories))
    assert not torch.equal(first, fitted(seed=1).scores(histories))
    assert torch.equal(first[0], first[1])


def test_what_nobody_touched_has_no_factors_and_no_history_gets_what_is_popular() -> None:
    ranker = fitted()
    assert not ranker.items.factors_NF[50:].any() and ranker.items.active == len(SEEN)
    counts = SPLIT.train_counts(ITEMS)
    for row in ranker.scores(Histories.from_lists([[], [54]])):
        assert (np.diff(counts[row.argsort(descending=True, stable=True).numpy()]) <= 0).all()


def test_its_settings_are_said() -> None:
    assert fitted().settings == {"factors": FACTORS, "unobserved": UNOBSERVED, "penalty": PENALTY}
