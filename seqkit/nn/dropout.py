"""Dropout: of elements, and of one mask a sequence (variational: Gal and Ghahramani 2016, arXiv:1512.05287).

B batch, T time, D width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.nn.kernels import call, usable


class Dropout(nn.Dropout):
    """nn.Dropout that on a CPU draws its masks in parallel, and again for the gradient instead of keeping them."""

    def forward(self, x: Tensor) -> Tensor:
        """In training, x with elements at 0 with probability p, the others divided by 1 - p; else x itself."""
        if not (self.training and 0 < self.p < 1 and usable(x)):
            return super().forward(x)
        kept: Tensor = Masked.apply(x, self.p, *torch.randint(-(2**31), 2**31, (2,)).tolist())
        return kept


class Masked(torch.autograd.Function):
    """x under the mask of two keys, as is its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, *keys: int) -> Tensor:  # type: ignore[override]
        """x with elements at 0, as the two keys say."""
        ctx.p, ctx.keys = p, keys
        return masked(x, p, keys)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        return masked(grad, ctx.p, ctx.keys), None, None, None


def masked(x: Tensor, p: float, keys: tuple[int, ...]) -> Tensor:
    x = x.contiguous()
    kept = torch.empty_like(x)
    call("dropout", x.dtype, x.numel(), *keys, p, x, kept)
    return kept


class VariationalDropout(nn.Module):
    """Variational dropout: one mask a sequence, the same at every time step of (B, T, D)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_BTD: Tensor) -> Tensor:
        """In training, x with each sequence's mask; else x itself."""
        if not self.training or not self.rate:
            return x_BTD
        keep_B1D = torch.rand(len(x_BTD), 1, x_BTD.shape[2], device=x_BTD.device) >= self.rate
        return x_BTD * keep_B1D / (1 - self.rate)
