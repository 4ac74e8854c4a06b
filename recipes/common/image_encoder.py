"""The eye of the recipes that look at pictures: a CNN, frozen and read from a cache, or learning too.

B pictures, P pixels a side, S grid cells, D width of the grid, W width of the vector for the whole picture.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seqkit.data.cache import build
from seqkit.data.image import Square, to_pixels
from seqkit.nn.backbones import PRETRAINED, Backbone
from seqkit.train import checkpoint

Seen = tuple[Tensor, ...]  # pixels (B, 3, P, P), or what a backbone makes of them: (B, W) and (B, S, D)
Sight = Callable[[Sequence[Path]], Seen]


@dataclass(frozen=True)
class Eye:
    """The CNN that looks at the pictures; each is seen whole, stretched to a square."""

    backbone: Literal[
        "efficientnet_lite0",
        "alexnet",
        "vgg16",
        "googlenet",
        "inception_v3",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "small_cnn",
    ] = "efficientnet_lite0"
    """network (Show and Tell: googlenet, later inception_v3; Show, Attend and Tell: vgg16)"""
    weights: str = "pretrained"
    """published weights, a file of weights, the run of any recipe whose eye is this network, or random"""
    pixels: int = 0
    """side of the square; 0: the network's own, 224 or 299"""
    last_stage: str = ""
    """stage whose map is the grid, such as blocks4 or layer3; empty: the last one, best for photographs"""
    finetune: str = ""
    """first stage that learns too, such as blocks5 or layer4; empty: none, and features are read from a cache"""
    finetune_rate: float = 1e-5
    """learning rate of those stages"""
    cache: Path = Path()
    """folder of the cache; empty: one below $XDG_CACHE_HOME or ~/.cache"""


def make_eye(eye: Eye, *, pretrained: bool = True) -> Backbone:
    """The network; without `pretrained` its weights are to be loaded from a run."""
    given = eye.weights if pretrained and eye.weights != "random" else None
    run = Path(given) if given and given != PRETRAINED and Path(given).is_dir() else None
    backbone = Backbone(
        eye.backbone,
        size=eye.pixels or None,
        weights=None if run else given,
        trainable_from=eye.finetune or None,
        last_stage=eye.last_stage or None,
        learn_statistics=eye.weights == "random",
    )
    if run:
        checkpoint.load_weights(backbone, checkpoint.best_of(run), part="eye")
    return backbone


def direct(backbone: Backbone) -> Sight:
    """Pixels, decoded when they are asked for."""
    square = Square(backbone.size)
    return lambda paths: (to_pixels([square.read(path) for path in paths]),)


def cached(eye: Eye, backbone: Backbone, paths: Sequence[Path]) -> Sight:
    """Features from the cache, which is first filled with those of `paths` that it lacks."""
    key, distinct = backbone.key(), list(dict.fromkeys(paths))
    folder = eye.cache if eye.cache != Path() else cache_home() / f"{eye.backbone}-{digest(key)}"
    features = build(folder, distinct, backbone.extractor(), key, square=Square(backbone.size))
    numbers = {path: number for number, path in enumerate(distinct)}

    def sight(paths: Sequence[Path]) -> Seen:
        rows = [features[numbers[path]] for path in paths]
        return tuple(torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True))

    return sight


def sight_of(eye: Eye, backbone: Backbone, paths: Sequence[Path]) -> Sight:
    """What a model is shown: pixels where its eye learns, else features of a frozen one."""
    return direct(backbone) if eye.finetune else cached(eye, backbone, paths)


def cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqkit" / "features"


def digest(key: dict[str, str | int]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
