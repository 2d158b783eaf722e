"""Encoding in chunks: the same vectors and gradients with one chunk's activations, dropout replayed."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from transrec.data.ragged import Ragged
from transrec.items.chunks import in_chunks


class Reader(nn.Module):
    """Mean of embedded tokens through two layers."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(50, 16)
        self.layers = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Dropout(dropout), nn.Linear(64, 8))
        self.calls = list[int]()

    def forward(self, content: Mapping[str, Any]) -> Tensor:
        words = content["words"]
        self.calls.append(words.longest)
        mask_nT1 = words.mask()[:, :, None]
        means = (self.tokens(words.padded()) * mask_nT1).sum(dim=1) / mask_nT1.sum(dim=1)
        vectors: Tensor = self.layers(means) + content["shift"]
        return vectors


def content(count: int = 37) -> Mapping[str, Any]:
    generator = torch.Generator().manual_seed(0)
    words = [torch.randint(50, (int(n),), generator=generator) for n in torch.randint(1, 9, (count,), generator=generator)]
    return {"words": Ragged.of(words), "shift": torch.randn(count, 8, generator=generator)}


def gradients(reader: Reader, vectors: Tensor) -> list[Tensor]:
    """Of a softmax over all items, in which every gradient depends on every vector."""
    loss = (vectors @ vectors.T).logsumexp(dim=1).mean()
    return list(torch.autograd.grad(loss, list(reader.parameters())))


@pytest.mark.parametrize("at_once", [1, 8, 36, 37, 100])
def test_vectors_and_gradients_are_those_of_all_items_at_once(at_once: int) -> None:
    reader = Reader(dropout=0.0).double()
    whole, chunked = reader(content()), in_chunks(reader, content(), at_once)
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=1e-12)
    for found, expected in zip(gradients(reader, chunked), gradients(reader, whole), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_dropout_draws_the_same_when_a_chunk_is_run_again() -> None:
    reader = Reader(dropout=0.5)
    torch.manual_seed(0)  # noqa: TID251
    vectors = in_chunks(reader, content(), 8)
    torch.manual_seed(0)  # noqa: TID251
    order = content()["words"].lengths_n.argsort(stable=True)
    chunks = [
        reader({"words": content()["words"].take(index), "shift": content()["shift"][index]}) for index in order.split(8)
    ]
    by_hand = torch.cat(chunks)[order.argsort()]
    torch.testing.assert_close(vectors, by_hand)
    torch.manual_seed(1)  # noqa: TID251 (whatever was drawn since)
    for found, expected in zip(gradients(reader, vectors), gradients(reader, by_hand), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_batch() -> None:
    reader = Reader(dropout=0.1)

    def kept(count: int, at_once: int | None) -> int:
        sizes = list[int]()

        def note(tensor: Tensor) -> Tensor:
            if not isinstance(tensor, nn.Parameter):
                sizes.append(tensor.numel())
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor):
            prepared = content(count)
            _ = reader(prepared) if at_once is None else in_chunks(reader, prepared, at_once)
        return sum(sizes)

    assert kept(400, None) > 3 * kept(100, None)
    # the vectors themselves and their order are kept, nothing of what lies between
    assert kept(400, 20) < 400 * 10


def test_no_copy_of_the_content_is_kept() -> None:
    reader, alive = Reader(dropout=0.0), list[weakref.ref[Tensor]]()

    def run(chunk: Mapping[str, Any]) -> Tensor:
        alive.append(weakref.ref(chunk["shift"]))
        return reader(chunk)

    vectors = in_chunks(run, content(), 8)
    assert len(alive) == 5 and not any(own() is not None for own in alive)
    vectors.sum().backward()


def test_items_of_about_one_length_share_a_chunk() -> None:
    reader = Reader(dropout=0.0)
    in_chunks(reader, content(), 8)
    assert reader.calls == sorted(reader.calls) and reader.calls[0] < reader.calls[-1]
