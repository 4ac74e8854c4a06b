"""A picture of many mouth clips, to look at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seqkit.data.files import atomic_write
from seqkit.data.video_file import read_clip
from seqkit.data_prep.lipreading.mouths import CROP_SIZE


def contact_sheet(path: Path, clips: Sequence[tuple[str, Path]], *, frames: int = 5) -> None:
    """A JPEG with a row of frames, evenly over its length, for each titled clip; the first shows the two cuts."""
    rows = []
    for title, clip in clips:
        pixels_THW3 = read_clip(clip)[:, :, :, ::-1]
        row = [np.ascontiguousarray(pixels_THW3[i]) for i in np.linspace(0, len(pixels_THW3) - 1, frames).astype(int)]
        for height, width in ((120, 120), (50, 100)):
            corner = ((CROP_SIZE - width) // 2, (CROP_SIZE - height) // 2)
            cv2.rectangle(row[0], corner, (CROP_SIZE - 1 - corner[0], CROP_SIZE - 1 - corner[1]), (255, 255, 255), 1)
        cv2.putText(row[0], title, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1, cv2.LINE_AA)
        rows.append(np.hstack(row))
    columns = 1 if len(rows) < 4 else 2
    rows += [np.zeros_like(rows[0])] * (-len(rows) % columns)
    sheet = np.hstack([np.vstack(rows[column::columns]) for column in range(columns)])
    with atomic_write(path) as file:
        file.write(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
