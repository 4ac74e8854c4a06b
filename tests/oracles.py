"""Slow plain references, and two stand-in models to search with.

B batch, S source positions, H hidden, V vocabulary, R rows of a table.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from seqkit.decode import Hypothesis, Search
from seqkit.nn.memory import repeat

NextTokens = Callable[[list[int]], tuple[Tensor, Tensor]]  # a prefix to log-probabilities (V,) and bonuses (V,)


class Source(NamedTuple):
    """What the stand-ins attend to."""

    values_BSH: Tensor
    mask_BS: Tensor


def source(batch: int, width: int, *, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Source]:
    """Random memory of unequal lengths, noise in the padding."""
    generator = torch.Generator().manual_seed(seed)
    values_BSH = torch.randn(batch, 5, width, generator=generator, dtype=torch.float64).to(dtype)
    lengths_B = torch.randint(1, 6, (batch,), generator=generator)
    return (Source(values_BSH, torch.arange(5) < lengths_B[:, None]),)


class Table:
    """Logits and attention looked up by a code of the whole prefix: rows never share an arithmetic operation."""

    def __init__(self, vocab: int, *, seed: int, sharpness: float = 1.5) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.logits_RV = sharpness * torch.randn(997, vocab, generator=generator, dtype=torch.float64)
        self.attention_RS = torch.randn(997, 5, generator=generator, dtype=torch.float64)
        self.rows_seen: list[int] = []

    def initial_state(self, memories: Any) -> tuple[Tensor]:
        if not memories:
            return (torch.ones(1, dtype=torch.int64),)
        return ((memories[0].values_BSH[:, 0, 0] * 1e6).long().remainder(997),)

    def step(self, token_B: Tensor, memories: Any, state: Any) -> tuple[Tensor, tuple[Tensor, ...], Any]:
        self.rows_seen.append(len(token_B))
        code_B = (state[0] * 31 + token_B * 7 + 3) % 997
        if not memories:
            return self.logits_RV[code_B], (), (code_B,)
        weights_BS = self.attention_RS[code_B].masked_fill(~memories[0].mask_BS, -torch.inf).softmax(-1)
        return self.logits_RV[code_B], (weights_BS,), (code_B,)


class Recurrent(nn.Module):
    """A small GRU with dot attention."""

    def __init__(self, vocab: int, width: int, *, seed: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(vocab, width, dtype=dtype)
            self.cell = nn.GRUCell(2 * width, width, dtype=dtype)
            self.output = nn.Linear(width, vocab, dtype=dtype)
        self.output.weight.data *= 6

    def initial_state(self, memories: Any) -> tuple[Tensor, Tensor]:
        first_BH = memories[0].values_BSH[:, 0]
        return first_BH.tanh(), torch.zeros_like(first_BH)

    def step(self, token_B: Tensor, memories: Any, state: Any) -> tuple[Tensor, tuple[Tensor, ...], Any]:
        values_BSH, mask_BS = memories[0]
        h_BH = self.cell(torch.cat([self.embedding(token_B), state[1]], -1), state[0])
        weights_BS = (values_BSH * h_BH[:, None]).sum(-1).masked_fill(~mask_BS, -torch.inf).softmax(-1)
        context_BH = (weights_BS[..., None] * values_BSH).sum(1)
        return self.output(h_BH + context_BH), (weights_BS,), (h_BH, context_BH)


def next_tokens(model: Any, memories: Any, search: Search, scorers: Any = ()) -> NextTokens:
    """Runs the model and the scorers over the whole prefix of one sentence, from the start, for every question."""

    def ask(prefix: list[int]) -> tuple[Tensor, Tensor]:
        state = model.initial_state(memories)
        scored = [scorer.initial_state(1, torch.device("cpu")) for scorer, _ in scorers]
        for token in [search.bos, *prefix]:
            token_B = torch.tensor([token])
            logits_BV, weights, state = model.step(token_B, memories, state)
            bonus_V = torch.zeros(logits_BV.shape[1], dtype=torch.float64)
            for i, (scorer, weight) in enumerate(scorers):
                bonus_BV, scored[i] = scorer.step(token_B, weights, scored[i])
                bonus_V = bonus_V + weight * bonus_BV[0].double()
        return logits_BV[0].detach().double().log_softmax(-1), bonus_V

    return ask


def allowed(prefix: list[int], token: int, search: Search) -> bool:
    """Whether `token` may follow `prefix`."""
    if token in search.suppress_tokens or (token == search.eos and len(prefix) < search.min_len):
        return False
    n, longer = search.no_repeat_ngram, [*prefix, token]
    grams = [tuple(longer[i : i + n]) for i in range(len(longer) - n + 1)]
    return n == 0 or token == search.eos or len(set(grams)) == len(grams)


def penalized(total: float, length: int, search: Search) -> float:
    """The score of `length` tokens, EOS counted."""
    wu = ((5 + length) / 6) ** search.alpha
    return total / {None: 1.0, "average": float(length), "wu": wu}[search.length_penalty]


def slow_beam(ask: NextTokens, search: Search, max_len: int) -> list[Hypothesis]:
    """Beam search of one sentence with lists."""
    open_: list[tuple[float, float, list[int]]] = [(0.0, 0.0, [])]
    pool: list[Hypothesis] = []
    for length in range(1, max_len + 1):
        candidates = []
        for total, logprob, prefix in open_:
            logprob_V, bonus_V = (t.tolist() for t in ask(prefix))
            for token in range(len(logprob_V)):
                if allowed(prefix, token, search):
                    gain = logprob_V[token]
                    candidates.append((total + gain + bonus_V[token], logprob + gain, [*prefix, token]))
        candidates.sort(key=lambda candidate: -candidate[0])
        ended = [c for c in candidates[: search.beam] if c[2][-1] == search.eos]
        open_ = [c for c in candidates if c[2][-1] != search.eos][: search.beam]
        pool += [Hypothesis(ids[:-1], logprob, penalized(total, length, search)) for total, logprob, ids in ended]
        if length == max_len:
            pool += [Hypothesis(ids, logprob, penalized(total, length, search)) for total, logprob, ids in open_]
        if len(pool) >= search.beam or not open_:
            break
    return sorted(pool, key=lambda hypothesis: -hypothesis.score)[: search.nbest]


def every_sentence(ask: NextTokens, search: Search, vocab: int, max_len: int) -> Iterator[Hypothesis]:
    """All that can be said in at most `max_len` steps, the cut ones too."""
    words = [token for token in range(vocab) if token != search.eos]
    for size in range(max_len + 1):
        for words_of in itertools.product(words, repeat=size):
            ids = list(words_of) + [search.eos] * (size < max_len)
            if all(allowed(ids[:i], token, search) for i, token in enumerate(ids)):
                steps = [ask(ids[:i]) for i in range(len(ids))]
                logprob = sum(float(step[0][token]) for step, token in zip(steps, ids, strict=True))
                total = logprob + sum(float(step[1][token]) for step, token in zip(steps, ids, strict=True))
                yield Hypothesis(list(words_of), logprob, penalized(total, len(ids), search))


def one(tree: Any, row: int) -> Any:
    """One sentence of a batch of memories."""
    return repeat(tuple(type(part)(*(t[row : row + 1] for t in part)) for part in tree), 1)


def assert_same(found: list[Hypothesis], expected: list[Hypothesis], tolerance: float = 1e-9) -> None:
    """The same tokens, and the same numbers to `tolerance`."""
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    for a, b in zip(found, expected, strict=True):
        assert (a.logprob, a.score) == pytest.approx((b.logprob, b.score), abs=tolerance)
