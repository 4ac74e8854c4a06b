"""GRID as lip landmarks: nine points a video frame of 33 speakers, split by LipNet's protocol of unseen speakers.

    seqkit prepare grid_landmarks --raw DIR --out DIR [--split NAME]

Reads `landmarks.npz` or `landmarks.npz.xz` anywhere under --raw: `ids` (speaker/clip), `n_words` an utterance,
`word_len` in frames and `word_label` a word, and `delta16_T` (18, frames), differences along time of 16 times the
coordinate, x and y of the nine points in turn; silence at both ends is cut out. Writes `features.npy` (frames, 36),
float16, which holds sixteenths of such numbers exactly: the 18 coordinates, in pixels of GRID's 360 x 288, then their
differences from the frame before in pixels a frame, zero in an utterance's first. Nothing is normalized. Items of
`train` (all others), `val` (s34) and `test` (s1 s2 s20 s22) cut it by `rows`, and have `references`, `words` (without
short pauses, seconds from the first frame at 25 a second), `speaker` and `seconds`. Utterances without
frames, or whose words are not all that their clip's name spells, are left out.
"""

import lzma
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.array_file import read_arrays as read_numpy
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.outputs import Stats, print_stats, write_stats
from seqkit.data_prep.common.raw_files import UniqueKeys, find_files, published_file
from seqkit.data_prep.lipreading.grid_corpus import (
    ADVERBS,
    COLORS,
    COMMANDS,
    DIGITS,
    LETTERS,
    NAME,
    PREPOSITIONS,
    sentence_of,
    speaker_order,
)
from seqkit.data_prep.lipreading.grid_splits import TEST, VALIDATION
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

FILES = ("landmarks.npz", "landmarks.npz.xz")
KEYS = ("ids", "n_words", "word_len", "word_label", "delta16_T")
PAUSE = 3  # label of a short pause; the words come after it
WORDS = [word for slot in (COMMANDS, COLORS, PREPOSITIONS, DIGITS, ADVERBS, LETTERS) for word in slot.values()]
SUBPIXELS = 16  # units a pixel
FRAME_RATE = 25  # a second
MEMORY = 1 << 28  # bytes that unpacking may take beside what comes of it


def prepare(raw: Path, out: Path, split: str | None = None) -> Stats:
    """Writes features and manifests; statistics by split. Raises InputError for a file that is missing or broken."""
    arrays = read_arrays(raw)
    lengths = utterance_lengths(arrays)
    features_TF = features(arrays["delta16_T"], lengths)
    if not np.isfinite(features_TF).all():
        raise InputError(f"{raw}: `delta16_T` must be of points within the picture, got others; fetch it again")
    with atomic_write(out / "features.npy") as file:
        np.save(file, features_TF)
    splits: dict[str, list[Item]] = defaultdict(list)
    dropped: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in items(arrays, out / "features.npy"):
        where = split or ("test" if item.speaker in TEST else "val" if item.speaker == VALIDATION else "train")
        reason = reject_reason(item)
        if reason:
            dropped[where][reason].append(item.id)
        else:
            splits[where].append(item)
    stats: Stats = {}
    for name in sorted({*splits, *dropped}):
        found = sorted(splits[name], key=lambda item: (speaker_order(str(item.speaker)), item.id))
        if found:
            write_manifest(out / f"{name}.jsonl", found)
        speakers = Counter(item.speaker for item in found)
        stats[name] = {
            "items": len(found),
            "frames": sum(last - first for first, last in (item.rows or (0, 0) for item in found)),
            "words": sum(len(item.words) for item in found),
            "dropped": {fault: len(names) for fault, names in dropped[name].items()},
            "speakers": dict(speakers),
            "named": dropped[name],
        }
    write_stats(out, stats)
    return stats


def reject_reason(item: Item) -> str:
    """Why an utterance is dropped; empty where it is kept."""
    name = item.id.partition("_")[2]
    if not NAME.fullmatch(name) or item.references != (sentence_of(name),):
        return "words_missing"
    return "no_frames" if item.rows is None else ""


def unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".xz":
        return content
    packed = lzma.LZMADecompressor(memlimit=MEMORY)
    content = packed.decompress(content)
    if not packed.eof:
        raise EOFError("a file that is cut off")
    return content


