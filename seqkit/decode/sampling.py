"""Sampling with temperature, top-k and top-p, also differentiably.

The next token is drawn from softmax(log-probabilities / temperature), restricted to the `top_k` best tokens, then to
the smallest set of best tokens of probability `top_p` (Holtzman et al. 2020, arXiv:1904.09751, section 3.1). The random
numbers are a function of (seed, item, sample, step) alone: an item's samples do not depend on its batch.

P paths (sentences times samples), Q paths still in the batch, V vocabulary, C candidates of a path, B sentences,
K samples of a sentence.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqkit.decode.greedy_search import decode_paths
from seqkit.decode.search import NEG_INF, Hypothesis, Model, Search, init_prefixes, top
from seqkit.described import described


@described
@dataclass(frozen=True)
class Sampling:
    """The options of sampling; plain values, checked when made."""

    samples: int = 1
    """Hypotheses drawn a sentence; the first ones are the same whatever their number."""
    temperature: float = 1.0
    """Above 0; near 0 greedy search, towards infinity uniform."""
    top_k: int = 0
    """Tokens that can be drawn, the best ones; 0: all."""
    top_p: float = 1.0
    """Probability of the smallest set of best tokens that can be drawn, above 0; 1: all."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"`samples` must be at least 1, got {self.samples}")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"`temperature` must be above 0 and finite, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"`top_k` must be at least 0, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"`top_p` must be above 0 and at most 1, got {self.top_p}")


@torch.inference_mode()
def sample(
    model: Model, memories: Any, search: Search, sampling: Sampling, *, items_B: Tensor | None = None, state: Any = None
) -> list[list[Hypothesis]]:
    """Sampling: `samples` hypotheses a sentence, best score first.

    `logprob` and `score` are those of the whole distribution at temperature 1.

    `items_B`: int64, numbers of the sentences in the corpus, from which the random numbers are made; their places in
    the batch where not given. `state`: instead of `model.initial_state(memories)`, one row a sentence.
    """
    drawn, _ = sample_with_gradient(model, memories, search, sampling, items_B=items_B, state=state)
    return [sorted(paths, key=lambda path: -path.score) for paths in drawn]


def sample_with_gradient(
    model: Model, memories: Any, search: Search, sampling: Sampling, *, items_B: Tensor | None = None, state: Any = None
) -> tuple[list[list[Hypothesis]], Tensor]:
    """The hypotheses of `sample` in the order drawn, and the log-probability (B, K) with which each was drawn.

    The log-probability, float64, is that of the distribution drawn from, with temperature, top-k and top-p, and is
    differentiable: its dropout masks are those of the drawing pass, so that the mean of its gradient is zero, as
    REINFORCE requires (`seqkit.nn.sequence_risk`). It includes EOS, except where the maximum length cut the hypothesis.
    """
    count = sampling.samples
    memories, prefixes, max_len_P = init_prefixes(model, memories, state, search, (), count)
    place_P = torch.arange(len(max_len_P), device=max_len_P.device)
    item_P = place_P // count if items_B is None else items_B.to(place_P.device).repeat_interleave(count)
    stream_P = scramble(scramble(scramble(torch.full_like(place_P, sampling.seed)) + item_P) + place_P % count)
    steps: list[tuple[Tensor, Tensor]] = []  # of each step the places of the paths and log p of their tokens

    def choose(rank_PV: Tensor, place_P: Tensor, step: int) -> Tensor:
        token_P, logprob_P = draw(rank_PV, uniform(stream_P[place_P] + step), sampling)
        steps.append((place_P, logprob_P))
        return token_P

    paths = decode_paths(model, memories, prefixes, max_len_P, search, (), choose)
    length_P = torch.tensor([len(path.tokens) for path in paths], device=place_P.device)
    length_P = torch.minimum(length_P + 1, max_len_P)  # EOS counted
    total_P = torch.zeros_like(place_P, dtype=torch.float64)
    for step, (place_Q, logprob_Q) in enumerate(steps):  # closed paths may stay in the batch for a while
        total_P = total_P.index_add(0, place_Q, logprob_Q.where(step < length_P[place_Q], 0.0))
    return [paths[i : i + count] for i in range(0, len(paths), count)], total_P.view(-1, count)


def draw(rank_PV: Tensor, uniform_P: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The token (P,) where the cumulative probability of the candidates passes `uniform_P`, and log p of it."""
    columns_V = torch.arange(rank_PV.shape[1], device=rank_PV.device)
    value_PC, column_PC = top(rank_PV, sampling.top_k) if sampling.top_k else (rank_PV, columns_V.expand_as(rank_PV))
    if sampling.top_p < 1:
        value_PC, order_PC = value_PC.sort(dim=1, descending=True, stable=True)
        column_PC = column_PC.gather(1, order_PC)
    value_PC = value_PC.double() / sampling.temperature
    share_PC = value_PC.detach().softmax(-1)
    if sampling.top_p < 1:
        beyond_PC = share_PC.cumsum(-1) - share_PC >= sampling.top_p
        value_PC, share_PC = value_PC.masked_fill(beyond_PC, NEG_INF), share_PC.masked_fill(beyond_PC, 0.0)
    sum_PC = share_PC.cumsum(-1)
    place_P1 = torch.searchsorted(sum_PC, uniform_P[:, None] * sum_PC[:, -1:], right=True)
    place_P1 = place_P1.clamp(max=sum_PC.shape[1] - 1)  # where nothing may be drawn
    return column_PC.gather(1, place_P1)[:, 0], value_PC.log_softmax(-1).gather(1, place_P1)[:, 0]


def uniform(counter_P: Tensor) -> Tensor:
    """Uniform float64 in [0, 1), multiples of 2**-40, from int64 counters."""
    return (scramble(counter_P) >> 24 & (1 << 40) - 1).double() * 2.0**-40


def scramble(x: Tensor) -> Tensor:
    """The SplitMix64 hash of int64 (Steele et al. 2014, doi:10.1145/2660193.2660195, figure 14)."""
    x = x - 0x61C8864680B583EB
    x = (x ^ (x >> 30 & (1 << 34) - 1)) * -0x40A7B892E31B1A47
    x = (x ^ (x >> 27 & (1 << 37) - 1)) * -0x6B2FB644ECCEEE15
    return x ^ (x >> 31 & (1 << 33) - 1)
