"""FeatureEncoder: vectors that come with the items, standardised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.errors import DataError
from transrec.items.encoder import ModalityEncoder, Prepared

FORMAT = 1
CHUNK = 4096
"""Items that are read at a time while mean and deviation are taken."""


class FeatureEncoder(ModalityEncoder):
    """Given vectors, less a mean and divided by a deviation that are stored with the weights.

    It learns nothing; the item tower's projection does, and centres each platform on its own mean. On another platform this
    keeps the numbers of the platform that it was made for.

    Args:
        name: of the vectors in the catalog.
        width: of the vectors.
        mean: subtracted, shape (width,); zeros when None.
        deviation: divided by, shape (width,), above zero; ones when None.
    """

    def __init__(self, name: str, width: int, *, mean: Tensor | None = None, deviation: Tensor | None = None) -> None:
        super().__init__()
        self.modality = name
        self.width = width
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(width) if mean is None else mean.float())
        self.register_buffer("deviation", torch.ones(width) if deviation is None else deviation.float())

    @classmethod
    def from_catalog(cls, catalog: Catalog, name: str, *, standardise: bool = True) -> Self:
        """The encoder of a catalog's vectors of this name.

        Args:
            catalog: the items; read once, a chunk at a time.
            name: of the vectors.
            standardise: take mean and deviation from the items (else vectors pass as they are). A number that is the same
                for all items keeps the deviation 1.

        Raises:
            DataError: no item has such vectors, or a vector holds something that is not a finite number.
        """
        rows = np.flatnonzero(catalog.presence.get(name, np.zeros(0, dtype=bool)))
        if not len(rows):
            raise DataError(f"no item has the vectors {name!r}", remedy=f"the catalog has {', '.join(catalog.modalities)}")
        width = len(catalog.items(rows[:1])[0].vectors[name])
        if not standardise:
            return cls(name, width)
        encoder = cls(name, width)
        total, squares = np.zeros(width), np.zeros(width)
        first = catalog.items(rows[:1])[0].vectors[name].astype(np.float64)  # shifted sums keep the digits of far-off means
        for at in range(0, len(rows), CHUNK):
            chunk = encoder.prepare(catalog.items(rows[at : at + CHUNK]))["vector"].double().numpy() - first
            total += chunk.sum(axis=0)
            squares += (chunk**2).sum(axis=0)
        mean = total / len(rows)
        deviation = np.sqrt(np.maximum(squares / len(rows) - mean**2, 0.0))
        deviation[deviation <= 1e-6 * np.maximum(1.0, np.abs(first + mean))] = 1.0
        return cls(name, width, mean=torch.from_numpy(first + mean), deviation=torch.from_numpy(deviation))

    def prepare(self, items: Sequence[Item]) -> Prepared:
        vectors = []
        for item in items:
            vector = item.vectors.get(self.modality)
            if vector is None:
                raise DataError(
                    f"item {item.id!r} has no vector {self.modality!r}", remedy=f"give it one of {self.width} numbers"
                )
            if vector.shape != (self.width,):
                raise DataError(
                    f"the vector {self.modality!r} of item {item.id!r} has the shape {vector.shape}, not ({self.width},)",
                    remedy="give vectors from the source of those that the model learned from",
                )
            if not np.isfinite(vector).all():
                bad = int(np.flatnonzero(~np.isfinite(vector))[0])
                raise DataError(
                    f"the vector {self.modality!r} of item {item.id!r} holds {vector[bad]} at place {bad}",
                    remedy="give finite numbers",
                )
            vectors.append(torch.from_numpy(np.asarray(vector, dtype=np.float32)))
        return {"vector": torch.stack(vectors) if vectors else torch.zeros(0, self.width)}

    def forward(self, prepared: Prepared) -> Tensor:
        vectors: Tensor = prepared["vector"]
        return (vectors.to(self.mean.dtype) - self.mean) / self.deviation

    def preparation_key(self) -> str:
        return f"features:{FORMAT}:{self.modality}:{self.width}"

    def save_assets(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "features.json").write_text(json.dumps({"format": FORMAT, "name": self.modality, "width": self.width}))

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        saved = json.loads((folder / "features.json").read_text())
        return cls(saved["name"], saved["width"])
