"""Ranks counted over blocks of items: scores are counted while a processor has them at hand, and are never kept.

A block's scores come from another product than those of whole rows, so that their last bits may differ. What is clearly
above a target is counted in blocks; what rounding could put above or below it is compared again, in float64.

Axes: B users, T vectors of a user, V items in the catalog, n items of a block, D width, W numbers that are read of an item,
P probes, M pairs that do not compete, N pairs to compare.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, final

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.data.histories import Histories
from transrec.retrieval.index import CatalogIndex, Queries

Part = TypeVar("Part", bound=nn.Module)

USERS_AT_ONCE = 256
ITEMS_AT_ONCE = 4096
"""For so many users, 4 MiB of scores."""
PAIRS_AT_ONCE = 1 << 14
"""Pairs that are compared in float64 at a time."""
PROBES = 256
"""Items from all over the catalog that show how large scores are."""
BESIDE = 64
"""Roundings beside those of the product, in terms of it: of a scale, of what counts add."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockRanks:
    """Ranks that were counted in blocks.

    Attributes:
        ranks: as those of :func:`~transrec.retrieval.ranking.mean_ranks`, float64 of shape (B,).
        near: beside which targets another item scored within rounding, though not the same; bool of shape (B,).
    """

    ranks: np.ndarray
    near: np.ndarray


@torch.no_grad()
def ranks_in_blocks(index: CatalogIndex, queries: Queries, targets: np.ndarray, hidden: Histories) -> BlockRanks:
    """What :meth:`~transrec.retrieval.index.CatalogIndex.rank` says, with memory that does not grow with the catalog.

    Only the ranks of targets that are ``near`` may differ: whole rows put such items in the order in which their product
    happens to be rounded, and this in that of float64. Items with the same vector and counts tie in both.

    Args:
        index: the catalog.
        queries: of B users.
        targets: the catalog row of each user's target, int64 of shape (B,).
        hidden: the rows that each user must not be ranked against; a target competes even where it is among them.

    Raises:
        EvaluationError: a score is not finite.
    """
    ranks, near = np.empty(len(targets)), np.zeros(len(targets), dtype=bool)
    for start in range(0, len(targets), USERS_AT_ONCE):
        stop = min(start + USERS_AT_ONCE, len(targets))
        some, own, theirs = queries.block(start, stop), targets[start:stop], hidden.block(start, stop)
        counted = _counted(_Scores(index, some, own), _Masks(index, own, theirs))
        if counted is None:  # whole rows say where it is, and know whether it matters
            ranks[start:stop] = index.rank(some, own, theirs)
        else:
            ranks[start:stop], near[start:stop] = counted
    return BlockRanks(ranks, near)


def _counted(scores: _Scores, masks: _Masks) -> tuple[np.ndarray, np.ndarray] | None:
    """Ranks, and which are near, of some users; None when a score is not finite."""
    low_B1, high_B1 = scores.within_rounding()
    low_B1[masks.last_B] = high_B1[masks.last_B] = -torch.inf
    above_B = torch.zeros(len(low_B1), dtype=torch.float64)
    near_B = torch.zeros(len(low_B1), dtype=torch.bool)
    total = torch.zeros((), device=low_B1.device)
    for start in range(0, scores.items, ITEMS_AT_ONCE):
        block_Bn = scores.block(start, min(start + ITEMS_AT_ONCE, scores.items))
        total = total + block_Bn.sum()  # finite only if every term is
        masks.put_on(block_Bn, start)
        higher_B = (block_Bn > high_B1).sum(dim=1, dtype=torch.int32)
        close_B = (block_Bn >= low_B1).sum(dim=1, dtype=torch.int32) - higher_B
        # what is unreadable ties with what is unreadable
        above_B += higher_B.cpu() + (close_B * masks.last_B).cpu() / 2
        asked = (close_B * ~masks.last_B).nonzero()[:, 0]
        if len(asked):
            some = block_Bn[asked]
            places_N, rows_N = ((some >= low_B1[asked]) & (some <= high_B1[asked])).nonzero().unbind(1)
            users_N = asked[places_N].cpu()
            gaps_N = scores.gaps(users_N, rows_N.cpu() + start)
            above_B.index_add_(0, users_N, (gaps_N > 0).double() + (gaps_N == 0).double() / 2)
            near_B[users_N[gaps_N != 0]] = True
    return (1 + above_B.numpy(), near_B.numpy()) if torch.isfinite(total) else None


