"""Texts that say the same, or nearly: normalised words, and the share of three-word shingles that two texts have in common.

Axes: T texts of the target, S texts of the source, n shingles of all of them, P pairs that may be near.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from transrec.data.store import Progress

SHINGLE = 3
"""Words in a shingle."""
WORDS = 128
"""Words of a text that are read; what comes after says little more about whether two texts are the same."""
PAIRS_AT_MOST = 5_000_000
"""Pairs that are looked at; beyond it the commonest shingles no longer propose pairs."""
TOKENS_AT_ONCE = 1 << 22
"""Shingles that are looked up at a time."""

# scripts that are written without spaces: each character counts as a word
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])")
_WORD = re.compile(r"\w+")
_ASCII = {
    code: character.lower() if character.isalnum() or character == "_" else " "
    for code, character in enumerate(map(chr, range(128)))
}
"""What the steps for any text come to for a text of ASCII alone, which is most of them, in a third of the time."""
AT_ONCE = 1 << 16
"""Texts that are read at a time."""


def normalised(text: str) -> str:
    """The words of a text in lower case, one space between them: what is left when form, case and punctuation are gone."""
    if text.isascii():
        return " ".join(text.translate(_ASCII).split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(_UNSPACED.sub(r" \1 ", folded)))


def normalised_texts(texts: pl.Series, rows: np.ndarray) -> list[str]:
    """Some of the texts, normalised; one that is missing is empty."""
    return [normalised(text or "") for text in texts.gather(rows).to_list()]


def text_digests(texts: pl.Series, rows: np.ndarray, *, progress: Progress | None = None, what: str = "texts") -> np.ndarray:
    """A number for each of some texts, equal where the normalised texts are, and 0 for one without a word.

    Of two platforms of a million texts each, one pair in ten million pairs of platforms is equal by chance.

    Args:
        texts: of all rows of a catalog.
        rows: which of them, int64 (n,).
        progress: told how far it is.
        what: it is told.

    Returns:
        uint64 (n,).
    """
    digests = np.zeros(len(rows), dtype=np.uint64)
    for start in range(0, len(rows), AT_ONCE):
        part = pl.Series(normalised_texts(texts, rows[start : start + AT_ONCE]), dtype=pl.String)
        digests[start : start + AT_ONCE] = np.where((part != "").to_numpy(), part.hash().to_numpy(), 0)
        if progress:
            progress(what, min(start + AT_ONCE, len(rows)), len(rows))
    return digests


@dataclass(frozen=True, slots=True, eq=False)
class NearTexts:
    """Texts of the target that nearly are texts of the source.

    Attributes:
        targets: which, int64, increasing.
        sources: of each, the source text that is nearest to it.
        similarity: the share of shingles in common.
        crowded: texts of the target some of whose shingles are so common that they proposed no pairs.
    """

    targets: np.ndarray
    sources: np.ndarray
    similarity: np.ndarray
    crowded: int


def near_texts(target: Sequence[str], source: Sequence[str], *, least: float = 0.8) -> NearTexts:
    """For each text of the target the nearest of the source, where they have at least that share of shingles in common.

    The share is Jaccard's: common shingles by all different shingles of the two. It is exact; pairs are proposed by the
    rarest shingles of each text, of which two that are near must share one (Bayardo, Ma and Srikant 2007,
    doi:10.1145/1242572.1242591).

    Args:
        target: normalised texts; an empty one is near nothing.
        source: likewise.
        least: the share from which on two texts are near, above 0.
    """
    shingles = _Shingles.of([*target, *source], targets=len(target))
    proposed, crowded = _proposed(shingles, least)
    common_P = np.concatenate([shingles.common(block) for block in _blocks(proposed, shingles.lengths)] or [np.zeros(0)])
    lengths_P = shingles.lengths[proposed].sum(axis=1)
    similarity_P = common_P / np.maximum(lengths_P - common_P, 1)
    near = similarity_P >= least
    proposed, similarity_P = proposed[near], similarity_P[near]
    # the nearest of each target; of equally near ones the first
    order = np.lexsort((proposed[:, 1], -similarity_P, proposed[:, 0]))
    targets, first = np.unique(proposed[order, 0], return_index=True)
    return NearTexts(targets, proposed[order][first, 1] - len(target), similarity_P[order][first], crowded)


@dataclass(frozen=True, slots=True, eq=False)
class _Shingles:
    """The different shingles of texts, numbered from the rarest to the commonest.

    Attributes:
        ranks_n: the numbers, increasing within each text, int64.
        offsets: those of text i are ``ranks_n[offsets[i]:offsets[i + 1]]``.
        targets: how many of the texts, from the first on, are the target's.
    """

    ranks_n: np.ndarray
    offsets: np.ndarray
    targets: int

    @property
    def lengths(self) -> np.ndarray:
        """How many shingles each text has."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, texts: Sequence[str], *, targets: int) -> _Shingles:
        vocabulary: dict[str, int] = {}
        numbered = [[vocabulary.setdefault(word, len(vocabulary) + 1) for word in text.split()[:WORDS]] for text in texts]
        # a text of fewer words than a shingle is one shingle, filled up with the word 0 that no text has
        filled = [words + [0] * (SHINGLE - len(words)) if words else [] for words in numbered]
        counts = np.array([max(len(words) - SHINGLE + 1, 0) for words in filled], dtype=np.int64)
        flat = np.array([word for words in filled for word in words], dtype=np.uint64)
        starts = np.cumsum([0, *map(len, filled)])[:-1]
        owners_n = np.repeat(np.arange(len(texts)), counts)
        places = np.arange(len(owners_n)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
        hashes_n = np.zeros(len(places), dtype=np.uint64)
        for word in range(SHINGLE):
            hashes_n = hashes_n * np.uint64(0x9E3779B97F4A7C15) + flat[places + word]  # wraps around at 2 ** 64
            hashes_n ^= hashes_n >> np.uint64(29)
        _, kinds_n, uses = np.unique(hashes_n, return_inverse=True, return_counts=True)
        rank_of_kind = np.empty(len(uses), dtype=np.int64)
        rank_of_kind[np.argsort(uses, kind="stable")] = np.arange(len(uses))
        codes_n = np.unique(owners_n * max(len(uses), 1) + rank_of_kind[kinds_n])  # each shingle of a text once
        owners_n, ranks_n = np.divmod(codes_n, max(len(uses), 1))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owners_n, minlength=len(texts)))])
        return cls(ranks_n, offsets, targets)

    def rarest(self, least: float) -> tuple[np.ndarray, np.ndarray]:
        """Owners and ranks of the shingles of which two near texts share at least one."""
        lengths = self.lengths
        kept = lengths - np.ceil(least * lengths - 1e-9).astype(np.int64) + 1
        owners_n = np.repeat(np.arange(len(lengths)), lengths)
        early_n = np.arange(len(owners_n)) - self.offsets[owners_n] < kept[owners_n]
        return owners_n[early_n], self.ranks_n[early_n]

    def common(self, pairs_P2: np.ndarray) -> np.ndarray:
        """How many shingles the two texts of each pair have in common."""
        size = int(self.ranks_n.max(initial=0)) + 1
        first = self.offsets[self.targets]
        codes = np.repeat(np.arange(len(self.lengths)), self.lengths)[first:] * size + self.ranks_n[first:]
        lengths_P = self.lengths[pairs_P2[:, 0]]
        owner_of = np.repeat(np.arange(len(pairs_P2)), lengths_P)
        within = np.arange(len(owner_of)) - np.repeat(np.cumsum(lengths_P) - lengths_P, lengths_P)
        asked = pairs_P2[owner_of, 1] * size + self.ranks_n[self.offsets[pairs_P2[owner_of, 0]] + within]
        place = np.searchsorted(codes, asked).clip(max=max(len(codes) - 1, 0))
        return np.bincount(owner_of[codes[place] == asked], minlength=len(pairs_P2))


