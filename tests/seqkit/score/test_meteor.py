"""METEOR: its value from counts of the Java program, that program's answers, and what happens where it is missing."""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from seqkit.errors import InputError
from seqkit.score import meteor
from seqkit.score.evaluate import corpus_scores, scores_with_intervals, statistics
from seqkit.score.meteor import METEOR
from seqkit.score.metric import TextOptions

REFERENCES = [["a black dog is running", "a dog runs fast"], ["two men"], [""], ["a cat sits"], ["birds fly", "no"]]
HYPOTHESES = ["a dog is running on the grass", "", "two men", "the cats sat down", "Birds fly."]
# What the program answers to them, and its scores of them: one by one, and of all together.
ANSWERS = (
    "7 5 4 2  2 2 2 2  0 0 0 0  0 0 0 0  0 0 0 0  2 4 4",
    "0 2 0 1  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0",
    "2 0 1 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0",
    "4 3 1 1  0 0 0 0  1 1 0 0  1 1 0 0  0 0 0 0  1 2 2",
    "2 2 0 0  2 2 0 0  0 0 0 0  0 0 0 0  0 0 0 0  1 2 2",
)
SCORES = [0.33817321205120393, 0.0, 0.0, 0.2692902792609083, 1.0]
TOGETHER = 0.3208735655942939


def answering(monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], status: int = 0, fault: str = "") -> None:
    """Puts a program in the place of Java that reads all, prints the lines and ends."""
    program = (
        f"import sys; sys.stdin.read(); print(*{lines!r}, sep=chr(10)); "
        f"print({fault!r}, file=sys.stderr, end=''); sys.exit({status})"
    )
    monkeypatch.setattr(meteor, "_program", lambda: [sys.executable, "-c", program])


def test_values_from_counts_are_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ANSWERS)
    found = statistics(["meteor"], REFERENCES, HYPOTHESES)["meteor"]
    assert found.metric.value(found.statistics_NK) == pytest.approx([100 * score for score in SCORES], rel=1e-14)
    score = scores_with_intervals({"meteor": found})["meteor"]
    assert score.value == pytest.approx(100 * TOGETHER, rel=1e-14) and score.low < score.value < score.high
    assert score.counts["hypothesis_length"] == 15 and score.counts["reference_length"] == 12
    assert score.counts["chunks"] == 3  # that of the perfect hypothesis is left out
    assert score.counts["reference_synonym_content"] == score.counts["hypothesis_stem_content"] == 1
    for part in ("|nrefs:var|", "|case:lc|tok:ptb|", "|norm:yes|", "|version:1.5|library:pycocoevalcap|"):
        assert part in score.signature


def test_a_phrase_may_match_on_the_two_sides_with_different_numbers_of_words() -> None:
    """A paraphrase of three words for two: precision and recall, and the mean of both sides' matches, are by hand."""
    counts = np.zeros(23)
    counts[[0, 1, 16, 17, 20, 21, 22]] = [4, 3, 3, 2, 1, 3, 2]
    precision, recall = 0.6 * 3 / 4, 0.6 * 2 / 3
    expected = precision * recall / (0.85 * precision + 0.15 * recall) * (1 - 0.6 * (1 / 2.5) ** 0.2)
    assert METEOR["meteor"].value(counts[None])[0] == pytest.approx(100 * expected)


def test_all_words_in_another_order_are_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, (ANSWERS[4].replace("1 2 2", "2 2 2"),))
    assert corpus_scores(statistics(["meteor"], [["birds fly"]], ["fly birds"]))["meteor"] == pytest.approx(40)


def test_the_program_is_given_tokens_a_line_an_item(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy, answers = tmp_path / "stdin", ANSWERS[:2]
    program = f"import sys; open({str(copy)!r}, 'wb').write(sys.stdin.buffer.read()); print(*{answers!r}, sep=chr(10))"
    monkeypatch.setattr(meteor, "_program", lambda: [sys.executable, "-c", program])
    statistics(["meteor"], [["A dog's café.", "no"], ["AT&T"]], ["", "It isn't\nred |||"], TextOptions(lowercase=True))
    first, second, _ = copy.read_text(encoding="utf-8").split("\n")
    assert first == "SCORE ||| a dog 's café ||| no ||| "
    assert second == "SCORE ||| at&t ||| it is n't red | | |"


def test_without_java_or_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda _: None)
        with pytest.raises(InputError, match=r"`meteor` must find Java and .* pycocoevalcap, got no `java`: install"):
            statistics(["meteor"], [["a"]], ["a"])
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/java")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"got no package: pip install pycocoevalcap"):
        statistics(["meteor"], [["a"]], ["a"])
    assert not meteor.installed()


def test_it_is_installed_where_there_is_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ANSWERS)
    assert meteor.installed()


def test_a_program_that_fails_is_told_of_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ANSWERS, 1, "trace\nno memory\n")
    with pytest.raises(InputError, match=r"must answer 5 lines and exit with 0, got exit status 1 and no memory$"):
        statistics(["meteor"], REFERENCES, HYPOTHESES)
    answering(monkeypatch, ANSWERS[:3])
    with pytest.raises(InputError, match=r"must answer 5 lines and exit with 0, got exit status 0 and 3 lines$"):
        statistics(["meteor"], REFERENCES, HYPOTHESES)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("java"), reason="needs Java")
def test_the_program_itself_answers_so() -> None:
    pytest.importorskip("pycocoevalcap")
    found = statistics(["meteor"], REFERENCES, HYPOTHESES)
    assert corpus_scores(found)["meteor"] == pytest.approx(100 * TOGETHER, rel=1e-14)
    counts = np.array([[float(number) for number in line.split()] for line in ANSWERS])
    counts[4, 20] = 0
    assert found["meteor"].statistics_NK.tolist() == counts.tolist()
