"""Clustering: against scipy, against slow versions of the definitions, and on blobs that anybody would find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2

from transrec.users import clustering
from transrec.users.clustering import density_peaks, kmeans, nearest


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blobs(seed: int) -> torch.Tensor:
    """Two of them, far apart, one three times as large as the other."""
    return torch.cat([drawn(30, 4, seed=seed) + 20.0, drawn(90, 4, seed=seed + 1) - 20.0])


@pytest.mark.parametrize("at_once", [2048, 16])
@pytest.mark.parametrize("method", ["kmeans", "density"])
def test_two_blobs_are_two_clusters(method: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "AT_ONCE", at_once)
    for seed in range(8):
        vectors = blobs(seed)
        generator = torch.Generator().manual_seed(seed)
        centres = kmeans(vectors, 2, generator=generator) if method == "kmeans" else density_peaks(vectors, 2)
        own = nearest(vectors, centres)
        assert own[:30].unique().numel() == own[30:].unique().numel() == 1 and own[0] != own[-1]
        for part, centre in ((vectors[:30], centres[own[0]]), (vectors[30:], centres[own[-1]])):
            assert (part.mean(dim=0) - centre).norm() < (1e-9 if method == "kmeans" else 4.0)


@pytest.mark.filterwarnings("ignore:One of the clusters is empty")
@pytest.mark.parametrize("passes", [1, 2, 5])
def test_one_batch_is_lloyds_algorithm(passes: int) -> None:
    vectors = drawn(200, 3)
    first = vectors[torch.randperm(200, generator=torch.Generator().manual_seed(7))[:6]].numpy()
    expected, labels = kmeans2(vectors.numpy(), first, iter=passes, minit="matrix")
    found = kmeans(vectors, 6, generator=torch.Generator().manual_seed(7), passes=passes, tolerance=0.0)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    if passes == 1:  # scipy tells to which of the centres before the last pass each vector went
        assert np.array_equal(nearest(vectors, torch.from_numpy(first)).numpy(), labels)


def test_batches_bring_vectors_nearer_to_their_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "AT_ONCE", 50)
    vectors = drawn(500, 4)

    def spread(passes: int) -> float:
        centres = kmeans(vectors, 20, generator=torch.Generator().manual_seed(0), passes=passes, tolerance=0.0)
        return float((vectors - centres[nearest(vectors, centres)]).square().sum(dim=1).mean())

    assert spread(5) < spread(1) < spread(0)


def test_the_same_arguments_give_the_same_centres_and_a_seed_gives_others() -> None:
    found = [kmeans(drawn(100, 4), 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert found[0].equal(found[1]) and not found[0].equal(found[2])


def test_as_many_clusters_as_vectors_are_the_vectors() -> None:
    vectors = drawn(7, 3)
    for centres in (kmeans(vectors, 7, generator=torch.Generator().manual_seed(0)), density_peaks(vectors, 7)):
        assert torch.allclose(centres[nearest(vectors, centres)], vectors)


@pytest.mark.parametrize("at_once", [2048, 7])
def test_density_peaks_are_those_of_the_definition(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "AT_ONCE", at_once)
    vectors = drawn(40, 3).numpy()
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    density = np.array([np.exp(-np.mean(np.sort(np.delete(row, i))[:4] ** 2)) for i, row in enumerate(apart)])
    gap = np.array(
        [min([apart[i, j] for j in range(40) if density[j] > density[i]], default=apart[i].max()) for i in range(40)]
    )
    expected = vectors[np.argsort(-density * gap)[:5]]
    np.testing.assert_allclose(density_peaks(torch.from_numpy(vectors), 5).numpy(), expected)


def test_equal_vectors_and_a_single_one_have_centres() -> None:
    assert density_peaks(torch.ones(5, 2), 1).equal(torch.ones(1, 2))
    assert density_peaks(torch.ones(1, 2), 1).equal(torch.ones(1, 2))
    assert kmeans(torch.ones(5, 2), 3, generator=torch.Generator()).equal(torch.ones(3, 2))
