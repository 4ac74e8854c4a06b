"""CNN backbones as image encoders: a pooled vector of the image, and a grid of feature vectors.

| network | size | grid | D | P | source |
|---|---|---|---|---|---|
| alexnet | 224 | 13 x 13 | 256 | 4096 | Krizhevsky 2014, arXiv:1404.5997 |
| vgg16 | 224 | 14 x 14 | 512 | 4096 | Simonyan and Zisserman 2015, arXiv:1409.1556 |
| googlenet | 224 | 7 x 7 | 1024 | 1024 | Szegedy et al. 2015, arXiv:1409.4842 |
| inception_v3 | 299 | 8 x 8 | 2048 | 2048 | Szegedy et al. 2016, arXiv:1512.00567 |
| resnet18, resnet34 | 224 | 7 x 7 | 512 | 512 | He et al. 2016, arXiv:1512.03385 |
| resnet50, resnet101, resnet152 | 224 | 7 x 7 | 2048 | 2048 | the same |
| efficientnet_lite0 | 224 | 7 x 7 | 1280 | 1280 | Tan and Le 2019, arXiv:1905.11946; no squeeze, ReLU6 |
| small_cnn | 64 | 8 x 8 | 128 | 128 | four 3 x 3 convolutions, trained from scratch on drawn or other simple images |

The pooled vector is what the network's own classifier reads: the mean of the grid, but in AlexNet and VGG the last
hidden layer (fc7), and their grid is taken before the last pooling, as Xu et al. 2015 (arXiv:1502.03044, section 3.1.1)
do. A network cut after an earlier stage gives that stage's map and its mean. Region features: RoI align, He et al.
2017, arXiv:1703.06870, section 3.

B batch, H and W pixels, R rows and C columns of the grid, S = R C its cells row by row, D grid width, P pooled width,
K boxes an image.
"""

import copy
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.fusion import fuse_conv_bn_weights

from seqkit.errors import InputError
from seqkit.nn.imagenet import NETWORKS, build, load, pretrained

PRETRAINED = "pretrained"


class Features(NamedTuple):
    """What a backbone makes of a batch of images."""

    pooled_BP: Tensor
    grid_BSD: Tensor