def check_kinds(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Raises InputError for an array that is no list of texts or of small whole numbers."""
    for name, array in arrays.items():
        kind, most = array.dtype.kind, 256 if name in ("n_words", "word_label") else 65_536
        fits = array.ndim == (2 if name == "delta16_T" else 1) and kind in ("U" if name == "ids" else "iu")
        if fits and name != "ids" and array.size:
            low = -most if name == "delta16_T" else 0
            fits = low <= int(array.min()) and int(array.max()) < most
        if fits and name == "word_label" and array.size:
            fits = int(array.max()) <= PAUSE + len(WORDS)
        if not fits:
            raise InputError(f"{path}: `{name}` must be as published, got {array.dtype} {array.shape}; fetch it again")


def read_arrays(raw: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file."""
    files = find_files(raw)
    paths = [path for path in (published_file(files, name) for name in FILES) if path]
    if not paths:
        raise InputError(f"{raw}: must hold {' or '.join(FILES)}, in it or below, got neither")
    path = paths[0]
    try:
        contents = [unpacked(path) for path in paths]
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InputError(f"{path}: must be a whole NumPy archive, got damage ({error}); fetch it again") from None
    arrays = read_numpy(path, contents[0], KEYS)
    check_kinds(path, arrays)
    words, frames = int(arrays["n_words"].sum(dtype=np.int64)), int(arrays["word_len"].sum(dtype=np.int64))
    counts = len(arrays["ids"]), len(arrays["word_len"]), len(arrays["word_label"])
    if counts != (len(arrays["n_words"]), words, words) or arrays["delta16_T"].shape != (18, frames):
        raise InputError(
            f"{path}: must hold as many words and frames as it counts, {words} and {frames}, "
            f"got {len(arrays['word_label'])} and {arrays['delta16_T'].shape}; fetch it again"
        )
    if contents[1:] not in ([], contents[:1]):
        raise InputError(f"{paths[1]}: must be {path}, packed, got other content; keep one of the two")
    unique = UniqueKeys("ids")
    for number, name in enumerate(arrays["ids"].tolist()):
        unique.add(name, f"{path}, ids[{number}]")
    return arrays


def utterance_lengths(arrays: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The number of frames of every utterance."""
    ends = np.concatenate([[0], np.cumsum(arrays["word_len"].astype(np.int64))])
    last = np.cumsum(arrays["n_words"].astype(np.int64))
    return np.diff(ends[last], prepend=0)


def features(delta16_FT: NDArray[np.int16], lengths: NDArray[np.int64]) -> NDArray[np.float16]:
    """Positions and differences (T, 36), of T frames in all."""
    width, frames = delta16_FT.shape
    features_TF = np.empty((frames, 2 * width), np.float16)
    with np.errstate(over="ignore"):  # what does not fit is infinite, and seen by the caller
        features_TF[:, :width] = delta16_FT.T.cumsum(axis=0, dtype=np.int64)
        features_TF[:, width:] = delta16_FT.T
    begins = np.cumsum(lengths) - lengths
    features_TF[begins[lengths > 0], width:] = 0
    features_TF /= SUBPIXELS
    return features_TF


def items(arrays: dict[str, NDArray[Any]], path: Path) -> Iterator[Item]:
    """Every utterance; without `rows` where it has no frame."""
    lengths, labels = arrays["word_len"].tolist(), arrays["word_label"].tolist()
    word = row = 0
    for name, number in zip(arrays["ids"].tolist(), arrays["n_words"].tolist(), strict=True):
        begin, words = row, []
        for label, length in zip(labels[word : word + number], lengths[word : word + number], strict=True):
            if label > PAUSE:
                times = (row - begin) / FRAME_RATE, (row - begin + length) / FRAME_RATE
                words.append((WORDS[label - PAUSE - 1], *times))
            row += length
        word += number
        text = " ".join(spoken for spoken, _, _ in words)
        yield Item(
            id=name.replace("/", "_"),
            speaker=name.partition("/")[0],
            features=path,
            seconds=(row - begin) / FRAME_RATE,
            rows=(begin, row) if row > begin else None,
            words=tuple(words),
            references=(text,),
        )


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare grid_landmarks", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with landmarks.npz.xz at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for features.npy, manifests and stats.json")
    parser.add_argument("--split", metavar="NAME", help="put everything into one split of this name")
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, given.split))
