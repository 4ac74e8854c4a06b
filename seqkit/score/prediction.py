"""What a trained run says of one input, the same for every recipe."""

from collections.abc import Iterable
from typing import NamedTuple

from seqkit.described import described


class Word(NamedTuple):
    """One word of a prediction; times in seconds where the input has a time axis, probability from 0 to 1."""

    text: str
    start: float | None = None
    end: float | None = None
    probability: float | None = None


@described
class Prediction(NamedTuple):
    """One entry of an n-best list."""

    text: str
    logprob: float
    """of the model alone, in nats, the end of the text included"""
    score: float
    """what the search ranked by: length penalty and scorers included"""
    words: tuple[Word, ...] = ()
    """the words of the text, where times or probabilities are known"""
    box: tuple[float, float, float, float] | None = None
    """left, top, right, bottom in pixels of the upright image (grounding)"""
    probability: float | None = None
    """of an answer among the classes, or of a box among the candidates, from 0 to 1"""
    tokens: tuple[int, ...] = ()
    """ids of the text, without BOS and EOS"""
    cut: bool = False
    """whether the maximum length ended the text"""
    seconds: float | None = None
    """where an input with a time axis ends, on the clock of its words' times"""


def distinct(predictions: Iterable[Prediction], most: int) -> list[Prediction]:
    """Lists at most so many predictions, the first of each text: other tokens may spell the same."""
    found: dict[str, Prediction] = {}
    for prediction in predictions:
        found.setdefault(prediction.text, prediction)
    return list(found.values())[:most]


class Interrupted(KeyboardInterrupt):
    """An interrupt while one input was read, with what was read of it so far."""

    def __init__(self, found: Prediction) -> None:
        super().__init__()
        self.found = found
