"""Scorers that a search adds to the model's log-probability: coverage penalty, length bonus, language model.

A search takes `scorers=[(scorer, weight), ...]`. With weight w_k and bonus b_k(t) at step t, hypotheses are ranked by
the sum over t of log p(t) + sum over k of w_k b_k(t), to which the length penalty is applied; `logprob` stays the
model's own.

N rows, S source positions, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from seqkit.decode.search import Model, log_softmax
from seqkit.nn.memory import repeat


class Coverage:
    """Coverage penalty: cp = sum over source positions j of log(min(sum over t of a_tj, 1)).

    Wu et al. 2016, arXiv:1609.08144, equation 14, right term, where the weight is called beta; there cp is added
    after the length penalty, here before it. The bonus of step t is cp(t) - cp(t - 1), and cp(0) = 0, so that the
    bonuses of a hypothesis sum to its cp, EOS's attention included. A position whose attention has been exactly 0 at
    every step is padding and counts nothing. `memory` says which of the model's memories.
    """

    def __init__(self, memory: int = 0) -> None:
        self.memory = memory

    def initial_state(self, rows: int, device: torch.device) -> tuple[Tensor, ...]:
        """Attention so far, as wide as the memory from the first step on, and cp so far (N, 1)."""
        return torch.zeros(rows, 1, device=device), torch.zeros(rows, 1, dtype=torch.float64, device=device)

    def step(
        self, token_N: Tensor, weights: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        if len(weights) <= self.memory:
            raise ValueError(f"`memory` must be one of the model's {len(weights)} attentions, got {self.memory}")
        attended_NS = state[0] + weights[self.memory]
        total_N1 = attended_NS.where(attended_NS > 0, 1.0).clamp(max=1.0).double().log().sum(-1, keepdim=True)
        return total_N1 - state[1], (attended_NS, total_N1)


class LengthBonus:
    """Length bonus: 1 a token, EOS counted; with a positive weight hypotheses become longer."""

    def initial_state(self, rows: int, device: torch.device) -> tuple[Tensor, ...]:
        return ()

    def step(
        self, token_N: Tensor, weights: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        return torch.ones(len(token_N), 1, device=token_N.device), state


class LanguageModel:
    """Shallow fusion with a recurrent language model (Gulcehre et al. 2015, arXiv:1503.03535, section 4.1).

    `model` is a decoder without memory and with the same vocabulary; `model.initial_state(())` gives one row.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def initial_state(self, rows: int, device: torch.device) -> Any:
        return repeat(self.model.initial_state(()), rows)

    def step(self, token_N: Tensor, weights: tuple[Tensor, ...], state: Any) -> tuple[Tensor, Any]:
        logits_NV, _, state = self.model.step(token_N, (), state)
        return log_softmax(logits_NV), state
