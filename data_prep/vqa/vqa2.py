"""VQA (Antol et al. 2015, arXiv:1505.00468) and VQA v2 (Goyal et al. 2017, arXiv:1612.00837) to manifests.

    python data_prep/vqa2.py --raw DIR --out DIR [--release 1|2] [--split NAME]

Reads `OpenEnded_mscoco_{train2014,val2014,test2015,test-dev2015}_questions.json` and
`mscoco_{train2014,val2014}_annotations.json`, those of v2 with `v2_` before their names, and COCO's pictures
(`COCO_train2014_000000123456.jpg`) wherever under --raw they lie; those of 2017 serve where the longer names are not
found. val2014 becomes `val.jsonl`. Abstract scenes and multiple choice are not read.

An item's references are all ten answers, the most frequent first and equal ones side by side, since the consensus
accuracy counts them; `question_type` and `answer_type` are kept. The answers of test2015 were never published: its
questions are left out, unless --split NAME asks for all that is found; they then have no references.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqkit.cli import Parser, parse
from seqkit.data.manifest import Item
from seqkit.data_prep.captioning.coco import alias
from seqkit.data_prep.common.questions import Part, disjoint, keep, merged, names
from seqkit.data_prep.common.raw_files import (
    Files,
    add_arguments,
    entries_of,
    files_below,
    one_file,
    read_json,
    show,
    value_of,
    write_splits,
)
from seqkit.errors import InputError

PARTS = ("train2014", "val2014", "test2015", "test-dev2015")
FILE = re.compile(rf"(?P<v2>v2_)?OpenEnded_mscoco_(?P<part>{'|'.join(PARTS)})_questions\.json")
SPLITS = {"train2014": "train", "val2014": "val"}  # the others have no answers
TYPES = ("question_type", "answer_type")


def ordered(answers: Sequence[str], first: str) -> tuple[str, ...]:
    """The most frequent answer first, equal ones side by side; of answers as frequent, `first` and then the earlier."""
    counts = Counter(answers)
    return tuple(sorted(answers, key=lambda text: (-counts[text], text != first, answers.index(text))))


def _alone(entry: dict[str, Any]) -> Any:
    """An answer's text in the place of its object: there are millions of them."""
    return sys.intern(entry["answer"]) if isinstance(entry.get("answer"), str) else entry


def read_answers(path: Path) -> dict[int, tuple[tuple[str, ...], dict[str, str]]]:
    """References and types of every question by its id. Raises InputError for a malformed entry."""
    found: dict[int, tuple[tuple[str, ...], dict[str, str]]] = {}
    for place, entry in entries_of(read_json(path, _alone), "annotations", str(path)):
        answers = value_of(entry, "answers", list, place)
        for number, answer in enumerate(answers):
            if not isinstance(answer, str):
                got = json.dumps(answer)[:60]
                raise InputError(f"{place}, answers[{number}]: must have a text `answer`, got {got}")
        types = {key: sys.intern(value_of(entry, key, str, place)) for key in TYPES}
        first = value_of(entry, "multiple_choice_answer", str, place)
        found[value_of(entry, "question_id", int, place)] = (ordered(answers, first), types)
    return found


def read_part(questions: Path, annotations: Path | None, part: str) -> Part:
    """The questions of a file as items, `image` being COCO's name. Raises InputError for a malformed entry."""
    answers = read_answers(annotations) if annotations else {}
    read = Part.empty()
    folder = part.replace("-dev", "")  # test-dev is a part of test
    for place, entry in entries_of(read_json(questions), "questions", str(questions)):
        number = value_of(entry, "question_id", int, place)
        image = f"{folder}/COCO_{folder}_{value_of(entry, 'image_id', int, place):012d}.jpg"
        text = value_of(entry, "question", str, place)
        references, types = answers.get(number, ((), {}))
        if annotations and not any(map(str.strip, references)):
            read.dropped["no_answer"].append(str(number))
        else:
            item = Item(id=str(number), image=Path(image), question=text, references=references, extra=types)
            read.items.append(item)
    return read


def choose(files: Files, release: str | None, raw: Path) -> dict[str, Path]:
    """The question files of one release by part. Raises InputError for none, or for both and no word which."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for name in sorted(files):
        match = FILE.fullmatch(name)
        path = one_file(files, name) if match else None
        if match and path:
            found["2" if match["v2"] else "1"][match["part"]] = path
    if not found:
        raise InputError(
            f"{raw}: must hold v2_OpenEnded_mscoco_train2014_questions.json or the like, or those of v1 without v2_, "
            "in it or below, got none; unpack v2_Questions_Train_mscoco.zip there"
        )
    if release not in found and (release or len(found) > 1):
        raise InputError(f"--release must be one of {', '.join(found)}, which are under {raw}, got {release or 'none'}")
    chosen = found[release or next(iter(found))]
    return {part: chosen[part] for part in PARTS if part in chosen}


def read_parts(files: Files, paths: Mapping[str, Path], raw: Path) -> dict[str, Part]:
    """Every part with its answers. Raises InputError where those of train or val are not there."""
    parts: dict[str, Part] = {}
    for part, path in paths.items():
        name = path.name.replace("OpenEnded_", "").replace("questions", "annotations")
        annotations = one_file(files, name) if part in SPLITS else None
        if part in SPLITS and annotations is None:
            raise InputError(f"{raw}: must hold {name}, the answers to {path.name}, in it or below, got none")
        parts[part] = read_part(path, annotations, part)
    return parts


def prepare(
    raw: Path, out: Path, *, release: str | None = None, split: str | None = None, workers: int = 1
) -> dict[str, dict[str, object]]:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    files = files_below(raw)
    paths = choose(files, release, raw)
    found = read_parts(files, paths if split else {p: path for p, path in paths.items() if p in SPLITS}, raw)
    more: dict[str, dict[str, object]] = {}
    if split:
        found.pop("test-dev2015" if "test2015" in found else "", None)  # its questions are among those of test
        parts = {split: merged(found.values())}
    else:
        parts = {SPLITS[part]: read for part, read in found.items()}
        more = {part: {"left_out": "no answers were published"} for part in paths if part not in SPLITS}
    disjoint(parts)
    files = alias(files, (name for part in parts.values() for name in names(part.items)))
    kept = ((name, keep(files, part, workers=workers, title=name)) for name, part in parts.items())
    return write_splits(out, kept, [path.name for path in paths.values()], more)


def main(argv: Sequence[str]) -> None:
    parser = Parser("vqa2", "VQA's questions and ten answers each, v1 or v2, to manifests.")
    add_arguments(parser)
    parser.add_argument("--release", choices=("1", "2"), help="which questions, where both are found")
    given = parse(parser, argv)
    show(prepare(given.raw, given.out, release=given.release, split=given.split, workers=given.workers))
