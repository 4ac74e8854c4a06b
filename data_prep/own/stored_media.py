"""Pictures and sound that a table names or holds, as files.

A cell is a path (absolute, or relative to the table's folder or one above it below `--raw`); or bytes, or a dict of
`bytes` and `path`, as Parquet files and the `datasets` library hold them; or a dict of `array` and `sampling_rate`.
What is held is written once, under a name made of its content, so that a second run finds it.
"""

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqkit.data.files import atomic_write

FOLDERS = {"image": "images", "audio": "sounds", "video": "videos", "features": "features"}
MARKS = (  # of a file's beginning, how far in, and the ending of its name
    (b"\x89PNG", 0, ".png"),
    (b"\xff\xd8\xff", 0, ".jpg"),
    (b"GIF8", 0, ".gif"),
    (b"BM", 0, ".bmp"),
    (b"II*\0", 0, ".tif"),
    (b"MM\0*", 0, ".tif"),
    (b"WEBP", 8, ".webp"),
    (b"WAVE", 8, ".wav"),
    (b"fLaC", 0, ".flac"),
    (b"OggS", 0, ".ogg"),
    (b"ID3", 0, ".mp3"),
    (b"\xff\xfb", 0, ".mp3"),
    (b"\xff\xf3", 0, ".mp3"),
    (b"ftyp", 4, ".mp4"),
    (b"\x1aE\xdf\xa3", 0, ".mkv"),
)
DATA_URL = re.compile(r"data:[\w/+.-]+;base64,(?P<data>[A-Za-z0-9+/=\s]+)")


class Unusable(Exception):
    """A cell that gives no file; its text is the reason of the statistics, with more after a colon."""


class Places(NamedTuple):
    """Where media of a table are looked for, and where those that it holds are written."""

    table: Path
    raw: Path
    out: Path

    def find(self, name: str) -> Path:
        """The file of a path in a cell. Raises Unusable where there is none."""
        top = self.raw if self.raw.is_dir() else self.raw.parent
        given = Path(name.replace("\\", "/") if "\\" in name and not Path(name).exists() else name)
        folders = [folder for folder in self.table.parents if folder == top or top in folder.parents]
        for path in [given] if given.is_absolute() else [folder / given for folder in folders]:
            if path.is_file():
                return path
        raise Unusable(f"missing: {name}")


def stored(value: Any, key: str, places: Places) -> Path:
    """The file of a cell. Raises Unusable."""
    if isinstance(value, str) and (match := DATA_URL.fullmatch(value.strip())):
        value = base64.b64decode(match["data"])
    if isinstance(value, str):
        return places.find(value.strip())
    if isinstance(value, bytes):
        return written(value, key, places.out)
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        return written(value["bytes"], key, places.out, Path(str(value.get("path") or "")).suffix.lower())
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        return places.find(value["path"])
    if isinstance(value, Mapping) and "array" in value and "sampling_rate" in value:
        return written(wav_bytes(value["array"], value["sampling_rate"]), key, places.out)
    raise Unusable(f"no_file: {type(value).__name__} in the place of a path or of bytes")


def written(content: bytes, key: str, out: Path, ending: str = "") -> Path:
    """The file of some content, below `out`. Raises Unusable for none."""
    if not content:
        raise Unusable("empty")
    known = next((name for mark, into, name in MARKS if content[into : into + len(mark)] == mark), ending)
    path = out / FOLDERS[key] / f"{hashlib.sha256(content).hexdigest()[:20]}{known}"
    if not path.is_file():
        with atomic_write(path) as file:
            file.write(content)
    return path


def wav_bytes(array: Any, rate: Any) -> bytes:
    """Samples (N,) or (N, C) as 16-bit WAV: whole numbers as they are, others from -1 to 1. Raises Unusable."""
    import soundfile

    try:
        samples = np.asarray(array)
        if samples.dtype.kind == "f":
            if not np.isfinite(samples).all() or np.abs(samples).max(initial=0.0) > 1:
                raise Unusable("no_sound: samples must be finite and from -1 to 1")
            samples = np.round(samples * 32767)
        elif samples.dtype.kind != "i" or np.abs(samples.astype(np.int64)).max(initial=0) > 32768:
            raise Unusable("no_sound: samples must be numbers of 16 bits")
        file = io.BytesIO()
        soundfile.write(file, samples.astype(np.int16), int(rate), format="WAV", subtype="PCM_16")
    except (ValueError, TypeError, soundfile.LibsndfileError) as error:
        raise Unusable(f"no_sound: {' '.join(str(error).split())}") from None
    return file.getvalue()
