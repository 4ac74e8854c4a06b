"""Sampled subwords: the distributions of the papers, the splits of sentencepiece, and the same ones in any process."""

import gzip
import itertools
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data.subword_sampling import BpeSampler, UnigramSampler, make_sampler, one_unknown, words
from seqkit.data.vocab import UNK, SubwordVocab
from seqkit.errors import InputError

TEXTS = [
    "The mill stands by the river, and the miller's cat sleeps by the milling millers of the mill.",
    "Nobody knows why the cat sleeps so well, nor who the miller is; aaaa aaaaa banana bananas.",
    "A river runs; a mill turns; Jürgen's cat sleeps … ½ a mile away from anybody's mill.",
]
BPE = SubwordVocab.train(TEXTS, 110)
UNIGRAM = SubwordVocab.train(TEXTS, 80, kind="unigram")
ROOT = Path(__file__).parents[3]


def sampler(vocab: SubwordVocab) -> BpeSampler | UnigramSampler:
    return make_sampler(vocab._pieces)


def bpe_splits(
    scores: Mapping[str, float],
    pieces: tuple[str, ...],
    dropout: float,
    skipped: frozenset[tuple[int, int]] = frozenset(),
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every way in which merges may be left out, with its split and probability, by definition."""
    starts = [0, *itertools.accumulate(map(len, pieces))]
    pairs = [
        (-scores[a + b], starts[i], i)
        for i, (a, b) in enumerate(itertools.pairwise(pieces))
        if a + b in scores and (starts[i], starts[i + 2]) not in skipped
    ]
    if not pairs:
        yield pieces, 1.0
        return
    _, start, i = min(pairs)
    merged = (*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :])
    for split, share in bpe_splits(scores, merged, dropout, skipped):
        yield split, share * (1 - dropout)
    for split, share in bpe_splits(scores, pieces, dropout, skipped | {(start, starts[i + 2])}):
        yield split, share * dropout


def unigram_splits(scores: Mapping[str, float], word: str, sharpness: float) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every split of a word, with its probability to the power, not normalized."""
    if not word:
        yield (), 1.0
    for end in range(1, len(word) + 1):
        if word[:end] in scores:
            for rest, weight in unigram_splits(scores, word[end:], sharpness):
                yield (word[:end], *rest), weight * float(np.exp(sharpness * scores[word[:end]]))


@pytest.mark.parametrize(
    "vocab, word, strength",
    [
        (BPE, "▁miller", 0.3),
        (BPE, "▁aaaaa", 0.5),
        (BPE, "▁bananas", 0.1),
        (BPE, "▁the", 1.0),
        (UNIGRAM, "▁miller", 0.2),
        (UNIGRAM, "▁sleeps", 0.7),
    ],
)
def test_every_split_comes_as_often_as_it_should(vocab: SubwordVocab, word: str, strength: float) -> None:
    made, rng, draws = sampler(vocab), np.random.default_rng(1), 20_000
    expected = Counter[tuple[int, ...]]()
    splits = (
        bpe_splits(made.scores, tuple(word), strength) if vocab is BPE else unigram_splits(made.scores, word, strength)
    )
    for split, share in splits:
        expected[tuple(made.ids[piece] for piece in split)] += share  # type: ignore[assignment]
    total = sum(expected.values())
    found = Counter(tuple(made.sample(word, strength, rng)) for _ in range(draws))
    assert found.keys() <= expected.keys() and (len(expected) > 3 or strength == 1.0)
    for split, share in expected.items():
        share /= total
        assert abs(found[split] / draws - share) < 5 * np.sqrt(share * (1 - share) / draws) + 1e-9


@given(st.text(st.sampled_from([*sorted(set("".join(TEXTS))), "▁", "_", "Q", "ж", "⁇", "\t", "\u2028"]), max_size=60))
@settings(max_examples=200, deadline=None)
def test_without_dropout_the_split_is_that_of_sentencepiece(text: str) -> None:
    assert BPE.encode(text, sample=1e-300, rng=np.random.default_rng(0)) == BPE.encode(text)


def test_without_dropout_real_text_is_split_as_by_sentencepiece(real_data: Path) -> None:
    lines = []
    for language in ("en", "de"):
        with gzip.open(real_data / "multi30k" / f"val.{language}.gz", "rt", encoding="utf-8") as file:
            lines += file.read().split("\n")
    vocab = SubwordVocab.train(lines[::3], 3000)
    rng = np.random.default_rng(0)
    assert [line for line in lines if vocab.encode(line, sample=1e-300, rng=rng) != vocab.encode(line)] == []
    assert sum(map(len, map(vocab.encode, lines))) < 0.8 * sum(len(vocab.encode(x, sample=0.2, rng=rng)) for x in lines)


@pytest.mark.parametrize("vocab, sample", [(BPE, 0.3), (UNIGRAM, 0.2)])
def test_a_sampled_text_is_the_same_text(vocab: SubwordVocab, sample: float) -> None:
    rng = np.random.default_rng(3)
    for text in TEXTS:
        splits = {tuple(vocab.encode(text, sample=sample, rng=rng)) for _ in range(20)}
        assert len(splits) == 20 and {vocab.decode(ids) for ids in splits} == {text}


PROGRAM = """
import sys
import numpy as np
from seqkit.data.vocab import SubwordVocab
for path, sample in zip(sys.argv[2:], (0.3, 0.2)):
    vocab = SubwordVocab(open(path, "rb").read())
    for seed in range(int(sys.argv[1])):  # what was drawn before must not count
        vocab.encode("the miller's bananas", sample=0.5, rng=np.random.default_rng(seed))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        print(*[vocab.encode(text, sample=sample, rng=rng) for text in ("the mill and the miller", "banana")])
for kind in ("bpe", "unigram"):
    texts = [f"the mill number {number} by river {number * 7919 % 101} grinds" for number in range(200)]
    vocab = SubwordVocab.train(texts, 60, kind=kind)
    print([vocab.token(i) for i in range(len(vocab))])
"""


def test_three_processes_train_and_draw_the_same(tmp_path: Path) -> None:
    for name, vocab in (("bpe", BPE), ("unigram", UNIGRAM)):
        vocab.save(tmp_path, name)
    models = [str(tmp_path / "bpe.model"), str(tmp_path / "unigram.model")]
    drawn = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(before), *models],
            env={**os.environ, "PYTHONHASHSEED": str(before), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for before in (0, 1, 7)
    ]
    assert len(set(drawn[0].splitlines())) > 6
    assert drawn[0] == drawn[1] == drawn[2]


