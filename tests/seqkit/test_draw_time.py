"""Pictures over time are files of a size that can be looked at, and dark where much is."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from seqkit import draw_time


def test_saliency_shows_frames_and_maps(tmp_path: Path) -> None:
    frames, maps = np.full((3, 20, 30, 3), 128, np.uint8), np.zeros((3, 20, 30))
    maps[1, 5:15, 10:20] = 1.0
    draw_time.saliency(frames, maps, ["$a", "two", "now"], tmp_path / "new/a.png", title="what $ is said")
    assert imread(tmp_path / "new/a.png")[..., 0].max() > 0.9
    with pytest.raises(ValueError, match="`labels`, `maps_KHW` must be one an image, got 2"):
        draw_time.saliency(frames, maps, ["a", "b"], tmp_path / "a.png")


def test_posteriors_are_dark_where_a_token_is_likely(tmp_path: Path) -> None:
    prob_TV = np.zeros((40, 5))
    prob_TV[:30, 0] = prob_TV[30:, 3] = 1.0
    words = [("now", 1.2, 1.6)]
    draw_time.posteriors(prob_TV, ["blank", "a", "b", " ", "d"], words, tmp_path / "a.png", seconds=0.04)
    assert imread(tmp_path / "a.png")[..., :3].min() < 0.3
    with pytest.raises(ValueError, match=r"`prob_TV` must be \(frames, 2\), got \(40, 5\)"):
        draw_time.posteriors(prob_TV, ["a", "b"], [], tmp_path / "a.png", seconds=0.04)


def test_confusions_are_framed_by_group(tmp_path: Path) -> None:
    draw_time.confusion(np.eye(3), ["p", "b", "m"], [("lips", 3)], tmp_path / "a.png")
    assert imread(tmp_path / "a.png")[..., :3].min() < 0.4
    with pytest.raises(ValueError, match="`counts_PP` must be 3 square, all of it in groups, got"):
        draw_time.confusion(np.eye(3), ["p", "b", "m"], [("lips", 2)], tmp_path / "a.png")


def test_double_attention_has_a_panel_a_stream(tmp_path: Path) -> None:
    weights = np.full((4, 10), 0.1)
    video = ("video", np.zeros((75, 20, 30, 3), np.uint8), weights, 3.0)
    sound = ("sound", np.random.default_rng(0).random((300, 13)), weights, 3.0)
    draw_time.double_attention([video, sound], list("now "), tmp_path / "both.png", title="now")
    draw_time.double_attention([sound], list("now "), tmp_path / "one.png")
    draw_time.double_attention([sound], list("now "), tmp_path / "long.png", title="bin blue at f two now " * 12)
    assert imread(tmp_path / "long.png").shape[1] < 1.1 * imread(tmp_path / "one.png").shape[1]
    assert imread(tmp_path / "both.png").shape[0] > 1.5 * imread(tmp_path / "one.png").shape[0]
    with pytest.raises(ValueError, match="`weights` must be one row a token, 2"):
        draw_time.double_attention([sound], ["a", "b"], tmp_path / "a.png")
