"""Packed: the texts of a batch one after the other in one line, so that a network computes real tokens only.

Linear layers, norms and activations see one text that is as long as all of them together. Attention alone has to know where
one text ends and the next begins: it is computed by :func:`attend`, which ``transformers`` calls in place of its own.

Axes: N texts, T tokens of a text, P tokens of all texts (the line), C channels, H heads, d width of a head.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from transrec.data.ragged import Ragged, repeated
from transrec.errors import ModelError
from transrec.items.backbones import position_padding, quiet_transformers, transformer_blocks
from transrec.items.cutting import Cut

ATTENTION = "transrec_packed"
"""The name of :func:`attend` in the tables of ``transformers``."""
REPLACED = "sdpa"
"""The attention that :func:`attend` takes the place of, and is where texts are not packed."""
TOLERANCE = 1e-5
"""By how much activations of packed and padded texts may differ, as a share of the largest number."""
ACCELERATOR_TOLERANCE = 1e-3
"""The same where matrix products are rounded to TensorFloat32; a network that mixes texts up is off by far more."""
COARSE_TOLERANCE = 5e-2
"""The same in 16 bits."""


@final
class Layout:
    """Where each text of a batch stands in the line.

    Args:
        content: the texts' tokens. On the CPU the fewer changes of length there are from one to the next, the quicker it is.
    """

    def __init__(self, content: Ragged) -> None:
        lengths_N, total, self.longest = content.lengths_n, len(content.values), content.longest
        device = lengths_N.device
        self.starts_N = lengths_N.cumsum(0) - lengths_N
        self.texts_P = repeated(torch.arange(len(lengths_N), device=device), lengths_N, total)
        self.places_P = torch.arange(total, device=device) - self.starts_N[self.texts_P]
        self.mask_NT = content.mask()
        self.bounds = nn.functional.pad(lengths_N.cumsum(0), (1, 0)).to(torch.int32)
        self.alike: list[tuple[int, int]] = []
        """On the CPU, of each run of texts of one length: how many they are, and the length."""
        if device.type == "cpu":
            lengths, numbers = lengths_N.unique_consecutive(return_counts=True)
            self.alike = list(zip(numbers.tolist(), lengths.tolist(), strict=True))


def by_length(content: Ragged) -> tuple[Ragged, Tensor | None]:
    """On the CPU, the texts with shorter ones first, and the places that put them back; elsewhere as they are, and None."""
    lengths_N = content.lengths_n
    if lengths_N.device.type != "cpu" or bool((lengths_N[1:] >= lengths_N[:-1]).all()):
        return content, None
    order_N = lengths_N.argsort(stable=True)
    return content.take(order_N), order_N.argsort()


def packed_states(backbone: PreTrainedModel, tokens: Ragged) -> Ragged:
    """The last hidden states of texts, ragged as their tokens are, of which nothing but real tokens is computed.

    Args:
        backbone: one that :func:`why_not_packed` has nothing against.
        tokens: ids (int64); quickest in the order of :func:`by_length`.

    Raises:
        ModelError: the network computes attention by another function than :func:`attend` again.
    """
    if backbone.config._attn_implementation != ATTENTION:
        raise ModelError("its attention was exchanged since it was found to read packed texts")
    layout = Layout(tokens)
    states_1PC: Tensor = backbone(
        input_ids=tokens.values[None],
        position_ids=_positions(backbone, tokens, layout)[None],
        attention_mask=tokens.values.new_zeros(1, 1, 1, 1),  # of four axes: taken for a finished mask, so none is made
        transrec_layout=layout,
    ).last_hidden_state
    return Ragged(states_1PC[0], tokens.lengths_n, tokens.longest)


def _positions(backbone: nn.Module, tokens: Ragged, layout: Layout) -> Tensor:
    """The position of each token in its text, (P,), as the network would count it."""
    padding = position_padding(backbone)
    if padding is None:
        return layout.places_P
    # as RoBERTa counts: from behind its padding token on, which has a place of its own wherever it stands
    real_P = (tokens.values != padding).long()
    before_P = real_P.cumsum(0)
    counted_P = before_P - (before_P - real_P)[layout.starts_N][layout.texts_P]
    return counted_P * real_P + padding


# ---- attention --------------------------------------------------------------------------------------------------------


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention of each text to itself, where a layout comes with the call; else what it is called in place of.

    Args:
        module: whose attention this is.
        query: shape (1, H, P, d).
        key: the same; fewer heads are shared.
        value: the same.
        attention_mask: not looked at where there is a layout.
        options: ``transrec_layout``, ``dropout``, ``scaling``, ``is_causal``, as ``transformers`` hands them on.

    Returns:
        shape (1, P, H, d), and None in place of the weights.
    """
    layout: Layout | None = options.pop("transrec_layout", None)
    if layout is None:
        padded: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return padded
    causal = options.get("is_causal")
    choices: dict[str, Any] = {
        "is_causal": bool(getattr(module, "is_causal", True) if causal is None else causal),
        "scale": options.get("scaling"),
        "enable_gqa": query.shape[1] != key.shape[1],
    }
    dropout = float(options.get("dropout", 0.0))
    if dropout == 0.0 and has_kernel(query):
        return by_kernel(query, key, value, layout, **choices)[None], None
    by_parts = _of_one_length if layout.alike else _in_one_block
    return by_parts(query, key, value, layout, dropout_p=dropout, **choices)[None], None


