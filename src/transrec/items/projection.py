"""Projection: from what a modality's encoder makes to the width of the tower."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, final

import torch
from torch import Tensor, nn

from transrec.nesting import Nesting

ProjectionKind = Literal["linear", "norm"]
StartKind = Literal["similar", "random"]


@final
class Projection(nn.Module):
    """Standardise, then a linear map (as published), perhaps then a layer norm.

    Published encoders give vectors that share a large common part and differ in scale from number to number. Taking mean and
    deviation of the items off first puts the differences between items where a fresh linear map can learn from them. The
    deviation is taken once, before a first training, and moves with the weights. The mean is each platform's own: what all
    books have in common says nothing about which of them to recommend, and a map that was learned among films would take it
    for a likeness of all of them.

    A map can also be *born similar*: it begins as an orthogonal projection of the centred vectors onto the directions in
    which they differ most (principal components, then turned at random so that no number carries more than others), so
    projected vectors are as near to each other as the encoder's own, and training starts from what similarity of content
    knows instead of having to find it. Where widths are nested, each block of numbers has components of its own, the leading
    ones first, and is turned by itself: so the first numbers begin as such a projection to their own width.

    Args:
        inputs: width of the encoder's vectors.
        width: of the tower.
        kind: ``"norm"`` adds the layer norm.
        platforms: how many platforms there is a mean for.
        nesting: the widths that its vectors can be cut to. Each number reads the whole of the encoder's vector, so the map
            can be cut as it is; the layer norm is over each block.
    """

    found_anew = ("means",)  # on every platform, see rules/sources.py

    def __init__(
        self,
        inputs: int,
        width: int,
        kind: ProjectionKind = "linear",
        platforms: int = 1,
        nesting: Nesting | None = None,
    ) -> None:
        super().__init__()
        self.nesting = nesting or Nesting.of(width)
        self.means: Tensor
        self.deviation: Tensor
        self.register_buffer("means", torch.zeros(platforms, inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.linear = nn.Linear(inputs, width)
        self.norm = self.nesting.norm(width) if kind == "norm" else nn.Identity()

    def forward(self, vectors_nI: Tensor, platform: int = 0) -> Tensor:
        """Vectors of the tower's width, (n, D), from the encoder's of one platform's items, (n, I), of any floating type."""
        # vectors that were stored are float32, whatever the type of the weights
        standard_nI = (vectors_nI.to(self.means.dtype) - self.means[platform]) / self.deviation
        projected_nD: Tensor = self.norm(self.linear(standard_nI))
        return projected_nD

    @torch.no_grad()
    def calibrate(
        self,
        samples: Mapping[int, Tensor],
        start: StartKind = "random",
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Take means and deviation from samples of what the encoder makes, and begin with the map that ``start`` names.

        Args:
            samples: by platform, vectors of some of its items, (n, I).
            start: ``"random"`` leaves the map as it is, and every number gets its own deviation (one that is the same for
                all keeps the deviation 1); with ``"similar"`` the map is a projection as described above, and all numbers
                share one deviation, such that a projected vector has about length 1.
            generator: turns the projection; torch's own when None.
        """
        self.centre(samples)
        others = [platform for platform in range(len(self.means)) if platform not in samples]
        # a platform on which nothing has this modality yet may be given such an item
        self.means[others] = self.means[list(samples)].mean(dim=0)
        centred_nI = torch.cat([_exact(vectors) - _exact(vectors).mean(dim=0) for vectors in samples.values()])
        smallest = 1e-6 * max(float(_exact(vectors).abs().mean()) for vectors in samples.values())
        if start == "similar":
            self._project(centred_nI, max(smallest, 1e-6), generator)
            return
        deviation_I = centred_nI.square().mean(dim=0).sqrt()
        deviation_I[deviation_I < max(smallest, 1e-12)] = 1.0
        self.deviation.copy_(deviation_I)

    @torch.no_grad()
    def align(self, samples: Mapping[int, Tensor]) -> None:
        """Begin anew, born similar on these items, but so turned that vectors come out as nearly as may be as they did.

        A map that was learned elsewhere keeps the directions in which the items of that platform differ. Here it takes those
        of these items, and what reads its vectors finds them about where it is used to. For the old map S and the new P,
        both of centred vectors x, the turn Q is the orthogonal one that brings Q P x nearest to S x in squared distance:
        Q = U V' of the singular value decomposition U D V' of the mean of (S x)(P x)' (orthogonal Procrustes;
        Schoenemann 1966).

        Args:
            samples: by platform, vectors of some of its items, (n, I).
        """
        centred_nI = torch.cat([_exact(vectors) - _exact(vectors).mean(dim=0) for vectors in samples.values()])
        old_nD = centred_nI / self.deviation.cpu().double() @ self.linear.weight.cpu().double().T
        self.calibrate(samples, "similar", generator=torch.Generator().manual_seed(0))
        new_DI = self.linear.weight.cpu().double()
        new_nD = centred_nI / self.deviation.cpu().double() @ new_DI.T
        left_DD, _, right_DD = torch.linalg.svd(old_nD.T @ new_nD)
        self.linear.weight.copy_(left_DD @ right_DD @ new_DI)

    @torch.no_grad()
    def centre(self, samples: Mapping[int, Tensor]) -> None:
        """Take the means of some platforms from samples of their items' vectors, (n, I) each; the map stays."""
        for platform, vectors in samples.items():
            self.means[platform] = _exact(vectors).mean(dim=0)

    def _project(self, centred_nI: Tensor, smallest: float, generator: torch.Generator | None) -> None:
        """Begin as an orthogonal projection onto principal components."""
        width = self.linear.out_features
        covariance_II = centred_nI.T @ centred_nI / len(centred_nI)
        _, directions_II = torch.linalg.eigh(covariance_II)  # ascending
        leading_IK = directions_II.flip(1)[:, :width]
        count, turned = leading_IK.shape[1], []
        ends = [(size, round(count * size / width)) for size in self.nesting.sizes]
        for (start, first), (end, behind) in pairwise([(0, 0), *ends]):
            step = end - start
            turned_bb, _ = torch.linalg.qr(torch.randn(step, step, generator=generator, dtype=torch.float64))
            turned.append(leading_IK[:, first:behind] @ turned_bb[: behind - first])
        length = float(covariance_II.trace().sqrt())
        self.deviation.fill_(length if length > smallest else 1.0)
        self.linear.weight.copy_(torch.cat(turned, dim=1).T)
        self.linear.bias.zero_()


def _exact(vectors: Tensor) -> Tensor:
    """In float64, on the CPU, for not every device has float64."""
    return vectors.cpu().double()
