"""The cache against the plain thing: every picture read and put through the CNN, every time."""

import os
import pickle
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from seqkit.data import cache as module
from seqkit.data.cache import FeatureCache, build_cache
from seqkit.data.image import Square, to_pixels
from seqkit.errors import InputError

KEY = {"network": "means", "shape": (1, 2)}
SQUARE = Square(8)


class Means:
    """A CNN without weights: the mean color, and that of each quarter. Remembers how many pictures it was shown."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        assert pixels_B3HW.dtype == torch.uint8 and pixels_B3HW.shape[1:] == (3, 8, 8) and not torch.is_grad_enabled()
        self.batches.append(len(pixels_B3HW))
        floats = pixels_B3HW.float() / 8
        return floats.mean((2, 3)), torch.nn.functional.avg_pool2d(floats, 4).flatten(2).transpose(1, 2)

    @property
    def shown(self) -> int:
        return sum(self.batches)


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(path, "PNG")
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [picture(tmp_path / "images" / f"{seed}.png", seed) for seed in range(11)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


def check(cache: FeatureCache, paths: Sequence[Path]) -> None:
    """Every picture has what the CNN gives for it alone."""
    assert len(cache) == len(paths)
    for number, path in enumerate(paths):
        with torch.no_grad():
            expected = Means()(to_pixels([SQUARE.read(path)]))
        for ours, theirs in zip(cache[number], expected, strict=True):
            assert ours.dtype == np.float16 and ours.flags.writeable
            np.testing.assert_array_equal(ours, theirs[0].half().numpy())


@pytest.mark.parametrize("batch", [1, 4, 11, 32])
def test_the_cache_gives_what_the_network_gives(folder: Path, paths: list[Path], batch: int) -> None:
    network = Means()
    check(build_cache(folder, paths, network, KEY, square=SQUARE, batch=batch), paths)
    assert network.shown == 11 and max(network.batches) == min(batch, 11)
    assert len(network.batches) == -(-11 // batch)
    assert next(folder.glob("index-*")).stat().st_size == 11 * 64


def test_what_fits_is_used_at_once(
    folder: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    build_cache(folder, paths, Means(), KEY, square=SQUARE)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(module, "_read", None)  # nothing is read, nor hashed
    for asked in (paths, paths[::-1], [paths[3]] * 4, [], [Path(os.path.relpath(paths[2]))]):
        network = Means()
        check(build_cache(folder, asked, network, KEY, square=SQUARE), asked)
        assert network.shown == 0
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert capfd.readouterr().err == ""


def test_a_whole_cache_is_used_where_nothing_can_be_written(
    folder: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_cache(folder, paths, Means(), KEY, square=SQUARE)
    monkeypatch.setattr(module, "locked", None)
    check(build_cache(folder, paths, Means(), KEY, square=SQUARE), paths)


def test_only_new_and_changed_pictures_are_computed(folder: Path, paths: list[Path]) -> None:
    build_cache(folder, paths[:6], Means(), KEY, square=SQUARE)
    network = Means()
    check(build_cache(folder, paths, network, KEY, square=SQUARE), paths)
    assert network.shown == 5
    size, times = paths[2].stat().st_size, paths[2].stat()
    picture(paths[2], 77)
    os.utime(paths[2], ns=(times.st_atime_ns, times.st_mtime_ns))  # even if somebody hides it
    assert abs(size - paths[2].stat().st_size) < 50
    check(build_cache(folder, paths, network, KEY, square=SQUARE), paths)
    assert network.shown == 6


def test_moved_copied_and_touched_pictures_are_known_by_their_bytes(
    folder: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_cache(folder, paths, Means(), KEY, square=SQUARE)
    moved = shutil.move(paths[0].parent, paths[0].parents[1] / "elsewhere")
    others = [Path(moved) / path.name for path in paths]
    others[3].touch()
    others.append(Path(shutil.copy(others[1], others[1].with_name("copy.png"))))
    with monkeypatch.context() as context:
        context.setattr(Square, "read", None)  # nothing is decoded
        cache = build_cache(folder, others, Means(), KEY, square=SQUARE)
    check(cache, others)
    size = next(folder.glob("features-*")).stat().st_size
    assert size == 11 * 15 * 2


def test_an_interrupt_keeps_what_was_found_by_its_bytes(
    folder: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_cache(folder, paths, Means(), KEY, square=SQUARE)
    moved = shutil.move(paths[0].parent, paths[0].parents[1] / "elsewhere")
    others, read, numbers = [Path(moved) / path.name for path in paths], module._read, list[int]()

    def interrupted(*arguments: Any) -> Any:
        numbers.append(arguments[-1])
        if arguments[-1] == 5 and len(numbers) <= 11:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(module, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_cache(folder, others, Means(), KEY, square=SQUARE)
    first = len(numbers)
    numbers += [-1] * 11
    check(build_cache(folder, others, Means(), KEY, square=SQUARE), others)
    assert sorted(numbers[first + 11 :]) == [5, 6, 7, 8, 9, 10]


def test_what_another_process_did_meanwhile_is_not_done_again(
    folder: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, network = module.locked, Means()

    @contextmanager
    def waits(folder: Path) -> Iterator[None]:
        monkeypatch.setattr(module, "locked", locked)
        build_cache(folder, paths, Means(), KEY, square=SQUARE)
        with locked(folder):
            yield

    monkeypatch.setattr(module, "locked", waits)
    check(build_cache(folder, paths, network, KEY, square=SQUARE), paths)
    assert network.shown == 0


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_copies_are_computed_once(folder: Path, paths: list[Path], batch: int) -> None:
    copies = [Path(shutil.copy(path, path.with_name(f"copy{path.name}"))) for path in paths]
    asked = [path for pair in zip(paths, copies, strict=True) for path in (*pair, pair[0])]
    network = Means()
    check(build_cache(folder, asked, network, KEY, square=SQUARE, batch=batch), asked)
    assert network.shown == 11


@pytest.mark.parametrize(
    "key, square", [(KEY | {"network": "other"}, SQUARE), (KEY, Square(8, crop=True)), ({}, SQUARE)]
)
def test_another_key_or_square_begins_anew_and_says_so(
    folder: Path, paths: list[Path], key: dict[str, Any], square: Square, capfd: pytest.CaptureFixture[str]
) -> None:
    build_cache(folder, paths, Means(), KEY, square=SQUARE)
    assert capfd.readouterr().err == ""
    network = Means()
    cache = build_cache(folder, paths, network, key, square=square)
    assert network.shown == 11 and len(cache) == 11
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"{folder}: cache of another ") and lines[0].endswith(" made anew")


def test_a_truncated_cache_is_completed_and_says_so(
    folder: Path, paths: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    build_cache(folder, paths, Means(), KEY, square=SQUARE)
    os.truncate(next(folder.glob("features-*")), 100)
    network = Means()
    check(build_cache(folder, paths, network, KEY, square=SQUARE), paths)
    assert network.shown == 8 and capfd.readouterr().err == f"{folder}: 8 of 11 pictures cut off in the cache\n"


class Interrupted(Means):
    """Is stopped by Ctrl-C in its third batch."""

    def __call__(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.batches) == 2:
            signal.raise_signal(signal.SIGINT)
        return super().__call__(pixels_B3HW)


def test_an_interrupt_keeps_what_is_done(folder: Path, paths: list[Path]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            build_cache(folder, paths, Interrupted(), KEY, square=SQUARE, batch=3)
    finally:
        signal.signal(signal.SIGINT, before)
    network = Means()
    check(build_cache(folder, paths, network, KEY, square=SQUARE, batch=3), paths)
    assert network.shown == 5
    assert not [thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_a_bad_picture_stops_by_name_and_leaves_nothing_half(folder: Path, paths: list[Path]) -> None:
    paths[7].write_bytes(paths[7].read_bytes()[:-60])
    with pytest.raises(InputError, match=r"7\.png: must be a whole picture, got damaged data"):
        build_cache(folder, paths, Means(), KEY, square=SQUARE, batch=3)
    network = Means()
    rest = paths[:7] + paths[8:]
    check(build_cache(folder, rest, network, KEY, square=SQUARE), rest)
    assert network.shown == 4  # of ten, two batches of three were done


def test_bad_pictures_are_listed_on_demand(folder: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    paths[7].write_bytes(b"")
    paths[2].unlink()
    paths[9].unlink()
    paths[9].mkdir()
    for _ in range(2):
        cache = build_cache(folder, paths, Means(), KEY, square=SQUARE, skip_bad=True)
        assert sorted(cache.bad) == [2, 7, 9]
        assert cache.bad[2] == f"{paths[2]}: no such picture; correct the path or fetch the file"
        assert "7.png: must be a picture, got an empty file" in cache.bad[7]
        assert cache.bad[9] == f"{paths[9]}: must be a file that can be read, got Is a directory; correct its rights"
        for number in (2, 7, -4):
            with pytest.raises(InputError, match=rf"{paths[number].name}: .*(no such picture|empty file)"):
                cache[number]
    good = [path for number, path in enumerate(paths) if number not in cache.bad]
    check(build_cache(folder, good, Means(), KEY, square=SQUARE), good)
    picture(paths[2], 2)
    assert sorted(build_cache(folder, paths, Means(), KEY, square=SQUARE, skip_bad=True).bad) == [7, 9]


def test_nothing_but_bad_pictures(folder: Path, tmp_path: Path) -> None:
    cache = build_cache(folder, [tmp_path / "a.png"], Means(), KEY, square=SQUARE, skip_bad=True)
    assert len(cache) == 1 and list(cache.bad) == [0] and cache.shapes == ()


def test_a_cache_passes_to_other_processes_small(folder: Path, paths: list[Path]) -> None:
    cache = build_cache(folder, paths, Means(), KEY, square=SQUARE)
    data = pickle.dumps(cache)
    assert len(data) < 2000
    check(pickle.loads(data), paths)
    assert cache[-1][0].tolist() == cache[10][0].tolist() and len(list(cache)) == 11
    with pytest.raises(IndexError):
        cache[11]


@pytest.mark.parametrize("value", [1e5, float("nan"), float("inf")])
def test_features_beyond_half_precision_are_refused(folder: Path, paths: list[Path], value: float) -> None:
    with pytest.raises(ValueError, match=r"`extract` must give numbers of a size below 65504, .* got others"):
        build_cache(folder, paths, lambda pixels: [torch.full((len(pixels), 2), value)], KEY, square=SQUARE)


def test_a_fault_of_the_programs_in_a_thread_is_not_swallowed(
    folder: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Square, "read", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_cache(folder, paths, Means(), KEY, square=SQUARE, skip_bad=True)


def test_pictures_are_read_ahead_but_not_without_end() -> None:
    started: list[int] = []
    ahead = module._ahead(lambda number: started.append(number) or InputError(str(number)), range(100), 5)
    assert [next(ahead)[0] for _ in range(10)] == list(range(10))
    assert len(started) <= 15
    ahead.close()
    assert len(list(module._ahead(lambda number: InputError(str(number)), range(7), 5))) == 7


def test_reading_ahead_stops_when_it_is_closed() -> None:
    started: list[int] = []
    ahead = module._ahead(lambda number: time.sleep(0.01) or started.append(number), range(1000), 500)
    next(ahead)
    ahead.close()
    count = len(started)
    time.sleep(0.05)
    assert len(started) == count < 100


def test_photographs_and_a_network(folder: Path, real_data: Path) -> None:
    from seqkit.nn.backbones import Backbone

    torch.manual_seed(0)
    paths = sorted((real_data / "flickr8k" / "Flicker8k_Dataset").glob("*.jpg"))[:6]
    backbone = Backbone("resnet18", size=64, weights=None)
    cache = build_cache(folder, paths, backbone.extractor(), backbone.key(), square=Square(64), batch=4)
    found = backbone(to_pixels([Square(64).read(path) for path in paths]))
    assert cache.shapes == ((512,), (4, 512))
    for number in range(6):
        for ours, theirs in zip(cache[number], found, strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs[number].half(), rtol=2e-3, atol=2e-3)
