"""Decoded clips in memory: the same frames as from the file, and no more than asked for."""

from pathlib import Path

import numpy as np
import pytest

from seqkit.data import clip_cache
from seqkit.data.clip_cache import ClipCache
from seqkit.data.video_file import read_clip, write_clip
from seqkit.errors import InputError

SIDE = 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    frames = np.random.default_rng(1).integers(0, 256, (20, SIDE, SIDE, 3), dtype=np.uint8)
    write_clip(tmp_path / "clip.mp4", frames, {})
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize("grayscale", [False, True])
def test_any_cut_is_that_of_the_file(path: Path, grayscale: bool) -> None:
    cache = ClipCache(1 << 20, grayscale)
    for start, end in ((0.0, None), (0.0, 0.4), (0.3, 0.3), (0.19, 5.0), (0.5, None)):
        plain = read_clip(path, start=start, end=end, grayscale=grayscale)
        assert np.array_equal(cache.read(path, start=start, end=end), plain)
    with pytest.raises(InputError, match=r"clip\.mp4: must have frames after second 3"):
        cache.read(path, start=3.0)


def test_a_clip_is_decoded_once_and_only_as_many_are_kept_as_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0

    def counted(*args: object, **more: object) -> object:
        nonlocal decoded
        decoded += 1
        return read_clip(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(clip_cache, "read_clip", counted)
    other = path.with_name("other.mp4")
    other.write_bytes(path.read_bytes())
    cache = ClipCache(1, True)
    for _ in range(3):
        cache.read(path, start=0.1)
    assert decoded == 1 and set(cache.clips) == {path}
    for expected in (2, 3):  # `path` has used up what may be kept
        cache.read(other)
        assert decoded == expected
    nothing = ClipCache(0)
    nothing.read(path)
    assert not nothing.clips
