"""Accuracy of answers: the official rules by a plain reading of them, published examples, sets, and soft targets."""

import hashlib
import random
import re
from fractions import Fraction

import numpy as np
import pytest

from seqkit.errors import InputError
from seqkit.score import vqa
from seqkit.score.evaluate import corpus_scores, scores_with_intervals, statistics, worst_first
from seqkit.score.metric import TextOptions
from seqkit.score.vqa import SCRIPTS, consensus, normalize_answer, parts, soft_scores

OLD = TextOptions(vqa_script="2016")
WORDS = [
    "a",
    "an",
    "The",
    "none",
    "two",
    "TEN",
    "eleven",
    "1,000",
    "3.5",
    ".5",
    "5.",
    "10:30",
    "u.s.",
    "mr.",
    "red",
    "Red",
    "dont",
    "don't",
    "cat",
    "café",
    "٣,٤",
    "İ",
    "let's",
    "im",
    "twas",
    "couldntve",
    "couldnt've",
]
JOINTS = [" ", " ", "  ", "\n", "\t", ", ", ",", "-", " - ", "/", "; ", "!", "_", ".", "...", "\u00a0", "'", "(", ":"]


def plainly(text: str) -> str:
    """The official rules as they are told, mark by mark and period by period."""
    text = re.sub(r"[\n\t]", " ", text).strip()
    triples = zip(text, text[1:], text[2:], strict=False)
    digits = any(b == "," and a.isdecimal() and c.isdecimal() for a, b, c in triples)
    found, periods = "", 0
    for mark in text:
        if mark in set(';/[]"{}()=+\\_-><@`,?!'):
            found += "" if digits or mark + " " in text or " " + mark in text else " "
        else:
            found += mark
    text, found = found, ""
    for place, mark in enumerate(text):
        if mark == "." and not text[place + 1 : place + 2].isdecimal() and periods < 32:
            periods += 1
        else:
            found += mark
    words = []
    for word in found.lower().split():
        numbers = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        word = str(numbers.index(word)) if word in numbers else "0" if word == "zero" else word
        if word not in ("a", "an", "the"):
            words.append(vqa._CONTRACTIONS.get(word, word))
    return " ".join(words)


def text(draw: random.Random) -> str:
    made = "".join(draw.choice(WORDS) + draw.choice(JOINTS) for _ in range(draw.choice([0, 1, 1, 2, 3])))
    return made + "." * draw.choice([0, 0, 0, 0, 0, 31, 32, 40])


def test_normalizing_is_the_rules_read_plainly() -> None:
    draw = random.Random(0)
    for _ in range(3000):
        answer = text(draw)
        assert normalize_answer(answer) == plainly(answer), repr(answer)


