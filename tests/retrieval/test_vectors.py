"""Fixed encoders run once, and their vectors change no number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform

from transrec.data.store import ContentStore
from transrec.items.encoder import Prepared
from transrec.model import TransRec
from transrec.retrieval.vectors import weights_digest, with_vectors


@pytest.fixture
def model() -> TransRec:
    return TransRec.build(SETTINGS, [platform().catalog], seed=3)


def test_vectors_give_the_same_items(model: TransRec, tmp_path: Path) -> None:
    store = ContentStore.prepare(platform().catalog, model.items.preparers())
    rows = np.array([4, 49, 0])
    model.eval()
    expected = model.items(store.gather(rows)).fused_UD
    for folder in (None, tmp_path):
        replaced = with_vectors(model, store, folder)
        part = replaced.gather(rows).parts["given"]
        assert isinstance(part.content, torch.Tensor)
        assert model.items(replaced.gather(rows)).fused_UD.equal(expected)


def test_encoders_run_once_for_the_same_weights(model: TransRec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = model.items.encoders["given"]
    calls = []
    forward = encoder.forward

    def counted(prepared: Prepared) -> torch.Tensor:
        calls.append(len(prepared["vector"]))
        return forward(prepared)

    monkeypatch.setattr(encoder, "forward", counted)
    store = ContentStore.prepare(platform().catalog, model.items.preparers(), tmp_path)
    with_vectors(model, store, tmp_path)
    with_vectors(model, store, tmp_path)
    assert sum(calls) == 50
    before = weights_digest(encoder)
    encoder.mean.add_(1.0)
    assert weights_digest(encoder) != before
    with_vectors(model, store, tmp_path)
    assert sum(calls) == 100


def test_encoders_that_learn_are_left_out_in_training(model: TransRec) -> None:
    store = ContentStore.prepare(platform().catalog, model.items.preparers())
    encoder = model.items.encoders["given"]
    encoder.register_parameter("scale", torch.nn.Parameter(torch.ones(1)))
    assert with_vectors(model, store, None, training=True).parts["given"] is store.parts["given"]
    encoder.scale.requires_grad_(requires_grad=False)
    assert with_vectors(model, store, None, training=True).parts["given"] is not store.parts["given"]
