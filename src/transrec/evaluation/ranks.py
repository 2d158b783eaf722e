"""Rankers, and the rank that each gives to every target among the whole catalog.

Axes: B histories in a block, V items in the catalog, E targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeGuard

import numpy as np
import polars as pl
import torch
from torch import Tensor

from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.splits import Split, Targets
from transrec.data.store import Progress
from transrec.errors import EvaluationError
from transrec.evaluation.metrics import metric_columns
from transrec.model import TransRec
from transrec.retrieval.blocks import USERS_AT_ONCE, BlockRanks, ranks_in_blocks
from transrec.retrieval.index import CatalogIndex, encode_histories, hidden_pairs, users_at_once
from transrec.retrieval.ranking import mean_ranks

LARGE = 100_000
"""Items from which on a model's scores are counted in blocks of items, where it runs on the CPU: there it is measured to be
the faster way."""


class Ranker(Protocol):
    """Anything that scores the catalog for histories: a trained model, a baseline, a program of your own.

    One with an attribute ``reads_times`` that is true is given histories that hold when their events were.
    """

    def scores(self, histories: Histories) -> Tensor:
        """Scores of every catalog row for every history, (B, V) float32; higher is better."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelRanker:
    """A trained model over an encoded catalog, as it is served.

    Attributes:
        model: the model.
        index: the catalog under it.
    """

    model: TransRec
    index: CatalogIndex

    @property
    def reads_times(self) -> bool:
        """Whether the model's users depend on when events were."""
        return self.model.users.reads_times

    @property
    def settings(self) -> Mapping[str, float]:
        """What was chosen about how it ranks."""
        known = self.index.known
        return {} if known is None or known.popularity == 1 else {"popularity": known.popularity}

    @classmethod
    def of(
        cls,
        model: TransRec,
        dataset: Dataset,
        split: Split,
        *,
        place: int | None = 0,
        popularity: float = 1.0,
        progress: Progress | None = None,
    ) -> ModelRanker:
        """A model over the catalog of a dataset, as a split lets it be measured.

        Args:
            model: as it is now.
            dataset: whose catalog is ranked.
            split: only its training events are counted, where the model has a prior.
            place: which of the model's platforms it is, None: none; see :meth:`~transrec.retrieval.index.CatalogIndex.of`.
            popularity: how much of it counts, 1 as learned; see :class:`~transrec.prior.CountPrior`.
            progress: told how far the encoding is.
        """
        counts = None if model.prior is None else Counts.of(split, len(dataset.catalog))
        index = CatalogIndex.of(model, dataset, counts, place=place, progress=progress)
        return cls(model, index.weighing(popularity))

    def scores(self, histories: Histories) -> Tensor:
        return self.index.scores(encode_histories(self.model, self.index, histories))

    @property
    def large(self) -> bool:
        """Whether the catalog is so large that its scores are better counted in blocks of items."""
        return len(self.index) >= LARGE and self.index.vectors_VD.device.type == "cpu"

    def ranks_in_blocks(self, histories: Histories, rows: np.ndarray) -> BlockRanks:
        """The rank of one target after each of B histories; see :func:`~transrec.retrieval.blocks.ranks_in_blocks`.

        Args:
            histories: hidden from the candidates, too.
            rows: of the targets, int64 of shape (B,).
        """
        return ranks_in_blocks(self.index, encode_histories(self.model, self.index, histories), rows, histories)


@dataclass(frozen=True, slots=True, eq=False)
class RankedTargets:
    """The rank of each target, from which every metric follows.

    Attributes:
        users: ids of the users, (E,).
        rows: catalog rows of the targets, int64 of shape (E,).
        ranks: from 1, float64 of shape (E,).
        history_lengths: the number of events before each target, int64 of shape (E,).
        num_items: how many items the catalog has.
        near_ties: how many of the targets, where items are counted in blocks, had another item within rounding of their
            score without a tie; float64 decided which of the two is higher.
    """

    users: pl.Series
    rows: np.ndarray
    ranks: np.ndarray
    history_lengths: np.ndarray
    num_items: int
    near_ties: int = 0

    def __len__(self) -> int:
        return len(self.ranks)

    def save(self, path: str | Path) -> None:
        """Write one Parquet file with the columns user, row, rank and history_length, for later paired comparisons."""
        columns = {"user": self.users, "row": self.rows, "rank": self.ranks, "history_length": self.history_lengths}
        said = {"num_items": str(self.num_items), "near_ties": str(self.near_ties)}
        pl.DataFrame(columns).write_parquet(path, metadata=said)

    @classmethod
    def open(cls, path: str | Path) -> RankedTargets:
        """Read what :meth:`save` wrote."""
        table, said = pl.read_parquet(path), pl.read_parquet_metadata(path)
        return cls(
            users=table["user"],
            rows=table["row"].to_numpy(),
            ranks=table["rank"].to_numpy(),
            history_lengths=table["history_length"].to_numpy(),
            num_items=int(said["num_items"]),
            near_ties=int(said.get("near_ties", 0)),
        )


