"""The contract of modality encoders."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from transrec.data.catalog import Item
from transrec.data.ragged import Ragged
from transrec.errors import DataError, ModelError
from transrec.items.encoder import ModalityEncoder, Prepared
from transrec.seeding import seeded

PICKLE_SUFFIXES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}


class ModalityEncoderContract(ABC):
    """What every :class:`~transrec.items.encoder.ModalityEncoder` must hold to.

    Subclass it in a test file::

        class TestMine(ModalityEncoderContract):
            def make(self):
                return Mine(width=32)

            def items(self):
                return [Item("a", text="red shoes"), Item("b", text="a blue hat"), Item("c", text="socks")]

    Attributes:
        tolerance: by how much the same vector may differ between two ways of computing it, in float32; of
            numbers above one, for each unit of the largest.
    """

    tolerance: float = 1e-5

    @abstractmethod
    def make(self) -> ModalityEncoder:
        """A new encoder, with parameters that learn if it has any; fresh weights are drawn under one seed."""

    @abstractmethod
    def items(self) -> Sequence[Item]:
        """Three or more items that it reads, with different content, and of different lengths where there are lengths."""

    def bad_items(self) -> Sequence[Item]:
        """Items whose content it cannot read; an item without its modality unless you say more."""
        return [Item("an-item-without-it", vectors={"of-another-kind": np.zeros(1, dtype=np.float32)})]

    # ---- preparing ----------------------------------------------------------------------------------------------------

    @final
    def test_reads_its_own_items(self) -> None:
        """``reads`` is true for the items, and a modality and a width are declared."""
        encoder, items = self._made(), self._items()
        assert isinstance(encoder.modality, str), "modality is the name under which items hold what is read"
        assert encoder.width > 0, "width is the width of the vectors"
        assert all(encoder.reads(item) for item in items), "reads() must be true for the items of items()"

    @final
    def test_prepared_content_has_one_entry_an_item(self) -> None:
        """All that is prepared has one entry an item, and its other axes do not depend on the items."""
        encoder, items = self._made(), self._items()
        together, alone = encoder.prepare(items), encoder.prepare(items[:1])
        assert together, "prepare() returned nothing"
        for name, values in together.items():
            assert len(values) == len(items), f"{name} has {len(values)} entries for {len(items)} items"
            tensor, of_one = _tensor(values), _tensor(alone[name])
            assert tensor.device.type == "cpu", f"{name}: prepare() runs on the CPU"
            assert tensor.shape[1:] == of_one.shape[1:], f"the shape of {name} depends on the other items"
            assert tensor.dtype == of_one.dtype, f"the type of {name} depends on the other items"

    @final
    def test_preparing_does_not_depend_on_the_other_items(self) -> None:
        """An item is prepared to the same tensors alone, among others, in any order, and again."""
        encoder, items = self._made(), self._items()
        together, again = encoder.prepare(items), encoder.prepare(items)
        turned = encoder.prepare(items[::-1])
        for name, values in together.items():
            entries = _entries(values)
            assert _same(entries, _entries(again[name])), f"preparing twice gives another {name}"
            assert _same(entries, _entries(turned[name])[::-1]), f"{name} depends on the order of the items"
            for place, item in enumerate(items):
                alone = _entries(encoder.prepare([item])[name])
                assert _same(entries[place : place + 1], alone), f"{name} of {item.id!r} depends on the other items"

    @final
    def test_bad_content_is_an_error_that_names_the_item(self) -> None:
        """What cannot be read raises a DataError with the item's id in it."""
        encoder = self._made()
        for item in self.bad_items():
            message = None
            try:
                encoder.prepare([*self._items(), item])
            except DataError as error:
                message = str(error)
            assert message is not None, f"prepare() took {item.id!r}, which it cannot read, without a DataError"
            assert item.id in message, f"the message does not name {item.id!r}: {message}"

    @final
    def test_preparation_key_is_stable(self) -> None:
        """The key is the same for a copy, after use, and after saving and loading."""
        encoder = self._made()
        key = encoder.preparation_key()
        assert isinstance(key, str), "preparation_key() returns a text"
        assert key, "preparation_key() is empty"
        assert self._made().preparation_key() == key, "two encoders made alike have different keys"
        encoder.prepare(self._items())
        assert encoder.preparation_key() == key, "the key changed when the encoder was used"
        assert _round_trip(encoder).preparation_key() == key, "the key changed when the encoder was saved and loaded"

    # ---- encoding -----------------------------------------------------------------------------------------------------

    @final
    def test_vectors_have_the_declared_shape(self) -> None:
        """One finite vector of the declared width for each item, of the type of the parameters."""
        encoder, items = self._made().eval(), self._items()
        vectors = _encode(encoder, items)
        assert vectors.shape == (len(items), encoder.width), f"{tuple(vectors.shape)} is not (n, width)"
        dtype = next((p.dtype for p in encoder.parameters()), torch.float32)
        assert vectors.dtype == dtype, f"vectors are {vectors.dtype}, parameters {dtype}"
        assert vectors.isfinite().all(), "a vector holds something that is not a finite number"

    @final
    def test_vectors_differ_where_the_content_does(self) -> None:
        """Different content gives different vectors: something of it is read."""
        vectors = _encode(self._made().eval(), self._items())
        assert not torch.allclose(vectors, vectors[:1], atol=1e-7, rtol=0.0), "all items have the same vector"

    @final
    def test_a_vector_does_not_depend_on_the_other_items(self) -> None:
        """In evaluation mode, alone, among others, and in any order: the same vector."""
        encoder, items = self._made().eval(), self._items()
        together = _encode(encoder, items)
        self._close(_encode(encoder, items[::-1]).flip(0), together, "vectors depend on the order of the items")
        for place, item in enumerate(items):
            self._close(_encode(encoder, [item])[0], together[place], f"the vector of {item.id!r} depends on the others")

    @final
    def test_encoding_is_deterministic_in_evaluation(self) -> None:
        """Twice the same content, twice the same vector, bit for bit."""
        encoder, items = self._made().eval(), self._items()
        assert torch.equal(_encode(encoder, items), _encode(encoder, items)), "two passes gave different vectors"

    @final
    def test_forward_leaves_what_was_prepared_alone(self) -> None:
        """Prepared content is kept for the whole catalog; forward must not write into it."""
        encoder = self._made().eval()
        prepared = encoder.prepare(self._items())
        before = {name: _tensor(values).clone() for name, values in prepared.items()}
        with torch.no_grad():
            encoder(prepared)
        for name, values in prepared.items():
            assert torch.equal(_tensor(values), before[name]), f"forward() changed {name}"

    # ---- learning -----------------------------------------------------------------------------------------------------

    @final
    def test_every_parameter_gets_a_gradient(self) -> None:
        """What is shown as learning learns; a parameter that nothing uses should not be there."""
        encoder = self._made().train()
        vectors = encoder(encoder.prepare(self._items()))
        if not any(p.requires_grad for p in encoder.parameters()):
            return
        weights = torch.linspace(0.5, 1.5, vectors.numel()).view_as(vectors)  # a plain sum is constant behind a layer norm
        (weights * vectors).sum().backward()
        without = [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
        assert not without, f"no gradient reaches {', '.join(without)}"

    @final
    def test_frozen_parts_stay_in_evaluation_mode(self) -> None:
        """With nothing to learn, training mode gives the vectors of evaluation mode, and no buffer moves."""
        encoder, items = self._made(), self._items()
        encoder.requires_grad_(requires_grad=False)
        expected = _encode(encoder.eval(), items)
        before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
        self._close(_encode(encoder.train(), items), expected, "frozen parts behave otherwise in training")
        for name, buffer in encoder.named_buffers():
            assert torch.equal(buffer, before[name]), f"the buffer {name} of a frozen encoder moved"

    @final
    def test_blocks_are_submodules_in_order(self) -> None:
        """The blocks are parts of the encoder, all different, and registered from input to output."""
        encoder = self._made()
        place = {id(module): number for number, module in enumerate(encoder.modules())}
        places = [place.get(id(block)) for block in encoder.blocks()]
        assert None not in places, "a block is not a part of the encoder"
        order = [number for number in places if number is not None]
        assert order == sorted(set(order)), "blocks are not in the order in which they are registered"
        assert all(any(True for _ in block.parameters()) for block in encoder.blocks()), "a block has no parameters"

    @final
    def test_two_halves_make_the_whole(self) -> None:
        """Cut at any of its blocks, what the halves make is what the whole makes; ``lower`` may refuse with a ModelError."""
        encoder, items = self._made().eval(), self._items()
        expected, prepared = _encode(encoder, items), encoder.prepare(items)
        for below in range(1, len(encoder.blocks()) + 1):
            with torch.no_grad(), contextlib.suppress(ModelError):
                lowered = encoder.lower(prepared, below)
                assert all(len(values) == len(items) for values in lowered.values()), "lower() must keep one entry an item"
                self._close(encoder.upper(lowered, below), expected, f"cut before block {below}, it makes other vectors")

    # ---- keeping ------------------------------------------------------------------------------------------------------

    @final
    def test_saving_and_loading_gives_the_same_vectors(self) -> None:
        """Assets and weights together are the encoder."""
        encoder, items = self._made().eval(), self._items()
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.mul_(1.25)  # so that a loader that fetches the published weights again is found out
        loaded = _round_trip(encoder)
        assert type(loaded) is type(encoder), f"from_assets() gave a {type(loaded).__name__}"
        assert (loaded.modality, loaded.width) == (encoder.modality, encoder.width), "modality or width changed"
        assert torch.equal(_encode(loaded, items), _encode(encoder, items)), "the loaded encoder gives other vectors"

    @final
    def test_assets_hold_no_pickle(self) -> None:
        """Nothing that could run code when it is read."""
        with tempfile.TemporaryDirectory() as folder:
            self._made().save_assets(Path(folder))
            for path in Path(folder).rglob("*"):
                assert path.suffix not in PICKLE_SUFFIXES, f"{path.name} looks like a pickle"
                # protocol 2 and later begin with these two bytes; torch.save writes a zip file
                start = path.read_bytes()[:2] if path.is_file() else b""
                assert not (start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")), (
                    f"{path.name} is a pickle"
                )
                assert start != b"PK", f"{path.name} is an archive"

    def _made(self) -> ModalityEncoder:
        """Fresh weights that are the same on every call and in every process: a check that fails fails again."""
        with seeded(0):
            return self.make()

    def _items(self) -> list[Item]:
        items = list(self.items())
        assert len(items) >= 3, "give three items or more"
        return items

    def _close(self, found: Tensor, expected: Tensor, complaint: str) -> None:
        gap, allowed = float((found - expected).abs().max()), self.tolerance * max(1.0, float(expected.abs().max()))
        assert gap <= allowed, f"{complaint}: by {gap:.2g}, allowed is {allowed:.2g}"


def _tensor(values: Tensor | Ragged) -> Tensor:
    return values.values if isinstance(values, Ragged) else values


def _entries(values: Tensor | Ragged) -> list[Tensor]:
    """What was prepared of each item."""
    return values.each() if isinstance(values, Ragged) else list(values)


def _same(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


def _encode(encoder: ModalityEncoder, items: Sequence[Item]) -> Tensor:
    prepared: Prepared = encoder.prepare(items)
    with torch.no_grad():
        vectors: Tensor = encoder(prepared)
    return vectors


def _round_trip(encoder: ModalityEncoder) -> ModalityEncoder:
    """The encoder as it comes back from its assets and weights."""
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_assets(Path(folder))
        loaded = type(encoder).from_assets(Path(folder))
    weights: Mapping[str, Tensor] = copy.deepcopy(encoder.state_dict())
    loaded.load_state_dict(weights)
    return loaded.train(encoder.training)
