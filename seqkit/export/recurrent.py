"""Recurrent layers as the operators of ONNX, which take lengths, so that no exporter unrolls or freezes their time.

The weights are kept in ONNX's order of gates. A sequence of length 0 gives zeros and keeps its initial state,
of which onnxruntime would make zeros.

T time, B batch, I input width, H hidden width, G directions, N gates.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}  # of torch, in the order of ONNX


@torch.library.custom_op("seqkit::onnx_recurrent", mutates_args=())
def _recurrent(
    x_TBI: Tensor, weights: list[Tensor], lengths_B: Tensor, first: list[Tensor], kind: str, hidden: int
) -> list[Tensor]:
    """A node of the graph: outputs (T, G, B, H) and the last states (G, B, H); it has no other implementation."""
    raise NotImplementedError("exists in exported graphs only")


@_recurrent.register_fake
def _shapes(
    x_TBI: Tensor, weights: list[Tensor], lengths_B: Tensor, first: list[Tensor], kind: str, hidden: int
) -> list[Tensor]:
    time, batch = x_TBI.shape[:2]
    return [x_TBI.new_empty(time, len(weights[0]), batch, hidden), *(torch.empty_like(state) for state in first)]


def _to_onnx(x: Any, weights: Sequence[Any], lengths: Any, first: Sequence[Any], kind: str, hidden: int) -> Any:
    from onnxscript import opset20

    options: dict[str, Any] = {"hidden_size": hidden}
    if weights[0].shape[0] == 2:
        options["direction"] = "bidirectional"
    if kind == "GRU":
        options["linear_before_reset"] = 1
    return getattr(opset20, kind)(x, *weights, lengths, *first, **options)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What the exporter must know."""
    return {torch.ops.seqkit.onnx_recurrent.default: _to_onnx}


class OnnxRecurrent(nn.Module):
    """One recurrent layer of torch, batch first, as an operator of ONNX."""

    w: Tensor
    r: Tensor
    b: Tensor

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.kind = {nn.LSTM: "LSTM", nn.GRU: "GRU", nn.RNN: "RNN"}[type(layer)]
        self.hidden, self.directions = layer.hidden_size, 2 if layer.bidirectional else 1
        self.states = 2 if self.kind == "LSTM" else 1
        self.register_buffer("w", self._stacked(layer, "weight_ih"))
        self.register_buffer("r", self._stacked(layer, "weight_hh"))
        self.register_buffer("b", torch.cat([self._stacked(layer, name) for name in ("bias_ih", "bias_hh")], 1))

    def _stacked(self, layer: nn.RNNBase, name: str) -> Tensor:
        """A parameter (G, N H, …) of all directions."""
        gates = GATES[self.kind]
        parts = [
            layer.get_parameter(f"{name}_l0{ending}").detach().chunk(len(gates))
            for ending in ("", "_reverse")[: self.directions]
        ]
        return torch.stack([torch.cat([own[gate] for gate in gates]) for own in parts])

    def forward(
        self, x_BTI: Tensor, lengths_B: Tensor | None = None, first: Sequence[Tensor] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """Outputs (B, T, G H), zero at padding, and the last states (G, B, H); `first` states are zeros by default."""
        batch, time = x_BTI.shape[:2]
        all_real = lengths_B is None
        if lengths_B is None:
            lengths_B = torch.full((batch,), time)
        zeros_GBH = x_BTI.new_zeros(self.directions, batch, self.hidden)
        states = list(first) or [zeros_GBH] * self.states
        made = torch.ops.seqkit.onnx_recurrent(
            x_BTI.transpose(0, 1), [self.w, self.r, self.b], lengths_B.to(torch.int32), states, self.kind, self.hidden
        )
        last = made[1:]
        if first and not all_real:
            empty_1B1 = (lengths_B == 0)[None, :, None]
            last = [torch.where(empty_1B1, before, after) for before, after in zip(states, last, strict=True)]
        return made[0].permute(2, 0, 1, 3).flatten(2), last
