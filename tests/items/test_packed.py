"""Texts packed into one line: the numbers of padded ones, and no work on anything but real tokens."""

import copy

import pytest
import torch
import transformers as hf
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from transrec.data.catalog import Item
from transrec.data.ragged import Ragged
from transrec.errors import ModelError
from transrec.items import packed
from transrec.items.chunks import in_chunks
from transrec.items.text import TextEncoder, TextSettings

SHAPE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
PACKED = ["bert", "roberta", "xlm-roberta", "distilbert", "modernbert", "shared-heads"]
OTHERS = {
    "mpnet": "its attention is its own",
    "deberta": "its attention is its own",
    "eager": "its attention is its own",
    "clip": "it cannot read them",  # its positions end where its longest text does
    "siglip": "it cannot read them",
    "local": "packed, they become something else than padded",
}
LENGTHS = {"mixed": [9, 1, 25, 3, 1, 14, 0, 25, 7], "one": [5], "equal": [4, 4, 4, 4], "longest": [40, 1]}
TOLERANCE = 1e-5


@pytest.fixture
def network(text_family, tokenizer):
    """Build a network by name, in training mode; the same weights each time."""

    def build(name):
        common = {**SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 40, "pad_token_id": 0}
        special = dict.fromkeys(["bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"], 1)
        made = {
            "modernbert": lambda: hf.ModernBertModel(hf.ModernBertConfig(**common, **special)),
            "local": lambda: hf.ModernBertModel(hf.ModernBertConfig(**common, **special, local_attention=8)),
            "deberta": lambda: hf.DebertaV2Model(hf.DebertaV2Config(**common, relative_attention=True)),
            "eager": lambda: hf.BertModel._from_config(hf.BertConfig(**common), attn_implementation="eager"),
            # tokens look back only, and heads of keys are shared
            "shared-heads": lambda: hf.Qwen3Model(hf.Qwen3Config(**common, num_key_value_heads=1, head_dim=8)),
        }
        if name not in made:
            return text_family(name)
        with torch.random.fork_rng():
            torch.set_rng_state(torch.Generator().manual_seed(3).get_state())
            return made[name]()

    return build


@pytest.fixture
def encoders(network, tokenizer):
    """The same encoder with texts packed and padded."""

    def build(name, pooling="mean", **more):
        made = []
        for batching in ("packed", "padded"):
            with torch.random.fork_rng():
                torch.set_rng_state(torch.Generator().manual_seed(5).get_state())
                settings = TextSettings(max_length=30, pooling=pooling, batching=batching, **more)
                made.append(TextEncoder(network(name), tokenizer, settings).eval())
        return made

    return build


def texts(kind):
    return [Item(str(place), text="socks " * count) for place, count in enumerate(LENGTHS[kind])]


def vectors_and_gradients(encoder, make):
    encoder.zero_grad()
    vectors = make()
    (vectors * torch.linspace(0.5, 1.5, vectors.numel()).view_as(vectors)).sum().backward()
    return [vectors.detach(), *(p.grad.clone() for p in encoder.parameters() if p.grad is not None)]


def assert_alike(found, expected):
    assert len(found) == len(expected)
    largest = max(float(tensor.abs().max()) for tensor in expected[1:] or expected)
    for own, other in zip(found[:1], expected[:1], strict=True):
        torch.testing.assert_close(own, other, rtol=0.0, atol=TOLERANCE * float(other.abs().max()))
    for own, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(own, other, rtol=0.0, atol=TOLERANCE * largest)


@pytest.mark.parametrize("lengths", list(LENGTHS))
@pytest.mark.parametrize("pooling", ["mean", "first", "attention"])
@pytest.mark.parametrize("name", PACKED)
def test_vectors_and_gradients_are_those_of_padded_texts(name, pooling, lengths, encoders):
    line, padded = encoders(name, pooling)
    assert line.why_not_packed("cpu") is None
    found, expected = (vectors_and_gradients(e, lambda e=e: e(e.prepare(texts(lengths)))) for e in (line, padded))
    assert_alike(found, expected)


@pytest.mark.parametrize("in_block", [False, True])
def test_the_network_sees_one_line_of_real_tokens(in_block, encoders, monkeypatch):
    """Also where attention is computed as on an accelerator."""
    if in_block:
        monkeypatch.setattr(packed, "_of_one_length", packed._in_one_block)
    line, padded = encoders("bert")
    prepared = line.prepare(texts("mixed"))
    assert line.why_not_packed("cpu") is None
    shapes = []
    block = line.blocks()[0]
    block.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape)))
    found = vectors_and_gradients(line, lambda: line(prepared))
    assert shapes == [(1, int(prepared["tokens"].lengths_n.sum()), 16)]
    assert_alike(found, vectors_and_gradients(padded, lambda: padded(prepared)))


