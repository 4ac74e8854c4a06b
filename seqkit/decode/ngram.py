"""N-gram language models with back-off, as arrays on disk and as tensors for batched queries.

    p(w | h) = that of the n-gram hw where the model has it, else backoff(h) p(w | h without its first word)

Every n-gram is a node of a trie, its parent the n-gram without the last word; node 0 is the empty one. Nodes are
numbered by order, then by (parent, word), so that a child is found in one sorted array of parent * V + word. A context
is a node, too: the longest suffix of the text read on which the model's predictions depend.
Symbols 0, 1, 2 are <unk>, <s> and </s>; <s> is read but never predicted. Logarithms are natural.

G nodes, E = G - 1 nodes but the first, N contexts asked about, V symbols, M any number of children.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNK, BOS, EOS = 0, 1, 2
SPECIALS = ("<unk>", "<s>", "</s>")
Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
NEVER = -99.0 * float(np.log(10))  # log p of <s>, as in ARPA files; finite, so that a weight of 0 cancels it


class Ngram(NamedTuple):
    """An n-gram model with back-off; its arrays may be memory-mapped."""

    symbols: tuple[str, ...]
    bounds: tuple[int, ...]  # first node of each order from 0 on, and G
    key_E: Ints  # int64; parent * V + word
    logprob_G: Floats  # float32; of the last word after the others
    backoff_G: Floats  # float32
    suffix_G: Ints  # int32; the longest proper suffix that is an n-gram of the model
    context_G: Ints  # int32; the context after this n-gram

    @property
    def order(self) -> int:
        return len(self.bounds) - 2

    def child(self, node: Ints, word: Ints) -> NDArray[np.int64]:
        """The child of each node by each word, -1 where the model has none."""
        key = node.astype(np.int64) * len(self.symbols) + word
        place = np.searchsorted(self.key_E, key)
        found = self.key_E[np.minimum(place, len(self.key_E) - 1)] == key
        return np.where(found & (node >= 0), place + 1, -1)


def contexts(key_E: Ints, bounds: Sequence[int], backoff_G: Floats, suffix_G: Ints, vocab: int) -> Ints:
    """`context_G`: the node itself where it has children or a back-off weight, else the context of its suffix."""
    context_G = np.arange(bounds[-1], dtype=np.int32)
    tells_G = backoff_G != 0
    tells_G[key_E // vocab] = True
    tells_G[bounds[-2] :] = False
    for first, end in zip(bounds[1:], bounds[2:], strict=False):
        own = slice(first, end)
        context_G[own] = np.where(tells_G[own], context_G[own], context_G[suffix_G[own]])
    return context_G


class NgramTables:
    """An n-gram model on a device, for queries of many contexts at once."""

    def __init__(self, model: Ngram, device: torch.device | str = "cpu") -> None:
        self.order, self.vocab, self.bounds = model.order, len(model.symbols), model.bounds
        arrays = (torch.from_numpy(array) for array in model[2:])
        self.key_E, self.logprob_G, self.backoff_G, self.suffix_G, self.context_G = (t.to(device) for t in arrays)

    def follow(self, node_N: Tensor, word_N: Tensor) -> tuple[Tensor, Tensor]:
        """log p of each word after its context (N,), and the next contexts (N,)."""
        done_N, total_N = torch.zeros_like(node_N, dtype=torch.bool), self.backoff_G.new_zeros(len(node_N))
        after_N = torch.zeros_like(node_N)
        for _ in range(self.order):
            key_N = node_N * self.vocab + word_N
            place_N = torch.searchsorted(self.key_E, key_N)
            hit_N = (self.key_E[place_N.clamp(max=len(self.key_E) - 1)] == key_N) & ~done_N
            child_N = (place_N + 1).where(hit_N, 0)
            step_N = torch.where(hit_N, self.logprob_G[child_N], self.backoff_G[node_N])
            total_N = total_N + step_N.masked_fill(done_N, 0.0)
            after_N = torch.where(hit_N, self.context_G[child_N].long(), after_N)
            done_N = done_N | hit_N
            node_N = self.suffix_G[node_N].long()
        return total_N, after_N

    def rows(self, node_N: Tensor) -> Tensor:
        """log p of every word after each context (N, V)."""
        chain = [node_N]
        while len(chain) < self.order:
            chain.append(self.suffix_G[chain[-1]].long())
        row_NV = self.logprob_G[1 : self.vocab + 1].repeat(len(node_N), 1)
        for node_M in reversed(chain):
            row_NV += self.backoff_G[node_M][:, None]
            owner_M, child_M, word_M = self.children(node_M)
            row_NV[owner_M, word_M] = self.logprob_G[child_M]
        return row_NV

    def children(self, node_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All children of the nodes but the empty one: the place of the parent, the child and its word, each (M,)."""
        first_N = torch.searchsorted(self.key_E, node_N * self.vocab)
        count_N = torch.searchsorted(self.key_E, (node_N + 1) * self.vocab) - first_N
        count_N = count_N.masked_fill(node_N == 0, 0)
        owner_M = torch.arange(len(node_N), device=node_N.device).repeat_interleave(count_N)
        before_N = count_N.cumsum(0) - count_N
        place_M = torch.arange(len(owner_M), device=node_N.device) + (first_N - before_N)[owner_M]
        return owner_M, place_M + 1, self.key_E[place_M] % self.vocab
