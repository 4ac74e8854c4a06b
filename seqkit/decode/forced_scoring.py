"""Forced scoring: the log-probabilities of given targets.

B sentences, T target steps, S source positions, V vocabulary, N hypotheses.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.decode.search import Hypothesis, Model, log_softmax, tensors
from seqkit.nn.memory import select


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


@torch.inference_mode()
def token_logprobs(
    model: Model, memories: Any, found: Sequence[Sequence[Hypothesis]], *, bos: int = 1, eos: int = 2
) -> list[list[list[float]]]:
    """The log-probability of each token of a search's hypotheses given those before it, and last that of EOS.

    `memories` are those of the search, one row for each list of `found`. By the model alone: without scorers, length
    penalty or suppressed tokens. They sum to a hypothesis' `logprob`, without EOS where the maximum length cut it.
    """
    item_N = [item for item, hypotheses in enumerate(found) for _ in hypotheses]
    rows = [hypothesis.tokens for hypotheses in found for hypothesis in hypotheses]
    if not rows:
        return [[] for _ in found]
    longest = max(map(len, rows))
    targets_NT = torch.tensor([[*row, *[eos] * (longest + 1 - len(row))] for row in rows])
    inputs_NT = torch.nn.functional.pad(targets_NT[:, :-1], (1, 0), value=bos)
    device = next(tensors(memories)).device
    index_N, lengths_N = torch.tensor(item_N, device=device), torch.tensor([len(row) + 1 for row in rows])
    inputs_NT, targets_NT, lengths_N = (t.to(device) for t in (inputs_NT, targets_NT, lengths_N))
    scored = iter(score_targets(model, select(memories, index_N), inputs_NT, targets_NT, lengths_N).logprob_BT.tolist())
    return [[next(scored)[: len(h.tokens) + 1] for h in hypotheses] for hypotheses in found]
