"""Attention over one memory: additive, dot-product, multi-head, location-aware, and a gate on any of them.

Every class has `keys(values_BSD)`, computed once a sequence and carried in the `Memory`, and
`forward(query_BTQ, memory, previous_BS)`, which returns the contexts (B, T, C) and the weights (B, T, S); `previous_BS`
are the weights of the step before. Weights sum to 1 over real positions and are exactly 0 at padding; over an empty
memory the context is zero. `memory_dim` is D, `context_dim` is C. Where `sequential` is true, the weights of the step
before are used, and queries must come one at a time.

Additive: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2. Dot and general: Luong et al. 2015,
arXiv:1508.04025, equation 8. Scaled dot and multi-head: Vaswani et al. 2017, arXiv:1706.03762,
section 3.2. Location-aware: Chorowski et al. 2015, arXiv:1506.07503, equation 9. Gated: Xu et al. 2015,
arXiv:1502.03044, section 4.2.1.

B batch, T queries, S source positions, D memory width, Q query width, A attention width, C context width,
N heads.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from seqkit.nn.kernels import usable_in_search
from seqkit.nn.kernels.additive import additive_attention
from seqkit.nn.masks import masked_softmax
from seqkit.nn.memory import Memory

AttentionKind = Literal["additive", "dot", "scaled_dot", "general", "multi_head", "location"]


def attend(scores_BTS: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Contexts (B, T, D) and weights (B, T, S) from unnormalized scores."""
    weights_BTS = masked_softmax(scores_BTS, memory.mask_BS[:, None])
    return weights_BTS @ memory.values_BSD, weights_BTS


def score_of_tanh(score: nn.Linear, energy: Tensor) -> Tensor:
    """score(tanh(energy)), in place, by tanh x = 2 sigmoid(2 x) - 1, which takes 40 % of the time on a CPU."""
    scores: Tensor = 2 * score(energy.mul_(2).sigmoid_()) - score.weight.sum()
    return scores


