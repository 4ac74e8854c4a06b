"""What own videos and own sound share: texts of every recording, names of their own, and who speaks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seqkit.data_prep.own.shares import Dropped, unique_stems
from seqkit.data_prep.own.spoken_texts import Cue, by_recording, find_text, read_cues, table_cues, texts_beside
from seqkit.errors import InputError

TABLES = (".csv", ".tsv")


class Texts(NamedTuple):
    """What is said, by recording."""

    cues: dict[Path, list[Cue]]
    kinds: dict[Path, str]  # ending of the file that says it
    shared: dict[str, list[str]]  # a text to the recordings that have it, of those that several have
    unread: dict[str, list[str]]  # a recording to its texts, of which the first was read


def find_texts(raw: Path, paths: Sequence[Path], table: Path | None, tier: str | None, dropped: Dropped) -> Texts:
    """The texts of recordings: from the table, or the file beside each, or the only table in the folder. What has none
    is dropped. Raises InputError for a table that cannot be read or names no recording."""
    texts = Texts({}, {}, {}, {})
    beside: dict[Path, Path | None] = {}
    for path in paths if table is None else ():
        try:
            beside[path] = find_text(path)
        except InputError as error:
            beside[path] = path  # there is one, but none that can be read
            dropped.add("several_texts", str(path.relative_to(raw)), str(error))
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
        alike: dict[int, list[str]] = defaultdict(list)
        for path, own in texts.cues.items():
            alike[id(own)].append(path.relative_to(raw).as_posix())
        texts.shared.update({f"{table.name}: {some[0]}": some for some in alike.values() if len(some) > 1})
        if not texts.cues:
            first = next(iter(cues), "")
            raise InputError(f"{table}: must name recordings below {raw}, such as {paths[0].name}, got {first!r}")
    for path in paths:
        text = beside.get(path)
        if text == path:
            continue
        if text is not None:
            try:
                texts.cues[path] = read_cues(text, tier)
                texts.kinds[path] = text.suffix
            except InputError as error:
                dropped.add("unreadable_text", str(path.relative_to(raw)), str(error))
        elif path not in texts.cues:
            told = f"no row of {table.name}" if table else f"no {path.stem}.TextGrid, .vtt, .srt or .txt beside it"
            dropped.add("no_text", str(path.relative_to(raw)), told)
    name_others(raw, beside, texts)
    return texts


def name_others(raw: Path, beside: Mapping[Path, Path | None], texts: Texts) -> None:
    """Names the recordings that share a text, and the texts that were not read."""
    for path, text in beside.items():
        if path in texts.cues and text is not None:
            texts.shared.setdefault(text.relative_to(raw).as_posix(), []).append(path.relative_to(raw).as_posix())
            texts.unread[path.relative_to(raw).as_posix()] = [other.name for other in texts_beside(path)]
    for named in (texts.shared, texts.unread):
        for name in [name for name, others in named.items() if len(others) < 2]:
            del named[name]


def unique_names(raw: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each recording, by `unique_stems` of its path below `raw`."""
    return dict(zip(paths, unique_stems([path.relative_to(raw).as_posix() for path in paths]), strict=True))


def speaker_folders(raw: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """The first folder below `raw` of each recording, where all lie in folders and these are several; else nothing."""
    folders = {path: path.relative_to(raw).parts[0] for path in paths if len(path.relative_to(raw).parts) > 1}
    return folders if len(folders) == len(paths) and len(set(folders.values())) > 1 else {}
