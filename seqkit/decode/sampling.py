"""Sampling, with a temperature and cut to the best tokens.

The next token is drawn from softmax(log-probabilities / temperature), cut to the `top_k` best tokens, then to
the fewest best whose share is `top_p` (Holtzman et al. 2020, arXiv:1904.09751, section 3.1). The random numbers are
a function of (seed, item, sample, step) and of nothing else: an item's samples do not depend on the batch it is in.

P paths (sentences times samples), V vocabulary, C candidates of a path.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqkit.decode.greedy_search import walk
from seqkit.decode.search import Hypothesis, Model, Search, init_prefixes, top


@dataclass(frozen=True)
class Sampling:
    """How to draw; plain values, checked when made."""

    samples: int = 1
    """Hypotheses drawn a sentence; the first ones are the same whatever their number."""
    temperature: float = 1.0
    """Above 0; towards 0 it is greedy search, towards infinity uniform."""
    top_k: int = 0
    """Only the k best tokens can be drawn; 0: all."""
    top_p: float = 1.0
    """Only the fewest best tokens can be drawn that together have this probability, above 0; 1: all."""
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
    """`samples` hypotheses a sentence, best score first; `logprob` and `score` are those of temperature 1, uncut.

    `items_B`: int64, numbers of the sentences in the corpus, from which the random numbers are made; their places in
    the batch where not given. `state`: instead of `model.initial_state(memories)`, one row a sentence.
    """
    count = sampling.samples
    memories, prefixes, max_len_P = init_prefixes(model, memories, state, search, (), count)
    place_P = torch.arange(len(max_len_P), device=max_len_P.device)
    item_P = place_P // count if items_B is None else items_B.to(place_P.device).repeat_interleave(count)
    stream_P = scramble(scramble(scramble(torch.full_like(place_P, sampling.seed)) + item_P) + place_P % count)

    def choose(rank_PV: Tensor, place_P: Tensor, step: int) -> Tensor:
        return draw(rank_PV, uniform(stream_P[place_P] + step), sampling)

    paths = walk(model, memories, prefixes, max_len_P, search, (), choose)
    by_item = [paths[i : i + count] for i in range(0, len(paths), count)]
    return [sorted(drawn, key=lambda path: -path.score) for drawn in by_item]


def draw(rank_PV: Tensor, uniform_P: Tensor, sampling: Sampling) -> Tensor:
    """The token (P,) where the cumulative probability of the candidates passes `uniform_P`."""
    columns_V = torch.arange(rank_PV.shape[1], device=rank_PV.device)
    value_PC, column_PC = top(rank_PV, sampling.top_k) if sampling.top_k else (rank_PV, columns_V.expand_as(rank_PV))
    if sampling.top_p < 1:
        value_PC, order_PC = value_PC.sort(dim=1, descending=True, stable=True)
        column_PC = column_PC.gather(1, order_PC)
    share_PC = (value_PC.double() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        share_PC = share_PC.masked_fill(share_PC.cumsum(-1) - share_PC >= sampling.top_p, 0.0)
    sum_PC = share_PC.cumsum(-1)
    place_P1 = torch.searchsorted(sum_PC, uniform_P[:, None] * sum_PC[:, -1:], right=True)
    return column_PC.gather(1, place_P1.clamp(max=sum_PC.shape[1] - 1))[:, 0]  # clamp: where nothing may be drawn


def uniform(counter_P: Tensor) -> Tensor:
    """A float64 in [0, 1), a multiple of 2**-40, for each int64."""
    return (scramble(counter_P) >> 24 & (1 << 40) - 1).double() * 2.0**-40


def scramble(x: Tensor) -> Tensor:
    """SplitMix64 of int64 (Steele et al. 2014, doi:10.1145/2660193.2660195, figure 14): neighbors become unrelated."""
    x = x - 0x61C8864680B583EB
    x = (x ^ (x >> 30 & (1 << 34) - 1)) * -0x40A7B892E31B1A47
    x = (x ^ (x >> 27 & (1 << 37) - 1)) * -0x6B2FB644ECCEEE15
    return x ^ (x >> 31 & (1 << 33) - 1)
