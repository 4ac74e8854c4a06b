"""CTC prefix beam search, batched on the device, with language models as scorers.

A prefix keeps two sums over its paths, those that end in the blank and those that end in its last token (Graves et
al. 2006, section 3.2; with a language model Hannun et al. 2014, arXiv:1408.2873, algorithm 1). A frame lets every
prefix stay or grow by one token; a prefix that is reached both ways is one candidate, and the `beam` best candidates
are kept. Prefixes are compared by a hash of 64 bits: among 1,000 prefixes of each of 10,000 frames two different ones
have the same hash with a probability below 1e-9.

B items, T frames, V vocabulary, K beam, N = B * K rows of the scorers.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.decode.ctc import BLANK
from seqkit.decode.lm import WordScorer
from seqkit.decode.search import NEG_INF, NOTHING, Hypothesis, Scorers, Search, log_softmax, tensors
from seqkit.nn.memory import map_rows, select

HASH_STEP, HASH_MIX = 0x9E3779B97F4A7C15 - 2**64, 0xBF58476D1CE4E5B9 - 2**64  # splitmix64's constants
EMPTY, ORPHAN, DEAD = 0, 1, 2  # hashes of the empty prefix, of its parent, of a place without prefix


class Beams(NamedTuple):
    """The prefixes of every item, unordered."""

    blank_BK: Tensor  # log p of the paths that end in the blank; -inf: none
    label_BK: Tensor  # of those that end in the last token
    last_BK: Tensor  # last token; BLANK for the empty prefix
    hash_BK: Tensor
    parent_hash_BK: Tensor  # of the prefix without its last token
    bonus_BK: Tensor  # weighted, of the scorers


class Fused(NamedTuple):
    """The scorers: the bonus (N, V) of each prefix with each next token, and their states."""

    ahead_NV: Tensor
    states: tuple[Any, ...]


@torch.inference_mode()
def prefix_beam(
    logits_BTV: Tensor, lengths_B: Tensor, search: Search, *, scorers: Scorers = ()
) -> list[list[Hypothesis]]:
    """CTC prefix beam search: the `nbest` texts of each item, best first.

    There are fewer where fewer exist, and one empty hypothesis of score -inf where the scorers allow none. `logprob`
    sums over the paths of the text that stayed in the beam; `score` adds the scorers' weighted bonuses, that of EOS
    included. Of `search` the fields `beam`, `nbest`, `length_penalty`, `suppress_tokens`, `bos` and `eos` are used.
    Scorers get no attention weights. Where one is a `WordScorer`, no text ends with its separator. Raises
    ValueError for `min_len` and `no_repeat_ngram`.
    """
    if search.min_len or search.no_repeat_ngram:
        raise ValueError(
            f"`min_len` and `no_repeat_ngram` must be 0 for frames, got {search.min_len} and {search.no_repeat_ngram}"
        )
    logprob_BTV, grow_BTV = _emissions(logits_BTV, lengths_B, search)
    beams = _start(logprob_BTV, search.beam)
    fused = _open(beams, logprob_BTV.shape[-1], search, scorers) if scorers else None
    parents, tokens = [], []
    for logprob_BV, grow_BV in zip(logprob_BTV.unbind(1), grow_BTV.unbind(1), strict=True):
        beams, parent_BK, token_BK = _extend(beams, logprob_BV, grow_BV, fused)
        if fused is not None:
            fused = _score(fused, beams, parent_BK, token_BK, scorers)
        parents.append(parent_BK)
        tokens.append(token_BK)
    separators = {scorer.separator for scorer, _ in scorers if isinstance(scorer, WordScorer)}
    return _collect(beams, parents, tokens, fused, search, separators)


def _emissions(logits_BTV: Tensor, lengths_B: Tensor, search: Search) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the frames, and those of tokens that may be added; padding is a blank of probability 1."""
    logprob_BTV = log_softmax(logits_BTV)
    padding_BT = torch.arange(logprob_BTV.shape[1], device=logprob_BTV.device) >= lengths_B[:, None]
    logprob_BTV = logprob_BTV.masked_fill(padding_BT[..., None], NEG_INF)
    logprob_BTV[..., BLANK].masked_fill_(padding_BT, 0.0)
    grow_BTV = logprob_BTV.clone()
    grow_BTV[..., sorted({BLANK, search.eos, *search.suppress_tokens})] = NEG_INF
    return logprob_BTV, grow_BTV


