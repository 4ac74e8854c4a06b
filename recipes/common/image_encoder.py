"""Image encoder of the recipes that take images: a CNN, frozen with cached features, or trained from a stage on.

A frozen encoder runs once over each image; training reads its features from the cache (`FeatureReader`). Where a stage
is unfrozen, training decodes pixels (`PixelReader`).
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from seqkit.data.cache import build_cache
from seqkit.data.image import Square
from seqkit.described import described
from seqkit.find_run import find_run
from seqkit.nn.backbones import PRETRAINED, Backbone
from seqkit.ranges import Range
from seqkit.recipes.common.image_reader import FeatureReader, ImageReader, PixelReader
from seqkit.train import checkpoint

PART = "image_encoder"  # the models' attribute, and so the first part of its weights' names


@described
@dataclass(frozen=True)
class ImageEncoderConfig:
    """The CNN over the images; each image is stretched to a square."""

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
    """network (Show and Tell: googlenet, later inception_v3; Show, Attend and Tell: vgg16; Fukui et al.: resnet152)"""
    weights: str = "pretrained"
    """pretrained: published ones, fetched on first use; or a file, a run of any recipe with this network; or random"""
    image_size: Annotated[int | None, Range(min=1)] = None
    """side of the square in pixels; null: the network's own, 224 or 299"""
    output_stage: str | None = None
    """stage whose feature map is the grid, such as blocks4 or layer3; null: the last one, best for photographs"""
    unfreeze_from: str | None = None
    """first stage that is trained too, such as blocks5 or layer4; null: none, and features are read from a cache"""
    unfreeze_lr: Annotated[float, Range(above=0)] = 1e-5
    """learning rate of the unfrozen stages"""
    cache: Path | None = None
    """folder of the feature cache; null: one below $XDG_CACHE_HOME or ~/.cache"""

    def learning_rates(self) -> dict[str, float]:
        """The learning rate of the encoder's parameters by the prefix of their names; 0 where it is frozen."""
        return {f"{PART}.": self.unfreeze_lr if self.unfreeze_from else 0.0}


def make_image_encoder(config: ImageEncoderConfig, *, pretrained: bool = True) -> Backbone:
    """The network; without `pretrained` its weights are still to be loaded from a run."""
    given = config.weights if pretrained and config.weights != "random" else None
    run = find_run(given) if given and given != PRETRAINED else None
    run = run if run and run.is_dir() else None
    backbone = Backbone(
        config.backbone,
        size=config.image_size,
        weights=None if run else given,
        trainable_from=config.unfreeze_from,
        last_stage=config.output_stage,
        learn_statistics=config.weights == "random",
    )
    if run:
        checkpoint.load_weights(backbone, checkpoint.best_checkpoint(run), submodule=PART)
    return backbone


def pixel_reader(backbone: Backbone) -> PixelReader:
    """The reader of any images, without a cache, for `predict`."""
    return PixelReader(Square(backbone.size), unknown=True)


def feature_reader(config: ImageEncoderConfig, backbone: Backbone, paths: Sequence[Path]) -> FeatureReader:
    """The reader of the features of `paths`; those that the cache lacks are computed first."""
    key, distinct = backbone.key(), list(dict.fromkeys(paths))
    folder = config.cache or cache_home() / f"{config.backbone}-{digest(key)}"
    features = build_cache(folder, distinct, backbone.extractor(), key, square=Square(backbone.size))
    return FeatureReader(features, {path: number for number, path in enumerate(distinct)})


def image_reader(config: ImageEncoderConfig, backbone: Backbone, paths: Sequence[Path]) -> ImageReader:
    """The reader of a corpus: pixels where the encoder is trained, else features of `paths` from the cache."""
    return PixelReader(Square(backbone.size)) if config.unfreeze_from else feature_reader(config, backbone, paths)


def cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqkit" / "features"


def digest(key: Mapping[str, str | int]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
