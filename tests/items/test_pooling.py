import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transrec.items.pooling import AttentionPooling, build_pooling


def _published(pooling, tokens_TC):
    """The attention pooling of one text, token by token, as the digest of the paper's code writes it; without padding."""
    length, head_width = len(tokens_TC), pooling.width // pooling.heads
    query, key, value = (tokens_TC @ m.weight.T + m.bias for m in (pooling.query, pooling.key, pooling.value))
    mixed = torch.zeros(length, pooling.width, dtype=tokens_TC.dtype)
    for head in range(pooling.heads):
        own = slice(head * head_width, (head + 1) * head_width)
        for t in range(length):
            weights = [math.exp(float(query[t, own] @ key[s, own]) / math.sqrt(head_width)) for s in range(length)]
            for s in range(length):
                mixed[t, own] += weights[s] / sum(weights) * value[s, own]
    scores = [float(pooling.weight.weight[0] @ torch.tanh(pooling.hidden.weight @ m + pooling.hidden.bias)) for m in mixed]
    shares = [math.exp(s) / sum(map(math.exp, scores)) for s in scores]
    return sum(share * m for share, m in zip(shares, mixed, strict=True))


def test_attention_pooling_is_the_published_one():
    pooling = AttentionPooling(24).double().eval()
    assert (pooling.heads, pooling.width, pooling.hidden.out_features) == (4, 80, 200)
    for parameter in pooling.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tokens_NTC = torch.randn(3, 6, 24, dtype=torch.float64)
    lengths = (6, 1, 4)
    mask_NT = torch.arange(6) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        found = pooling(tokens_NTC, mask_NT)
        for row, length in enumerate(lengths):
            torch.testing.assert_close(found[row], _published(pooling, tokens_NTC[row, :length]), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("kind", ["mean", "first", "attention"])
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5), more=st.integers(0, 4))
def test_padding_has_no_influence_whatever_stands_in_it(kind, lengths, more):
    pooling = build_pooling(kind, 8).double().eval()
    longest = max(lengths)
    tokens_NTC = torch.randn(len(lengths), longest, 8, dtype=torch.float64)
    mask_NT = torch.arange(longest) < torch.tensor(lengths)[:, None]
    longer_NTC = torch.cat([tokens_NTC, torch.zeros(len(lengths), more, 8, dtype=torch.float64)], dim=1)
    longer_mask_NT = torch.cat([mask_NT, torch.zeros(len(lengths), more, dtype=torch.bool)], dim=1)
    longer_NTC[~longer_mask_NT] = 1e6
    with torch.no_grad():
        expected, found = pooling(tokens_NTC, mask_NT), pooling(longer_NTC, longer_mask_NT)
    assert found.shape == (len(lengths), pooling.width)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0.0)


def test_mean_and_first():
    tokens_NTC = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    mask_NT = torch.tensor([[True, True, False]])
    assert build_pooling("mean", 2)(tokens_NTC, mask_NT).tolist() == [[2.0, 3.0]]
    assert build_pooling("first", 2)(tokens_NTC, mask_NT).tolist() == [[1.0, 2.0]]


def test_attention_pooling_drops_in_training_only():
    pooling = AttentionPooling(8)
    tokens_NTC, mask_NT = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    assert not torch.equal(pooling(tokens_NTC, mask_NT), pooling(tokens_NTC, mask_NT))
    pooling.eval()
    assert torch.equal(pooling(tokens_NTC, mask_NT), pooling(tokens_NTC, mask_NT))
