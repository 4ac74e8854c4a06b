"""Greedy search, and the loop over single paths that it shares with sampling.

P paths (sentences times samples), V vocabulary, T tokens so far.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.decode.search import (
    NEG_INF,
    NOTHING,
    Hypothesis,
    Model,
    Prefixes,
    Scorers,
    Search,
    init_prefixes,
    score_next_tokens,
    split_closed,
)
from seqkit.nn.memory import select


class Paths(NamedTuple):
    """The paths still in the batch."""

    place_P: Tensor  # in the list of all paths
    max_len_P: Tensor
    closed_P: Tensor
    length_P: Tensor  # tokens, EOS not counted
    score_P: Tensor  # float64, once closed
    total_P: Tensor  # float64 log-probability with bonuses
    logprob_P: Tensor


@torch.inference_mode()
def greedy(
    model: Model, memories: Any, search: Search, *, state: Any = None, scorers: Scorers = ()
) -> list[list[Hypothesis]]:
    """Greedy search: the best token at every step, of equal ones the lowest; the same as `beam` with beam size 1."""
    memories, prefixes, max_len_P = init_prefixes(model, memories, state, search, scorers, 1)
    return [
        [path]
        for path in decode_paths(
            model, memories, prefixes, max_len_P, search, scorers, lambda rank_PV, place_P, step: rank_PV.argmax(-1)
        )
    ]


def decode_paths(
    model: Model,
    memories: Any,
    prefixes: Prefixes,
    max_len_P: Tensor,
    search: Search,
    scorers: Scorers,
    choose: Callable[[Tensor, Tensor, int], Tensor],
) -> list[Hypothesis]:
    """Decode every path to its end; `choose` maps ranks (P, V), the paths' places (P,) and the step to tokens (P,)."""
    place_P = torch.arange(len(max_len_P), device=max_len_P.device)
    zero_P, closed_P = torch.zeros_like(place_P, dtype=torch.float64), torch.zeros_like(place_P, dtype=torch.bool)
    paths = Paths(place_P, max_len_P, closed_P, place_P, zero_P, zero_P, zero_P)
    results = [NOTHING] * len(max_len_P)
    longest = int(max_len_P.max())
    for length in range(1, longest + 1):
        logprob_PV, rank_PV, prefixes = score_next_tokens(model, memories, prefixes, search, scorers)
        token_P = choose(rank_PV, paths.place_P, length)
        paths = _follow(paths, token_P, logprob_PV, rank_PV, search, length)
        prefixes = prefixes._replace(tokens_NT=torch.cat([prefixes.tokens_NT, token_P[:, None]], 1))
        if (split := split_closed(paths.closed_P, length, length == longest)) is None:
            continue
        leave_P, stay_P = split
        _collect(select(paths, leave_P), prefixes.tokens_NT[leave_P, 1:], results)
        if not len(stay_P):
            break
        paths, prefixes, memories = select(paths, stay_P), select(prefixes, stay_P), select(memories, stay_P)
    return results


def _follow(paths: Paths, token_P: Tensor, logprob_PV: Tensor, rank_PV: Tensor, search: Search, length: int) -> Paths:
    """The paths one token longer; closed ones do not change."""
    open_P = ~paths.closed_P
    total_P = paths.total_P + rank_PV.gather(1, token_P[:, None])[:, 0]
    logprob_P = paths.logprob_P + logprob_PV.gather(1, token_P[:, None])[:, 0]
    return paths._replace(
        closed_P=paths.closed_P | (token_P == search.eos) | (paths.max_len_P == length),
        length_P=torch.where(open_P, length - (token_P == search.eos).long(), paths.length_P),
        score_P=torch.where(open_P, search.score(total_P, length), paths.score_P),
        total_P=total_P,
        logprob_P=torch.where(open_P, logprob_P, paths.logprob_P),
    )


def _collect(paths: Paths, tokens_PT: Tensor, results: list[Hypothesis]) -> None:
    """Copy closed paths to the host, each to its place in `results`."""
    rows = zip(
        paths.place_P.tolist(),
        tokens_PT.tolist(),
        paths.length_P.tolist(),
        paths.logprob_P.tolist(),
        paths.score_P.tolist(),
        strict=True,
    )
    for place, tokens, length, logprob, score in rows:
        results[place] = Hypothesis(tokens[:length], logprob, score) if score > NEG_INF else NOTHING