def has_kernel(query: Tensor) -> bool:
    """Whether torch has a kernel for texts of different lengths: on CUDA from Ampere on, in 16 bits."""
    if query.device.type != "cuda" or query.dtype not in (torch.float16, torch.bfloat16):
        return False
    width = query.shape[-1]
    return width % 8 == 0 and width <= 256 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def by_kernel(query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, is_causal: bool, **choices: Any) -> Tensor:
    """Attention of shape (P, H, d) by torch's own kernel, which knows no dropout."""
    query_PHd, key_PHd, value_PHd = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    if choices.pop("enable_gqa"):  # the kernel can do without copies from torch 2.12 on; these work with any
        groups = query_PHd.shape[1] // key_PHd.shape[1]
        key_PHd, value_PHd = (tensor.repeat_interleave(groups, dim=1) for tensor in (key_PHd, value_PHd))
    mixed_PHd = varlen_attn(
        query_PHd,
        key_PHd,
        value_PHd,
        layout.bounds,
        layout.bounds,
        layout.longest,
        layout.longest,
        window_size=(-1, 0) if is_causal else (-1, -1),
        **choices,
    )
    assert isinstance(mixed_PHd, Tensor)  # it returns more only where more is asked for
    return mixed_PHd


def _of_one_length(query: Tensor, key: Tensor, value: Tensor, layout: Layout, **choices: Any) -> Tensor:
    """Attention of shape (P, H, d), one call for each length: nothing is padded, and nothing is copied before."""
    sizes = [count * length for count, length in layout.alike]
    mixed = []
    parts = zip(layout.alike, *(tensor[0].split(sizes, dim=1) for tensor in (query, key, value)), strict=True)
    for (count, length), *triple in parts:
        query_NHTd, key_NHTd, value_NHTd = (part.unflatten(1, (count, length)).transpose(0, 1) for part in triple)
        mixed_NHTd = nn.functional.scaled_dot_product_attention(query_NHTd, key_NHTd, value_NHTd, **choices)
        mixed.append(mixed_NHTd.transpose(1, 2).flatten(0, 1))
    return torch.cat(mixed)


def _in_one_block(query: Tensor, key: Tensor, value: Tensor, layout: Layout, **choices: Any) -> Tensor:
    """Attention of shape (P, H, d), with texts padded for its sake alone."""
    count = len(layout.starts_N)

    def padded(tensor: Tensor) -> Tensor:
        values_PHd = tensor[0].transpose(0, 1)
        empty = values_PHd.new_zeros(count, layout.longest, *values_PHd.shape[1:])
        return empty.index_put((layout.texts_P, layout.places_P), values_PHd).transpose(1, 2)

    # padding stands on the right: where tokens look back only, no real one sees it
    mask = None if choices["is_causal"] else layout.mask_NT[:, None, None, :]
    mixed_NHTd = nn.functional.scaled_dot_product_attention(
        padded(query), padded(key), padded(value), attn_mask=mask, **choices
    )
    return mixed_NHTd.transpose(1, 2)[layout.texts_P, layout.places_P]


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


# ---- trying -----------------------------------------------------------------------------------------------------------


