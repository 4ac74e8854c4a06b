"""Stream encoders: a front end and recurrent layers for mouth video or features (watch), and for audio (listen).

B batch, T time steps, N items that have the stream, D encoder width, L layers, F features of a step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn

from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.dropout import Dropout
from seqkit.nn.encoders import Encoded, RecurrentEncoder
from seqkit.nn.frames import PixelNorm
from seqkit.nn.frontends import ConvSubsampling, FrameStacking, LinearFrontEnd, ResNet, Stcnn, VggM
from seqkit.nn.initialize import xavier
from seqkit.ranges import Range
from seqkit.recipes.lipreading.input_config import InputStatistics


@described
@dataclass(frozen=True)
class VideoEncoderConfig:
    """The video encoder. For precomputed features the convolution of `window` steps is its only front end."""

    frontend: Literal["stcnn", "vgg_m", "resnet", "linear"] = "stcnn"
    """front end over pixels (LipNet: stcnn, its Baseline-LSTM: linear; Chung et al.: vgg_m)"""
    channels: Annotated[float, Range(above=0)] = 1.0
    """multiplier of the published number of channels (both papers: 1)"""
    temporal_kernel: Annotated[int, Range(min=1)] = 3
    """frames in the kernel of the first convolution, with stcnn of every one (LipNet: 3, its Baseline-2D: 1; Chung et
    al.: 5)"""
    frontend_norm: bool = False
    """batch normalization in stcnn; vgg_m and resnet always have it (LipNet: false)"""
    frontend_dropout: Annotated[float, Range(min=0, below=1)] = 0.5
    """dropout rate of whole channels, stcnn only (LipNet: 0.5)"""
    window: Annotated[int, Range(min=0)] = 5
    """kernel of the convolution over precomputed features, in steps; 0: no convolution"""
    window_dim: Annotated[int, Range(min=1)] = 256
    """output width of that convolution"""
    window_stride: Annotated[int, Range(min=1)] = 1
    """stride of that convolution; 4 turns 100 steps/s into 25"""
    video_cell: Literal["gru", "lstm"] = "gru"
    """recurrent cell (LipNet: gru; Chung et al.: lstm)"""
    video_dim: Annotated[int, Range(min=1)] = 256
    """hidden width a direction (both papers: 256)"""
    video_layers: Annotated[int, Range(min=1)] = 2
    """recurrent layers (LipNet: 2; Chung et al.: 3)"""
    video_bidirectional: bool = True
    """read in both directions (LipNet: true)"""
    video_reverse: bool = False
    """read from the end (Chung et al.: true)"""
    video_dropout: Annotated[float, Range(min=0, below=1)] = 0.5
    """dropout rate on the front end's output and between layers (LipNet: 0.5)"""


@described
@dataclass(frozen=True)
class AudioEncoderConfig:
    """The audio encoder, over 100 feature vectors a second."""

    frame_stacking: Annotated[int, Range(min=1)] = 4
    """neighboring feature vectors stacked into one, and the stride; unused with `audio_strides` (Chung et al.: 1)"""
    audio_strides: Annotated[tuple[int, ...], Range(min=1)] = ()
    """strides of the convolutional front end (kernel 5), used instead of `frame_stacking`; (1, 2, 2) turns 100 frames/s
    into 25 (Chung et al.: none)"""
    audio_channels: Annotated[int, Range(min=1)] = 256
    """channels of the convolutional front end"""
    audio_cell: Literal["gru", "lstm"] = "lstm"
    """recurrent cell (Chung et al.: lstm)"""
    audio_dim: Annotated[int, Range(min=1)] = 256
    """hidden width a direction (Chung et al.: 256)"""
    audio_layers: Annotated[int, Range(min=1)] = 2
    """recurrent layers (Chung et al.: 3)"""
    audio_bidirectional: bool = True
    """read in both directions"""
    audio_reverse: bool = False
    """read from the end (Chung et al.: true)"""
    audio_dropout: Annotated[float, Range(min=0, below=1)] = 0.3
    """dropout rate on the front end's output and between layers"""


