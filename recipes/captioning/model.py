"""Model of captioning: an image encoder, and a decoder that attends to its grid or starts from its pooled vector.

B batch, S grid cells, D width of a cell, W width of the image's pooled vector, M memory width, Z summary width.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn

from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.attention import AttentionKind
from seqkit.nn.backbones import Backbone
from seqkit.nn.decoder import Wiring, build_decoder
from seqkit.nn.dropout import Dropout
from seqkit.nn.initialize import INITIALIZERS, Initializer
from seqkit.nn.memory import Memory
from seqkit.nn.readout import ReadoutKind
from seqkit.nn.recurrent import CellKind
from seqkit.ranges import Range
from seqkit.recipes.common.image_reader import ImageFeatures


@described
@dataclass(frozen=True)
class Network:
    """Sizes and wiring of the decoder."""

    cell: CellKind = "lstm"
    """recurrent cell (both papers: lstm)"""
    embed_dim: Annotated[int, Range(min=1)] = 256
    """embedding width (Show and Tell: 512)"""
    decoder_dim: Annotated[int, Range(min=1)] = 512
    """decoder width (Show and Tell: 512; Show, Attend and Tell: 512 on Flickr8k)"""
    decoder_layers: Annotated[int, Range(min=1)] = 1
    """decoder layers (both papers: 1)"""
    attention: AttentionKind | None = "additive"
    """score of a grid cell; null: no attention, the image is fed once, as the step before BOS (Show and Tell)"""
    attention_dim: Annotated[int, Range(min=1)] = 256
    """attention width (Show, Attend and Tell: 512)"""
    heads: Annotated[int, Range(min=1)] = 8
    """heads of multi_head attention"""
    proj_dim: Annotated[int | None, Range(min=1)] = 256
    """width that the grid's features are projected to; null: no projection (Show, Attend and Tell)"""
    gate: bool = True
    """a gate on the context, one number a word (Show, Attend and Tell, section 4.2.1)"""
    wiring: Wiring = "bahdanau"
    """attention before the cell (Show, Attend and Tell: bahdanau), after it (luong), or after it with input feeding"""
    readout: ReadoutKind = "tanh"
    """layer below the softmax (Show and Tell: linear)"""
    readout_dim: Annotated[int, Range(min=1)] = 256
    """width below the softmax, unused by linear"""
    tie_embeddings: bool = True
    """share the weights of embedding and softmax"""
    dropout: Annotated[float, Range(min=0, below=1)] = 0.5
    """rate on embeddings, on the image and below the softmax (Show and Tell: 0.3)"""
    initializer: Initializer = "xavier"
    """Glorot and orthogonal (xavier), U(-0.08, 0.08) (Show and Tell: uniform), or Bahdanau et al.'s"""


class Captioner(nn.Module):
    """Image features to the memories that `decoder` attends to or starts from.

    Without attention the image's pooled vector, projected, is the step before BOS (Vinyals et al. 2015, equation 10);
    with it the initial hidden state comes from the mean of the memory (Xu et al. 2015, section 3.1.2).
    """

    def __init__(self, n: Network, image_encoder: Backbone, vocab_size: int) -> None:
        super().__init__()
        memory_dim = image_encoder.pooled_dim if n.attention is None else n.proj_dim or image_encoder.dim
        projection = nn.Sequential(nn.Linear(image_encoder.dim, n.proj_dim), nn.ReLU()) if n.proj_dim else nn.Identity()
        self.project = nn.Sequential(projection, Dropout(n.dropout)) if n.attention else nn.Identity()
        self.decoder = build_decoder(
            vocab_size,
            n.embed_dim,
            n.decoder_dim,
            [memory_dim],
            cell=n.cell,
            layers=n.decoder_layers,
            attention=n.attention,
            attention_dim=n.attention_dim,
            heads=n.heads,
            gated=n.gate,
            wiring=n.wiring if n.attention else "luong",
            init_hidden="mean" if n.attention else None,
            prefix=n.attention is None,
            readout=n.readout,
            readout_dim=n.readout_dim,
            tie_embeddings=n.tie_embeddings,
            dropout=n.dropout,
        )
        INITIALIZERS[n.initializer](self)
        self.image_encoder = image_encoder  # after the initializer, which would overwrite its weights

    def make_memory(self, image: ImageFeatures) -> tuple[Memory, ...]:
        """`image`: pixels, or features of the image encoder."""
        features = self.image_encoder(*image) if len(image) == 1 else image
        pooled_BW, grid_BSD = (part.to(self.decoder.embedding.weight.dtype) for part in features)
        values_BSM = self.project(grid_BSD)
        lengths_B = torch.full(values_BSM.shape[:1], values_BSM.shape[1], device=values_BSM.device)
        summary_BZ = values_BSM.mean(1) if len(self.decoder.attentions) else pooled_BW
        return self.decoder.make_memory((values_BSM, lengths_B, summary_BZ))


def make_captioner(network: Network, image_encoder: Backbone, vocab_size: int) -> Captioner:
    """Raises InputError for sizes that do not fit each other."""
    try:
        return Captioner(network, image_encoder, vocab_size)
    except ValueError as error:
        raise InputError(f"sizes of the network must fit each other: {error}") from error
