"""CMU AN4 (Acero 1993) as published MFCC features: spoken letters, digits and names.

    seqkit prepare an4 --raw DIR --out DIR [--val_size SHARE|N] [--seed N] [--split NAME]

Reads `an4_train` and `an4_test` `.fileids` and `.transcription` and the `.mfc` they name, wherever they lie under
--raw: an int32, the number of values, then as many float32, frames of 13 coefficients, 100 a second, big-endian as
published, or little-endian. Writes `features.npy` (time, 13) float32, of which every item cuts its `rows`, the
manifests and `stats.json`; `references` are as published, in capitals, without <s> and </s>. `val` are all utterances
of some training speakers, chosen by the seed; speakers are told by the name (`an251-fash-b`) or the folder, and where
neither tells, utterances are chosen.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.data.files import atomic_write, read_lines
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.holdout import add_val_size, chosen_val_size, held_out, holdout_size
from seqkit.data_prep.common.outputs import Stats, print_stats, write_stats
from seqkit.data_prep.common.raw_files import (
    Files,
    UniqueKeys,
    differing_copies,
    find_files,
    find_image,
    published_file,
)
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

NUM_FEATURES = 13
FRAME_RATE = 100  # a second
VAL_SIZE = 7  # of 74 training speakers
LINE = re.compile(r"(?P<text>.*)\((?P<id>[^()\s]+)\)\s*")
ENDING = re.compile(r"\.(mfc|wav|sph|raw|flac)$", re.IGNORECASE)
SPEAKER = re.compile(r"[^-]+-(?P<speaker>[^-]+)-[^-]+")  # an251-fash-b
NOT_WORDS = ("<s>", "</s>", "<sil>")


def read_mfc(path: Path) -> NDArray[np.float32]:
    """The frames (time, 13) of a file. Raises InputError for one that is none."""
    content = path.read_bytes()
    count, order = int.from_bytes(content[:4], "big"), ">"
    if len(content) == 4 + 4 * int.from_bytes(content[:4], "little"):
        count, order = int.from_bytes(content[:4], "little"), "<"
    if len(content) != 4 + 4 * count or count == 0 or count % NUM_FEATURES:
        raise InputError(
            f"{path}: must be a number of values and that many, in frames of {NUM_FEATURES}, "
            f"got {count} and {len(content)} bytes; fetch it again"
        )
    frames = np.frombuffer(content, f"{order}f4", offset=4).reshape(-1, NUM_FEATURES).astype(np.float32)
    if not np.isfinite(frames).all():
        raise InputError(f"{path}: must hold finite values, got others; fetch it again")
    return frames


class Utterance(NamedTuple):
    """One line of a list."""

    path: str  # of the features, without ending, with / between folders
    name: str
    text: str  # empty where no transcription has it
    speaker: str  # empty where neither name nor folder tells

    @property
    def unit(self) -> str:
        """What is held out as a whole: the speaker, else the utterance."""
        return self.speaker or self.name


def read_texts(path: Path) -> dict[str, str]:
    """Transcriptions by the utterance's name. Raises InputError for a malformed line, and for a name that has two."""
    texts: dict[str, str] = {}
    unique = UniqueKeys("utterance")
    for number, line in read_lines(path):
        match = LINE.fullmatch(line)
        if match:
            name = clean_path(match["id"]).rpartition("/")[2]
            unique.add(name, f"{path}, line {number}")
            texts[name] = " ".join(word for word in match["text"].split() if word not in NOT_WORDS)
        elif line.strip():
            raise InputError(f"{path}, line {number}: must be words and (utterance), got {line[:60]!r}")
    return texts


def clean_path(listed: str) -> str:
    """A path as a list may have it, with / between folders, without what stands before and without ending."""
    path = listed.strip().replace("\\", "/").removeprefix("./").lstrip("/")
    return ENDING.sub("", path)


def read_list(files: Files, name: str, unique: UniqueKeys) -> tuple[list[Utterance], list[str]] | None:
    """Every utterance of a published list, and names that the transcription alone has; None where it is not there.

    Raises InputError where the transcription is missing.
    """
    ids, transcription = published_file(files, f"{name}.fileids"), published_file(files, f"{name}.transcription")
    if ids is None:
        return None
    if transcription is None:
        raise InputError(f"{ids}: must have {name}.transcription beside it or below --raw, got none")
    texts = read_texts(transcription)
    paths = []
    for number, line in read_lines(ids):
        if path := clean_path(line):
            unique.add(path.rpartition("/")[2], f"{ids}, line {number}")
            paths.append(path)
    folders = {path: path.split("/")[-2] for path in paths if "/" in path}
    told = folders if len(set(folders.values())) > 1 else {}  # one folder of all tells nothing
    utterances = []
    for path in paths:
        ident = path.rpartition("/")[2]
        match = SPEAKER.fullmatch(ident)
        utterances.append(
            Utterance(path, ident, texts.pop(ident, ""), match["speaker"] if match else told.get(path, ""))
        )
    return utterances, list(texts)


