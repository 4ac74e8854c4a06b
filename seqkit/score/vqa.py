"""Accuracy of answers: whether the whole answer is right, and the consensus accuracy of visual question answering.

- `accuracy`: an answer may be a list, its parts set off by commas. It is right when it has the parts of any reference,
  whatever their order and however often each comes; white space around a part does not count, case does. With one
  reference it is the figure that DAQUAR's script calculate_wups.py (Malinowski and Fritz 2014, arXiv:1410.0210) prints
  at threshold -1. Without punctuation no comma is left, and answers are compared as they stand.
- `vqa_accuracy` (Antol et al. 2015, arXiv:1505.00468): the references are what people answered, ten of them as a rule.
  Each person is left out in turn; an answer that m of the others gave scores min(1, m / 3); the mean is the item's.
  With n people of whom m gave the answer this is (m min(1, (m - 1) / 3) + (n - m) min(1, m / 3)) / n for any n, so that
  a lone reference always scores 0, and three that agree 2/3.

`vqa_accuracy` equals the official script vqaEval.py (github.com/GT-Vision-Lab/VQA) run by Python 3, in two versions:
- `2021`, its present state: in all answers line breaks and tabs become spaces and the ends are stripped. Only where the
  people's answers then differ, all of them and the hypothesis are normalized.
- `2016`, behind most figures published before: the hypothesis is always normalized. The people's answers lose their
  punctuation alone, and only where they differ; so nothing can match a person who wrote `two` or `the cat`.

Normalizing, the same in both, is `normalize_answer`. N items, R corpora.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from seqkit.errors import InputError
from seqkit.score.metric import Array, Metric, References, TextOptions

SCRIPTS = ("2021", "2016")  # versions of the official script
ENOUGH = 3  # people who gave an answer make it right

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_BETWEEN_DIGITS = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_PERIODS = 32  # the script hands the flag re.UNICODE, which is 32, over where the number of replacements goes
_NUMBERS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_ARTICLES = ("a", "an", "the")
_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't
    not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll
    somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd
    there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll
    what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
    won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# A word that lacks one of its apostrophes gets it back. The script's entries with a capital I can never be met, since
# words are in lower case by then; those that change nothing are left out; one takes an apostrophe away.
_CONTRACTIONS = {
    word[:place] + word[place + 1 :]: word
    for word in _CONTRACTED.split()
    for place, character in enumerate(word)
    if character == "'"
} | {"somebody'd": "somebodyd"}


def parts(answer: str) -> list[str]:
    """Splits an answer at commas, without white space at the ends."""
    return [part.strip() for part in answer.split(",")]


def normalize_answer(answer: str) -> str:
    """Normalizes an answer as both versions of the official script do where people's answers differ.

    - Line breaks and tabs become spaces, and the ends are stripped.
    - A punctuation mark vanishes where the answer has it anywhere beside a space, and every mark does where a comma
      stands between digits; else a space takes its place. A period vanishes unless a digit follows, but only the first
      32 do.
      Apostrophes, colons and all that is not ASCII stay.
    - In lower case, `none` and number words to `ten` become digits, articles go, and apostrophes left out of common
      contractions are put back.
    """
    return _plain_words(_without_punctuation(_one_line(answer)))


def soft_scores(answers: Sequence[str]) -> dict[str, float]:
    """Computes soft targets: min(1, count / 3) of every distinct normalized answer to a question."""
    counts = Counter(map(normalize_answer, answers))
    return {answer: min(1.0, count / ENOUGH) for answer, count in counts.items()}


def consensus(answers: Sequence[str], hypothesis: str, script: str = SCRIPTS[0]) -> float:
    """Computes the consensus accuracy of one hypothesis, from 0 to 1, given people's answers.

    Raises InputError for an unknown version of the script; ValueError for no answers.
    """
    if script not in SCRIPTS:
        raise InputError(f"the version of the VQA script must be one of {' '.join(SCRIPTS)}, got {script!r}")
    if not answers:
        raise ValueError("`answers` must hold at least one text, got none")
    if script == "2016":
        hypothesis = normalize_answer(hypothesis)
        people = [_without_punctuation(answer) for answer in answers] if len(set(answers)) > 1 else answers
    else:
        people, hypothesis = [_one_line(answer) for answer in answers], _one_line(hypothesis)
        if len(set(people)) > 1:
            people, hypothesis = [normalize_answer(answer) for answer in people], normalize_answer(hypothesis)
    given = [answer == hypothesis for answer in people]
    everybody = sum(given)
    return sum(min(1.0, (everybody - own) / ENOUGH) for own in given) / len(given)  # summed as the script sums


def _one_line(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(maxsize=2**16)
def _without_punctuation(answer: str) -> str:
    """Removes punctuation; whether a mark leaves a space is decided by the answer as it was given."""
    number = _BETWEEN_DIGITS.search(answer) is not None
    gone = {mark: number or f"{mark} " in answer or f" {mark}" in answer for mark in _MARKS if mark in answer}
    answer = answer.translate({ord(mark): "" if vanishes else " " for mark, vanishes in gone.items()})
    return _PERIOD.sub("", answer, count=_PERIODS)


@lru_cache(maxsize=2**16)
def _plain_words(answer: str) -> str:
    words = (_NUMBERS.get(word, word) for word in answer.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _accuracy_statistics(references: References, hypotheses: Sequence[str], _: TextOptions) -> Array:
    rows = []
    for texts, hypothesis in zip(references, hypotheses, strict=True):
        given = set(parts(hypothesis))
        rows.append([float(any(set(parts(text)) == given for text in texts)), 1.0])
    return np.array(rows)


def _consensus_statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    pairs = zip(references, hypotheses, strict=True)
    return np.array([[consensus(texts, hypothesis, options.vqa_script), 1.0] for texts, hypothesis in pairs])


def mean(sums_R2: Array) -> Array:
    """Computes a mean as a percentage from sums of the items' scores and from their number."""
    mean_R: Array = sums_R2[:, 0] / sums_R2[:, 1]
    return 100 * mean_R


def _accuracy_settings(references: str, options: TextOptions) -> dict[str, str]:
    case = "lc" if options.lowercase else "mixed"
    return {"nrefs": references, "case": case, "match": "set", "refs": "any", "library": "seqkit"}


def _consensus_settings(references: str, options: TextOptions) -> dict[str, str]:
    return {"nrefs": references, "script": options.vqa_script, "library": "seqkit", "equals": "vqaEval"}


ANSWER_METRICS: dict[str, Metric] = {
    "accuracy": Metric(_accuracy_statistics, mean, _accuracy_settings, ("correct", "answers")),
    "vqa_accuracy": Metric(
        _consensus_statistics, mean, _consensus_settings, ("vqa_accuracy_sum", "answers"), lowercases=True
    ),
}
