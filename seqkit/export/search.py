"""What beam.py has to know of a run's search."""

from collections.abc import Sequence
from typing import Any, Protocol

from seqkit.data.vocab import BOS, EOS

ALONE = (
    "`model.search` ranks by the decoder alone: without language model, hot words, grammar or CTC scores in its beam."
)


class Options(Protocol):
    """The search options of a recipe that writes text by attention."""

    @property
    def beam(self) -> int: ...
    @property
    def length_penalty(self) -> str | None: ...
    @property
    def alpha(self) -> float: ...
    @property
    def max_len(self) -> int: ...
    @property
    def no_repeat_ngram(self) -> int: ...


def search_facts(options: Options, suppress_tokens: Sequence[int]) -> dict[str, Any]:
    """The search as the run's config says; `max_len` 0 is the length that the encoder gives."""
    return {
        "bos": BOS,
        "eos": EOS,
        "suppress": list(suppress_tokens),
        "vocabulary": "target.json",
        "search": {
            "beam": options.beam,
            "length_penalty": options.length_penalty,
            "alpha": options.alpha,
            "max_len": options.max_len,
            "no_repeat_ngram": options.no_repeat_ngram,
        },
    }
