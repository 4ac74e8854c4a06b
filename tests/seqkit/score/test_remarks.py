"""Remarks: each is made where its value is decided by form, and not beside it."""

from collections.abc import Sequence

import pytest

from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.metric import TextOptions
from seqkit.score.remarks import remarks


def said(names: str, references: Sequence[Sequence[str]], hypotheses: Sequence[str], **options: object) -> list[str]:
    chosen = TextOptions(**options)  # type: ignore[arg-type]
    return remarks(statistics(names.split(","), references, hypotheses, chosen), references, hypotheses, chosen)


LONG, OTHER = ["a cat sits on the mat"], ["two dogs run over green grass"]


@pytest.mark.parametrize(
    ("names", "references", "hypotheses", "options", "remark"),
    [
        ("bleu", [["yes"], ["no"]], ["yes", "no"], {}, "bleu: no hypothesis and no reference has 4 tokens"),
        ("bleu", [LONG, OTHER], ["a cat", "dogs"], {}, "bleu: no hypothesis has 4 tokens"),
        ("bleu2", [["yes"], ["no"]], ["yes it", "no"], {}, "bleu2: no reference has 2 tokens"),
        ("bleu", [LONG] * 100, ["a cat sits ."] * 100, {}, "bleu: 100 hypotheses end in a period after a space"),
        (
            "bleu4",
            [["yes"], ["no"]],
            ["yes", "no"],
            {"tokenizer": "ptb"},
            "bleu4: no hypothesis and no reference has 4",
        ),
        ("cider", [LONG], LONG, {}, "cider: every n-gram is in the references of every item"),
        ("cider", [LONG, LONG], LONG * 2, {}, "cider: every n-gram is in the references of every item"),
        (
            "vqa_accuracy",
            [["a"], ["b"]],
            ["a", "b"],
            {},
            "vqa_accuracy: at most 1 answer a question, so the value cannot",
        ),
        (
            "vqa_accuracy",
            [["a"] * 3, ["b"]],
            ["a", "b"],
            {},
            "at most 3 answers a question, so the value cannot pass 33.33",
        ),
        ("wer", [["猫在这里睡觉"], ["狗"]], ["猫", "狗"], {}, "wer: the references have no spaces between words"),
        (
            "wer",
            [["a\u00a0b"], ["c"]],
            ["a b", "c"],
            {},
            "references of 1 of 2 items (first: 1) are not in NFC with single",
        ),
        (
            "wer",
            [["c"], ["a\u0308"]],
            ["a b", "c"],
            {"raw": True},
            "(first: 2) are not in NFC with single spaces; compared as",
        ),
        ("wer", [[""], [" "]], ["", ""], {}, "all references are empty"),
        ("wer", [["a"]], ["a"], {}, "one item: the intervals"),
        (
            "iou_0.5",
            [["0 0 9 9"]] * 2,
            ["0 0 9 9", "none"],
            {},
            "1 of 2 hypotheses are no boxes left, top, right, bottom",
        ),
        ("iou_0.5", [["0 0 9 9"]] * 2, ["0 0 .5 1"] * 2, {}, "iou_0.5: all hypotheses lie within 0 and 1"),
        (
            "iou_0.5",
            [["20 30 29 39"]] * 2,
            ["20 30 9 9"] * 2,
            {},
            "as left, top, width, height the hypotheses would score 100",
        ),
    ],
)
def test_a_value_that_the_form_decides_is_remarked(
    names: str, references: list[list[str]], hypotheses: list[str], options: dict[str, object], remark: str
) -> None:
    assert [text for text in said(names, references, hypotheses, **options) if remark in text]


@pytest.mark.parametrize(
    ("names", "references", "hypotheses"),
    [
        ("wer,cer,bleu,bleu2,chrf,ter,cider,rouge_l", [LONG, OTHER], [*LONG, *OTHER]),
        ("wer,bleu,cider", [LONG, OTHER], ["x x x x", "x x x x"]),
        ("vqa_accuracy", [["a"] * 10, ["b"] * 9 + ["c"]], ["c", "c"]),
        ("iou_0.5", [["0 0 9 9"]] * 2, ["0 0 9 9", "[0, 1, 2, 3]"]),
        ("iou_0.5", [["0 0 .9 .9"]] * 2, ["0 0 .9 .9", "0.1 0.1 0.2 0.2"]),
        ("bleu,cer", [["猫在这里睡觉"], ["狗在草地上奔跑"]], ["猫在这里", "狗在草地"]),
    ],
)
def test_other_values_are_not(names: str, references: list[list[str]], hypotheses: list[str]) -> None:
    assert said(names, references, hypotheses) == []


def test_what_is_remarked_of_cider_is_so() -> None:
    assert corpus_scores(statistics(["cider"], [LONG, LONG], LONG * 2))["cider"] == 0
    assert corpus_scores(statistics(["cider"], [LONG, OTHER], [*LONG, *OTHER]))["cider"] == pytest.approx(1000)
