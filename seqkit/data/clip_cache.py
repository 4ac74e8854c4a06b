"""Decoded clips kept in memory, for small corpora that are read in every epoch.

T frames, H and W pixels.
"""

from dataclasses import dataclass, field
from pathlib import Path

from seqkit.data.video_file import Pixels, cut_frames, frame_zero, read_clip


@dataclass(frozen=True)
class ClipCache:
    """Whole clips by path, until they have `most_bytes`; further ones are decoded each time."""

    most_bytes: int
    grayscale: bool = False
    clips: dict[Path, Pixels] = field(default_factory=dict)
    zeros: dict[Path, float] = field(default_factory=dict)  # seconds of the files' clocks at their first frames

    def read(self, path: Path, *, start: float = 0.0, end: float | None = None) -> Pixels:
        """Frames as `read_clip` gives them, (T, H, W, 3) or grayscale (T, H, W); not to be written to."""
        if path not in self.clips and sum(clip.nbytes for clip in self.clips.values()) < self.most_bytes:
            self.clips[path] = read_clip(path, grayscale=self.grayscale)
        if (start or end is not None) and path not in self.zeros:
            self.zeros[path] = frame_zero(path)
        begin = self.zeros.get(path, 0.0) if start or end is not None else 0.0
        first, count = cut_frames(start - begin, None if end is None else end - begin)
        if path not in self.clips or first >= len(self.clips[path]):  # which is an error that names the file
            return read_clip(path, start=start, end=end, grayscale=self.grayscale)
        return self.clips[path][first : None if count is None else first + count]
