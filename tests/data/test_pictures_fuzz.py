"""Whatever bytes a picture is, it is stored small or refused with a reason, and so it is where a model reads it."""

from __future__ import annotations

import io
import os
import warnings

import numpy as np
import pytest
from fuzzing import Fuzz
from PIL import Image

from transrec.data.pictures import PictureSettings, encode, own_limits
from transrec.data.reading.findings import Reason, Trouble
from transrec.errors import DataError
from transrec.items.image import decode_picture

SETTINGS = PictureSettings(picture_side=16, max_pixels=1 << 20)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
TOKENS = (
    b"IHDR",
    b"IDAT",
    b"PLTE",
    b"tRNS",
    b"\xff\xd8",
    b"\xff\xe1",
    b"Exif\0\0",
    b"MM\0*",
    b"II*\0",
    b"VP8X",
    b"GIF89a",
    b"BM",
)
QUICK, LONG = 0.8, 600 / 6


def saved(form: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    picture, out = Image.fromarray(pixels), io.BytesIO()
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.convert("P" if form == "GIF" else "RGB").save(out, form, **({"exif": exif} if form in ("JPEG", "PNG") else {}))
    return out.getvalue()


def read(content: bytes) -> None:
    """Store a picture, and read it as a model does.

    Raises:
        AssertionError: what is stored is no small JPEG, or there is no reason.
    """
    with own_limits():
        found = encode(content, SETTINGS)
    if isinstance(found, Trouble):
        assert found.reason in (Reason.BAD_PICTURE, Reason.PICTURE_BOMB) and found.detail
    else:
        with Image.open(io.BytesIO(found)) as picture:
            assert picture.format == "JPEG" and picture.mode == "RGB" and max(picture.size) <= 16
    try:
        pixels = decode_picture(content, where="item 'x'")
    except DataError as error:
        assert error.where == "item 'x'" and error.remedy  # noqa: PT017  (whether it is raised is not what is asked)
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


def fuzzed(form: str, seconds: float, seed: int) -> Fuzz:
    fuzz = Fuzz(read, (f"{os.sep}PIL{os.sep}", "pictures.py", f"items{os.sep}image.py"), TOKENS, np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of broken metadata
        fuzz.run([saved(form)], seconds)
    return fuzz


@pytest.mark.parametrize("form", FORMATS)
def test_a_picture_of_any_bytes_is_stored_or_refused(form: str) -> None:
    fuzz = fuzzed(form, QUICK, seed=0)
    assert fuzz.tried >= 25 and fuzz.reached


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_for_long(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int.from_bytes(os.urandom(4))
    with capsys.disabled():
        fuzz = fuzzed(form, LONG, seed)
        told = f"{fuzz.tried:,} inputs, {len(fuzz.reached):,} steps between lines, {len(fuzz.corpus)} kept"
        print(f"\n{form}: {told}, seed {seed}")
