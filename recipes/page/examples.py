"""Examples of the page: items of the run's own data where it is there, else of the corpus made by rule.

A clip of data preparation holds JPEG frames, which browsers do not show: the page gets a copy that they do, and the
model the clip itself.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqkit.config import read_values
from seqkit.data.manifest import Item, read_manifest
from seqkit.errors import InputError
from seqkit.find_run import config_of
from seqkit.recipe import Recipe

MOST = 3
SPLITS = ("test", "val", "train")
SIDE = 240  # pixels that a smaller clip is enlarged to


def find_items(recipe: Recipe, run: Path, needed: Sequence[str]) -> list[Item]:
    """Items that have all of `needed`, each with its media there."""
    places = []
    if isinstance(data := read_values(config_of(run)).get("data"), str):
        places.append(Path(data))
    for folder in places:
        if items := usable_items(folder, needed):
            return items
    return usable_items(recipe.synthetic(), needed) if recipe.synthetic else []


def usable_items(folder: Path, needed: Sequence[str]) -> list[Item]:
    """The first items of a corpus whose keys and media are there; none where it has no manifest to read."""
    for split in SPLITS:
        try:
            items = read_manifest(folder / f"{split}.jsonl")
        except (InputError, OSError):
            continue
        found = [item for item in items[: 20 * MOST] if all(present(item, key) for key in needed)]
        if found:
            return found[:MOST]
    return []


def present(item: Item, key: str) -> bool:
    """Whether the item has a value of the key, and its file is there."""
    value: Any = getattr(item, key)
    return value.is_file() if isinstance(value, Path) else bool(value)


def copy_clip(item: Item, folder: Path) -> Path:
    """A copy of an item's video, with its sound beside it under the same name, as `predict` looks for it."""
    assert item.video
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / f"{len(list(folder.iterdir())):04}{item.video.suffix}"
    shutil.copy(item.video, clip)
    if item.audio:
        shutil.copy(item.audio, clip.with_suffix(".wav"))
    return clip


def write_playable(clip: Path, path: Path) -> None:
    """A copy of a clip that browsers show: H.264 and AAC in .mp4, with the sound that lies beside it."""
    import av
    import cv2

    from seqkit.data.clock import FRAME_RATE
    from seqkit.data.sound_track import SAMPLE_RATE
    from seqkit.data.video_file import read_frames
    from seqkit.recipes.lipreading.subtitles import encode_sound

    sound = clip.with_suffix(".wav")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", "mp4") as container:
        pictures = container.add_stream("libx264", rate=FRAME_RATE)
        pictures.pix_fmt, pictures.options = "yuv420p", {"crf": "18"}
        heard = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if sound.is_file() else None
        for number, pixels in enumerate(read_frames(clip)):
            scale = max(1, -(-SIDE // min(pixels.shape[:2])))
            height, width = (side * scale // 2 * 2 for side in pixels.shape[:2])
            if not number:
                pictures.height, pictures.width = height, width
            larger = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(larger, np.uint8), "rgb24")
            frame.pts = number
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if heard is not None:
            encode_sound(sound, container, heard)
