"""The common part of greedy search, beam search and sampling: options, hypotheses, one step of a batch of prefixes.

A model is anything with `initial_state` and `step`; a scorer adds to its log-probabilities (shallow fusion). Prefixes,
sums and finished hypotheses stay on the device; every few steps the host reads which sentences are closed and removes
them from the batch. The result of a sentence does not depend on the others of its batch.

Scores, in nats, where `total` is the log-probability plus all weighted bonuses and `length` counts EOS:
None     total
average  total / length
wu       total / ((5 + length) / 6) ** alpha    (Wu et al. 2016, arXiv:1609.08144, equation 14, left term)

B sentences, K hypotheses a sentence, N = B * K rows of the model's batch, V vocabulary, T tokens so far, C candidates,
G groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from seqkit.described import described
from seqkit.nn.memory import repeat, rows

LengthPenalty = Literal["average", "wu"]
NEG_INF = float("-inf")
GROUP = 64  # columns of which the maxima are compared first: an exact top-k that reads the vocabulary once
CHECK_EVERY = 8  # steps between two checks by the host on an accelerator; on a CPU a check costs nothing
LEAVE_SHARE = 1 / 8  # share of closed sentences from which a smaller copy of the batch is made


class Hypothesis(NamedTuple):
    """A decoded sentence; `len(tokens)` equals the maximum length exactly where that cut it."""

    tokens: list[int]  # without BOS and EOS
    logprob: float  # natural log, the model alone, EOS included
    score: float  # what the ranking used: bonuses and length penalty included


NOTHING = Hypothesis([], NEG_INF, NEG_INF)  # where the options allow no hypothesis


class Model(Protocol):
    """A decoder that can be searched: `memories` and states are nested tuples of tensors, the batch at dimension 0.

    With a true attribute `shares_memories`, `step` takes memories of fewer rows than tokens, each for as many
    neighboring tokens: a beam then keeps one copy of them a sentence.
    """

    def initial_state(self, memories: Any) -> Any:
        """The state before the first token."""

    def step(self, token_B: Tensor, memories: Any, state: Any) -> tuple[Tensor, tuple[Tensor, ...], Any]:
        """Logits (B, V), attention weights (B, S) a memory, and the next state."""


class Scorer(Protocol):
    """A scorer adds to the ranking, never to `logprob`; its state is a nested tuple of tensors, the batch first."""

    def initial_state(self, rows: int, device: torch.device) -> Any:
        """The state before the first token of `rows` prefixes."""

    def step(self, token_N: Tensor, weights: tuple[Tensor, ...], state: Any) -> tuple[Tensor, Any]:
        """From the previous token and the step's attention, bonuses (N, V), or (N, 1) for any token; the next state."""


@described
@dataclass(frozen=True, eq=False)
class Search:
    """The options of a search; plain values, checked when made."""

    beam: int = 5
    """Beam size: hypotheses kept open a sentence, and finished ones that close it."""
    max_len: int | Tensor = 100
    """Maximum number of steps, EOS counted; or int64 (B,), one a sentence. Hypotheses still open there are cut."""
    min_len: int = 0
    """Minimum number of tokens, EOS not counted."""
    length_penalty: LengthPenalty | None = None
    """Length normalization of scores; formulas in the module's docstring."""
    alpha: float = 0.6
    """Exponent of `wu`, at least 0; 0 is no penalty."""
    no_repeat_ngram: int = 0
    """No n-gram of this order occurs twice in a hypothesis; 0: no limit."""
    nbest: int = 1
    """Hypotheses returned a sentence, at most `beam`."""
    suppress_tokens: Sequence[int] = (0, 1)
    """Tokens never emitted: PAD and BOS; add UNK for outputs without unknown words."""
    bos: int = 1
    eos: int = 2

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise ValueError(f"`beam` must be at least 1, got {self.beam}")
        if not 1 <= self.nbest <= self.beam:
            raise ValueError(f"`nbest` must be from 1 to `beam` = {self.beam}, got {self.nbest}")
        if torch.as_tensor(self.max_len).min() < 1:
            raise ValueError(f"`max_len` must be at least 1, got {torch.as_tensor(self.max_len).min()}")
        if self.length_penalty not in (None, *get_args(LengthPenalty)):
            raise ValueError(f"`length_penalty` must be average, wu or None, got {self.length_penalty!r}")
        if self.alpha < 0:
            raise ValueError(f"`alpha` must be at least 0, got {self.alpha}")
        if self.eos in self.suppress_tokens:
            raise ValueError(f"`suppress_tokens` must not hold `eos` = {self.eos}, got {tuple(self.suppress_tokens)}")

    def score(self, total: Tensor, length: int | Tensor) -> Tensor:
        """The scores of hypotheses of `length` tokens, EOS counted, float64 if a tensor."""
        if self.length_penalty == "average":
            return total / length
        return total / ((5 + length) / 6) ** self.alpha if self.length_penalty == "wu" else total


class Prefixes(NamedTuple):
    """The prefixes of the hypotheses, a row each: tokens so far, states of model and scorers."""

    tokens_NT: Tensor  # BOS first
    state: Any
    scorers: tuple[Any, ...]  # the state of each


Scorers = Sequence[tuple[Scorer, float]]  # with their weights


