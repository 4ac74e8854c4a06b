"""Averages of a model's weights over training: what is validated and saved as `best`.

Exponential moving average (EMA) over steps, with decay min(`ema_decay`, (1 + n) / (10 + n)) after n steps so that the
initial weights are soon forgotten; or the mean of the weights at the latest validations (checkpoint averaging: Vaswani
et al. 2017, arXiv:1706.03762, section 6.1). Buffers, such as batch normalization statistics, and frozen parameters
are not averaged.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of `model`'s trainable weights; with `ema_decay` and `average_last` both 0, the weights themselves."""

    def __init__(self, model: nn.Module, *, ema_decay: float = 0.0, average_last: int = 0) -> None:
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.ema_decay = ema_decay
        self.snapshots: deque[list[Tensor]] = deque(maxlen=average_last or 1)
        if ema_decay:
            self.snapshot()

    @torch.no_grad()
    def snapshot(self) -> None:
        """Add a copy of the current weights to the mean; the oldest copy leaves it."""
        self.snapshots.append([weight.detach().clone() for weight in self.weights])

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the moving average after optimizer step number `step`, counted from 1."""
        if self.ema_decay:
            decay = min(self.ema_decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.snapshots[0], list(self.weights), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Context in which the model has the averaged weights; afterwards its own again, bit for bit."""
        if not self.snapshots:
            yield
            return
        with torch.no_grad():
            own = [weight.detach().clone() for weight in self.weights]
            for weight, copies in zip(self.weights, zip(*self.snapshots, strict=True), strict=True):
                weight.copy_(torch.stack(copies).mean(0))
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(self.weights), own)

    def state_dict(self) -> list[list[Tensor]]:
        """The copies of the weights that the average is made of."""
        return list(self.snapshots)

    @torch.no_grad()
    def load_state_dict(self, snapshots: list[list[Tensor]]) -> None:
        """Restore what `state_dict` returned."""
        self.snapshots.clear()
        for tensors in snapshots:
            self.snapshots.append([t.to(w.device, copy=True) for t, w in zip(tensors, self.weights, strict=True)])
