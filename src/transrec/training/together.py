"""Together: several processes that compute one batch, each a share of its items and histories, all of them its loss.

Axes: B users, L history length, U distinct items of the batch, D width, R processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from transrec.data.batches import SequenceBatch, Shares
from transrec.model import Outputs, TransRec
from transrec.views import ItemViews, UserOutput

Exchange = Callable[[Tensor, Sequence[int], bool], Tensor]
"""From the entries of one process, how many each has, and whether every process goes on with all of them by itself: the
entries of all, those of the first process first."""


@final
class Together:
    """What R processes make of one batch.

    Every process knows the whole batch. It encodes its share of the items and reads its share of the histories; then the
    vectors are exchanged, and all of them compute the same loss of the same outputs. So in-batch negatives are those of
    the whole batch, and the loss of R processes is that of one, whatever the objective: a mean over positions, a softmax
    over all items, or a statistic of the batch.

    The gradients are those of one process, too. Data-parallel training takes the mean over processes of the gradients of
    each weight, so what goes back to the part x_r of process r has to be R dL/dx_r: then
    1/R sum_r R (dx_r/dw)^T dL/dx_r = dL/dw. What comes after the states of users is the same in every process, so each
    knows dL/d(states) and takes its own part, times R. Items are also read by histories, each by one process, so what goes
    back to them is summed over all processes: what scores give is in every summand, what histories give is in one and
    R times as large. Weights behind the exchange, those of the scorer and the prior, have the gradient dL/dw in every
    process, which is its own mean.

    What is not divided is the scoring: each process scores all positions against all items, so it does R times as much of
    that as if it scored its own. ``docs/performance.md`` says when it matters.

    Args:
        rank: which of the processes this is.
        ranks: R.
        exchange: how vectors are exchanged.
    """

    def __init__(self, rank: int, ranks: int, exchange: Exchange) -> None:
        self._rank, self._ranks, self._exchange = rank, ranks, exchange

    @classmethod
    def between_processes(cls, rank: int, ranks: int) -> Together:
        """Between the processes of ``torch.distributed``; all of them have to call this.

        What is exchanged has a group of its own. Data-parallel training sends gradients as they become known, and a process
        whose items lack a modality knows some earlier than the others; in one group the two would be taken for each other.
        """
        group = torch.distributed.new_group()

        def exchange(own: Tensor, sizes: Sequence[int], by_itself: bool) -> Tensor:
            everything: Tensor = _Exchanged.apply(own, sizes, rank, group, by_itself)  # type: ignore[no-untyped-call]
            return everything

        return cls(rank, ranks, exchange)

    def rehearsed(self) -> Together:
        """The same with copies of this process's own vectors in place of the others': to try what a step takes, alone."""
        return Together(self._rank, self._ranks, _repeated)

    def outputs(self, model: TransRec, batch: SequenceBatch) -> Outputs:
        """The two lines of :meth:`TransRec.forward <transrec.model.TransRec.forward>`, of which each process does a share.

        Args:
            model: the same in all processes.
            batch: with ``shares``; its ``items`` are those of this process.
        """
        assert batch.shares is not None, "the batch is dealt to several processes"
        items = self._items(model.items(batch.items), batch.shares)
        return Outputs(items, self._users(model.users, items.read_by(model.users), batch))

    def _items(self, own: ItemViews, shares: Shares) -> ItemViews:
        """The views of all items from those of one share; sent at once, side by side."""
        names, width = list(own.views), own.fused_UD.shape[1]
        present = [own.present[name][:, None].to(own.fused_UD.dtype) for name in names]
        parts = [own.fused_UD, *(own.views[name].to(own.fused_UD.dtype) for name in names), *present]
        own_UX = torch.cat(parts, dim=1)
        if torch.is_grad_enabled() and not own_UX.requires_grad:
            own_UX.requires_grad_()  # the others wait for its backward pass, also where its share learns nothing
        sent = self._exchange(own_UX, shares.sizes, False)
        all_UX = torch.empty_like(sent).index_copy(0, shares.order_U, sent)
        fused_UD, *rest = all_UX.split([width] * (1 + len(names)) + [1] * len(names), dim=1)
        views, held = rest[: len(names)], rest[len(names) :]
        return ItemViews(
            views=dict(zip(names, views, strict=True)),
            present={name: held_U1[:, 0] > 0 for name, held_U1 in zip(names, held, strict=True)},
            fused_UD=fused_UD,
        )

    def _users(self, users: nn.Module, items_UD: Tensor, batch: SequenceBatch) -> UserOutput:
        """The output for all histories; each process reads every R-th."""
        size = len(batch.mask_BL)
        order_B = torch.cat([torch.arange(rank, size, self._ranks) for rank in range(self._ranks)]).to(batch.mask_BL.device)
        sizes = [len(range(rank, size, self._ranks)) for rank in range(self._ranks)]
        # a process that has none reads one all the same and sends nothing of it
        own = slice(self._rank, None, self._ranks) if sizes[self._rank] else slice(0, 1)
        times_BL = None if batch.times_BL is None else batch.times_BL[own]
        output: UserOutput = users(items_UD[batch.history_BL[own]], batch.mask_BL[own], times_BL)

        def of_all(own_B: Tensor) -> Tensor:
            sent = self._exchange(own_B[: sizes[self._rank]], sizes, True)
            return torch.empty_like(sent).index_copy(0, order_B, sent)

        real = None if output.real is None else of_all(output.real.to(output.vectors.dtype)) > 0
        return replace(output, vectors=of_all(output.vectors), mask_BL=batch.mask_BL, real=real)


class _Exchanged(torch.autograd.Function):
    """The entries of all processes; see :class:`Together` for what goes back."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, sizes: Sequence[int], rank: int, group: Any, by_itself: bool) -> Tensor:
        ctx.begin, ctx.size, ctx.ranks = sum(sizes[:rank]), sizes[rank], len(sizes)
        ctx.group, ctx.by_itself = group, by_itself
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        each = [torch.empty_like(padded) for _ in sizes]
        torch.distributed.all_gather(each, padded, group=group)
        return torch.cat([one[:size] for one, size in zip(each, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        given = gradients[0]
        if ctx.by_itself:
            given = given * ctx.ranks
        else:
            given = given.contiguous().clone()
            torch.distributed.all_reduce(given, group=ctx.group)
        return given[ctx.begin : ctx.begin + ctx.size], None, None, None, None


def _repeated(own: Tensor, sizes: Sequence[int], by_itself: bool) -> Tensor:  # noqa: ARG001
    """As many entries as all processes have, all of them this one's; zeros where it has none."""
    if not len(own):
        return own.new_zeros(sum(sizes), *own.shape[1:])
    return own[torch.arange(sum(sizes), device=own.device) % len(own)]
