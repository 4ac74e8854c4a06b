"""Beam search, batched on the device (Sutskever et al. 2014, arXiv:1409.3215, section 3.2).

At each step every open hypothesis of a sentence is extended by every token allowed. Of all these candidates the
`beam` best without EOS stay open; those that end in EOS and are among the `beam` best are finished. The sentence is
closed when `beam` hypotheses have finished, when none is open, or at its maximum length, where the open ones are kept,
too. Its result are the `nbest` best scores of those kept; on a tie the earlier, then the lower token.

A sentence is closed sooner where that changes nothing: without scorers totals only fall, so that no later hypothesis
can enter once the `nbest`-th score is at least the best open total, scored at the maximum length.

B sentences, K beam, N = B * K rows of the model's batch, V vocabulary, T tokens so far, X = K + 1 best extensions
of a row, C = 2K candidates, M elements that are sorted.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.decode.search import (
    NEG_INF,
    NOTHING,
    Hypothesis,
    Model,
    Scorers,
    Search,
    init_prefixes,
    score_next_tokens,
    split_closed,
    top,
)
from seqkit.nn.memory import repeat, select


class Beams(NamedTuple):
    """The sentences still in the batch: their open hypotheses and the pool of finished ones, best first."""

    item_B: Tensor  # place in the caller's batch
    max_len_B: Tensor
    closed_B: Tensor
    open_BK: Tensor  # float64 log-probability with bonuses; -inf: no hypothesis
    open_logprob_BK: Tensor
    score_BK: Tensor  # of the pool; -inf: empty place
    logprob_BK: Tensor
    length_BK: Tensor  # tokens, EOS not counted
    tokens_BKT: Tensor


@torch.inference_mode()
def beam(
    model: Model, memories: Any, search: Search, *, state: Any = None, scorers: Scorers = ()
) -> list[list[Hypothesis]]:
    """Beam search: the `nbest` hypotheses of each sentence, best first.

    There are fewer where fewer exist, and one empty hypothesis of score -inf where the options allow none. `state`:
    instead of `model.initial_state(memories)`, one row a sentence. `scorers`: pairs of a scorer and its weight.
    """
    shared = getattr(model, "shares_memories", False)
    memories, prefixes, max_len_B = init_prefixes(model, memories, state, search, scorers, 1)
    longest = int(max_len_B.max())
    beams = _start(max_len_B, search.beam)
    results: list[list[Hypothesis]] = [[]] * len(beams.item_B)
    for length in range(1, longest + 1):
        logprob_NV, rank_NV, prefixes = score_next_tokens(model, memories, prefixes, search, scorers)
        if length == 1:  # after BOS the hypotheses of a sentence are one
            logprob_NV, rank_NV, prefixes = repeat((logprob_NV, rank_NV, prefixes), search.beam)
            memories = memories if shared else repeat(memories, search.beam)
        beams, parent_N, token_N = _extend(beams, logprob_NV, rank_NV, prefixes.tokens_NT, search, bool(scorers))
        prefixes = select(prefixes, parent_N)
        prefixes = prefixes._replace(tokens_NT=torch.cat([prefixes.tokens_NT, token_N[:, None]], 1))
        if (split := split_closed(beams.closed_B, length, length == longest)) is None:
            continue
        leave_B, stay_B = split
        _collect(select(beams, leave_B), search.nbest, results)
        if not len(stay_B):
            break
        stay_N = (stay_B[:, None] * search.beam + torch.arange(search.beam, device=stay_B.device)).flatten()
        beams, prefixes = select(beams, stay_B), select(prefixes, stay_N)
        memories = select(memories, stay_B if shared else stay_N)
    return results


def _start(max_len_B: Tensor, size: int) -> Beams:
    item_B = torch.arange(len(max_len_B), device=max_len_B.device)
    none_BK = torch.full((len(item_B), size), NEG_INF, dtype=torch.float64, device=item_B.device)
    open_BK = none_BK.index_fill(1, item_B.new_zeros(1), 0.0)  # the copies of BOS are one hypothesis
    length_BK = torch.zeros_like(none_BK, dtype=torch.int64)
    closed_B = torch.zeros_like(item_B, dtype=torch.bool)
    return Beams(
        item_B,
        max_len_B,
        closed_B,
        open_BK,
        open_BK,
        none_BK,
        none_BK,
        length_BK,
        length_BK.new_zeros(len(item_B), size, 0),
    )


def _extend(
    beams: Beams, logprob_NV: Tensor, rank_NV: Tensor, tokens_NT: Tensor, search: Search, bonuses: bool
) -> tuple[Beams, Tensor, Tensor]:
    """The beams one token longer, and for each row its parent row (N,) and its token (N,)."""
    size, length = search.beam, tokens_NT.shape[1]
    total_BC, logprob_BC, row_BC, token_BC = _candidates(beams, logprob_NV, rank_NV)
    ends_BC, last_B = token_BC == search.eos, beams.max_len_B == length
    going_BK = ends_BC.int().sort(dim=1, stable=True).indices[:, :size]  # places of the best that do not end
    finished_BC = ends_BC & (torch.arange(2 * size, device=ends_BC.device) < size)
    cut_BC = torch.zeros_like(ends_BC).scatter(1, going_BK, last_B[:, None].expand_as(going_BK))
    kept_BC = (finished_BC | cut_BC) & ~beams.closed_B[:, None]
    tokens_BCT = torch.cat([tokens_NT[row_BC, 1:], token_BC[..., None]], 2)
    score_BC = search.score(total_BC, length).masked_fill(~kept_BC, NEG_INF)
    beams = _pool(beams, score_BC, logprob_BC, length - ends_BC.long(), tokens_BCT)
    beams = beams._replace(open_BK=total_BC.gather(1, going_BK), open_logprob_BK=logprob_BC.gather(1, going_BK))
    beams = beams._replace(closed_B=beams.closed_B | last_B | _settled(beams, search, bonuses))
    return beams, row_BC.gather(1, going_BK).flatten(), token_BC.gather(1, going_BK).flatten()


def _candidates(beams: Beams, logprob_NV: Tensor, rank_NV: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The 2K best extensions, best first: totals, log-probabilities, parent rows and tokens, each (B, C).

    At most K of them end, one a parent: K that do not are always among them.
    """
    batch, size = beams.open_BK.shape
    value_NX, column_NX = top(rank_NV, size + 1)
    total_BM = (beams.open_BK[..., None] + value_NX.view(batch, size, -1)).flatten(1)
    total_BM, place_BM = total_BM.sort(dim=1, descending=True, stable=True)
    place_BC = place_BM[:, : 2 * size]
    slot_BC = place_BC // value_NX.shape[1]
    row_BC = slot_BC + torch.arange(batch, device=slot_BC.device)[:, None] * size
    token_BC = column_NX.view(batch, -1).gather(1, place_BC)
    logprob_BC = beams.open_logprob_BK.gather(1, slot_BC) + logprob_NV[row_BC, token_BC]
    return total_BM[:, : 2 * size], logprob_BC, row_BC, token_BC


