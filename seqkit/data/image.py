"""Images: files to upright RGB pixels, and those to the square inputs of CNNs.

A square shows either the whole image, stretched, or its largest centered square. Stretching is the rule here:
attention and boxes need the whole picture, and a caption may be about its margin. The crop keeps shapes as ImageNet
networks learned them, for one vector a picture. Both are one antialiased bilinear resampling.

Coordinates are pixels from the upper left corner of the upright picture; a box is left, top, right, bottom, and the
picture itself is the box (0, 0, width, height).

B pictures, H and W pixels, N boxes, S cells of a grid (row by row).
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, UnidentifiedImageError

from seqkit.data.shards import has_file, openable, size_of
from seqkit.errors import DAMAGE, InputError

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]

MAX_PIXELS = 2**30 // 12  # 89,478,485: 256 MiB as RGB, and where Pillow begins to suspect a decompression bomb
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "ICO", "AVIF")  # decoded in process
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what undoes each orientation


def read_image(path: Path, *, at_least: int | None = None) -> Pixels:
    """Reads an image (H, W, 3): upright, alpha laid over white, of several frames the first.

    With `at_least`, a picture whose sides are several times as many pixels is made smaller by a whole factor, and a
    JPEG is decoded small, in a fraction of time and memory. Raises InputError with the file's name for one that is
    missing, empty, truncated, no picture, or has more than MAX_PIXELS.
    """
    with _opened(Path(path)) as image:
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()  # of some formats, mode and orientation are known only now
        rgb = _as_rgb(image, path)
        factor = min(rgb.size) // at_least if at_least else 1
        if factor > 1:
            rgb = rgb.reduce(factor)
        turn = UPRIGHT.get(_orientation(image))
        return np.array(rgb if turn is None else rgb.transpose(turn))


def read_size(path: Path) -> tuple[int, int]:
    """Reads (height, width) in pixels of the upright image from its header. Raises what `read_image` raises."""
    with _opened(Path(path)) as image:
        width, height = image.size
        if image.format == "TIFF":  # whose reader has turned the size already
            return height, width
        return (width, height) if _orientation(image) >= 5 else (height, width)


def read_orientation(path: Path) -> int:
    """Reads the EXIF orientation, 1 to 8; 1 for an image that is stored upright. Raises what `read_image` raises."""
    with _opened(Path(path)) as image:
        return _orientation(image)


def mirror(image: Pixels) -> Pixels:
    """Flips an image (H, W, 3) horizontally."""
    return np.ascontiguousarray(image[:, ::-1])


def to_pixels(squares: Sequence[Pixels]) -> "Tensor":
    """Stacks squares of one size to a uint8 tensor (B, 3, H, W) in channels-last memory."""
    import torch

    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


class Square(NamedTuple):
    """The square input of a CNN: the whole image stretched to `size` x `size` pixels, or its center crop."""

    size: int
    crop: bool = False

    def key(self) -> dict[str, int | bool | str]:
        """Returns all that decides the pixels of a square, for the key of a cache."""
        return {"pixels": self.size, "crop": self.crop, "resampling": "bilinear, from twice the size"}

    def read(self, path: Path) -> Pixels:
        """Reads the square of a file. Raises what `read_image` raises."""
        return self.of(read_image(path, at_least=2 * self.size))

    def of(self, image: Pixels) -> Pixels:
        """Makes the square (size, size, 3) of an image (H, W, 3)."""
        box = self.region(*image.shape[:2])
        size = (self.size, self.size)
        return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box=box))

    def region(self, height: int, width: int) -> tuple[float, float, float, float]:
        """Returns the box of the image that the square shows."""
        if not self.crop:
            return 0.0, 0.0, float(width), float(height)
        left, top = max(0, width - height) / 2, max(0, height - width) / 2
        return left, top, width - left, height - top

    def to_square(self, boxes: ArrayLike, height: int, width: int) -> Boxes:
        """Maps boxes (N, 4) of an image to its square, clipped to the square's edges."""
        left, top, right, bottom = self.region(height, width)
        scale = np.array([self.size / (right - left), self.size / (bottom - top)] * 2)
        moved_N4 = (np.asarray(boxes, np.float64).reshape(-1, 4) - [left, top, left, top]) * scale
        clipped_N4: Boxes = np.clip(moved_N4, 0, self.size)
        return clipped_N4

    def to_image(self, boxes: ArrayLike, height: int, width: int) -> Boxes:
        """Maps boxes (N, 4) of a square to its image."""
        left, top, right, bottom = self.region(height, width)
        scale = np.array([(right - left) / self.size, (bottom - top) / self.size] * 2)
        boxes_N4: Boxes = np.asarray(boxes, np.float64).reshape(-1, 4) * scale + [left, top, left, top]
        return boxes_N4

    def cells(self, rows: int, columns: int, height: int, width: int) -> Boxes:
        """Returns the box (S, 4) of the image under every cell of a CNN's grid."""
        y, x = np.mgrid[:rows, :columns]
        grid = np.stack([x, y, x + 1, y + 1], -1).reshape(-1, 4)
        return self.to_image(grid * (self.size / np.array([columns, rows] * 2)), height, width)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file's header read, its pixels not yet; any fault of the file, here or within, is an InputError."""
    if not has_file(path):
        raise InputError(f"{path}: no such picture; correct the path or fetch the file")
    if not size_of(path):
        raise InputError(f"{path}: must be a picture, got an empty file; fetch it again")
    try:
        with _quietly(), Image.open(openable(path), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(f"{path}: must have at most {MAX_PIXELS:,} pixels, got more; make it smaller") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: must be a picture in one of the formats {', '.join(FORMATS)}, got other or damaged "
            "data; convert it to JPEG or PNG, or fetch it again"
        ) from None
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path}: must be a whole picture, got damaged data ({reason}); fetch it again") from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings, which name no file and are of no use beside our errors. Where several threads read,
    one may leave this filter in place for the others; it does no harm there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def _orientation(image: Image.Image) -> int:
    """1 to 8; damaged EXIF data counts as none."""
    try:
        value = image.getexif().get(ORIENTATION)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and value in UPRIGHT else 1


def _as_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image), path)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    colors = image.convert("RGBA")
    white = Image.new("RGB", colors.size, "white")
    white.paste(colors, mask=colors.getchannel("A"))
    return white


def _eight_bits(gray_HW: NDArray[Any], path: Path) -> Pixels:
    """Converts 16-bit gray to 8 bits; wider samples have no scale of their own and must fit into 16."""
    low, high = gray_HW.min(), gray_HW.max()
    if gray_HW.dtype.kind == "f" or low < 0 or high > 65535:
        raise InputError(
            f"{path}: must have 8 or 16 bits a sample, got {gray_HW.dtype} from {low} to {high}; convert it to 8 bits"
        )
    return ((gray_HW.astype(np.uint32) + 128) // 257).astype(np.uint8)
