"""Hot words as a scorer: shallow fusion with the words that an output is likely to hold, such as names.

Contextual biasing (Zhao et al. 2019, "Shallow-Fusion End-to-End Contextual Biasing", Interspeech, section 2.2): every
letter of a hot word is rewarded as it is written, so that the word stays in the beam, and all of it is taken back where
the word is not completed. The bonuses of a finished hypothesis sum to the letters of the hot words that it holds as
whole words, overlapping ones too: with the weight w the search ranks by log p + w * letters.

The automaton of Aho and Corasick 1975 reads the characters that tokens add to the text, so that words of any tokens are
found. A character is a letter (also digits and marks) that some hot word has, another letter, or a boundary, which
begins and ends words; so do the beginning and the end of the text.

N rows, V tokens, S states, C classes of characters, P places of a character within its token.
"""

import unicodedata
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

OTHER, BOUNDARY = 0, 1  # classes of characters; those of the hot words follow
MOST = 1 << 26  # states times tokens of the table
Pattern = tuple[int, ...]


class HotWords:
    """A scorer that rewards hot words, 1 a letter; `texts` are the characters that each token adds to the text, with a
    space where it begins a word, nothing for special tokens.

    Words may be phrases; a space in them is any boundary. `inside`: those of `words` that count within other words too,
    for scripts that put no spaces between them. Raises ValueError for a word without a letter, and for more words than
    a table of states and tokens can hold.
    """

    def __init__(
        self,
        words: Sequence[str],
        texts: Sequence[str],
        device: torch.device | str = "cpu",
        *,
        inside: Collection[str] = (),
        eos: int = 2,
    ) -> None:
        letters = sorted({c for word in words for c in word if is_letter(c)})
        classes = {letter: number for number, letter in enumerate(letters, BOUNDARY + 1)}
        patterns = {as_pattern(word, classes, whole=word not in inside) for word in words}
        automaton = _Automaton(sorted(patterns), len(classes) + 2)
        states = len(automaton.held_S)
        if states * len(texts) > MOST:
            raise ValueError(f"`words` must have at most {MOST // len(texts):,} letters in all, got {states:,}")
        ends = [" " if token == eos else text for token, text in enumerate(texts)]
        self.next_SV, self.bonus_SV = (t.to(device) for t in automaton.table(ends, classes))
        self.bonus_SV[:, eos] -= automaton.held_S.to(device)[self.next_SV[:, eos].long()]  # nothing comes after the end
        self.first = automaton.first

    def initial_state(self, rows: int, device: torch.device) -> tuple[Tensor]:
        """The beginning of the text, a boundary."""
        return (torch.full((rows,), self.first, device=device),)

    def step(self, token_N: Tensor, weights: tuple[Tensor, ...], state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        state_N = self.next_SV[state[0], token_N].long()
        return self.bonus_SV[state_N].float(), (state_N,)


def is_letter(character: str) -> bool:
    """Whether a character is part of words: a letter, a digit, or a mark on one."""
    return unicodedata.category(character)[0] in "LNM"


def as_pattern(word: str, classes: dict[str, int], *, whole: bool) -> Pattern:
    """The classes of a word's characters, between boundaries where it counts as a whole word alone."""
    found: list[int] = []
    for character in word:
        number = classes.get(character, BOUNDARY)
        if number != BOUNDARY or found[-1:] not in ([], [BOUNDARY]):
            found.append(number)
    while found[-1:] == [BOUNDARY]:
        found.pop()
    if not found:
        raise ValueError(f"`words` must have letters, got {word!r}")
    return (BOUNDARY, *found, BOUNDARY) if whole else tuple(found)


class _Automaton:
    """States are beginnings of patterns: the longest that ends the text so far. `held_S`: letters that a state has been
    rewarded for and that are taken back unless its pattern is completed. `gained_S`: letters of the patterns that are
    complete in it. `next_SC`: the next states."""

    def __init__(self, patterns: Sequence[Pattern], classes: int) -> None:
        steps: list[dict[int, int]] = [{}]
        held, gained = [0], [0]
        for pattern in patterns:
            state, lead = 0, int(pattern[0] == BOUNDARY)
            for place, number in enumerate(pattern, 1):
                if number not in steps[state]:
                    steps[state][number] = len(steps)
                    steps.append({})
                    held.append(place - lead)
                    gained.append(0)
                state = steps[state][number]
            gained[state] += len(pattern) - 2 * lead
        self.next_SC = torch.zeros(len(steps), classes, dtype=torch.int64)
        self.gained_S = torch.tensor(gained)
        back = [0] * len(steps)  # the longest shorter beginning that ends the text, too
        queue = [0]
        for state in queue:  # by length
            for number, after in steps[state].items():
                back[after] = int(self.next_SC[back[state], number]) if state else 0
                queue.append(after)
            self.next_SC[state] = self.next_SC[back[state]] if state else 0
            for number, after in steps[state].items():
                self.next_SC[state, number] = after
            self.gained_S[state] += self.gained_S[back[state]] if state else 0
            if not steps[state]:
                held[state] = held[back[state]]  # the pattern is complete
        self.held_S = torch.tensor(held)
        self.first = steps[0].get(BOUNDARY, 0)

    def table(self, texts: Sequence[str], classes: dict[str, int]) -> tuple[Tensor, Tensor]:
        """The state after each token (S, V), and the bonus of it (S, V)."""
        longest = max(map(len, texts))
        numbers = [[classes.get(c, OTHER if is_letter(c) else BOUNDARY) for c in text] for text in texts]
        number_VP = torch.tensor([[*row, *[-1] * (longest - len(row))] for row in numbers]).view(len(texts), longest)
        state_SV = torch.arange(len(self.held_S))[:, None].expand(-1, len(texts))
        gained_SV = torch.zeros_like(state_SV)
        for number_V in number_VP.unbind(1):
            after_SV = self.next_SC[state_SV, number_V.clamp(min=0)]
            gained_SV = gained_SV + self.gained_S[after_SV].masked_fill(number_V < 0, 0)
            state_SV = torch.where(number_V < 0, state_SV, after_SV)
        bonus_SV = gained_SV + self.held_S[state_SV] - self.held_S[:, None]
        return state_SV.int(), bonus_SV.to(torch.int16)
