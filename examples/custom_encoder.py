"""An encoder of your own: a small convolutional network over thumbnails, in place of the built-in image encoder.

Use it by its import path, with this folder on PYTHONPATH:

    PYTHONPATH=examples transrec train DATA --out RUN --model.items.custom.image custom_encoder:ThumbnailEncoder

or in Python: ItemEncoder({"image": ThumbnailEncoder()}, ItemSettings(modalities=("image",))).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from transrec.data.catalog import Item
from transrec.errors import DataError, ModelError
from transrec.items.encoder import ModalityEncoder, Prepared
from transrec.items.image import decode_picture


class ThumbnailEncoder(ModalityEncoder):
    """Pictures squeezed into a small square, through three convolutions, averaged over space.

    Args:
        side: of the square, in pixels.
        width: of the vectors.
    """

    modality = "image"

    def __init__(self, side: int = 32, width: int = 64) -> None:
        super().__init__()
        self.side = side
        self.width = width
        channels = (3, 16, 32, width)
        # group norm: unlike batch norm, it does not make a vector depend on the other items of a batch
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.GELU())
            for before, after in itertools.pairwise(channels)
        )

    def prepare(self, items: Sequence[Item]) -> Prepared:
        """Decode and resize once; bytes take a quarter of the room of floats."""
        pixels = torch.empty(len(items), 3, self.side, self.side, dtype=torch.uint8)
        for place, item in enumerate(items):
            if item.image is None:
                raise DataError(f"item {item.id!r} has no picture")
            picture = Image.fromarray(decode_picture(item.image, where=f"item {item.id!r}"))
            small = picture.resize((self.side, self.side), Image.Resampling.BILINEAR)
            pixels[place] = (
                torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
                .view(self.side, self.side, 3)
                .permute(2, 0, 1)
            )
        return {"pixels": pixels}

    def forward(self, prepared: Prepared) -> Tensor:
        """Scale on the device, where it costs nothing, then encode."""
        states = prepared["pixels"].to(next(self.parameters()).dtype) / 127.5 - 1.0
        for layer in self.layers:
            states = layer(states)
        return states.mean(dim=(2, 3))

    def preparation_key(self) -> str:
        """The side is all that prepare() depends on; raise the version when its code changes."""
        return f"thumbnail:1:{self.side}"

    def blocks(self) -> Sequence[nn.Module]:
        """What --tune top:N counts."""
        return tuple(self.layers)

    def save_assets(self, folder: Path) -> None:
        """Everything but the weights, which are saved with the model."""
        (folder / "thumbnail.json").write_text(json.dumps({"side": self.side, "width": self.width}))

    @classmethod
    def from_assets(cls, folder: Path) -> ThumbnailEncoder:
        """The counterpart of save_assets()."""
        return cls(**json.loads((folder / "thumbnail.json").read_text()))

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> ThumbnailEncoder:
        """What --model.items.custom_options.image.OPTION VALUE gives; values come as text."""
        unknown = set(options) - {"side", "width"}
        if unknown:
            raise ModelError(f"ThumbnailEncoder has no option {sorted(unknown)}", remedy="it has side and width")
        return cls(**{name: int(value) for name, value in options.items()})
