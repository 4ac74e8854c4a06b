"""Averages of a model's weights over training, which are validated and kept in its place.

Either an exponential moving average over steps, its decay held at (1 + n) / (10 + n) while n steps are few so that the
start is forgotten, or the mean of the weights at the latest few validations (checkpoint averaging; Vaswani et al.
2017, section 6.1). Buffers, such as the statistics of batch normalisation, and frozen weights stay the model's own.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of `model`'s weights as it trains; with `ema` and `last` both 0, the weights themselves."""

    def __init__(self, model: nn.Module, *, ema: float = 0.0, last: int = 0) -> None:
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.ema = ema
        self.kept: deque[list[Tensor]] = deque(maxlen=last or 1)
        self.last = last
        if ema:
            self.keep()

    @torch.no_grad()
    def keep(self) -> None:
        """Take a copy of the present weights into the mean of the latest."""
        self.kept.append([weight.detach().clone() for weight in self.weights])

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move the moving average towards the weights after step number `step`, counted from 1."""
        if self.ema:
            decay = min(self.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.kept[0], list(self.weights), 1 - decay)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within, the model has the averaged weights; afterwards its own again, to the bit."""
        if not self.kept:
            yield
            return
        with torch.no_grad():
            own = [weight.detach().clone() for weight in self.weights]
            for weight, copies in zip(self.weights, zip(*self.kept, strict=True), strict=True):
                weight.copy_(torch.stack(copies).mean(0))
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(self.weights), own)

    def state_dict(self) -> list[list[Tensor]]:
        return list(self.kept)

    @torch.no_grad()
    def load_state_dict(self, kept: list[list[Tensor]]) -> None:
        self.kept.clear()
        for tensors in kept:
            self.kept.append([t.to(w.device, copy=True) for t, w in zip(tensors, self.weights, strict=True)])
