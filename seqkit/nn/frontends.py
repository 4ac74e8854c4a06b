"""Front ends: from video frames or acoustic features to the vectors that a recurrent encoder reads.

Each takes values (B, T, ...) and lengths (B,), and returns features (B, S, D), zero at padding, and their lengths (B,).
`output_dim` is D. Over video S = T; front ends over features may shorten time.

| class | source | input | D |
|---|---|---|---|
| VggM | Watch: Chung et al. 2017, arXiv:1611.05358, section 2.1 | gray 120 x 120, windows of five frames | 512 |
| Stcnn | LipNet: Assael et al. 2016, arXiv:1611.01599, section 3.3 | color 50 x 100 | 1728 |
| ResNet | Stafylakis and Tzimiropoulos 2017, arXiv:1703.04105, section 3 | gray 112 x 112 | 512 |
| LinearFrontEnd | Wand et al. 2016, arXiv:1601.08188, section 3 | any | any |
| FrameStacking | Sak et al. 2015, arXiv:1507.06947, section 3: neighbors concatenated, fewer steps | features | any |
| ConvSubsampling | strided convolutions over time | features | any |

Video is processed as packed frames (N, C, H, W): padding costs no time and changes nothing, and the batch statistics of
batch norm are those of real frames. A window over several frames is computed once a frame.

B batch, T input time, S output time, D output width, I input width; N real frames of the batch, C channels, H and W
pixels.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqkit.nn.frames import PackedFrames, PixelNorm, TemporalConv, kaiming
from seqkit.nn.masks import mask_from_lengths


class VggM(nn.Module):
    """VGG-M (Chatfield et al. 2014, arXiv:1405.3531, table 1) over windows of `span` frames: one vector a frame.

    | conv1 | pool | conv2 | pool | conv3, 4, 5 | pool | fc6 |
    |---|---|---|---|---|---|---|
    | 96, 3 x 3, halve | halve | 256, 5 x 5, halve | halve | 512, 3 x 3 | halve | D |

    "Halve" is stride 2; pools are 3 x 3. Different from VGG-M: conv1 of 3 x 3 (7 x 7 there, for images of 224 pixels);
    padding such that each side is halved, rounded up (120, 60, 30, 15, 8, 4); batch norm instead of local response
    normalization. `width` scales all channels but D; `size` is (height, width) in pixels.
    """

    def __init__(
        self,
        pixels: PixelNorm,
        *,
        size: tuple[int, int] = (120, 120),
        width: float = 1.0,
        span: int = 5,
        output_dim: int = 512,
    ) -> None:
        super().__init__()
        one, two, three = (max(1, round(width * channels)) for channels in (96, 256, 512))
        self.pixels, self.output_dim = pixels, output_dim
        self.conv1 = TemporalConv(pixels.channels, one, 3, span=span, stride=2, bias=False)
        self.rest = nn.Sequential(
            nn.BatchNorm2d(one),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(one, two, 5, 2, 2, bias=False),
            nn.BatchNorm2d(two),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(two, three, 3, 1, 1, bias=False),
            nn.BatchNorm2d(three),
            nn.ReLU(),
            nn.Conv2d(three, three, 3, 1, 1, bias=False),
            nn.BatchNorm2d(three),
            nn.ReLU(),
            nn.Conv2d(three, three, 3, 1, 1, bias=False),
            nn.BatchNorm2d(three),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Flatten(),
            nn.Linear(three * math.prod(-(-side // 32) for side in size), output_dim),
            nn.ReLU(),
        )
        kaiming(self)

    def forward(self, values_BTCHW: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, C, H, W) and lengths to features (B, T, D) and the same lengths."""
        frames = PackedFrames(lengths_B, values_BTCHW.shape[1])
        pixels_NCHW = self.pixels(frames.pack(values_BTCHW))
        return frames.unpack(self.rest(self.conv1(pixels_NCHW, frames))), lengths_B


