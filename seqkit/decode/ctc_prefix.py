"""CTC prefix probabilities: as a scorer of the attention decoder's search (joint decoding), and of a text's tokens.

Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition", section IV, algorithm 2.
The bonus of a token is the change of log p(the text begins with the prefix), that of EOS the change to log p(the text
is the prefix): the bonuses of a hypothesis sum to log p(text | frames).

B items, T frames, V vocabulary, N rows of the search, L tokens of a text, S = 2L + 1 states with a blank around each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.decode.ctc import BLANK
from seqkit.decode.search import NEG_INF, log_softmax

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


@torch.inference_mode()
def ctc_token_logprobs(logits_BTV: Tensor, lengths_B: Tensor, texts: Sequence[Sequence[int]]) -> list[list[float]]:
    """The log-probability of each token of one text an item given those before it, and last that of the end.

    That of token k is log p(the text begins with k tokens) - log p(it begins with k - 1), each summed over all paths
    (Graves 2008, "Supervised sequence labelling with recurrent neural networks", section 7.5.1): what the bonuses of
    `CtcPrefixScorer` are. They sum to log p(text | frames). Minus infinity where no path has the text.
    """
    width = max(map(len, texts), default=0)
    padded = [[*text, *[BLANK] * (width - len(text))] for text in texts]
    text_BL = torch.tensor(padded, dtype=torch.int64, device=logits_BTV.device).view(len(texts), width)
    label_BS = text_BL.new_full((len(texts), 2 * width + 1), BLANK)
    label_BS[:, 1::2] = text_BL
    logprob_BTV = log_softmax(logits_BTV.double())
    emission_BTS = logprob_BTV.gather(2, label_BS[:, None].expand(-1, logprob_BTV.shape[1], -1))
    again_BS = label_BS == torch.nn.functional.pad(label_BS, (2, 0))[:, :-2]  # a repeat needs the blank between
    total_BS = emission_BTS.new_full(label_BS.shape, NEG_INF)
    total_BS[:, 0] = 0.0  # before the first frame: no token yet
    begins_BS = torch.full_like(total_BS, NEG_INF)
    for t, emission_BS in enumerate(emission_BTS.unbind(1)):
        one_BS = torch.nn.functional.pad(total_BS, (1, 0), value=NEG_INF)[:, :-1]
        two_BS = torch.nn.functional.pad(total_BS, (2, 0), value=NEG_INF)[:, :-2].masked_fill(again_BS, NEG_INF)
        enters_BS, real_B1 = torch.logaddexp(one_BS, two_BS), (t < lengths_B)[:, None]
        begins_BS = torch.logaddexp(begins_BS, enters_BS + emission_BS).where(real_B1, begins_BS)
        total_BS = (torch.logaddexp(total_BS, enters_BS) + emission_BS).where(real_B1, total_BS)
    rows = []
    for text, begins, total in zip(texts, begins_BS[:, 1::2].tolist(), total_BS.tolist(), strict=True):
        last, size = 2 * len(text), len(text)
        ends = [total[last], total[last - 1] if size else NEG_INF]  # in the blank, or in the last token
        whole = float(torch.tensor(ends, dtype=torch.float64).logsumexp(0))
        known = [0.0, *begins[:size], whole]
        pairs = zip(known, known[1:], strict=False)
        rows.append([after - before if after > NEG_INF else NEG_INF for before, after in pairs])
    return rows
