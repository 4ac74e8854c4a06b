"""Closed sets: what a grammar accepts, and that both beams say nothing else."""

import itertools
from typing import Any

import pytest
import torch

from seqkit.decode import Grammar, Search, beam, greedy, lexicon, prefix_beam, slots
from tests.oracles import Table, source

VOCAB, SPACE = 9, 3  # letters 4 to 8
WORDS = [(4,), (4, 5), (6, 6), (7, 4, 5)]
SETS = [[(4,), (5, 6)], [(4, 4), (7,)], [(8,), (8, 8)]]


def texts(longest: int, letters: Any = range(3, 8)) -> Any:
    return itertools.chain.from_iterable(itertools.product(letters, repeat=size) for size in range(longest + 1))


def split(text: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The words of a text between the spaces."""
    words: list[tuple[int, ...]] = [()]
    for token in text:
        words = [*words, ()] if token == SPACE else [*words[:-1], (*words[-1], token)]
    return words


def test_a_lexicon_accepts_its_words_with_spaces_between() -> None:
    for empty in True, False:
        grammar = lexicon(WORDS, VOCAB, SPACE, empty=empty)
        accepted = {text for text in texts(4) if grammar.accepts(text)}
        assert accepted == {t for t in texts(4) if all(word in WORDS for word in split(t)) or (empty and not t)}


def test_without_separator_words_follow_each_other() -> None:
    words = [(4,), (5, 6), (7, 4, 5)]
    joined = {tuple(itertools.chain(*chosen)) for size in range(6) for chosen in itertools.product(words, repeat=size)}
    for empty in True, False:
        grammar = lexicon(words, VOCAB, None, empty=empty)
        assert {t for t in texts(4) if grammar.accepts(t)} == {t for t in joined if len(t) <= 4 and (t or empty)}


def said(grammar: Grammar) -> set[tuple[int, ...]]:
    """All that a grammar without loops accepts, by going where each step allows."""
    found, open_texts = set(), [((), torch.tensor([1]), grammar.initial_state(1, torch.device("cpu")))]
    while open_texts:
        text, token_N, state = open_texts.pop()
        bonus_NV, state = grammar.step(token_N, (), state)
        for token in (bonus_NV[0] == 0).nonzero()[:, 0].tolist():
            if token == 2:
                found.add(text)
            else:
                open_texts.append(((*text, token), torch.tensor([token]), state))
    return found


def test_slots_accept_one_word_of_each_set_in_turn() -> None:
    whole = {(*a, SPACE, *b, SPACE, *c) for a, b, c in itertools.product(*SETS)}
    grammar = slots(SETS, VOCAB, SPACE)
    assert said(grammar) == whole and all(grammar.accepts(text) for text in whole)
    assert said(slots([[(4,), (5,)], [(4,), (6,)]], VOCAB, None)) == {(4, 4), (4, 6), (5, 4), (5, 6)}
    assert said(slots([[(4,), (4, 5)]], VOCAB, SPACE)) == {(4,), (4, 5)}


def test_a_word_that_begins_another_is_no_fault_with_a_separator() -> None:
    grammar = slots([[(4,), (4, 5)], [(6,)]], VOCAB, SPACE)
    assert grammar.accepts((4, 3, 6)) and grammar.accepts((4, 5, 3, 6)) and not grammar.accepts((4, 6))


def test_without_a_separator_words_may_begin_one_another() -> None:
    """As pieces of words do: every sequence of words is accepted, in whichever way it is read, and nothing else."""
    words = [(4,), (4, 5), (5, 4, 4), (6,)]
    grammar, places = lexicon(words, VOCAB, None), slots([words, [(5,), (4, 6)]], VOCAB, None)
    chains = [sum(chain, ()) for size in range(6) for chain in itertools.product(words, repeat=size)]
    pairs = {one + other for one in words for other in ((5,), (4, 6))}
    for size in range(6):
        for text in itertools.product((3, 4, 5, 6), repeat=size):
            assert grammar.accepts(text) == (text in chains) and places.accepts(text) == (text in pairs)


def test_a_step_says_what_may_come_next() -> None:
    grammar = slots(SETS, VOCAB, SPACE)
    state = grammar.initial_state(2, torch.device("cpu"))
    allowed = []
    for tokens in ((1, 1), (4, 5), (3, 6), (7, 3), (3, 7), (8, 3), (2, 8)):
        bonus_NV, state = grammar.step(torch.tensor(tokens), (), state)
        assert set(bonus_NV.unique().tolist()) <= {0.0, float("-inf")}
        allowed.append([set((row == 0).nonzero()[:, 0].tolist()) for row in bonus_NV])
    assert [rows[0] for rows in allowed] == [{4, 5}, {3}, {4, 7}, {3}, {8}, {8, 2}, set()]
    assert [rows[1] for rows in allowed][:4] == [{4, 5}, {6}, {3}, {4, 7}]


def test_what_was_never_allowed_stays_so() -> None:
    grammar = lexicon(WORDS, VOCAB, SPACE)
    state = grammar.initial_state(1, torch.device("cpu"))
    for token in (1, 8, 4, 1):
        bonus_NV, state = grammar.step(torch.tensor([token]), (), state)
    assert bonus_NV.eq(float("-inf")).all()


@pytest.mark.parametrize("grammar", [lexicon(WORDS, VOCAB, SPACE, empty=False), slots(SETS, VOCAB, SPACE)])
def test_both_beams_say_only_what_is_accepted(grammar: Grammar) -> None:
    generator = torch.Generator().manual_seed(1)
    logits_BTV = 2 * torch.randn(6, 20, VOCAB, generator=generator)
    found = prefix_beam(logits_BTV, torch.full((6,), 20), Search(beam=8, nbest=8), scorers=[(grammar, 1.0)])
    model, memories = Table(VOCAB, seed=2), source(6, 4, seed=2)
    found += beam(model, memories, Search(beam=8, nbest=8, max_len=40), scorers=[(grammar, 1.0)])
    found += greedy(model, memories, Search(max_len=40), scorers=[(grammar, 1.0)])
    for hypotheses in found:
        assert hypotheses and all(grammar.accepts(h.tokens) for h in hypotheses if len(h.tokens) < 40)
        assert all(h.score == pytest.approx(h.logprob, abs=1e-5) for h in hypotheses)


def test_a_constrained_beam_is_the_best_of_the_accepted() -> None:
    words = [(4, 4), (5,), (4, 5)]
    grammar = lexicon(words, 6, SPACE, empty=False)
    logits_BTV = torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(3)).double()
    lengths_B = torch.tensor([6, 5, 6, 3])
    every = prefix_beam(logits_BTV, lengths_B, Search(beam=5000, nbest=5000))
    best = [next(h for h in hypotheses if grammar.accepts(h.tokens)) for hypotheses in every]
    found = prefix_beam(logits_BTV, lengths_B, Search(beam=5000), scorers=[(grammar, 1.0)])
    assert [h.tokens for (h,) in found] == [h.tokens for h in best]
    assert [h.logprob for (h,) in found] == pytest.approx([h.logprob for h in best], abs=1e-9)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: lexicon([], VOCAB, SPACE), "`words` must hold at least one word for each place, got none"),
        (lambda: slots([[(4,)], []], VOCAB, SPACE), "`words` must hold at least one word for each place, got none"),
        (lambda: slots([], VOCAB, SPACE), "`words` must hold at least one word for each place, got none"),
        (lambda: lexicon([()], VOCAB, SPACE), r"`words` must be of tokens other than the separator, got \[\]"),
        (lambda: lexicon([(4, 3, 5)], VOCAB, SPACE), r"other than the separator, got \[4, 3, 5\]"),
        (lambda: lexicon([(99,)], VOCAB, SPACE), r"`edges` must lead by a token from 0 to 8, got 3 to 99"),
        (lambda: Grammar([{4: 2}], [0], VOCAB), r"`edges` must lead by a state from 0 to 0, got 2 to 2"),
    ],
)
def test_a_grammar_that_cannot_be_is_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_a_large_lexicon_is_made_at_once() -> None:
    words = [tuple(4 + (number // 5**place) % 5 for place in range(7)) for number in range(20000)]
    grammar = lexicon(words, VOCAB, SPACE)
    assert all(grammar.accepts((*words[n], SPACE, *words[-n])) for n in range(1, 50))
    assert not grammar.accepts(words[0][:-1])
