"""Fusion of two vectors into one, as of image and question: sums, products, bilinear pooling and low-rank forms of it.

Every class has `dim`, the width of its output, and `forward(first, second)`: (..., D1) and (..., D2) to (..., dim).
Leading dimensions broadcast, and each input is mapped before it is broadcast: a question (B, 1, Q) beside a grid
(B, S, D) is mapped once, not S times. Dropout acts on the fused vector unless the class says otherwise.

Sum, product and concatenation followed by fully connected layers, full and compact bilinear pooling: Fukui et al. 2016,
arXiv:1606.01847, section 4.3 and table 1. MLB: Kim et al. 2017, arXiv:1610.04325. MUTAN: Ben-younes et al. 2017,
arXiv:1705.06676. MFB: Yu et al. 2017, arXiv:1708.01471.

D1, D2 widths of the inputs, J width at which they are combined, R rank.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqkit.nn.bilinear import CompactBilinear, l2_normalize, signed_sqrt
from seqkit.nn.dropout import Dropout

FusionKind = Literal["sum", "product", "concat", "bilinear", "compact", "mlb", "mutan", "mfb"]


class SumFusion(nn.Module):
    """first + second, followed by `layers` fully connected layers of width `dim`, each with ReLU and dropout.

    Inputs of equal width are added as they are where layers follow or `dim` is that width; others are first mapped
    linearly to `dim`.
    """

    def __init__(self, first_dim: int, second_dim: int, dim: int, *, layers: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        plain = first_dim == second_dim and (layers > 0 or first_dim == dim)
        joint_dim = first_dim if plain else dim
        self.dim, self.widths = dim, (first_dim, second_dim)
        self.first: nn.Module = nn.Identity() if plain else nn.Linear(first_dim, joint_dim)
        self.second: nn.Module = nn.Identity() if plain else nn.Linear(second_dim, joint_dim)
        self.layers = _layers(joint_dim, dim, layers, dropout)

    def combine(self, first_J: Tensor, second_J: Tensor) -> Tensor:
        """The elementwise sum."""
        return first_J + second_J

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(..., D1) and (..., D2) to (..., dim); raises ValueError for other widths."""
        _check(first, second, self.widths)
        fused: Tensor = self.layers(self.combine(self.first(first), self.second(second)))
        return fused


class ProductFusion(SumFusion):
    """The elementwise product first * second; all else as in `SumFusion`."""

    def combine(self, first_J: Tensor, second_J: Tensor) -> Tensor:
        """The elementwise product."""
        return first_J * second_J


