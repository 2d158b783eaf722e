"""Arithmetic of a training step's item encoder, as a ratio over the least that the content of the batch needs.

    python benchmarks/prefix.py

A BERT of four layers reads titles, and its two top layers learn; a ResNet of four stages does the same with pictures.
Counted are the floating-point operations of matrix products and convolutions, forward and backward, of the encoder alone
(``torch.utils.flop_counter``): the same on every machine, however busy. The least is what the learning layers need for
every distinct content of the batch, once, without padding; the frozen layers need nothing, since what they make is kept.
Each row of a table does one thing more than the row before.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from transrec.data.batches import ItemPart
from transrec.data.catalog import Catalog, Item
from transrec.data.ragged import Ragged
from transrec.data.store import ContentStore
from transrec.items.backbones import quiet_transformers
from transrec.items.encoder import ModalityEncoder
from transrec.items.scratch import new_text_backbone
from transrec.items.text import TextEncoder
from transrec.model import ModelSettings, TransRec
from transrec.retrieval.prefix import Keeping, with_states
from transrec.rules import Tuning, apply_tuning

HISTORY = 26
"""Items of each user."""
SAME = 0.05
"""Share of the items whose content is that of another."""
MAX_LENGTH = 32
RUNGS = (
    "every occurrence, padded to the longest text allowed",
    "every item once",
    "every content once",
    "in buckets of about one length",
    "frozen layers from the store",
)
"""Of the ladder for texts; each does one thing more than the one before."""


def titles(count: int, generator: np.random.Generator) -> list[str]:
    """Titles of 1 to 30 words with a long tail, some of them the same."""
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in "aeiou"]
    lengths = np.clip(np.exp(generator.normal(2.2, 0.6, count)).astype(int), 1, 30)
    return some_the_same([" ".join(generator.choice(words, size)) for size in lengths], generator)


def pictures(count: int, side: int, generator: np.random.Generator) -> list[bytes]:
    """Pictures of noise, some of them the same."""
    made = []
    for _ in range(count):
        out = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(out, "PNG")
        made.append(out.getvalue())
    return some_the_same(made, generator)


def some_the_same(made: list, generator: np.random.Generator) -> list:
    """Some entries replaced by another."""
    for place in np.flatnonzero(generator.random(len(made)) < SAME):
        made[place] = made[generator.integers(len(made))]
    return made


def occurrences(users: int, items: int, generator: np.random.Generator) -> np.ndarray:
    """The rows in the histories of all users, drawn by Zipf's law."""
    shares = 1 / np.arange(1, items + 1)
    return generator.choice(items, users * HISTORY, p=shares / shares.sum())


def tuned(modality: str, backbone: Path, catalog: Catalog) -> TransRec:
    """A model whose two top blocks learn."""
    given = {"backbone": str(backbone), **({"max_length": MAX_LENGTH} if modality == "text" else {})}
    settings = {"items": {"width": 32, "modalities": [modality], modality: given}, "users": {"heads": 2}}
    model = TransRec.build(ModelSettings.from_mapping(settings), [catalog])
    apply_tuning(model, Tuning.parse("top:2"))
    return model.train()


def own_entry(part: ItemPart) -> Tensor:
    """Which entry of the content each item of a part has."""
    return torch.arange(len(part.index_n)) if part.inverse_n is None else part.inverse_n


def flops(make: Callable[[], Tensor]) -> int:
    """Operations of making vectors and of the backward pass from them."""
    # the fused attention of CPUs is not counted, its parts are
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        make().sum().backward()
    return int(counter.get_total_flops())


def whole(encoder: ModalityEncoder, tokens: Ragged, longest: int) -> Tensor:
    """Vectors of texts through all layers, in one batch that is padded to the longest text allowed."""
    assert isinstance(encoder, TextEncoder)
    return encoder._whole(Ragged(tokens.values.long(), tokens.lengths_n, longest))


def one_more(encoder: ModalityEncoder, states: Callable[[int], Tensor | Ragged], below: int) -> int:
    """What another item costs in the learning layers: without what a batch costs however small it is."""
    two, one = (flops(lambda count=count: encoder.upper({"states": states(count)}, below)) for count in (2, 1))
    return two - one