def init_prefixes(
    model: Model, memories: Any, state: Any, search: Search, scorers: Scorers, copies: int
) -> tuple[Any, Prefixes, Tensor]:
    """Memories and initial prefixes of `copies` rows a sentence, side by side, and the maximum length of each row."""
    state = model.initial_state(memories) if state is None else state
    batch, device = rows((memories, state)), next(tensors((memories, state))).device
    max_len = torch.as_tensor(search.max_len, device=device)
    if max_len.shape not in ((), (batch,)):
        raise ValueError(f"`max_len` must be one number or one a sentence, ({batch},), got {tuple(max_len.shape)}")
    tokens_NT = torch.full((batch * copies, 1), search.bos, device=device)
    started = tuple(scorer.initial_state(batch * copies, device) for scorer, _ in scorers)
    prefixes = Prefixes(tokens_NT, repeat(state, copies), started)
    return repeat(memories, copies), prefixes, max_len.expand(batch).repeat_interleave(copies)


def tensors(tree: Any) -> Iterator[Tensor]:
    """Every tensor of nested tuples, in order."""
    if isinstance(tree, Tensor):
        yield tree
    else:
        for part in tree:
            yield from tensors(part)


def score_next_tokens(
    model: Model, memories: Any, prefixes: Prefixes, search: Search, scorers: Scorers
) -> tuple[Tensor, Tensor, Prefixes]:
    """One step: log-probabilities (N, V); the same plus bonuses, -inf for tokens not allowed; the new states.

    The softmax is over the whole vocabulary, tokens not allowed included.
    """
    token_N = prefixes.tokens_NT[:, -1]
    logits_NV, weights, state = model.step(token_N, memories, prefixes.state)
    logprob_NV = rank_NV = log_softmax(logits_NV)
    if logprob_NV.requires_grad:
        rank_NV = logprob_NV.clone()  # which `block` changes in place
    scored = []
    for (scorer, weight), before in zip(scorers, prefixes.scorers, strict=True):
        bonus_NV, after = scorer.step(token_N, weights, before)
        rank_NV = rank_NV + weight * bonus_NV.to(rank_NV.dtype)
        scored.append(after)
    block(rank_NV, prefixes.tokens_NT, search)
    return logprob_NV, rank_NV, Prefixes(prefixes.tokens_NT, state, tuple(scored))


def on_host(x: Tensor) -> bool:
    """Whether the host reads `x` without waiting for a device."""
    return x.device.type == "cpu"


def log_softmax(logits: Tensor) -> Tensor:
    """Over the last dimension, in float32 at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def block(rank_NV: Tensor, tokens_NT: Tensor, search: Search) -> None:
    """Set the tokens that are not allowed next to -inf, in place."""
    for token in search.suppress_tokens:
        rank_NV[:, token] = NEG_INF
    size = tokens_NT.shape[1]  # the next token's place, BOS counted
    if size <= search.min_len:
        rank_NV[:, search.eos] = NEG_INF
    n = search.no_repeat_ngram
    if 0 < n < size:
        grams_NTn = tokens_NT[:, 1:].unfold(1, n, 1)
        seen_NT = (grams_NTn[..., :-1] == tokens_NT[:, None, size - n + 1 :]).all(-1)
        barred_NT = torch.where(seen_NT, NEG_INF, -NEG_INF).to(rank_NV.dtype)
        rank_NV.scatter_reduce_(1, grams_NTn[..., -1], barred_NT, "amin")


def top(rank_NV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The values (N, C) and numbers (N, C) of the `count` best columns of each row, in the order of the columns.

    Of equal columns the lowest are taken. The best columns lie in the groups with the best maxima.
    """
    groups = rank_NV.shape[1] // GROUP
    if groups <= 2 * count:
        columns_NC = _best(rank_NV, count)
    else:
        maximum_NG = rank_NV[:, : groups * GROUP].view(-1, groups, GROUP).amax(-1)
        column_NCg = _best(maximum_NG, count)[..., None] * GROUP + torch.arange(GROUP, device=rank_NV.device)
        tail = torch.arange(groups * GROUP, rank_NV.shape[1], device=rank_NV.device)
        among_NM = torch.cat([column_NCg.flatten(1), tail.expand(len(rank_NV), -1)], 1)
        columns_NC = among_NM.gather(1, _best(rank_NV.gather(1, among_NM), count))
    return rank_NV.gather(1, columns_NC), columns_NC


def _best(value_NM: Tensor, count: int) -> Tensor:
    """The columns (N, C) of the `count` largest values, of equal ones the first, in ascending order."""
    size = value_NM.shape[1]
    count = min(count, size)
    value_NC, place_NC = value_NM.topk(min(count + 1, size), -1)
    least_N1 = value_NC[:, count - 1 : count]
    clear = on_host(value_NM) and bool((value_NC[:, count:] < least_N1).all())
    if not clear:  # or not known without waiting for the device
        above_NM, equal_NM = value_NM > least_N1, value_NM == least_N1
        free_N1 = count - above_NM.sum(1, keepdim=True)
        kept_NM = above_NM | (equal_NM & (equal_NM.cumsum(1) <= free_N1))
        place_NC = torch.where(kept_NM, torch.arange(size, device=kept_NM.device), -1).topk(count, -1).values
    return place_NC[:, :count].sort(-1).values


def split_closed(closed_B: Tensor, step: int, last: bool) -> tuple[Tensor, Tensor] | None:
    """The places of closed and of open sentences; None where it is not time to check or too few are closed."""
    if not last and not on_host(closed_B) and step % CHECK_EVERY:
        return None
    leave_N = closed_B.nonzero()[:, 0]
    if len(leave_N) < max(1.0, LEAVE_SHARE * len(closed_B)):
        return None
    return leave_N, (~closed_B).nonzero()[:, 0]
