"""Draw the pictures of the documentation: python docs/make_images.py."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from transrec.data.worlds import World
from transrec.data.worlds.pictures import draw_picture

SIDE = 72
GAP = 4


def world_strip() -> Image.Image:
    """The topics of a world from left to right; above as the dialect "shop" draws them, below as "magazine" does."""
    generator = np.random.default_rng(0)
    world = World.make(generator)
    columns = len(world.topics)
    strip = Image.new("RGB", (columns * (SIDE + GAP) - GAP, 2 * SIDE + GAP), "white")
    for row, dialect in enumerate(("shop", "magazine")):
        for column, topic in enumerate(world.topics):
            style = world.styles[(column + row) % len(world.styles)]
            drawn = draw_picture(topic, style, dialect=dialect, side=SIDE, generator=generator)
            strip.paste(Image.open(io.BytesIO(drawn)), (column * (SIDE + GAP), row * (SIDE + GAP)))
    return strip


if __name__ == "__main__":
    folder = Path(__file__).parent / "images"
    folder.mkdir(exist_ok=True)
    world_strip().quantize(192).save(folder / "world.png", optimize=True)
