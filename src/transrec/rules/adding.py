"""Adding: a model with a table of a platform's item ids beside what it reads."""

from __future__ import annotations

import torch

from transrec.data.catalog import Catalog
from transrec.errors import ModelError
from transrec.items.tower import table_of
from transrec.model import TransRec
from transrec.rules.dropping import over
from transrec.seeding import seeded


@torch.no_grad()
def with_ids(model: TransRec, catalog: Catalog, *, seed: int = 0) -> TransRec:
    """The model with a fresh table of a catalog's item ids beside its encoders.

    Encoders, user tower and prior are shared with the model; projections, fusion and scorer are copies, in which what is for
    the table is fresh.

    Args:
        model: stays as it is.
        catalog: of the platform that it is for.
        seed: of what is fresh.

    Raises:
        ModelError: the model has such a table.
    """
    there = model.items.preparers()
    if "identity" in there:
        raise ModelError(
            "there is a table of item ids in the run already",
            where="rules",
            remedy="leave the rule out: on another platform such a table starts fresh",
        )
    with seeded(seed):
        return over(model, {**there, "identity": table_of(catalog.ids, model.settings.items, beside_content=True)})


def ids_in_fusion(model: TransRec) -> list[str]:
    """The names of the parameters by which the table of ids is joined with the other views; the mean has none."""
    return [name for name in model.state_dict() if name.startswith("items.fusion.") and ".identity." in name]
