"""Images found and decoded once, by the reader that training uses: both agree on what is readable."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seqkit.data_prep.common.jobs import map_jobs
from seqkit.data_prep.common.raw_files import Files, differing_copies, find_image
from seqkit.errors import InputError
from seqkit.flags import Parser
from seqkit.share import shared

CHUNK_SIZE = 32  # images that a process takes at a time
DECODE_SIZE = 64  # pixels of a side: a JPEG is read to its end all the same, in less time


class DecodeCheck(NamedTuple):
    """What decoding an image showed."""

    fault: str = ""  # why it must be dropped: missing, empty, truncated or unreadable
    reason: str = ""  # what the reader said of it
    mode: str = "RGB"  # Pillow's name of its pixels: L is gray, P a palette


def check_decode(path: Path) -> DecodeCheck:
    """Decodes the image as training will."""
    from PIL import Image

    from seqkit.data.image import read_image

    if not path.is_file():
        return DecodeCheck("missing")  # a link that leads nowhere
    if path.stat().st_size == 0:
        return DecodeCheck("empty")
    try:
        read_image(path, at_least=DECODE_SIZE)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return DecodeCheck("truncated" if "truncated" in reason else "unreadable", reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reader has decided
        with Image.open(path) as image:
            return DecodeCheck(mode=image.mode)


def check_chunk(paths: Sequence[Path]) -> list[DecodeCheck]:
    """`check_decode` of each."""
    return [check_decode(path) for path in paths]


def crashed_check(path: Path) -> DecodeCheck:
    return DecodeCheck(
        "unreadable", "must be a whole picture, got one that ends the process that decodes it, or never ends"
    )


def check_decodes(paths: Sequence[Path], workers: int, title: str) -> Iterator[DecodeCheck]:
    """`check_decode` of each, in order, with a progress bar, in processes of their own."""
    chunks = [list(paths[start : start + CHUNK_SIZE]) for start in range(0, len(paths), CHUNK_SIZE)]
    unit = f"times {CHUNK_SIZE} images"

    def check(some: Sequence[list[Path]]) -> list[list[DecodeCheck]]:
        found: dict[int, list[DecodeCheck]] = {}
        for number, own in map_jobs(check_chunk, some, workers=workers, title=title, unit=unit, crash=lambda _: []):
            found[number] = own or _check_singly(some[number], title)
        return [found[number] for number in range(len(some))]

    for checks in shared(check, chunks):
        yield from checks


def _check_singly(paths: Sequence[Path], title: str) -> list[DecodeCheck]:
    """Each in turn: one of them ends the process that decodes it."""
    checks = map_jobs(check_decode, paths, workers=1, title=title, unit="images", crash=crashed_check)
    return [check for _, check in sorted(checks)]


class ImageReport(NamedTuple):
    """Result of the decode check of many images, by the names that a corpus has for them."""

    paths: dict[str, Path]  # of those to keep
    dropped: dict[str, list[str]]  # by fault
    not_rgb: dict[str, list[str]]  # by mode, and kept
    reasons: dict[str, str]  # what the reader said of an image that it refused
    copies: list[str]  # images of which there are copies that differ, with both paths; the first is kept

    def more(self) -> dict[str, int]:
        """Counts of what is seldom there."""
        return {"copies_differ": len(self.copies)} if self.copies else {}

    def named(self) -> dict[str, list[str]]:
        """The names behind all counts."""
        return {**self.dropped, **self.not_rgb, **({"copies_differ": self.copies} if self.copies else {})}


def check_images(files: Files, names: Iterable[str], workers: int, title: str) -> ImageReport:
    """Finds every image and decodes it once. Raises InputError for fewer than one worker."""
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}")
    report = ImageReport({}, defaultdict(list), defaultdict(list), {}, [])
    found: dict[str, Path] = {}
    for name in names:
        path = find_image(files, name)
        if path is None:
            report.dropped["missing"].append(name)
        else:
            found[name] = path
            report.copies.extend(f"{path} was taken, not {other}" for other in differing_copies(files, name))
    for (name, path), check in zip(found.items(), check_decodes(list(found.values()), workers, title), strict=True):
        if check.reason:
            report.reasons[name] = check.reason
        if check.fault:
            report.dropped[check.fault].append(name)
            continue
        if check.mode != "RGB":
            report.not_rgb[check.mode].append(name)
        report.paths[name] = path
    return report


def add_arguments(parser: Parser) -> None:
    """The flags of every preparation of images."""
    parser.add_argument("--raw", type=Path, required=True, help="folder with the published files at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--split", metavar="NAME", help="put everything that is found into one split of this name")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes that decode images (default: all cores)"
    )
