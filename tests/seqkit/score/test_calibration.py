"""Calibration against its definition, which words count as right, and what a report shows of it."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from seqkit.score.calibration import BINS, expected_error, format_calibration, reliability_plot, right_words
from seqkit.score.metric import AS_IT_IS, TextOptions
from seqkit.score.prediction import Word
from seqkit.score.report import Provenance, ScoredItem, format_table, write_report

ABOUT = Provenance("translation", "val", None, "cpu", {"beam": 5, "seconds": 1.0})


def slow_error(pairs: list[tuple[float, float]]) -> float:
    total = 0.0
    for number in range(BINS):
        last = number == BINS - 1
        own = [(p, r) for p, r in pairs if number / BINS <= p < (number + 1) / BINS or (last and p == 1.0)]
        if own:
            total += abs(sum(p for p, _ in own) - sum(r for _, r in own))
    return 100 * total / len(pairs)


@pytest.mark.parametrize("seed", range(4))
def test_the_expected_error_is_the_sum_over_bins(seed: int) -> None:
    draw = random.Random(seed)
    pairs = [(draw.choice([0.0, 1.0, draw.random()]), float(draw.random() < 0.6)) for _ in range(200)]
    found = expected_error(*np.array(pairs).T, of="words")
    assert found["ece"] == pytest.approx(slow_error(pairs)) and found["count"] == 200
    assert sum(row["count"] for row in found["bins"]) == 200
    mean = sum(row["count"] * row["accuracy"] for row in found["bins"]) / 200
    assert found["accuracy"] == pytest.approx(mean) == pytest.approx(sum(r for _, r in pairs) / 2)
    assert found["confidence"] == pytest.approx(sum(p for p, _ in pairs) / 2)


def test_who_is_as_sure_as_right_has_no_error() -> None:
    certain = expected_error(np.array([1.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0]), of="words")
    assert certain["ece"] == 0 and [row["accuracy"] for row in certain["bins"]] == [0, 100]
    half = expected_error(np.array([0.55] * 20), np.array([1.0] * 11 + [0.0] * 9), of="words")
    assert half["ece"] == pytest.approx(0)
    assert expected_error(np.array([0.9]), np.array([0.0]), of="words")["ece"] == pytest.approx(90)
    with pytest.raises(ValueError, match="`probability_N` must hold at least one, got none"):
        expected_error(np.zeros(0), np.zeros(0), of="words")


@pytest.mark.parametrize(
    ("text", "references", "right"),
    [
        ("a dog runs", ["a cat runs"], "1 0 1"),
        ("a dog", ["the dog", "a dog there"], "1 1"),  # of two references with one edit, the longer
        ("dog runs home", ["a dog runs"], "1 1 0"),
        ("A Dog", ["a dog"], "0 0"),
        ("x", [""], "0"),
        ("", ["a"], ""),
    ],
)
def test_a_word_is_right_where_the_closest_reference_has_it(text: str, references: list[str], right: str) -> None:
    found = right_words([Word(word) for word in text.split()], references, AS_IT_IS)
    assert found == [mark == "1" for mark in right.split()]


def test_case_and_punctuation_are_those_of_the_report() -> None:
    words = [Word(word) for word in ["A", "dog", ",", "runs"]]
    assert right_words(words, ["a dog runs"], TextOptions(lowercase=True, punctuation=False)) == [1, 1, 0, 1]


def test_without_spaces_the_characters_of_a_token_must_be_right() -> None:
    words = [Word("今日"), Word("は"), Word("良い"), Word("天気")]
    assert right_words(words, ["今日は悪い天気"], AS_IT_IS) == [True, True, False, True]


def test_a_report_has_it_in_every_form(tmp_path: Path) -> None:
    words = (Word("a", probability=0.95), Word("dog", probability=0.35), Word("runs", probability=0.91))
    items = [ScoredItem("x", ["a cat runs"], "a dog runs", words=words)]
    report = write_report(tmp_path, items, ["wer"], ABOUT)
    found = json.loads((tmp_path / "report.json").read_text())["calibration"]
    assert found == report["calibration"]
    assert (found["of"], found["count"], [row["count"] for row in found["bins"]]) == ("words", 3, [1, 2])
    assert found["ece"] == pytest.approx((35 + 5 + 9) / 3)
    line = "calibration of 3 words: sure 73.7, right 66.7 %, expected calibration error 16.3"
    assert format_calibration(found) == line and line in format_table(report)
    page = (tmp_path / "report.html").read_text()
    assert reliability_plot(found) in page and page.count("<circle") == 2 and "<h2>Calibration</h2>" in page


def test_answers_of_one_choice_are_right_as_their_metric_says(tmp_path: Path) -> None:
    items = [ScoredItem("x", ["yes"], "yes", probability=0.8), ScoredItem("y", ["no"], "yes", probability=0.6)]
    found = write_report(tmp_path, items, ["accuracy"], ABOUT)["calibration"]
    assert (found["of"], found["accuracy"], found["confidence"]) == ("answers", 50, pytest.approx(70))


def test_texts_without_probabilities_have_none(tmp_path: Path) -> None:
    assert write_report(tmp_path, [ScoredItem("x", ["a"], "a")], ["wer"], ABOUT)["calibration"] is None
    assert "Calibration" not in (tmp_path / "report.html").read_text()
