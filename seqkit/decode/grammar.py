"""Grammars as scorers: constrained decoding over a finite automaton.

A `Grammar` is a deterministic automaton over tokens: tokens allowed next add 0, all others -inf. `lexicon` accepts any
sequence of words of a list, `slots` one word of each of several sets, such as the six of a command sentence. The
scorer's weight must be positive, as 0 times -inf is not a number.

N rows, S states, V tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Word = Sequence[int]  # tokens


class Grammar:
    """A scorer that allows the sentences of a deterministic finite automaton.

    `edges` maps, for each state, tokens to next states; state 0 is the initial state, `final` are the accepting ones.
    Raises ValueError for an edge to an unknown state or with a token outside `vocab`.
    """

    def __init__(
        self,
        edges: Sequence[dict[int, int]],
        final: Sequence[int],
        vocab: int,
        device: torch.device | str = "cpu",
        *,
        bos: int = 1,
        eos: int = 2,
    ) -> None:
        self.before, dead, self.eos = len(edges), len(edges) + 1, eos
        next_SV = torch.full((len(edges) + 2, vocab), dead, dtype=torch.int32)
        rows = [(state, *edge) for state, following in enumerate(edges) for edge in following.items()]
        source, token, target = torch.tensor(rows, dtype=torch.int64).view(-1, 3).unbind(1)
        for name, found, end in (("token", token, vocab), ("state", target, len(edges))):
            if len(found) and not 0 <= int(found.min()) <= int(found.max()) < end:
                raise ValueError(
                    f"`edges` must lead by a {name} from 0 to {end - 1}, got {int(found.min())} to {int(found.max())}"
                )
        next_SV[source, token] = target.int()
        next_SV[self.before, bos] = 0
        bonus_SV = torch.zeros_like(next_SV, dtype=torch.float32).masked_fill(next_SV == dead, float("-inf"))
        bonus_SV[list(final), eos] = 0.0
        self.next_SV, self.bonus_SV = next_SV.to(device), bonus_SV.to(device)

    def initial_state(self, rows: int, device: torch.device) -> tuple[Tensor]:
        return (torch.full((rows,), self.before, device=device),)

    def step(self, token_N: Tensor, weights: tuple[Tensor, ...], state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        state_N = self.next_SV[state[0], token_N].long()
        return self.bonus_SV[state_N], (state_N,)

    def accepts(self, tokens: Sequence[int]) -> bool:
        """Whether the automaton accepts the tokens, BOS and EOS left out."""
        state = 0
        for token in tokens:
            state = int(self.next_SV[state, token])
        return bool(self.bonus_SV[state, self.eos] == 0)


def lexicon(
    words: Sequence[Word], vocab: int, separator: int | None, device: torch.device | str = "cpu", *, empty: bool = True
) -> Grammar:
    """The grammar of any number of the words, a `separator` between two; `empty`: also of no word.

    Without separator no word may be a prefix of another; raises ValueError where one is.
    """
    return _grammar([words], vocab, separator, device, again=True, empty=empty)


def slots(
    sets: Sequence[Sequence[Word]], vocab: int, separator: int | None, device: torch.device | str = "cpu"
) -> Grammar:
    """The grammar of one word of each set in turn, a `separator` between two; conditions as in `lexicon`."""
    return _grammar(sets, vocab, separator, device, again=False, empty=False)


def _grammar(
    sets: Sequence[Sequence[Word]],
    vocab: int,
    separator: int | None,
    device: torch.device | str,
    *,
    again: bool,
    empty: bool,
) -> Grammar:
    if not sets or not all(sets):
        raise ValueError("`words` must hold at least one word for each place, got none")
    edges: list[dict[int, int]] = [{}]
    root, ends = 0, []
    for words in sets:
        # Where the next word begins; words may follow it at once where they are the same, but nothing ends there.
        following = len(edges)
        edges.append(edges[root] if again else {})
        ends = [_add(edges, root, word, separator, following) for word in words]
        for end in ends:
            if separator is not None:
                edges[end][separator] = following
        root = following
    if separator is not None and not again:
        for end in ends:  # nothing comes after the last word
            edges[end].pop(separator, None)
    return Grammar(edges, sorted({*ends, 0} if empty else {*ends}), vocab, device)


def _add(edges: list[dict[int, int]], root: int, word: Word, separator: int | None, following: int) -> int:
    """Add a word from state `root` on; returns the state at its end."""
    if not len(word) or separator in word:
        raise ValueError(f"`words` must be of tokens other than the separator, got {list(word)}")
    state = root
    for place, token in enumerate(word, 1):
        after = edges[state].get(token)
        if after is None:
            after = len(edges)
            if separator is None and place == len(word):
                after = following
            else:
                edges.append({})
            edges[state][token] = after
        if separator is None and (after == following) != (place == len(word)):
            raise ValueError(f"`words` must not begin one another without a separator, got {list(word)} among them")
        state = after
    return state
