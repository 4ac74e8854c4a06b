"""N-gram language models as scorers of a beam search, over the same or another vocabulary.

`NgramScorer` and `LanguageModel` (scorer.py, recurrent) have their own vocabularies; `MappedScorer` translates the
tokens of the search. `WordScorer` scores a search over characters with an n-gram model of words (Hannun et al. 2014,
arXiv:1408.2873: a word is scored with the space after it).

N rows, V tokens of the search, W symbols of the language model, C contexts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seqkit.decode.ngram import BOS, EOS, SPECIALS, UNK, Ngram, NgramTables
from seqkit.decode.search import Scorer

DENSE = 1 << 24  # contexts times symbols up to which a dense table is made


def match_symbols(tokens: Sequence[str], symbols: Sequence[str], unknown: int = UNK) -> tuple[Tensor, list[str]]:
    """The symbol number of every token of a search (V,), `unknown` where there is none, and the tokens without one.

    <s>, </s> and <unk> have the same names on both sides; <pad> needs no symbol.
    """
    ids = {symbol: place for place, symbol in enumerate(symbols)}
    lacking = [token for token in tokens if token not in ids and token != "<pad>"]
    return torch.tensor([ids.get(token, unknown) for token in tokens]), lacking


class MappedScorer:
    """A scorer over another vocabulary: token v of the search is symbol `symbol_V[v]` of `scorer`."""

    def __init__(self, scorer: Scorer, symbol_V: Tensor) -> None:
        self.scorer, self.symbol_V = scorer, symbol_V

    def initial_state(self, rows: int, device: torch.device) -> Any:
        return self.scorer.initial_state(rows, device)

    def step(self, token_N: Tensor, weights: tuple[Tensor, ...], state: Any) -> tuple[Tensor, Any]:
        bonus_NW, state = self.scorer.step(self.symbol_V[token_N], weights, state)
        return (bonus_NW if bonus_NW.shape[1] == 1 else bonus_NW.index_select(1, self.symbol_V)), state


class NgramScorer:
    """The log-probabilities of an n-gram model, from a dense table where it has at most `dense` entries."""

    def __init__(self, model: Ngram, device: torch.device | str = "cpu", *, dense: int = DENSE) -> None:
        self.tables = NgramTables(model, device)
        contexts = torch.unique(self.tables.context_G).long()
        self.table = dense_table(self.tables, contexts) if len(contexts) * self.tables.vocab <= dense else None

    def initial_state(self, rows: int, device: torch.device) -> tuple[Tensor]:
        """The empty context, before <s>."""
        return (torch.zeros(rows, dtype=torch.int64, device=device),)

    def step(self, token_N: Tensor, weights: tuple[Tensor, ...], state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        if self.table is not None:
            logprob_CW, after_CW = self.table
            context_N = after_CW[state[0], token_N].long()
            return logprob_CW[context_N], (context_N,)
        node_N = self.tables.follow(state[0], token_N)[1]
        return self.tables.rows(node_N), (node_N,)


def dense_table(tables: NgramTables, node_C: Tensor) -> tuple[Tensor, Tensor]:
    """log p of every symbol after every context, and the next contexts, (C, W) each; contexts by rank in `node_C`.

    Shorter contexts come first, so that the row to back off to is there when that of a longer one is made.
    """
    root_CW = tables.logprob_G.new_zeros(len(node_C), tables.vocab)
    logprob_CW, after_CW = root_CW, torch.zeros_like(root_CW, dtype=torch.int32)
    rank_G = torch.zeros(tables.bounds[-1], dtype=torch.int32, device=node_C.device)
    rank_G[node_C] = torch.arange(len(node_C), dtype=torch.int32, device=node_C.device)
    logprob_CW[0] = tables.logprob_G[1 : tables.vocab + 1]
    after_CW[0] = rank_G[tables.context_G[1 : tables.vocab + 1].long()]
    edges = torch.searchsorted(node_C, torch.tensor(tables.bounds[1:], device=node_C.device)).tolist()
    for first, end in zip(edges, edges[1:], strict=False):
        own_C = node_C[first:end]
        shorter_C = rank_G[tables.context_G[tables.suffix_G[own_C].long()].long()].long()
        owner_M, child_M, word_M = tables.children(own_C)
        row_CW = logprob_CW[shorter_C] + tables.backoff_G[own_C][:, None]
        row_CW[owner_M, word_M] = tables.logprob_G[child_M]
        next_CW = after_CW[shorter_C]
        next_CW[owner_M, word_M] = rank_G[tables.context_G[child_M].long()]
        logprob_CW[first:end], after_CW[first:end] = row_CW, next_CW
    return logprob_CW, after_CW


class WordScorer:
    """The log-probabilities of words by an n-gram model, in a search over characters.

    A word is scored with the `separator` or the end after it; an unknown word scores as <unk> plus `unknown` (natural
    logarithm, at most 0) for each of its characters. `tokens` are the characters of the search. A separator at the
    beginning or after another is not allowed: it adds -inf, so the scorer's weight must be positive; one at the end
    costs nothing.
    """

    def __init__(
        self,
        model: Ngram,
        tokens: Sequence[str],
        device: torch.device | str = "cpu",
        *,
        separator: str = " ",
        unknown: float = 0.0,
        bos: int = 1,
        eos: int = 2,
    ) -> None:
        if separator not in tokens:
            raise ValueError(f"`separator` must be one of the tokens, got {separator!r}")
        self.tables, self.unknown, self.bos, self.eos = NgramTables(model, device), unknown, bos, eos
        self.vocab, self.separator = len(tokens), list(tokens).index(separator)
        ids = {token: place for place, token in enumerate(tokens)}
        words = {
            place: [ids.get(char, -1) for char in word]
            for place, word in enumerate(model.symbols)
            if word not in SPECIALS
        }
        self.next_SV, self.word_S = (t.to(device) for t in build_trie(words, self.vocab))
        first_N = torch.zeros(1, dtype=torch.int64, device=device)
        self.first = self.tables.follow(first_N, torch.full_like(first_N, BOS))[1]

    def initial_state(self, rows: int, device: torch.device) -> tuple[Tensor, ...]:
        """Word context, context after the current word, trie state of its letters, and their number."""
        nothing_N = torch.zeros(rows, dtype=torch.int64, device=device)
        return nothing_N, nothing_N, nothing_N, nothing_N

    def step(
        self, token_N: Tensor, weights: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        context_N, after_N, letters_N, count_N = state
        begins_N, ends_N = token_N == self.bos, token_N == self.separator
        context_N = torch.where(begins_N, self.first, torch.where(ends_N, after_N, context_N))
        letters_N = self.next_SV[letters_N, token_N].long().masked_fill(begins_N | ends_N, 0)
        count_N = (count_N + 1).masked_fill(begins_N | ends_N, 0)
        reading_N, word_N = count_N > 0, self.word_S[letters_N]
        logprob_N, after_N = self.tables.follow(context_N, word_N)
        logprob_N = (logprob_N + self.unknown * count_N * (word_N == UNK)).where(reading_N, 0.0)
        after_N = torch.where(reading_N, after_N, context_N)
        bonus_NV = logprob_N.new_zeros(len(token_N), self.vocab)
        bonus_NV[:, self.separator] = logprob_N.where(reading_N, float("-inf"))
        bonus_NV[:, self.eos] = logprob_N + self.tables.follow(after_N, torch.full_like(after_N, EOS))[0]
        return bonus_NV, (context_N, after_N, letters_N, count_N)


def build_trie(words: Mapping[int, Sequence[int]], vocab: int) -> tuple[Tensor, Tensor]:
    """The prefix tree (trie) of the words: the state after each letter (S, V), and the word of each state (S,).

    State 0 is the empty word; the last state is that of letters that begin no word. A state without word has UNK.
    """
    steps: list[dict[int, int]] = [{}]
    spelled = {}
    for word, letters in words.items():
        state = 0
        for letter in letters:
            if letter not in steps[state]:
                steps[state][letter] = len(steps)
                steps.append({})
            state = steps[state][letter]
        if -1 not in letters:
            spelled[state] = word
    next_SV = torch.full((len(steps) + 1, vocab), len(steps), dtype=torch.int32)
    for state, following in enumerate(steps):
        for letter, after in following.items():
            if letter >= 0:
                next_SV[state, letter] = after
    word_S = torch.full((len(steps) + 1,), UNK)
    for state, word in spelled.items():
        word_S[state] = word
    return next_SV, word_S
