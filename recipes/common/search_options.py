"""What the recipes' searches share: their options, and the runs of an ensemble."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from torch import Tensor

from seqkit.config import at_least_one, load_config
from seqkit.data.vocab import Vocab
from seqkit.decode import Hypothesis, Search
from seqkit.errors import InputError
from seqkit.train import checkpoint

C = TypeVar("C")


@dataclass(frozen=True)
class Decoding:
    """Search, when evaluating and predicting; validation during training is greedy."""

    beam: int = 5
    """hypotheses kept open (Sutskever and Bahdanau: 12; Show and Tell: 3)"""
    length_penalty: Literal["none", "average", "wu"] = "average"
    """how a score makes up for length (Bahdanau: average; Show and Tell: none)"""
    alpha: float = 0.6
    """exponent of the wu penalty (Wu et al. 2016: 0.6 to 0.7)"""
    max_len: int = 0
    """longest output, in tokens; 0: twice its source and 10 more, or 30 where the source is no text"""
    no_repeat_ngram: int = 0
    """no n tokens in a row twice; 0: allowed"""
    ensemble: tuple[Path, ...] = ()
    """further runs over the same vocabulary, whose probabilities are averaged with this run's"""
    batch: int = 64
    """items decoded together"""

    def __post_init__(self) -> None:
        at_least_one(self, "beam", "batch")

    def search(self, max_len: int | Tensor, nbest: int, **more: Any) -> Search:
        """The options of the library's search; `max_len` counts where this one's is 0. InputError for bad ones."""
        try:
            return Search(
                beam=max(self.beam, nbest),
                nbest=nbest,
                max_len=self.max_len or max_len,
                length_penalty=self.length_penalty,
                alpha=self.alpha,
                no_repeat_ngram=self.no_repeat_ngram,
                **more,
            )
        except ValueError as error:
            raise InputError(str(error)) from error


class Written(NamedTuple):
    """What a search made of one input."""

    text: str
    hypothesis: Hypothesis
    cut: bool  # ended by the maximum length and not by the model


def members(config: C, run: Path, search: Decoding) -> Iterator[tuple[C, Path]]:
    """Config and best checkpoint of the run, and of those of its ensemble."""
    for path in (run, *search.ensemble):
        own = config if path == run else load_config(type(config), path / "config.yaml")
        yield own, checkpoint.best_of(path)


def check_vocabulary(first: Vocab, other: Vocab, folder: Path) -> None:
    """InputError where the tokens of an ensemble's run are not those of the first."""
    mine, theirs = ([vocab.token(i) for i in range(len(vocab))] for vocab in (first, other))
    if mine != theirs:
        raise InputError(f"`ensemble` must hold runs over one vocabulary, got {folder}, which has another")
