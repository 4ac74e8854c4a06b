"""Hot words against counting them in the text: what they add, what a wide search finds, and what stays the model's."""

import random
from collections.abc import Sequence

import pytest
import torch

from seqkit.decode import HotWords, Search, beam, greedy, prefix_beam
from tests.oracles import Table, assert_same, every_sentence, next_tokens, one, source
from tests.seqkit.decode.test_ctc import all_paths, emissions, log_sum

CHARACTERS = ("", "", "", "?", "a", "b", "c", " ", ",")
PIECES = ("", "", "", "?", " a", " ab", "b", "c", " ", " c", ",")
WORDS = ("", "", "", "?", " ab", " a", " cab", ",", " (")
HOT = ("ab", "a", "cab", "ab ab", "b a", "a-c", "ba")


def letters_of(text: str, words: Sequence[str], inside: Sequence[str] = ()) -> int:
    """Letters of the hot words in a text, counted place by place."""

    def plain(text: str) -> str:
        return "".join(c if c.isalnum() else "#" for c in text)

    total, whole = 0, f"#{plain(text)}#"
    for word in set(words):
        middle = plain(word)
        sought = middle if word in inside else f"#{middle}#"
        total += len(middle) * sum(whole[place:].startswith(sought) for place in range(len(whole)))
    return total


def added(scorer: HotWords, tokens: Sequence[int]) -> float:
    """The sum of a hypothesis' bonuses, that of EOS included."""
    state, total = scorer.initial_state(1, torch.device("cpu")), 0.0
    for token, following in zip([1, *tokens], [*tokens, 2], strict=True):
        bonus_NV, state = scorer.step(torch.tensor([token]), (), state)
        total += float(bonus_NV[0, following])
    return total


@pytest.mark.parametrize("texts", [CHARACTERS, PIECES, WORDS], ids=["characters", "pieces", "words"])
@pytest.mark.parametrize("inside", [(), ("ab", "ba")])
def test_bonuses_sum_to_the_letters_of_the_hot_words_in_the_text(
    texts: tuple[str, ...], inside: tuple[str, ...]
) -> None:
    draw, found = random.Random(len(texts)), 0
    scorer = HotWords(HOT, texts, inside=inside)
    for _ in range(400):
        tokens = draw.choices(range(3, len(texts)), k=draw.randrange(9))
        expected = letters_of("".join(texts[token] for token in tokens), HOT, inside)
        assert added(scorer, tokens) == expected
        found += expected > 0
    assert found > 60


def test_a_hot_word_is_rewarded_as_it_is_written_and_taken_back_where_it_is_not_completed() -> None:
    scorer = HotWords(["cab"], CHARACTERS)
    state, held = scorer.initial_state(1, torch.device("cpu")), []
    for token, following in zip((1, 6, 4, 5), (6, 4, 5, 4), strict=True):
        bonus_NV, state = scorer.step(torch.tensor([token]), (), state)
        held.append(float(bonus_NV[0, following]))
    assert held == [1.0, 1.0, 1.0, -3.0]  # c a b, and another a: "caba" is no hot word
    assert added(scorer, (6, 4)) == 0.0 and added(scorer, (6, 4, 5)) == 3.0


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_what_rescoring_all_that_can_be_said_finds(seed: int) -> None:
    texts, words = CHARACTERS[:8], ("ab", "b", "cab")
    model, memories, scorer = Table(8, seed=seed), source(2, 4, seed=seed), HotWords(words, texts)
    search = Search(beam=700, nbest=5, max_len=4)
    found = beam(model, memories, search, scorers=[(scorer, 3.0)])
    for row, own in enumerate(found):
        said = every_sentence(next_tokens(model, one(memories, row), search), search, 8, 4)
        ended = [h for h in said if len(h.tokens) < 4]
        rescored = [h._replace(score=h.logprob + 3.0 * rewarded(texts, h.tokens, words)) for h in ended]
        best = sorted(rescored, key=lambda h: -h.score)
        assert_same([h for h in own if len(h.tokens) < 4], best[: sum(len(h.tokens) < 4 for h in own)])
        assert any(rewarded(texts, h.tokens, words) for h in best[:5])


def rewarded(texts: Sequence[str], tokens: Sequence[int], words: Sequence[str]) -> int:
    return letters_of("".join(texts[token] for token in tokens), words)


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_prefix_beam_finds_what_rescoring_all_texts_finds(seed: int) -> None:
    texts, words = CHARACTERS[:8], ("ab", "ca", "b")
    logits_BTV, lengths_B = emissions(2, 4, 8, seed=seed)
    search = Search(beam=2000, nbest=6, suppress_tokens=(1, 3))
    found = prefix_beam(logits_BTV, lengths_B, search, scorers=[(HotWords(words, texts), 0.9)])
    for row, own in enumerate(found):
        paths = all_paths(logits_BTV[row, : lengths_B[row]])
        sums = {text: log_sum(some) for text, some in paths.items() if not {1, 2, 3} & set(text)}
        scores = {text: logprob + 0.9 * rewarded(texts, text, words) for text, logprob in sums.items()}
        best = sorted(scores, key=lambda text: -scores[text])[:6]
        assert [tuple(h.tokens) for h in own] == best
        for h, text in zip(own, best, strict=True):
            assert (h.logprob, h.score) == pytest.approx((sums[text], scores[text]), abs=1e-6)


def test_a_weight_of_nothing_changes_nothing() -> None:
    model, memories, scorers = Table(9, seed=8), source(6, 4, seed=8), [(HotWords(HOT, CHARACTERS), 0.0)]
    search = Search(beam=4, nbest=4, max_len=9)
    for way in greedy, beam:
        assert way(model, memories, search, scorers=scorers) == way(model, memories, search)
    frames = emissions(3, 6, 9, seed=8)
    assert prefix_beam(*frames, search, scorers=scorers) == prefix_beam(*frames, search)


def test_no_hot_words_are_worth_nothing() -> None:
    assert added(HotWords([], CHARACTERS), (4, 5, 7, 4)) == 0.0


def test_what_cannot_be_a_hot_word_is_named() -> None:
    with pytest.raises(ValueError, match="`words` must have letters, got '--'"):
        HotWords(["a", "--"], CHARACTERS)
    with pytest.raises(ValueError, match="`words` must have at most 671 letters in all, got 1,002"):
        HotWords(["a" * 999], [""] * 100_000)
