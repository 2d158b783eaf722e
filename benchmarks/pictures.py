"""Room and reading of prepared pictures, kept as pixels or compressed, at two sizes.

    python -m benchmarks.pictures

Pictures with areas, edges and grain are brought into a catalog as every picture is, prepared by an image encoder, kept on
disk in each of the ways of ``model.items.image.stored``, and read in batches of random rows, as training reads them. The
last side prepares them anew from the catalog for every batch, as it would be without a store. The sides take turns, and
medians are compared. Files are in the page cache, so that what is timed is the processor's part of reading.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from transrec.data.catalog import Catalog, Item
from transrec.data.pictures import PictureSettings, encode
from transrec.data.store import ContentStore
from transrec.items.image import ImageEncoder, ImageSettings
from transrec.items.scratch import new_image_backbone

STORED = ("pixels", "lossless", "jpeg")
SOURCE = 320
"""Pixels of a side as pictures come."""


def picture(generator: np.random.Generator) -> bytes:
    """A slope of colours with soft-edged shapes on it, and grain."""
    first, second = generator.integers(0, 256, (2, 3))
    slope_HW1 = np.add.outer(np.linspace(0, 0.5, SOURCE), np.linspace(0, 0.5, SOURCE))[..., None]
    drawn = Image.fromarray((first + (second - first) * slope_HW1).astype(np.uint8))
    draw = ImageDraw.Draw(drawn)
    for _ in range(generator.integers(4, 12)):
        left, top = (int(n) for n in generator.integers(0, SOURCE, 2))
        width, height = (int(n) for n in generator.integers(SOURCE // 12, SOURCE // 2, 2))
        shape = draw.ellipse if generator.random() < 0.5 else draw.rectangle
        shape((left, top, left + width, top + height), fill=tuple(int(n) for n in generator.integers(0, 256, 3)))
    grain_HW1 = generator.normal(0, generator.uniform(1, 5), (SOURCE, SOURCE, 1))
    pixels = np.asarray(drawn.filter(ImageFilter.GaussianBlur(1))) + grain_HW1
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "PNG")
    kept = encode(out.getvalue(), PictureSettings())
    assert isinstance(kept, bytes)
    return kept


def measured(catalog: Catalog, backbone: Path, side: int, *, batch: int, rounds: int) -> None:
    """Print a table for pictures of this side."""
    reading: dict[str, Callable[[np.ndarray], object]] = {}
    bytes_each = {}
    with tempfile.TemporaryDirectory() as folder:
        for stored in STORED:
            encoder = ImageEncoder.from_settings(ImageSettings(backbone=str(backbone), side=side, stored=stored))
            store = ContentStore.prepare(catalog, {"image": encoder}, Path(folder) / stored)
            bytes_each[stored] = sum(path.stat().st_size for path in Path(folder, stored).rglob("*.npy")) / len(catalog)
            reading[stored] = store.gather
        reading["anew from the catalog"] = lambda rows: encoder.prepare(catalog.items(rows))
        seconds: dict[str, list[float]] = {name: [] for name in reading}
        generator = np.random.default_rng(1)
        for _ in range(rounds):
            rows = np.sort(generator.choice(len(catalog), batch, replace=False))
            for name, read in reading.items():
                start = time.perf_counter()
                read(rows)
                seconds[name].append(time.perf_counter() - start)
    rates = {name: batch / statistics.median(found) for name, found in seconds.items()}
    print(f"{side} x {side}")
    for name, rate in rates.items():
        room = (
            f"{bytes_each[name]:9,.0f} bytes, {bytes_each['pixels'] / bytes_each[name]:5.1f} x fewer"
            if name in STORED
            else ""
        )
        anew = rate / rates["anew from the catalog"]
        print(f"  {name:22} {room:31}  {rate:8,.0f} pictures/s, {anew:5.1f} x anew, {rate / rates['pixels']:5.2f} x pixels")


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 224])
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    catalog = Catalog.from_items([Item(str(n), image=picture(generator)) for n in range(options.pictures)])
    print(f"{options.pictures} pictures, {options.batch} at a time, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        backbone = new_image_backbone(folder, width=8, layers=1)
        for side in options.sides:
            measured(catalog, backbone, side, batch=options.batch, rounds=options.rounds)


if __name__ == "__main__":
    main()
