"""Times of words: from attention weights, or from the likeliest CTC path that gives the text.

T tokens, S positions of a memory, V vocabulary; in CTC logits T is frames.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.data.vocab import Vocab
from seqkit.decode import token_spans
from seqkit.nn import frames_needed
from seqkit.recipes.lipreading.text_grid import word_spans
from seqkit.score.prediction import Word
from seqkit.score.words import words_of

LEAD = 0.2  # seconds between a character's place of attention and its start and end


def min_frames(ids: Sequence[int]) -> int:
    """Fewest frames that can say a text."""
    return int(frames_needed(torch.tensor([[*ids]], dtype=torch.int64), torch.tensor([len(ids)])))


def words_by_ctc(logits_TV: Tensor, tokens: Sequence[int], vocab: Vocab, seconds: float) -> tuple[Word, ...]:
    """Words of tokens by the likeliest path through logits over so many seconds."""
    if not tokens:
        return ()
    frame = seconds / len(logits_TV)
    spans = token_spans(logits_TV[None], torch.tensor([len(logits_TV)]), [tokens])[0]
    times = [(first * frame, (last + 1) * frame) for first, last in spans]
    return words_of([vocab.token(token) for token in tokens], vocab.join, spans=times)


def words_by_attention(weights_TS: NDArray[np.float32], seconds: float, tokens: Sequence[str]) -> tuple[Word, ...]:
    """Words of characters, each of which is where a stream of so many seconds is attended to on average.

    Where two words overlap, the boundary is in the middle.
    """
    steps = weights_TS.shape[1]
    place_T = weights_TS @ ((np.arange(steps) + 0.5) / steps * seconds)
    spans = [(max(0.0, place - LEAD), min(seconds, place + LEAD)) for place in place_T.tolist()]
    words = words_of(tokens, "".join, spans=spans)
    return tuple(
        word._replace(start=start, end=end) for word, (start, end) in zip(words, word_spans(words), strict=True)
    )
