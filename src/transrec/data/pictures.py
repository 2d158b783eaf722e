"""Pictures: found by path or by item id without leaving the folder, decoded with limits, re-encoded small."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import final

from PIL import Image, ImageOps
from pydantic import Field

from transrec.data.reading.findings import Reason, Trouble
from transrec.settings import Settings

# formats that Pillow decodes by itself: no PostScript, no external programs
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

Image.init()  # formats other than the commonest are only known after it
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jfif")


class PictureSettings(Settings):
    """How pictures are decoded and stored."""

    picture_side: int = Field(default=256, ge=16, le=4096)
    """the longer side of a stored picture in pixels; larger ones are shrunk, smaller ones kept"""
    picture_quality: int = Field(default=90, ge=1, le=100)
    """JPEG quality of a stored picture"""
    max_pixels: int = Field(default=50_000_000, ge=1)
    """a picture with more pixels is a bomb: reported and not decoded"""
    max_picture_bytes: int = Field(default=32_000_000, ge=1)
    """a picture file with more bytes is a bomb: reported and not read"""


def encode(raw: bytes, settings: PictureSettings) -> bytes | Trouble:
    """A picture file as a JPEG with its longer side at most ``picture_side``, upright, transparency on white.

    The size is read from the header and checked before a pixel is decoded. Of an animation the first frame is taken.

    Returns:
        the JPEG, or what is wrong with the file.
    """
    if len(raw) > settings.max_picture_bytes:
        return Trouble(Reason.PICTURE_BOMB, f"{len(raw):,} bytes, the limit is {settings.max_picture_bytes:,}")
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > settings.max_pixels:
                return Trouble(Reason.PICTURE_BOMB, f"{width:,} x {height:,} pixels, the limit is {settings.max_pixels:,}")
            side = settings.picture_side
            picture.draft("RGB", (side, side))  # lets JPEG decode at a fraction of the size
            upright = ImageOps.exif_transpose(picture)
            flat = _on_white(upright)
            flat.thumbnail((side, side), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            flat.save(out, "JPEG", quality=settings.picture_quality)
            return out.getvalue()
    except Image.DecompressionBombError as error:
        return Trouble(Reason.PICTURE_BOMB, str(error))
    except Exception as error:  # decoders raise almost anything on a broken file, which must not end the run
        return Trouble(Reason.BAD_PICTURE, f"{type(error).__name__}: {error}".replace("\n", " "))


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    return picture.convert("RGB")


@contextlib.contextmanager
def own_limits() -> Iterator[None]:
    """Leave the judgement of large pictures to :func:`encode`: Pillow's own limit and its warnings rest meanwhile.

    To be entered by the thread that starts the decoding ones, since both are shared by all threads.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")
        with _PILLOWS.resting():
            yield


@final
class _Limit:
    """Pillow's limit of pixels, taken away while anybody judges for himself, and put back by the last who does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual: int | None = None

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Without the limit."""
        with self._lock:
            if not self._inside:
                self._usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    Image.MAX_IMAGE_PIXELS = self._usual


_PILLOWS = _Limit()


@final
class PictureFolder:
    """The pictures below one folder; no path leads out of it, be it by ``..``, from the root, or by a link."""

    def __init__(self, folder: Path, *, by_id: bool) -> None:
        self._root = folder.resolve()
        self._by_stem: dict[str, Path] = {}
        if by_id:
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() in SUFFIXES:
                    self._by_stem.setdefault(path.stem, path)

    def __len__(self) -> int:
        return len(self._by_stem)

    def of_item(self, item_id: str) -> Path | None:
        """The picture named after an item, with any known suffix, or None."""
        return self._by_stem.get(item_id)

    def read(self, path: str | Path, limit: int) -> bytes | Trouble:
        """The bytes of a file below the folder, or what is wrong.

        Args:
            path: relative to the folder, or absolute and inside it.
            limit: bytes that a file may have.
        """
        try:
            inside = (self._root / path).resolve()
            if not inside.is_relative_to(self._root):
                return Trouble(Reason.OUTSIDE, str(path))
            if not inside.is_file():
                return Trouble(Reason.NO_PICTURE, str(path))
            size = inside.stat().st_size
            if size > limit:
                return Trouble(Reason.PICTURE_BOMB, f"{path}: {size:,} bytes, the limit is {limit:,}")
            return inside.read_bytes()
        except (OSError, ValueError, RuntimeError) as error:  # a name too long, a zero byte in it, links in a circle
            return Trouble(Reason.NO_PICTURE, f"{str(path)[:100]!r}: {error}".replace("\0", "\N{SYMBOL FOR NULL}"))
