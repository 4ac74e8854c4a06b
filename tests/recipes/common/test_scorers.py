"""What a search for text may add, whatever the tokens are."""

from pathlib import Path

import pytest
import torch

from seqkit.data.text import normalize_whitespace
from seqkit.data.vocab import CharVocab, SubwordVocab, Vocab, WordVocab
from seqkit.decode import LengthBonus
from seqkit.errors import InputError
from seqkit.recipes.common.scorers import ScorerOptions, make_scorers, read_hotwords, token_texts

CPU, TEXTS = torch.device("cpu"), ["Well, the cat (no dog) sees it.", "a dog, and 1,000.5 cats"]
VOCABS = [CharVocab.train(TEXTS), WordVocab.train(TEXTS), SubwordVocab.train(TEXTS * 3, 60)]


@pytest.mark.parametrize("vocab", VOCABS, ids=lambda vocab: type(vocab).__name__)
@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_tokens_make_up_the_text(vocab: Vocab, text: str) -> None:
    texts, ids = token_texts(vocab), vocab.encode(text)
    joined = normalize_whitespace("".join(texts[i] for i in ids))
    assert joined.replace("( ", "(") == vocab.decode(ids)  # of words, a space that no letter touches may be too many
    assert [texts[i] for i in range(4)] == [""] * 4


@pytest.mark.parametrize("vocab", VOCABS, ids=lambda vocab: type(vocab).__name__)
def test_hot_words_are_found_in_tokens_of_every_kind(vocab: Vocab, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("cat\n\nno  dog\n")
    scorer = read_hotwords(tmp_path / "words", vocab, CPU)
    for text, letters in [(TEXTS[0], 3 + 6), ("a dog sees cats", 0), ("cat, cat", 6), ("no dog", 6), ("", 0)]:
        ids, total, state = vocab.encode(text), 0.0, scorer.initial_state(1, CPU)
        for token, following in zip([1, *ids], [*ids, 2], strict=True):
            bonus_NV, state = scorer.step(torch.tensor([token]), (), state)
            total += float(bonus_NV[0, following])
        assert total == letters


def test_hot_words_of_a_script_without_spaces_count_anywhere(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("天気\n", encoding="utf-8")
    vocab = CharVocab.train(["今日は良い天気だ"])
    scorer, total = read_hotwords(tmp_path / "words", vocab, CPU), 0.0
    ids, state = vocab.encode("良い天気だ"), scorer.initial_state(1, CPU)
    for token, following in zip([1, *ids], [*ids, 2], strict=True):
        bonus_NV, state = scorer.step(torch.tensor([token]), (), state)
        total += float(bonus_NV[0, following])
    assert total == 2


def test_words_that_cannot_be_written_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words").write_text("cat\nzebra\n")
    read_hotwords(tmp_path / "words", VOCABS[0], CPU)
    assert "not in the symbols of training, so that they cannot be written: zebra\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lm": "own"}, "`lm` must be null, or a language model's run or file, got 'own'"),
        ({"hotwords": Path("nowhere")}, "`hotwords` must be a file of words, one a line, got nowhere, which is none"),
    ],
)
def test_what_is_missing_is_named(options: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make_scorers(ScorerOptions(**options), VOCABS[0], CPU)  # type: ignore[arg-type]


def test_a_name_that_is_too_long_is_none_and_weights_stay_finite() -> None:
    with pytest.raises(InputError, match="`lm` must be null, or a language model's run or file, got 'xxx"):
        make_scorers(ScorerOptions(lm="x" * 5000), VOCABS[0], CPU)
    for name in ("length_bonus", "lm_weight", "hotword_weight"):
        with pytest.raises(InputError, match=f"`{name}` must be from .* to 1000000, got 1e\\+308"):
            ScorerOptions(**{name: 1e308})  # type: ignore[arg-type]


def test_a_hot_word_without_a_letter_is_named(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("cat\n--\n")
    with pytest.raises(InputError, match="words: `words` must have letters, got '--'"):
        read_hotwords(tmp_path / "words", VOCABS[0], CPU)


def test_nothing_is_added_unless_it_is_asked_for() -> None:
    assert make_scorers(ScorerOptions(), VOCABS[0], CPU) == ()
    [(scorer, weight)] = make_scorers(ScorerOptions(length_bonus=0.5), VOCABS[0], CPU)
    assert isinstance(scorer, LengthBonus) and weight == 0.5