def rank_targets(ranker: Ranker, split: Split, targets: Targets, *, block: int | None = None) -> RankedTargets:
    """Rank each target among all items of the catalog, from everything that its user did before it.

    Scores of all items are looked at together; those of a model over a large catalog in blocks of items, see
    :attr:`ModelRanker.large`.

    Args:
        ranker: gives the scores.
        split: holds the events.
        targets: which of them to predict.
        block: histories scored at a time; by default as many as keep memory flat.

    Raises:
        EvaluationError: there are no targets, a score is not finite, or the ranker scores too few items.
    """
    if not len(targets):
        raise EvaluationError("there are no targets to rank", remedy="use another split, or longer histories")
    histories = Histories.before(split.interactions, targets, times=getattr(ranker, "reads_times", False))
    rows = split.interactions.rows[targets.positions]
    ranks = np.empty(len(targets), dtype=np.float64)
    near_ties = 0
    # how large the catalog is shows in the first scores only, so the first block is a small one
    start, num_items, step = 0, 0, min(block or 16, len(targets))
    while start < len(targets):
        stop = min(start + step, len(targets))
        counted, num_items = _rank_block(ranker, histories.block(start, stop), rows[start:stop])
        ranks[start:stop] = counted.ranks
        near_ties += int(counted.near.sum())
        start, step = stop, block or (USERS_AT_ONCE if _in_blocks(ranker) else users_at_once(num_items))
    return RankedTargets(
        users=split.interactions.users.gather(targets.users),
        rows=rows,
        ranks=ranks,
        history_lengths=histories.lengths,
        num_items=num_items,
        near_ties=near_ties,
    )


def _in_blocks(ranker: Ranker) -> TypeGuard[ModelRanker]:
    return isinstance(ranker, ModelRanker) and ranker.large


def _rank_block(ranker: Ranker, histories: Histories, rows: np.ndarray) -> tuple[BlockRanks, int]:
    """The ranks of some targets, and how many items there are."""
    if _in_blocks(ranker):
        _require_rows(len(ranker.index), histories, rows)
        return ranker.ranks_in_blocks(histories, rows), len(ranker.index)
    scores_BV = ranker.scores(histories)
    _require_rows(scores_BV.shape[1], histories, rows)
    targets_B = torch.from_numpy(rows).to(scores_BV.device)
    ranks_B = mean_ranks(scores_BV, targets_B, hidden_pairs(histories, scores_BV.device)).cpu().numpy()
    return BlockRanks(ranks_B, np.zeros(len(rows), dtype=bool)), scores_BV.shape[1]


def _require_rows(num_items: int, histories: Histories, rows: np.ndarray) -> None:
    largest = int(max(rows.max(), histories.rows.max(initial=0)))
    if largest >= num_items:
        raise EvaluationError(
            f"the ranker scores {num_items:,} items, but the events reach catalog row {largest:,}",
            remedy="fit the baseline, or encode the index, on the catalog that these events belong to",
        )


def sampled(targets: Targets, limit: int | None, generator: np.random.Generator) -> Targets:
    """At most ``limit`` of the targets, drawn without replacement, in their order; all of them when it is None."""
    if limit is None or len(targets) <= limit:
        return targets
    chosen = np.sort(generator.choice(len(targets), size=limit, replace=False))
    return Targets(targets.users[chosen], targets.positions[chosen])


def validation_metrics(
    ranker: Ranker, split: Split, *, limit: int | None = None, seed: int = 0, cutoffs: Sequence[int] = (10,)
) -> dict[str, float]:
    """Mean metrics on the validation targets; what training stops by and baselines are tuned on.

    Args:
        ranker: gives the scores.
        split: its validation targets are ranked, its test targets are not touched.
        limit: rank a sample of this many; the same one for the same seed, so that epochs can be compared.
        seed: of the sample.
        cutoffs: the values of k.
    """
    targets = sampled(split.validation, limit, np.random.default_rng(seed))
    ranked = rank_targets(ranker, split, targets)
    return {name: float(values.mean()) for name, values in metric_columns(ranked.ranks, cutoffs).items()}
