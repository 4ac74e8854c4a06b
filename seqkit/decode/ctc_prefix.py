"""Joint CTC/attention decoding: CTC prefix probabilities as a scorer of the attention decoder's search.

Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition", section IV, algorithm 2.
The bonus of a token is the change of log p(the text begins with the prefix), that of EOS the change to log p(the text
is the prefix): the bonuses of a hypothesis sum to log p(text | frames).

B items, T frames, V vocabulary, N rows of the search.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.decode.ctc import BLANK
from seqkit.decode.search import log_softmax

NEVER = -1e30  # finite, so that differences of impossible prefixes are numbers


class PrefixState(NamedTuple):
    """The prefix of each row: log p of the paths over the frames up to each whose text is the prefix."""

    item_N: Tensor
    last_N: Tensor  # last token; BOS for the empty prefix
    logprob_N: Tensor  # that the text begins with the prefix
    label_NT: Tensor  # paths that end in its last token
    blank_NT: Tensor  # paths that end in the blank

    def entering(self, bos: int) -> tuple[Tensor, Tensor]:
        """log p (N, T) of the paths after which a next token, and a repeat of the last one, may begin at each frame."""
        empty_N1 = torch.where(self.last_N == bos, 0.0, NEVER)[:, None]
        total_NT = torch.logaddexp(self.label_NT, self.blank_NT)
        enter_NT, again_NT = (torch.cat([empty_N1, part_NT[:, :-1]], 1) for part_NT in (total_NT, self.blank_NT))
        return enter_NT, again_NT


class CtcPrefixScorer:
    """The CTC prefix scorer of logits (B, T, V) with lengths (B,); an item without frames scores 0.

    Each item has the same number of rows in the search, side by side.
    """

    def __init__(self, logits_BTV: Tensor, lengths_B: Tensor, *, bos: int = 1, eos: int = 2) -> None:
        logprob_BTV = log_softmax(logits_BTV)
        beyond_BT = torch.arange(logprob_BTV.shape[1], device=lengths_B.device) >= lengths_B[:, None]
        logprob_BTV = logprob_BTV.masked_fill(beyond_BT[..., None], NEVER)
        logprob_BTV[..., BLANK].masked_fill_(beyond_BT, 0.0)
        self.logprob_BTV, self.bos, self.eos, self.empty_B = logprob_BTV, bos, eos, lengths_B == 0

    def initial_state(self, rows: int, device: torch.device) -> PrefixState:
        """The empty prefix."""
        items = len(self.logprob_BTV)
        item_N = torch.arange(items, device=device).repeat_interleave(rows // items)
        blank_NT = self.logprob_BTV[item_N, :, BLANK].cumsum(1)
        last_N = torch.full_like(item_N, self.bos)
        return PrefixState(item_N, last_N, blank_NT.new_zeros(rows), torch.full_like(blank_NT, NEVER), blank_NT)

    def step(self, token_N: Tensor, weights: tuple[Tensor, ...], state: PrefixState) -> tuple[Tensor, PrefixState]:
        logprob_NTV = self.logprob_BTV[state.item_N]
        if not logprob_NTV.shape[1]:
            return logprob_NTV.sum(1), state
        grown = self.extend(token_N, logprob_NTV, state)
        begins_N = token_N == self.bos
        state = PrefixState(
            *(
                torch.where(begins_N.view(-1, *[1] * (new.ndim - 1)), old, new)
                for old, new in zip(state, grown, strict=True)
            )
        )
        enter_NT, again_NT = state.entering(self.bos)
        ahead_NV = (enter_NT[..., None] + logprob_NTV).logsumexp(1)
        ahead_NV.scatter_(1, state.last_N[:, None], (again_NT + own(logprob_NTV, state.last_N)).logsumexp(1)[:, None])
        ahead_NV[:, self.eos] = torch.logaddexp(state.label_NT, state.blank_NT)[:, -1]
        bonus_NV = ahead_NV.clamp(min=NEVER) - state.logprob_N[:, None]
        return bonus_NV.masked_fill(self.empty_B[state.item_N, None], 0.0), state

    def extend(self, token_N: Tensor, logprob_NTV: Tensor, state: PrefixState) -> PrefixState:
        """The prefixes with one more token."""
        enter_NT, again_NT = state.entering(self.bos)
        enter_NT = torch.where((token_N == state.last_N)[:, None], again_NT, enter_NT)
        own_NT, blank_frame_NT = own(logprob_NTV, token_N), logprob_NTV[..., BLANK]
        label_N = blank_N = torch.full_like(state.logprob_N, NEVER)
        labels, blanks = [], []
        for enter_N, own_N, blank_frame_N in zip(
            enter_NT.unbind(1), own_NT.unbind(1), blank_frame_NT.unbind(1), strict=True
        ):
            blank_N = torch.logaddexp(blank_N, label_N) + blank_frame_N
            label_N = torch.logaddexp(label_N, enter_N) + own_N
            labels.append(label_N)
            blanks.append(blank_N)
        logprob_N = (enter_NT + own_NT).logsumexp(1).clamp(min=NEVER)
        return PrefixState(state.item_N, token_N, logprob_N, torch.stack(labels, 1), torch.stack(blanks, 1))


def own(logprob_NTV: Tensor, token_N: Tensor) -> Tensor:
    """log p (N, T) of one token a row."""
    return logprob_NTV.gather(2, token_N[:, None, None].expand(-1, logprob_NTV.shape[1], 1))[..., 0]