@pytest.mark.parametrize("name", list(OTHERS))
def test_a_network_that_cannot_be_packed_is_told_of_once_and_runs_as_ever(name, encoders):
    line, padded = encoders(name)
    before = line.backbone.config._attn_implementation
    prepared = line.prepare(texts("mixed"))
    with pytest.warns(UserWarning, match=f"not packed for {type(line.backbone).__name__}: {OTHERS[name]}"):
        found = vectors_and_gradients(line, lambda: line(prepared))
    assert line.backbone.config._attn_implementation == before
    line(prepared)  # a second warning would be an error
    assert_alike(found, vectors_and_gradients(padded, lambda: padded(prepared)))


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("below", [1, 2, 3])
def test_halves_are_those_of_padded_texts(name, below, encoders):
    line, padded = encoders(name)
    prepared = line.prepare(texts("mixed"))
    with torch.no_grad():
        states, expected = (e.lower(prepared, below)["states"] for e in (line, padded))
    torch.testing.assert_close(states.lengths_n, expected.lengths_n)
    assert_alike([states.values], [expected.values])
    # each half goes with the other's
    given = [expected.values.clone().requires_grad_(), states.values.clone().requires_grad_()]
    found, expected = (
        [
            *vectors_and_gradients(e, lambda e=e, kept=kept: e.upper({"states": Ragged(kept, states.lengths_n)}, below)),
            kept.grad,
        ]
        for e, kept in zip((line, padded), given, strict=True)
    )
    assert_alike(found, expected)


def test_halves_of_an_encoder_that_has_not_run_whole(encoders):
    line, padded = encoders("roberta")
    with torch.no_grad():
        kept = padded.lower(padded.prepare(texts("mixed")), 2)
        assert_alike([line.upper(kept, 2)], [padded.upper(kept, 2)])


def test_dropout_is_drawn_again_alike_in_chunks(encoders):
    line, _ = encoders("bert")
    line.train()
    prepared = line.prepare(texts("mixed"))
    order = prepared["tokens"].lengths_n.argsort(stable=True)
    line(prepared)  # tries, which draws nothing, and takes what a run takes

    def whole():
        parts = [line({"tokens": prepared["tokens"].take(index)}) for index in order.split(4)]
        return torch.cat(parts)[order.argsort()]

    found = {}
    for name, make in (("chunks", lambda: in_chunks(line, prepared, 4)), ("whole", whole)):
        torch.manual_seed(0)  # noqa: TID251
        found[name] = vectors_and_gradients(line, make)
    assert_alike(found["chunks"], found["whole"])
    torch.manual_seed(1)  # noqa: TID251
    assert not torch.allclose(line(prepared), found["whole"][0]), "nothing is dropped"


def test_attention_drops_as_often_as_it_is_told(encoders):
    """Values are all one, so that what is left of the weights is seen."""
    layout = packed.Layout(Ragged.of([torch.zeros(6), torch.zeros(6), torch.zeros(9)]))
    query, ones = torch.zeros(1, 2, 21, 4), torch.ones(1, 2, 21, 4)
    for in_block in (False, True):
        layout.alike = [] if in_block else layout.alike
        torch.manual_seed(0)  # noqa: TID251
        mixed, _ = packed.attend(
            torch.nn.Identity(), query, query, ones, None, transrec_layout=layout, dropout=0.5, is_causal=False
        )
        assert mixed.shape == (1, 21, 2, 4)
        assert 0.7 < float(mixed.mean()) < 1.3
        assert float(mixed.std()) > 0.1


def test_the_work_is_that_of_the_real_tokens_alone(encoders):
    line, padded = encoders("bert")
    prepared = line.prepare(texts("mixed"))
    line(prepared)

    def counted(encoder, each):
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            for tokens in each:
                encoder({"tokens": tokens}).sum().backward()
        by_operation = counter.get_flop_counts()["Global"]
        linear = sum(flops for what, flops in by_operation.items() if what in (torch.ops.aten.mm, torch.ops.aten.addmm))
        return linear, counter.get_total_flops()

    tokens = prepared["tokens"]
    alone = counted(padded, [tokens.take(torch.tensor([place])) for place in range(len(tokens))])
    assert 0 < alone[0] < alone[1]
    assert counted(line, [tokens]) == alone
    assert counted(padded, [tokens])[0] > 2 * alone[0]


