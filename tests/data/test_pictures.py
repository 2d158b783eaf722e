"""Pictures: re-encoded small, refused when broken, too large or outside the folder."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from transrec.data.pictures import PictureFolder, PictureSettings, encode, own_limits
from transrec.data.reading.findings import Reason, Trouble

SETTINGS = PictureSettings(picture_side=32)


def picture(size: tuple[int, int] = (64, 48), mode: str = "RGB", kind: str = "PNG", **more: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "red" if mode == "RGB" else 0).save(out, kind, **more)  # type: ignore[arg-type]
    return out.getvalue()


def opened(raw: bytes | Trouble) -> Image.Image:
    assert isinstance(raw, bytes), raw
    return Image.open(io.BytesIO(raw))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_becomes_a_small_jpeg(kind: str) -> None:
    found = opened(encode(picture(kind=kind), SETTINGS))
    assert (found.format, found.mode, found.size) == ("JPEG", "RGB", (32, 24))
    red, green, blue = found.getpixel((5, 5))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 15


def test_small_pictures_are_not_enlarged() -> None:
    assert opened(encode(picture((10, 6)), SETTINGS)).size == (10, 6)


def test_transparency_becomes_white() -> None:
    assert opened(encode(picture(mode="RGBA"), SETTINGS)).getpixel((3, 3)) == (255, 255, 255)


def test_a_picture_taken_sideways_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert opened(encode(picture((64, 32), kind="JPEG", exif=exif), SETTINGS)).size == (16, 32)


def test_the_same_file_gives_the_same_bytes() -> None:
    assert encode(picture(), SETTINGS) == encode(picture(), SETTINGS)


def bomb(side: int) -> bytes:
    """A PNG of some bytes that claims to have ``side`` x ``side`` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 11_000, 60_000])
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    with own_limits():
        found = encode(bomb(side), SETTINGS)
    assert isinstance(found, Trouble)
    assert found.reason is Reason.PICTURE_BOMB


def test_a_huge_file_is_refused() -> None:
    found = encode(b"x" * 100, PictureSettings(max_picture_bytes=99))
    assert isinstance(found, Trouble)
    assert found.reason is Reason.PICTURE_BOMB


@pytest.mark.parametrize("raw", [b"", b"not a picture", picture()[:60], b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg xmlns='x'/>"])
def test_what_is_no_picture_is_told(raw: bytes) -> None:
    with own_limits():
        found = encode(raw, SETTINGS)
    assert isinstance(found, Trouble)
    assert found.reason is Reason.BAD_PICTURE


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_damage_never_raises(at: int, damage: bytes) -> None:
    raw = picture(kind="JPEG")
    with own_limits():
        assert isinstance(encode(raw[:at] + damage + raw[at + len(damage) :], SETTINGS), bytes | Trouble)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    inside = tmp_path / "images"
    inside.mkdir()
    (inside / "1.JPG").write_bytes(b"one")
    (inside / "a.b.png").write_bytes(b"dotted")
    (inside / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (inside / "notes.txt").write_text("no picture")
    return inside


@pytest.mark.parametrize("path", ["../secret.jpg", "sub/../../secret.jpg", "link.jpg", "/etc/passwd", "{root}/secret.jpg"])
def test_no_path_leaves_the_folder(folder: Path, path: str) -> None:
    found = PictureFolder(folder, by_id=False).read(path.format(root=folder.parent), 1000)
    assert isinstance(found, Trouble)
    assert found.reason is Reason.OUTSIDE


@pytest.mark.parametrize("path", ["2.jpg", "x" * 5000, "a\0b.jpg", "."])
def test_a_file_that_is_not_there_is_told(folder: Path, path: str) -> None:
    found = PictureFolder(folder, by_id=False).read(path, 1000)
    assert isinstance(found, Trouble)
    assert found.reason is Reason.NO_PICTURE


def test_files_are_read_within_the_limit(folder: Path) -> None:
    pictures = PictureFolder(folder, by_id=False)
    assert pictures.read("1.JPG", 3) == b"one"
    assert pictures.read(folder / "1.JPG", 3) == b"one"
    found = pictures.read("1.JPG", 2)
    assert isinstance(found, Trouble)
    assert found.reason is Reason.PICTURE_BOMB


def test_pictures_are_found_by_item_id(folder: Path) -> None:
    pictures = PictureFolder(folder, by_id=True)
    assert len(pictures) == 3
    assert pictures.of_item("1") == folder / "1.JPG"
    assert pictures.of_item("a.b") == folder / "a.b.png"
    assert pictures.of_item("../secret") is None
