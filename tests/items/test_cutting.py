"""Networks in two halves: the same numbers as whole, for blocks of every make, and nothing left behind."""

import copy

import pytest
import torch
from torch import nn

from transrec.errors import ModelError
from transrec.items.cutting import Cut

COUNT = 4


class Scaling(nn.Module):
    """A block that returns what it makes in some wrapping."""

    def __init__(self, returns):
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.returns = returns

    def forward(self, x, mask=None, *, shift=0.0):
        made = torch.tanh(self.linear(x)) + shift
        made = made if mask is None else made * mask
        return {"tensor": made, "tuple": (made, None), "deep": [(made, "weights"), 3]}[self.returns]


class Chain(nn.Module):
    """Things before, between and behind the blocks."""

    def __init__(self, returns="tensor", *, named=False):
        super().__init__()
        self.first = nn.Linear(3, 6)
        self.blocks = nn.ModuleList([Scaling(returns) for _ in range(COUNT)])
        self.last = nn.LayerNorm(6)
        self.named = named
        self.runs = 0

    def forward(self, x, mask):
        self.runs += 1
        x = self.first(x)
        for block in self.blocks:
            x = block(x=x, mask=mask, shift=0.5) if self.named else block(x, mask, shift=0.5)
            while not isinstance(x, torch.Tensor):
                x = x[0]
        return self.last(x)


class Narrowing(nn.Module):
    """Stages of other shapes, with a pooling between them that only fits where it stands."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.Conv2d(6, 8, 3)])

    def forward(self, pictures):
        for stage in self.stages:
            pictures = nn.functional.max_pool2d(stage(pictures).relu(), 2, ceil_mode=True)
        return pictures.mean(dim=(2, 3))


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("returns", ["tensor", "tuple", "deep"])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("below", range(1, COUNT + 1))
def test_two_halves_make_the_whole(returns, named, below):
    chain, x, mask = Chain(returns, named=named), numbers(5, 3), (numbers(5, 1, seed=1) > 0).float()
    expected = chain(x, mask)
    cut = Cut(chain.blocks, below)
    states = cut.lower(lambda: chain(x, mask))
    # what enters from before the cut is thrown away
    found = cut.upper(lambda: chain(torch.zeros_like(x), mask), states)
    assert torch.equal(found, expected)
    assert not torch.equal(cut.upper(lambda: chain(x, mask), states + 1.0), expected)


@pytest.mark.parametrize("below", [1, 2])
def test_stages_that_change_shapes_need_one_picture_only(below):
    network, pictures = Narrowing(), numbers(5, 3, 40, 40)
    cut = Cut(network.stages, below)
    states = cut.lower(lambda: network(pictures))
    found = cut.upper(lambda: network(torch.zeros(1, 3, 40, 40)), states)
    assert torch.allclose(found, network(pictures), atol=1e-6)


def test_the_lower_half_stops_at_the_cut_and_the_upper_skips_what_is_below():
    chain, x, mask = Chain(), numbers(5, 3), torch.ones(5, 1)
    ran = []
    for place, block in enumerate(chain.blocks):
        block.linear.register_forward_hook(lambda *_, place=place: ran.append(place))
    cut = Cut(chain.blocks, 2)
    states = cut.lower(lambda: chain(x, mask))
    assert ran == [0, 1]
    ran.clear()
    cut.upper(lambda: chain(x, mask), states)
    assert ran == [2, 3]


def test_gradients_are_those_of_the_whole():
    whole = Chain()
    halves = copy.deepcopy(whole)
    x, mask = numbers(5, 3), torch.ones(5, 1)
    weights = numbers(5, 6, seed=2)
    (whole(x, mask) * weights).sum().backward()
    cut = Cut(halves.blocks, 2)
    with torch.no_grad():
        states = cut.lower(lambda: halves(x, mask))
    (cut.upper(lambda: halves(x, mask), states) * weights).sum().backward()
    for (name, expected), found in zip(whole.named_parameters(), halves.parameters(), strict=True):
        below = name.startswith(("first", "blocks.0", "blocks.1"))
        assert (found.grad is None) if below else torch.equal(found.grad, expected.grad), name


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(fails):
    chain, x, mask = Chain(), numbers(5, 3), torch.ones(5, 1)
    cut = Cut(chain.blocks, 3)
    states = cut.lower(lambda: chain(x, mask))
    before = [dict(module.__dict__) for module in chain.modules()]

    def run():
        if fails:
            raise RuntimeError("on the way")
        return chain(x, mask)

    if fails:
        with pytest.raises(RuntimeError, match="on the way"):
            cut.upper(run, states)
    else:
        cut.upper(run, states)
    for module, was in zip(chain.modules(), before, strict=True):
        now = {name: value for name, value in module.__dict__.items() if name != "runs"}
        assert now == {name: value for name, value in was.items() if name != "runs"}
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_states_take_the_type_of_what_they_replace():
    chain, x, mask = Chain(), numbers(5, 3), torch.ones(5, 1)
    cut = Cut(chain.blocks, 1)
    states = cut.lower(lambda: chain(x, mask))
    found = cut.upper(lambda: chain(x, mask), states.half())
    assert found.dtype == torch.float32
    assert torch.allclose(found, chain(x, mask), atol=1e-2)


def test_what_cannot_be_cut_says_why():
    chain = Chain()
    with pytest.raises(ModelError, match="nothing to be cut"):
        Cut(chain.blocks, COUNT + 1)
    with pytest.raises(ModelError, match="not used by its forward"):
        Cut([nn.Linear(2, 2), nn.Linear(2, 2)], 1).lower(lambda: chain(numbers(1, 3), None))
    with pytest.raises(ModelError, match="has to run once"):
        Cut(chain.blocks, 1).upper(lambda: None, numbers(1, 6))

    class Dictionary(nn.Module):
        def forward(self, x):
            return {"hidden": x}

    blocks = [Dictionary(), nn.Identity()]
    with pytest.raises(ModelError, match="returns a dict"):
        Cut(blocks, 1).lower(lambda: blocks[1](blocks[0](numbers(1))["hidden"]))
