"""Decoded clips kept in memory, for small corpora that are read in every epoch.

T frames, H and W pixels.
"""

from dataclasses import dataclass, field
from pathlib import Path

from seqkit.data.clock import FRAME_RATE
from seqkit.data.video_file import Pixels, read_clip


@dataclass(frozen=True)
class ClipCache:
    """Whole clips by path, until they have `most_bytes`; further ones are decoded each time."""

    most_bytes: int
    grayscale: bool = False
    clips: dict[Path, Pixels] = field(default_factory=dict)

    def read(self, path: Path, *, start: float = 0.0, end: float | None = None) -> Pixels:
        """Frames as `read_clip` gives them, (T, H, W, 3) or grayscale (T, H, W); not to be written to."""
        if path not in self.clips and sum(clip.nbytes for clip in self.clips.values()) < self.most_bytes:
            self.clips[path] = read_clip(path, grayscale=self.grayscale)
        first = round(start * FRAME_RATE)
        if path not in self.clips or first >= len(self.clips[path]):  # which is an error that names the file
            return read_clip(path, start=start, end=end, grayscale=self.grayscale)
        return self.clips[path][first : None if end is None else max(first + 1, round(end * FRAME_RATE))]
