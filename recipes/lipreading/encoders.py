"""Eyes and ears of the recipes that read lips and listen: a front end and recurrent layers over what it makes.

B batch, T steps in time, S encoder positions, D encoder width, F features a step.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.nn import initialize
from seqkit.nn.encoders import Encoded, RecurrentEncoder
from seqkit.nn.frames import PixelNorm
from seqkit.nn.frontends import ConvSubsampling, FrameStacking, LinearFrontEnd, ResNet, Stcnn, VggM
from seqkit.recipes.lipreading.data import Inputs, Video


@dataclass(frozen=True)
class Watching:
    """The network that watches. Where the manifest has features in place of video, `window` alone is its front end."""

    frontend: Literal["stcnn", "vgg_m", "resnet", "dense"] = "stcnn"
    """convolutions over a mouth's pixels (LipNet: stcnn, its Baseline-LSTM: dense; Chung et al.: vgg_m)"""
    channels: float = 1.0
    """share of the published number of channels (both papers: 1)"""
    span: int = 3
    """frames that the first convolution sees, for stcnn all (LipNet: 3, its Baseline-2D: 1; Chung et al.: 5)"""
    frontend_norm: bool = False
    """batch norm in stcnn; the others have it (LipNet: false)"""
    frontend_dropout: float = 0.5
    """rate of channels left out of a whole clip, stcnn only (LipNet: 0.5)"""
    window: int = 5
    """steps of features that one convolution joins; 0: rows as they are"""
    window_dim: int = 256
    """width of that convolution"""
    window_stride: int = 1
    """steps of features for each of its own; 4 makes 25 a second of 100"""
    watch_cell: Literal["gru", "lstm"] = "gru"
    """recurrent cell (LipNet: gru; Chung et al.: lstm)"""
    watch_dim: int = 256
    """width a direction (both papers: 256)"""
    watch_layers: int = 2
    """layers (LipNet: 2; Chung et al.: 3)"""
    watch_both: bool = True
    """read in both directions (LipNet: true)"""
    watch_reverse: bool = False
    """read from the end (Chung et al.: true)"""
    watch_dropout: float = 0.5
    """rate on the front end's output and between layers (LipNet: 0.5)"""


@dataclass(frozen=True)
class Listening:
    """The network that listens, to features 100 times a second."""

    stack: int = 4
    """steps of features side by side, and as many steps in one; without `listen_strides` (Chung et al.: 1)"""
    listen_strides: tuple[int, ...] = ()
    """strides of convolutions over 5 steps in its place; (1, 2, 2): 25 a second of 100 (Chung et al.: none)"""
    listen_channels: int = 256
    """width of those convolutions"""
    listen_cell: Literal["gru", "lstm"] = "lstm"
    """recurrent cell (Chung et al.: lstm)"""
    listen_dim: int = 256
    """width a direction (Chung et al.: 256)"""
    listen_layers: int = 2
    """layers (Chung et al.: 3)"""
    listen_both: bool = True
    """read in both directions"""
    listen_reverse: bool = False
    """read from the end (Chung et al.: true)"""
    listen_dropout: float = 0.3
    """rate on the features and between layers"""


class Sense(nn.Module):
    """Pixels (B, T, C, H, W) or rows (B, T, F) to an encoder's values; `output_dim` is D.

    A sequence may have no step at all: its values are padding and its states zero, and nothing is computed for it.
    """

    def __init__(self, frontend: nn.Module, encoder: RecurrentEncoder, *, dropout: float) -> None:
        super().__init__()
        self.frontend, self.encoder, self.dropout = frontend, encoder, nn.Dropout(dropout)
        self.output_dim = encoder.output_dim

    def forward(self, values: Tensor, lengths_B: Tensor) -> Encoded:
        there_N = lengths_B.nonzero()[:, 0]
        if len(there_N) == len(lengths_B):
            return self.encode(values, lengths_B)
        if len(there_N):
            found = self.encode(values[there_N], lengths_B[there_N])
        else:
            like = next(self.parameters())
            states_NLD = like.new_zeros(0, len(self.encoder.layers), self.output_dim)
            cells_NLD = states_NLD if self.encoder.kind == "lstm" else states_NLD[..., :0]
            found = Encoded(like.new_zeros(0, 0, self.output_dim), lengths_B[there_N], states_NLD, cells_NLD)
        return Encoded(
            *(part.new_zeros(len(lengths_B), *part.shape[1:]).index_copy(0, there_N, part) for part in found)
        )

    def encode(self, values: Tensor, lengths_B: Tensor) -> Encoded:
        features_BTD, lengths_B = self.frontend(values, lengths_B)
        encoded: Encoded = self.encoder(self.dropout(features_BTD), lengths_B)
        return encoded


def make_watch(n: Watching, video: Video, inputs: Inputs) -> Sense:
    """Raises InputError for sizes that do not fit each other."""
    frontend = make_eyes(n, video, inputs) if inputs.kind == "pixels" else make_window(inputs.width, n)
    encoder = RecurrentEncoder(
        frontend.output_dim,
        n.watch_dim,
        n.watch_layers,
        kind=n.watch_cell,
        bidirectional=n.watch_both,
        reverse=n.watch_reverse,
        dropout=n.watch_dropout,
    )
    initialize.xavier(encoder)
    return Sense(frontend, encoder, dropout=n.watch_dropout)


def make_eyes(n: Watching, video: Video, inputs: Inputs) -> nn.Module:
    pixels = PixelNorm(inputs.mean, inputs.std)
    try:
        if n.frontend == "vgg_m":
            return VggM(pixels, size=video.pixels, width=n.channels, span=n.span)
        if n.frontend == "dense":
            return LinearFrontEnd(pixels, size=video.pixels, output_dim=max(1, round(128 * n.channels)))
        if n.frontend == "resnet":
            return ResNet(pixels, width=max(1, round(64 * n.channels)), span=n.span)
        channels = [max(1, round(n.channels * count)) for count in (32, 64, 96)]
        return Stcnn(
            pixels, channels, size=video.pixels, span=n.span, dropout=n.frontend_dropout, batch_norm=n.frontend_norm
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def make_window(width: int, n: Watching) -> nn.Module:
    if not n.window:
        return FrameStacking(width, stride=n.window_stride)
    return ConvSubsampling(width, n.window_dim, strides=(n.window_stride,), kernel=n.window)


def make_listen(n: Listening, inputs: Inputs) -> Sense:
    """Raises InputError for sizes that do not fit each other."""
    frontend = (
        ConvSubsampling(inputs.width, n.listen_channels, strides=n.listen_strides, kernel=5)
        if n.listen_strides
        else FrameStacking(inputs.width, stack=n.stack, stride=n.stack)
    )
    encoder = RecurrentEncoder(
        frontend.output_dim,
        n.listen_dim,
        n.listen_layers,
        kind=n.listen_cell,
        bidirectional=n.listen_both,
        reverse=n.listen_reverse,
        dropout=n.listen_dropout,
    )
    initialize.xavier(encoder)
    return Sense(frontend, encoder, dropout=n.listen_dropout)
