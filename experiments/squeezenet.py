"""SqueezeNet 1.1 as a custom image encoder, for the real-data experiments.

The network is built here from its description (Iandola et al. 2016, arXiv 1602.07360, version 1.1 of the authors); the
weights are a safetensors file with the names ``conv1`` and ``fire2`` to ``fire9``, trained on ImageNet, without the
classifier. Give it to any verb that builds a model with::

    --model.items.custom.image experiments.squeezenet:SqueezeNetEncoder
    --model.items.custom-options.image.weights squeezenet1_1.safetensors

from the root of the repository, with ``PYTHONPATH=.``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import safetensors.torch
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn

from transrec import Item, ModalityEncoder
from transrec.errors import DataError, ModelError

SIDE = 128
MEAN = (123.68, 116.779, 103.939)
"""Of ImageNet's red, green and blue, in [0, 255]; the weights were trained with it subtracted."""


class Fire(nn.Module):
    """A narrow 1x1 convolution, then a 1x1 and a 3x3 one side by side."""

    def __init__(self, inputs: int, narrow: int, wide: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, narrow, 1)
        self.expand1x1 = nn.Conv2d(narrow, wide, 1)
        self.expand3x3 = nn.Conv2d(narrow, wide, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        narrow = self.squeeze(maps).relu()
        return torch.cat([self.expand1x1(narrow), self.expand3x3(narrow)], dim=1).relu()


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 without its classifier: pictures (n, 3, H, W) to the mean of the last maps, (n, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        shapes = {2: (64, 16, 64), 3: (128, 16, 64), 4: (128, 32, 128), 5: (256, 32, 128)}
        shapes |= {6: (256, 48, 192), 7: (384, 48, 192), 8: (384, 64, 256), 9: (512, 64, 256)}
        for number, shape in shapes.items():
            setattr(self, f"fire{number}", Fire(*shape))

    def fires(self) -> list[Fire]:
        """The fire modules from input to output."""
        return [getattr(self, f"fire{number}") for number in range(2, 10)]

    def forward(self, pictures: Tensor) -> Tensor:
        maps = nn.functional.max_pool2d(self.conv1(pictures).relu(), 3, 2, ceil_mode=True)
        for number, fire in enumerate(self.fires(), start=2):
            maps = fire(maps)
            if number in (3, 5):
                maps = nn.functional.max_pool2d(maps, 3, 2, ceil_mode=True)
        return maps.mean(dim=(2, 3))


class SqueezeNetEncoder(ModalityEncoder):
    """Pictures at 128 x 128 through SqueezeNet 1.1."""

    modality = "image"
    width = 512

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SqueezeNet()
        self.register_buffer("mean_C11", torch.tensor(MEAN)[:, None, None], persistent=False)

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Self:
        if set(options) != {"weights"}:
            raise ModelError(f"SqueezeNet takes the option weights, not {sorted(options)}")
        encoder = cls()
        try:
            encoder.backbone.load_state_dict(safetensors.torch.load_file(options["weights"]))
        except (OSError, RuntimeError) as error:
            raise ModelError(f"these are not SqueezeNet's weights: {error}", where=options["weights"]) from None
        return encoder

    def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
        return {"pixels": torch.from_numpy(np.stack([_pixels(item) for item in items]))}

    def forward(self, prepared: Mapping[str, Tensor]) -> Tensor:
        return self.backbone(prepared["pixels"].to(self.mean_C11.dtype) - self.mean_C11)

    def lower(self, prepared: Mapping[str, Tensor], below: int) -> Mapping[str, Tensor]:
        return {"states": super().lower(prepared, below)["states"]}  # the pixels are not needed any more

    def upper(self, lowered: Mapping[str, Tensor], below: int) -> Tensor:
        black = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8, device=self.mean_C11.device)
        return super().upper({"pixels": black, **lowered}, below)

    def preparation_key(self) -> str:
        return f"squeezenet:{SIDE}:1"

    def blocks(self) -> Sequence[nn.Module]:
        return [self.backbone.conv1, *self.backbone.fires()]

    def save_assets(self, folder: Path) -> None:
        (folder / "squeezenet.json").write_text(json.dumps({"version": "1.1", "side": SIDE}))

    @classmethod
    def from_assets(cls, folder: Path) -> Self:  # noqa: ARG003  (its form is fixed; the weights come from the run)
        return cls()


def _pixels(item: Item) -> np.ndarray:
    """The picture as uint8 of shape (3, SIDE, SIDE); squashed to a square."""
    try:
        with Image.open(io.BytesIO(item.image or b"")) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"the picture of item {item.id!r} cannot be read: {error}") from None
    return np.asarray(upright).transpose(2, 0, 1).copy()