def _proposed(shingles: _Shingles, least: float) -> tuple[np.ndarray, int]:
    """Pairs (target text, source text) that may be near, (P, 2), and how many targets were too crowded for all of theirs."""
    owners, ranks = shingles.rarest(least)
    ours = owners < shingles.targets
    order = np.argsort(ranks[~ours], kind="stable")
    theirs, their_ranks = owners[~ours][order], ranks[~ours][order]
    lows = np.searchsorted(their_ranks, ranks[ours], side="left")
    counts = np.searchsorted(their_ranks, ranks[ours], side="right") - lows
    by_count = np.argsort(counts, kind="stable")
    dropped = by_count[np.cumsum(counts[by_count]) > PAIRS_AT_MOST]
    crowded = len(np.unique(owners[ours][dropped]))
    counts[dropped] = 0
    first = np.repeat(owners[ours], counts)
    within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = theirs[np.repeat(lows, counts) + within]
    total = len(shingles.lengths)
    first, second = np.divmod(np.unique(first * total + second), total)
    shorter = np.minimum(shingles.lengths[first], shingles.lengths[second])
    longer = np.maximum(shingles.lengths[first], shingles.lengths[second])
    fits = shorter >= least * longer
    return np.stack([first[fits], second[fits]], axis=1), crowded


def _blocks(pairs_P2: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """The pairs in parts whose shingles fit into memory."""
    if not len(pairs_P2):
        return []
    block = np.cumsum(lengths[pairs_P2[:, 0]]) // TOKENS_AT_ONCE
    return np.split(pairs_P2, np.flatnonzero(np.diff(block)) + 1)