def _start(logprob_BTV: Tensor, size: int) -> Beams:
    """The empty prefix, and empty places."""
    none_BK = logprob_BTV.new_full((len(logprob_BTV), size), NEG_INF)
    blank_BK, token_BK = none_BK.clone(), torch.full_like(none_BK, BLANK, dtype=torch.int64)
    blank_BK[:, 0] = 0.0
    hash_BK, parent_BK = token_BK + DEAD, token_BK + ORPHAN
    hash_BK[:, 0] = EMPTY
    return Beams(blank_BK, none_BK, token_BK, hash_BK, parent_BK, torch.zeros_like(none_BK))


def _extend(beams: Beams, logprob_BV: Tensor, grow_BV: Tensor, fused: Fused | None) -> tuple[Beams, Tensor, Tensor]:
    """One frame: the new beams, and for each the place of its parent and the token added, BLANK for none.

    Candidates (B, K, V) are the prefixes grown by each token; the column of the blank holds those that stay.
    """
    stay_blank_BK, stay_label_BK, candidate_BKV = _candidates(beams, logprob_BV, grow_BV)
    candidate_BM = candidate_BKV.flatten(1)
    if fused is None:
        rank_BM = candidate_BM
    else:
        rank_BKV = candidate_BKV + fused.ahead_NV.view_as(candidate_BKV)
        rank_BKV[..., BLANK] = candidate_BKV[..., BLANK] + beams.bonus_BK
        rank_BM = rank_BKV.flatten(1)
    value_BK, place_BK = rank_BM.topk(beams.last_BK.shape[1], 1, sorted=False)
    vocab = logprob_BV.shape[1]
    parent_BK, token_BK = place_BK // vocab, place_BK % vocab
    stays_BK, alive_BK = token_BK == BLANK, value_BK > NEG_INF
    old = Beams(*(t.gather(1, parent_BK) for t in beams))
    bonus_BK = old.bonus_BK
    if fused is not None:
        bonus_BK = torch.where(stays_BK, bonus_BK, fused.ahead_NV.view_as(candidate_BM).gather(1, place_BK))
    label_BK = torch.where(stays_BK, stay_label_BK.gather(1, parent_BK), candidate_BM.gather(1, place_BK))
    hash_BK = torch.where(stays_BK, old.hash_BK, _hash(old.hash_BK, token_BK))
    return (
        Beams(
            stay_blank_BK.gather(1, parent_BK).where(stays_BK & alive_BK, NEG_INF),
            label_BK.where(alive_BK, NEG_INF),
            torch.where(stays_BK, old.last_BK, token_BK),
            hash_BK.where(alive_BK, DEAD),
            torch.where(stays_BK, old.parent_hash_BK, old.hash_BK).where(alive_BK, ORPHAN),
            bonus_BK,
        ),
        parent_BK,
        token_BK,
    )


