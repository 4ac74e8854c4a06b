"""Image readers: paths of image files to the input of an image encoder, or to its features from a cache.

B images, P pixels a side, W width of the pooled vector, S grid cells, D width of a cell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqkit.data.cache import FeatureCache
from seqkit.data.decoder_process import apart
from seqkit.data.image import Square, to_pixels
from seqkit.described import described

ImageFeatures = tuple[Tensor, ...]  # uint8 pixels (B, 3, P, P); or pooled (B, W) and grid (B, S, D); or nothing
ImageReader = Callable[[Sequence[Path]], ImageFeatures]


@described
@dataclass(frozen=True)
class PixelReader:
    """Decodes images when they are asked for: pixels alone. InputError names the file that cannot be read."""

    square: Square
    unknown: bool = False
    """the images are anybody's: a process of its own decodes them"""

    def __call__(self, paths: Sequence[Path]) -> ImageFeatures:
        if self.unknown:
            return (to_pixels([apart(path, self.square.read, path) for path in paths]),)
        return (to_pixels([self.square.read(path) for path in paths]),)


@described
@dataclass(frozen=True)
class FeatureReader:
    """Looks features of a frozen encoder up in a cache: pooled and grid."""

    cache: FeatureCache
    numbers: Mapping[Path, int]
    """an image's place in the cache"""

    def __call__(self, paths: Sequence[Path]) -> ImageFeatures:
        rows = [self.cache[self.numbers[path]] for path in paths]
        return tuple(torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True))


def no_image(paths: Sequence[Path]) -> ImageFeatures:
    """The reader of a model that uses no image."""
    return ()
