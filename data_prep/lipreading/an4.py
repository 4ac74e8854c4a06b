"""CMU's AN4 as published MFCC (spoken letters, digits and names; Acero 1993) to manifests of features.

    python data_prep/an4.py --raw DIR --out DIR [--val 7] [--seed 0] [--split NAME]

Reads `an4_train` and `an4_test` `.fileids` and `.transcription` and the `.mfc` they name, wherever they lie under
--raw: a big-endian int32, the number of values, then as many float32, frames of 13 coefficients, 100 a second. Writes
`features.npy` (time, 13) float32, of which every item cuts its `rows`; `references` are as published, in capitals,
without <s> and </s>. `val` are all utterances of some speakers for training, chosen by the seed.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.cli import Parser, parse
from seqkit.data.files import atomic_write, read_lines
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.raw_files import Files, files_below, locate, one_file, show
from seqkit.data_prep.translation.pairs import write_stats
from seqkit.errors import InputError

WIDTH = 13
RATE = 100  # frames a second
LINE = re.compile(r"(?P<text>.*)\((?P<id>[^()\s]+)\)\s*")
MARKS = ("<s>", "</s>", "<sil>")


def read_mfc(path: Path) -> NDArray[np.float32]:
    """The frames (time, 13) of a file. Raises InputError for one that is none."""
    content = path.read_bytes()
    count = int.from_bytes(content[:4], "big")
    if len(content) != 4 + 4 * count or count == 0 or count % WIDTH:
        raise InputError(
            f"{path}: must be a number of values and that many, in frames of {WIDTH}, "
            f"got {count} and {len(content)} bytes; fetch it again"
        )
    frames = np.frombuffer(content, ">f4", offset=4).reshape(-1, WIDTH).astype(np.float32)
    if not np.isfinite(frames).all():
        raise InputError(f"{path}: must hold finite values, got others; fetch it again")
    return frames


def read_texts(path: Path) -> dict[str, str]:
    """Transcriptions by the utterance's name. Raises InputError for a malformed line."""
    texts = {}
    for number, line in read_lines(path):
        match = LINE.fullmatch(line)
        if match:
            texts[match["id"]] = " ".join(word for word in match["text"].split() if word not in MARKS)
        elif line.strip():
            raise InputError(f"{path}, line {number}: must be words and (utterance), got {line[:60]!r}")
    return texts


def listed(files: Files, name: str) -> list[tuple[str, str]] | None:
    """(path of the features without ending, text) of every utterance of a published list; None where it is not there.

    Raises InputError where the transcription is missing.
    """
    ids, transcription = one_file(files, f"{name}.fileids"), one_file(files, f"{name}.transcription")
    if ids is None:
        return None
    if transcription is None:
        raise InputError(f"{ids}: must have {name}.transcription beside it or below --raw, got none")
    texts = read_texts(transcription)
    places = [line.strip() for _, line in read_lines(ids) if line.strip()]
    return [(place, texts.get(place.rpartition("/")[2], "")) for place in places]


def speaker_of(place: str) -> str:
    """By the folder (an4_clstk/fash/an251-fash-b), else by the name."""
    parts = place.split("/")
    return parts[-2] if len(parts) > 1 else re.split("-", parts[-1])[1]


def prepare(
    raw: Path, out: Path, *, val: int = 7, seed: int = 0, split: str | None = None
) -> dict[str, dict[str, Any]]:
    """Writes what it finds; statistics by split. Raises InputError for missing lists and too many `val` speakers."""
    files = files_below(raw)
    found = {name: listed(files, f"an4_{name}") for name in ("train", "test")}
    lists = {name: entries for name, entries in found.items() if entries is not None}
    if not lists:
        raise InputError(f"{raw}: must hold an4_train.fileids or an4_test.fileids, in it or below, got neither")
    if split:
        lists = {split: [entry for entries in lists.values() for entry in entries]}
    elif "train" in lists:
        held = chosen(sorted({speaker_of(place) for place, _ in lists["train"]}), val, seed)
        lists |= {
            "val": [entry for entry in lists["train"] if speaker_of(entry[0]) in held],
            "train": [entry for entry in lists["train"] if speaker_of(entry[0]) not in held],
        }
    pieces: list[NDArray[np.float32]] = []
    stats = {
        name: written(out, name, lists[name], files, pieces)
        for name in ("train", "val", "test", split)
        if name and lists.get(name)
    }
    if not pieces:
        raise InputError(f"{raw}: must hold the .mfc files that the lists name, got none that can be read")
    with atomic_write(out / "features.npy") as file:
        np.save(file, np.concatenate(pieces))
    write_stats(out, stats)
    return stats


def chosen(speakers: Sequence[str], number: int, seed: int) -> set[str]:
    """So many speakers, as if by chance, the same ones for ever."""
    if not 0 <= number < len(speakers):
        raise InputError(f"--val must be from 0 to {len(speakers) - 1}, one less than the speakers, got {number}")
    return set(sorted(speakers, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:number])


def written(
    out: Path, name: str, entries: Sequence[tuple[str, str]], files: Files, pieces: list[NDArray[np.float32]]
) -> dict[str, Any]:
    """The manifest of a split; its features are added to `pieces`. Counts first, then the names behind them."""
    items, dropped = [], defaultdict(list)
    reasons: dict[str, str] = {}
    row = sum(map(len, pieces))
    for place, text in entries:
        ident = place.rpartition("/")[2]
        path = locate(files, f"{place}.mfc")
        if path is None or not text:
            dropped["missing" if path is None else "no_text"].append(ident)
            continue
        try:
            pieces.append(read_mfc(path))
        except InputError as error:
            dropped["malformed"].append(ident)
            reasons[ident] = str(error)
            continue
        rows = (row, row := row + len(pieces[-1]))
        items.append(
            Item(
                id=ident,
                features=out / "features.npy",
                rows=rows,
                references=(text,),
                speaker=speaker_of(place),
                seconds=(rows[1] - rows[0]) / RATE,
            )
        )
    if items:
        write_manifest(out / f"{name}.jsonl", items)
    return {
        "utterances": len(entries),
        "items": len(items),
        "speakers": len(Counter(item.speaker for item in items)),
        "seconds": round(sum(item.seconds or 0 for item in items), 2),
        "dropped": {fault: len(names) for fault, names in dropped.items()},
        "named": dropped,
        "reasons": reasons,
    }


def main(argv: Sequence[str]) -> None:
    parser = Parser("an4", "AN4's published MFCC to manifests of features.")
    parser.add_argument("--raw", type=Path, required=True, help="folder with etc/ and feat/ at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for features.npy, manifests and stats.json")
    parser.add_argument(
        "--val", type=int, default=7, metavar="N", help="speakers for training that make val, of 74 (default: 7)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of their choice (default: 0)")
    parser.add_argument("--split", help="put every utterance that is found into one split of this name")
    given = parse(parser, argv)
    show(prepare(given.raw, given.out, val=given.val, seed=given.seed, split=given.split))
