"""The contract tests over the encoder of custom_encoder.py: pytest examples/test_custom_encoder.py."""

import io

import numpy as np
from custom_encoder import ThumbnailEncoder
from PIL import Image

from transrec.data.catalog import Item
from transrec.testing import ModalityEncoderContract


def noise(seed, height, width):
    """An encoded picture of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


class TestThumbnailEncoder(ModalityEncoderContract):
    def make(self):
        return ThumbnailEncoder(side=16, width=24)

    def items(self):
        return [Item(f"picture-{seed}", image=noise(seed, 20 + seed, 30)) for seed in range(3)]

    def bad_items(self):
        return [Item("has-no-picture", text="a red shoe"), Item("not-an-image-file", image=b"<html>404</html>")]
