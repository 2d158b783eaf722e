"""Clustering: many vectors as a few that stand for them, by k-means over batches or by density peaks.

Axes: N vectors, n of a batch, K clusters, D width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

AT_ONCE = 2048
"""Vectors that are compared with all centres, or with all vectors, at a time."""


def nearest(vectors_ND: Tensor, centres_KD: Tensor) -> Tensor:
    """The place of the nearest centre of each vector, by Euclidean distance, int64 (N,); of equal ones the first."""
    halves_K = centres_KD.square().sum(dim=1) / 2
    found = [(chunk_nD @ centres_KD.T - halves_K).argmax(dim=1) for chunk_nD in vectors_ND.split(AT_ONCE)]
    return torch.cat(found)


def kmeans(
    vectors_ND: Tensor, count: int, *, generator: torch.Generator, passes: int = 5, tolerance: float = 1e-5
) -> Tensor:
    """The centres of ``count`` clusters by k-means over batches (Sculley 2010, "Web-scale k-means clustering").

    It begins with vectors drawn at random. In each pass every batch of :data:`AT_ONCE` vectors goes to the nearest centres,
    and each centre becomes the mean of what has come to it in this pass; where all vectors are one batch this is Lloyd's
    algorithm. A centre to which nothing comes stays.

    No library of the core has it: scipy's ``kmeans2`` is Lloyd's algorithm on the CPU in whole passes, and here vectors and
    centres may be many thousands and on an accelerator, anew in every epoch.

    Args:
        vectors_ND: at least ``count``.
        count: K.
        generator: of the first centres and of the order.
        passes: at most so many.
        tolerance: it ends when the mean squared move of a centre in a pass is not larger.

    Returns:
        (K, D), the same for the same arguments.
    """
    order_N = torch.randperm(len(vectors_ND), generator=generator).to(vectors_ND.device)
    shuffled_ND = vectors_ND[order_N]
    centres_KD = shuffled_ND[:count].clone()
    for _ in range(passes):
        before_KD, came_K1 = centres_KD, centres_KD.new_zeros(count, 1)
        for chunk_nD in shuffled_ND.split(AT_ONCE):
            # a product and not index_add, whose order of summing is not fixed on a GPU
            own_Kn = F.one_hot(nearest(chunk_nD, centres_KD), count).T.to(chunk_nD.dtype)
            more_K1 = own_Kn.sum(dim=1, keepdim=True)
            came_K1 = came_K1 + more_K1
            centres_KD = centres_KD + (own_Kn @ chunk_nD - more_K1 * centres_KD) / came_K1.clamp(min=1)
        if float((centres_KD - before_KD).square().sum(dim=1).mean()) <= tolerance:
            break
    return centres_KD


def density_peaks(vectors_ND: Tensor, count: int, *, neighbours: float = 0.1) -> Tensor:
    """The ``count`` vectors that are dense and far from all that is denser (DPC-kNN; Du, Ding and Jia 2016).

    With rho_i = exp(-mean of the squared distances to the k nearest) and delta_i the distance to the nearest vector that is
    denser (for the densest: to the farthest of all), those with the largest rho_i delta_i are taken. Of equally dense ones
    the first counts as denser. All pairs are compared, so it takes N^2 D operations.

    Args:
        vectors_ND: at least ``count``.
        count: K.
        neighbours: k as a share of N; at least one.

    Returns:
        (K, D).
    """
    size = len(vectors_ND)
    k = min(max(math.ceil(neighbours * size), 1), max(size - 1, 1))
    densities = []
    for chunk_nD in vectors_ND.split(AT_ONCE):
        nearest_nk = torch.cdist(chunk_nD, vectors_ND).topk(min(k + 1, size), largest=False).values[:, 1:]
        densities.append((-nearest_nk.square().sum(dim=1) / k).exp())
    density_N = torch.cat(densities)
    rank_N = torch.empty(size, dtype=torch.int64, device=density_N.device)
    rank_N[density_N.argsort(descending=True, stable=True)] = torch.arange(size, device=density_N.device)
    gaps = []
    for chunk_nD, rank_n in zip(vectors_ND.split(AT_ONCE), rank_N.split(AT_ONCE), strict=True):
        apart_nN = torch.cdist(chunk_nD, vectors_ND)
        gap_n = apart_nN.masked_fill(rank_N[None] >= rank_n[:, None], torch.inf).amin(dim=1)
        gaps.append(torch.where(rank_n == 0, apart_nN.amax(dim=1), gap_n))
    return vectors_ND[(density_N * torch.cat(gaps)).topk(count).indices].clone()
