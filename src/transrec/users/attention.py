"""What the user encoders that attend have in common: who sees whom, heads that fit the width, how weights begin.

Axes: B users, L history length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transrec.errors import SettingsError
from transrec.nesting import Nesting


def visible_slots(mask_BL: Tensor, *, causal: bool) -> Tensor:
    """Which slots (last axis) each slot may look at, bool of shape (B, L, L).

    A padded slot may look at itself, so that no row is empty and nothing is divided by zero; nobody reads its state.

    Args:
        mask_BL: which slots hold an item, bool.
        causal: whether a slot looks at itself and earlier ones only.
    """
    length = mask_BL.shape[1]
    visible_BLL = mask_BL[:, None, :].expand(-1, length, -1)
    if causal:
        visible_BLL = visible_BLL.tril()
    return visible_BLL | torch.eye(length, dtype=torch.bool, device=mask_BL.device)


def require_heads(heads: int, width: int, nesting: Nesting | None = None) -> None:
    """Raise a SettingsError where heads do not divide the width, or a nested width ends inside a head.

    Raises:
        SettingsError: see above.
    """
    cut = [size for size in nesting.sizes if heads * size % width] if nesting else []
    if width % heads:
        raise SettingsError(
            f"{heads} heads do not divide a width of {width}",
            where="model.users.heads",
            remedy="choose heads that divide model.items.width",
        )
    if cut:
        raise SettingsError(
            f"the nested width {cut[0]} ends inside a head: each of the {heads} heads has {width // heads} numbers",
            where="model.users.heads",
            remedy=f"choose nested widths that hold whole heads, or heads of no more than {cut[0]} numbers",
        )


def initialise(module: nn.Module) -> None:
    """Normal with deviation 0.02 for linear maps and tables, zero biases, as published."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def new_mask_token(width: int) -> nn.Parameter:
    """What stands for a hidden item in encoders without a table of positions, (D,).

    Transformers, which add a position, begin with zeros; behind a norm a zero vector has no direction.

    Args:
        width: D.
    """
    return nn.Parameter(nn.init.normal_(torch.empty(width), std=0.02))