def why_not_packed(backbone: PreTrainedModel, longest: int) -> str | None:
    """Why texts cannot be packed for a network, tried on made-up ones; None when they can.

    A network that can be given packed texts computes attention by :func:`attend` from then on, which for padded texts is
    what it was. One that cannot is left as it was.

    Args:
        backbone: on the device where it is to run, and under the autocast that it is to run under.
        longest: the greatest length of a text that there will be, in tokens.
    """
    if "position_ids" not in inspect.signature(backbone.forward).parameters:
        return "it cannot be told the positions of tokens"
    before = backbone.config._attn_implementation
    if before not in (REPLACED, ATTENTION):
        return f"its attention is its own ({before})"
    device = backbone.device.type
    try:
        # weights that autocast rounds here have no gradient: they must not be in its cache when the training goes on
        uncached = torch.autocast(device, enabled=torch.is_autocast_enabled(device), cache_enabled=False)
        with torch.no_grad(), _evaluating(backbone), uncached:
            problem = _tried(backbone, longest)
    except Exception as error:  # a network that we know nothing of may raise anything when it is given something unusual
        problem = f"it cannot read them ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    if problem is not None:
        _attending(backbone, before)
    return problem


def _tried(backbone: PreTrainedModel, longest: int) -> str | None:
    tokens, _ = by_length(_made_up(backbone, longest))
    device = tokens.values.device.type
    with torch.autocast(device, enabled=False):
        expected = _padded_states(backbone, tokens)
    _attending(backbone, ATTENTION)
    _reads_long_lines(backbone)
    exact = TOLERANCE if device == "cpu" else ACCELERATOR_TOLERANCE
    tolerances = {False: exact, **({True: COARSE_TOLERANCE} if torch.is_autocast_enabled(device) else {})}
    for cast, tolerance in tolerances.items():
        # in 16 bits other kernels run, which may refuse, but say little about whether the texts are kept apart
        with torch.autocast(device, enabled=cast):
            found = [packed_states(backbone, tokens).values, _padded_states(backbone, tokens)]
        limit = tolerance * float(expected.abs().max())
        if not all(torch.allclose(states.to(expected), expected, rtol=0.0, atol=limit) for states in found):
            return "packed, they become something else than padded"
    return None


def _reads_long_lines(backbone: PreTrainedModel) -> None:
    """Raise what a network raises at a line that is longer than the longest text that it knows; one block is enough."""
    many = getattr(backbone.config, "max_position_embeddings", None) or 0
    short = _made_up(backbone, 2)
    times = many // len(short.values) + 1
    line = Ragged(short.values.repeat(times), short.lengths_n.repeat(times), short.longest)
    Cut(transformer_blocks(backbone), 1).lower(lambda: packed_states(backbone, line))


def _made_up(backbone: PreTrainedModel, longest: int) -> Ragged:
    """Texts of different lengths, the longest among them, with tokens from all over the vocabulary."""
    lengths = [longest, 1, max(1, longest // 2), longest, 2, max(1, longest // 3)]
    embeddings: Any = backbone.get_input_embeddings()
    device = embeddings.weight.device
    ids_P = torch.arange(sum(lengths), device=device) * 7919 % embeddings.num_embeddings
    return Ragged(ids_P, torch.tensor(lengths, device=device), longest)


def _padded_states(backbone: PreTrainedModel, tokens: Ragged) -> Tensor:
    """Last hidden states of the real tokens, (P, C), as a padded batch has them."""
    padding = getattr(backbone.config, "pad_token_id", None) or 0
    mask_NT = tokens.mask()
    states: Tensor = backbone(input_ids=tokens.padded(padding), attention_mask=mask_NT.long()).last_hidden_state
    return states[mask_NT]


def _attending(backbone: PreTrainedModel, name: str) -> None:
    """Let a network compute attention by the function of this name.

    Raises:
        ModelError: it does not let others choose.
    """
    with quiet_transformers():
        backbone.set_attn_implementation(name)
    if backbone.config._attn_implementation != name:
        raise ModelError("its attention cannot be exchanged")


@contextmanager
def _evaluating(backbone: nn.Module) -> Iterator[None]:
    """A network without dropout for as long as the context lasts; every part is then put back into the mode it was in."""
    were = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    try:
        yield
    finally:
        for module, training in were:
            module.training = training
