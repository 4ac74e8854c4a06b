"""Stacked recurrent layers: whole sequences at once, or one step at a time with the same weights.

tanh RNN, LSTM (Hochreiter and Schmidhuber 1997, with forget gates) and GRU (Cho et al. 2014,
arXiv:1406.1078, in the form of cuDNN: the reset gate acts after the recurrent product).

B batch, T time, I input width, L layers, H hidden width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from seqkit.nn.dropout import Dropout

CellKind = Literal["lstm", "gru", "rnn"]
CELLS: dict[CellKind, type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def recurrent_layer(kind: CellKind, input_dim: int, hidden_dim: int, *, bidirectional: bool = False) -> nn.RNNBase:
    """One batch-first layer; raises ValueError for another kind of cell."""
    if kind not in CELLS:
        raise ValueError(f"`kind` must be one of {', '.join(CELLS)}, got {kind!r}")
    layer: nn.RNNBase = CELLS[kind](input_dim, hidden_dim, batch_first=True, bidirectional=bidirectional)
    return layer


class RecurrentStack(nn.Module):
    """Recurrent layers with dropout between them; `residual` adds a layer's input to its output of equal width."""

    def __init__(
        self,
        kind: CellKind,
        input_dim: int,
        hidden_dim: int,
        num_layers: int = 1,
        *,
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        input_dims = [input_dim] + [hidden_dim] * (num_layers - 1)
        self.layers = nn.ModuleList(recurrent_layer(kind, dim, hidden_dim) for dim in input_dims)
        self.kind, self.hidden_dim, self.residual = kind, hidden_dim, residual
        self.cell_dim = hidden_dim if kind == "lstm" else 0  # width of the second state
        self.dropout = Dropout(dropout)

    def zeros(self, like_B: Tensor) -> tuple[Tensor, Tensor]:
        """The zero state (B, L, H) and (B, L, H or 0), with the device and type of `like_B`."""
        shape = (len(like_B), len(self.layers))
        return like_B.new_zeros(*shape, self.hidden_dim), like_B.new_zeros(*shape, self.cell_dim)

    def join(self, x: Tensor, y: Tensor, layer: int) -> Tensor:
        """The input of the next layer: output `y` of layer `layer`, its input `x` added where residual, dropout."""
        y = x + y if self.residual and x.shape[-1] == y.shape[-1] else y
        return self.dropout(y) if layer + 1 < len(self.layers) else y

    def forward(self, x_BTI: Tensor, h_BLH: Tensor, c_BLH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The top layer's outputs (B, T, H) and the states after the last step."""
        x, h, c = x_BTI, [], []
        for i, layer in enumerate(self.layers):
            h_1BH, c_1BH = h_BLH[:, i][None].contiguous(), c_BLH[:, i][None].contiguous()
            if self.kind == "lstm":
                y, (h_1BH, c_1BH) = layer(x, (h_1BH, c_1BH))
            else:
                y, h_1BH = layer(x, h_1BH)
            h.append(h_1BH[0])
            c.append(c_1BH[0])
            x = self.join(x, y, i)
        return x, torch.stack(h, 1), torch.stack(c, 1)

    def step(self, x_BI: Tensor, h_BLH: Tensor, c_BLH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One time step: the top layer's output (B, H) and the new states."""
        x, h, c = x_BI, [], []
        for i, (layer, h_BH, c_BH) in enumerate(zip(self.layers, h_BLH.unbind(1), c_BLH.unbind(1), strict=True)):
            weights = [layer.get_parameter(f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            if self.kind == "lstm":
                h_BH, c_BH = torch.lstm_cell(x, (h_BH, c_BH), *weights)
            else:
                h_BH = (torch.gru_cell if self.kind == "gru" else torch.rnn_tanh_cell)(x, h_BH, *weights)
            h.append(h_BH)
            c.append(c_BH)
            x = self.join(x, h_BH, i)
        return x, torch.stack(h, 1), torch.stack(c, 1)
