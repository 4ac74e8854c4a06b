"""Confusions against a count over jiwer's own alignment, and in their order."""

from collections import Counter

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.score import Confusions, TextOptions, align, confusions
from seqkit.score.error_rate import align_all

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=7).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
def test_counts_are_those_of_jiwers_alignment(corpus: list[tuple[str, str]]) -> None:
    references, hypotheses = [first for first, _ in corpus], [second for _, second in corpus]
    output = jiwer.process_words(references, hypotheses)
    substitutions, insertions, deletions = jiwer.collect_error_counts(output)
    found = confusions(references, hypotheses)

    def one_by_one(counts: dict[tuple[str, ...], int] | dict[str, int]) -> dict[tuple[str, ...], int]:
        """jiwer counts runs of words that are wrong together."""
        total: Counter[tuple[str, ...]] = Counter()
        for run, count in counts.items():
            sides = [side.split() for side in ((run,) if isinstance(run, str) else run)]
            for words in zip(*sides, strict=True):
                total[words] += count
        return dict(total)

    assert {row[:-1]: row[-1] for row in found.substitutions} == one_by_one(substitutions)
    assert {row[:-1]: row[-1] for row in found.deletions} == one_by_one(deletions)
    assert {row[:-1]: row[-1] for row in found.insertions} == one_by_one(insertions)
    assert sum(row[-1] for kind in found for row in kind) == output.substitutions + output.deletions + output.insertions


def test_the_most_frequent_come_first_and_equals_by_the_alphabet() -> None:
    references, hypotheses = ["a b c", "a b c", "d", "e", ["x", "y z"]], ["a x c", "a x", "f", "g", "y z w"]
    found = confusions(references, hypotheses)
    assert found == Confusions([("b", "x", 2), ("d", "f", 1), ("e", "g", 1)], [("c", 1)], [("w", 1)])
    assert confusions(references, hypotheses, most=1).substitutions == [("b", "x", 2)]
    assert confusions(["ab"], ["ac"], unit="character").substitutions == [("b", "c", 1)]
    assert confusions(["A, b"], ["a b"], TextOptions(lowercase=True, punctuation=False)) == Confusions([], [], [])
    with pytest.raises(ValueError, match="`hypotheses` must be one an item of 1 items, got 2"):
        confusions(["a"], ["a", "b"])


def test_alignments_of_many_items_are_those_of_each() -> None:
    references, hypotheses = [["a b", "a c"], ["d e f"]], ["a c", "d f"]
    assert align_all(references, hypotheses) == [align(*item) for item in zip(references, hypotheses, strict=True)]