def _candidates(beams: Beams, logprob_BV: Tensor, grow_BV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The unchanged prefixes, split by paths that end in blank and in the last token, and all candidates (B, K, V)."""
    total_BK = torch.logaddexp(beams.blank_BK, beams.label_BK)
    candidate_BKV = total_BK[..., None] + grow_BV[:, None]
    again_BK = beams.blank_BK + grow_BV.gather(1, beams.last_BK)  # a token twice needs the blank between
    candidate_BKV.scatter_(2, beams.last_BK[..., None], again_BK[..., None])
    candidate_BM, twin_BK = candidate_BKV.flatten(1), _twins(beams, logprob_BV.shape[1])
    blank_BK = total_BK + logprob_BV[:, BLANK, None]
    label_BK = beams.label_BK + logprob_BV.gather(1, beams.last_BK)
    label_BK = torch.logaddexp(label_BK, candidate_BM.gather(1, twin_BK))
    candidate_BM.scatter_(1, twin_BK, NEG_INF)
    candidate_BKV[..., BLANK] = torch.logaddexp(blank_BK, label_BK)
    return blank_BK, label_BK, candidate_BKV


def _twins(beams: Beams, vocab: int) -> Tensor:
    """The place among the flat candidates (B, K * V) at which each prefix is its parent plus a token.

    A prefix whose parent is not in the beam gets its own blank column, which is -inf there.
    """
    sorted_BK, order_BK = beams.hash_BK.sort(1)
    near_BK = torch.searchsorted(sorted_BK, beams.parent_hash_BK).clamp(max=sorted_BK.shape[1] - 1)
    found_BK = sorted_BK.gather(1, near_BK) == beams.parent_hash_BK
    own_K = torch.arange(sorted_BK.shape[1], device=sorted_BK.device)
    return torch.where(found_BK, order_BK.gather(1, near_BK) * vocab + beams.last_BK, own_K * vocab + BLANK)


def _hash(hash_BK: Tensor, token_BK: Tensor) -> Tensor:
    mixed_BK = hash_BK + (token_BK + 1) * HASH_STEP
    mixed_BK = (mixed_BK ^ (mixed_BK >> 30)) * HASH_MIX
    return mixed_BK ^ (mixed_BK >> 27)


def _open(beams: Beams, vocab: int, search: Search, scorers: Scorers) -> Fused:
    """The scorers after BOS, for every place of the beams."""
    device, rows = beams.last_BK.device, beams.last_BK.numel()
    states = tuple(scorer.initial_state(rows, device) for scorer, _ in scorers)
    ahead_NV = beams.bonus_BK.new_zeros(rows, vocab)
    return _step(torch.full((rows,), search.bos, device=device), ahead_NV, states, scorers)


def _step(token_N: Tensor, before_NV: Tensor, states: tuple[Any, ...], scorers: Scorers) -> Fused:
    """One step of every scorer; `before_NV` is the bonus so far, in any width that broadcasts."""
    after, ahead_NV = [], before_NV
    for (scorer, weight), state in zip(scorers, states, strict=True):
        bonus_NV, state = scorer.step(token_N, (), state)
        ahead_NV = ahead_NV + weight * bonus_NV.to(ahead_NV.dtype)
        after.append(state)
    return Fused(ahead_NV, tuple(after))


def _score(fused: Fused, beams: Beams, parent_BK: Tensor, token_BK: Tensor, scorers: Scorers) -> Fused:
    """One step of the scorers of prefixes with a new token; those of the others do not change."""
    batch, size = parent_BK.shape
    row_N = (parent_BK + torch.arange(batch, device=parent_BK.device)[:, None] * size).flatten()
    fused = select(fused, row_N)
    grew_M = (token_BK.flatten() != BLANK).nonzero()[:, 0]
    if not len(grew_M):
        return fused
    bonus_MV = beams.bonus_BK.flatten()[grew_M, None].expand(-1, fused.ahead_NV.shape[1])
    grown = _step(token_BK.flatten()[grew_M], bonus_MV, select(fused.states, grew_M), scorers)
    parts = tensors(grown)
    merged: Fused = map_rows(lambda old: old.index_copy(0, grew_M, next(parts).to(old.dtype)), fused)
    return merged


def _collect(
    beams: Beams, parents: list[Tensor], tokens: list[Tensor], fused: Fused | None, search: Search, outer: set[int]
) -> list[list[Hypothesis]]:
    """The best prefixes, traced back through the frames; of `outer` none is the last token of a text."""
    place_BK, columns = torch.arange(search.beam, device=beams.last_BK.device).expand_as(beams.last_BK), []
    for parent_BK, token_BK in zip(reversed(parents), reversed(tokens), strict=True):
        columns.append(token_BK.gather(1, place_BK))
        place_BK = parent_BK.gather(1, place_BK)
    token_BKT = torch.stack([*columns, torch.full_like(place_BK, BLANK)][::-1], 2)
    logprob_BK = torch.logaddexp(beams.blank_BK, beams.label_BK).double()
    bonus_BK = beams.bonus_BK if fused is None else fused.ahead_NV[:, search.eos].view_as(logprob_BK)
    total_BK = (logprob_BK + bonus_BK).where(logprob_BK > NEG_INF, NEG_INF)
    score_BK = search.score(total_BK, (token_BKT != BLANK).sum(2) + 1)
    score_BK, best_BK = score_BK.sort(dim=1, descending=True, stable=True)
    rows = zip(
        token_BKT.gather(1, best_BK[..., None].expand(-1, -1, token_BKT.shape[2])).tolist(),
        logprob_BK.gather(1, best_BK).tolist(),
        score_BK.tolist(),
        strict=True,
    )
    found = []
    for texts, logprobs, scores in rows:
        own: dict[tuple[int, ...], Hypothesis] = {}
        for ids, logprob, score in zip(texts, logprobs, scores, strict=True):
            kept = [token for token in ids if token != BLANK]
            kept = kept[:-1] if kept and kept[-1] in outer else kept
            if score > NEG_INF:
                own.setdefault(tuple(kept), Hypothesis(kept, logprob, score))
        found.append([*own.values()][: search.nbest] or [NOTHING])
    return found
