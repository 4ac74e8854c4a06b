"""Vocabularies that grow keep the ids that they had, and encode what is new as it was asked for."""

from pathlib import Path

import numpy as np
import pytest

from seqkit.data.extend_vocab import extend_vocab, new_tokens, units_of
from seqkit.data.vocab import UNK, SubwordVocab, Vocab, load_vocab, train_vocab

OLD = ["a dog runs", "the dog sees a cat", "a cat runs"] * 4
NEW = ["a dog runs ßß", "die 日 ▁ Katze", "ß z"]


def known(units: str) -> Vocab:
    return train_vocab(units, OLD, 60)


def tokens(vocab: Vocab) -> list[str]:
    return [vocab.token(i) for i in range(len(vocab))]


@pytest.mark.parametrize(
    ("units", "want"),
    [
        ("words", {"ßß", "die", "日", "▁", "Katze", "ß", "z"}),
        ("characters", {"ß", "K", "i", "z", "日", "▁"}),
        ("subwords", {"ß", "K", "i", "z", "日", "▁"}),
    ],
)
def test_what_is_new_is_found_and_added_behind_the_old_ids(units: str, want: set[str], tmp_path: Path) -> None:
    vocab = known(units)
    assert units_of(vocab) == units
    found = new_tokens(vocab, lambda: train_vocab(units, NEW, 60), NEW)
    assert set(found) == want and len(found) == len(want)
    assert units == "words" or found[:2] in (["ß", "z"], ["ß", "i"])  # the most frequent first
    longer = extend_vocab(vocab, found)
    assert tokens(longer)[: len(vocab)] == tokens(vocab) and len(longer) == len(vocab) + len(want)
    for text in NEW:
        assert UNK in vocab.encode(text) and UNK not in longer.encode(text)
        assert longer.decode(longer.encode(text)) == text
    for text in OLD:
        assert longer.encode(text) == vocab.encode(text)
    longer.save(tmp_path, "target")
    assert tokens(load_vocab(tmp_path, "target")) == tokens(longer)
    assert new_tokens(longer, lambda: train_vocab(units, NEW, 60), NEW) == []
    assert extend_vocab(longer, []) is longer


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_subwords_that_grew_are_sampled_as_before(kind: str) -> None:
    vocab = SubwordVocab.train(OLD, 40, kind=kind)
    longer = extend_vocab(vocab, ["日", "ß"])
    assert isinstance(longer, SubwordVocab)
    for seed in range(20):
        drawn = (own.encode("the dog sees", sample=0.3, rng=np.random.default_rng(seed)) for own in (vocab, longer))
        assert len({tuple(ids) for ids in drawn}) == 1
        ids = longer.encode("日dog ßcat", sample=0.3, rng=np.random.default_rng(seed))
        assert longer.decode(ids) == "日dog ßcat" and UNK not in ids