def test_a_pickled_vocabulary_draws_the_same() -> None:
    BPE.encode(TEXTS[0], sample=0.3, rng=np.random.default_rng(0))
    other = pickle.loads(pickle.dumps(BPE))
    one, two = (vocab.encode(TEXTS[1], sample=0.3, rng=np.random.default_rng(5)) for vocab in (BPE, other))
    assert one == two and len(pickle.dumps(BPE)) < 2 * len(BPE.model)


def test_words_and_unknown_ones() -> None:
    assert words("▁a▁bc") == ["▁a", "▁bc"] and words("a▁▁b") == ["a", "▁", "▁b"] and words("") == []
    assert one_unknown([4, UNK, UNK, 5, 5, UNK], UNK) == [4, UNK, 5, 5, UNK]


def test_sampling_needs_a_generator_and_a_plain_model() -> None:
    with pytest.raises(ValueError, match="`rng` must be given where `sample` is above 0, got None"):
        BPE.encode("a", sample=0.1)

    class Pieces:
        def __len__(self) -> int:
            return 6

        def __getattr__(self, name: str) -> object:
            values = {"is_control": lambda i: i < 3, "is_unknown": lambda i: i == 3, "id_to_piece": str}
            return {**values, "get_score": lambda i: float(4 - i) / 2}[name]

    with pytest.raises(InputError, match="`sample` must be 0 for a model with pieces that are bytes or symbols of a"):
        make_sampler(Pieces())