class ConcatFusion(nn.Module):
    """The concatenation of both, followed by `layers` fully connected layers of width `dim` as in `SumFusion`.

    The first layer's matrix is applied to each input by itself. Without layers `dim` must be D1 + D2.
    """

    def __init__(self, first_dim: int, second_dim: int, dim: int, *, layers: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        if not layers and dim != first_dim + second_dim:
            raise ValueError(
                f"`dim` must be {first_dim} + {second_dim} = {first_dim + second_dim} "
                f"for a concatenation without layers, got {dim}"
            )
        self.dim, self.widths = dim, (first_dim, second_dim)
        self.joint = nn.Linear(first_dim + second_dim, dim) if layers else None
        self.layers = _layers(dim, dim, max(layers - 1, 0), dropout)
        if layers:
            self.layers = nn.Sequential(nn.ReLU(), Dropout(dropout), *(self.layers if layers > 1 else ()))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(..., D1) and (..., D2) to (..., dim); raises ValueError for other widths."""
        _check(first, second, self.widths)
        if self.joint is None:
            lead = torch.broadcast_shapes(first.shape[:-1], second.shape[:-1])  # type: ignore[no-untyped-call]
            joint = torch.cat([x.expand(*lead, x.shape[-1]) for x in (first, second)], -1)
        else:
            weight, cut = self.joint.weight, self.widths[0]
            joint = F.linear(first, weight[:, :cut], self.joint.bias) + F.linear(second, weight[:, cut:])
        fused: Tensor = self.layers(joint)
        return fused


class BilinearFusion(nn.Module):
    """Full bilinear pooling: the outer product of both inputs, mapped linearly to `first_map` and `second_map`.

    Signed square root and L2 normalization follow.
    """

    def __init__(
        self, first_dim: int, second_dim: int, *, first_map: int = 128, second_map: int = 128, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dim = first_map * second_map
        self.first, self.second = nn.Linear(first_dim, first_map), nn.Linear(second_dim, second_map)
        self.dropout = Dropout(dropout)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(..., D1) and (..., D2) to (..., dim)."""
        outer = (self.first(first)[..., :, None] * self.second(second)[..., None, :]).flatten(-2)
        fused: Tensor = self.dropout(l2_normalize(signed_sqrt(outer)))
        return fused


class CompactBilinearFusion(nn.Module):
    """Compact bilinear pooling to `dim`, signed square root, L2 normalization. `seed` fixes the hashes."""

    def __init__(
        self, first_dim: int, second_dim: int, dim: int = 16000, *, dropout: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.dim, self.dropout = dim, Dropout(dropout)
        self.pool = CompactBilinear((first_dim, second_dim), dim, seed=seed)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(..., D1) and (..., D2) to (..., dim)."""
        fused: Tensor = self.dropout(l2_normalize(signed_sqrt(self.pool(first, second))))
        return fused


class MLB(nn.Module):
    """MLB, low-rank bilinear pooling: tanh(U first) * tanh(V second). The paper's output map P is the caller's."""

    def __init__(self, first_dim: int, second_dim: int, dim: int = 1200, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim, self.dropout = dim, Dropout(dropout)
        self.first, self.second = nn.Linear(first_dim, dim), nn.Linear(second_dim, dim)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(..., D1) and (..., D2) to (..., dim)."""
        fused: Tensor = self.dropout(torch.tanh(self.first(first)) * torch.tanh(self.second(second)))
        return fused


class MUTAN(nn.Module):
    """MUTAN, a Tucker decomposition of rank R: sum over r of (M_r tanh(U first)) * (N_r tanh(V second)).

    Both inputs are first mapped to `map_dim`.
    """

    def __init__(
        self,
        first_dim: int,
        second_dim: int,
        dim: int = 510,
        *,
        map_dim: int = 310,
        rank: int = 5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim, self.rank, self.dropout = dim, rank, Dropout(dropout)
        self.first, self.second = (
            nn.Sequential(nn.Linear(width, map_dim), nn.Tanh(), nn.Linear(map_dim, rank * dim, bias=False))
            for width in (first_dim, second_dim)
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(..., D1) and (..., D2) to (..., dim)."""
        product: Tensor = self.first(first) * self.second(second)
        fused: Tensor = self.dropout(product.reshape(*product.shape[:-1], self.rank, self.dim).sum(-2))
        return fused


class MFB(nn.Module):
    """MFB, factorized bilinear pooling: sums over `rank` neighbors of (U first) * (V second), dropout before the sum.

    Signed square root and L2 normalization follow.
    """

    def __init__(
        self, first_dim: int, second_dim: int, dim: int = 1000, *, rank: int = 5, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dim, self.rank, self.dropout = dim, rank, Dropout(dropout)
        self.first, self.second = nn.Linear(first_dim, dim * rank), nn.Linear(second_dim, dim * rank)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(..., D1) and (..., D2) to (..., dim)."""
        product: Tensor = self.dropout(self.first(first) * self.second(second))
        pooled = product.reshape(*product.shape[:-1], self.dim, self.rank).sum(-1)
        return l2_normalize(signed_sqrt(pooled))


def _bilinear(first_dim: int, second_dim: int, dim: int, *, dropout: float) -> BilinearFusion:
    """Full bilinear pooling to `dim`, split into its two nearest factors."""
    one, other = _factors(dim)
    return BilinearFusion(first_dim, second_dim, first_map=one, second_map=other, dropout=dropout)


FUSIONS: dict[FusionKind, Callable[..., nn.Module]] = {
    "sum": SumFusion,
    "product": ProductFusion,
    "concat": ConcatFusion,
    "bilinear": _bilinear,
    "compact": CompactBilinearFusion,
    "mlb": MLB,
    "mutan": MUTAN,
    "mfb": MFB,
}


def make_fusion(
    kind: FusionKind, first_dim: int, second_dim: int, dim: int, *, layers: int = 0, dropout: float = 0.0, seed: int = 0
) -> nn.Module:
    """The fusion that goes by `kind`, `dim` wide. `layers` is for sum, product and concat, `seed` for compact.

    Raises ValueError for another kind, for a concatenation without layers of another width than both inputs', for
    layers behind another kind, and for a `dim` of bilinear that is no product of two factors within a ratio of 2.
    """
    if kind not in FUSIONS:
        raise ValueError(f"`kind` must be one of {', '.join(FUSIONS)}, got {kind!r}")
    options: dict[str, Any] = {"dropout": dropout}
    if kind in ("sum", "product", "concat"):
        options["layers"] = layers
    elif layers:
        raise ValueError(f"`layers` must be 0 for {kind}, got {layers}")
    if kind == "compact":
        options["seed"] = seed
    return FUSIONS[kind](first_dim, second_dim, dim, **options)


def _layers(in_dim: int, dim: int, layers: int, dropout: float) -> nn.Sequential:
    """Fully connected layers, each followed by ReLU and dropout; dropout alone for none."""
    parts: list[nn.Module] = []
    for width in (in_dim, *(dim for _ in range(layers - 1)))[:layers]:
        parts += [nn.Linear(width, dim), nn.ReLU(), Dropout(dropout)]
    return nn.Sequential(*(parts or [Dropout(dropout)]))


def _check(first: Tensor, second: Tensor, widths: tuple[int, int]) -> None:
    """Raises ValueError for a wrong width, which might broadcast or be concatenated in silence."""
    for name, x, width in zip(("first", "second"), (first, second), widths, strict=True):
        if x.shape[-1] != width:
            raise ValueError(f"`{name}` must be (..., {width}), got {tuple(x.shape)}")


def _factors(dim: int) -> tuple[int, int]:
    """The two factors of `dim` nearest to each other, the smaller one first."""
    one = next(factor for factor in range(math.isqrt(dim), 0, -1) if dim % factor == 0)
    if dim > 2 * one * one:
        raise ValueError(f"`dim` must be a product of two factors within a ratio of 2, as 16000 = 125 x 128, got {dim}")
    return one, dim // one
