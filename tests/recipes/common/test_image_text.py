"""Words of questions and phrases, in scripts with spaces and without."""

import pytest

from seqkit.data.manifest import Item
from seqkit.data.vocab import UNK, WordVocab
from seqkit.errors import InputError
from seqkit.recipes.common.image_text import as_pair, has_words, normalize_text, text_ids, text_tokens, train_text_vocab
from seqkit.recipes.grounding import data as grounding
from seqkit.recipes.vqa import data as vqa

JAPANESE = ("犬は何をしていますか？", "この猫は何をしている")


@pytest.mark.parametrize("texts", [JAPANESE, ("狗在做什么？", "猫在做什么"), ("แมวอยู่ที่ไหน", "หมาอยู่ที่นี่")])
def test_words_of_questions_and_phrases_without_spaces_are_letters(texts):
    questions = [Item(id=str(n), question=text, references=("x",)) for n, text in enumerate(texts)]
    phrases = [Item(id=str(n), source=text) for n, text in enumerate(texts)]
    for vocab in (
        vqa.train_vocab(vqa.TextConfig(min_count=2), questions),
        grounding.train_vocab(grounding.TextConfig(min_count=2), phrases),
    ):
        letters = {c for c in texts[0].rstrip("？") if c in texts[1]}
        assert {vocab.token(i) for i in range(4, len(vocab))} == letters
        known = [vocab.token(i) for i in text_ids(vocab, texts[0]) if i != UNK]
        assert known == [c for c in texts[0] if c in letters]
    assert vqa.question_ids(vqa.TextConfig(max_question=2), vocab, texts[1]) == text_ids(vocab, texts[1])[:2]
    assert vqa.question_type(questions[0]) == f"{texts[0][0]} {texts[0][1]}"
    longest = vqa.train_answers(vqa.TextConfig(), questions).max_question
    assert longest == max(len(text_ids(vocab, text)) for text in texts)


@pytest.mark.parametrize("mark", ["?", " ?", "？", "؟", " ？ "])
def test_question_marks_of_any_script_end_a_question_and_alone_are_none(mark):
    assert normalize_text(f"何色 {mark}") == normalize_text("何色") and not has_words(f"\u200b{mark}")
    with pytest.raises(InputError, match="the text about a.png must have at least one word"):
        as_pair(("a.png", f"\u200b{mark}"))


def test_words_that_somebody_has_separated_stay_words():
    vocab = train_text_vocab(["犬 は 何 を し て います か", "この 猫 は 何 を して います か"], 1)
    assert text_tokens(vocab, "この 猫 は") == ["この", "猫", "は"] and UNK not in text_ids(vocab, "この 猫 は")


def test_spaced_texts_and_vocabularies_of_earlier_runs_are_read_as_before():
    assert text_tokens(train_text_vocab(["What is 犬 ?", "a dog"], 1), "What is 犬 ?") == ["what", "is", "犬"]
    assert text_tokens(WordVocab(["犬は何", "を"]), "犬は何") == ["犬は何"]
    assert text_tokens(WordVocab(["犬", "￭、"]), "犬、猫") == ["犬", "、", "猫"]
