"""The check before a comparison: does the target repeat what the source has shown already?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.overlap.pictures import Looks, near_pictures, picture_digests
from transrec.data.overlap.texts import near_texts, normalised_texts, text_digests
from transrec.data.reading.findings import counted
from transrec.data.store import Progress
from transrec.settings import Settings

EXAMPLES = 3
_COUNTER = re.compile(r"\D{0,8}\d{1,8}")
"""Ids that a platform may have given by counting: a word at most, then a number of at most eight digits. Nine digits has an
ASIN whose letters happen to be digits (B001234567), and few platforms have counted to a hundred million."""


class OverlapSettings(Settings):
    """How two platforms are compared for what they share."""

    near_text: float = Field(default=0.8, gt=0, le=1)
    """Share of three-word shingles in common from which on two texts are near duplicates."""
    near_picture: float = Field(default=0.99, gt=0, le=1)
    """Correlation of their small versions from which on two pictures are near duplicates."""
    texts: int = Field(default=100_000, ge=1)
    """Texts of a platform that are searched for near duplicates, at most; of more a sample is drawn. Identical ones are all
    found."""
    pictures: int = Field(default=20_000, ge=1)
    """Pictures of a platform that are searched for near duplicates, at most; of more a sample is drawn. Identical files are
    all found."""


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """One way in which the target repeats the source.

    Attributes:
        kind: what is the same.
        members: the target's users (indices) or items (rows) of which it is, int64, increasing.
        examples: pairs of ids, (of the target, of the source).
        compared: how many of the target's were compared.
        present: how many the target has.
        evidence: whether such a match says that the two are the same.
        note: what to know about it; may be empty.
        against: how many of the source's they were compared with, and how many it has; None where these are all.
    """

    kind: str
    members: np.ndarray
    examples: tuple[tuple[str, str], ...]
    compared: int
    present: int
    evidence: bool = True
    note: str = ""
    against: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.members)

    @property
    def sampled(self) -> bool:
        """Whether samples alone were compared, so that more may be shared than was found."""
        return self.compared < self.present or (self.against is not None and self.against[0] < self.against[1])

    def to_json(self) -> dict[str, Any]:
        """All but the single members, as values that JSON can hold."""
        return {
            "kind": self.kind,
            "count": len(self),
            "compared": self.compared,
            "present": self.present,
            "against": list(self.against) if self.against else None,
            "evidence": self.evidence,
            "note": self.note,
            "examples": [list(pair) for pair in self.examples],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """What a target shares with a source.

    Attributes:
        source: the name of the source.
        users: by their ids.
        items: by ids, content, texts and pictures; a kind that cannot be compared, because one side has none, is not there.
    """

    source: str
    users: Shared
    items: tuple[Shared, ...]

    @property
    def rows(self) -> np.ndarray:
        """Rows of the target's items that the source has, too, as far as there is evidence; int64."""
        found = [shared.members for shared in self.items if shared.evidence]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))

    @property
    def people(self) -> np.ndarray:
        """Indices of the target's users whom the source knows, too, as far as there is evidence; int64."""
        return self.users.members if self.users.evidence else np.zeros(0, dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """Everything as values that JSON can hold."""
        return {"source": self.source, "shared": [shared.to_json() for shared in (self.users, *self.items)]}


def overlap(
    target: Dataset, source: Dataset, settings: OverlapSettings | None = None, *, progress: Progress | None = None
) -> Overlap:
    """Compare users and item ids, contents, texts and pictures of two platforms.

    Equal ids count as the same user or item unless they are such as platforms give by counting. What is identical is all
    found: every text and picture file is read once, and 8 bytes of each are kept. Near duplicates take longer: of very many
    texts or pictures samples are drawn, and the result says of how many.

    Args:
        target: the platform whose test events are to be ranked.
        source: one that a model learned from before.
        settings: what counts as near, and how much is compared.
        progress: told how far it is.
    """
    settings = settings or OverlapSettings()
    users = _same_ids("user ids", target.interactions.users.to_list(), source.interactions.users.to_list())
    found = [_same_ids("item ids", target.catalog.ids, source.catalog.ids), _same_content(target.catalog, source.catalog)]
    if _both_have("text", target.catalog, source.catalog):
        found += _texts(target.catalog, source.catalog, settings, progress)
    if _both_have("image", target.catalog, source.catalog):
        found += _pictures(target.catalog, source.catalog, settings, progress)
    return Overlap(source.name, users, tuple(found))


def _both_have(modality: str, target: Catalog, source: Catalog) -> bool:
    return modality in target.modalities and modality in source.modalities


def _same_ids(kind: str, target: Sequence[str], source: Sequence[str]) -> Shared:
    """Equal ids, without those that both platforms may have given by counting where there are others."""
    known = set(source)
    equal = np.array([place for place, own in enumerate(target) if own in known], dtype=np.int64)
    numbered = np.array([bool(_COUNTER.fullmatch(target[place])) for place in equal], dtype=bool)
    evidence = not len(equal) or not numbered.all()
    members = equal[~numbered] if evidence else equal
    told = f"{counted(int(numbered.sum()), 'equal id')} {'is' if numbered.sum() == 1 else 'are'}"
    note = f"{told} no more than a short number, as platforms give by counting, and prove nothing"
    return Shared(
        kind,
        members,
        tuple((target[place], target[place]) for place in members[:EXAMPLES]),
        compared=len(target),
        present=len(target),
        evidence=evidence,
        note=note if numbered.any() else "",
    )


def _same_content(target: Catalog, source: Catalog) -> Shared:
    """Items that agree in everything they have: text, picture and given vectors."""
    partner = _first_rows(source.content_keys)
    rows = np.flatnonzero(~target.bare)
    keys = target.content_keys
    return _matched("identical content", target, source, rows, [partner.get(keys[row], -1) for row in rows])


def _texts(target: Catalog, source: Catalog, settings: OverlapSettings, progress: Progress | None) -> list[Shared]:
    rows, other_rows = (np.flatnonzero(catalog.presence["text"]) for catalog in (target, source))
    texts, others = target.column("text"), source.column("text")
    ours = text_digests(texts, rows, progress=progress, what="reading texts of the target")
    same = _partners(ours, text_digests(others, other_rows, progress=progress, what="reading texts of the source"))
    found = _matched("identical texts", target, source, rows, _those(other_rows, same))
    left, held = _sampled(rows[same < 0], settings.texts), _sampled(other_rows, settings.texts)
    near = near_texts(normalised_texts(texts, left), normalised_texts(others, held), least=settings.near_text)
    partners = np.full(len(left), -1, dtype=np.int64)
    partners[near.targets] = held[near.sources]
    note = f"{near.crowded:,} texts share common phrases with too many to be compared with all" if near.crowded else ""
    compared, against = len(left) + len(found), (len(held), len(other_rows))
    nearly = _matched("near-duplicate texts", target, source, left, partners, note=note)
    return [found, replace(nearly, compared=compared, against=against)]


def _pictures(target: Catalog, source: Catalog, settings: OverlapSettings, progress: Progress | None) -> list[Shared]:
    rows, other_rows = (np.flatnonzero(catalog.presence["image"]) for catalog in (target, source))
    ours = picture_digests(target, rows, progress=progress, what="reading pictures of the target")
    same = _partners(ours, picture_digests(source, other_rows, progress=progress, what="reading pictures of the source"))
    found = _matched("identical pictures", target, source, rows, _those(other_rows, same))
    left, held = (
        Looks.of(catalog, _sampled(of, settings.pictures), progress=progress, what=f"looking at pictures of the {side}")
        for side, catalog, of in (("target", target, rows[same < 0]), ("source", source, other_rows))
    )
    near, nearest = near_pictures(left, held, least=settings.near_picture)
    partners = np.full(len(left.rows), -1, dtype=np.int64)
    partners[near] = held.rows[nearest]
    unread = int((~left.readable).sum())
    note = f"{unread:,} pictures cannot be decoded" if unread else ""
    compared, against = len(left.rows) + len(found), (len(held.rows), len(other_rows))
    nearly = _matched("near-duplicate pictures", target, source, left.rows, partners, note=note)
    return [found, replace(nearly, compared=compared, against=against)]


def _partners(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """For each of our digests the first place among theirs where it stands, int64; -1 where it does not, and for a 0."""
    known, first = np.unique(theirs, return_index=True)
    if not len(known):
        return np.full(len(ours), -1, dtype=np.int64)
    place = np.searchsorted(known, ours).clip(max=len(known) - 1)
    return np.where((known[place] == ours) & (ours != 0), first[place], -1)


def _those(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rows at these places, and -1 where there is none."""
    found = np.full(len(places), -1, dtype=np.int64)
    found[places >= 0] = rows[places[places >= 0]]
    return found


def _matched(
    kind: str, target: Catalog, source: Catalog, rows: np.ndarray, partners: Sequence[int] | np.ndarray, *, note: str = ""
) -> Shared:
    """The rows of the target that have a partner among those of the source; -1 stands for none."""
    partners = np.asarray(partners, dtype=np.int64)
    have = np.flatnonzero(partners >= 0)
    examples = tuple((target.ids[rows[place]], source.ids[partners[place]]) for place in have[:EXAMPLES])
    present = {"texts": "text", "pictures": "image"}.get(kind.rpartition(" ")[2])
    number = int(target.presence[present].sum()) if present else len(target)
    return Shared(kind, rows[have], examples, compared=len(rows), present=number, note=note)


def _first_rows(keys: Sequence[Any] | np.ndarray) -> Mapping[Any, int]:
    """Where each key stands first."""
    return {key: place for place, key in reversed(list(enumerate(keys)))}


def _sampled(rows: np.ndarray, limit: int) -> np.ndarray:
    """At most so many of the rows, in their order, the same ones every time."""
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
