"""Model of visual question answering: image and question, fused once or with attention over the image, to an answer.

Fukui et al. 2016, arXiv:1606.01847, figures 3 and 4.

B batch, T words, S grid cells, D width of a cell, W width of the image's pooled vector, Q question width, F fused
width, G glimpses, I width of the attended image, A answer classes.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from seqkit.described import described
from seqkit.nn import initialize
from seqkit.nn.backbones import Backbone
from seqkit.nn.dropout import Dropout
from seqkit.ranges import Range
from seqkit.recipes.common.fusion import ImageTextFusion, Norm, center, normalize, vector_length, without_noise
from seqkit.recipes.common.image_reader import ImageFeatures
from seqkit.recipes.common.text_encoder import TextEncoder, TextEncoderConfig


@described
@dataclass(frozen=True)
class Network:
    """Sizes and wiring of fusion, attention and classifier."""

    fusion: Literal["sum", "product", "concat", "bilinear", "compact", "mlb", "mutan", "mfb"] | None = "compact"
    """how image and question are fused; null: they are not, the question alone is classified"""
    attention: Literal["glimpses"] | None = "glimpses"
    """glimpses: the grid's cells are weighted by the question; null: the image's pooled vector is used"""
    glimpses: Annotated[int, Range(min=1)] = 2
    """attention maps (Fukui et al.'s code: 2)"""
    fused_dim: Annotated[int, Range(min=1)] = 2048
    """width of the fused vector (Fukui et al.: 16000 for compact, 4096 for the layers of the others)"""
    fusion_layers: Annotated[int, Range(min=0)] = 0
    """fully connected layers after sum, product and concat (Fukui et al.: 0 or 1, their "+ FC")"""
    attention_dim: Annotated[int, Range(min=1)] = 256
    """width of the layer between fusion and attention weights (Fukui et al.: 512)"""
    fused_dropout: Annotated[float, Range(min=0, below=1)] = 0.5
    """dropout on the fused vector (Fukui et al.: 0.1)"""
    image_dropout: Annotated[float, Range(min=0, below=1)] = 0.0
    """dropout on the image's features"""
    normalize: Literal["l2", "rms"] | None = "rms"
    """the image's features at L2 norm 1 (Fukui et al.) or at root mean square 1; null: unchanged"""
    fused_norm: Annotated[float, Range(above=0)] = 45.0
    """L2 norm of what compact, bilinear and mfb give to the classifier (Fukui et al.: 1); a larger one learns in fewer
    steps"""
    glimpse_norm: Annotated[float, Range(above=0)] = 2.0
    """L2 norm of the fused vectors that attention is computed from, of any fusion (Fukui et al.: 1); if much larger,
    attention collapses onto one cell before anything is learned"""
    center: bool = False
    """attention over cells less the mean of their image (Fukui et al.: no), with a constant appended to the attended
    image, so that the question has a path of its own"""


class VQAModel(nn.Module):
    """Classifier of answers. Without `image_encoder` it reads the question alone."""

    def __init__(
        self,
        network: Network,
        text_encoder: TextEncoderConfig,
        image_encoder: Backbone | None,
        vocab_size: int,
        answers: int,
        vectors_VE: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.text_encoder = TextEncoder(text_encoder, vocab_size, vectors_VE)
        self.norm: Norm = network.normalize
        self.center = network.center
        self.dropout = Dropout(network.image_dropout)
        self.attention_fusion: ImageTextFusion | None = None
        self.fusion: ImageTextFusion | None = None
        fused_dim = self.text_encoder.dim
        if image_encoder is not None:
            attended_dim = image_encoder.dim * network.glimpses + network.center
            image_dim = attended_dim if network.attention else image_encoder.pooled_dim
            self.fusion = self._fusion(network, image_dim, network.fused_norm)
            fused_dim = self.fusion.dim
        if image_encoder is not None and network.attention:
            self.attention_fusion = self._fusion(network, image_encoder.dim, network.glimpse_norm, attention=True)
            self.attention = nn.Sequential(
                nn.Linear(self.attention_fusion.dim, network.attention_dim),
                nn.ReLU(),
                nn.Linear(network.attention_dim, network.glimpses),
            )
        self.classifier = nn.Linear(fused_dim, answers)
        initialize.xavier(self)
        self.image_encoder = image_encoder  # after the initializer, which would overwrite its weights

    def _fusion(self, network: Network, image_dim: int, norm: float, *, attention: bool = False) -> ImageTextFusion:
        assert network.fusion is not None
        return ImageTextFusion(
            network.fusion,
            image_dim,
            self.text_encoder.dim,
            network.fused_dim,
            layers=network.fusion_layers,
            dropout=network.fused_dropout,
            norm=norm,
            always=attention,
            seed=2 if attention else 1,
        )

    def forward(self, image: ImageFeatures, tokens_BT: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, A) and attention weights (B, G, S), G = 0 without attention. `image`: pixels, features of the
        image encoder, or nothing for a model of questions alone."""
        question_BQ = self.text_encoder(tokens_BT, lengths_B)
        no_weights_BGS = question_BQ.new_zeros(len(question_BQ), 0, 0)
        if self.fusion is None or self.image_encoder is None:
            return self.classifier(question_BQ), no_weights_BGS
        pooled_BW, grid_BSD = self.image_encoder(*image) if len(image) == 1 else image
        if self.attention_fusion is None:
            pooled_BW = self.dropout(normalize(pooled_BW.to(question_BQ.dtype), self.norm))
            return self.classifier(self.fusion(pooled_BW, question_BQ)), no_weights_BGS
        grid_BSD = grid_BSD.to(question_BQ.dtype)
        grid_BSD = without_noise(center(grid_BSD), grid_BSD) if self.center else grid_BSD
        grid_BSD = self.dropout(normalize(grid_BSD, self.norm))
        fused_BSF = self.attention_fusion(grid_BSD, question_BQ[:, None])
        weights_BGS = self.attention(fused_BSF).transpose(1, 2).softmax(-1)
        attended_BI = torch.matmul(weights_BGS, grid_BSD).flatten(1)
        if self.center:
            constant = vector_length(grid_BSD.shape[-1], self.norm)
            attended_BI = nn.functional.pad(attended_BI, (0, 1), value=constant)
        return self.classifier(self.fusion(attended_BI, question_BQ)), weights_BGS
