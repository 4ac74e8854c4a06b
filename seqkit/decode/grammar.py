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
    """The grammar of any number of the words, a `separator` between two; `empty`: also of no word."""
    return _grammar([words], vocab, separator, device, again=True, empty=empty)


def slots(
    sets: Sequence[Sequence[Word]], vocab: int, separator: int | None, device: torch.device | str = "cpu"
) -> Grammar:
    """The grammar of one word of each set in turn, a `separator` between two."""
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
    """The words of each place as a tree; what may be read at once in several of them is a set of their states, which is
    one state of the grammar (subset construction: Rabin and Scott 1959)."""
    if not sets or not all(sets):
        raise ValueError("`words` must hold at least one word for each place, got none")
    trees, after = _trees(sets, separator, again=again)
    start = frozenset([0])
    numbers, queue, edges = {start: 1}, [start], list[dict[int, int]]([{}])
    for states in queue:
        following: dict[int, set[int]] = {}
        for state in states:
            moves = list(trees[state].items())
            if state in after and separator is not None:
                moves += [(separator, place) for place in after[state]]
            elif state in after:
                moves += [move for place in after[state] for move in trees[place].items()]
            for token, target in moves:
                following.setdefault(token, set()).add(target)
        edge = {}
        for token, targets in following.items():
            found = frozenset(targets)
            if found not in numbers:
                numbers[found] = len(numbers) + 1
                queue.append(found)
            edge[token] = numbers[found]
        edges.append(edge)
    ends = {state for state, places in after.items() if again or not places}
    final = [number for states, number in numbers.items() if ends & states]
    edges[0] = edges[1]  # the beginning, where alone nothing may be said: not so after a separator
    return Grammar(edges, [0, *final] if empty else final, vocab, device)


def _trees(
    sets: Sequence[Sequence[Word]], separator: int | None, *, again: bool
) -> tuple[list[dict[int, int]], dict[int, list[int]]]:
    """The steps of the trees, from state 0 on, and for each end of a word where the next begins."""
    steps: list[dict[int, int]] = []
    after: dict[int, list[int]] = {}
    ends: list[int] = []
    for words in sets:
        root = len(steps)
        steps.append({})
        after |= {end: [root] for end in ends}
        ends = []
        for word in words:
            if not len(word) or separator in word:
                raise ValueError(f"`words` must be of tokens other than the separator, got {list(word)}")
            state = root
            for token in word:
                if token not in steps[state]:
                    steps[state][token] = len(steps)
                    steps.append({})
                state = steps[state][token]
            ends.append(state)
    after |= {end: [0] if again else [] for end in ends}
    return steps, after
