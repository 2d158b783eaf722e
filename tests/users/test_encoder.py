"""The contract: times reach those who read them, and nobody else."""

from __future__ import annotations

import torch
from torch import Tensor

from transrec.users.encoder import UserEncoder
from transrec.views import UserKind, UserOutput


class Newest(UserEncoder):
    """As people wrote theirs before there were times: two arguments."""

    gives: UserKind = "states"
    causal = True
    window, width = 6, 4

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        return UserOutput("states", items_BLD, mask_BL)


class Timed(UserEncoder):
    gives: UserKind = "states"
    causal = True
    window, width = 6, 4
    reads_times = True

    def forward(self, items_BLD: Tensor, mask_BL: Tensor, times_BL: Tensor | None = None) -> UserOutput:
        assert times_BL is None or times_BL.shape == mask_BL.shape
        return UserOutput("states", items_BLD if times_BL is None else items_BLD * times_BL[..., None], mask_BL)


def test_an_encoder_that_reads_no_times_is_never_given_any() -> None:
    items_BLD, mask_BL, times_BL = torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool), torch.full((2, 3), 7)
    assert Newest()(items_BLD, mask_BL, times_BL).vectors.equal(items_BLD)
    assert Newest()(items_BLD, mask_BL, None).vectors.equal(Newest()(items_BLD, mask_BL).vectors)
    assert Newest()(items_BLD=items_BLD, mask_BL=mask_BL).vectors.equal(items_BLD)


def test_one_that_reads_them_is_given_them_and_its_hooks_run() -> None:
    items_BLD, mask_BL, times_BL = torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool), torch.full((2, 3), 7)
    encoder, seen = Timed(), []
    encoder.register_forward_hook(lambda _module, given, _output: seen.append(len(given)))
    assert encoder(items_BLD, mask_BL, times_BL).vectors.equal(items_BLD * 7)
    assert encoder(items_BLD, mask_BL).vectors.equal(items_BLD)
    assert seen == [3, 3]
