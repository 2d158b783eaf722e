"""Packed pictures: kept as compressed files, read as pixels, under a name of their own."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import drawn
from PIL import Image
from torch import Tensor

from transrec.data import packing as packing_module
from transrec.data import preparation
from transrec.data.catalog import Catalog, Item
from transrec.data.packing import Packing, PicturePacking
from transrec.data.store import ContentStore, Derivation
from transrec.errors import DataError

SIDE = 64


class Squares:
    """Prepares pictures as squares of pixels, kept in one way or another; remembers what it was asked to do."""

    modality = "image"

    def __init__(self, stored: str = "pixels", stop_after: int | None = None) -> None:
        self.stored, self.stop_after = stored, stop_after
        self.prepared: list[str] = []

    def reads(self, item: Item) -> bool:
        return item.image is not None

    def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
        if self.stop_after is not None and len(self.prepared) >= self.stop_after:
            raise KeyboardInterrupt
        self.prepared += [item.id for item in items]
        opened = [Image.open(io.BytesIO(item.image or b"")).resize((SIDE, SIDE)) for item in items]
        return {"pixels": torch.from_numpy(np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in opened]))}

    def preparation_key(self) -> str:
        return "squares"

    def packings(self) -> Mapping[str, Packing]:
        return {} if self.stored == "pixels" else {"pixels": PicturePacking(self.stored, SIDE)}  # type: ignore[arg-type]

    def when_too_large(self) -> str:
        return "keep them smaller"


def catalog(count: int = 12) -> Catalog:
    """Pictures of which each third is that of the first item."""
    return Catalog.from_items([Item(str(n), image=drawn(0 if n % 3 == 0 else n)) for n in range(count)])


def pixels(store: ContentStore, rows: Sequence[int] | np.ndarray) -> Tensor:
    """What a batch of these rows reads, one entry a row."""
    part = store.gather(np.asarray(rows)).parts["image"]
    assert isinstance(part.content, Mapping)
    found: Tensor = part.content["pixels"]
    return found if part.inverse_n is None else found[part.inverse_n]


@pytest.mark.parametrize("on_disk", [True, False])
def test_lossless_pictures_come_back_as_they_were(tmp_path: Path, on_disk: bool) -> None:
    items, folder = catalog(), tmp_path if on_disk else None
    expected = Squares().prepare(items.items(np.arange(12)))["pixels"]
    store = ContentStore.prepare(items, {"image": Squares("lossless")}, folder)
    rows = [11, 3, 4, 0, 7]
    found = pixels(store, rows)
    assert found.equal(expected[rows])
    assert found.dtype == torch.uint8 and found.is_contiguous()
    assert len(store.parts["image"]) == 9, "equal pictures are kept once"
    assert store.in_order(100).tolist() == list(range(12)), "files of different lengths are no ragged content"


def test_jpeg_is_near_and_small(tmp_path: Path) -> None:
    items = catalog()
    store = ContentStore.prepare(items, {"image": Squares("jpeg")}, tmp_path)
    expected = Squares().prepare(items.items(np.arange(12)))["pixels"]
    error = (pixels(store, range(12)).float() - expected.float()).abs()
    assert 0 < error.mean() < 2.5
    (kept,) = tmp_path.glob("image-*/pixels.npy")
    assert kept.stat().st_size < 9 * expected[0].numel() / 3, "even of pictures this small"


@pytest.mark.parametrize("stored", ["jpeg", "lossless"])
def test_what_is_read_is_always_the_same(tmp_path: Path, stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items = catalog()
    on_disk = pixels(ContentStore.prepare(items, {"image": Squares(stored)}, tmp_path), range(12))
    again = pixels(ContentStore.prepare(items, {"image": Squares(stored)}, tmp_path), range(12))
    monkeypatch.setattr(packing_module.torch, "get_num_threads", lambda: 3)
    in_threads = pixels(ContentStore.prepare(items, {"image": Squares(stored)}), range(12))
    assert again.equal(on_disk)
    assert in_threads.equal(on_disk)


def test_each_way_of_keeping_has_a_name_of_its_own(tmp_path: Path) -> None:
    for stored in ("pixels", "jpeg", "lossless"):
        first, again = Squares(stored), Squares(stored)
        made = ContentStore.prepare(catalog(), {"image": first}, tmp_path)
        found = ContentStore.prepare(catalog(), {"image": again}, tmp_path)
        assert first.prepared and not again.prepared
        assert made.parts["image"].key == found.parts["image"].key
    assert len(list(tmp_path.glob("image-*"))) == 3, "coming back to one of them finds it"
    assert PicturePacking("jpeg", SIDE).key != PicturePacking("lossless", SIDE).key


def test_pixels_are_kept_under_the_name_that_they_had_before_there_was_packing(tmp_path: Path) -> None:
    items = catalog(1)
    store = ContentStore.prepare(items, {"image": Squares()}, tmp_path)
    texts = "\0".join(("2", "image", "squares", items.fingerprint))
    assert store.parts["image"].key == hashlib.blake2b(texts.encode(), digest_size=12).hexdigest()


def test_an_interrupted_preparation_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "CHUNK", 4)
    first, second = Squares("jpeg", stop_after=8), Squares("jpeg")
    with pytest.raises(KeyboardInterrupt):
        ContentStore.prepare(catalog(), {"image": first}, tmp_path)
    assert [path.name[0] for path in tmp_path.iterdir()] == ["."], "nothing that looks complete"
    store = ContentStore.prepare(catalog(), {"image": second}, tmp_path)
    assert first.prepared + second.prepared == list(catalog().ids)
    whole = ContentStore.prepare(catalog(), {"image": Squares("jpeg")})
    assert pixels(store, range(12)).equal(pixels(whole, range(12)))


def test_what_is_derived_reads_pixels_and_may_pass_them_on(tmp_path: Path) -> None:
    store = ContentStore.prepare(catalog(), {"image": Squares("lossless")}, tmp_path)

    def mean(content: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {**content, "mean": content["pixels"].float().mean(dim=(2, 3))}

    for folder in (None, tmp_path, tmp_path):
        derived = store.with_derived("image", Derivation("averaging", "1", mean, below=1), folder)
        content = derived.gather(np.arange(12)).parts["image"].content
        assert isinstance(content, Mapping)
        assert content["mean"].equal(content["pixels"].float().mean(dim=(2, 3)))
    assert len(list(tmp_path.glob("*/pixels.npy"))) == 1


@pytest.mark.parametrize("stored", ["jpeg", "lossless"])
def test_a_damaged_file_says_what_to_do(stored: str) -> None:
    packing = PicturePacking(stored, SIDE)  # type: ignore[arg-type]
    (kept,) = packing.pack(Squares().prepare(catalog(1).items([0]))["pixels"])
    with pytest.raises(DataError, match=r"damaged[\s\S]*delete the store folder"):
        packing.unpack([kept[: len(kept) // 2]])
    with pytest.raises(DataError, match="damaged"):
        PicturePacking(stored, SIDE + 1).unpack([kept])  # type: ignore[arg-type]


# ---- room -------------------------------------------------------------------------------------------------------------


def test_no_room_is_an_error_before_anything_is_kept_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "free_bytes", lambda _: 100_000)
    with pytest.raises(DataError, match=r"12 items of [\s\S]*98 KiB left[\s\S]*keep them smaller"):
        ContentStore.prepare(catalog(), {"image": Squares()}, tmp_path)
    assert list(tmp_path.iterdir()) == []
    ContentStore.prepare(catalog(), {"image": Squares("jpeg")}, tmp_path)  # a third of that, which fits
    ContentStore.prepare(catalog(), {"image": Squares()})  # memory is not asked


def test_much_room_is_said_beforehand_and_only_when_something_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    ContentStore.prepare(catalog(), {"image": Squares("jpeg")}, tmp_path / "little", say=said.append)
    assert not said
    monkeypatch.setattr(preparation, "WORTH_SAYING", 1)
    encoder = Squares()
    for _ in range(2):
        ContentStore.prepare(catalog(), {"image": encoder}, tmp_path / "much", say=said.append)
    # 9 of the 12 pictures are different; beside the pixels there are 16 bytes of each picture, and 16 of each item
    assert said == [
        f"keeping what is prepared of image for 12 items: about {(9 * (3 * SIDE**2 + 16) + 12 * 16) / 1024:.0f} KiB"
    ]
