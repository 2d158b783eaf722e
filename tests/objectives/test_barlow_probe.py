"""Few labels: a linear probe on what Barlow Twins made of histories tells people apart better than an untrained encoder."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.histories import Histories
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.index import CatalogIndex, encode_histories

USERS, ITEMS, GROUPS, CLASSES, LENGTH, LABELS = 1024, 120, 12, 6, 12, 50
FORM = ModelSettings.from_mapping(
    {
        "items": {"width": 32, "start": "random"},
        "users": {
            **{"window": LENGTH, "layers": 1, "heads": 2, "feedforward": 32},
            **{"start": "fresh", "mask_token": True, "attention": "bidirectional"},
        },
        "prior": "none",
    }
)
BARLOW = {"width": 64, "pooling": "mean", "views": {"mask": 0.2, "permute": 0.0, "drop": 0.2}}


class World:
    """People of six kinds, each with a taste of its own for twelve groups of items; the label is the kind."""

    def __init__(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        centres, group_V = chance.normal(size=(GROUPS, 16)), np.arange(ITEMS) % GROUPS
        vectors = centres[group_V] + chance.normal(size=(ITEMS, 16))
        self.catalog = Catalog.from_items([Item(f"i{row}", vectors={"given": vectors[row]}) for row in range(ITEMS)])
        taste, kinds = chance.dirichlet(np.full(GROUPS, 0.3), size=CLASSES), chance.integers(CLASSES, size=USERS)
        liked = [chance.choice(GROUPS, LENGTH, p=taste[kind]) for kind in kinds]
        rows = [[chance.choice(np.flatnonzero(group_V == group)) for group in groups] for groups in liked]
        columns = {
            "user": np.repeat(np.arange(USERS), LENGTH).astype(str),
            "row": np.concatenate(rows),
            "time": np.tile(np.arange(LENGTH, dtype=float), USERS),
        }
        self.events = Interactions.from_columns(pl.DataFrame(columns))
        self.kinds = kinds[[int(user) for user in self.events.users]]
        self.model = TransRec.build(FORM, [self.catalog], seed=seed)
        self.store = ContentStore.prepare(self.catalog, self.model.items.preparers())

    def train(self, *, batch_size: int, steps: int, seed: int) -> None:
        objective = build_objective(
            ObjectiveSettings.from_mapping({"kind": "barlow", "barlow": BARLOW}), self.model, seed=seed
        )
        batches = SequenceBatches(leave_one_out(self.events), self.store, objective.plan, batch_size=batch_size, seed=seed)
        with objective.lending(self.model):
            optimiser = torch.optim.Adam(self.model.parameters(), lr=0.003)
            self.model.train()
            for step in range(steps):
                batch = batches.batch(step)
                optimiser.zero_grad()
                objective(self.model, self.model(batch), batch).total.backward()
                optimiser.step()

    def probe(self, seed: int) -> float:
        """The accuracy of ridge regression on fifty labels, on all the others; the mean over five draws of them."""
        index = CatalogIndex.encode(self.model, self.store)
        histories = Histories(self.events.rows, self.events.offsets)
        vectors = encode_histories(self.model, index, histories).vectors.double().numpy()
        vectors = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-6)
        found = []
        for draw in range(5):
            order = np.random.default_rng([seed, draw]).permutation(USERS)
            known, others = order[:LABELS], order[LABELS:]
            targets = np.eye(CLASSES)[self.kinds[known]] - 1 / CLASSES
            gram = vectors[known].T @ vectors[known] + 10.0 * np.eye(vectors.shape[1])
            weights = np.linalg.solve(gram, vectors[known].T @ targets)
            found.append(np.mean(np.argmax(vectors[others] @ weights, axis=1) == self.kinds[others]))
        return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_probe_with_fifty_labels_is_better_after_it(seed: int) -> None:
    world = World(seed)
    untrained = world.probe(seed)
    world.train(batch_size=512, steps=150, seed=seed)
    assert world.probe(seed) > untrained + 0.1
