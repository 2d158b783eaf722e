"""Slicing: a smaller model out of a nested one, whose vectors are the first numbers of its vectors."""

from __future__ import annotations

import copy

import torch

from transrec.errors import ModelError
from transrec.items.identity import IdentityEncoder
from transrec.items.tower import ItemEncoder
from transrec.model import ModelSettings, TransRec
from transrec.nesting import leading
from transrec.scoring import PrefixScorer, whole_scorer
from transrec.users.tower import build_users


def settings_at(settings: ModelSettings, width: int) -> ModelSettings:
    """The settings of the model that a nested one holds at a smaller width: what goes with the width, in proportion.

    Args:
        settings: of the nested model.
        width: one of its nested widths.
    """
    whole, own = settings.items.width, settings.users
    kept = tuple(size for size in settings.items.nested if size <= width)
    items = settings.items.model_copy(update={"width": width, "nested": kept if len(kept) > 1 else ()})
    # what a kind does not read need not be a multiple
    inner = {name: max(1, getattr(own, name) * width // whole) for name in ("heads", "feedforward")}
    users = own.model_copy(update={**inner, "adapter": own.adapter * width // whole})
    scored = settings.scored_width if settings.scored_width < width else 0
    return settings.model_copy(update={"items": items, "users": users, "scored_width": scored})


@torch.no_grad()
def sliced(model: TransRec, width: int) -> tuple[TransRec, dict[str, str]]:
    """The model that a nested one holds at a smaller width.

    Its item vectors and states are the first ``width`` numbers of those of the whole, exactly but for rounding, so it ranks
    as the whole does by these numbers. Published encoders, the scorer, and what counts are worth are the same.

    Args:
        model: the nested one; stays as it is.
        width: one of its nested widths, but not the whole.

    Returns:
        the smaller model, in evaluation mode; and by parameter or buffer where its value comes from: ``"slice"`` for the
        first numbers of what was larger, ``"copy"`` for what was taken whole.

    Raises:
        ModelError: the model is not nested, or not at this width.
    """
    require_nested(model, width)
    settings = settings_at(model.settings, width)
    encoders = {
        name: IdentityEncoder(encoder.ids, width, encoder.shrinkage)
        if isinstance(encoder, IdentityEncoder)
        else copy.deepcopy(encoder)
        for name, encoder in model.items.preparers().items()
    }
    items = ItemEncoder(encoders, settings.items)
    users = build_users(width, settings.users, settings.items.nested)
    scorer, prior = copy.deepcopy(whole_scorer(model.scorer)), copy.deepcopy(model.prior)
    scorer = PrefixScorer(scorer, settings.scored_width) if settings.scored_width else scorer
    smaller = TransRec(items, users, scorer, settings, prior).to(model.device)
    given, sources = compared(model, settings.scored_width).state_dict(), dict[str, str]()
    for name, own in smaller.state_dict().items():
        module = model.get_submodule(name.rpartition(".")[0])
        own.copy_(leading(given[name], own.shape, getattr(module, "parts", 1)))
        sources[name] = "copy" if given[name].shape == own.shape else "slice"
    return smaller.eval(), sources


def compared(model: TransRec, width: int) -> TransRec:
    """The model, with the same parameters, comparing the first numbers of users and items alone.

    Users are read from whole item vectors as before. This goes with any model, also one that is not nested.

    Args:
        model: stays as it is.
        width: how many numbers; 0 for all.

    Raises:
        ModelError: vectors have fewer.
    """
    scorer = whole_scorer(model.scorer)
    settings = model.settings.model_copy(update={"scored_width": width})
    return TransRec(model.items, model.users, PrefixScorer(scorer, width) if width else scorer, settings, model.prior)


def require_nested(model: TransRec, width: int) -> None:
    """Raise a ModelError where a model holds no smaller one of this width.

    Raises:
        ModelError: it is not nested, or not at this width.
    """
    whole, sizes = model.items.width, model.users.nested
    if width in sizes[:-1]:
        return
    if sizes:
        smaller = ", ".join(map(str, sizes[:-1]))
        raise ModelError(f"the nested widths are {smaller} of {whole}, {width} is none of them", remedy=f"take {smaller}")
    raise ModelError(
        f"the layers of this model are not nested: the first {width} numbers of its vectors depend on all {whole}, so no "
        "smaller model is in it",
        remedy=f"let the first {width} numbers be compared and keep the rest: --index-only; or train with "
        f"model.items.nested, for example [{width}, {whole}], and objective.matryoshka.sizes",
    )
