"""Pictures of every kind that people have; the oracle for pixels is the array from which a file was made."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seqkit.data import image as module
from seqkit.data.image import MAX_PIXELS, Square, mirror, read_image, read_size, to_pixels
from seqkit.errors import InputError

LOSSLESS = [
    ("png", {}),
    ("bmp", {}),
    ("tiff", {}),
    ("tiff", {"compression": "tiff_lzw"}),
    ("ppm", {}),
    ("webp", {"lossless": True}),
    ("jp2", {"irreversible": False}),
    ("gif", {}),
]
LOSSY = [("jpg", {"quality": 95, "subsampling": 0}), ("webp", {"quality": 95}), ("avif", {"quality": 95})]


def blocks(height: int = 48, width: int = 80) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Sixteen-pixel blocks of few colors, which every format can hold; no symmetry."""
    colors = np.random.default_rng(3).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return colors.repeat(16, 0).repeat(16, 1)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending, options", LOSSLESS)
def test_lossless_formats_give_the_pixels_that_were_saved(tmp_path: Path, ending: str, options: dict[str, Any]) -> None:
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(blocks()), **options)
    found = read_image(path)
    assert found.dtype == np.uint8 and found.flags.writeable
    np.testing.assert_array_equal(found, blocks())


@pytest.mark.parametrize("ending, options", LOSSY)
def test_lossy_formats_come_near(tmp_path: Path, ending: str, options: dict[str, Any]) -> None:
    found = read_image(saved(tmp_path / f"a.{ending}", Image.fromarray(blocks()), **options))
    assert found.shape == (48, 80, 3) and np.abs(found.astype(int) - blocks()).mean() < 5


def test_the_name_of_a_file_says_nothing_about_its_format(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.txt", Image.fromarray(blocks()), format="PNG")
    np.testing.assert_array_equal(read_image(path), blocks())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
def test_every_exif_orientation_is_undone(tmp_path: Path, ending: str, orientation: int) -> None:
    turns = {
        1: (0, False),
        2: (0, True),
        3: (2, False),
        4: (2, True),
        5: (3, True),
        6: (1, False),
        7: (1, True),
        8: (3, False),
    }  # quarters against the clock, then mirrored: how the camera held the upright picture
    quarters, mirrored = turns[orientation]
    stored = np.rot90(blocks(), quarters)
    stored = stored[:, ::-1] if mirrored else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    found = read_image(path)
    assert found.shape == (48, 80, 3) and np.abs(found.astype(int) - blocks()).mean() < 12
    assert read_size(path) == (48, 80)


@pytest.mark.parametrize(
    "directory",
    [
        b"\0\x05\x01\x12\0\x03",  # ends too soon
        b"\0\x01\x01\x12\0\x02\0\0\0\x03up\0\0\0\0\0\0",  # the orientation is a text
        b"\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",  # orientation 99
        b"\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\0\x99\0\0\0\0",  # a fraction that lies beyond the end
    ],
)
def test_nonsense_in_exif_counts_as_upright(tmp_path: Path, directory: bytes) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(blocks()), exif=b"Exif\0\0MM\0*\0\0\0\x08" + directory)
    assert read_image(path).shape == (48, 80, 3) and read_size(path) == (48, 80)


