"""Laws of attention, the same for every kind, and each kind's equation in plain loops."""

import math

import pytest
import torch

from seqkit.nn.attention import ATTENTIONS, GatedAttention, LocationAwareAttention, MultiHeadAttention, make_attention
from seqkit.nn.masks import mask_from_lengths
from seqkit.nn.memory import Memory

KINDS = (*ATTENTIONS, "gated")
D = 6


def make(kind: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    attention = make_attention("additive" if kind == "gated" else kind, D, D, 4, heads=2)
    attention = (GatedAttention(attention, D) if kind == "gated" else attention).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention


def make_memory(attention: torch.nn.Module, values_BSD: torch.Tensor, lengths_B: torch.Tensor) -> Memory:
    mask_BS = mask_from_lengths(lengths_B, values_BSD.shape[1])
    return Memory(values_BSD, mask_BS, attention.keys(values_BSD), values_BSD[:, 0])


def example(kind: str, seed: int = 0):
    attention = make(kind, seed)
    values_BSD, lengths_B = torch.randn(3, 5, D, dtype=torch.float64), torch.tensor([5, 1, 3])
    query_B1Q = torch.randn(3, 1, D, dtype=torch.float64)
    previous_BS = mask_from_lengths(lengths_B, 5).double() / lengths_B[:, None]
    return attention, values_BSD, lengths_B, query_B1Q, previous_BS


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_a_distribution_over_the_real_part(kind):
    attention, values_BSD, lengths_B, query_B1Q, previous_BS = example(kind)
    context_B1C, weights_B1S = attention(query_B1Q, make_memory(attention, values_BSD, lengths_B), previous_BS)
    assert context_B1C.shape == (3, 1, attention.context_dim)
    torch.testing.assert_close(weights_B1S.sum(-1), torch.ones(3, 1, dtype=torch.float64))
    assert not weights_B1S[:, 0][~mask_from_lengths(lengths_B, 5)].any()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_never_read_and_gets_no_gradient(kind):
    attention, values_BSD, lengths_B, query_B1Q, previous_BS = example(kind)
    padding_BS = ~mask_from_lengths(lengths_B, 5)
    noisy_BSD = values_BSD.masked_fill(padding_BS[..., None], 1e3).requires_grad_()
    context, weights = attention(query_B1Q, make_memory(attention, values_BSD, lengths_B), previous_BS)
    noisy_context, noisy_weights = attention(query_B1Q, make_memory(attention, noisy_BSD, lengths_B), previous_BS)
    torch.testing.assert_close(noisy_context, context)
    torch.testing.assert_close(noisy_weights, weights)
    noisy_context.sum().backward()
    assert not noisy_BSD.grad[padding_BS].any() and noisy_BSD.grad[~padding_BS].any()
    alone = make_memory(attention, values_BSD[2:, :3], lengths_B[2:])
    torch.testing.assert_close(attention(query_B1Q[2:], alone, previous_BS[2:, :3])[0], context[2:])


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_memory_gives_no_context(kind):
    attention, values_BSD, _, query_B1Q, previous_BS = example(kind)
    empty_BSD = values_BSD[:, :0]
    nothing = Memory(empty_BSD, empty_BSD[..., 0].bool(), attention.keys(empty_BSD), values_BSD[:, 0])
    context_B1C, weights_B1S = attention(query_B1Q, nothing, previous_BS[:, :0])
    assert not context_B1C.any() and weights_B1S.shape == (3, 1, 0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "location"])
def test_many_queries_at_once_are_each_alone(kind):
    attention, values_BSD, lengths_B, _, previous_BS = example(kind)
    memory, query_BTQ = make_memory(attention, values_BSD, lengths_B), torch.randn(3, 4, D, dtype=torch.float64)
    together, _ = attention(query_BTQ, memory, previous_BS)
    alone = [attention(query_BTQ[:, t : t + 1], memory, previous_BS)[0] for t in range(4)]
    torch.testing.assert_close(together, torch.cat(alone, 1))


