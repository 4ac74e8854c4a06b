"""Clips: what changes them undoes itself, keeps its bounds, and tells where each frame came from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqkit.data import video
from seqkit.data.video import (
    crop,
    erase,
    jitter_frames,
    mirror,
    move_words,
    resize,
    span,
    standardize,
    statistics,
    to_clip,
    to_grayscale,
)


def clip(frames: int = 6, channels: int = 3, height: int = 20, width: int = 30, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, channels, height, width), dtype=np.uint8)
    return torch.from_numpy(pixels)


def both(pixels: torch.Tensor) -> list[torch.Tensor]:
    return [pixels, pixels.float() / 255]


def test_frames_become_clips():
    frames = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    made = to_clip(frames)
    assert made.shape == (4, 3, 5, 6) and made.dtype == torch.uint8
    assert made[2, 1, 3, 5] == frames[2, 3, 5, 1]
    assert (to_clip(frames[..., 0])[:, 0].numpy() == frames[..., 0]).all()
    assert (to_clip(torch.from_numpy(frames)) == made).all()


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((4, 5, 6, 3), np.float32),
        np.zeros((4, 5, 6, 4), np.uint8),
        np.zeros((5, 6), np.uint8),
        np.zeros((2, 4, 5, 6, 3), np.uint8),
    ],
)
def test_other_frames_are_refused(frames):
    with pytest.raises(ValueError, match=r"`frames` must be uint8 \(T, H, W, 3\) or \(T, H, W\), got torch\.\w+ \("):
        to_clip(frames)


@pytest.mark.parametrize(
    ("start", "end", "frames", "want"),
    [
        (0, 3, 75, (0, 75)),
        (0.04, 0.08, 75, (1, 2)),
        (0.05, 0.06, 75, (1, 2)),
        (0.1, 0.9, 75, (2, 23)),
        (2.9, 3.1, 75, (72, 75)),
        (0.03, 0.2, 75, (0, 5)),
        (1.16, 1.2, 75, (29, 30)),
        (0, 0.01, 1, (0, 1)),
    ],
)
def test_a_span_holds_the_frames_that_it_touches(start, end, frames, want):
    assert span(start, end, frames) == want


@given(st.integers(0, 74), st.integers(1, 75))
def test_whole_frames_are_a_span_of_themselves(first, count):
    last = min(75, first + count)
    assert span(first / 25, last / 25, 75) == (first, last)
    assert span(first / 30, last / 30, 75, 30.0) == (first, last)


@pytest.mark.parametrize(("start", "end"), [(3.0, 3.2), (1.0, 1.0), (-0.1, 1.0), (2.0, 1.0)])
def test_a_span_outside_is_refused(start, end):
    with pytest.raises(ValueError, match=r"`start`, `end` must lie within 3 seconds, got "):
        span(start, end, 75)


def test_a_crop_is_the_middle():
    pixels = clip()
    for made in (crop(pixels, 10, 20), crop(pixels, 10, 20, jitter=3)):
        assert torch.equal(made, pixels[:, :, 5:15, 5:25])
    assert torch.equal(crop(pixels, 20, 30), pixels)
    assert torch.equal(crop(pixels, 20, 30, jitter=9, rng=np.random.default_rng(0)), pixels)
    assert crop(pixels, 7, 9).shape == (6, 3, 7, 9)


def test_a_moved_crop_stays_near_the_middle_and_in_the_picture():
    pixels = torch.arange(20 * 30).reshape(1, 1, 20, 30).expand(3, 1, 20, 30)
    seen = set()
    for seed in range(300):
        made = crop(pixels, 16, 20, jitter=3, rng=np.random.default_rng(seed))
        assert made.shape == (3, 1, 16, 20) and (made == made[:1]).all()
        top, left = divmod(int(made[0, 0, 0, 0]), 30)
        seen.add((top, left))
        assert torch.equal(made, pixels[:, :, top : top + 16, left : left + 20])
        assert torch.equal(made, crop(pixels, 16, 20, jitter=3, rng=np.random.default_rng(seed)))
    assert {top for top, _ in seen} == {0, 1, 2, 3, 4}  # three up or down, but within the picture
    assert {left for _, left in seen} == set(range(2, 9))


def test_too_large_a_crop_is_refused():
    for height, width in ((21, 10), (10, 31)):
        with pytest.raises(ValueError, match=rf"`clip` must have at least {height} x {width} pixels, got 20 x 30"):
            crop(clip(), height, width)


def test_resizing_averages():
    for pixels in both(clip()):
        assert resize(pixels, 20, 30) is pixels
        made = resize(pixels, 10, 10)
        assert made.dtype == pixels.dtype and made.shape == (6, 3, 10, 10)
        torch.testing.assert_close(made.float().mean((2, 3)), pixels.float().mean((2, 3)), rtol=0.05, atol=0)
    flat = torch.full((1, 1, 8, 8), 77, dtype=torch.uint8)
    assert (resize(flat, 5, 3) == 77).all() and (resize(flat, 16, 16) == 77).all()
    assert float(resize(clip().float(), 10, 15).std()) < 0.7 * float(clip().float().std())  # antialiased


def test_gray_is_the_weighted_sum():
    red, green, blue = clip().float().unbind(1)
    want = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    assert torch.equal(to_grayscale(clip()), want.round().to(torch.uint8))
    torch.testing.assert_close(to_grayscale(clip().float()), want)
    same = clip()[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(to_grayscale(same), clip()[:, :1])
    assert torch.equal(to_grayscale(to_grayscale(clip())), to_grayscale(clip()))


def test_mirrored_twice_is_the_clip():
    for pixels in both(clip()):
        assert torch.equal(mirror(mirror(pixels)), pixels)
        assert torch.equal(mirror(pixels)[..., 0], pixels[..., -1]) and not torch.equal(mirror(pixels), pixels)


def test_no_chance_is_no_change():
    assert jitter_frames(9, np.random.default_rng(0), delete=0, duplicate=0).tolist() == list(range(9))


def test_every_frame_may_be_left_out_or_doubled():
    rng, frames = np.random.default_rng(0), 20_000
    index = jitter_frames(frames, rng)
    copies = torch.bincount(index, minlength=frames)
    assert index.dtype == torch.int64 and (index.diff() >= 0).all() and int(copies.max()) == 2
    for times, share in ((0, 0.05), (2, 0.05), (1, 0.9)):
        assert float((copies == times).float().mean()) == pytest.approx(share, abs=0.01)
    assert torch.equal(index, jitter_frames(frames, np.random.default_rng(0)))
    assert jitter_frames(4, rng, delete=0, duplicate=1).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    kept = {tuple(jitter_frames(3, rng, delete=1, duplicate=0).tolist()) for _ in range(50)}
    assert kept == {(0,), (1,), (2,)}
    pixels = clip(20)
    index = jitter_frames(20, rng)
    assert len(pixels[index]) == len(index)


@pytest.mark.parametrize(("delete", "duplicate"), [(-0.1, 0.1), (0.6, 0.5), (0.1, -0.1), (math.nan, 0)])
def test_impossible_chances_are_refused(delete, duplicate):
    with pytest.raises(ValueError, match=r"`delete`, `duplicate` must be probabilities of sum at most 1, got "):
        jitter_frames(5, np.random.default_rng(0), delete=delete, duplicate=duplicate)


def times(words):
    return [time for _, start, end in words for time in (start, end)]


def test_words_follow_their_frames():
    words = [("a", 0.0, 0.08), ("b", 0.08, 0.12), ("c", 0.12, 0.2)]
    assert times(move_words(words, torch.arange(5), 5)) == pytest.approx(times(words))
    index = torch.tensor([0, 0, 1, 3, 3, 4])  # frame 2, all of b, is left out; 0 and 3 are there twice
    moved = move_words(words, index, 5)
    assert [word for word, _, _ in moved] == ["a", "b", "c"]
    assert times(moved) == pytest.approx([0, 0.12, 0.12, 0.12, 0.12, 0.24])
    assert move_words([("x", 0.02, 0.14)], index, 5)[0][1:] == pytest.approx((0.04, 0.16))
    assert move_words([("x", 1.0, 2.0)], torch.tensor([0, 2]), 4, 1.0) == [("x", 1.0, 1.0)]
    assert times(move_words([("late", 0.1, 9.0)], torch.arange(5), 5)) == pytest.approx([0.1, 0.2])


@given(st.integers(1, 40), st.integers(0, 10**6), st.integers(0, 39), st.integers(1, 40))
def test_a_words_new_frames_are_those_made_of_its_old_ones(frames, seed, first, count):
    first, last = min(first, frames - 1), min(frames, first + count)
    index = jitter_frames(frames, np.random.default_rng(seed), delete=0.3, duplicate=0.3)
    _, start, end = move_words([("w", first / 25, max(first, last) / 25)], index, frames)[0]
    new = [i for i, old in enumerate(index.tolist()) if first <= old < last]
    assert round(end * 25) - round(start * 25) == len(new)
    if new:
        assert (round(start * 25), round(end * 25)) == (new[0], new[-1] + 1)


def test_erasing_fills_one_box_for_a_while():
    pixels, seen = clip(25), set()
    average = pixels.float().mean((0, 2, 3)).round()
    for seed in range(200):
        made = erase(pixels, np.random.default_rng(seed))
        assert torch.equal(made, erase(pixels, np.random.default_rng(seed)))
        frames, _, rows, columns = torch.nonzero(made != pixels, as_tuple=True)
        if len(frames):
            part = tuple(slice(int(x.min()), int(x.max()) + 1) for x in (frames, rows, columns))
            assert all(s.stop - s.start <= most for s, most in zip(part, (10, 8, 12), strict=True))
            box = made[part[0], :, part[1], part[2]]
            assert (box == average.to(torch.uint8)[None, :, None, None]).all()
            seen.add(tuple(s.stop - s.start for s in part))
    assert torch.equal(pixels, clip(25))
    assert [max(s[i] for s in seen) for i in range(3)] == [10, 8, 12]
    assert torch.equal(erase(pixels, np.random.default_rng(0), share=0.0), pixels)
    made = erase(pixels.float() / 255, np.random.default_rng(3), share=1.0, seconds=9.0)
    assert made.dtype == torch.float32 and float(made.min()) >= 0 and float(made.max()) <= 1
    assert erase(clip(2), np.random.default_rng(3)).shape == (2, 3, 20, 30)


def test_statistics_are_those_of_every_pixel():
    clips = [clip(n, seed=n) // (n + 1) for n in (1, 3, 0, 7)]
    joined = torch.cat(clips).double() / 255
    for order in (clips, clips[::-1], [c.contiguous(memory_format=torch.channels_last) for c in clips]):
        mean, std = statistics(iter(order))
        assert mean == pytest.approx(joined.mean((0, 2, 3)).tolist(), rel=1e-12)
        assert std == pytest.approx(joined.std((0, 2, 3), correction=0).tolist(), rel=1e-9)
    assert statistics([torch.full((2, 1, 3, 3), 9, dtype=torch.uint8)]) == ([9 / 255], [0.0])


def test_standardized_by_its_own_statistics_a_clip_has_mean_0_and_deviation_1():
    for pixels in both(clip(8)):
        made = standardize(pixels, *statistics([clip(8)]))
        assert made.dtype == torch.float32
        torch.testing.assert_close(made.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(made.std((0, 2, 3), correction=0), torch.ones(3))


def test_statistics_of_others_are_refused():
    with pytest.raises(ValueError, match=r"`clips` must be uint8, got torch\.float32"):
        statistics([clip().float()])
    for none in ([], [clip(0)]):
        with pytest.raises(ValueError, match=r"`clips` must hold at least one pixel, got none"):
            statistics(none)


def test_nothing_draws_from_the_global_generators():
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    rng = np.random.default_rng(0)
    crop(clip(), 5, 5, jitter=2, rng=rng), jitter_frames(9, rng), erase(clip(), rng)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert video.FRAME_RATE == 25
