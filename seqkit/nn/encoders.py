"""Recurrent encoders over padded batches: bidirectional, reversed, pyramidal, residual.

Bidirectional: Schuster and Paliwal 1997. Reversed source: Sutskever et al. 2014, arXiv:1409.3215,
section 3.3. Pyramid: Chan et al. 2015, arXiv:1508.01211, section 3.1. Residual: Wu et al. 2016,
arXiv:1609.08144, section 3.1.

B batch, T input time, S output time, I input width, D output width, L layers, V vocabulary, E embedding width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqkit.nn.dropout import Dropout, VariationalDropout
from seqkit.nn.embedding import Embedding
from seqkit.nn.kernels import usable
from seqkit.nn.kernels.lstm import run_lstm
from seqkit.nn.masks import mask_from_lengths, reverse
from seqkit.nn.recurrent import CellKind, recurrent_layer


class Encoded(NamedTuple):
    """The output of an encoder; states are those after the last position read, directions side by side."""

    values_BSD: Tensor
    lengths_B: Tensor
    h_BLD: Tensor
    c_BLD: Tensor  # width 0 for layers that keep no second state


def join_pairs(values_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbors in time concatenated, (B, ceil(T / 2), 2 I) and ceil(length / 2); zeros behind an odd last one."""
    mask_BT1 = mask_from_lengths(lengths_B, values_BTI.shape[1])[..., None]
    even_BTI = nn.functional.pad(values_BTI.masked_fill(~mask_BT1, 0.0), (0, 0, 0, values_BTI.shape[1] % 2))
    batch, steps, width = even_BTI.shape
    return even_BTI.reshape(batch, steps // 2, 2 * width), (lengths_B + 1) // 2


class RecurrentEncoder(nn.Module):
    """A recurrent encoder: layers of `kind` over sequences of vectors; padding never reaches a real position.

    `hidden_dim` is the width of one direction, `output_dim` D that of the output. `reverse` reads each sequence from
    its end; the output is in the order of the source. The uppermost `pyramid` layers each halve time. `residual` adds
    a layer's input to its output of equal width. `variational`: one dropout mask a sequence.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        num_layers: int = 1,
        *,
        kind: CellKind = "lstm",
        bidirectional: bool = False,
        reverse: bool = False,
        residual: bool = False,
        pyramid: int = 0,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= pyramid < num_layers:
            raise ValueError(f"`pyramid` must be from 0 to num_layers - 1 = {num_layers - 1}, got {pyramid}")
        self.output_dim = hidden_dim * (2 if bidirectional else 1)
        self.kind, self.reverse, self.residual = kind, reverse, residual
        self.first_halving = num_layers - pyramid
        self.layers = nn.ModuleList()
        for i in range(num_layers):
            below = input_dim if i == 0 else self.output_dim
            below *= 2 if i >= self.first_halving else 1
            self.layers.append(recurrent_layer(kind, below, hidden_dim, bidirectional=bidirectional))
        self.dropout = VariationalDropout(dropout) if variational else Dropout(dropout)

    def forward(self, x_BTI: Tensor, lengths_B: Tensor) -> Encoded:
        """Sequences (B, T, I) and lengths, each at least 1, to `Encoded`; raises ValueError for a length below 1."""
        checked = lengths_B.device.type == "cpu" and not torch.compiler.is_compiling()
        if checked and int(lengths_B.min()) < 1:
            raise ValueError(f"`lengths_B` must be >= 1, got {lengths_B.tolist()}")
        x = reverse(x_BTI, lengths_B) if self.reverse else x_BTI
        h, c = [], []
        for i, layer in enumerate(self.layers):
            x = self.dropout(x) if i else x
            if i >= self.first_halving:
                x, lengths_B = join_pairs(x, lengths_B)
            y, h_BD, c_BD = self.run(layer, x, lengths_B)
            h.append(h_BD)
            c.append(c_BD)
            x = x + y if self.residual and x.shape[-1] == y.shape[-1] else y
        return Encoded(reverse(x, lengths_B) if self.reverse else x, lengths_B, torch.stack(h, 1), torch.stack(c, 1))

    def run(self, layer: nn.Module, x_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One layer: values (B, T, D) with zeros at padding, and its final states (B, D)."""
        if self.kind != "lstm" and x_BTI.device.type == "cpu":
            return run_padded(layer, x_BTI, lengths_B)
        if isinstance(layer, nn.LSTM) and usable(x_BTI):
            return run_lstm(layer, x_BTI, lengths_B)
        packed = pack_padded_sequence(x_BTI, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
        y, state = layer(packed)
        values_BTD, _ = pad_packed_sequence(y, batch_first=True, total_length=x_BTI.shape[1])
        h_GBH, c_GBH = state if self.kind == "lstm" else (state, state[..., :0])
        return values_BTD, h_GBH.transpose(0, 1).flatten(1), c_GBH.transpose(0, 1).flatten(1)


def run_padded(layer: nn.Module, x_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A GRU or tanh layer over a padded batch, each direction reading the padding last.

    The same numbers as with packed sequences; on a CPU in about half the time, as one matrix product serves all steps.
    """
    one_direction = torch.gru if isinstance(layer, nn.GRU) else torch.rnn_tanh
    mask_BT1 = mask_from_lengths(lengths_B, x_BTI.shape[1])[..., None]
    values, last = [], []
    for ending in ("", "_reverse")[: 2 if layer.bidirectional else 1]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights: list[Tensor] = [layer.get_parameter(f"{name}_l0{ending}") for name in names]
        read_BTI = reverse(x_BTI, lengths_B) if ending else x_BTI
        first_1BH = x_BTI.new_zeros(1, len(x_BTI), weights[1].shape[1])
        y_BTH, _ = one_direction(read_BTI, first_1BH, weights, True, 1, 0.0, layer.training, False, True)
        last.append(y_BTH[torch.arange(len(x_BTI)), lengths_B - 1])
        values.append(reverse(y_BTH, lengths_B) if ending else y_BTH)
    h_BD = torch.cat(last, -1)
    return torch.cat(values, -1).masked_fill(~mask_BT1, 0.0), h_BD, h_BD[:, :0]


class TextEncoder(nn.Module):
    """A text encoder: embedding, dropout, and `encoder` over them."""

    def __init__(self, embedding: Embedding, encoder: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding, self.encoder, self.dropout = embedding, encoder, Dropout(dropout)

    def forward(self, tokens_BT: Tensor, lengths_B: Tensor) -> Encoded:
        """Ids (B, T) and lengths (B,) to the encoder's values, lengths and last states."""
        encoded: Encoded = self.encoder(self.dropout(self.embedding(tokens_BT)), lengths_B)
        return encoded
