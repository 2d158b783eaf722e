"""The contract of user encoders.

Axes: B users, L history length, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from transrec.data.times import UNKNOWN_TIME
from transrec.seeding import seeded
from transrec.users.encoder import UserEncoder
from transrec.views import UserOutput


class UserEncoderContract(ABC):
    """What every :class:`~transrec.users.encoder.UserEncoder` must hold to.

    Subclass it in a test file::

        class TestMine(UserEncoderContract):
            def make(self):
                return Mine(width=16, window=8)

    Attributes:
        tolerance: by how much the same number may differ between two ways of computing it, in float32; of
            numbers above one, for each unit of the largest.
    """

    tolerance: float = 1e-5

    @abstractmethod
    def make(self) -> UserEncoder:
        """A new encoder with a window of four or more; fresh weights are drawn under one seed."""

    @final
    def test_it_declares_what_it_is(self) -> None:
        """Kind of output, causality, window and width are said."""
        users = self._made()
        assert users.gives in ("states", "interests"), "gives is states or interests"
        assert isinstance(users.causal, bool), "causal says whether a state looks at earlier items only"
        assert users.window >= 4, "window is the longest history; make one of four or more"
        assert users.width > 0, "width is D"

    @final
    def test_output_has_the_declared_shape(self) -> None:
        """States (B, L, D), interests (B, K, D) or, if causal, (B, L, K, D), with the mask that came in."""
        users = self._made().eval()
        items_BLD, mask_BL = _histories(users, (users.window, 1, 3))
        output = _read(users, items_BLD, mask_BL)
        assert output.kind == users.gives, f"it says that it gives {users.gives}, and gives {output.kind}"
        assert torch.equal(output.mask_BL, mask_BL), "the mask of the output is the one that came in"
        several = (output.vectors.shape[-2],) if output.kind == "interests" else ()
        everywhere = (users.window,) if output.kind == "states" or users.causal else ()
        wanted = (3, *everywhere, *several, users.width)
        assert tuple(output.vectors.shape) == wanted, f"{tuple(output.vectors.shape)} is not {wanted}"
        assert output.scored.isfinite().all(), "a user vector holds something that is not a finite number"

    @final
    def test_no_histories_are_no_users(self) -> None:
        """A batch without a user is one, too."""
        users = self._made().eval()
        items_BLD, mask_BL = _histories(users, (3, 2))
        found, wanted = _read(users, items_BLD[:0], mask_BL[:0]).scored, _read(users, items_BLD, mask_BL).scored
        assert found.shape == (0, *wanted.shape[1:]), f"of no histories it makes {tuple(found.shape)}"

    @final
    def test_padding_has_no_influence(self) -> None:
        """Whatever stands in padded slots, and however many there are: the same user."""
        users = self._made().eval()
        items_BLD, mask_BL = _histories(users, (3, 2))
        spoilt_BLD = items_BLD.masked_fill(~mask_BL[..., None], torch.nan)
        expected = _read(users, items_BLD[:, :3], mask_BL[:, :3]).scored
        self._close(_read(users, items_BLD, mask_BL).scored, expected, "more padding changes a user")
        self._close(_read(users, spoilt_BLD, mask_BL).scored, expected, "what stands in padded slots changes a user")

    @final
    def test_a_user_does_not_depend_on_the_others(self) -> None:
        """Alone or among others, in any order: the same vectors."""
        users = self._made().eval()
        items_BLD, mask_BL = _histories(users, (users.window, 2, 3))
        together = _read(users, items_BLD, mask_BL).scored
        self._close(_read(users, items_BLD.flip(0), mask_BL.flip(0)).scored.flip(0), together, "the order of users matters")
        for place in range(3):
            alone = _read(users, items_BLD[place : place + 1], mask_BL[place : place + 1]).scored
            self._close(alone[0], together[place], "a user depends on the others")

    @final
    def test_causal_states_do_not_see_what_comes_next(self) -> None:
        """With ``causal`` what is at a position depends on it and earlier ones alone; in any case the last item counts."""
        users = self._made().eval()
        items_BLD, mask_BL = _histories(users, (users.window,))
        changed_BLD = items_BLD.clone()
        changed_BLD[:, -1] += 1.0
        before, after = (_read(users, each, mask_BL) for each in (items_BLD, changed_BLD))
        if users.causal:
            told = "what is at a position depends on what comes next, and it says that it is causal"
            self._close(after.vectors[:, :-1], before.vectors[:, :-1], told)
        self._differ(after.scored, before.scored, "a user does not depend on the last item")

    @final
    def test_an_empty_history_is_a_zero_vector(self) -> None:
        """Of somebody of whom nothing is known."""
        users = self._made().eval()
        items_BLD, mask_BL = _histories(users, (0, 2))
        assert (_read(users, items_BLD, mask_BL).scored[0] == 0).all(), "a user without a history is a zero vector"

    @final
    def test_it_is_deterministic_in_evaluation(self) -> None:
        """Twice the same histories, twice the same vectors, bit for bit."""
        users = self._made().eval()
        histories = _histories(users, (3, 2))
        assert torch.equal(_read(users, *histories).scored, _read(users, *histories).scored), "two passes differ"

    @final
    def test_every_parameter_gets_a_gradient(self) -> None:
        """What is shown as learning learns; a parameter that nothing uses should not be there."""
        users = self._made().train()
        items_BLD, mask_BL = _histories(users, (users.window, 3))
        vectors = users(items_BLD, mask_BL, *_times(users, mask_BL)).scored
        (torch.linspace(0.5, 1.5, vectors.numel()).view_as(vectors) * vectors).sum().backward()
        spared = {"mask_token"}  # nothing is hidden here
        without = [name for name, p in users.named_parameters() if p.grad is None and name not in spared]
        assert not without, f"no gradient reaches {', '.join(without)}"
        bad = [name for name, p in users.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        assert not bad, f"the gradient of {', '.join(bad)} is not finite"

    @final
    def test_weights_are_all_that_is_kept(self) -> None:
        """A new encoder with these weights gives the same vectors."""
        users = self._made().eval()
        with torch.no_grad():
            for parameter in users.parameters():
                parameter.mul_(1.25)
        again = self._made(seed=1).eval()  # with nothing in common but what is loaded
        again.load_state_dict(users.state_dict())
        histories = _histories(users, (3, users.window))
        assert torch.equal(_read(again, *histories).scored, _read(users, *histories).scored), "weights do not say it all"

    @final
    def test_times_may_be_unknown(self) -> None:
        """An encoder that reads times takes histories without them, too."""
        users = self._made().eval()
        if not users.reads_times:
            return
        items_BLD, mask_BL = _histories(users, (3, 2))
        with torch.no_grad():
            nothing = users(items_BLD, mask_BL, None).scored
            unknown = users(items_BLD, mask_BL, torch.full(mask_BL.shape, UNKNOWN_TIME)).scored
        self._close(unknown, nothing, "no times and unknown times are the same")

    def _made(self, seed: int = 0) -> UserEncoder:
        """Fresh weights that are the same on every call and in every process: a check that fails fails again."""
        with seeded(seed):
            return self.make()

    def _close(self, found: Tensor, expected: Tensor, complaint: str) -> None:
        gap, allowed = float((found - expected).abs().max()), self.tolerance * max(1.0, float(expected.abs().max()))
        assert gap <= allowed, f"{complaint}: by {gap:.2g}, allowed is {allowed:.2g}"

    def _differ(self, found: Tensor, other: Tensor, complaint: str) -> None:
        assert float((found - other).abs().max()) > self.tolerance, complaint


def _histories(users: UserEncoder, lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Items at random, with two views behind them where views are read, and the mask of histories of these lengths."""
    numbers = users.width * (3 if users.reads_views else 1)
    drawn = torch.randn(len(lengths), users.window, numbers, generator=torch.Generator().manual_seed(0))
    return drawn, torch.arange(users.window) < torch.tensor(lengths)[:, None]


def _times(users: UserEncoder, mask_BL: Tensor) -> tuple[Tensor, ...]:
    """A day between every two events, for an encoder that reads times."""
    days_BL = 86_400 * torch.arange(mask_BL.shape[1]).expand(mask_BL.shape)
    return (days_BL.masked_fill(~mask_BL, UNKNOWN_TIME),) if users.reads_times else ()


@torch.no_grad()
def _read(users: UserEncoder, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
    return users(items_BLD, mask_BL, *_times(users, mask_BL))
