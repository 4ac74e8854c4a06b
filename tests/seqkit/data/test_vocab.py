"""Vocabularies: text to ids and back, the same for everybody, and faults named."""

import json
import os
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data.text import normalize_whitespace
from seqkit.data.vocab import (
    BOS,
    EOS,
    PAD,
    SPECIALS,
    UNK,
    UNKNOWN,
    CharVocab,
    SubwordVocab,
    WordVocab,
    load_vocab,
    train_vocab,
)
from seqkit.errors import InputError

TEXTS = [
    "The mill stands by the river, and the miller's cat sleeps.",
    "Nobody knows why the cat sleeps so well.",
    "A river runs; a mill turns; Jürgen's cat sleeps.",
    "Why does the river run … ½ a mile?",
]
VOCABS = {
    "characters": CharVocab.train(TEXTS),
    "words": WordVocab.train(TEXTS),
    "bpe": SubwordVocab.train(TEXTS, 80),
    "unigram": SubwordVocab.train(TEXTS, 60, kind="unigram"),
}


@pytest.fixture(params=VOCABS)
def vocab(request):
    return VOCABS[request.param]


def test_special_ids(vocab):
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert tuple(vocab.token(i) for i in range(4)) == SPECIALS


def test_text_comes_back(vocab):
    for text in [*TEXTS, " the  cat\tsleeps ", ""]:
        ids = vocab.encode(text)
        assert vocab.decode(ids) == normalize_whitespace(text) == vocab.join(vocab.tokens(text))
        assert [vocab.token(i) for i in ids] == vocab.tokens(text)
        assert all(4 <= i < len(vocab) for i in ids)


def test_decode_leaves_out_specials_and_shows_the_unknown(vocab):
    ids = vocab.encode("the cat")
    assert vocab.decode([BOS, *ids, EOS, PAD, PAD]) == "the cat"
    assert vocab.decode([UNK]) == "⁇"
    assert UNK in vocab.encode("the 猫") and "⁇" in vocab.decode(vocab.encode("the 猫"))


def test_specials_written_in_a_text_are_text(vocab):
    for special in SPECIALS:
        assert not {PAD, BOS, EOS} & set(vocab.encode(f"the {special} cat"))


def test_save_and_load(vocab, tmp_path):
    vocab.save(tmp_path / "run", "source")
    again = load_vocab(tmp_path / "run", "source")
    assert type(again) is type(vocab) and len(again) == len(vocab)
    assert [again.token(i) for i in range(len(again))] == [vocab.token(i) for i in range(len(vocab))]
    assert [again.encode(text) for text in TEXTS] == [vocab.encode(text) for text in TEXTS]
    assert len(os.listdir(tmp_path / "run")) == 1


def test_training_twice_writes_the_same_bytes(tmp_path):
    trainers = {
        "characters": lambda texts: CharVocab.train(texts),
        "words": lambda texts: WordVocab.train(texts),
        "bpe": lambda texts: SubwordVocab.train(texts, 80),
        "unigram": lambda texts: SubwordVocab.train(texts, 60, kind="unigram"),
    }
    for name, train in trainers.items():
        train(TEXTS).save(tmp_path / "1", name)
        random.random()
        train(iter(TEXTS)).save(tmp_path / "2", name)
        file = next((tmp_path / "1").glob(f"{name}.*"))
        assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes()


def test_table_order_is_by_count_and_not_by_text_order():
    one, other = (WordVocab.train(texts) for texts in (TEXTS, TEXTS[::-1]))
    tokens = [one.token(i) for i in range(len(one))]
    assert tokens == [other.token(i) for i in range(len(other))]
    counts = Counter(token for text in TEXTS for token in one.tokens(text))
    assert [counts[token] for token in tokens[4:]] == sorted(counts.values(), reverse=True)


def test_min_count_and_max_size():
    assert len(WordVocab.train(["a a a b b c"], max_size=6)) == 6
    vocab = WordVocab.train(["a a a b b c"], min_count=2)
    assert len(vocab) == 6 and vocab.encode("c a") == [UNK, 4]
    assert CharVocab.train(["aab"], min_count=2).encode("ab") == [4, UNK]


def test_a_small_corpus_gets_fewer_subwords_than_asked_for():
    assert 20 < len(SubwordVocab.train(TEXTS, 5000)) < 400
    assert 20 < len(SubwordVocab.train(TEXTS, 5000, kind="unigram")) < 400


@given(st.text(st.sampled_from(sorted(set("".join(TEXTS)))), max_size=40))
@settings(max_examples=50, deadline=None)
def test_any_text_of_known_characters_comes_back_sampled_or_not(text):
    for name in ("characters", "bpe", "unigram"):
        assert VOCABS[name].decode(VOCABS[name].encode(text)) == normalize_whitespace(text)
    for name in ("bpe", "unigram"):
        assert VOCABS[name].decode(
            VOCABS[name].encode(text, sample=0.3, rng=np.random.default_rng(1))
        ) == normalize_whitespace(text)


