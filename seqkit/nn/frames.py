"""Packed frames: the real frames of padded clips, one after another, and 3-D convolutions over them.

A 3-D convolution of stride 1 along time is computed as a 2-D one over neighboring frames stacked as channels: the same
numbers, on a CPU up to three times as fast. Before a clip's first frame and after its last it reads zeros, which after
pixel normalization is the mean color.

Pixels are uint8, or floats on the scale from 0 to 1. Initialization: He et al. 2015, arXiv:1502.01852,
weights from N(0, 2 / fan-in), biases 0.

B batch, T time, N real frames of the batch, C channels, H and W pixels, D anything, O output channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqkit.nn.masks import mask_from_lengths


class PackedFrames:
    """The places of the N real frames of a padded batch, in the order in which they are packed."""

    def __init__(self, lengths_B: Tensor, max_len: int) -> None:
        mask_BT = mask_from_lengths(lengths_B, max_len)
        self.shape = mask_BT.shape
        self.clip_N, self.time_N = mask_BT.nonzero(as_tuple=True)
        self.lengths_N = lengths_B[self.clip_N]

    def pack(self, values_BT: Tensor) -> Tensor:
        """(B, T, ...) to (N, ...)."""
        return values_BT[self.clip_N, self.time_N]

    def unpack(self, values_ND: Tensor) -> Tensor:
        """(N, ...) to (B, T, ...), zero at padding."""
        padded_BTD = values_ND.new_zeros(*self.shape, *values_ND.shape[1:])
        return padded_BTD.index_put((self.clip_N, self.time_N), values_ND)

    def windows(self, frames_NCHW: Tensor, span: int) -> Tensor:
        """(N, span C, H, W): each frame with its neighbors in time as channels, zeros beyond the clip."""
        shifted = []
        for offset in range(-(span // 2), span // 2 + 1):
            place_N = self.time_N + offset
            inside_N = (place_N >= 0) & (place_N < self.lengths_N)
            moved_NCHW = frames_NCHW.roll(-offset, 0)
            shifted.append(moved_NCHW.masked_fill(~inside_N[:, None, None, None], 0.0) if offset else moved_NCHW)
        return torch.cat(shifted, 1)


class PixelNorm(nn.Module):
    """Pixel normalization by the mean and standard deviation of each channel, on the scale from 0 to 1.

    Both are buffers and travel in the checkpoint.
    """

    mean_C11: Tensor
    std_C11: Tensor

    def __init__(self, mean: Sequence[float] = (0.5,), std: Sequence[float] = (0.25,)) -> None:
        """Raises ValueError where `mean` and `std` differ in length or a deviation is not above 0."""
        super().__init__()
        if len(mean) != len(std) or min(std, default=0.0) <= 0:
            raise ValueError(f"`mean`, `std` must be as many, each `std` above 0, got {mean} and {std}")
        self.channels = len(mean)
        self.register_buffer("mean_C11", torch.tensor(mean)[:, None, None])
        self.register_buffer("std_C11", torch.tensor(std)[:, None, None])

    def forward(self, frames_NCHW: Tensor) -> Tensor:
        """Normalized frames, channels last in memory; raises ValueError for another number of channels."""
        if frames_NCHW.shape[1] != self.channels:
            raise ValueError(f"`values` must have {self.channels} channels, got {tuple(frames_NCHW.shape)}")
        scale = 255.0 if frames_NCHW.dtype == torch.uint8 else 1.0
        frames_NCHW = frames_NCHW.to(self.mean_C11.dtype, memory_format=torch.channels_last)
        return (frames_NCHW - scale * self.mean_C11) / (scale * self.std_C11)


class TemporalConv(nn.Module):
    """A 3-D convolution over packed frames, of stride 1 and zero padding along time; `span` is its width in frames.

    Its weight (O, span C, H, W) is that of the 3-D one, (O, C, span, H, W), with time before channels.
    """

    def __init__(
        self, channels: int, output: int, kernel: int, *, span: int, stride: int = 1, bias: bool = True
    ) -> None:
        """Raises ValueError for an even `span`."""
        super().__init__()
        if span % 2 == 0:
            raise ValueError(f"`span` must be odd, got {span}")
        self.span = span
        self.conv = nn.Conv2d(span * channels, output, kernel, stride=stride, padding=kernel // 2, bias=bias)

    def forward(self, frames_NCHW: Tensor, frames: PackedFrames) -> Tensor:
        """Packed frames (N, C, H, W) to (N, O, H / stride, W / stride), rounded up."""
        stacked_NCHW = frames.windows(frames_NCHW, self.span) if self.span > 1 else frames_NCHW
        output_NOHW: Tensor = self.conv(stacked_NCHW)
        return output_NOHW


@torch.no_grad()
def kaiming(module: nn.Module) -> None:
    """Kaiming initialization of every convolution and linear map, in place."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                part.bias.zero_()
