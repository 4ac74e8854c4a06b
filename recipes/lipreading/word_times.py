"""Times of words: from attention weights, or from the likeliest CTC path that gives the text.

T tokens, S positions of a memory, V vocabulary; in CTC logits T is frames.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.data.vocab import Vocab
from seqkit.decode import token_spans
from seqkit.score.prediction import Word

LEAD = 0.2  # seconds between a character's place of attention and its start and end


def word_separator(vocab: Vocab) -> int | None:
    """The token between words; None where tokens are words."""
    return next((number for number in range(len(vocab)) if vocab.token(number) == " "), None)


def words_by_ctc(logits_TV: Tensor, tokens: Sequence[int], vocab: Vocab, seconds: float) -> tuple[Word, ...]:
    """Words of tokens by the likeliest path through logits over so many seconds."""
    if not tokens:
        return ()
    frame = seconds / len(logits_TV)
    spans = token_spans(logits_TV[None], torch.tensor([len(logits_TV)]), [tokens])[0]
    timed = zip(tokens, spans, strict=True)
    spelled = word_separator(vocab) is not None
    return join_tokens(
        ((vocab.token(token), first * frame, (last + 1) * frame) for token, (first, last) in timed), spelled=spelled
    )


def words_by_attention(weights_TS: NDArray[np.float32], seconds: float, tokens: Sequence[str]) -> tuple[Word, ...]:
    """Words of characters, each of which is where a stream of so many seconds is attended to on average."""
    steps = weights_TS.shape[1]
    place_T = weights_TS @ ((np.arange(steps) + 0.5) / steps * seconds)
    spans = ((max(0.0, place - LEAD), min(seconds, place + LEAD)) for place in place_T.tolist())
    return join_tokens(((token, *span) for token, span in zip(tokens, spans, strict=True)), spelled=True)


def join_tokens(tokens: Iterable[tuple[str, float, float]], *, spelled: bool) -> tuple[Word, ...]:
    """Words and their times from tokens and theirs, which are words, or where `spelled` characters and spaces."""
    words: list[Word] = []
    fresh = True
    for token, start, end in tokens:
        if token == " ":
            fresh = True
        elif fresh or not spelled:
            words.append(Word(token, start, end))
            fresh = False
        else:
            text, begin, until = words[-1][:3]
            words[-1] = Word(text + token, begin, max(until or 0.0, end))
    return tuple(words)