def hold_out(train: Sequence[Utterance], val_size: float | None, seed: int) -> dict[str, list[Utterance]]:
    """Train and val of the training list, by speaker. Raises InputError for too large a `val`."""
    units = {utterance.unit for utterance in train}
    number = VAL_SIZE if len(units) > 2 * VAL_SIZE else min(1, len(units) - 1)
    if not any(utterance.speaker for utterance in train):
        number = len(units) // 10
    if val_size is not None:
        number = holdout_size(val_size, len(units), "training speakers")
    held = held_out(units, number, seed)
    return {
        "val": [utterance for utterance in train if utterance.unit in held],
        "train": [utterance for utterance in train if utterance.unit not in held],
    }


def prepare(raw: Path, out: Path, *, val_size: float | None = None, seed: int = 0, split: str | None = None) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for missing lists and too many speakers in `val`."""
    chosen_val_size(val_size, split, VAL_SIZE)
    files = find_files(raw)
    unique = UniqueKeys("utterance")
    found = {name: read_list(files, f"an4_{name}", unique) for name in ("train", "test")}
    lists = {name: listed[0] for name, listed in found.items() if listed is not None}
    if not lists:
        raise InputError(f"{raw}: must hold an4_train.fileids or an4_test.fileids, in it or below, got neither")
    unlisted = [name for listed in found.values() if listed for name in listed[1]]
    if split:
        lists = {split: [utterance for utterances in lists.values() for utterance in utterances]}
    elif "train" in lists:
        lists |= hold_out(lists["train"], val_size, seed)
    arrays: list[NDArray[np.float32]] = []
    stats = {
        name: write_split(out, name, lists[name], files, arrays)
        for name in ("train", "val", "test", split)
        if name and lists.get(name)
    }
    if not arrays:
        why = next((text for counts in stats.values() for text in counts["reasons"].values()), "they are not there")
        raise InputError(f"{raw}: must hold the .mfc files that the lists name, got none that can be read: {why}")
    with atomic_write(out / "features.npy") as file:
        np.save(file, np.concatenate(arrays))
    if unlisted:
        stats["unlisted"] = {
            "utterances": len(unlisted),
            "left_out": "in none of the lists",
            "named": {"unlisted": unlisted},
        }
    write_stats(out, stats)
    return stats


def write_split(
    out: Path, name: str, utterances: Sequence[Utterance], files: Files, arrays: list[NDArray[np.float32]]
) -> dict[str, Any]:
    """The manifest of a split; its features are added to `arrays`. Counts first, then the names behind them."""
    items: list[Item] = []
    dropped: dict[str, list[str]] = defaultdict(list)
    reasons: dict[str, str] = {}
    copies: list[str] = []
    row = sum(map(len, arrays))
    for place, ident, text, speaker in utterances:
        path = find_image(files, f"{place}.mfc")
        if path is None or not text:
            dropped["missing" if path is None else "no_text"].append(ident)
            continue
        try:
            arrays.append(read_mfc(path))
        except InputError as error:
            dropped["malformed"].append(ident)
            reasons[ident] = str(error)
            continue
        copies += (f"{path} was taken, not {other}" for other in differing_copies(files, f"{place}.mfc"))
        rows = (row, row := row + len(arrays[-1]))
        items.append(
            Item(
                id=ident,
                features=out / "features.npy",
                rows=rows,
                references=(text,),
                speaker=speaker or None,
                seconds=(rows[1] - rows[0]) / FRAME_RATE,
            )
        )
    if items:
        write_manifest(out / f"{name}.jsonl", items)
    return {
        "utterances": len(utterances),
        "items": len(items),
        "speakers": len({item.speaker for item in items} - {None}),
        "seconds": round(sum(item.seconds or 0 for item in items), 2),
        "dropped": {fault: len(names) for fault, names in dropped.items()},
        **({"copies_differ": len(copies)} if copies else {}),
        "named": {**dropped, **({"copies_differ": copies} if copies else {})},
        "reasons": reasons,
    }


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare an4", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with etc/ and feat/ at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for features.npy, manifests and stats.json")
    add_val_size(parser, "training speakers", VAL_SIZE)
    parser.add_argument("--seed", type=int, default=0, help="of their choice (default: 0)")
    parser.add_argument("--split", metavar="NAME", help="put every utterance that is found into one split of this name")
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, val_size=given.val_size, seed=given.seed, split=given.split))