def least_of_texts(encoder: ModalityEncoder, states: Ragged, below: int) -> int:
    """What the learning layers need for these texts, each at its own length.

    Args:
        encoder: of texts.
        states: what its frozen layers made of them.
        below: how many layers that are.
    """
    width = states.values.shape[1]

    def alike(length: int) -> Callable[[int], Ragged]:
        return lambda count: Ragged(torch.zeros(count * length, width), torch.full((count,), length))

    lengths, counts = (found.tolist() for found in states.lengths_n.unique(return_counts=True))
    return sum(count * one_more(encoder, alike(length), below) for length, count in zip(lengths, counts, strict=True))


def text_ladder(*, users: int, items: int, width: int) -> Mapping[str, float]:
    """Ratios over the least, for titles."""
    generator = np.random.default_rng(0)
    texts = titles(items, generator)
    catalog = Catalog.from_items([Item(str(row), text=text) for row, text in enumerate(texts)])
    with tempfile.TemporaryDirectory() as folder:
        new_text_backbone(texts[:500], folder, width=width, layers=4, max_length=MAX_LENGTH)
        model = tuned("text", Path(folder), catalog)
    encoder, store = model.items.preparers()["text"], ContentStore.prepare(catalog, model.items.preparers())
    rows = occurrences(users, items, generator)
    kept = with_states(model, store, Keeping()).gather(np.unique(rows)).parts["text"]
    distinct = store.gather(np.unique(rows)).parts["text"]
    content = distinct.content["tokens"]
    each = content.take(own_entry(distinct))
    all_of_them = each.take(torch.from_numpy(np.searchsorted(np.unique(rows), rows)))
    least = least_of_texts(encoder, kept.content["states"], 2)
    counted = [
        *(flops(lambda tokens=tokens: whole(encoder, tokens, MAX_LENGTH)) for tokens in (all_of_them, each, content)),
        *(flops(lambda part=part: encoder.encode(part)) for part in (distinct, kept)),
    ]
    return {rung: count / least for rung, count in zip(RUNGS, counted, strict=True)}


def image_ladder(*, users: int, items: int, side: int, widths: tuple[int, ...]) -> Mapping[str, float]:
    """Ratios over the least, for pictures."""
    generator = np.random.default_rng(0)
    made = pictures(items, side, generator)
    catalog = Catalog.from_items([Item(str(row), image=picture) for row, picture in enumerate(made)])
    shape = {"embedding_size": widths[0], "hidden_sizes": list(widths), "depths": [2] * len(widths), "layer_type": "basic"}
    with tempfile.TemporaryDirectory() as folder:
        with quiet_transformers():
            transformers.ResNetModel(transformers.ResNetConfig(**shape)).save_pretrained(folder)
        ViTImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)
        model = tuned("image", Path(folder), catalog)
    encoder, store = model.items.preparers()["image"], ContentStore.prepare(catalog, model.items.preparers())
    rows = occurrences(users, items, generator)
    kept = with_states(model, store, Keeping()).gather(np.unique(rows)).parts["image"]
    distinct = store.gather(np.unique(rows)).parts["image"]
    pixels = distinct.content["pixels"]
    stored = kept.content["states"]
    least = len(stored) * one_more(encoder, lambda count: stored[:count], 2)
    places = own_entry(distinct)[np.searchsorted(np.unique(rows), rows)]
    counted = {
        "every occurrence": flops(lambda: encoder({"pixels": pixels[places]})),
        "every item once": flops(lambda: encoder({"pixels": pixels[own_entry(distinct)]})),
        "every content once": flops(lambda: encoder.encode(distinct)),
        "frozen stages from the store": flops(lambda: encoder.encode(kept)),
    }
    return {what: count / least for what, count in counted.items()}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=64, help="users in the batch")
    parser.add_argument("--items", type=int, default=20_000, help="items in the catalog of titles")
    parser.add_argument("--pictures", type=int, default=2_000, help="items in the catalog of pictures")
    options = parser.parse_args()
    tables = {
        "titles, BERT 4 x 256, top 2 learn": text_ladder(users=options.users, items=options.items, width=256),
        "pictures, ResNet-18 at 64 x 64, top 2 stages learn": image_ladder(
            users=options.users // 4, items=options.pictures, side=64, widths=(64, 128, 256, 512)
        ),
    }
    for title, ratios in tables.items():
        print(f"\n{title}")
        for what, ratio in ratios.items():
            print(f"  {what:54} {ratio:6.2f}")


if __name__ == "__main__":
    main()
