"""Work for other processes, in a module that imports fast there."""

import os
from collections.abc import Sequence
from pathlib import Path

from seqkit.data_prep.common.image_check import DecodeCheck
from seqkit.recipes.lipreading import raw_video


def square(number: int) -> int:
    """Of 1 the end of the process, as a broken decoder brings it about."""
    if number == 1:
        os._exit(1)
    return number * number


def check_decode(path: Path) -> DecodeCheck:
    """Of an image named `crash` the end of the process."""
    if path.stem == "crash":
        os._exit(1)
    return DecodeCheck(mode=path.stem)


def check_chunk(paths: Sequence[Path]) -> list[DecodeCheck]:
    return [check_decode(path) for path in paths]


def decoded_item(path: Path, folder: Path, video: bool, longest: float, faceless: bool = False) -> raw_video.Decoded:
    """Of a file named `bad` the end of the process."""
    if path.stem == "bad":
        os.abort()
    return raw_video.decoded_item(path, folder, video, longest, faceless)
