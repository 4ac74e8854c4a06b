"""COCO captions, or a corpus with Karpathy's split files (COCO, Flickr8k, Flickr30k): images with captions.

    seqkit prepare coco --raw DIR --out DIR [--captions NAME] [--split NAME]

Reads two forms, wherever under --raw they and the images lie:
- `captions_{train,val}{2014,2017}.json` (Chen et al. 2015, arXiv:1504.00325): the published validation set becomes
  `val.jsonl`; of the test sets, `image_info_test2014.json` and the like, captions were never published, and
  `test2014.jsonl` has images alone.
- `dataset_{coco,flickr8k,flickr30k}.json` (Karpathy and Fei-Fei 2015, arXiv:1412.2306): train, val and test, and
  `restval`, the rest of COCO's validation set, to train.
Where several are found, --captions says which: `2014`, `2017`, `dataset_coco`, ...
The images of 2017 are those of 2014 under shorter names, and are taken where the longer are not found.
Writes `train.jsonl`, `val.jsonl`, with Karpathy's files `test.jsonl`, and `stats.json`: `image`, `references`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from seqkit.data_prep.captioning.captions import CaptionedImage, write_splits
from seqkit.data_prep.common.image_check import add_arguments
from seqkit.data_prep.common.outputs import Stats, print_stats
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

COCO = re.compile(r"(captions_(?P<split>train|val|test)|image_info_(?P<test>test(-dev)?))(?P<name>\d+)\.json")
KARPATHY = re.compile(r"(?P<name>dataset_\w+)\.json")
KARPATHY_SPLITS = {"train": "train", "restval": "train", "val": "val", "test": "test"}  # Karpathy's to ours
OF_2014 = re.compile(r"COCO_\w+_(?P<of_2017>\d{12}\.jpg)")

Splits = dict[str, list[CaptionedImage]]


def read_coco(path: Path) -> list[CaptionedImage]:
    """Images and captions in the order of the file. Raises InputError for a malformed entry."""
    content = read_json(path)
    names: dict[int, tuple[str, str]] = {}
    captions: dict[int, list[str]] = defaultdict(list)
    images, annotations = UniqueKeys("id"), UniqueKeys("id")
    for place, image in entries_of(content, "images", str(path)):
        number = value_of(image, "id", int, place)
        images.add(number, place)
        names[number] = value_of(image, "file_name", str, place), place
    captioned = path.name.startswith("captions")  # image_info_test2014.json is of images alone
    for place, annotation in entries_of(content, "annotations", str(path)) if captioned else ():
        image = value_of(annotation, "image_id", int, place)
        if image not in names:
            raise InputError(f"{place}: `image_id` must be the `id` of one of `images`, got {image}")
        if "id" in annotation:
            annotations.add(value_of(annotation, "id", int, place), place)
        captions[image].append(value_of(annotation, "caption", str, place))
    return [CaptionedImage(name, tuple(captions[image]), place) for image, (name, place) in names.items()]


def read_karpathy(path: Path) -> Splits:
    """Images and captions by split. Raises InputError for a malformed entry or a split of another name."""
    splits: Splits = defaultdict(list)
    ids = {key: UniqueKeys(key) for key in ("cocoid", "imgid", "sentid")}
    for place, image in entries_of(read_json(path), "images", str(path)):
        published = value_of(image, "split", str, place)
        if published not in KARPATHY_SPLITS:
            raise InputError(f"{place}: `split` must be one of {', '.join(KARPATHY_SPLITS)}, got {published!r}")
        folder = value_of(image, "filepath", str, place) + "/" if "filepath" in image else ""
        captions = (value_of(one, "raw", str, where) for where, one in entries_of(image, "sentences", place))
        name = folder + value_of(image, "filename", str, place)
        splits[KARPATHY_SPLITS[published]].append(CaptionedImage(name, tuple(captions), place))
        for where, entry in [(place, image), *entries_of(image, "sentences", place)]:
            for key, unique in ids.items():
                if isinstance(entry, dict) and key in entry:
                    unique.add(value_of(entry, key, int, where), where)
    return splits


def choose_release(files: Files, wanted: str | None, raw: Path) -> list[tuple[str, Path]]:
    """The files of one publication, each with its split, empty where the file itself tells. Raises InputError."""
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name in sorted(files):
        match = COCO.fullmatch(name) or KARPATHY.fullmatch(name)
        path = published_file(files, name) if match else None
        if match and path:
            groups = match.groupdict()
            test = f"{groups['test']}{match['name']}" if groups.get("test") else ""
            found[match["name"]].append((test or groups.get("split") or "", path))
    if not found:
        raise InputError(
            f"{raw}: must hold captions_train2014.json, captions_val2014.json or the like, or dataset_coco.json or the "
            "like, in it or below, got none of them; unpack annotations_trainval2014.zip or caption_datasets.zip there"
        )
    if wanted not in found and (wanted or len(found) > 1):
        raise InputError(f"--captions must be one of {', '.join(found)}, which are under {raw}, got {wanted or 'none'}")
    return found[wanted or next(iter(found))]


def with_2017_names(files: Files, names: Iterable[str]) -> dict[str, Sequence[Path]]:
    """`files`, with images of 2017 under those names of 2014 that are not there."""
    known = dict(files)
    for name in (name.rpartition("/")[2] for name in names):
        match = OF_2014.fullmatch(name)
        if match and name not in files and match["of_2017"] in files:
            known[name] = files[match["of_2017"]]
    return known


def prepare(raw: Path, out: Path, *, captions: str | None = None, split: str | None = None, workers: int = 1) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    files = find_files(raw)
    chosen = choose_release(files, captions, raw)
    splits: Splits = defaultdict(list)
    captioned = [(title, path) for title, path in chosen if not title.startswith("test")]
    for title, path in captioned if split and captioned else chosen:
        for name, listed in ({title: read_coco(path)} if title else read_karpathy(path)).items():
            splits[split or name] += listed
    files = with_2017_names(files, (listed.name for images in splits.values() for listed in images))
    return write_splits(out, files, splits, read=[path.name for _, path in chosen], workers=workers)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare coco", __doc__ or "")
    add_arguments(parser)
    parser.add_argument("--captions", metavar="NAME", help="which to read where several are found: 2014, dataset_coco")
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, captions=given.captions, split=given.split, workers=given.workers))
