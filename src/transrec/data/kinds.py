"""Kinds: one platform as if its items were texts only, pictures only, or texts and pictures mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import numpy as np

from transrec.data.catalog import WITHHELD, Catalog, Item
from transrec.data.dataset import Dataset
from transrec.errors import DataError

Kind = Literal["mixed", "text", "image", "both"]
"""What the items of a version have: a text or a picture each, their text, their picture, or all that they had."""

KINDS: Mapping[str, str] = {"mixed": "mixed", "text": "text only", "image": "pictures only", "both": "as it is"}
"""The kinds in the order of tables, and what names of datasets say of them."""

ITEMS_AT_ONCE = 512


def of_kind(dataset: Dataset, kind: Kind, *, seed: int = 0) -> Dataset:
    """The same platform, users, events and items, of whose content only some is left.

    Of a mixed one, half of the items that have both keep only their text and the other half only their picture, as every
    item of TransRec's platforms has one of the two (arXiv 2206.06190); an item with one of them keeps it. Given vectors are
    taken away, for they are often made of what is taken away; only ``both`` is the dataset as it is.

    An item that is left with nothing of the kind stays in its row, with the vector
    :data:`~transrec.data.catalog.WITHHELD`. All versions have the same events and candidates then, and the item ranks after
    all others, as does whatever a model cannot read.

    Args:
        dataset: the platform; it stays as it is.
        kind: of the version.
        seed: decides which half of the items keeps what, of a mixed version.

    Returns:
        a dataset in memory, called ``NAME, text only`` for example.

    Raises:
        DataError: the kind is unknown, or the platform has nothing of it.
    """
    reason = obstacle(dataset, kind)
    if reason:
        raise DataError(reason, where=dataset.name, remedy=f"the kinds are {', '.join(KINDS)}")
    if kind == "both":
        return dataset
    catalog = dataset.catalog
    texts_V, images_V = _kept(catalog.presence, kind, np.random.default_rng(seed))
    items: list[Item] = []
    for start in range(0, len(catalog), ITEMS_AT_ONCE):
        rows = np.arange(start, min(start + ITEMS_AT_ONCE, len(catalog)))
        items += [_with(item, texts_V[row], images_V[row]) for row, item in zip(rows, catalog.items(rows), strict=True)]
    version = {"kind": kind, "seed": seed, "of": dataset.name, "of_fingerprint": dataset.fingerprint}
    return Dataset(
        Catalog.from_items(items, {name: catalog.column(name).to_list() for name in catalog.columns}),
        dataset.interactions,
        name=f"{dataset.name}, {KINDS[kind]}",
        manifest={**dataset.manifest, "version": version},
    )


def obstacle(dataset: Dataset, kind: str) -> str:
    """Why there is no version of this kind; empty where there is one."""
    presence = dataset.catalog.presence
    if kind not in KINDS:
        return f"there is no kind {kind!r}"
    if kind == "text" and not presence["text"].any():
        return "no item has a text"
    if kind == "image" and not presence["image"].any():
        return "no item has a picture"
    if kind == "mixed" and not (presence["text"].any() and presence["image"].any()):
        return "there is nothing to mix: no item has a " + ("picture" if presence["text"].any() else "text")
    return ""


def version_digest(dataset: Dataset, kind: Kind, seed: int) -> str:
    """Eight hexadecimal digits that change when the version does."""
    told = f"{dataset.fingerprint} {kind} {seed if kind == 'mixed' else 0}"
    return hashlib.blake2b(told.encode(), digest_size=4).hexdigest()


def _kept(presence: Mapping[str, np.ndarray], kind: Kind, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which items keep their text and which their picture, bool (V,) each."""
    texts_V, images_V = presence["text"].copy(), presence["image"].copy()
    if kind == "mixed":
        either = generator.permutation(np.flatnonzero(texts_V & images_V))
        images_V[either[: len(either) // 2]] = False
        texts_V[either[len(either) // 2 :]] = False
        return texts_V, images_V
    (images_V if kind == "text" else texts_V)[:] = False
    return texts_V, images_V


def _with(item: Item, text: bool, image: bool) -> Item:
    return Item(
        id=item.id,
        text=item.text if text else None,
        image=item.image if image else None,
        vectors={} if text or image else {WITHHELD: np.zeros(1, dtype=np.float32)},
    )
