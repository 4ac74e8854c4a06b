"""Words of decoded text: every token in one word, texts as between spaces, probabilities that multiply."""

import math
import random

import pytest

from seqkit.data.vocab import UNK, UNKNOWN, CharVocab, SubwordVocab, Vocab, WordVocab
from seqkit.score.prediction import Word
from seqkit.score.words import with_times, words_of

TEXTS = [
    "Well, yes (no) don't!",
    "the cat sees a dog",
    "a",
    "  two   spaces ",
    "Ätna «öl» 1,000.5 %",
    "...",
    "a-b c- -d",
]


def vocabs() -> list[Vocab]:
    return [CharVocab.train(TEXTS), WordVocab.train(TEXTS), SubwordVocab.train(TEXTS * 3, 60)]


def tokens_of(vocab: Vocab, text: str) -> list[str]:
    return [UNKNOWN if i == UNK else vocab.token(i) for i in vocab.encode(text)]


@pytest.mark.parametrize("vocab", vocabs(), ids=lambda vocab: type(vocab).__name__)
@pytest.mark.parametrize("text", [*TEXTS, "unseen wörds", " "])
def test_words_stand_between_spaces_and_their_probabilities_multiply(vocab: Vocab, text: str) -> None:
    tokens = tokens_of(vocab, text)
    logprobs = [-random.Random(place).random() for place in range(len(tokens) + 1)]  # the end's, too
    words = words_of(tokens, vocab.join, logprobs)
    assert [word.text for word in words] == vocab.join(tokens).split()
    if words:
        assert sum(math.log(word.probability or 0) for word in words) == pytest.approx(sum(logprobs[:-1]))


def test_a_word_has_its_letters_and_the_space_after_it() -> None:
    words = words_of(list("ab c"), "".join, [math.log(p) for p in (0.5, 0.8, 0.9, 0.7)])
    assert [(word.text, round(word.probability or 0, 6)) for word in words] == [("ab", 0.36), ("c", 0.7)]
    joined = words_of(["Well", "￭,", "yes"], WordVocab(["a"]).join, [math.log(p) for p in (0.5, 0.8, 0.9)])
    assert [(word.text, round(word.probability or 0, 6)) for word in joined] == [("Well,", 0.4), ("yes", 0.9)]


def test_a_word_lasts_from_its_first_letter_to_its_last() -> None:
    spans = [(0.0, 0.1), (0.2, 0.5), (0.3, 0.4), (0.5, 0.9), (1.0, 1.5)]
    assert words_of(list(" ab c"), "".join, spans=spans) == (Word("ab", 0.2, 0.5), Word("c", 1.0, 1.5))


def test_without_spaces_a_token_is_a_word() -> None:
    text = "今日は 良い天気ok"
    assert [word.text for word in words_of(list(text), "".join)] == ["今", "日", "は", "良", "い", "天", "気", "ok"]
    assert [word.text for word in words_of(["今日", "は", "ok"], "".join)] == ["今日", "は", "ok"]


def test_nothing_has_no_words() -> None:
    assert words_of([], "".join, [-0.1]) == () == words_of([" ", " "], "".join, [-1.0, -2.0])


def test_times_are_added_to_the_same_words() -> None:
    words = with_times((Word("a", probability=0.5),), (Word("a", 1.0, 2.0),))
    assert words == (Word("a", 1.0, 2.0, 0.5),)
