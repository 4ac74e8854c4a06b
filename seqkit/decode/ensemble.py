"""Ensembles: the averaged predictions of several models, searched as one.

M models, B rows, S source positions, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from seqkit.decode.search import Model, log_softmax


class Ensemble:
    """An ensemble of `models` with one vocabulary; memories and states are tuples of the members'.

    `mean` is over the members' probabilities, or over their log-probabilities (the geometric mean). Attention weights
    are the members' mean where their shapes agree, else none.
    """

    def __init__(
        self, models: Sequence[Model], *, mean: Literal["probability", "log_probability"] = "probability"
    ) -> None:
        if not models:
            raise ValueError("`models` must be at least one, got none")
        if mean not in ("probability", "log_probability"):
            raise ValueError(f"`mean` must be probability or log_probability, got {mean!r}")
        self.models, self.mean = tuple(models), mean
        self.shares_memories = all(getattr(model, "shares_memories", False) for model in models)

    def initial_state(self, memories: Any) -> tuple[Any, ...]:
        return tuple(model.initial_state(memory) for model, memory in zip(self.models, memories, strict=True))

    def step(self, token_B: Tensor, memories: Any, state: Any) -> tuple[Tensor, tuple[Tensor, ...], tuple[Any, ...]]:
        """Logits (B, V), up to a constant the logarithm of the mean; the attention weights; the next state."""
        members = zip(self.models, memories, state, strict=True)
        logits, weights, states = zip(*(model.step(token_B, *own) for model, *own in members), strict=True)
        if len(logits) == 1:
            return logits[0], weights[0], states
        logprob_MBV = torch.stack([log_softmax(logits_BV) for logits_BV in logits])
        mean_BV = logprob_MBV.logsumexp(0) if self.mean == "probability" else logprob_MBV.mean(0)
        same = len({tuple(w.shape for w in own) for own in weights}) == 1
        return mean_BV, tuple(sum(w) / len(w) for w in zip(*weights, strict=True)) if same else (), states
