"""Explaining: why an item has its score: what of the history is near it, what each view of it was worth, what counts added.

Axes: n results, L items of a history, D width, M views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.data.store import ContentStore
from transrec.model import TransRec
from transrec.views import ItemViews

NEAREST = 3
"""So many items of the history are named."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one item has its score.

    Attributes:
        content: what the model makes of history and item; with ``counts`` it adds up to the score.
        counts: what counts added: popularity, what tends to follow, what is had together.
        views: by modality that the item has, its share of ``content``; they add up to 1. See :func:`view_shares`.
        nearest: items of the history, at most three, and the cosine of their vectors with that of the item, best first.
    """

    content: float
    counts: float
    views: Mapping[str, float]
    nearest: tuple[tuple[str, float], ...]


@torch.no_grad()
def views_of(model: TransRec, items: Sequence[Item], platform: int) -> ItemViews:
    """The views of a few items, encoded now.

    Args:
        model: in evaluation mode.
        items: their content.
        platform: which of the model's platforms they are of.
    """
    store = ContentStore.prepare(Catalog.from_items(items), model.items.preparers()).of_platform(platform)
    views: ItemViews = model.items(store.gather(torch.arange(len(items)).numpy()).to(model.device))
    return views


@torch.no_grad()
def view_shares(model: TransRec, user: Tensor, views: ItemViews) -> list[dict[str, float]]:
    """The share that each view of some items has in their scores for one user, by ablation of the view.

    Let s be the score of content of an item, and s_m that of the same item had it no view m: fused without it, and where it
    was the only one, of the zero vector. The view is worth w_m = max(0, s - s_m), its share is w_m over the sum of these.
    Views of an item that loses by none of them have equal shares. What counts add is no part of it.

    Args:
        model: in evaluation mode.
        user: the vector of one user, as it is in :class:`~transrec.retrieval.queries.Queries`, of shape (1, ...).
        views: of n items.

    Returns:
        by modality, for each item; only of views that it has.
    """
    items = len(views.fused_UD)
    whole_n = model.scorer(user, views.read_by(model.scorer))[0].float()
    worth: dict[str, Tensor] = {}
    for name in views.views:
        present = {**views.present, name: torch.zeros_like(views.present[name])}
        without = ItemViews(views.views, present, model.items.fusion(views.views, present))
        without_n = model.scorer(user, without.read_by(model.scorer))[0].float()
        worth[name] = (whole_n - without_n).clamp(min=0.0) * views.present[name]
    total_n = torch.stack(list(worth.values())).sum(dim=0)
    count_n = torch.stack(list(views.present.values())).sum(dim=0)
    found: list[dict[str, float]] = []
    for place in range(items):
        held = [name for name in views.views if bool(views.present[name][place])]
        even = not total_n[place] > 0
        found.append({m: 1 / int(count_n[place]) if even else float(worth[m][place] / total_n[place]) for m in held})
    return found


def nearest_of(vector_D: Tensor, history_LD: Tensor, ids: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """The items of a history whose vectors point most nearly in the direction of another, with the cosine, best first.

    Args:
        vector_D: of the item.
        history_LD: of the history.
        ids: of the items of the history; one that occurs again is named once.
    """
    cosines_L = F.normalize(history_LD, dim=1) @ F.normalize(vector_D, dim=0)
    named: dict[str, float] = {}
    for place in cosines_L.argsort(descending=True, stable=True).tolist():
        named.setdefault(ids[place], float(cosines_L[place]))
    return tuple(named.items())[:NEAREST]
