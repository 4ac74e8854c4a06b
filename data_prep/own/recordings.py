"""What own videos and own sound share: texts of every recording, names of their own, and who speaks."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seqkit.data_prep.own.shares import Dropped
from seqkit.data_prep.own.spoken_texts import Cue, by_recording, find_text, read_cues, table_cues
from seqkit.errors import InputError

TABLES = (".csv", ".tsv")


class Texts(NamedTuple):
    """What is said, by recording."""

    cues: dict[Path, list[Cue]]
    kinds: dict[Path, str]  # ending of the file that says it


def find_texts(raw: Path, paths: Sequence[Path], table: Path | None, tier: str | None, dropped: Dropped) -> Texts:
    """The texts of recordings: from the table, or the file beside each, or the only table in the folder. What has none
    is dropped. Raises InputError for a table that cannot be read or names no recording."""
    texts = Texts({}, {})
    beside = {path: find_text(path) for path in paths} if table is None else {}
    tables = [path for path in sorted(raw.iterdir()) if path.suffix.lower() in TABLES]
    if table is None and not any(beside.values()):
        if len(tables) != 1:
            found = f"{len(tables)} tables" if tables else "neither"
            raise InputError(f"{raw}: must hold a text beside each recording, or one table (--texts), got {found}")
        table = tables[0]
    if table is not None:
        cues = table_cues(table)
        texts.cues.update(by_recording(cues, paths, raw))
        texts.kinds.update(dict.fromkeys(texts.cues, table.suffix))
        if not texts.cues:
            first = next(iter(cues), "")
            raise InputError(f"{table}: must name recordings below {raw}, such as {paths[0].name}, got {first!r}")
    for path in paths:
        text = beside.get(path)
        if text is not None:
            try:
                texts.cues[path] = read_cues(text, tier)
                texts.kinds[path] = text.suffix
            except InputError as error:
                dropped.add("unreadable_text", str(path.relative_to(raw)), str(error))
        elif path not in texts.cues:
            told = f"no row of {table.name}" if table else f"no {path.stem}.TextGrid, .vtt, .srt or .txt beside it"
            dropped.add("no_text", str(path.relative_to(raw)), told)
    return texts


def unique_names(raw: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each recording: its path below `raw` without ending, or with it where two would have the same."""
    short = {path: path.relative_to(raw).with_suffix("").as_posix() for path in paths}
    counts = Counter(short.values())
    return {path: name if counts[name] == 1 else path.relative_to(raw).as_posix() for path, name in short.items()}


def speaker_folders(raw: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """The first folder below `raw` of each recording, where all lie in folders and these are several; else nothing."""
    folders = {path: path.relative_to(raw).parts[0] for path in paths if len(path.relative_to(raw).parts) > 1}
    return folders if len(folders) == len(paths) and len(set(folders.values())) > 1 else {}
