from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from transrec.data.catalog import Catalog, Item
from transrec.data.overlap import pictures
from transrec.data.overlap.pictures import BITS, Looks, look, near_pictures


def drawing(seed: int, *, side: int = 96) -> Image.Image:
    """A smooth random picture."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 255, size=(7, 7, 3), dtype=np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, *, kind: str = "PNG", quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **({"quality": quality} if kind == "JPEG" else {}))
    return out.getvalue()


def looks(images: list[bytes | None]) -> Looks:
    catalog = Catalog.from_items(
        [Item(id=f"i{n}", image=image, text=None if image else "no picture") for n, image in enumerate(images)]
    )
    return Looks.of(catalog, np.flatnonzero(catalog.presence["image"]))


def test_the_same_picture_smaller_and_compressed_is_found_and_others_are_not() -> None:
    source = looks([encoded(drawing(seed)) for seed in range(40)])
    again = [encoded(drawing(seed).resize((48, 48)), kind="JPEG", quality=70) for seed in range(0, 40, 4)]
    target = looks([encoded(drawing(900)), *again, encoded(drawing(901))])
    near, nearest = near_pictures(target, source, least=0.99)
    assert near.tolist() == list(range(1, 11))
    assert nearest.tolist() == list(range(0, 40, 4))


def test_another_colour_is_another_picture() -> None:
    shape = np.zeros((64, 64, 3), dtype=np.uint8)
    shape[16:48, 20:40] = (200, 30, 30)
    red, blue = Image.fromarray(shape), Image.fromarray(shape[..., ::-1].copy())
    (red_bits, _), (blue_bits, _) = look(encoded(red)), look(encoded(blue))
    assert (red_bits != blue_bits).sum() <= pictures.DIFFERENT_BITS, "their hashes alone would say that they are the same"
    assert not len(near_pictures(looks([encoded(red)]), looks([encoded(blue)]), least=0.99)[0])


def test_pale_shapes_are_told_apart() -> None:
    left, right = np.full((2, 64, 64, 3), 252, dtype=np.uint8)
    left[10:50, 8:30], right[20:40, 34:60] = 244, 244
    one, other = encoded(Image.fromarray(left)), encoded(Image.fromarray(right))
    assert not len(near_pictures(looks([one]), looks([other]), least=0.99)[0])
    assert near_pictures(looks([one]), looks([other, one]), least=0.99)[1].tolist() == [1]


def test_pictures_of_one_colour() -> None:
    white, grey = (encoded(Image.new("RGB", (32, 32), colour)) for colour in ("white", "grey"))
    assert near_pictures(looks([white]), looks([grey, white]), least=0.99)[1].tolist() == [1]
    assert not len(near_pictures(looks([white]), looks([grey]), least=0.99)[0])


def test_what_cannot_be_decoded_is_near_nothing() -> None:
    broken = looks([b"not a picture", encoded(drawing(0))])
    assert broken.readable.tolist() == [False, True]
    assert near_pictures(broken, broken, least=0.99)[0].tolist() == [1]
    assert look(b"") is None


def test_only_the_asked_for_rows_are_looked_at_and_told() -> None:
    told = []
    catalog = Catalog.from_items([Item(id="a", text="a"), Item(id="b", image=encoded(drawing(1)))])
    found = Looks.of(catalog, np.array([1]), progress=lambda *what: told.append(what), what="pictures")
    assert found.rows.tolist() == [1] and found.hashes.shape == (1, BITS)
    assert told == [("pictures", 1, 1)]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = looks([encoded(drawing(seed)) for seed in range(12)])
    monkeypatch.setattr(pictures, "SCORES_AT_ONCE", 30)
    monkeypatch.setattr(pictures, "PAIRS_AT_ONCE", 2)
    near, nearest = near_pictures(source, source, least=0.99)
    assert near.tolist() == nearest.tolist() == list(range(12))