class AdditiveAttention(nn.Module):
    """Additive attention: score = v' tanh(W q + U h + b)."""

    sequential = False

    def __init__(self, memory_dim: int, query_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.memory_dim = self.context_dim = memory_dim
        self.key = nn.Linear(memory_dim, attention_dim, bias=False)
        self.query = nn.Linear(query_dim, attention_dim)
        self.score = nn.Linear(attention_dim, 1, bias=False)

    def keys(self, values_BSD: Tensor) -> Tensor:
        keys_BSA: Tensor = self.key(values_BSD)
        return keys_BSA

    def forward(self, query_BTQ: Tensor, memory: Memory, previous_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (B, T, D) and weights (B, T, S) of all queries at once."""
        query_BTA = self.query(query_BTQ)
        if usable_in_search(query_BTA):
            score_A = self.score.weight[0]
            return additive_attention(query_BTA, memory.keys_BSA, memory.values_BSD, memory.mask_BS, score_A)
        energy_BTSA = memory.keys_BSA[:, None] + query_BTA[:, :, None]
        return attend(score_of_tanh(self.score, energy_BTSA).squeeze(-1), memory)


class LocationAwareAttention(nn.Module):
    """Location-aware attention: additive attention with the previous weights, convolved along time, in the score.

    `kernel` is the width of the convolution in source positions, odd; `channels` the number of its filters.
    """

    sequential = True

    def __init__(
        self, memory_dim: int, query_dim: int, attention_dim: int, *, channels: int = 10, kernel: int = 101
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, got {kernel}")
        self.memory_dim = self.context_dim = memory_dim
        self.key = nn.Linear(memory_dim, attention_dim, bias=False)
        self.query = nn.Linear(query_dim, attention_dim)
        self.filters = nn.Conv1d(1, channels, kernel, padding=kernel // 2, bias=False)
        self.location = nn.Linear(channels, attention_dim, bias=False)
        self.score = nn.Linear(attention_dim, 1, bias=False)

    def keys(self, values_BSD: Tensor) -> Tensor:
        keys_BSA: Tensor = self.key(values_BSD)
        return keys_BSA

    def forward(self, query_BTQ: Tensor, memory: Memory, previous_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Context (B, 1, D) and weights (B, 1, S) of one query.

        `previous_BS` holds the weights of the step before. Raises ValueError for several queries.
        """
        if query_BTQ.shape[1] != 1:
            raise ValueError(f"`query_BTQ` must hold one query a call, got {query_BTQ.shape[1]}")
        if not memory.mask_BS.shape[1]:
            return attend(query_BTQ.new_zeros(len(query_BTQ), 1, 0), memory)
        location_BSA = self.location(self.filters(previous_BS[:, None]).transpose(1, 2))
        energy_BSA = memory.keys_BSA + self.query(query_BTQ) + location_BSA
        return attend(score_of_tanh(self.score, energy_BSA).transpose(1, 2), memory)


class DotAttention(nn.Module):
    """Dot-product attention: score = q' h, divided by the square root of D where `scaled`; no parameters, Q = D."""

    sequential = False

    def __init__(self, memory_dim: int, query_dim: int, *, scaled: bool = False) -> None:
        """Raises ValueError for widths that differ."""
        super().__init__()
        if memory_dim != query_dim:
            raise ValueError(f"`query_dim` must be the memory's width {memory_dim} for dot products, got {query_dim}")
        self.memory_dim = self.context_dim = memory_dim
        self.scale = memory_dim**-0.5 if scaled else 1.0

    def keys(self, values_BSD: Tensor) -> Tensor:
        return values_BSD

    def forward(self, query_BTQ: Tensor, memory: Memory, previous_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (B, T, D) and weights (B, T, S) of all queries at once."""
        return attend(query_BTQ @ memory.keys_BSA.transpose(1, 2) * self.scale, memory)


class GeneralAttention(nn.Module):
    """Bilinear ("general") attention: score = q' W h."""

    sequential = False

    def __init__(self, memory_dim: int, query_dim: int) -> None:
        super().__init__()
        self.memory_dim = self.context_dim = memory_dim
        self.key = nn.Linear(memory_dim, query_dim, bias=False)

    def keys(self, values_BSD: Tensor) -> Tensor:
        keys_BSA: Tensor = self.key(values_BSD)
        return keys_BSA

    def forward(self, query_BTQ: Tensor, memory: Memory, previous_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (B, T, D) and weights (B, T, S) of all queries at once."""
        return attend(query_BTQ @ memory.keys_BSA.transpose(1, 2), memory)


class MultiHeadAttention(nn.Module):
    """Multi-head attention: scaled dot products in `heads` subspaces; the weights returned are the mean over the heads.

    Keys and projected values are both computed once a sequence and travel together as `keys_BSA`.
    """

    sequential = False

    def __init__(self, memory_dim: int, query_dim: int, attention_dim: int, *, heads: int) -> None:
        super().__init__()
        if attention_dim % heads:
            raise ValueError(f"`attention_dim` must be a multiple of heads {heads}, got {attention_dim}")
        self.memory_dim, self.context_dim, self.heads = memory_dim, attention_dim, heads
        self.key = nn.Linear(memory_dim, attention_dim, bias=False)
        self.value = nn.Linear(memory_dim, attention_dim, bias=False)
        self.query = nn.Linear(query_dim, attention_dim, bias=False)
        self.output = nn.Linear(attention_dim, attention_dim, bias=False)

    def keys(self, values_BSD: Tensor) -> Tensor:
        return torch.cat([self.key(values_BSD), self.value(values_BSD)], -1)

    def split(self, x_BSA: Tensor) -> Tensor:
        """(B, S, A) to (B, N, S, A / N)."""
        batch, steps, width = x_BSA.shape
        return x_BSA.reshape(batch, steps, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, query_BTQ: Tensor, memory: Memory, previous_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (B, T, A) and the mean weights (B, T, S) of all queries at once."""
        key_BSA, value_BSA = memory.keys_BSA.chunk(2, -1)
        query_BNTA, key_BNSA = self.split(self.query(query_BTQ)), self.split(key_BSA)
        scores_BNTS = query_BNTA @ key_BNSA.transpose(2, 3) * query_BNTA.shape[-1] ** -0.5
        weights_BNTS = masked_softmax(scores_BNTS, memory.mask_BS[:, None, None])
        heads_BTA = (weights_BNTS @ self.split(value_BSA)).transpose(1, 2).flatten(2)
        return self.output(heads_BTA), weights_BNTS.mean(1)


class GatedAttention(nn.Module):
    """Gated attention: another attention's context, multiplied by the scalar sigmoid(w' q + b), one a step."""

    def __init__(self, attention: nn.Module, query_dim: int) -> None:
        super().__init__()
        self.attention, self.gate = attention, nn.Linear(query_dim, 1)
        self.memory_dim, self.context_dim = attention.memory_dim, attention.context_dim
        self.sequential = attention.sequential

    def keys(self, values_BSD: Tensor) -> Tensor:
        keys_BSA: Tensor = self.attention.keys(values_BSD)  # type: ignore[operator]
        return keys_BSA

    def forward(self, query_BTQ: Tensor, memory: Memory, previous_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Gated contexts (B, T, C) and the weights (B, T, S) of the attention inside."""
        context_BTC, weights_BTS = self.attention(query_BTQ, memory, previous_BS)
        return context_BTC * torch.sigmoid(self.gate(query_BTQ)), weights_BTS


ATTENTIONS: dict[AttentionKind, Callable[[int, int, int, int], nn.Module]] = {  # of D, Q, A and N
    "additive": lambda memory, query, width, heads: AdditiveAttention(memory, query, width),
    "dot": lambda memory, query, width, heads: DotAttention(memory, query),
    "scaled_dot": lambda memory, query, width, heads: DotAttention(memory, query, scaled=True),
    "general": lambda memory, query, width, heads: GeneralAttention(memory, query),
    "multi_head": lambda memory, query, width, heads: MultiHeadAttention(memory, query, width, heads=heads),
    "location": lambda memory, query, width, heads: LocationAwareAttention(memory, query, width),
}


def make_attention(
    kind: AttentionKind, memory_dim: int, query_dim: int, attention_dim: int, *, heads: int = 1, gated: bool = False
) -> nn.Module:
    """The attention that goes by `kind`, with a gate on its context where `gated`.

    `attention_dim` is unused by dot, scaled_dot and general, `heads` by all but multi_head. Raises ValueError for
    another kind, and for widths that do not fit it.
    """
    if kind not in ATTENTIONS:
        raise ValueError(f"`kind` must be one of {', '.join(get_args(AttentionKind))}, got {kind!r}")
    attention = ATTENTIONS[kind](memory_dim, query_dim, attention_dim, heads)
    return GatedAttention(attention, query_dim) if gated else attention
