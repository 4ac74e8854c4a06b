"""Model of grounding: every candidate box of an image is fused with the phrase and scored.

Fukui et al. 2016, arXiv:1606.01847, sections 3.4 and 4.6.

B batch, T words, K candidate boxes, S grid cells, D width of a cell, R width of a region, Q phrase width.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from seqkit.described import described
from seqkit.nn import initialize
from seqkit.nn.backbones import Backbone, region_features
from seqkit.nn.fusion import FusionKind
from seqkit.nn.masks import mask_from_lengths
from seqkit.ranges import Range
from seqkit.recipes.common.fusion import ImageTextFusion, Norm, center, normalize, without_noise
from seqkit.recipes.common.image_reader import ImageFeatures
from seqkit.recipes.common.text_encoder import TextEncoder, TextEncoderConfig

SPATIAL = 5  # spatial features of a box: its sides and its area, as fractions of the image's


@described
@dataclass(frozen=True)
class Network:
    """Sizes and wiring of fusion and scores."""

    fusion: FusionKind = "compact"
    """how a region and the phrase are fused"""
    fused_dim: Annotated[int, Range(min=1)] = 2048
    """width of the fused vector (Fukui et al.: 2048)"""
    attention_dim: Annotated[int, Range(min=1)] = 512
    """width of the layer between fusion and a region's score (Fukui et al.: 512)"""
    fused_dropout: Annotated[float, Range(min=0, below=1)] = 0.1
    """dropout on the fused vector (Fukui et al.: 0.1)"""
    center: bool = True
    """regions are pooled from cells less the mean of their image (Fukui et al.: no)"""
    spatial_features: bool = True
    """position and size of a box are part of its features (Fukui et al.: no)"""
    normalize: Literal["l2", "rms"] | None = "rms"
    """regions and phrase at L2 norm 1 (Fukui et al.) or at root mean square 1; null: unchanged"""
    fused_norm: Annotated[float, Range(above=0)] = 45.0
    """L2 norm of what compact, bilinear and mfb give (Fukui et al.: 1)"""


class GroundingModel(nn.Module):
    """Scores of candidate boxes for a phrase."""

    def __init__(
        self, network: Network, text_encoder: TextEncoderConfig, image_encoder: Backbone, vocab_size: int
    ) -> None:
        super().__init__()
        self.text_encoder = TextEncoder(text_encoder, vocab_size)
        self.norm: Norm = network.normalize
        self.center, self.spatial_features = network.center, network.spatial_features
        self.fusion = ImageTextFusion(
            network.fusion,
            image_encoder.dim + SPATIAL * network.spatial_features,
            self.text_encoder.dim,
            network.fused_dim,
            dropout=network.fused_dropout,
            norm=network.fused_norm,
        )
        hidden = nn.Linear(self.fusion.dim, network.attention_dim)
        self.scorer = nn.Sequential(hidden, nn.ReLU(), nn.Linear(network.attention_dim, 1))
        initialize.xavier(self)
        self.image_encoder = image_encoder  # after the initializer, which would overwrite its weights

    def forward(
        self, image: ImageFeatures, boxes_BK4: Tensor, counts_B: Tensor, tokens_BT: Tensor, lengths_B: Tensor
    ) -> Tensor:
        """Logits (B, K), the least number at padding. `image`: pixels, or features of the image encoder; boxes are
        fractions of the image's sides, `counts_B` of them real; `lengths_B`: words of the phrases."""
        phrase_BQ = normalize(self.text_encoder(tokens_BT, lengths_B), self.norm)
        features = self.image_encoder(*image) if len(image) == 1 else image
        grid_BSD = features[1].to(phrase_BQ.dtype)
        cells_BSD = center(grid_BSD) if self.center else grid_BSD
        extent_B2 = torch.ones(len(boxes_BK4), 2, device=boxes_BK4.device)
        regions_BKD = region_features(cells_BSD, self.image_encoder.grid, boxes_BK4, extent_B2)
        regions_BKD = without_noise(regions_BKD, grid_BSD) if self.center else regions_BKD
        regions_BKR = normalize(regions_BKD, self.norm)
        if self.spatial_features:
            area_BK1 = (boxes_BK4[..., 2:] - boxes_BK4[..., :2]).prod(-1, keepdim=True)
            regions_BKR = torch.cat([regions_BKR, boxes_BK4, area_BK1], -1)
        logits_BK = self.scorer(self.fusion(regions_BKR, phrase_BQ[:, None])).squeeze(-1)
        mask_BK = mask_from_lengths(counts_B, boxes_BK4.shape[1])
        masked_BK: Tensor = logits_BK.masked_fill(~mask_BK, torch.finfo(logits_BK.dtype).min)
        return masked_BK