def score(attention: torch.nn.Module, kind: str, query, values_SD: torch.Tensor, s: int, previous_S) -> float:
    """The paper's equation for one pair."""
    attention = attention.attention if kind == "gated" else attention
    if kind in ("dot", "scaled_dot"):
        return (query @ values_SD[s]).item() / (math.sqrt(D) if kind == "scaled_dot" else 1)
    if kind == "general":
        return (query @ attention.key.weight @ values_SD[s]).item()
    hidden = attention.query.weight @ query + attention.query.bias + attention.key.weight @ values_SD[s]
    if kind == "location":
        kernel_CK = attention.filters.weight[:, 0]
        half = kernel_CK.shape[1] // 2
        places = range(s - half, s + half + 1)
        seen = [previous_S[place].item() if 0 <= place < len(previous_S) else 0.0 for place in places]
        hidden = hidden + attention.location.weight @ (kernel_CK @ torch.tensor(seen, dtype=torch.float64))
    return (attention.score.weight[0] @ torch.tanh(hidden)).item()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "multi_head"])
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_the_softmax_of_the_papers_scores(kind, seed):
    attention, values_BSD, lengths_B, query_B1Q, previous_BS = example(kind, seed)
    _, weights_B1S = attention(query_B1Q, make_memory(attention, values_BSD, lengths_B), previous_BS)
    for b, n in enumerate(lengths_B.tolist()):
        scores = [score(attention, kind, query_B1Q[b, 0], values_BSD[b], s, previous_BS[b]) for s in range(n)]
        want = torch.tensor(scores, dtype=torch.float64).softmax(0)
        torch.testing.assert_close(weights_B1S[b, 0, :n], want)


def test_a_gate_scales_the_context_and_nothing_else():
    gated, values_BSD, lengths_B, query_B1Q, previous_BS = example("gated")
    memory = make_memory(gated, values_BSD, lengths_B)
    context, weights = gated(query_B1Q, memory, previous_BS)
    inner, inner_weights = gated.attention(query_B1Q, memory, previous_BS)
    gate_B = [1 / (1 + math.exp(-(gated.gate.weight[0] @ q[0] + gated.gate.bias[0]).item())) for q in query_B1Q]
    torch.testing.assert_close(context, inner * torch.tensor(gate_B, dtype=torch.float64)[:, None, None])
    torch.testing.assert_close(weights, inner_weights)


def test_multi_head_is_torchs_own():
    ours = MultiHeadAttention(D, D, D, heads=2).double()
    theirs = torch.nn.MultiheadAttention(D, 2, bias=False, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.out_proj.weight.copy_(ours.output.weight)
    values_BSD, query_BTQ = torch.randn(2, 5, D, dtype=torch.float64), torch.randn(2, 3, D, dtype=torch.float64)
    lengths_B = torch.tensor([5, 2])
    got = ours(query_BTQ, make_memory(ours, values_BSD, lengths_B), values_BSD[..., 0])
    want = theirs(query_BTQ, values_BSD, values_BSD, key_padding_mask=~mask_from_lengths(lengths_B, 5))
    torch.testing.assert_close(got, want)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="`kernel` must be odd, got 4"):
        LocationAwareAttention(D, D, 4, kernel=4)
    with pytest.raises(ValueError, match="`attention_dim` must be a multiple of heads 3, got 4"):
        MultiHeadAttention(D, D, 4, heads=3)
    with pytest.raises(ValueError, match="`kind` must be one of additive, .*, got 'cosine'"):
        make_attention("cosine", D, D, 4)
    with pytest.raises(ValueError, match="`query_dim` must be the memory's width 6 for dot products, got 5"):
        make_attention("dot", D, 5, 4)
    attention, values_BSD, lengths_B, query_B1Q, previous_BS = example("location")
    with pytest.raises(ValueError, match="`query_BTQ` must hold one query a call, got 2"):
        attention(query_B1Q.repeat(1, 2, 1), make_memory(attention, values_BSD, lengths_B), previous_BS)