def test_padding_that_is_attended_to_is_not_left_out(encoders):
    line, padded = encoders("bert", padding="attended")
    prepared = line.prepare(texts("mixed"))
    assert torch.equal(line(prepared), padded(prepared))
    assert line.backbone.config._attn_implementation == "sdpa"


def test_a_padding_token_inside_a_text_has_the_place_that_the_network_gives_it(encoders):
    line, padded = encoders("roberta")
    tokens = Ragged.of([torch.tensor([3, 0, 5, 6]), torch.tensor([0]), torch.tensor([7, 8, 0, 0, 9])])
    with torch.no_grad():
        assert_alike([line({"tokens": tokens})], [padded({"tokens": tokens})])


def test_trying_leaves_modes_and_randomness_alone(network):
    backbone = network("bert").train()
    backbone.encoder.layer[0].eval()
    modes = [module.training for module in backbone.modules()]
    state = torch.get_rng_state()
    assert packed.why_not_packed(backbone, 30) is None
    assert [module.training for module in backbone.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in backbone.parameters())


def test_padded_texts_stay_what_they_were(network, tokenizer):
    """A network that can be packed serves padded texts as before."""
    backbone = network("bert").eval()
    ids = torch.tensor([[3, 4, 5], [6, 0, 0]])
    with torch.no_grad():
        before = backbone(input_ids=ids, attention_mask=(ids > 0).long()).last_hidden_state
        assert packed.why_not_packed(backbone, 30) is None
        after = backbone(input_ids=ids, attention_mask=(ids > 0).long()).last_hidden_state
    assert torch.equal(after, before)


def test_attention_that_was_exchanged_is_an_error_and_not_another_number(encoders):
    line, _ = encoders("bert")
    prepared = line.prepare(texts("mixed"))
    line(prepared)
    line.backbone.set_attn_implementation("eager")
    with pytest.raises(ModelError, match="exchanged"):
        line(prepared)


def test_a_copy_is_packed_too(encoders):
    line, _ = encoders("bert")
    prepared = line.prepare(texts("mixed"))
    expected = line(prepared)
    assert torch.equal(copy.deepcopy(line)(prepared), expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [4, 2])
def test_all_ways_of_attending_agree(causal, heads, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 3, 3, 7, 2])
    layout = packed.Layout(Ragged(torch.zeros(16), lengths))
    query = torch.randn(1, 4, 16, 8, generator=generator)
    key, value = torch.randn(2, 1, heads, 16, 8, generator=generator).unbind()
    choices = {"is_causal": causal, "scale": 0.2, "enable_gqa": heads != 4}

    def kernel(q, k, v, bounds, bounds_k, most, most_k, *, scale, window_size):
        """What torch says that its kernel computes; of torch 2.11, it takes as many keys as queries."""
        assert q.shape == k.shape == v.shape
        assert torch.equal(bounds, bounds_k) and bounds.dtype == torch.int32 and most == most_k == 7
        mixed = []
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            scores = torch.einsum("qhd,khd->hqk", q[start:end], k[start:end]) * scale
            if window_size == (-1, 0):
                scores = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf)
            else:
                assert window_size == (-1, -1)
            mixed.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[start:end]))
        return torch.cat(mixed)

    monkeypatch.setattr(packed, "varlen_attn", kernel)
    expected = packed.by_kernel(query, key, value, layout, **choices)
    assert expected.shape == (16, 4, 8)
    torch.testing.assert_close(packed._of_one_length(query, key, value, layout, dropout_p=0.0, **choices), expected)
    torch.testing.assert_close(packed._in_one_block(query, key, value, layout, dropout_p=0.0, **choices), expected)


def test_the_kernel_takes_what_it_is_given():
    """As far as shapes and types go: it only runs on CUDA."""
    lengths = torch.empty(3, dtype=torch.int64, device="meta")
    query = torch.empty(1, 4, 10, 64, dtype=torch.bfloat16, device="meta")
    layout = packed.Layout(Ragged(torch.empty(10, device="meta"), lengths, 6))
    mixed = packed.by_kernel(query, query, query, layout, is_causal=True, scale=0.1, enable_gqa=False)
    assert mixed.shape == (10, 4, 64)
    assert not packed.has_kernel(query)
