"""Error rates against jiwer, against a plain dynamic program, and where the definition leaves a choice."""

from importlib import metadata

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqkit
from seqkit.score.error_rate import align, edit_counts, errors
from seqkit.score.evaluate import corpus_scores, score, scores_with_intervals, statistics
from seqkit.score.metric import TextOptions

TEXTS = st.one_of(
    st.text(alphabet=" ab\té日́'.\u2028\u00a0", max_size=12),
    st.lists(st.sampled_from(["the", "cat", "sat", "Łódź", "猫", "naïve", "a"]), max_size=8).map(" ".join),
)
CORPORA = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6)


def rates(references: list[list[str]], hypotheses: list[str]) -> dict[str, float]:
    return corpus_scores(statistics(["wer", "cer"], references, hypotheses))


def distance(first: list[str], second: list[str]) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        above, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@settings(max_examples=150, deadline=None)
@given(CORPORA)
def test_rates_and_counts_are_those_of_jiwer(corpus: list[tuple[str, str]]) -> None:
    references, hypotheses = [r for r, _ in corpus], [h for _, h in corpus]
    found = score("wer,cer", references, hypotheses, TextOptions(raw=True), resamples=1)
    for name, output in (
        ("wer", jiwer.process_words(references, hypotheses)),
        ("cer", jiwer.process_characters(references, hypotheses)),
    ):
        rate = output.wer if isinstance(output, jiwer.WordOutput) else output.cer
        assert found[name].value == 100 * rate
        assert found[name].counts == {
            "items": len(corpus),
            "substitutions": output.substitutions,
            "deletions": output.deletions,
            "insertions": output.insertions,
            "hits": output.hits,
            "reference_length": sum(map(len, output.references)),
        }


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=4), TEXTS), min_size=1, max_size=4))
def test_of_several_references_the_closest_counts(corpus: list[tuple[list[str], str]]) -> None:
    counts_N5 = edit_counts([r for r, _ in corpus], [h for _, h in corpus], "word")
    for (references, hypothesis), counts in zip(corpus, counts_N5, strict=True):
        tokens = [jiwer.wer_default([text])[0] for text in (*references, hypothesis)]
        ranked = [(distance(words, tokens[-1]), -len(words)) for words in tokens[:-1]]
        assert (counts[:3].sum(), -counts[4]) == min(ranked)
        pairs = align(references, hypothesis)
        assert errors(pairs) == min(ranked)[0]
        assert [word for word, _ in pairs if word is not None] == tokens[ranked.index(min(ranked))]
        assert [word for _, word in pairs if word is not None] == tokens[-1]


def test_edits_are_summed_over_the_corpus_before_dividing() -> None:
    assert rates([["a"], ["a b c"]], ["b", "a b c"])["wer"] == 25.0


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wer", "cer"),
    [
        ("", "", 0, 0),
        ("", "ab c", 200, 400),
        ("ab c", "", 100, 100),
        (" ", "", 0, 0),
        ("a", "a", 0, 0),
        ("a", "b c", 200, 300),
    ],
)
def test_empty_and_one_word_texts(reference: str, hypothesis: str, wer: float, cer: float) -> None:
    assert rates([[reference]], [hypothesis]) == {"wer": wer, "cer": cer}
    assert wer == 100 * jiwer.wer(reference, hypothesis)


def test_an_empty_reference_among_others_adds_only_its_insertions() -> None:
    assert rates([["a b"], [""]], ["a b", "c"])["wer"] == 50.0


def test_of_equally_close_references_the_longest_then_the_first() -> None:
    assert edit_counts([["a b", "a b c d"]], ["a b c"], "word").tolist() == [[0, 1, 0, 3, 4]]
    assert align(["a x", "a y"], "a z") == [("a", "a"), ("x", "z")]


def test_characters_are_code_points_and_alignments_name_each_edit() -> None:
    assert align(["né"], "ne\u0301", "character") == [("n", "n"), (None, "e"), ("é", "\u0301")]
    assert align(["a b"], "b") == [("a", None), ("b", "b")]


def test_options_change_both_texts_and_the_signature() -> None:
    names, references, hypotheses = ["wer", "cer"], [["Yes, it's — fine."]], ["yes its fine"]
    found = scores_with_intervals(
        statistics(names, references, hypotheses, TextOptions(lowercase=True, punctuation=False))
    )
    assert [score.value for score in found.values()] == [0.0, 0.0]
    assert "|case:lc|" in found["wer"].signature and "|punct:no|" in found["wer"].signature
    plain = scores_with_intervals(statistics(names, references, hypotheses))
    assert plain["wer"].value > 0
    assert "|case:mixed|" in plain["wer"].signature and "|punct:yes|" in plain["wer"].signature
    assert f"|version:{metadata.version('jiwer')}|" in plain["wer"].signature
    assert plain["wer"].signature.endswith(f"|seqkit:{seqkit.__version__}")


def test_the_signature_counts_references() -> None:
    assert "|nrefs:2|" in statistics(["wer"], [["a", "b"]], ["a"])["wer"].signature
    assert "|nrefs:var|" in statistics(["wer"], [["a", "b"], ["c"]], ["a", "c"])["wer"].signature


def test_counts_are_one_row_an_item() -> None:
    assert np.array_equal(edit_counts([["a b"], ["c"]], ["a", "c d"], "word"), [[0, 1, 0, 1, 2], [0, 0, 1, 1, 1]])
