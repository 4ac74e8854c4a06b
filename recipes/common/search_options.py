"""The search options that recipes share, and what may form an ensemble."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from torch import Tensor

from seqkit.data.vocab import Vocab
from seqkit.decode import Search
from seqkit.decode.search import LengthPenalty
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range, check_ranges
from seqkit.recipes.common.scorers import ScorerOptions


@described
@dataclass(frozen=True)
class SearchOptions:
    """Beam search, when evaluating and predicting; validation during training is greedy."""

    beam: Annotated[int, Range(min=1)] = 5
    """beam size (Sutskever and Bahdanau: 12; Show and Tell: 3)"""
    length_penalty: LengthPenalty | None = "average"
    """length normalization of scores (Bahdanau: average; Show and Tell: null)"""
    alpha: Annotated[float, Range(min=0)] = 0.6
    """exponent of the wu penalty (Wu et al. 2016: 0.6 to 0.7)"""
    max_len: Annotated[int, Range(min=0)] = 0
    """most tokens of an output; 0: twice the source's and 10 more, or 30 where the source is no text"""
    no_repeat_ngram: Annotated[int, Range(min=0)] = 0
    """n-grams of this size occur once in an output; 0: repeats are allowed"""
    decode_batch_size: Annotated[int, Range(min=1)] = 64
    """items decoded together"""
    scorers: ScorerOptions = ScorerOptions()

    def __post_init__(self) -> None:
        check_ranges(self)

    def search(self, max_len: int | Tensor, nbest: int, **more: Any) -> Search:
        """The library's search; `max_len` is used where this one's is 0. InputError for bad options.

        Of more than one text the search returns all of its beam, as several may spell the same: `distinct` chooses.
        """
        beam = max(self.beam, nbest)
        try:
            return Search(
                beam=beam,
                nbest=1 if nbest == 1 else beam,
                max_len=self.max_len or max_len,
                length_penalty=self.length_penalty,
                alpha=self.alpha,
                no_repeat_ngram=self.no_repeat_ngram,
                **more,
            )
        except ValueError as error:
            raise InputError(str(error)) from error


def check_vocabulary(first: Vocab, other: Vocab, folder: Path) -> None:
    """InputError where the tokens of an ensemble's run are not those of the first."""
    mine, theirs = ([vocab.token(i) for i in range(len(vocab))] for vocab in (first, other))
    if mine != theirs:
        raise InputError(f"an ensemble must have one vocabulary, got {folder}, which has another than the first run")
