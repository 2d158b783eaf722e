"""IdentityEncoder: a learned vector for each item id; with it alone the model is the ID-based recommender.

Axes: N ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from transrec.data.catalog import Item
from transrec.errors import DataError
from transrec.items.encoder import ModalityEncoder, Prepared
from transrec.settings import Settings

FORMAT = 1
INITIAL_DEVIATION = 0.02
"""As the published user tower starts its own tables."""


class IdentitySettings(Settings):
    """The table of item ids, where it stands beside content."""

    shrinkage: float = Field(default=30.0, ge=0)
    """Training events that an item needs for its own vector to count half: with n it counts n / (n + shrinkage), so that
    content speaks for rare items and nothing else for new ones. 0: every vector counts whole. A table by itself is never
    shrunk, and where model.scorer is views, which compares directions, it makes no difference but for new items."""


class IdentityEncoder(ModalityEncoder):
    """An embedding table over the ids of one catalog. It knows nothing of other items, and nothing of what items are.

    Vectors start normal with mean 0 and deviation 0.02. Those of items with few training events have learned from few, and
    are mostly noise. Beside content, which can speak for such items, each is shrunk towards nothing as an estimate of n
    events would be, in the manner of James and Stein (1961) with a fixed ratio of variances::

        v_i = n_i / (n_i + k) t_i

    Once events have been counted (:meth:`count`), the vector of an item without any is zero; before that all count whole.
    Where views are compared one by one (:class:`~transrec.scoring.FusedViewScorer`) only their directions count, and
    a vector that is not zero counts whole.

    Args:
        ids: of the items, in the order of the catalog's rows.
        width: of the vectors.
        shrinkage: k; 0: all vectors count whole.
    """

    modality = "identity"
    found_anew = ("events",)  # on every platform, see rules/sources.py

    def __init__(self, ids: Sequence[str], width: int, shrinkage: float = 0.0) -> None:
        super().__init__()
        self.ids = tuple(ids)
        self.width = width
        self.shrinkage = shrinkage
        self._row_of_id = {item_id: row for row, item_id in enumerate(self.ids)}
        self.table = nn.Embedding(len(self.ids), width)
        nn.init.normal_(self.table.weight, std=INITIAL_DEVIATION)
        self.events: Tensor
        self.register_buffer("events", torch.zeros(len(self.ids)))

    def reads(self, item: Item) -> bool:
        return item.id in self._row_of_id

    def prepare(self, items: Sequence[Item]) -> Prepared:
        for item in items:
            if not self.reads(item):
                raise DataError(
                    f"item {item.id!r} is not among the {len(self.ids):,} that the identity encoder knows",
                    remedy="train again with it, or use an encoder that reads content",
                )
        return {"row": torch.tensor([self._row_of_id[item.id] for item in items], dtype=torch.int32)}

    def forward(self, prepared: Prepared) -> Tensor:
        vectors: Tensor = self.table(prepared["row"])
        if not self.shrinkage:
            return vectors
        events = self.events[prepared["row"].long()]
        counted = self.events.any()  # asked on the device: a branch would wait for it
        shares = torch.where(counted, events / (events + self.shrinkage), 1.0)
        return vectors * shares[:, None].to(vectors.dtype)

    @torch.no_grad()
    def count(self, ids: Sequence[str], events: np.ndarray) -> None:
        """Take down how many training events items have; where more were known before, as of an earlier run, these stand.

        Args:
            ids: of a platform's items; those that the table does not know are passed over.
            events: of each, the same length.
        """
        known = [(self._row_of_id[item_id], place) for place, item_id in enumerate(ids) if item_id in self._row_of_id]
        rows, places = (list(column) for column in zip(*known, strict=True)) if known else ([], [])
        counted_N = torch.zeros_like(self.events)
        counted_N[rows] = torch.from_numpy(events)[places].to(self.events)
        torch.maximum(self.events, counted_N, out=self.events)

    def grown(self, ids: Sequence[str]) -> Self:
        """The same table with fresh rows for the ids that it does not know; those that it knows keep theirs, used or not."""
        more = (*self.ids, *(new for new in ids if new not in self._row_of_id))
        grown = type(self)(more, self.width, self.shrinkage)
        with torch.no_grad():
            grown.table.weight[: len(self.ids)] = self.table.weight
            grown.events[: len(self.ids)] = self.events
        return grown

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.setdefault(f"{prefix}events", torch.zeros_like(self.events))  # runs from before there was shrinkage
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def preparation_key(self) -> str:
        digest = hashlib.blake2b(json.dumps(self.ids).encode(), digest_size=12).hexdigest()
        return f"identity:{FORMAT}:{digest}"

    def save_assets(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        saved = {"format": FORMAT, "width": self.width, "ids": self.ids, "shrinkage": self.shrinkage}
        (folder / "identity.json").write_text(json.dumps(saved, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        saved = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
        return cls(saved["ids"], saved["width"], saved.get("shrinkage", 0.0))
