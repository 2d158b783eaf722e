"""Pictures with areas, edges and a little grain, as photographs of things have them; noise would be no test of a codec."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw


def drawn(seed: int, side: int = 64) -> bytes:
    """A picture file; the same for the same seed."""
    generator = np.random.default_rng(seed)
    first, second = generator.integers(0, 256, (2, 3))
    slope_HW1 = np.add.outer(np.linspace(0, 0.5, side), np.linspace(0, 0.5, side))[..., None]
    picture = Image.fromarray((first + (second - first) * slope_HW1).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        left, top = (int(n) for n in generator.integers(0, side - 8, 2))
        width, height = (int(n) for n in generator.integers(8, side // 2, 2))
        draw.ellipse((left, top, left + width, top + height), fill=tuple(int(n) for n in generator.integers(0, 256, 3)))
    grain = generator.normal(0, 2, (side, side, 1))
    out = io.BytesIO()
    Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
