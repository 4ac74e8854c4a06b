"""VQA (Antol et al. 2015, arXiv:1505.00468) and VQA v2 (Goyal et al. 2017, arXiv:1612.00837): questions about images.

    seqkit prepare vqa2 --raw DIR --out DIR [--release 1|2] [--split NAME]

Reads `OpenEnded_mscoco_{train2014,val2014,test2015,test-dev2015}_questions.json` and
`mscoco_{train2014,val2014}_annotations.json`, those of v2 with `v2_` before their names, and COCO's images
(`COCO_train2014_000000123456.jpg`) wherever under --raw they lie; those of 2017 serve where the longer names are not
found. val2014 becomes `val.jsonl`. Abstract scenes and multiple choice are not read.

Writes `train.jsonl`, `val.jsonl`, a manifest for each test set, and `stats.json`: `image`, `question`, `references`.
These are all ten answers, the most frequent first and equal ones side by side, since the consensus accuracy counts
them; `question_type` and `answer_type` are kept. The answers of test2015 were never published: `test2015.jsonl` and
`test-dev2015.jsonl` have questions without references, to be answered for the evaluation server.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.files import shown
from seqkit.data.manifest import Item
from seqkit.data.text import is_blank
from seqkit.data_prep.captioning.coco import with_2017_names
from seqkit.data_prep.common.image_check import add_arguments
from seqkit.data_prep.common.image_items import Split, check_disjoint, image_names, keep_readable, merge
from seqkit.data_prep.common.outputs import Stats, print_stats, write_splits
from seqkit.data_prep.common.raw_files import (
    Files,
    UniqueKeys,
    entries_of,
    find_files,
    published_file,
    read_json,
    value_of,
)
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

SUBSETS = ("train2014", "val2014", "test2015", "test-dev2015")
FILE = re.compile(rf"(?P<v2>v2_)?OpenEnded_mscoco_(?P<subset>{'|'.join(SUBSETS)})_questions\.json")
SPLITS = {"train2014": "train", "val2014": "val"}  # the others have no published answers
TYPES = ("question_type", "answer_type")


def by_frequency(answers: Sequence[str], first: str) -> tuple[str, ...]:
    """The most frequent answer first, equal ones side by side; of answers as frequent, `first` and then the earlier."""
    counts = Counter(answers)
    return tuple(sorted(answers, key=lambda text: (-counts[text], text != first, answers.index(text))))


def _keep_text(entry: dict[str, Any]) -> Any:
    """Replaces the object of an answer by its text: there are millions of them."""
    return sys.intern(entry["answer"]) if isinstance(entry.get("answer"), str) else entry


class Answered(NamedTuple):
    """What the annotations have of a question."""

    references: tuple[str, ...]
    types: dict[str, str]
    image: int | None


def read_answers(path: Path) -> dict[int, Answered]:
    """References, types and image of every question by its id. Raises InputError for a malformed entry."""
    found: dict[int, Answered] = {}
    ids = UniqueKeys("question_id")
    for place, entry in entries_of(read_json(path, _keep_text), "annotations", str(path)):
        answers = value_of(entry, "answers", list, place)
        for i, answer in enumerate(answers):
            if not isinstance(answer, str):
                raise InputError(f"{place}, answers[{i}]: must have a text `answer`, got {shown(answer)}")
        types = {key: sys.intern(value_of(entry, key, str, place)) for key in TYPES}
        first = value_of(entry, "multiple_choice_answer", str, place)
        number = value_of(entry, "question_id", int, place)
        ids.add(number, place)
        found[number] = Answered(by_frequency(answers, first), types, entry.get("image_id"))
    return found


def read_split(questions: Path, annotations: Path | None, subset: str) -> Split:
    """The questions of a file as items, `image` being COCO's name. Raises InputError for a malformed entry."""
    answers = read_answers(annotations) if annotations else {}
    read, ids = Split.empty(), UniqueKeys("question_id")
    folder = subset.replace("-dev", "")  # test-dev is a part of test
    for place, entry in entries_of(read_json(questions), "questions", str(questions)):
        number = value_of(entry, "question_id", int, place)
        ids.add(number, place)
        picture = value_of(entry, "image_id", int, place)
        text = value_of(entry, "question", str, place)
        references, types, other = answers.get(number, Answered((), {}, None))
        if annotations and all(map(is_blank, references)):
            read.dropped["no_answer"].append(str(number))
        elif is_blank(text.replace("?", "")):
            read.dropped["empty_question"].append(str(number))
        elif other not in (None, picture):
            read.dropped["answers_of_another_image"].append(str(number))
        else:
            image = Path(f"{folder}/COCO_{folder}_{picture:012d}.jpg")
            read.items.append(Item(id=str(number), image=image, question=text, references=references, extra=types))
    asked = set(ids.places)
    if unasked := [str(number) for number in answers if number not in asked]:
        read.dropped["no_question"] = unasked
    return read


def choose_files(files: Files, release: str | None, raw: Path) -> dict[str, Path]:
    """The question files of one release by subset. Raises InputError for none, or for both without --release."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for name in sorted(files):
        match = FILE.fullmatch(name)
        path = published_file(files, name) if match else None
        if match and path:
            found["2" if match["v2"] else "1"][match["subset"]] = path
    if not found:
        raise InputError(
            f"{raw}: must hold v2_OpenEnded_mscoco_train2014_questions.json or the like, or those of v1 without v2_, "
            "in it or below, got none; unpack v2_Questions_Train_mscoco.zip there"
        )
    if release not in found and (release or len(found) > 1):
        raise InputError(f"--release must be one of {', '.join(found)}, which are under {raw}, got {release or 'none'}")
    chosen = found[release or next(iter(found))]
    return {subset: chosen[subset] for subset in SUBSETS if subset in chosen}


def read_splits(files: Files, paths: Mapping[str, Path], raw: Path) -> dict[str, Split]:
    """Every subset with its answers. Raises InputError where those of train or val are not there."""
    splits: dict[str, Split] = {}
    for subset, path in paths.items():
        name = path.name.replace("OpenEnded_", "").replace("questions", "annotations")
        annotations = published_file(files, name) if subset in SPLITS else None
        if subset in SPLITS and annotations is None:
            raise InputError(f"{raw}: must hold {name}, the answers to {path.name}, in it or below, got none")
        splits[subset] = read_split(path, annotations, subset)
    return splits


def prepare(raw: Path, out: Path, *, release: str | None = None, split: str | None = None, workers: int = 1) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    files = find_files(raw)
    paths = choose_files(files, release, raw)
    found = read_splits(files, paths, raw)
    if split:
        found.pop("test-dev2015" if "test2015" in found else "", None)  # its questions are among those of test
        splits = {split: merge(found.values())}
    else:
        splits = {SPLITS.get(subset, subset): read for subset, read in found.items()}
    check_disjoint(splits)
    files = with_2017_names(files, (name for one in splits.values() for name in image_names(one.items)))
    prepared = ((name, keep_readable(files, one, workers=workers, title=name)) for name, one in splits.items())
    return write_splits(out, prepared, [path.name for path in paths.values()], {})


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare vqa2", __doc__ or "")
    add_arguments(parser)
    parser.add_argument("--release", choices=("1", "2"), help="which questions, where both are found")
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, release=given.release, split=given.split, workers=given.workers))