class Stcnn(nn.Module):
    """STCNN, LipNet's front end: spatiotemporal convolutions, each with ReLU, channel dropout and 2 x 2 max pooling.

    The first convolution has stride 2 in space. Dropout zeroes a channel of a whole clip. `span` 1 is the paper's
    Baseline-2D, single frames. `batch_norm` before each ReLU is not in the paper.
    """

    def __init__(
        self,
        pixels: PixelNorm,
        channels: Sequence[int] = (32, 64, 96),
        *,
        kernels: Sequence[int] = (5, 5, 3),
        size: tuple[int, int] = (50, 100),
        span: int = 3,
        dropout: float = 0.5,
        batch_norm: bool = False,
    ) -> None:
        """Raises ValueError where `channels` and `kernels` differ in length, or `size` is too small."""
        super().__init__()
        if len(channels) != len(kernels):
            raise ValueError(f"`kernels` must be as many as `channels`, got {kernels} and {channels}")
        height, width = ((side + 1) // 2 >> len(channels) for side in size)
        if not height or not width:
            raise ValueError(f"`size` must be at least {2 ** (len(channels) + 1) - 1} pixels each way, got {size}")
        self.pixels, self.dropout, self.output_dim = pixels, dropout, channels[-1] * height * width
        self.convs, self.norms, self.relu = nn.ModuleList(), nn.ModuleList(), nn.ReLU()
        below = pixels.channels
        for above, kernel in zip(channels, kernels, strict=True):
            stride = 1 if self.convs else 2
            self.convs.append(TemporalConv(below, above, kernel, span=span, stride=stride, bias=not batch_norm))
            self.norms.append(nn.BatchNorm2d(above) if batch_norm else nn.Identity())
            below = above
        kaiming(self)

    def forward(self, values_BTCHW: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, C, H, W) and lengths to features (B, T, D) and the same lengths."""
        frames = PackedFrames(lengths_B, values_BTCHW.shape[1])
        x_NCHW = self.pixels(frames.pack(values_BTCHW))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x_NCHW = self.relu(norm(conv(x_NCHW, frames)))
            if self.training and self.dropout:
                keep_BC = torch.rand(len(lengths_B), x_NCHW.shape[1], device=x_NCHW.device) >= self.dropout
                x_NCHW = x_NCHW * (keep_BC / (1 - self.dropout)).to(x_NCHW.dtype)[frames.clip_N, :, None, None]
            x_NCHW = nn.functional.max_pool2d(x_NCHW, 2)
        return frames.unpack(x_NCHW.flatten(1)), lengths_B


class LinearFrontEnd(nn.Module):
    """A linear layer over all pixels of a frame, and tanh, as below the LSTM of Wand et al. 2016, arXiv:1601.08188."""

    def __init__(self, pixels: PixelNorm, *, size: tuple[int, int], output_dim: int = 128) -> None:
        super().__init__()
        self.pixels, self.output_dim = pixels, output_dim
        self.linear = nn.Linear(pixels.channels * math.prod(size), output_dim)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, values_BTCHW: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, C, H, W) and lengths to features (B, T, D) and the same lengths."""
        frames = PackedFrames(lengths_B, values_BTCHW.shape[1])
        pixels_NCHW = self.pixels(frames.pack(values_BTCHW))
        return frames.unpack(torch.tanh(self.linear(pixels_NCHW.flatten(1)))), lengths_B


class Residual(nn.Module):
    """A residual block: two 3 x 3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385, figure 2)."""

    def __init__(self, below: int, above: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(below, above, 3, stride, 1, bias=False),
            nn.BatchNorm2d(above),
            nn.ReLU(),
            nn.Conv2d(above, above, 3, 1, 1, bias=False),
            nn.BatchNorm2d(above),
        )
        self.relu = nn.ReLU()
        self.shortcut = (
            nn.Identity()
            if below == above and stride == 1
            else nn.Sequential(nn.Conv2d(below, above, 1, stride, bias=False), nn.BatchNorm2d(above))
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Maps (N, below, H, W) to (N, above, H / stride, W / stride), rounded up."""
        summed_NCHW: Tensor = self.relu(self.body(x_NCHW) + self.shortcut(x_NCHW))
        return summed_NCHW


class ResNet(nn.Module):
    """A 3-D convolution over `span` frames, then a residual network on each frame, with global average pooling.

    `width` is the number of channels of the first convolution, doubled at each stage after the first. `blocks`
    (2, 2, 2, 2) is ResNet-18, and (3, 4, 6, 3) the paper's ResNet-34.
    Any size of at least 1 pixel; each side is divided by 32.
    """

    def __init__(
        self, pixels: PixelNorm, *, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2), span: int = 5
    ) -> None:
        super().__init__()
        self.pixels, self.output_dim = pixels, width * 2 ** (len(blocks) - 1)
        self.stem = TemporalConv(pixels.channels, width, 7, span=span, stride=2, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        below = width
        for i, count in enumerate(blocks):
            for j in range(count):
                layers.append(Residual(below, width * 2**i, 2 if i and j == 0 else 1))
                below = width * 2**i
        self.trunk = nn.Sequential(*layers)
        kaiming(self)

    def forward(self, values_BTCHW: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, C, H, W) and lengths to features (B, T, D) and the same lengths."""
        frames = PackedFrames(lengths_B, values_BTCHW.shape[1])
        map_NDHW = self.trunk(self.stem(self.pixels(frames.pack(values_BTCHW)), frames))
        return frames.unpack(map_NDHW.mean((2, 3))), lengths_B


class FrameStacking(nn.Module):
    """Frame stacking: `stack` consecutive feature vectors concatenated every `stride` steps, S = ceil(T / stride).

    Step s holds the vectors from s * stride on, zeros beyond the end. With `output_dim` a linear map follows.
    """

    def __init__(self, input_dim: int, *, stack: int = 1, stride: int = 1, output_dim: int | None = None) -> None:
        """Raises ValueError for a `stack` or `stride` below 1."""
        super().__init__()
        if min(stack, stride) < 1:
            raise ValueError(f"`stack`, `stride` must be at least 1, got {stack}, {stride}")
        self.stack, self.stride, joined = stack, stride, stack * input_dim
        self.output_dim = joined if output_dim is None else output_dim
        self.linear = None if output_dim is None else nn.Linear(joined, output_dim)

    def forward(self, values_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, I) and lengths to (B, S, D) and lengths divided by `stride`, rounded up."""
        steps = (values_BTI.shape[1] + self.stride - 1) // self.stride
        short = (steps - 1) * self.stride + self.stack - values_BTI.shape[1]
        padded_BTI = nn.functional.pad(masked(values_BTI, lengths_B), (0, 0, 0, max(0, short)))
        joined_BSD = padded_BTI.unfold(1, self.stack, self.stride)[:, :steps].transpose(2, 3).flatten(2)
        lengths_B = (lengths_B + self.stride - 1) // self.stride
        return joined_BSD if self.linear is None else masked(self.linear(joined_BSD), lengths_B), lengths_B


class ConvSubsampling(nn.Module):
    """Convolutional subsampling: a convolution over time with ReLU for each of `strides`, S = T / stride rounded up."""

    def __init__(self, input_dim: int, output_dim: int, *, strides: Sequence[int] = (2, 2), kernel: int = 3) -> None:
        """Raises ValueError for an even `kernel`."""
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, got {kernel}")
        widths = (input_dim, *[output_dim] * len(strides))
        self.output_dim, self.strides = widths[-1], tuple(strides)
        self.convs = nn.ModuleList(
            nn.Conv1d(widths[i], widths[i + 1], kernel, stride, kernel // 2) for i, stride in enumerate(strides)
        )
        kaiming(self)

    def forward(self, values_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, I) and lengths to (B, S, D) and lengths divided by each stride, rounded up."""
        x_BTI = masked(values_BTI, lengths_B)
        for conv, stride in zip(self.convs, self.strides, strict=True):
            lengths_B = (lengths_B + stride - 1) // stride
            x_BTI = masked(torch.relu(conv(x_BTI.transpose(1, 2))).transpose(1, 2), lengths_B)
        return x_BTI, lengths_B


def masked(values_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Features with zeros at padding."""
    return values_BTD.masked_fill(~mask_from_lengths(lengths_B, values_BTD.shape[1])[..., None], 0.0)
