"""Forced scoring: the log-probabilities of given targets.

B sentences, T target steps, S source positions, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.decode.search import Model, log_softmax


class ForcedScores(NamedTuple):
    """The log-probabilities of given targets, in nats, and the attention."""

    logprob_BT: Tensor  # of each token, 0 after a sentence's end
    total_B: Tensor  # float64; what a search reports as `logprob`
    weights: tuple[Tensor, ...]  # one attention (B, T, S) a memory


def score_targets(
    model: Model, memories: Any, inputs_BT: Tensor, targets_BT: Tensor, lengths_B: Tensor, *, state: Any = None
) -> ForcedScores:
    """Score targets by teacher forcing; `inputs_BT` begins with BOS, the first `lengths_B` of `targets_BT` count.

    `state`: instead of `model.initial_state(memories)`. Gradients flow; use `torch.no_grad()` where none are
    wanted.
    """
    state = model.initial_state(memories) if state is None else state
    columns, attentions = [], []
    for input_B, target_B in zip(inputs_BT.unbind(1), targets_BT.unbind(1), strict=True):
        logits_BV, weights, state = model.step(input_B, memories, state)
        columns.append(log_softmax(logits_BV).gather(1, target_B[:, None]))
        attentions.append(weights)
    real_BT = torch.arange(targets_BT.shape[1], device=targets_BT.device) < lengths_B[:, None]
    logprob_BT = torch.cat(columns, 1).where(real_BT, 0.0)
    weights_of = tuple(torch.stack(w, 1) for w in zip(*attentions, strict=True))
    return ForcedScores(logprob_BT, logprob_BT.double().sum(1), weights_of)
