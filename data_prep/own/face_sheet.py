"""A contact sheet of mouth clips: for each a whole frame with what was chosen on it, and crops evenly over its
length."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seqkit.data.files import atomic_write
from seqkit.data.video_file import read_clip
from seqkit.data_prep.own.video_clips import HEIGHT, PieceClip

ROWS, COLUMNS = 16, 4  # clips that are shown, and crops of each
WIDTH = 284  # pixels of the whole frame: 16 to 9
TITLE = 16  # pixels of the line above a row


def chosen(clips: Sequence[PieceClip]) -> list[PieceClip]:
    """Clips to show: those where several faces are seen, then others, evenly over all."""
    several = [clip for clip in clips if any("faces, of which" in remark for remark in clip.note["remarks"])]
    one = [clip for clip in clips if clip not in several]
    return [*_even(several, ROWS // 2 if one else ROWS), *_even(one, ROWS - min(len(several), ROWS // 2))]


def _even(clips: Sequence[PieceClip], most: int) -> list[PieceClip]:
    return [clips[n] for n in np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(int)]


def write_sheet(path: Path, clips: Sequence[PieceClip]) -> None:
    """Writes a JPEG: two columns of rows, each a frame, crops, and above it the clip's name and text."""
    rows = [_row(clip) for clip in chosen(clips)]
    columns = 1 if len(rows) < 4 else 2
    rows += [np.zeros_like(rows[0])] * (-len(rows) % columns)
    sheet = np.hstack([np.vstack(rows[column::columns]) for column in range(columns)])
    with atomic_write(path) as file:
        file.write(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())


def _row(clip: PieceClip) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    frame = cv2.imread(str(clip.video.with_suffix(".jpg")))
    assert frame is not None
    scale = min(1.0, WIDTH / frame.shape[1])
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    top, left = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    pixels_THW3 = read_clip(clip.video)[:, :, :, ::-1]
    places = np.linspace(0, len(pixels_THW3) - 1, COLUMNS).astype(int)
    crops = [cv2.resize(pixels_THW3[n], (HEIGHT, HEIGHT)) for n in places]
    row = np.hstack([canvas, *crops])
    title = np.zeros((TITLE, row.shape[1], 3), np.uint8)
    text = f"{clip.video.stem}  {clip.piece.text}".encode("ascii", "replace").decode()
    cv2.putText(title, text[:110], (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([title, row]).astype(np.uint8)