@pytest.mark.parametrize("name", ["bpe", "unigram"])
def test_sampled_encodings_are_a_function_of_the_seed(name):
    vocab, text = VOCABS[name], TEXTS[0]

    def drawn(seed):
        return vocab.encode(text, sample=0.2, rng=np.random.default_rng(seed))

    first = [drawn(seed) for seed in range(8)]
    vocab.encode(TEXTS[1], sample=0.5, rng=np.random.default_rng(99))
    again = [drawn(seed) for seed in reversed(range(8))][::-1]
    assert first == again and len({tuple(ids) for ids in first}) > 1
    assert vocab.encode(text, sample=0.0, rng=np.random.default_rng(5)) == vocab.encode(text)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_underscores_and_signs_of_a_space_come_back(kind):
    texts = ["the_mill ▁ mill▁er and _▁_ ▁▁ the mill", "▁"]
    vocab = SubwordVocab.train([*TEXTS, *texts], 80, kind=kind)
    for text in texts:
        assert vocab.decode(vocab.encode(text)) == vocab.join(vocab.tokens(text)) == text
        assert vocab.decode(vocab.encode(text, sample=0.3, rng=np.random.default_rng(1))) == text


def test_an_unknown_character_is_shown_within_its_word():
    for name in ("characters", "bpe", "unigram"):
        assert VOCABS[name].decode(VOCABS[name].encode("the mжll жж")) in ("the m⁇ll ⁇⁇", "the m⁇ll ⁇")
    assert VOCABS["words"].decode(VOCABS["words"].encode("the mжll")) == "the ⁇"
    assert VOCABS["bpe"].decode(VOCABS["bpe"].encode("a ▁ b")) == "a ⁇ b"  # never a space more


def test_one_name_holds_one_vocabulary(tmp_path):
    VOCABS["words"].save(tmp_path, "target")
    VOCABS["bpe"].save(tmp_path, "target")
    assert isinstance(load_vocab(tmp_path, "target"), SubwordVocab)
    VOCABS["characters"].save(tmp_path, "target")
    assert isinstance(load_vocab(tmp_path, "target"), CharVocab)


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(InputError, match=r"must hold the vocabulary source.json or source.model, got neither"):
        load_vocab(tmp_path, "source")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff",
        b"[]",
        b'{"kind": "words"}',
        b'{"kind": "signs", "tokens": []}',
        b'{"kind": "words", "tokens": [1]}',
        b'{"kind": "words", "tokens": ["a", "a"]}',
        b'{"kind": [], "tokens": ["a"]}',
        b'{"kind": "words", "tokens": 3}',
        b'{"kind": "words", "tokens": "abc"}',
    ],
)
def test_a_broken_table_is_named(tmp_path, content):
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(InputError, match=r"v.json: must be a vocabulary with `kind` and different `tokens`"):
        load_vocab(tmp_path, "v")


@pytest.mark.parametrize("content", [b"", b"broken"])
def test_a_broken_model_is_named(tmp_path, content):
    (tmp_path / "v.model").write_bytes(content)
    with pytest.raises(InputError, match=r"v.model: `model` must"):
        load_vocab(tmp_path, "v")


def test_a_model_with_other_special_ids_is_refused(tmp_path):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_prefix=str(tmp_path / "v"), vocab_size=50, model_type="bpe", minloglevel=2
    )
    with pytest.raises(InputError, match=r"`model` must have pad, bos, eos, unk = 0, 1, 2, 3, got \(-1, 1, 2, 0\)"):
        load_vocab(tmp_path, "v")


def test_bad_training_arguments_are_named():
    with pytest.raises(InputError, match="`texts` must hold a token 1 times, got 0 different tokens"):
        WordVocab.train([" "])
    with pytest.raises(InputError, match="`texts` must hold a token 9 times"):
        CharVocab.train(["aab"], min_count=9)
    with pytest.raises(InputError, match="`max_size` must be above 4, the special tokens, got 4"):
        CharVocab.train(["aab"], max_size=4)
    with pytest.raises(InputError, match="`kind` must be bpe or unigram, got 'word'"):
        SubwordVocab.train(TEXTS, 50, kind="word")
    with pytest.raises(InputError, match="`size` must be above [0-9]+, the characters of `texts`, got 10"):
        SubwordVocab.train(TEXTS, 10)
    with pytest.raises(InputError, match="sentencepiece says: no text to learn from"):
        SubwordVocab.train([], 50)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_more_characters_than_subwords_leave_the_rarest_out(kind):
    characters = [chr(0x4E00 + n) for n in range(400)]
    texts = ["".join(characters[: 400 - n]) for n in range(0, 400, 10)]
    vocab = SubwordVocab.train(texts, 200, kind=kind)
    assert len(vocab) <= 200 and set(vocab.lacking) == set(characters[146:])
    assert vocab.decode(vocab.encode("".join(characters[:146]))) == "".join(characters[:146])
    assert vocab.decode(vocab.encode(characters[0] + characters[300])) == characters[0] + UNKNOWN
    assert not SubwordVocab.train(TEXTS, 60).lacking


def test_a_vocabulary_by_the_name_of_its_units():
    kinds = {"subwords": SubwordVocab, "words": WordVocab, "characters": CharVocab}
    for units, kind in kinds.items():
        assert isinstance(train_vocab(units, TEXTS, 60), kind)
    assert len(train_vocab("words", TEXTS, 9)) == 9 and len(train_vocab("subwords", TEXTS, 60)) == 60
    with pytest.raises(InputError, match="`units` must be subwords, words or characters, got 'syllables'"):
        train_vocab("syllables", TEXTS, 60)


def test_tables_are_readable_json(tmp_path):
    VOCABS["characters"].save(tmp_path, "v")
    content = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert content["kind"] == "characters" and "ü" in content["tokens"]
