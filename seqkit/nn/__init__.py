"""Modules and functions of neural networks for sequences: encoders, attention, the decoder, fusion, losses.

Needs torch and numpy only; the networks of `Backbone` other than `small_cnn` come from torchvision and
efficientnet_lite_pytorch, which are imported when one of them is made.
"""

from seqkit.nn.attention import (
    ATTENTIONS,
    AdditiveAttention,
    AttentionKind,
    DotAttention,
    GatedAttention,
    GeneralAttention,
    LocationAwareAttention,
    MultiHeadAttention,
    make_attention,
)
from seqkit.nn.backbones import Backbone, Features, region_features
from seqkit.nn.bilinear import CompactBilinear, CountSketch, l2_normalize, signed_sqrt
from seqkit.nn.ctc import ctc_loss, frames_needed
from seqkit.nn.decoder import Decoder, Wiring, build_decoder
from seqkit.nn.dropout import Dropout, VariationalDropout
from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import Encoded, RecurrentEncoder, TextEncoder
from seqkit.nn.frames import PackedFrames, PixelNorm, TemporalConv
from seqkit.nn.frontends import ConvSubsampling, FrameStacking, LinearFrontEnd, ResNet, Stcnn, VggM
from seqkit.nn.fusion import (
    FUSIONS,
    MFB,
    MLB,
    MUTAN,
    BilinearFusion,
    CompactBilinearFusion,
    ConcatFusion,
    FusionKind,
    ProductFusion,
    SumFusion,
    make_fusion,
)
from seqkit.nn.initial_state import InitHidden, make_init_hidden, summarize
from seqkit.nn.initialize import INITIALIZERS, Initializer
from seqkit.nn.losses import cross_entropy, real_tokens, sequence_loss, sequence_risk
from seqkit.nn.masks import mask_from_lengths, masked_mean, masked_softmax, reverse
from seqkit.nn.memory import Memory, State, map_rows, repeat, rows, select
from seqkit.nn.readout import Readout, ReadoutKind
from seqkit.nn.recurrent import CELLS, CellKind, RecurrentStack, recurrent_layer

__all__ = [
    "ATTENTIONS",
    "AdditiveAttention",
    "AttentionKind",
    "Backbone",
    "BilinearFusion",
    "CELLS",
    "CellKind",
    "CompactBilinear",
    "CompactBilinearFusion",
    "ConcatFusion",
    "ConvSubsampling",
    "CountSketch",
    "Decoder",
    "DotAttention",
    "Dropout",
    "Embedding",
    "Encoded",
    "FUSIONS",
    "Features",
    "FrameStacking",
    "FusionKind",
    "GatedAttention",
    "GeneralAttention",
    "INITIALIZERS",
    "InitHidden",
    "Initializer",
    "LinearFrontEnd",
    "LocationAwareAttention",
    "MFB",
    "MLB",
    "MUTAN",
    "Memory",
    "MultiHeadAttention",
    "PackedFrames",
    "PixelNorm",
    "ProductFusion",
    "Readout",
    "ReadoutKind",
    "RecurrentEncoder",
    "RecurrentStack",
    "ResNet",
    "State",
    "Stcnn",
    "SumFusion",
    "TemporalConv",
    "TextEncoder",
    "VariationalDropout",
    "VggM",
    "Wiring",
    "build_decoder",
    "cross_entropy",
    "ctc_loss",
    "frames_needed",
    "l2_normalize",
    "make_attention",
    "make_fusion",
    "make_init_hidden",
    "map_rows",
    "mask_from_lengths",
    "masked_mean",
    "masked_softmax",
    "real_tokens",
    "recurrent_layer",
    "region_features",
    "repeat",
    "reverse",
    "rows",
    "select",
    "sequence_loss",
    "sequence_risk",
    "signed_sqrt",
    "summarize",
]