GRAY = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "PA", "RGBA", "CMYK", "YCbCr", "HSV", "RGBX", "RGBa"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    gray = Image.fromarray((GRAY // 128) * 255)
    image = (
        gray.convert("RGB").convert(mode)
        if mode in ("PA", "HSV")
        else gray.convert("RGBA").convert(mode)
        if mode in ("RGBa", "RGBX")
        else gray.convert(mode)
    )
    np.testing.assert_array_equal(module._as_rgb(image, tmp_path), np.repeat((GRAY // 128 * 255)[..., None], 3, -1))


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(blocks()).convert("CMYK"), quality=95, subsampling=0)
    assert np.abs(read_image(path).astype(int) - blocks()).mean() < 4


@pytest.mark.parametrize("ending", ["png", "tiff", "pgm"])
def test_sixteen_bits_keep_their_full_range(tmp_path: Path, ending: str) -> None:
    wide = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16) ^ np.arange(16, dtype=np.uint16)
    wide[0, 0], wide[-1, -1] = 0, 65535
    found = read_image(saved(tmp_path / f"a.{ending}", Image.fromarray(wide)))
    np.testing.assert_array_equal(found, np.repeat(np.round(wide / 257)[..., None], 3, -1))
    assert found.min() == 0 and found.max() == 255


@pytest.mark.parametrize("scale, kind", [(1, np.float32), (-1, np.int32), (258, np.int32)])
def test_samples_without_a_scale_are_refused(tmp_path: Path, scale: int, kind: type) -> None:
    path = saved(tmp_path / "a.tiff", Image.fromarray(GRAY.astype(kind) * scale))
    with pytest.raises(InputError, match=r"a\.tiff: must have 8 or 16 bits a sample, got \w+32 from \S+ to \S+; "):
        read_image(path)


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_alpha_is_laid_over_white(tmp_path: Path, ending: str) -> None:
    alpha = np.repeat(np.arange(0, 256, 16, dtype=np.uint8)[None], 16, 0)
    rgba = np.dstack([np.full((16, 16), 0, np.uint8)] * 3 + [alpha])
    options = {"lossless": True, "exact": True} if ending == "webp" else {}
    found = read_image(saved(tmp_path / f"a.{ending}", Image.fromarray(rgba), **options))
    np.testing.assert_array_equal(found, np.repeat(255 - alpha[..., None], 3, -1))


def test_a_transparent_color_is_white_too(tmp_path: Path) -> None:
    palette = Image.fromarray(GRAY // 128 * 255).convert("P")
    found = read_image(saved(tmp_path / "a.gif", palette, transparency=palette.getpixel((0, 0))))
    assert (found == 255).all()
    found = read_image(saved(tmp_path / "b.png", Image.fromarray(GRAY // 128 * 255), transparency=0))
    assert (found == 255).all()


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tiff"])
def test_of_several_frames_the_first(tmp_path: Path, ending: str) -> None:
    frames = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (30, 90, 200)]
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(tmp_path / f"a.{ending}", frames[0], save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as file:
        assert getattr(file, "n_frames", 1) == 3
    assert (read_image(path) == 30).all()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", r"must be a picture, got an empty file; fetch it again"),
        (
            b"<html>not found</html>",
            r"must be a picture in one of the formats JPEG, PNG, .*, got other or damaged data",
        ),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"must be a picture in one of the formats"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"a\.jpg: " + message):
            read(path)


def test_a_missing_picture_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(InputError, match=rf"{path}: no such picture; correct the path"):
            read_image(path)


@pytest.mark.parametrize("ending, options", [*LOSSLESS[:6], *LOSSY])
def test_a_truncated_picture_is_refused(tmp_path: Path, ending: str, options: dict[str, Any]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(noise), **options)
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=rf"a\.{ending}: must be a "):
            read_image(path)


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "webp", "bmp", "tiff", "ppm", "jp2", "avif", "ico"])
def test_damaged_bytes_are_read_or_refused_but_never_anything_else(tmp_path: Path, ending: str) -> None:
    path, rng = saved(tmp_path / f"a.{ending}", Image.fromarray(blocks())), np.random.default_rng(5)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for trial in range(40):
        damaged = whole.copy()
        places = rng.integers(0, min(len(whole), 200 if trial % 2 else len(whole)), 3)
        damaged[places] = rng.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            assert read_image(path).shape[2] == 3
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)


def png_header(width: int, height: int) -> bytes:
    chunks = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT", b"IEND"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize("width, height", [(MAX_PIXELS + 1, 1), (50_000, 50_000), (10_000, MAX_PIXELS // 10_000 + 1)])
def test_more_pixels_than_the_limit_are_refused_by_the_header(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(png_header(width, height))
    message = r"a\.png: must have at most 89,478,485 pixels, got more; make it smaller"
    for read in (read_image, read_size):
        with warnings.catch_warnings(record=True) as seen:  # Pillow's own words, which would come beside ours
            warnings.simplefilter("always")
            with pytest.raises(InputError, match=message):
                read(tmp_path / "a.png")
        assert not seen


def test_the_limit_holds_whatever_pillows_own_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(module, "MAX_PIXELS", 48 * 80 - 1)
    with pytest.raises(InputError, match=r"must have at most 3,839 pixels"):
        read_image(saved(tmp_path / "a.png", Image.fromarray(blocks())))
    monkeypatch.setattr(module, "MAX_PIXELS", 48 * 80)
    assert read_image(tmp_path / "a.png").shape == (48, 80, 3)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40))
def test_at_least_means_it(
    tmp_path_factory: pytest.TempPathFactory, ending: str, height: int, width: int, least: int
) -> None:
    path = saved(tmp_path_factory.mktemp("a") / f"a.{ending}", Image.fromarray(np.zeros((height, width, 3), np.uint8)))
    small = read_image(path, at_least=least).shape[:2]
    assert all(made >= min(least, side) for made, side in zip(small, (height, width), strict=True))
    assert min(small) < 2 * least or small == (height, width)
    assert abs(small[0] * width - small[1] * height) <= 2 * max(height, width)  # the same aspect, to a pixel


def test_a_large_jpeg_is_decoded_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sizes = saved(tmp_path / "a.jpg", Image.new("RGB", (6000, 4000), "red")), []
    monkeypatch.setattr(module, "_as_rgb", lambda image, _: sizes.append(image.size) or image)
    image = Square(224).read(path)
    assert sizes == [(750, 500)]  # an eighth, and above twice 224
    assert image.shape == (224, 224, 3) and np.abs(image.astype(int) - [254, 0, 0]).max() < 3


def test_a_square_of_the_same_size_is_the_picture() -> None:
    square = blocks(48, 48)
    for crop in (False, True):
        np.testing.assert_array_equal(Square(48, crop).of(square), square)


def test_stretching_shows_all_and_cropping_the_center() -> None:
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, :27], wide[:, 73:] = 255, 255  # not seen but for the filter's width
    assert (Square(20).of(wide)[:, [0, -1]] == 255).all() and (Square(20, crop=True).of(wide) == 0).all()
    tall = wide.transpose(1, 0, 2)
    assert (Square(20).of(tall)[[0, -1]] == 255).all() and (Square(20, crop=True).of(tall) == 0).all()


