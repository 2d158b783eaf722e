"""Pictures that are wrong: missing, cut short, far too large, or none at all; and odd ones that are read all the same."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from corruption.broken import INGEST, SetAside, Spoils, cut_short, with_instead, with_text
from PIL import Image

BY_PATH = INGEST.replace("--images pictures", "--image-column title --images pictures --text none")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG in grey whose header says one size and whose pixels may say another."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(pixels, 9)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def saved(mode: str, form: str, **chosen: object) -> bytes:
    """A picture of this mode in this form."""
    out = io.BytesIO()
    shape = {"CMYK": (32, 32, 4), "RGB": (32, 32, 3)}.get(mode, (32, 32))
    values = np.random.default_rng(0).integers(0, 256, shape)
    kind = np.uint16 if mode.startswith("I;16") else np.int32 if mode == "I" else np.float32 if mode == "F" else np.uint8
    picture = Image.fromarray(values.astype(kind), mode=None if mode in ("I", "F", "I;16") else mode)
    picture.save(out, form, **chosen)  # type: ignore[arg-type]
    return out.getvalue()


def animated() -> bytes:
    """A GIF of three pictures."""
    frames = [Image.new("P", (24, 24), color) for color in (1, 2, 3)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=10)
    return out.getvalue()


def _jpeg_cut(folder: Path) -> None:
    with_text("pictures/i0.png", saved("RGB", "JPEG"))(folder)
    cut_short("pictures/i0.png")(folder)


def _link_outside(folder: Path) -> None:
    (folder / "pictures" / "i0.png").unlink()
    (folder / "pictures" / "i0.png").symlink_to(folder / "items.csv")


def _named(value: str) -> Spoils:
    """Items that name their picture in a column; that of i0 is this one."""

    def spoil(folder: Path) -> None:
        text = (folder / "items.csv").read_text()
        for n in reversed(range(12)):
            text = text.replace(f"thing number {n} of the shop", f"i{n}.png" if n else value)
        (folder / "items.csv").write_text(text)

    return spoil


def _picture(content: bytes) -> Spoils:
    return with_text("pictures/i0.png", content)


BOMB = png(30_000, 30_000, b"\0" * 30_000_000)

SET_ASIDE = (
    SetAside("empty picture", _picture(b""), "unreadable picture", 0, 1, ("item 'i0'", "replace the file")),
    SetAside("text called picture", _picture(b"no picture at all"), "unreadable picture", 0, 1, ("item 'i0'",)),
    SetAside("web page called picture", _picture(b"<!doctype html><p>404"), "unreadable picture", 0, 1, ("item 'i0'",)),
    SetAside("truncated JPEG", _jpeg_cut, "unreadable picture", 0, 1, ("item 'i0'", "truncated")),
    SetAside("truncated PNG", cut_short("pictures/i0.png"), "unreadable picture", 0, 1, ("item 'i0'",)),
    SetAside("picture without pixels", _picture(png(0, 0, b"")), "unreadable picture", 0, 1, ("item 'i0'",)),
    SetAside(
        "fewer pixels than the header says", _picture(png(64, 64, b"\0" * 10)), "unreadable picture", 0, 1, ("item 'i0'",)
    ),
    SetAside("bomb", _picture(BOMB), "picture bomb", 0, 1, ("30,000 x 30,000 pixels", "--max-pixels")),
    SetAside(
        "enormous header", _picture(png(2**31 - 1, 2**31 - 1, b"")), "picture bomb", 0, 1, ("2,147,483,647", "--max-pixels")
    ),
    SetAside(
        "too many bytes",
        _picture(b"x" * 5000),
        "picture bomb",
        0,
        1,
        ("5,000 bytes, the limit is 4,000",),
        INGEST + " --max-picture-bytes 4000",
    ),
    SetAside("SVG", _picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "unreadable picture", 0, 1, ("item 'i0'",)),
    SetAside("PostScript", _picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "unreadable picture", 0, 1, ()),
    SetAside(
        "no such picture", _named("nowhere.png"), "picture not found", 0, 1, ("nowhere.png", "check the path"), BY_PATH
    ),
    SetAside("picture is a folder", _named("."), "picture not found", 0, 1, ("check the path",), BY_PATH),
    SetAside("picture elsewhere", _named("../items.csv"), "path leaves the folder", 0, 1, ("../items.csv",), BY_PATH),
    SetAside("link to elsewhere", _link_outside, "path leaves the folder", 0, 1, ("keep all pictures below",)),
    SetAside("address", _named("https://example.org/a.jpg"), "picture is an address", 0, 1, ("--fetch-images",), BY_PATH),
    SetAside(
        "zero byte in a path", with_instead("items.csv", "thing number 0", "thing\0number"), "NUL byte", 1, 0, ("row 1",)
    ),
)

READ = {
    "animated GIF": animated(),
    "CMYK": saved("CMYK", "JPEG"),
    "16 bit": saved("I;16", "PNG"),
    "32 bit": saved("I", "TIFF"),
    "floating point": saved("F", "TIFF"),
    "one pixel": png(1, 1, b"\0\0"),
}
"""Odd pictures, which are read."""
