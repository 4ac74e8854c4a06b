"""What a media file says of its own length, against what is in it: files that are cut off, or joined to another one.

The header is not believed, but one that promises more than there is tells that the file lacks its end.
"""

import re
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from seqkit.data.clock import Clock
from seqkit.data.shards import open_file
from seqkit.data.sound_file import counted, cut_off

HEADER = ("matroska", "flv", "asf", "au", "aiff", "flac", "caf")  # formats whose header holds the length of the whole
COUNTS = ("mov", "avi")  # those that count the packets of each stream
NAMES = {"audio": "sound", "video": "picture"}
SHORT = 0.95  # of what is told; a file that has less lacks its end
LEAST = 0.3  # seconds that may be missing all the same
MOST_BOXES = 100_000  # of an .mp4 that are looked through
FLV = re.compile(rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09\x00\x00\x00\x00")
JOINED = "another file is joined to its end, which players do not show; split it"


def missing(path: Path, container: InputContainer, clock: Clock) -> tuple[str, ...]:
    """Remarks on what a file lacks of its end, and on a second file that no player reads."""
    name = container.format.name.split(",")[0]
    found = [JOINED] if second_file(path, name) else []
    if clock.jumps:
        return tuple(found)
    for stream in container.streams if name in COUNTS else ():
        share = clock.packets.get(stream.index, stream.frames) / max(1, stream.frames)
        if share < SHORT and stream.type in NAMES and not _is_pcm(stream):
            found.append(f"cut off: {share:.0%} of its {NAMES[stream.type]}")
    told, there = (container.duration or 0) / av.time_base, clock.end - (container.start_time or 0) / av.time_base
    if name == "caf" and container.streams.audio:  # whose duration is that of what is there
        stream = container.streams.audio[0]
        told = stream.frames / (stream.rate or 1) if _is_pcm(stream) else told
    known = (name in HEADER or name == "mp3" and counted(path)) and _only_media(container)
    if known and there < min(SHORT * told, told - LEAST):
        found.append(cut_off(there, told))
    return tuple(found)


def _is_pcm(stream: Any) -> bool:
    """Whether a stream counts its samples as frames."""
    return stream.codec_context is not None and bool(stream.codec_context.name.startswith("pcm"))


def _only_media(container: InputContainer) -> bool:
    """Whether there is nothing beside one picture and one sound that could last longer."""
    kinds = [stream.type for stream in container.streams]
    return set(kinds) <= set(NAMES) and len(set(kinds)) == len(kinds)


def second_file(path: Path, name: str) -> bool:
    """Whether an .mp4, .mov or .flv has another one after it."""
    if name == "mov":
        kinds = _boxes(path)
        return kinds.count(b"moov") > 1 and b"moof" not in kinds
    if name != "flv":
        return False
    with open_file(path) as file:
        return _occurs(file, FLV, 13)


def _occurs(file: Any, mark: re.Pattern[bytes], length: int) -> bool:
    """Whether a mark of so many bytes stands in an open file after its beginning."""
    held = file.read(length)[1:]
    while block := file.read(1 << 20):
        if mark.search(held + block):
            return True
        held = block[1 - length :]
    return False


def _boxes(path: Path) -> list[bytes]:
    """The kinds of the outermost boxes of an .mp4, as far as they are whole."""
    kinds: list[bytes] = []
    with open_file(path) as file:
        place = 0
        while len(kinds) < MOST_BOXES and len(head := file.read(16)) >= 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            kinds.append(kind)
            if size < 8:
                break
            place += size
            file.seek(place)
    return kinds
