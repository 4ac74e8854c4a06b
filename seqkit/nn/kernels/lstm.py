"""LSTM layers as one function of all steps, for training on a CPU.

The same numbers as torch's packed layers, which are the law (to rounding), in less time: the gates are computed in one
pass, and the recurrent weights have one product for their gradient, over all steps at once. Under autocast products are
in bfloat16, cell states and sums in float32.

B batch, T time, I input, G = 4 H gates, H hidden.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqkit.nn.kernels import call


def real_steps(lengths_B: Tensor, steps: int) -> Tensor | None:
    """The mask (T, B) of real positions as bytes; None where all are."""
    if int(lengths_B.min()) >= steps:
        return None
    return (torch.arange(steps)[:, None] < lengths_B).to(torch.uint8)


def run_lstm(layer: nn.LSTM, x_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One LSTM layer over padded sequences: values (B, T, D) with zeros at padding, and the last states (B, D)."""
    steps, values, states = x_BTI.shape[1], [], []
    real_TB = real_steps(lengths_B, steps)
    x_TBI = x_BTI.transpose(0, 1)
    for ending in ("", "_reverse")[: 2 if layer.bidirectional else 1]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weight_GI, weight_GH, bias_G, other_G = (layer.get_parameter(f"{name}_l0{ending}") for name in names)
        gates_TBG = F.linear(x_TBI, weight_GI, bias_G + other_G)
        h_TBH, h_BH, c_BH = LSTMSteps.apply(gates_TBG, weight_GH, real_TB, bool(ending))
        values.append(h_TBH)
        states.append((h_BH, c_BH))
    values_BTD = torch.cat(values, -1).transpose(0, 1)
    if real_TB is not None:
        values_BTD = values_BTD.masked_fill(real_TB.t()[..., None] == 0, 0.0)
    h, c = zip(*states, strict=True)
    return values_BTD, torch.cat(h, -1), torch.cat(c, -1)


class LSTMSteps(torch.autograd.Function):
    """The steps of an LSTM layer as one function, with its gradient."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, gates_TBG: Tensor, weight_GH: Tensor, real_TB: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gates (T, B, G) of the input, to h (T, B, H), and the last h and c (B, H); `reverse` begins at the end."""
        steps, batch, width = gates_TBG.shape
        hidden, dtype = width // 4, gates_TBG.dtype
        gates_TBG, weight_GH = gates_TBG.contiguous(), weight_GH.to(dtype)
        activated_TBG, recurrent_BG = torch.empty_like(gates_TBG), gates_TBG.new_empty(batch, width)
        h_TBH = gates_TBG.new_zeros(steps + 1, batch, hidden)  # before and after every step
        c_TBH = gates_TBG.new_zeros(steps + 1, batch, hidden, dtype=torch.float32)
        for t in reversed(range(steps)) if reverse else range(steps):
            before, after = (t + 1, t) if reverse else (t, t + 1)
            torch.mm(h_TBH[before], weight_GH.t(), out=recurrent_BG)
            call(
                "lstm_forward", dtype, batch, hidden, None if real_TB is None else real_TB[t], gates_TBG[t],
                recurrent_BG, h_TBH[before], hidden, c_TBH[before], activated_TBG[t], h_TBH[after], hidden,
                c_TBH[after],
            )  # fmt: skip
        ctx.saved, ctx.reverse = (activated_TBG, h_TBH, c_TBH, weight_GH, real_TB), reverse
        last = 0 if reverse else steps
        every_TBH = h_TBH[:-1] if reverse else h_TBH[1:]
        return every_TBH.clone(), h_TBH[last].float(), c_TBH[last].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        activated_TBG, h_TBH, c_TBH, weight_GH, real_TB = ctx.saved
        steps, batch, _ = activated_TBG.shape
        hidden, dtype = h_TBH.shape[2], h_TBH.dtype
        outer_TBH = grads[0].float().contiguous()
        dh_BH, dc_BH = grads[1].float().clone(), grads[2].float().clone()
        dgates_TBG, recurrent_BH = torch.empty_like(activated_TBG), h_TBH.new_zeros(batch, hidden)
        for t in range(steps) if ctx.reverse else reversed(range(steps)):
            before, after = (t + 1, t) if ctx.reverse else (t, t + 1)
            call(
                "lstm_backward", dtype, batch, hidden, None if real_TB is None else real_TB[t], activated_TBG[t],
                c_TBH[before], c_TBH[after], recurrent_BH, hidden, outer_TBH[t], dgates_TBG[t], dh_BH, dc_BH,
            )  # fmt: skip
            torch.mm(dgates_TBG[t], weight_GH, out=recurrent_BH)
        inputs_TBH = h_TBH[1:] if ctx.reverse else h_TBH[:-1]
        return dgates_TBG, sum_of_products(dgates_TBG, inputs_TBH), None, None


def sum_of_products(left_TBX: Tensor, right_TBY: Tensor) -> Tensor:
    """The sum over steps and items of the outer products (X, Y): the gradient of a weight, float32."""
    return (left_TBX.flatten(0, 1).t() @ right_TBY.reshape(-1, right_TBY.shape[2])).float()