@given(st.integers(2, 300), st.integers(2, 300), st.integers(1, 300), st.booleans(), st.integers(1, 7))
def test_boxes_go_to_the_square_and_back(height: int, width: int, size: int, crop: bool, side: int) -> None:
    square = Square(size, crop)
    region = square.region(height, width)
    np.testing.assert_allclose(square.to_square(region, height, width), [[0, 0, size, size]])
    np.testing.assert_allclose(square.to_image([0, 0, size, size], height, width), [region])
    cells_S4 = square.cells(side, side, height, width)
    np.testing.assert_allclose(square.to_image(square.to_square(cells_S4, height, width), height, width), cells_S4)
    assert len(cells_S4) == side * side
    areas = (cells_S4[:, 2] - cells_S4[:, 0]) * (cells_S4[:, 3] - cells_S4[:, 1])
    np.testing.assert_allclose(areas.sum(), (region[2] - region[0]) * (region[3] - region[1]))


def test_a_box_lies_where_its_pixels_lie() -> None:
    image = np.zeros((60, 120, 3), np.uint8)
    image[30:40, 45:60] = 255
    for square in (Square(120), Square(60, crop=True)):
        ys, xs = np.nonzero(square.of(image)[..., 0] > 127)
        found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(square.to_square([45, 30, 60, 40], 60, 120), [found], atol=0.5)


def test_a_box_beyond_the_crop_ends_at_its_edge() -> None:
    np.testing.assert_array_equal(
        Square(10, crop=True).to_square([[0, 0, 15, 10], [0, 0, 3, 3]], 10, 30), [[0, 0, 5, 10], [0, 0, 0, 3]]
    )


def test_cells_are_row_by_row() -> None:
    np.testing.assert_array_equal(
        Square(8).cells(2, 3, 20, 30)[[0, 1, 3]], [[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20]]
    )


def test_mirrored_twice_is_the_picture() -> None:
    np.testing.assert_array_equal(mirror(mirror(blocks())), blocks())
    np.testing.assert_array_equal(mirror(blocks())[:, 0], blocks()[:, -1])
    assert mirror(blocks()).flags.c_contiguous


def test_pixels_put_colors_before_rows() -> None:
    pixels_B3HW = to_pixels([blocks(), mirror(blocks())])
    assert pixels_B3HW.dtype == torch.uint8 and pixels_B3HW.shape == (2, 3, 48, 80)
    assert pixels_B3HW[0, 2, 5, 70] == blocks()[5, 70, 2] and pixels_B3HW[1, 0, 5, 0] == blocks()[5, 79, 0]


def test_the_key_of_a_square_tells_any_two_apart() -> None:
    assert len({str(Square(size, crop).key()) for size in (224, 448) for crop in (False, True)}) == 4


def test_real_photographs(real_data: Path) -> None:
    paths = sorted((real_data / "daquar" / "nyu_depth_images").glob("*.jpg"))[:5]
    for path in paths:
        image = read_image(path)
        assert image.shape[:2] == read_size(path) and image.std() > 10
        whole = Square(64).of(image).astype(int)
        assert np.abs(whole - Square(64).read(path)).mean() < 2
