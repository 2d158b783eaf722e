"""IdentityEncoder: a learned vector for each item id; with it alone the model is the ID-based recommender."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from transrec.data.catalog import Item
from transrec.errors import DataError
from transrec.items.encoder import ModalityEncoder, Prepared

FORMAT = 1
INITIAL_DEVIATION = 0.02
"""As the published user tower starts its own tables."""


class IdentityEncoder(ModalityEncoder):
    """An embedding table over the ids of one catalog. It knows nothing of other items, and nothing of what items are.

    Vectors start normal with mean 0 and deviation 0.02.

    Args:
        ids: of the items, in the order of the catalog's rows.
        width: of the vectors.
    """

    modality = "identity"

    def __init__(self, ids: Sequence[str], width: int) -> None:
        super().__init__()
        self.ids = tuple(ids)
        self.width = width
        self._row_of_id = {item_id: row for row, item_id in enumerate(self.ids)}
        self.table = nn.Embedding(len(self.ids), width)
        nn.init.normal_(self.table.weight, std=INITIAL_DEVIATION)

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
        return vectors

    def grown(self, ids: Sequence[str]) -> Self:
        """The same table with fresh rows for the ids that it does not know; those that it knows keep theirs, used or not."""
        grown = type(self)((*self.ids, *(new for new in ids if new not in self._row_of_id)), self.width)
        with torch.no_grad():
            grown.table.weight[: len(self.ids)] = self.table.weight
        return grown

    def preparation_key(self) -> str:
        digest = hashlib.blake2b(json.dumps(self.ids).encode(), digest_size=12).hexdigest()
        return f"identity:{FORMAT}:{digest}"

    def save_assets(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        saved = {"format": FORMAT, "width": self.width, "ids": self.ids}
        (folder / "identity.json").write_text(json.dumps(saved, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        saved = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
        return cls(saved["ids"], saved["width"])
