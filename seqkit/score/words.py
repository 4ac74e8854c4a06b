"""The words of a decoded text, from its tokens: how sure each is, and when it is said.

A word is what stands between spaces; in scripts that put none between words, each token is one. Every token belongs to
one word, a space to the word before it, so that the probability of a word is the product of its tokens' probabilities,
each given all tokens before it. The end of the text belongs to none.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from seqkit.score.language import unspaced
from seqkit.score.prediction import Word

Join = Callable[[Iterable[str]], str]


def words_of(
    tokens: Sequence[str],
    join: Join,
    logprobs: Sequence[float] | None = None,
    spans: Sequence[tuple[float, float]] | None = None,
) -> tuple[Word, ...]:
    """The words of `join(tokens)`, with probabilities and times where they are given.

    `logprobs`: of every token, in nats; more are ignored, such as that of the end. `spans`: start and end of every
    token in seconds; a word lasts from its first letter to its last, spaces left out.
    """
    words: list[Word] = []
    totals: list[float] = []
    text, pending, fresh = "", 0.0, True
    for place, _ in enumerate(tokens):
        longer = join(tokens[: place + 1])
        added, before, text = longer[len(text) :], text[-1:], longer
        logprob = logprobs[place] if logprobs is not None else 0.0
        start, end = spans[place] if spans is not None else (None, None)
        letters = added.strip()
        if not letters:
            fresh = fresh or added != ""
            if totals:
                totals[-1] += logprob
            else:
                pending += logprob  # of a space that begins the text
        elif not words or fresh or added[0].isspace() or unspaced(before) or unspaced(letters[0]):
            words.append(Word(letters, start, end))
            totals.append(logprob + pending)
            pending, fresh = 0.0, added[-1].isspace()
        else:
            last = words[-1]
            until = end if last.end is None or end is None else max(last.end, end)
            words[-1], fresh = Word(last.text + letters, last.start, until), added[-1].isspace()
            totals[-1] += logprob
    if logprobs is None:
        return tuple(words)
    return tuple(word._replace(probability=math.exp(total)) for word, total in zip(words, totals, strict=True))


def with_times(words: Sequence[Word], timed: Sequence[Word]) -> tuple[Word, ...]:
    """The words, with the times of the same words in `timed`."""
    return tuple(word._replace(start=own.start, end=own.end) for word, own in zip(words, timed, strict=True))
