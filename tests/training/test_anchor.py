"""L2-SP: weights that came from elsewhere are pulled back to where they started, the others are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transrec.errors import RunError, TrainingError
from transrec.training.anchor import Anchor

Make = Callable[..., Any]
BACKBONE = "items.encoders.text.backbone."


def module() -> nn.Module:
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(3).get_state())
        return nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))


def test_the_pull_is_the_rate_times_the_strength_of_the_way_back() -> None:
    network = module()
    start = network[0].weight.detach().clone()
    anchor = Anchor(network, ["0.weight"], 4.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    others = {name: p.detach().clone() for name, p in network.named_parameters() if name != "0.weight"}
    groups = [{"params": [network[0].weight], "lr": 0.05}, {"params": network[1].parameters(), "lr": 0.5}]
    anchor.pull(torch.optim.SGD(groups))
    torch.testing.assert_close(network[0].weight.detach(), start + 1.0 - 0.05 * 4.0)
    assert all(p.equal(others[name]) for name, p in network.named_parameters() if name in others)
    anchor.pull(torch.optim.SGD([network[0].weight], lr=100.0))
    assert network[0].weight.equal(start), "never beyond the start"


def test_no_strength_is_no_anchor(tmp_path: Path) -> None:
    network = module()
    anchor = Anchor(network, ["0.weight"], 0.0)
    network[0].weight.data.add_(1.0)
    before = network[0].weight.detach().clone()
    anchor.pull(torch.optim.SGD(network.parameters(), lr=0.1))
    anchor.keep(tmp_path)
    anchor.restore(tmp_path)
    assert network[0].weight.equal(before) and not list(tmp_path.iterdir())


def test_nothing_to_hold_is_said() -> None:
    with pytest.raises(TrainingError, match="nothing to hold it to"):
        Anchor(module(), [], 1.0)
    frozen = module().requires_grad_(requires_grad=False)
    with pytest.raises(TrainingError, match="nothing to hold it to"):
        Anchor(frozen, ["0.weight"], 1.0)


def test_where_it_started_is_kept_for_resuming(tmp_path: Path) -> None:
    first = module()
    start = first[0].weight.detach().clone()
    Anchor(first, ["0.weight"], 1.0).keep(tmp_path)
    later = module()
    later[0].weight.data.add_(1.0)
    anchor = Anchor(later, ["0.weight"], 1.0)
    anchor.restore(tmp_path)
    anchor.pull(torch.optim.SGD(later.parameters(), lr=1.0))
    assert later[0].weight.equal(start)
    with pytest.raises(RunError, match="for other parameters than are held now"):
        Anchor(module(), ["1.weight"], 1.0).restore(tmp_path)
    with pytest.raises(RunError, match="is not in the run folder"):
        anchor.restore(tmp_path / "another")


def way(case: Any, start: dict[str, Tensor], part: str) -> float:
    found = {name: tensor for name, tensor in case.model.state_dict().items() if name.startswith(part)}
    return float(torch.cat([(tensor - start[name]).flatten() for name, tensor in found.items()]).abs().max())


def test_in_training_what_is_held_stays_near_and_the_rest_goes_far(text_case: Make) -> None:
    ways = {}
    for strength in (0.0, 100.0):
        case = text_case()
        start = {name: tensor.clone() for name, tensor in case.model.state_dict().items()}
        held = [name for name, _ in case.model.named_parameters() if name.startswith(BACKBONE)]
        values = [n / 100 for n in range(20)]
        rates = {"learning_rate": 3e-3, "encoder_learning_rate": 3e-3, "weight_decay": 0.0}
        case.fit(values, epochs=20, anchor=strength, anchored=held, **rates)
        ways[strength] = (way(case, start, BACKBONE), way(case, start, "users."))
    assert ways[100.0][0] < 0.011, "one part in a hundred is the room that a strength of 100 leaves"
    assert ways[0.0][0] > 2 * ways[100.0][0]
    assert ways[100.0][1] > 0.5 * ways[0.0][1]
