"""CTC: greedy decoding, and the alignment of tokens with frames.

A path gives every frame a token or the blank; its text is the path with repeats merged, then blanks removed (Graves et
al. 2006, section 3.1). The blank is index 0, PAD of every vocabulary. `greedy_ctc` is the best path, `align` the best
path of a given text (Viterbi); the search for the best text, which sums over paths, is in `ctc_beam.py`.

B batch, T frames, L target tokens, V vocabulary, S = 2L + 1 states of a target with a blank around each token.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.decode.search import NEG_INF, Hypothesis, log_softmax

BLANK = 0
SPECIAL_TOKENS = (1, 2)  # BOS and EOS, which frames do not emit


class TimedHypothesis(NamedTuple):
    """A hypothesis with the first and the last frame of each of its tokens."""

    hypothesis: Hypothesis
    spans: list[tuple[int, int]]


class Alignment(NamedTuple):
    """The best path of given targets."""

    first_BL: Tensor  # frame in which a token begins; 0 beyond a target's length
    last_BL: Tensor  # its last frame
    logprob_B: Tensor  # of the path


@torch.inference_mode()
def greedy_ctc(
    logits_BTV: Tensor, lengths_B: Tensor, *, suppress_tokens: Sequence[int] = SPECIAL_TOKENS
) -> list[TimedHypothesis]:
    """Greedy CTC decoding: the text of each item's best path; `logprob` and `score` are those of the path.

    `suppress_tokens` are never emitted; the softmax is over the whole vocabulary all the same.
    """
    logprob_BTV = log_softmax(logits_BTV)
    logprob_BTV[..., list(suppress_tokens)] = NEG_INF
    value_BT, token_BT = logprob_BTV.max(-1)
    real_BT = torch.arange(token_BT.shape[1], device=token_BT.device) < lengths_B[:, None]
    token_BT = token_BT.where(real_BT, BLANK)
    total_B = value_BT.where(real_BT, 0.0).double().sum(1)
    said_BT, edge_B1 = token_BT != BLANK, torch.zeros_like(token_BT[:, :1])
    first_BT = said_BT & (token_BT != torch.cat([edge_B1, token_BT[:, :-1]], 1))
    last_BT = said_BT & (token_BT != torch.cat([token_BT[:, 1:], edge_B1], 1))
    counts, tokens = first_BT.sum(1).tolist(), token_BT[first_BT].tolist()
    runs = list(zip(first_BT.nonzero()[:, 1].tolist(), last_BT.nonzero()[:, 1].tolist(), strict=True))
    found, end = [], 0
    for count, total in zip(counts, total_B.tolist(), strict=True):
        begin, end = end, end + count
        found.append(TimedHypothesis(Hypothesis(tokens[begin:end], total, total), runs[begin:end]))
    return found


@torch.inference_mode()
def align(logits_BTV: Tensor, lengths_B: Tensor, targets_BL: Tensor, target_lengths_B: Tensor) -> Alignment:
    """Forced alignment: the best path of each target; of equal ones the path that leaves a token late.

    Raises ValueError, with the item's place in the batch, for a target that has no path.
    """
    logprob_BTV = log_softmax(logits_BTV)
    label_BS = torch.full((len(targets_BL), 2 * targets_BL.shape[1] + 1), BLANK, device=targets_BL.device)
    label_BS[:, 1::2] = targets_BL
    emission_BTS = logprob_BTV.gather(2, label_BS[:, None].expand(-1, logprob_BTV.shape[1], -1))
    best_BS, back_TBS = _forward(emission_BTS, label_BS, lengths_B)
    ends_B2 = torch.stack([2 * target_lengths_B, (2 * target_lengths_B - 1).clamp(min=0)], 1)
    logprob_B, choice_B = best_BS.gather(1, ends_B2).max(1)
    if len(lost := (logprob_B == NEG_INF).nonzero()[:, 0].tolist()):
        raise ValueError(f"`targets_BL` must fit into their frames, got item {lost[0]}, which has no path")
    state_B = ends_B2.gather(1, choice_B[:, None])[:, 0]
    first_BL, last_BL = _frames(state_B, back_TBS, targets_BL.shape[1])
    beyond_BL = torch.arange(targets_BL.shape[1], device=targets_BL.device) >= target_lengths_B[:, None]
    last_BL = last_BL.minimum(lengths_B[:, None] - 1)  # the last state was kept through the padding
    return Alignment(first_BL.masked_fill(beyond_BL, 0), last_BL.masked_fill(beyond_BL, 0), logprob_B)


def token_spans(logits_BTV: Tensor, lengths_B: Tensor, texts: Sequence[Sequence[int]]) -> list[list[tuple[int, int]]]:
    """First and last frame of each token of one text an item, by `align`."""
    lengths = [len(text) for text in texts]
    padded = [[*text] + [BLANK] * (max(lengths) - len(text)) for text in texts]
    targets_BL = torch.tensor(padded, dtype=torch.int64, device=logits_BTV.device).view(len(texts), max(lengths))
    found = align(logits_BTV, lengths_B, targets_BL, torch.tensor(lengths, device=logits_BTV.device))
    rows = zip(found.first_BL.tolist(), found.last_BL.tolist(), lengths, strict=True)
    return [list(zip(first[:length], last[:length], strict=True)) for first, last, length in rows]


def _forward(emission_BTS: Tensor, label_BS: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """Viterbi: the best log-probability of each state at the end (B, S), and the steps back of each frame (T, B, S).

    A state is reached from itself, from the one before, and from the one before that where this skips only a blank
    between two different tokens. States do not change after a sequence's length.
    """
    best_BS = torch.full_like(emission_BTS[:, 0] if emission_BTS.shape[1] else emission_BTS.sum(1), NEG_INF)
    best_BS[:, 0] = 0.0  # before the first frame: no token yet
    barred_BS = label_BS == torch.nn.functional.pad(label_BS, (2, 0))[:, :-2]  # of two blanks, too
    back = []
    for t, emission_BS in enumerate(emission_BTS.unbind(1)):
        one_BS = torch.nn.functional.pad(best_BS, (1, 0), value=NEG_INF)[:, :-1]
        two_BS = torch.nn.functional.pad(best_BS, (2, 0), value=NEG_INF)[:, :-2].masked_fill(barred_BS, NEG_INF)
        reached_BS, step_BS = torch.stack([best_BS, one_BS, two_BS]).max(0)
        going_B1 = (t < lengths_B)[:, None]
        best_BS = torch.where(going_B1, reached_BS + emission_BS, best_BS)
        back.append(step_BS.where(going_B1, 0).to(torch.uint8))
    return best_BS, torch.stack(back) if back else label_BS[None][:0].to(torch.uint8)


def _frames(state_B: Tensor, back_TBS: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """First and last frame (B, L) of each token on the path that ends in `state_B`."""
    states = []
    for back_BS in reversed(back_TBS.unbind(0)):
        states.append(state_B)
        state_B = state_B - back_BS.gather(1, state_B[:, None])[:, 0].long()
    path_BT = torch.stack(states[::-1], 1) if states else state_B[:, None][:, :0]
    frame_BT = torch.arange(path_BT.shape[1], device=path_BT.device).expand_as(path_BT)
    token_BT = (path_BT // 2).where(path_BT % 2 == 1, width)  # blanks to a column of their own
    none_BL = frame_BT.new_zeros(len(path_BT), width + 1)
    first_BL = none_BL.scatter_reduce(1, token_BT, frame_BT, "amin", include_self=False)
    last_BL = none_BL.scatter_reduce(1, token_BT, frame_BT, "amax", include_self=False)
    return first_BL[:, :width], last_BL[:, :width]
