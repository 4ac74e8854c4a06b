"""Fusion of an image's vectors with a text's vector, and the normalization of both.

Fukui et al. 2016, arXiv:1606.01847, section 3; the kinds of fusion are those of `seqkit.nn.fusion`.

B batch, S grid cells, D width of a cell, I image width, Q text width, F fused width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.nn.bilinear import l2_normalize
from seqkit.nn.fusion import FusionKind, make_fusion

Norm = Literal["l2", "rms"] | None
NORMALIZED = ("bilinear", "compact", "mfb")  # fusions that end with an L2 normalization


def normalize(vectors: Tensor, norm: Norm) -> Tensor:
    """Vectors in the last dimension at an L2 norm of 1, at a root mean square of 1, or unchanged."""
    return vectors if norm is None else l2_normalize(vectors, -1) * vector_length(vectors.shape[-1], norm)


def vector_length(dim: int, norm: Norm) -> float:
    """The L2 norm of what `normalize` makes of vectors `dim` wide; 1 where it leaves them unchanged."""
    return dim**0.5 if norm == "rms" else 1.0


def center(grid_BSD: Tensor) -> Tensor:
    """Cells less the mean of their image. After a ReLU that mean is most of a cell, and would be most of any bilinear
    pooling of it.
    """
    return grid_BSD - grid_BSD.mean(1, keepdim=True)


def without_noise(vectors: Tensor, grid_BSD: Tensor) -> Tensor:
    """Means of centered cells (B, ..., D), with zeros where the cells of `grid_BSD`, as they were before, leave only
    their rounding errors: those of the whole image, which a normalization would make as large as any other."""
    dims, noise = (1,) * (vectors.dim() - 1), 8 * torch.finfo(grid_BSD.dtype).eps
    largest = torch.linalg.vector_norm(grid_BSD, dim=-1).amax(1).view(-1, *dims)
    return vectors.where(torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) > noise * largest, 0.0)


class ImageTextFusion(nn.Module):
    """A fusion by its kind; its output is `dim` wide (both inputs' width for a concatenation without layers).

    `norm` is the L2 norm of the output, of fusions that normalize it or, with `always`, of any.
    Raises InputError for sizes that the kind cannot have.
    """

    def __init__(
        self,
        kind: FusionKind,
        image_dim: int,
        text_dim: int,
        dim: int,
        *,
        layers: int = 0,
        dropout: float = 0.0,
        norm: float = 1.0,
        always: bool = False,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.dim = image_dim + text_dim if kind == "concat" and not layers else dim
        try:
            self.fuse = make_fusion(kind, image_dim, text_dim, self.dim, layers=layers, dropout=dropout, seed=seed)
        except ValueError as error:
            raise InputError(f"`fused_dim` and `fusion_layers` must fit `fusion` {kind}: {error}") from error
        self.normalizes = always and kind not in NORMALIZED
        self.scale = norm if always or kind in NORMALIZED else 1.0

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Vectors (..., I) and (..., Q) to (..., F)."""
        fused = self.fuse(image, text)
        return (l2_normalize(fused, -1) if self.normalizes else fused) * self.scale
