"""Running statistics of batch normalization when a step has several batches, on one process or on many.

In the forward pass every batch is normalized with its own mean and variance. The running statistics, which evaluation
uses, move once a step: toward the mean, over all batches of the step on all processes, of the batches' statistics. So
n processes with one batch each equal one process that accumulates n, as with gradients. A step of one batch on one
process is left to torch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


class StepStatistics:
    """Running statistics of `model` during one step: every batch starts from those before the step."""

    def __init__(self, model: nn.Module) -> None:
        moving = [m for m in model.modules() if isinstance(m, _NormBase) and m.training and m.running_mean is not None]
        self.buffers = [buffer for m in moving for buffer in (m.running_mean, m.running_var) if buffer is not None]
        self.counters = [m.num_batches_tracked for m in moving if m.num_batches_tracked is not None]
        self.start = [buffer.clone() for buffer in [*self.buffers, *self.counters]]
        self.sums = [torch.zeros_like(buffer) for buffer in self.buffers]
        self.batches = torch.zeros(1, device=self.buffers[0].device) if self.buffers else torch.zeros(0)

    @torch.no_grad()
    def after_batch(self) -> None:
        """Add what the forward pass of one batch made of the statistics, and go back to those before the step."""
        if self.buffers:
            torch._foreach_add_(self.sums, self.buffers)
            torch._foreach_copy_([*self.buffers, *self.counters], self.start)
            self.batches += 1

    def to_reduce(self) -> Sequence[Tensor]:
        """Sums over batches, to be summed over processes in place."""
        return [*self.sums, self.batches] if self.buffers else []

    @torch.no_grad()
    def after_step(self) -> None:
        """Set the running statistics to their mean over all batches of the step."""
        if self.buffers:
            torch._foreach_copy_(self.buffers, [total / self.batches for total in self.sums])
            for counter in self.counters:
                counter += 1