@final
class _Scores:
    """The scores of some users for any of the items: what :meth:`CatalogIndex.scores` gives for all of them."""

    def __init__(self, index: CatalogIndex, queries: Queries, targets: np.ndarray) -> None:
        self.items = len(index)
        self._index, self._queries = index, queries
        self._read_VW = index.vectors.read_by(index.scorer)
        self._votes: Mapping[str, sp.csc_array] = {}
        self._scorer64 = _in_float64(index.scorer)
        known = index.known
        if known is not None:
            popularity_V = torch.from_numpy(known.counts.popularity_V)
            device = index.vectors_VD.device
            self._base_V = known.prior.base(popularity_V.float().to(device), known.popularity)
            self._votes = {kind: votes.tocsc() for kind, votes in known.counts.votes(queries.histories).items()}
            self._prior64 = _in_float64(known.prior)
            self._base64_V = self._prior64.base(popularity_V.double(), known.popularity)
        self._own64_B = self._pairs(torch.arange(len(targets)), torch.from_numpy(targets))
        self._reach_B = self._reach()

    def block(self, start: int, stop: int) -> Tensor:
        """The scores of the items from ``start`` to ``stop`` (exclusive), new memory of shape (B, n)."""
        scores_Bn: Tensor = self._index.scorer(self._queries.vectors, self._read_VW[start:stop]).float()
        if self._index.known is not None:
            scores_Bn = scores_Bn + self._base_V[start:stop]
            for kind, votes in self._votes.items():
                part = votes[:, start:stop].tocoo()
                users, items, shares = (
                    torch.from_numpy(each).to(scores_Bn.device) for each in (part.row, part.col, part.data)
                )
                scores_Bn[users.long(), items.long()] += self._index.known.prior.worth(kind, shares)
        return scores_Bn

    def within_rounding(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest score, each (B, 1), that rounding could make of one that equals the target's."""
        bounds = self._own64_B - self._reach_B, self._own64_B + self._reach_B
        low_B1, high_B1 = (bound[:, None].float().to(self._index.vectors_VD.device) for bound in bounds)
        return low_B1, high_B1

    def gaps(self, users_N: Tensor, rows_N: Tensor) -> Tensor:
        """By how much the scores of these pairs exceed those of the users' targets, float64 of shape (N,); 0 for a tie."""
        found = []
        for users_n, rows_n in zip(users_N.split(PAIRS_AT_ONCE), rows_N.split(PAIRS_AT_ONCE), strict=True):
            gaps_n = self._pairs(users_n, rows_n) - self._own64_B[users_n]
            rounding_n = self._reach_B[users_n] * (torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps)
            found.append(gaps_n.masked_fill(gaps_n.abs() <= rounding_n, 0.0))
        return torch.cat(found)

    def _reach(self) -> Tensor:
        """By how much two products may move a score and that of the target towards each other, float64 of shape (B,).

        The sum of D rounded terms is off by about sqrt(D) roundings of its size (Higham and Mary 2019, SIAM J. Sci. Comput.
        41(5)), for which the largest scores stand; where terms cancel, by a few roundings of the score of an item in the
        user's own direction. For products of 4 to 768 terms, of vectors in all directions or much in one, this is at least
        twice the largest error that was seen.
        """
        scorer = self._index.scorer
        users = self._queries.vectors[..., : scorer.reads]
        device = self._index.vectors_VD.device
        spread = torch.linspace(0, self.items - 1, PROBES, dtype=torch.float64).long().to(device)
        read_PW = self._read_VW[spread, : scorer.reads]
        probes_BP = scorer(users, read_PW)
        aligned_BTD = F.normalize(users.reshape(len(users), -1, users.shape[-1]), dim=-1) * read_PW.norm(dim=1).max()
        aligned_BTW = aligned_BTD.repeat(1, 1, read_PW.shape[1] // users.shape[-1])  # with all its views, too
        largest_B = scorer.paired(users, aligned_BTW).abs().amax(dim=1).cpu().double()
        size_B = probes_BP.abs().amax(dim=1).cpu().double() + self._own64_B.abs()
        roundings = scorer.growth * (BESIDE + read_PW.shape[1]) ** 0.5
        return torch.finfo(probes_BP.dtype).eps * torch.maximum(roundings * size_B, 4 * scorer.growth * largest_B)

    def _pairs(self, users_N: Tensor, rows_N: Tensor) -> Tensor:
        """The scores of some users for one item each, float64 on the CPU, which every machine has."""
        device = self._index.vectors_VD.device
        users_ND = self._queries.vectors[users_N.to(device)].cpu().double()
        items_N1W = self._read_VW[rows_N.to(device)].cpu().double()[:, None]
        scores_N: Tensor = self._scorer64.paired(users_ND, items_N1W)[:, 0]
        if self._index.known is not None:
            scores_N = scores_N + self._base64_V[rows_N]
            # as new memory: scipy refuses what torch owns
            places = users_N.numpy().copy(), rows_N.numpy().copy()
            for kind, votes in self._votes.items():
                shares_N = np.asarray(votes[places]).ravel()
                scores_N = scores_N + self._prior64.worth(kind, torch.from_numpy(shares_N).double())
        return scores_N


@final
class _Masks:
    """What does not compete with the targets of some users.

    Attributes:
        last_B: whose target is an item that the model can make nothing of.
    """

    def __init__(self, index: CatalogIndex, targets: np.ndarray, hidden: Histories) -> None:
        device = index.vectors_VD.device
        users_M = np.concatenate([hidden.owners, np.arange(len(targets))])
        rows_M = np.concatenate([hidden.rows, targets])
        order = np.argsort(rows_M, kind="stable")
        self._rows_M, self._unreadable = rows_M[order], np.sort(index.unreadable)
        self._pairs_M2 = torch.from_numpy(np.stack([users_M[order], rows_M[order]], axis=1)).to(device)
        self.last_B = torch.from_numpy(np.isin(targets, index.unreadable)).to(device)

    def put_on(self, block_Bn: Tensor, start: int) -> None:
        """What is unreadable goes below all else; hidden items and targets become NaN, which is above and below nothing."""
        ends = [start, start + block_Bn.shape[1]]
        first, behind = np.searchsorted(self._unreadable, ends)
        block_Bn[:, torch.from_numpy(self._unreadable[first:behind] - start).to(block_Bn.device)] = -torch.inf
        first, behind = np.searchsorted(self._rows_M, ends)
        users_M, rows_M = self._pairs_M2[first:behind].unbind(1)
        block_Bn[users_M, rows_M - start] = torch.nan


def _in_float64(module: Part) -> Part:
    return copy.deepcopy(module).cpu().double()
