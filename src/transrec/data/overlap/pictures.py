"""Pictures that are the same, or nearly: digests of their files, difference hashes, and small versions of what they show.

Axes: T pictures of the target, S of the source, H bits of a hash, P pairs.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from transrec.data.catalog import Catalog
from transrec.data.pictures import FORMATS
from transrec.data.store import Progress

HASH_SIDE = 16
BITS = HASH_SIDE * HASH_SIDE
THUMBNAIL_SIDE = 32
MARGIN = 2
"""Grey levels by which a point must be brighter than its right neighbour: less is noise of the encoding."""
DIFFERENT_BITS = 24
"""Two hashes that differ in at most so many bits propose a pair; compressed again at half the size, all of 600 pictures of
posters and of garments stayed within it."""
PAIRS_AT_ONCE = 2048
CHUNK = 256
"""Pictures that are read at a time."""
SCORES_AT_ONCE = 1 << 24
"""Pairs of hashes that are compared at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What some pictures look like.

    Attributes:
        rows: their catalog rows, int64.
        hashes: difference hashes, bool of shape (n, H).
        thumbnails: the pictures in 32 x 32 points, uint8 of shape (n, 3072).
        readable: which of them could be decoded, bool.
    """

    rows: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    readable: np.ndarray

    @classmethod
    def of(cls, catalog: Catalog, rows: np.ndarray, *, progress: Progress | None = None, what: str = "pictures") -> Looks:
        """Look at the pictures of these rows, a few hundred at a time."""
        hashes = np.zeros((len(rows), BITS), dtype=bool)
        thumbnails = np.zeros((len(rows), 3 * THUMBNAIL_SIDE**2), dtype=np.uint8)
        readable = np.zeros(len(rows), dtype=bool)
        done = 0
        with ThreadPoolExecutor() as pool:
            for images in _images(catalog, rows):
                for place, seen in enumerate(pool.map(look, images), start=done):
                    if seen is not None:
                        hashes[place], thumbnails[place], readable[place] = *seen, True
                done += len(images)
                if progress:
                    progress(what, done, len(rows))
        return cls(rows, hashes, thumbnails, readable)


def picture_digests(
    catalog: Catalog, rows: np.ndarray, *, progress: Progress | None = None, what: str = "pictures"
) -> np.ndarray:
    """A number for the picture file of each of these rows, equal where the files are; uint64 (n,), never 0."""
    digests = np.zeros(len(rows), dtype=np.uint64)
    done = 0
    for images in _images(catalog, rows):
        told = b"".join(hashlib.blake2b(image, digest_size=8).digest() for image in images)
        digests[done : done + len(images)] = np.frombuffer(told, dtype=np.uint64)
        done += len(images)
        if progress:
            progress(what, done, len(rows))
    return np.maximum(digests, 1)


def look(image: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """The difference hash and the small version of a picture; None where it cannot be decoded.

    A bit of the hash says whether a point of the picture, shrunk to 17 x 16 in grey, is brighter than its right neighbour.
    """
    try:
        with Image.open(io.BytesIO(image), formats=FORMATS) as picture:
            picture.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
            colours = picture.convert("RGB")
            small = colours.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
            grey = colours.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    except Exception:  # decoders raise almost anything on a broken file, which only is not compared
        return None
    levels = np.asarray(grey, dtype=np.int16)
    return (levels[:, :-1] - levels[:, 1:] > MARGIN).ravel(), np.asarray(small, dtype=np.uint8).ravel()


def near_pictures(target: Looks, source: Looks, *, least: float) -> tuple[np.ndarray, np.ndarray]:
    """For each picture of the target the most similar one of the source, where the two are similar enough.

    Pairs are proposed by their hashes, all against all in one matrix product, and judged by the correlation of their small
    versions, which also sees what a hash does not: colours, and shapes that hardly stand out.

    Args:
        target: its pictures; those that cannot be decoded are near nothing.
        source: likewise.
        least: the correlation from which on two are near, at most 1.

    Returns:
        places in the target, increasing, and for each the place in the source.
    """
    best_T = np.full(len(target.rows), -np.inf)
    partner_T = np.full(len(target.rows), -1, dtype=np.int64)
    for pairs_P2 in _proposed(target, source):
        similarity_P = _correlations(target.thumbnails[pairs_P2[:, 0]], source.thumbnails[pairs_P2[:, 1]])
        for (ours, theirs), similarity in zip(pairs_P2, similarity_P, strict=True):
            if similarity >= least and similarity > best_T[ours]:
                best_T[ours], partner_T[ours] = similarity, theirs
    near = np.flatnonzero(partner_T >= 0)
    return near, partner_T[near]


def _proposed(target: Looks, source: Looks) -> Iterator[np.ndarray]:
    """Pairs whose hashes hardly differ, as blocks of (P, 2)."""
    ours, theirs = np.flatnonzero(target.readable), np.flatnonzero(source.readable)
    if not len(ours) or not len(theirs):
        return
    signs_HS = (2.0 * source.hashes[theirs] - 1).astype(np.float32).T
    step = max(1, SCORES_AT_ONCE // len(theirs))
    for start in range(0, len(ours), step):
        block = ours[start : start + step]
        agreement = (2.0 * target.hashes[block] - 1).astype(np.float32) @ signs_HS
        first, second = np.nonzero(agreement >= BITS - 2 * DIFFERENT_BITS)
        pairs = np.stack([block[first], theirs[second]], axis=1)
        for at in range(0, len(pairs), PAIRS_AT_ONCE):
            yield pairs[at : at + PAIRS_AT_ONCE]


def _correlations(first_Pn: np.ndarray, second_Pn: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each pair of rows; 0 where a row is all one value, unless both are alike."""
    ours, theirs = (
        rows.astype(np.float32) - rows.mean(axis=1, keepdims=True, dtype=np.float32) for rows in (first_Pn, second_Pn)
    )
    sizes = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    products: np.ndarray = np.einsum("pn,pn->p", ours, theirs)
    return np.where(sizes > 0, products / np.where(sizes > 0, sizes, 1), (first_Pn == second_Pn).all(axis=1))


def _images(catalog: Catalog, rows: np.ndarray) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(rows), CHUNK):
        yield [image or b"" for image in catalog.pictures(rows[start : start + CHUNK])]