class Backbone(nn.Module):
    """A CNN image encoder: uint8 pixels (B, 3, size, size) to Features, normalization included.

    `stages` holds its parts in order; all before `trainable_from` are frozen: no gradients, and always in evaluation
    mode (no dropout). Batch norms use their running statistics everywhere, except with `learn_statistics`. `size` is in
    pixels, `grid` is (R, C), `dim` is D, `pooled_dim` is P.
    """

    mean_311: Tensor
    std_311: Tensor

    def __init__(
        self,
        name: str,
        *,
        size: int | None = None,
        weights: str | Path | None = PRETRAINED,
        trainable_from: str | None = None,
        last_stage: str | None = None,
        learn_statistics: bool = False,
    ) -> None:
        """weights: a file with the state dict of torchvision's model; "pretrained", which for efficientnet_lite0 is in
        its package and else is in torchvision's cache, or fetched to it; or None for random ones.
        trainable_from: first stage that is trained; None freezes all. last_stage: the last stage kept (early stages
        separate plain shapes and colors, late ones the contents of photographs); None keeps all. learn_statistics:
        trained batch norms use batch statistics and update the running ones, as random weights need; pretrained weights
        lose by it. Raises InputError for an unknown name or stage, too small a size, or a file without such weights.
        """
        super().__init__()
        if name not in NETWORKS:
            raise InputError(f"`name` must be one of {', '.join(NETWORKS)}, got {name!r}")
        plan = NETWORKS[name]
        self.name, self.size, self.learn_statistics = name, plan.size if size is None else size, learn_statistics
        network = build(name, self.size)
        if weights is not None:
            load(network, name, pretrained(name) if weights == PRETRAINED else Path(weights))
        self.stages = nn.ModuleDict(
            {
                stage: nn.Sequential(
                    *(nn.Flatten() if part == "flatten" else network.get_submodule(part) for part in parts.split())
                )
                for stage, parts in plan.stages.items()
            }
        )
        for stage in self._from(last_stage)[1:] if last_stage else ():
            del self.stages[stage]
        self.register_buffer("mean_311", 255 * torch.tensor(plan.mean)[:, None, None], persistent=False)
        self.register_buffer("std_311", 255 * torch.tensor(plan.std)[:, None, None], persistent=False)
        trainable = () if trainable_from is None else self._from(trainable_from)
        self.frozen = tuple(stage for stage in self.stages if stage not in trainable)
        self.dim, self.pooled_dim, self.grid = self._measured()
        for stage in self.frozen:
            self.stages[stage].requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train()

    def forward(self, pixels_B3HW: Tensor) -> Features:
        """Pixels (B, 3, size, size) to pooled vectors (B, P) and grids (B, S, D).

        Raises ValueError for pixels of another type or size.
        """
        if pixels_B3HW.dtype != torch.uint8 or pixels_B3HW.shape[1:] != (3, self.size, self.size):
            found = f"{pixels_B3HW.dtype} {tuple(pixels_B3HW.shape)}"
            raise ValueError(f"`pixels_B3HW` must be uint8 (B, 3, {self.size}, {self.size}), got {found}")
        map_BDRC = (pixels_B3HW.to(self.mean_311.dtype) - self.mean_311) / self.std_311
        map_BDRC = map_BDRC.contiguous(memory_format=torch.channels_last)
        for name, stage in self.stages.items():
            if name != "fc":
                map_BDRC = stage(map_BDRC)
        pooled_BP = self.stages["fc"](map_BDRC) if "fc" in self.stages else map_BDRC.mean((2, 3))
        return Features(pooled_BP, map_BDRC.flatten(2).transpose(1, 2))

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for stage in self.frozen:
            self.stages[stage].eval()
        for module in () if self.learn_statistics else self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def parameters_from(self, stage: str) -> Iterator[nn.Parameter]:
        """The parameters of a stage and of all after it; InputError for an unknown stage."""
        for name in self._from(stage):
            yield from self.stages[name].parameters()

    def fingerprint(self) -> str:
        """The SHA-256 of all weights, names and types included, as they are now."""
        digest = hashlib.sha256()
        for name, tensor in self.state_dict().items():
            plain = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
            digest.update(plain.flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def key(self) -> dict[str, str | int]:
        """Everything that the features of given pixels depend on, as the key of a cache."""
        plan = NETWORKS[self.name]
        return {
            "network": self.name,
            "size": self.size,
            "weights": self.fingerprint(),
            "normalization": f"mean {plan.mean}, deviation {plan.std}",
        }

    def extractor(self) -> Callable[[Tensor], Features]:
        """A faster copy for features without gradients: batch norms are folded into the convolutions before them.

        The features are those of this module in evaluation mode, to rounding; the copy is on the same device.
        """
        fast = copy.deepcopy(self).eval()
        _fold(fast)
        device = self.mean_311.device

        def extract(pixels_B3HW: Tensor) -> Features:
            with torch.no_grad():
                features: Features = fast(pixels_B3HW.to(device, non_blocking=True))
            return features

        return extract

    def _measured(self) -> tuple[int, int, tuple[int, int]]:
        """D, P and (R, C), by a pass that computes shapes only. Raises InputError for too small a size."""
        self.eval()
        named = itertools.chain(self.named_parameters(), self.named_buffers())
        shapes = {name: tensor.to("meta") for name, tensor in named}
        pixels_B3HW = torch.empty(1, 3, self.size, self.size, dtype=torch.uint8, device="meta")
        try:
            with torch.no_grad():
                pooled_BP, grid_BSD = functional_call(self, shapes, (pixels_B3HW,))
        except RuntimeError:
            raise InputError(
                f"`size` must be enough pixels for {self.name}, whose own is {NETWORKS[self.name].size}, "
                f"got {self.size}"
            ) from None
        side = math.isqrt(grid_BSD.shape[1])
        return grid_BSD.shape[2], pooled_BP.shape[1], (side, side)

    def _from(self, stage: str) -> list[str]:
        names = list(self.stages)
        if stage not in names:
            raise InputError(f"a stage of {self.name} must be one of {', '.join(names)}, got {stage!r}")
        return names[names.index(stage) :]


def region_features(grid_BSD: Tensor, grid: tuple[int, int], boxes_BK4: Tensor, extent_B2: Tensor) -> Tensor:
    """Region features: the mean (B, K, D) of the grid in each box, by RoI align with about one bilinear sample a cell.

    boxes_BK4: left, top, right, bottom in pixels of images whose (height, width) is extent_B2 and which the grid covers
    whole. The box of the whole image gives the mean of the grid; a box without area gives zeros, so zeros can pad.
    """
    from torchvision.ops import roi_align

    (batch, _, dim), (rows, columns), boxes = grid_BSD.shape, grid, boxes_BK4.shape[1]
    map_BDRC = grid_BSD.transpose(1, 2).reshape(batch, dim, rows, columns)
    cells_2 = torch.tensor([rows, columns], dtype=map_BDRC.dtype, device=map_BDRC.device)
    scale_B12 = (cells_2 / extent_B2.to(map_BDRC.dtype)).flip(1)[:, None]
    scaled_BK4 = boxes_BK4.to(map_BDRC.dtype) * scale_B12.repeat(1, 1, 2)
    image_BK1 = torch.arange(batch, device=scaled_BK4.device, dtype=scaled_BK4.dtype)[:, None, None].expand(
        -1, boxes, 1
    )
    regions_N5 = torch.cat([image_BK1, scaled_BK4], -1).flatten(0, 1)
    pooled = roi_align(map_BDRC, regions_N5, output_size=1, aligned=True)
    features_BKD: Tensor = pooled.reshape(batch, boxes, dim)
    return features_BKD


@torch.no_grad()
def _fold(module: nn.Module) -> None:
    """Fold every batch norm into the convolution registered just before it; for evaluation mode only."""
    for (_, conv), (name, norm) in itertools.pairwise(list(module.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            setattr(module, name, nn.Identity())
    for child in module.children():
        _fold(child)
