"""The plain path of a model, for export: a copy whose parts that no graph can hold are replaced by equal ones.

Recurrent layers become operators of ONNX that take lengths in the place of packed sequences; frames are computed in
their padded places in the place of packed ones; a decoder reads all hypotheses of an item as queries of one memory.

B batch, K hypotheses, T time, D width, L layers, H hidden width, Q query width.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from unittest.mock import patch

import torch
from torch import Tensor, nn

from seqkit.export.recurrent import OnnxRecurrent
from seqkit.nn import frames, frontends, fusion
from seqkit.nn.bilinear import CompactBilinear
from seqkit.nn.decoder import Decoder
from seqkit.nn.encoders import RecurrentEncoder
from seqkit.nn.masks import mask_from_lengths
from seqkit.nn.memory import Memory, State, map_rows
from seqkit.nn.recurrent import RecurrentStack


def plain_copy(model: nn.Module) -> nn.Module:
    """A copy of `model` on the CPU, in evaluation mode and float32, that can be exported."""
    made = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    for part in list(made.modules()):
        if isinstance(part, RecurrentEncoder):
            part.__class__ = PlainEncoder
            part.layers = nn.ModuleList(OnnxRecurrent(layer) for layer in part.layers)  # type: ignore[arg-type]
        elif isinstance(part, RecurrentStack):
            part.__class__ = PlainStack
            part.whole = nn.ModuleList(OnnxRecurrent(layer) for layer in part.layers)  # type: ignore[arg-type]
        elif isinstance(part, Decoder):
            part.__class__ = PlainDecoder
        elif isinstance(part, CompactBilinear):
            part.__class__ = PlainCompactBilinear
    return made


@contextmanager
def plain_functions() -> Iterator[None]:
    """Within it the library's functions are those of the plain path."""
    with patch.object(frontends, "PackedFrames", PaddedFrames), patch.object(fusion, "signed_sqrt", signed_sqrt):
        yield


def signed_sqrt(x: Tensor) -> Tensor:
    """sign(x) sqrt(|x|)."""
    return x.sign() * x.abs().sqrt()


class PlainEncoder(RecurrentEncoder):
    """A recurrent encoder of ONNX's layers."""

    def run(self, layer: nn.Module, x_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values_BTD, states = layer(x_BTI, lengths_B)
        h_BD, *rest = (state_GBH.transpose(0, 1).flatten(1) for state_GBH in states)
        return values_BTD, h_BD, rest[0] if rest else h_BD[:, :0]


class PlainStack(RecurrentStack):
    """Recurrent layers whose whole sequences are ONNX's layers."""

    whole: nn.ModuleList

    def forward(self, x_BTI: Tensor, h_BLH: Tensor, c_BLH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The top layer's outputs (B, T, H) and the states after the last step."""
        x, h, c = x_BTI, [], []
        for i, layer in enumerate(self.whole):
            first = [state_BLH[:, i][None] for state_BLH in (h_BLH, c_BLH)]
            y, states = layer(x, None, first if self.kind == "lstm" else first[:1])
            h.append(states[0][0])
            c.append(states[-1][0] if self.kind == "lstm" else c_BLH[:, i])
            x = self.join(x, y, i)
        return x, torch.stack(h, 1), torch.stack(c, 1)


class PlainDecoder(Decoder):
    """A decoder whose memories each serve `shared` neighboring rows."""

    shared: int | torch.SymInt = 1

    def attend_once(
        self, query_BQ: Tensor, memories: tuple[Memory, ...], state: State
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The context (B, D) and weights (B, S) of each memory for one query."""
        shared = self.shared
        if any(attention.sequential for attention in self.attentions):
            memories, shared = map_rows(lambda part: spread(part, self.shared), memories), 1
        attended = self.attend(query_BQ.view(-1, shared, query_BQ.shape[1]), memories, state)
        return [context.flatten(0, 1) for context, _ in attended], [weights.flatten(0, 1) for _, weights in attended]


def spread(part_B: Tensor, times: int | torch.SymInt) -> Tensor:
    """Every row so many times, copies side by side; exported, `repeat_interleave` would fix their number."""
    batch, *rest = part_B.shape
    return part_B[:, None].expand(batch, times, *rest).flatten(0, 1)


class PlainCompactBilinear(CompactBilinear):
    """Compact bilinear pooling of all positions at once."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Tensors (..., D1), (..., D2), … whose leading dimensions broadcast, to (..., output_dim)."""
        spectra = []
        for x, sketch in zip(inputs, self.sketches, strict=True):
            bucket_D, sign_D = sketch.hash_2D.unbind(0)  # type: ignore[operator]
            matrix_Dd = torch.zeros(len(bucket_D), self.output_dim)
            matrix_Dd[torch.arange(len(bucket_D)), bucket_D] = sign_D.float()
            spectra.append(torch.fft.fft(x @ matrix_Dd))
        pooled: Tensor = torch.fft.ifft(reduce(torch.mul, spectra)).real
        return pooled


class PaddedFrames(frames.PackedFrames):
    """The places of all frames of a padded batch, those of padding too, which change no other."""

    def __init__(self, lengths_B: Tensor, max_len: int) -> None:
        batch = lengths_B.shape[0]
        self.mask_BT = mask_from_lengths(lengths_B, max_len)
        self.shape = torch.Size((batch, max_len))
        self.clip_N = torch.arange(batch)[:, None].expand(batch, max_len).flatten()
        self.time_N = torch.arange(max_len)[None].expand(batch, max_len).flatten()
        self.lengths_N = lengths_B[:, None].expand(batch, max_len).flatten()

    def pack(self, values_BT: Tensor) -> Tensor:
        """(B, T, ...) to (B T, ...)."""
        return values_BT.flatten(0, 1)

    def unpack(self, values_ND: Tensor) -> Tensor:
        """(B T, ...) to (B, T, ...), zero at padding."""
        padded_BTD = values_ND.reshape(*self.shape, *values_ND.shape[1:])
        outside = ~self.mask_BT.reshape(*self.shape, *[1] * (padded_BTD.dim() - 2))
        return padded_BTD.masked_fill(outside, 0.0)
