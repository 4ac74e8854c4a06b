"""Mouth crops of drawn faces, whose place is known: steady to a pixel, the right face, and every odd video told of."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.data.clock import FRAME_RATE
from seqkit.data.sound_track import SAMPLE_RATE, SAMPLES_PER_FRAME
from seqkit.data.video_file import read_clip, read_frames, read_note
from seqkit.data_prep.lipreading import faces, mouth_motion, mouths
from seqkit.data_prep.lipreading.contact_sheet import contact_sheet
from seqkit.data_prep.lipreading.faces import (
    FaceBox,
    NoseTemplate,
    Talker,
    Track,
    gaussian_smooth,
    select_talker,
    subpixel_peak,
)
from seqkit.data_prep.lipreading.mouths import CROP_SIZE, SPAN, Unusable, crop, crop_boxes, crops, find_talker
from seqkit.errors import InputError
from seqkit.recipes.lipreading.raw_video import raw_item
from tests.corpora import DATA
from tests.drawn_faces import LIPS, clicks, face, talking, write_video

GRID = DATA / "grid"
BELOW_DRAWN = 0.30  # widths from the center of a drawn face to its mouth


def swing(frames: int, across: float, down: float, period: float = 25) -> list[tuple[float, float]]:
    turns = 2 * np.pi * np.arange(frames) / period
    return [(88 + across * np.sin(turn), 66 + down * np.cos(turn)) for turn in turns]


def made(tmp_path: Path, frames: list[np.ndarray], sound: np.ndarray | None = None, **others):
    source = write_video(tmp_path / "raw.mp4", frames, sound, **others)
    note = crop(source, tmp_path / "a.mp4", tmp_path / "a.wav")
    return note, read_clip(tmp_path / "a.mp4")


def lips(pixels_THW3: np.ndarray) -> np.ndarray:
    """The middle (T, 2) of what is red as lips are, x and y."""
    apart = np.abs(pixels_THW3.astype(int) - LIPS).sum(axis=-1)
    found = [np.argwhere(picture < 60).mean(axis=0)[::-1] for picture in apart]
    return np.array(found)


def test_a_still_head_gives_one_box_with_the_mouth_in_its_middle(tmp_path):
    note, pixels = made(tmp_path, talking(20), clicks(0.8, [0.4]))
    assert pixels.shape == (20, CROP_SIZE, CROP_SIZE, 3) and note["frames"] == 20 and note["remarks"] == []
    assert len(note["boxes"]) == 1
    left, top, right, bottom = note["boxes"][0]
    assert abs((left + right) / 2 - 88) < 3 and abs((top + bottom) / 2 - (66 + BELOW_DRAWN * 70)) < 7
    assert right - left == pytest.approx(bottom - top, abs=0.11) and 0.9 < (right - left) / (SPAN * 70) < 1.25
    places = lips(pixels)
    assert np.abs(places.mean(axis=0) - CROP_SIZE / 2).max() < 15 and places.std(axis=0).max() < 1


def test_the_note_is_in_the_file(tmp_path):
    note, _ = made(tmp_path, talking(8))
    assert read_note(tmp_path / "a.mp4") == json.loads(json.dumps(note))
    assert note["source"] == "raw.mp4" and note["software"]["detector"] == "cascade"
    assert set(note["software"]) == {"seqkit", "detector", "opencv", "av"}


@pytest.mark.parametrize(("across", "down"), [(14, 0), (0, 10), (10, 6)])
def test_a_moving_head_is_followed_to_a_pixel(across, down, tmp_path):
    path = swing(50, across, down)
    note, pixels = made(tmp_path, talking(50, path))
    boxes = np.array(note["boxes"])
    apart = (boxes[:, :2] + boxes[:, 2:]) / 2 - path
    assert len(boxes) == 50 and apart[2:-2].std(axis=0).max() < 0.6  # smoothing errs where it knows one side alone
    moved = max(across, down) * CROP_SIZE / (SPAN * 70)
    assert moved > 25 and lips(pixels)[2:-2].std(axis=0).max() < 1.5


def test_a_head_that_comes_nearer_stays_of_one_size(tmp_path):
    widths = np.linspace(56, 90, 90)
    note, pixels = made(tmp_path, [face(width=width, opened=0.3) for width in widths])
    spans = np.array(note["boxes"])[:, 2] - np.array(note["boxes"])[:, 0]
    assert spans[-5:].mean() / spans[:5].mean() > 1.25
    red = [(np.abs(picture.astype(int) - LIPS).sum(axis=-1) < 60).sum() for picture in pixels]
    assert np.mean(red[-10:]) / np.mean(red[:10]) < (90 / 56) ** 1.2


def test_gaps_are_bridged_and_told(tmp_path):
    frames = talking(60, [(70 + 0.5 * n, 66) for n in range(60)])
    for number in range(21, 39):
        frames[number] = np.full_like(frames[0], 90)
    note, _ = made(tmp_path, frames)
    scenes = "the scene changes at second 0.84, 1.56; cut the file there"
    assert note["remarks"] == [scenes, "a face in 68% of the frames alone"]  # it is looked for again at frame 40
    middle = np.array(note["boxes"])[:, [0, 2]].mean(axis=1)
    assert np.abs(middle - (70 + 0.5 * np.arange(60))).max() < 3


def beside(frames: int, *others: tuple[float, float, float]) -> list[np.ndarray]:
    """Several faces in every frame, each center x, center y and width."""
    pictures = []
    for number in range(frames):
        picture = np.full((160, 320, 3), (70, 120, 150), np.uint8)
        for x, y, width in others:
            picture = face(x=x, y=y, width=width, opened=abs(np.sin(0.7 * number)), picture=picture)
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("others", [((80, 72, 54), (230, 72, 80)), ((160, 72, 70), (275, 72, 72))])
def test_of_two_faces_the_large_one_near_the_middle_is_taken(others, tmp_path):
    note, _ = made(tmp_path, beside(15, *others))
    wanted = max(others, key=lambda face: face[2] * (1 - abs(face[0] / 320 - 0.5)))
    left, _, right, _ = note["boxes"][0]
    assert abs((left + right) / 2 - wanted[0]) < 4
    assert note["remarks"] == ["2 faces, of which the largest near the center was taken"]


def test_who_asks_for_a_text_hears_of_the_other_face(tmp_path, capsys):
    source = write_video(tmp_path / "raw.mp4", beside(8, (80, 72, 54), (230, 72, 80)))
    item = raw_item(source, tmp_path)
    assert item.video is not None and len(read_clip(item.video)) == 8 and item.audio is None
    assert f"{source}: 2 faces, of which the largest near the center was taken" in capsys.readouterr().err


def test_a_video_without_a_face(tmp_path):
    source = write_video(tmp_path / "raw.mp4", [np.full((144, 176, 3), 20 * n, np.uint8) for n in range(10)])
    with pytest.raises(Unusable, match=r"raw.mp4: must show a face from the front, got one in 0% of its 10 fram") as e:
        crop(source, tmp_path / "a.mp4", tmp_path / "a.wav")
    assert e.value.reason == "no_face" and sorted(tmp_path.iterdir()) == [source]


def test_a_face_for_a_moment_is_not_enough(tmp_path):
    frames = [*talking(12), *[np.full((144, 176, 3), 90, np.uint8)] * 48]
    with pytest.raises(Unusable, match=r"must show a face from the front, got one in 20% of its 60 frames; film"):
        made(tmp_path, frames)


def test_a_video_of_one_frame(tmp_path):
    with pytest.raises(Unusable, match=r"raw.mp4: must have at least 5 frames at 25 a second, got 1") as error:
        made(tmp_path, talking(1))
    assert error.value.reason == "short"


def test_sound_is_as_long_as_the_frames_and_its_lack_is_told(tmp_path):
    note, _ = made(tmp_path, talking(12), clicks(0.6, [0.2]))
    assert note["sound"] and (tmp_path / "a.wav").stat().st_size == 44 + 2 * 12 * SAMPLES_PER_FRAME
    (tmp_path / "a.wav").unlink()
    note, _ = made(tmp_path, talking(12))
    assert not note["sound"] and not (tmp_path / "a.wav").exists()


def test_a_cut_video_yields_its_beginning_and_says_so(tmp_path):
    noisy = [
        np.clip(f.astype(int) + np.random.default_rng(n).integers(-9, 9, f.shape), 0, 255).astype(np.uint8)
        for n, f in enumerate(talking(40))
    ]
    source = write_video(tmp_path / "raw.mp4", noisy, options="faststart")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    note = crop(source, tmp_path / "a.mp4", tmp_path / "a.wav")
    assert 8 < note["frames"] < 32 and note["remarks"][-1] == f"cut off: {note['frames']} of 40 frames"


def test_what_is_no_video(tmp_path):
    (tmp_path / "raw.mp4").write_text("not a video at all" * 100)
    with pytest.raises(InputError, match="raw.mp4: must be a video, got something else"):
        crop(tmp_path / "raw.mp4", tmp_path / "a.mp4", tmp_path / "a.wav")


def test_damage_that_a_decoder_cannot_bear(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise cv2.error("bad frame")

    monkeypatch.setattr(mouths, "find_talker", broken)
    with pytest.raises(Unusable, match=r"raw.mp4: must be a video that can be decoded, got damage \(bad frame\)") as e:
        crop(tmp_path / "raw.mp4", tmp_path / "a.mp4", tmp_path / "a.wav")
    assert e.value.reason == "undecodable"


def test_a_large_picture_is_made_small_before_it_is_cut(tmp_path):
    large, small = tmp_path / "large.mp4", tmp_path / "small.mp4"
    write_video(large, [cv2.resize(picture, None, fx=8, fy=8) for picture in talking(6)])
    write_video(small, talking(6))
    frames, found = find_talker(large)
    assert frames == 6 and found is not None and found.faces[0] == pytest.approx([8 * 88, 8 * 66, 8 * 73], abs=26)
    box = np.array([[60.0, 59, 116, 115]] * 6)
    assert np.abs(next(crops(large, 8 * box)).astype(int) - next(crops(small, box))).mean() < 4


def test_beyond_the_edge_the_edge_goes_on(tmp_path):
    note, pixels = made(tmp_path, talking(6, [(88, 108)]))
    assert note["boxes"][0][3] > 144
    assert np.abs(pixels[:, -2].astype(int) - pixels[:, -1]).mean() < 2


def test_a_crop_shows_its_box(tmp_path):
    """Resampled by the centers of pixels: a box of CROP_SIZE pixels is the frame itself, one of twice that its half."""
    wave = np.sin(np.arange(320) / 4)
    picture = np.repeat((128 + 60 * wave + 60 * wave[:, None])[..., None], 3, axis=2).astype(np.uint8)
    source = write_video(tmp_path / "raw.mp4", [picture] * 2)
    shown = next(read_frames(source, layout="bgr24"))
    same = next(crops(source, np.array([[40.0, 60, 200, 220]] * 2)))
    assert np.abs(same.astype(int) - shown[60:220, 40:200]).max() <= 1
    half = next(crops(source, np.array([[0.0, 0, 320, 320]] * 2))).astype(float)
    means = shown.reshape(160, 2, 160, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - means).mean() < 0.3 * np.abs(half[1:] - means[:-1]).mean()
    assert np.abs(half - means).mean() < 0.3 * np.abs(shown[::2, ::2] - means).mean()


def test_boxes_hold_still_where_the_head_does():
    width, number = 100.0, 30
    line = np.linspace(-0.5, 0.5, number)
    for part, single in ((0.9, True), (1.2, False)):
        x = 200 + line * part * mouths.STILL * width
        found = crop_boxes(Talker(np.column_stack([x, np.full(number, 100), np.full(number, width)]), 1.0, 0))
        assert (found == found[0]).all() == single
        assert np.allclose(found[:, 2] - found[:, 0], SPAN * width)
        assert np.allclose(found[:, 3] - found[:, 1], SPAN * width)


def test_detectors(monkeypatch):
    with pytest.raises(InputError, match="--detector must be one of cascade, mediapipe, got dlib"):
        find_talker(Path("a.mp4"), "dlib")
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", None)
    mouths.landmarks.cache_clear()
    with pytest.raises(InputError, match=r'--detector mediapipe must find it, got none: pip install "seqkit\[landma'):
        mouths.landmarks()


def test_landmarks_are_put_in_the_cascades_measure(monkeypatch):
    """A face 140 wide about (180, 140), by where the published mesh puts eyes and mouth."""
    modules = __import__("sys").modules
    points = {33: (145, 120), 263: (215, 120), 61: (160, 182), 291: (200, 182)}

    class FaceMesh:
        def __init__(self, **given):
            assert given == {"static_image_mode": True, "max_num_faces": 4}

        def process(self, picture):
            rows, columns = picture.shape[:2]
            face = {i: SimpleNamespace(x=x / columns, y=y / rows) for i, (x, y) in points.items()}
            return SimpleNamespace(multi_face_landmarks=[SimpleNamespace(landmark=face)] if picture.any() else None)

    for name in ("mediapipe", "mediapipe.python", "mediapipe.python.solutions"):
        monkeypatch.setitem(modules, name, ModuleType(name))
    monkeypatch.setitem(modules, "mediapipe.python.solutions.face_mesh", SimpleNamespace(FaceMesh=FaceMesh))
    mouths.landmarks.cache_clear()
    layout, gray, detect = mouths.make_detector("mediapipe")
    (box,) = detect(np.ones((288, 360, 3), np.uint8), None)
    assert box == pytest.approx((180, 140, 139.3), abs=0.3) and layout == "rgb24"
    assert detect(np.zeros((288, 360, 3), np.uint8), None) == [] and gray(np.ones((4, 5, 3), np.uint8)).shape == (4, 5)
    mouths.landmarks.cache_clear()


def test_a_scene_cut_is_named(tmp_path):
    other = [255 - picture for picture in talking(20)]
    note, _ = made(tmp_path, [*talking(30), *[cv2.GaussianBlur(picture, (0, 0), 3) for picture in other]])
    assert "the scene changes at second 1.20; cut the file there" in note["remarks"]
    cuts = faces.SceneCuts()
    for number in range(60):  # a head that moves and a flash are none
        cuts.add(
            cv2.cvtColor(face(x=60 + number), cv2.COLOR_RGB2GRAY)
            if number != 30
            else np.full((144, 176), 255, np.uint8)
        )
    assert cuts.frames() == []


def filmed(picture: np.ndarray, frames: int, shake: float, noise: float) -> list[np.ndarray]:
    """A picture as a camera sees it that is held by hand."""
    rng, steps, found = np.random.default_rng(0), np.zeros((frames, 4)), []
    for column in range(4):
        walk = gaussian_smooth(np.cumsum(rng.normal(0, 1, frames)), 2)
        steps[:, column] = (walk - walk.mean()) / walk.std()
    for right, down, turn, size in steps * [shake, shake, 0.1 * shake, 0.001 * shake]:
        matrix = cv2.getRotationMatrix2D((picture.shape[1] / 2, picture.shape[0] / 2), turn, 1 + size)
        matrix[:, 2] += right, down
        shown = cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        found.append(np.clip(shown + rng.normal(0, noise, shown.shape), 0, 255).astype(np.uint8))
    return found


@pytest.mark.parametrize(("shake", "noise"), [(0.0, 0.0), (0.0, 2.0), (2.5, 0.5), (2.5, 5.0)])
def test_a_picture_of_a_face_is_no_talker(shake, noise, tmp_path):
    """Still, noisy, or moved by hand: its mouth moves with all of it alone."""
    note, _ = made(tmp_path, filmed(face(width=90, opened=0.4), 40, shake, noise))
    assert note["remarks"] == [mouths.STILL_MOUTH]


def test_the_mouth_of_a_talker_moves_however_the_head_does(tmp_path):
    for number, frames in enumerate((talking(40, swing(40, 10, 6)), filmed_talker(40, 2.5, 3.0))):
        note, _ = made(tmp_path, frames)
        assert note["remarks"] == [], number
        talker = find_talker(tmp_path / "raw.mp4")[1]
        assert talker is not None and talker.motion is not None and talker.motion > 2 * mouth_motion.MOVES
    assert mouth_motion.motion([9.0] * 11) is None  # too few to tell by


def filmed_talker(frames: int, shake: float, noise: float) -> list[np.ndarray]:
    pictures = talking(frames, width=90)
    return [filmed(picture, frames, shake, noise)[number] for number, picture in enumerate(pictures)]


def test_what_moves_as_a_whole_differs_in_nothing():
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (120, 120)).astype(np.float32), (0, 0), 4)
    texture = np.clip(8 * (texture - texture.mean()) + 128, 0, 255).astype(np.uint8)
    here = mouth_motion.patch(texture, (60, 60, 60), mouth_motion.NOSE)
    for x, y, width, gain in ((60.8, 59.5, 60, 1.0), (60, 60, 62, 1.0), (60, 60, 60, 1.2)):
        there = gain * mouth_motion.patch(texture, (x, y, width), mouth_motion.NOSE) + 5 * (gain - 1)
        assert mouth_motion.difference(here, there) < 0.15 * np.sqrt(np.mean((here - there) ** 2))
    other = mouth_motion.patch(texture, (60, 60, 60), mouth_motion.MOUTH)
    assert mouth_motion.difference(here, other) > 0.5 * here.std()


@pytest.mark.skipif(not (GRID / "video").is_dir(), reason="needs the GRID clips")
@pytest.mark.slow
def test_no_talker_of_grid_is_taken_for_a_picture():
    """Ten clips of each of eleven talkers."""
    for talker in sorted((GRID / "video").iterdir()):
        for clip in sorted(talker.glob("*.mp4"))[:10]:
            found = find_talker(clip)[1]
            assert found is not None and found.motion is not None and found.motion > mouth_motion.MOVES, clip


def test_faces_are_looked_for_less_often_where_none_is_found():
    blank, searches = np.full((144, 176), 90, np.uint8), []

    def detect(picture, near):
        searches.append(near)
        return []

    faces.track_faces([blank] * 2125, detect, lambda picture: picture)
    assert len(searches) <= 2125 / faces.SEARCH_EVERY_EMPTY + 4


@pytest.mark.parametrize("width", [30, 70, 130])
def test_the_cascade_finds_a_face_of_any_size_again_near_where_it_was(width):
    gray = cv2.cvtColor(face((288, 360), 170, 140, width), cv2.COLOR_RGB2GRAY)
    (box,) = mouths.cascade()(gray, None)
    assert abs(box.x - 170) < 4 and abs(box.y - 140) < 4 and 0.9 < box.width / width < 1.35
    (again,) = mouths.cascade()(gray, box)
    assert again.matches(box) and abs(again.x - box.x) < 3 and abs(again.y - box.y) < 3
    assert mouths.cascade()(gray, FaceBox(20, 20, width)) == []
    assert mouths.cascade()(gray[:10, :10], None) == []


# the parts


@given(st.floats(-0.5, 0.5), st.floats(0.1, 10), st.floats(-5, 5))
def test_peak_finds_the_top_of_a_parabola(top, bend, high):
    values = np.array([high - bend * (x - top) ** 2 for x in (-1, 0, 1)], np.float64)
    assert subpixel_peak(values, 1) == pytest.approx(top, abs=1e-6)
    assert subpixel_peak(values, 0) == subpixel_peak(values, 2) == subpixel_peak(np.ones(3), 1) == 0


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(0.5, 30))
def test_smoothing_keeps_constants_lines_inside_and_the_range(values, deviation):
    line = np.array(values)
    smoothed = gaussian_smooth(line, deviation)
    assert len(smoothed) == len(line) and line.min() - 1e-6 <= smoothed.min() <= smoothed.max() <= line.max() + 1e-6
    assert np.allclose(gaussian_smooth(np.full(9, 3.5), deviation), 3.5)
    straight = np.arange(400.0)
    assert np.allclose(gaussian_smooth(straight, deviation)[100:300], straight[100:300])


def seen(first: int, last: int, x: float, width: float, hits: int) -> Track:
    frames = list(range(first, last))
    boxes = [(first + n, 0.0, 0.0, width) for n in range(hits)]
    return Track([NoseTemplate(np.zeros((4, 4), np.uint8), frames, [(x, 50.0)] * len(frames), boxes)], hits=hits)


def test_the_talker_is_large_central_and_there_for_long():
    def taken(*tracks: Track) -> float:
        found = select_talker(tracks, 100, 400)
        assert found is not None
        return round(float(found.faces[0, 0]), 6)

    assert taken(seen(0, 100, 200, 80, 10), seen(0, 100, 200.5, 100, 10)) == 200.5
    assert taken(seen(0, 100, 20, 80, 10), seen(0, 100, 210, 80, 10)) == 210
    assert taken(seen(0, 100, 150, 80, 10), seen(40, 60, 200, 90, 2)) == 150
    assert taken(seen(0, 100, 60, 80, 10), seen(0, 100, 200, 60, 10)) == 60
    assert select_talker([seen(0, 100, 200, 80, 1)], 100, 400) is None and select_talker([], 5, 400) is None
    assert select_talker([seen(0, 5, 200, 80, 1)], 5, 400) is not None


def test_a_face_found_again_goes_on_and_another_is_counted():
    found = select_talker([seen(0, 40, 100, 80, 5), seen(60, 100, 140, 80, 5), seen(0, 100, 300, 30, 9)], 100, 400)
    assert found is not None and found.others == 0 and found.seen == 0.8
    assert np.allclose(found.faces[[10, 50, 90], 0], [100, 120, 140], atol=1.5)
    assert select_talker([seen(0, 100, 100, 80, 9), seen(0, 100, 300, 70, 9)], 100, 400).others == 1
    found = select_talker([seen(0, 40, 100, 80, 5), seen(60, 100, 140, 30, 5)], 100, 400)
    assert found is not None and found.seen == 0.4 and np.allclose(found.faces[:, 0], 100)


def test_widths_that_jitter_are_one_and_others_change_slowly():
    def widths_of(*widths: float) -> Talker:
        tracks = [seen(20 * n, 20 * n + 20, 100, width, 3).templates[0] for n, width in enumerate(widths)]
        found = select_talker([Track(tracks, hits=9)], 20 * len(widths), 400)
        assert found is not None
        return found

    assert np.ptp(widths_of(80, 84, 82).faces[:, 2]) == 0
    wide = widths_of(80, 90, 100, 110, 120).faces[:, 2]
    assert (np.diff(wide) >= -1e-9).all() and np.diff(wide).max() < 1.2 and wide[-1] - wide[0] > 30


def test_a_template_has_one_position_relative_to_the_nose_and_widths_as_detected():
    """The middle of three detections that disagree; the widths between them by straight lines."""
    boxes = [(0, 5.0, 5.0, 80.0), (2, 6.0, 4.0, 90.0), (4, 9.0, 4.5, 82.0)]
    template = NoseTemplate(np.zeros((4, 4), np.uint8), [0, 1, 2, 3, 4], [(10.0 * n, 50.0) for n in range(5)], boxes)
    assert template.faces()[:, 0].tolist() == [6, 16, 26, 36, 46] and set(template.faces()[:, 1]) == {54.5}
    assert template.faces()[:, 2].tolist() == [80, 85, 90, 86, 82]


def test_noses_are_lost_and_found():
    pictures = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in talking(30)]
    pictures[12:16] = [np.random.default_rng(0).integers(0, 255, (144, 176), dtype=np.uint8)] * 4
    (track,), number = faces.track_faces(pictures, mouths.cascade(), lambda picture: picture)
    assert number == 30 and len(track.templates) == 2
    assert track.templates[0].frames == list(range(12)) and track.templates[1].frames[0] == 20


def test_noses_are_followed_to_a_part_of_a_pixel():
    path = [(88 + 0.2 * number, 66 + 0.1 * number) for number in range(10)]
    pictures = [cv2.cvtColor(face(x=x, y=y), cv2.COLOR_RGB2GRAY) for x, y in path]
    (found,), _ = faces.track_faces(pictures, mouths.cascade(), lambda picture: picture)
    moved = np.array(found.templates[0].corners) - found.templates[0].corners[0]
    assert np.abs(moved - (np.array(path) - path[0])).max() < 0.15


def test_a_face_that_is_gone_is_given_up():
    blank = np.full((144, 176), 90, np.uint8)
    pictures = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in talking(15)] + [blank] * 90
    calls = []

    def detect(picture, near):
        calls.append((picture is blank, near))
        return mouths.cascade()(picture, near)

    (track,), _ = faces.track_faces(pictures, detect, lambda picture: picture)
    assert (
        track.misses == faces.MAX_MISSES and sum(gone and near is not None for gone, near in calls) <= faces.MAX_MISSES
    )


def test_a_contact_sheet_has_a_row_a_clip(tmp_path):
    made(tmp_path, talking(8))
    clips = [("one", tmp_path / "a.mp4")]
    contact_sheet(tmp_path / "sheet.jpg", clips, frames=3)
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape == (CROP_SIZE, 3 * CROP_SIZE, 3)
    contact_sheet(tmp_path / "sheet.jpg", clips * 5, frames=2)
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape == (3 * CROP_SIZE, 4 * CROP_SIZE, 3)


@pytest.mark.skipif(not GRID.is_dir(), reason=f"the shared clips of GRID are not at {GRID}")
@pytest.mark.parametrize("clip", ["video/s1/bbaf2n.mp4", "original_mpg/s1/bbaf4p.mpg", "video/s26/bgbsza.mp4"])
def test_real_clips(clip, tmp_path):
    """The nose, which crops show at their upper edge, stays where it is to a pixel or two."""
    note = crop(GRID / clip, tmp_path / "a.mp4", tmp_path / "a.wav")
    assert note["frames"] == 75 and note["sound"] and note["remarks"] == []
    pixels = read_clip(tmp_path / "a.mp4", grayscale=True)
    nose = pixels[37, 12:50, 50:110]
    places = []
    for picture in pixels:
        *_, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(picture[:66, 34:126], nose, cv2.TM_CCOEFF_NORMED))
        places.append((x, y))
    assert np.std(places, axis=0).max() < 1.5 and (tmp_path / "a.wav").stat().st_size == 44 + 2 * 3 * SAMPLE_RATE
    assert len(pixels) == 3 * FRAME_RATE