class StreamEncoder(nn.Module):
    """Encodes pixels (B, T, C, H, W) or features (B, T, F); `output_dim` is D.

    A sequence may be empty: its values are padding, its states zero, and nothing is computed for it.
    """

    def __init__(self, frontend: nn.Module, encoder: RecurrentEncoder, *, dropout: float) -> None:
        super().__init__()
        self.frontend, self.encoder, self.dropout = frontend, encoder, Dropout(dropout)
        self.output_dim = encoder.output_dim

    def forward(self, values: Tensor, lengths_B: Tensor) -> Encoded:
        """Values (B, S, D), their lengths and the last states of every layer."""
        present_N = lengths_B.nonzero()[:, 0]
        if len(present_N) == len(lengths_B):
            return self.encode(values, lengths_B)
        if len(present_N):
            found = self.encode(values[present_N], lengths_B[present_N])
        else:
            like = next(self.parameters())
            states_NLD = like.new_zeros(0, len(self.encoder.layers), self.output_dim)
            cells_NLD = states_NLD if self.encoder.kind == "lstm" else states_NLD[..., :0]
            found = Encoded(like.new_zeros(0, 0, self.output_dim), lengths_B[present_N], states_NLD, cells_NLD)
        return Encoded(
            *(part.new_zeros(len(lengths_B), *part.shape[1:]).index_copy(0, present_N, part) for part in found)
        )

    def encode(self, values: Tensor, lengths_B: Tensor) -> Encoded:
        """The same where no sequence is empty."""
        features_BTD, lengths_B = self.frontend(values, lengths_B)
        encoded: Encoded = self.encoder(self.dropout(features_BTD), lengths_B)
        return encoded


def make_encoders(
    video: VideoEncoderConfig,
    audio: AudioEncoderConfig,
    frame_size: tuple[int, int],
    statistics: Mapping[str, InputStatistics],
) -> dict[str, StreamEncoder]:
    """An encoder for each stream in `statistics`. Raises InputError for sizes that do not fit each other."""
    encoders = {}
    for name, inputs in statistics.items():
        if name == "video":
            encoders[name] = make_video_encoder(video, frame_size, inputs)
        else:
            encoders[name] = make_audio_encoder(audio, inputs)
    return encoders


def make_video_encoder(
    config: VideoEncoderConfig, frame_size: tuple[int, int], inputs: InputStatistics
) -> StreamEncoder:
    """Front end over pixels or features, and recurrent layers."""
    frontend: PixelFrontEnd | FeatureFrontEnd
    if inputs.kind == "pixels":
        frontend = make_pixel_frontend(config, frame_size, inputs)
    elif config.window:
        strides = (config.window_stride,)
        frontend = ConvSubsampling(len(inputs.mean), config.window_dim, strides=strides, kernel=config.window)
    else:
        frontend = FrameStacking(len(inputs.mean), stride=config.window_stride)
    encoder = RecurrentEncoder(
        frontend.output_dim,
        config.video_dim,
        config.video_layers,
        kind=config.video_cell,
        bidirectional=config.video_bidirectional,
        reverse=config.video_reverse,
        dropout=config.video_dropout,
    )
    xavier(encoder)
    return StreamEncoder(frontend, encoder, dropout=config.video_dropout)


PixelFrontEnd = Stcnn | VggM | ResNet | LinearFrontEnd
FeatureFrontEnd = ConvSubsampling | FrameStacking


def make_pixel_frontend(
    config: VideoEncoderConfig, frame_size: tuple[int, int], inputs: InputStatistics
) -> PixelFrontEnd:
    """The front end that `config` names. Raises InputError for frames that are too small for it."""
    pixels, span, width = PixelNorm(inputs.mean, inputs.std), config.temporal_kernel, config.channels
    try:
        if config.frontend == "vgg_m":
            return VggM(pixels, size=frame_size, width=width, span=span)
        if config.frontend == "linear":
            return LinearFrontEnd(pixels, size=frame_size, output_dim=max(1, round(128 * width)))
        if config.frontend == "resnet":
            return ResNet(pixels, width=max(1, round(64 * width)), span=span)
        return Stcnn(
            pixels,
            [max(1, round(width * count)) for count in (32, 64, 96)],
            size=frame_size,
            span=span,
            dropout=config.frontend_dropout,
            batch_norm=config.frontend_norm,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def make_audio_encoder(config: AudioEncoderConfig, inputs: InputStatistics) -> StreamEncoder:
    """Convolutions or stacked frames, and recurrent layers."""
    width, strides = len(inputs.mean), config.audio_strides
    frontend: FeatureFrontEnd
    if strides:
        frontend = ConvSubsampling(width, config.audio_channels, strides=strides, kernel=5)
    else:
        frontend = FrameStacking(width, stack=config.frame_stacking, stride=config.frame_stacking)
    encoder = RecurrentEncoder(
        frontend.output_dim,
        config.audio_dim,
        config.audio_layers,
        kind=config.audio_cell,
        bidirectional=config.audio_bidirectional,
        reverse=config.audio_reverse,
        dropout=config.audio_dropout,
    )
    xavier(encoder)
    return StreamEncoder(frontend, encoder, dropout=config.audio_dropout)
