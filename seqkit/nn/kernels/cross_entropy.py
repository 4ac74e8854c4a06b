"""Cross entropy and its gradient in one pass over the logits, for training on a CPU.

N tokens, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from seqkit.nn.kernels import call


class CrossEntropy(torch.autograd.Function):
    """Cross entropy as one function, with its gradient."""

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, targets_N: Tensor, smoothing: float) -> Tensor:  # type: ignore[override]
        """The sum over tokens, float32, of the cross entropy of logits (N, V), in nats, with label smoothing."""
        logits_NV, targets_N = logits_NV.contiguous(), targets_N.contiguous()
        losses_N, dlogits_NV = torch.empty(len(logits_NV)), torch.empty_like(logits_NV)
        call("cross_entropy", logits_NV.dtype, *logits_NV.shape, logits_NV, targets_N, smoothing, losses_N, dlogits_NV)
        ctx.save_for_backward(dlogits_NV)
        return losses_N.sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (dlogits_NV,) = ctx.saved_tensors
        return (dlogits_NV if grad == 1 else dlogits_NV * grad), None, None
