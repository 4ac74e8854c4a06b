"""CMU AN4 (Acero 1993) as published MFCC features: spoken letters, digits and names.

    seqkit prepare an4 --raw DIR --out DIR [--val_size SHARE|N] [--seed N] [--split NAME]

Reads `an4_train` and `an4_test` `.fileids` and `.transcription` and the `.mfc` they name, wherever they lie under
--raw: a big-endian int32, the number of values, then as many float32, frames of 13 coefficients, 100 a second. Writes
`features.npy` (time, 13) float32, of which every item cuts its `rows`, the manifests and `stats.json`; `references`
are as published, in capitals, without <s> and </s>. `val` are all utterances of some training speakers, chosen by the
seed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.files import atomic_write, read_lines
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.holdout import add_val_size, chosen_val_size, held_out, holdout_size
from seqkit.data_prep.common.outputs import print_stats, write_stats
from seqkit.data_prep.common.raw_files import Files, find_files, find_image, published_file
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

NUM_FEATURES = 13
FRAME_RATE = 100  # a second
VAL_SIZE = 7  # of 74 training speakers
LINE = re.compile(r"(?P<text>.*)\((?P<id>[^()\s]+)\)\s*")
NOT_WORDS = ("<s>", "</s>", "<sil>")


def read_mfc(path: Path) -> NDArray[np.float32]:
    """The frames (time, 13) of a file. Raises InputError for one that is none."""
    content = path.read_bytes()
    count = int.from_bytes(content[:4], "big")
    if len(content) != 4 + 4 * count or count == 0 or count % NUM_FEATURES:
        raise InputError(
            f"{path}: must be a number of values and that many, in frames of {NUM_FEATURES}, "
            f"got {count} and {len(content)} bytes; fetch it again"
        )
    frames = np.frombuffer(content, ">f4", offset=4).reshape(-1, NUM_FEATURES).astype(np.float32)
    if not np.isfinite(frames).all():
        raise InputError(f"{path}: must hold finite values, got others; fetch it again")
    return frames


def read_texts(path: Path) -> dict[str, str]:
    """Transcriptions by the utterance's name. Raises InputError for a malformed line."""
    texts = {}
    for number, line in read_lines(path):
        match = LINE.fullmatch(line)
        if match:
            texts[match["id"]] = " ".join(word for word in match["text"].split() if word not in NOT_WORDS)
        elif line.strip():
            raise InputError(f"{path}, line {number}: must be words and (utterance), got {line[:60]!r}")
    return texts


def read_list(files: Files, name: str) -> list[tuple[str, str]] | None:
    """(path of the features without ending, text) of every utterance of a published list; None where it is not there.

    Raises InputError where the transcription is missing.
    """
    ids, transcription = published_file(files, f"{name}.fileids"), published_file(files, f"{name}.transcription")
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
    raw: Path, out: Path, *, val_size: float | None = None, seed: int = 0, split: str | None = None
) -> dict[str, dict[str, Any]]:
    """Writes what it finds; statistics by split. Raises InputError for missing lists and too many speakers in `val`."""
    share = chosen_val_size(val_size, split, VAL_SIZE)
    files = find_files(raw)
    found = {name: read_list(files, f"an4_{name}") for name in ("train", "test")}
    lists = {name: entries for name, entries in found.items() if entries is not None}
    if not lists:
        raise InputError(f"{raw}: must hold an4_train.fileids or an4_test.fileids, in it or below, got neither")
    if split:
        lists = {split: [entry for entries in lists.values() for entry in entries]}
    elif "train" in lists:
        speakers = {speaker_of(place) for place, _ in lists["train"]}
        held = held_out(speakers, holdout_size(share, len(speakers), "training speakers"), seed)
        lists |= {
            "val": [entry for entry in lists["train"] if speaker_of(entry[0]) in held],
            "train": [entry for entry in lists["train"] if speaker_of(entry[0]) not in held],
        }
    arrays: list[NDArray[np.float32]] = []
    stats = {
        name: write_split(out, name, lists[name], files, arrays)
        for name in ("train", "val", "test", split)
        if name and lists.get(name)
    }
    if not arrays:
        raise InputError(f"{raw}: must hold the .mfc files that the lists name, got none that can be read")
    with atomic_write(out / "features.npy") as file:
        np.save(file, np.concatenate(arrays))
    write_stats(out, stats)
    return stats


def write_split(
    out: Path, name: str, entries: Sequence[tuple[str, str]], files: Files, arrays: list[NDArray[np.float32]]
) -> dict[str, Any]:
    """The manifest of a split; its features are added to `arrays`. Counts first, then the names behind them."""
    items, dropped = [], defaultdict(list)
    reasons: dict[str, str] = {}
    row = sum(map(len, arrays))
    for place, text in entries:
        ident = place.rpartition("/")[2]
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
        rows = (row, row := row + len(arrays[-1]))
        items.append(
            Item(
                id=ident,
                features=out / "features.npy",
                rows=rows,
                references=(text,),
                speaker=speaker_of(place),
                seconds=(rows[1] - rows[0]) / FRAME_RATE,
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
    parser = Parser("seqkit prepare an4", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with etc/ and feat/ at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for features.npy, manifests and stats.json")
    add_val_size(parser, "training speakers", VAL_SIZE)
    parser.add_argument("--seed", type=int, default=0, help="of their choice (default: 0)")
    parser.add_argument("--split", metavar="NAME", help="put every utterance that is found into one split of this name")
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, val_size=given.val_size, seed=given.seed, split=given.split))