@pytest.mark.parametrize(
    ("answer", "normal"),
    [  # as the official script has it
        ("t-shirt", "t shirt"),
        ("t- shirt", "t shirt"),
        ("a-b - c", "ab c"),
        ("x/y", "x y"),
        ("x/y (z)", "x y z"),
        ("1,000", "1000"),
        ("1,000 x-y", "1000 xy"),
        ("red,blue", "red blue"),
        ("red, blue", "red blue"),
        ("red,blue, x", "redblue x"),
        ("٣,٤", "٣٤"),
        ("3.5", "3.5"),
        (".5", ".5"),
        ("5.", "5"),
        ("u.s.", "us"),
        ("a.1.b", "a.1b"),
        ("." * 40, "." * 8),
        ("10:30", "10:30"),
        ("it's", "it's"),
        ("what?", "what"),
        ("hi!", "hi"),
        ("none", "0"),
        ("zero", "0"),
        ("TEN", "10"),
        ("eleven", "eleven"),
        ("one-two", "1 2"),
        ("one's", "one's"),
        ("The cat", "cat"),
        ("an a the", ""),
        ("a", ""),
        ("a's", "a's"),
        ("", ""),
        ("\tA\n", ""),
        ("x\ny", "x y"),
        ("x-\ty-z", "x yz"),
        ("x-\n", "x"),
        ("-\nx", "x"),
        ("x\u00a0 y", "x y"),
        ("«x» – y…", "«x» – y…"),
        ("İ", "i̇"),
        ("dont", "don't"),
        ("Dont", "don't"),
        ("cant", "can't"),
        ("twas", "'twas"),
        ("oclock", "o'clock"),
        ("couldntve", "couldntve"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("twas.", "'twas"),
        ("yalld've", "yalld've"),
        ("y'alld've", "y'all'd've"),
        ("Im", "im"),
        ("ive", "ive"),
        ("'ow'sat", "'ow's'at"),
        ("lets", "lets"),
        ("let's", "let's"),
        ("somebody'd", "somebodyd"),
        ("somebodyd", "somebodyd"),
        ("its", "its"),
        ("hell", "hell"),
        ("well", "well"),
        ("were", "were"),
    ],
)
def test_normalizing_has_the_scripts_quirks(answer: str, normal: str) -> None:
    assert normalize_answer(answer) == normal


def test_every_contraction_of_the_script_is_known_and_no_other() -> None:
    table = "\n".join(f"{bare} {word}" for bare, word in sorted(vqa._CONTRACTIONS.items()))
    assert len(vqa._CONTRACTIONS) == 114
    assert hashlib.sha256(table.encode()).hexdigest()[:16] == "f2c800b1132e7930"


def test_each_person_is_left_out_in_turn() -> None:
    for people in range(1, 12):
        for same in range(people + 1):
            answers = ["yes"] * same + [f"no {n}" for n in range(people - same)]
            share = lambda m: min(Fraction(1), Fraction(m, 3))  # noqa: E731
            wanted = (same * share(same - 1) + (people - same) * share(same)) / people if same else Fraction(0)
            for script in SCRIPTS:
                assert consensus(answers, "yes", script) == pytest.approx(float(wanted), abs=1e-15)
    assert [consensus(["x"] * n, "x") for n in (1, 2, 3, 4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_published_examples() -> None:
    answers = ["yes"] * 8 + ["no"] * 2
    assert consensus(answers, "no") == pytest.approx(0.6) and consensus(answers, "yes") == 1
    three = ["blue"] * 3 + [f"color {n}" for n in range(7)]
    assert consensus(three, "blue") == pytest.approx(0.9) and consensus(three, "color 3") == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("answers", "hypothesis", "now", "then"),
    [
        (["two"] * 9 + ["3"], "2", 1, 0),
        (["two"] * 9 + ["3"], "two", 1, 0),
        (["2"] * 9 + ["three"], "two", 1, 1),
        (["two"] * 10, "two", 1, 0),
        (["two"] * 10, "2", 0, 0),
        (["2"] * 10, "two", 0, 1),
        (["red"] * 10, "Red.", 0, 1),
        (["Red."] * 10, "Red.", 1, 0),
        (["t-shirt"] * 10, "t-shirt", 1, 0),
        (["t-shirt"] * 9 + ["x"], "t shirt", 1, 1),
        ([" red"] * 9 + ["red\n"], "red", 1, 0),
        ([" red"] * 9 + ["red\n"], "Red", 0, 0),
        (["red\t"] * 10, "red", 1, 0),
        (["Red"] * 9 + ["x"], "red", 1, 0),
        (["the cat"] * 9 + ["cat"], "cat", 1, 0.3),
        (["dont"] * 9 + ["x"], "dont", 1, 0),
        (["red "] * 5 + ["red"] * 5, "red", 1, 1),
        (["red-"] * 5 + ["red"] * 5, "red", 1, 1),
        ([""] * 10, "the", 0, 1),
        ([""] * 10, "", 1, 1),
        (["red", "x"] * 5, "", 0, 0),
        (["red\tx"] * 10, "red x", 1, 0),
    ],
)
def test_the_versions_differ_as_the_scripts_do(answers: list[str], hypothesis: str, now: float, then: float) -> None:
    assert consensus(answers, hypothesis) == consensus(answers, hypothesis, "2021") == pytest.approx(now)
    assert consensus(answers, hypothesis, "2016") == pytest.approx(then)


def test_the_order_of_people_makes_no_difference() -> None:
    draw = random.Random(1)
    for _ in range(200):
        answers = [text(draw) for _ in range(3)] * 3
        shuffled = draw.sample(answers, len(answers))
        for script in SCRIPTS:
            hypothesis = draw.choice([answers[0], text(draw), normalize_answer(answers[1])])
            assert consensus(shuffled, hypothesis, script) == pytest.approx(consensus(answers, hypothesis, script))


def test_a_corpus_scores_the_mean_of_its_items() -> None:
    references, hypotheses = [["two"] * 9 + ["3"], ["yes"] * 8 + ["no"] * 2, ["red"] * 10], ["2", "no", "Red"]
    found = scores_with_intervals(statistics(["vqa_accuracy"], references, hypotheses))["vqa_accuracy"]
    assert found.value == pytest.approx(100 * 1.6 / 3) and found.low < found.value < found.high
    assert found.counts == {"items": 3, "vqa_accuracy_sum": pytest.approx(1.6), "answers": 3}
    assert found.signature.startswith("vqa_accuracy|nrefs:10|script:2021|library:seqkit|equals:vqaEval|text:nfc+space|")
    old = statistics(["vqa_accuracy"], references, hypotheses, OLD)["vqa_accuracy"]
    assert "|script:2016|" in old.signature
    assert list(old.metric.value(old.statistics_NK)) == pytest.approx([0, 60, 100])
    assert list(worst_first(old, references, hypotheses)) == [0, 1, 2]


def test_case_is_the_scripts_own_affair() -> None:
    for lowercase in (False, True):
        found = statistics(["vqa_accuracy"], [["Red"] * 10], ["red"], TextOptions(lowercase=lowercase))
        assert corpus_scores(found) == {"vqa_accuracy": 0} and "case" not in found["vqa_accuracy"].signature
    stripped = statistics(["vqa_accuracy"], [["red"] * 10], ["red."], TextOptions(punctuation=False))["vqa_accuracy"]
    assert stripped.statistics_NK[0, 0] == 1 and "|punct:no|" in stripped.signature


def test_soft_scores_are_thirds_of_the_people() -> None:
    answers = ["Two", "two", "2", "2.", "the cat", "cat", "dont", "x", "", "a"]
    assert soft_scores(answers) == {"2": 1, "cat": 2 / 3, "don't": 1 / 3, "x": 1 / 3, "": 2 / 3}
    assert soft_scores(["x"] * 3) == {"x": 1} and soft_scores([]) == {}


@pytest.mark.parametrize(
    ("reference", "hypothesis", "right"),
    [
        ("book", "book", True),
        ("book", "books", False),
        ("book", "Book", False),
        ("book, lamp", "lamp,book", True),
        ("book, lamp", "lamp , book ", True),
        ("book, book", "book", True),
        ("book", "book, lamp", False),
        ("book, lamp", "book", False),
        ("book lamp", "lamp book", False),
        ("night_stand", "night stand", False),
        ("", "", True),
        ("", " ", True),
        ("book", "", False),
        ("book,", "book", False),
        ("a, b, c", "c, b, a, a", True),
    ],
)
def test_answers_are_equal_as_sets_of_parts(reference: str, hypothesis: str, right: bool) -> None:
    assert corpus_scores(statistics(["accuracy"], [[reference]], [hypothesis])) == {"accuracy": 100 * right}
    assert corpus_scores(statistics(["accuracy"], [[hypothesis]], [reference])) == {"accuracy": 100 * right}


def test_accuracy_is_the_share_of_answers_that_equal_any_reference() -> None:
    references, hypotheses = [["red", "blue"], ["a, b", "c"], ["Red"], ["x"]], ["blue", "b, a", "red", "y"]
    found = scores_with_intervals(statistics(["accuracy"], references, hypotheses))["accuracy"]
    assert found.value == 50 and found.counts == {"items": 4, "correct": 2, "answers": 4}
    assert found.signature.startswith("accuracy|nrefs:var|case:mixed|match:set|refs:any|library:seqkit|text:nfc+space|")
    lower = statistics(["accuracy"], references, hypotheses, TextOptions(lowercase=True))
    assert corpus_scores(lower) == {"accuracy": 75} and "|case:lc|" in lower["accuracy"].signature
    bare = statistics(["accuracy"], [["a, b"]], ["b, a"], TextOptions(punctuation=False))["accuracy"]
    assert np.array_equal(bare.statistics_NK, [[0, 1]]) and "|punct:no|" in bare.signature


def test_parts_of_a_list() -> None:
    assert parts(" bag, garbage_bin ,bag") == ["bag", "garbage_bin", "bag"]
    assert parts("bag") == ["bag"] and parts("") == [""]


def test_faults_are_told() -> None:
    with pytest.raises(InputError, match=r"the version of the VQA script must be one of 2021 2016, got '2015'"):
        statistics(["vqa_accuracy"], [["x"]], ["x"], TextOptions(vqa_script="2015"))
    with pytest.raises(ValueError, match=r"`answers` must hold at least one text, got none"):
        consensus([], "x")