def _pool(beams: Beams, score_BC: Tensor, logprob_BC: Tensor, length_BC: Tensor, tokens_BCT: Tensor) -> Beams:
    """The pool with new hypotheses merged in; the older ones first on a tie."""
    score_BM, order_BM = torch.cat([beams.score_BK, score_BC], 1).sort(dim=1, descending=True, stable=True)
    size, steps = beams.score_BK.shape[1], tokens_BCT.shape[2]
    best_BK = order_BM[:, :size]
    tokens_BMT = torch.cat([torch.nn.functional.pad(beams.tokens_BKT, (0, 1)), tokens_BCT], 1)
    return beams._replace(
        score_BK=score_BM[:, :size],
        logprob_BK=torch.cat([beams.logprob_BK, logprob_BC], 1).gather(1, best_BK),
        length_BK=torch.cat([beams.length_BK, length_BC], 1).gather(1, best_BK),
        tokens_BKT=tokens_BMT.gather(1, best_BK[..., None].expand(-1, -1, steps)),
    )


def _settled(beams: Beams, search: Search, bonuses: bool) -> Tensor:
    """Sentences (B,) with a full pool, with nothing open, or whose open hypotheses cannot enter the result any more."""
    settled_B = (beams.score_BK[:, -1] > NEG_INF) | (beams.open_BK[:, 0] == NEG_INF)
    if bonuses:
        return settled_B
    within_reach_B = search.score(beams.open_BK[:, 0], beams.max_len_B.double())
    return settled_B | (beams.score_BK[:, search.nbest - 1] >= within_reach_B)


def _collect(beams: Beams, nbest: int, results: list[list[Hypothesis]]) -> None:
    """Copy the pools of closed sentences to the host, each to its place in `results`."""
    pools = zip(
        beams.item_B.tolist(),
        beams.tokens_BKT.tolist(),
        beams.length_BK.tolist(),
        beams.logprob_BK.tolist(),
        beams.score_BK.tolist(),
        strict=True,
    )
    for item, tokens, lengths, logprobs, scores in pools:
        pool = [
            Hypothesis(ids[:length], logprob, score)
            for ids, length, logprob, score in zip(tokens, lengths, logprobs, scores, strict=True)
            if score > NEG_INF
        ]
        results[item] = pool[:nbest] or [NOTHING]
