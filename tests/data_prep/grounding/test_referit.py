"""Phrases with boxes to manifests: golden manifests from corpora made here; proposals and windows."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.grounding import proposals, referit
from seqkit.data_prep.grounding.proposals import clip_boxes, has_match, read_proposals, windows
from seqkit.errors import InputError
from seqkit.score.boxes import iou
from tests.raw_files import stats, write_lines

WIDE, HIGH = 60, 40  # of the pictures made here


def picture(path: Path, size: tuple[int, int] = (WIDE, HIGH)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)
    return path


def run(raw: Path, out: Path, *argv: str) -> None:
    referit.main(["--raw", str(raw), "--out", str(out), "--workers", "1", *argv])


def xml(*objects: tuple[tuple[str, ...], tuple[int, ...] | None], size: tuple[int, int] = (WIDE, HIGH)) -> str:
    """An annotation in the published form: (chains, box) of every object, `scene` for None."""
    parts = [f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"]
    for chains, box in objects:
        names = "".join(f"<name>{chain}</name>" for chain in chains)
        edges = zip(("xmin", "ymin", "xmax", "ymax"), box or (), strict=False)
        frame = "".join(f"<{key}>{edge}</{key}>" for key, edge in edges)
        rest = f"<bndbox>{frame}</bndbox>" if box else "<scene>1</scene><nobndbox>0</nobndbox>"
        parts.append(f"<object>{names}{rest}</object>")
    return f"<annotation><filename>1.jpg</filename>{''.join(parts)}</annotation>"


@pytest.fixture
def entities(tmp_path):
    folder = tmp_path / "raw"
    write_lines(
        folder / "Sentences" / "11.txt",
        "[/EN#1/people Two men] and [/EN#2/clothing/other a red  hat] in [/EN#3/scene a park] .",
        "[/EN#0/notvisual It] is [/EN#1/people the men] .",
        "[/EN#1/people broken .",
    )
    write_lines(
        folder / "Annotations" / "11.xml", xml((("1",), (1, 1, 20, 40)), (("1", "2"), (31, 11, 60, 30)), (("3",), None))
    )
    for number in ("12", "13", "14", "15"):
        write_lines(folder / "Sentences" / f"{number}.txt", f"[/EN#{number}/other A thing] .")
    for number in ("12", "13", "15"):
        write_lines(folder / "Annotations" / f"{number}.xml", xml(((number,), (3, 4, 12, 13))))
    write_lines(folder / "__MACOSX" / "Sentences" / "._11.txt", "no sentence of ours")
    write_lines(folder / "lists" / "train.txt", "11", "12", "14", "99")
    write_lines(folder / "lists" / "val.txt", "13")
    write_lines(folder / "train.txt", "words of another corpus")
    for number in ("11", "13", "14", "15"):
        picture(folder / "images" / f"{number}.jpg")
    return folder


def test_flickr30k_entities_golden(entities, tmp_path):
    run(entities, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["raw", "stats.json", "train.jsonl", "val.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    boxes = [list(box) for box in windows(HIGH, WIDE)]
    both = {"references": ["0 0 20 40", "30 10 60 30"], "truth": [[0, 0, 20, 40], [30, 10, 60, 30]]}
    shared = {"image": "raw/images/11.jpg", "boxes": boxes, "extent": [HIGH, WIDE]}
    assert lines == [
        {"id": "11-1-1", "source": "Two men", "phrase_type": "people", **both, **shared},
        {
            "id": "11-1-2",
            "source": "a red hat",
            "phrase_type": "clothing/other",
            "references": ["30 10 60 30"],
            "truth": [[30, 10, 60, 30]],
            **shared,
        },
        {"id": "11-2-2", "source": "the men", "phrase_type": "people", **both, **shared},
    ]
    found = stats(tmp_path)
    assert found["train"]["dropped"] == {
        "no_box": 2,
        "no_phrase": 1,
        "missing": 1,
        "no_annotations": 1,
        "no_sentences": 1,
    }
    assert found["train"]["named"] == {
        "no_box": ["11-1-3", "11-2-1"],
        "no_phrase": ["11.txt, line 3"],
        "missing": ["12.jpg"],
        "no_annotations": ["14"],
        "no_sentences": ["99"],
    }
    assert (found["train"]["items"], found["train"]["references"], found["train"]["candidates"]) == (3, 5, len(boxes))
    for split in ("train", "val"):
        items = read_manifest(tmp_path / f"{split}.jsonl")
        right = [has_match(item.boxes, item.extra["truth"]) for item in items]
        assert found[split]["recall"] == pytest.approx(100 * sum(right) / len(right))
    assert found["val"]["recall"] == 0 and not any(finding.problem for finding in check(tmp_path)[1])


def test_several_boxes_become_the_one_around_them(entities, tmp_path):
    run(entities, tmp_path / "out", "--union")
    items = read_manifest(tmp_path / "out" / "train.jsonl")
    assert [item.references for item in items] == [("0 0 60 40",), ("30 10 60 30",), ("0 0 60 40",)]


def test_all_pictures_into_one_split_without_lists(entities, tmp_path):
    for path in (entities / "lists").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="--raw must hold train.txt, val.txt or test.txt, lists of numbers, got none"):
        run(entities, tmp_path / "out")
    run(entities, tmp_path / "out", "--split", "mine")
    assert [item.id for item in read_manifest(tmp_path / "out" / "mine.jsonl")] == [
        "11-1-1",
        "11-1-2",
        "11-2-2",
        "13-1-1",
        "15-1-1",
    ]
    assert stats(tmp_path / "out")["mine"]["named"]["no_annotations"] == ["14"]


def test_boxes_of_a_picture_of_another_size_are_no_use(entities, tmp_path):
    picture(entities / "images" / "11.jpg", (HIGH, WIDE))
    run(entities, tmp_path / "out", "--split", "mine")
    assert stats(tmp_path / "out")["mine"]["dropped"]["other_size"] == 3


def test_boxes_outside_of_the_picture_are_none(entities, tmp_path):
    write_lines(entities / "Annotations" / "11.xml", xml((("1",), (61, 1, 70, 9)), (("2",), (51, 31, 90, 90))))
    run(entities, tmp_path / "out")
    [item] = read_manifest(tmp_path / "out" / "train.jsonl")
    assert item.extra["truth"] == [[50, 30, 60, 40]] and stats(tmp_path / "out")["train"]["dropped"]["no_box"] == 4


@pytest.mark.parametrize(
    "content", ["<annotation>", "<a><size><width>x</width></size></a>", "<a/>", xml((("1",), (1,)))]
)
def test_faulty_xml_costs_its_picture_alone_and_is_named(entities, tmp_path, content):
    (entities / "Annotations" / "11.xml").write_text(content)
    run(entities, tmp_path / "out")
    named = [split.get("named", {}).get("malformed", []) for split in stats(tmp_path / "out").values()]
    [fault] = sum(named, [])
    assert "11.xml: must be XML with whole numbers for `size` and boxes, got a fault: " in fault
    assert sum(split["items"] for split in stats(tmp_path / "out").values()) > 0


def test_a_picture_in_two_splits_is_an_error(entities, tmp_path):
    write_lines(entities / "lists" / "test.txt", "13")
    with pytest.raises(
        InputError, match="test.txt, line 1: `number of an image` must be unique, got '13', which .*val.txt, line 1 has"
    ):
        run(entities, tmp_path / "out")


def ref(number: int, annotation: int, split: str, *texts: str) -> dict:
    sentences = [{"sent_id": 10 * number + i, "sent": text, "raw": text.upper()} for i, text in enumerate(texts)]
    return {"ref_id": number, "ann_id": annotation, "split": split, "sentences": sentences, "file_name": "x"}


@pytest.fixture
def refs(tmp_path):
    folder = tmp_path / "raw" / "refcoco"
    names = {i: f"COCO_train2014_{i:012d}.jpg" for i in range(1, 5)}
    images = [{"id": i, "file_name": name, "height": HIGH, "width": WIDE} for i, name in names.items()]
    annotations = [
        {"id": 70 + i, "image_id": i, "bbox": [5.5 * i, 2, 20, 10.25], "segmentation": [[1, 2]]} for i in range(1, 5)
    ]
    folder.mkdir(parents=True)
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    write_refs(
        folder / "refs(unc).p",
        ref(1, 71, "train", "the man", " ", "left man"),
        ref(2, 72, "testA", "hat"),
        ref(3, 73, "testB", "bag"),
        ref(4, 72, "testB", "bag of hat"),
    )
    for i in (1, 2):
        picture(tmp_path / "raw" / "train2014" / f"COCO_train2014_{i:012d}.jpg")
    picture(tmp_path / "raw" / "train2017" / "000000000003.jpg")
    return tmp_path / "raw"


def write_refs(path: Path, *entries: object) -> None:
    path.write_bytes(pickle.dumps(list(entries), protocol=0))


def test_referring_expressions_golden(refs, tmp_path):
    run(refs, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["raw", "stats.json", "testA.jsonl", "testB.jsonl", "train.jsonl"]
    items = read_manifest(tmp_path / "train.jsonl")
    assert [(item.id, item.source, item.references) for item in items] == [
        ("1-10", "the man", ("5.5 2 25.5 12.25",)),
        ("1-12", "left man", ("5.5 2 25.5 12.25",)),
    ]
    assert items[0].extra == {"truth": [[5.5, 2, 25.5, 12.25]], "extent": [HIGH, WIDE]}
    assert items[0].boxes == tuple(windows(HIGH, WIDE)) and items[0].image.samefile(
        refs / "train2014" / "COCO_train2014_000000000001.jpg"
    )
    assert [item.id for item in read_manifest(tmp_path / "testB.jsonl")] == ["3-30", "4-40"]
    assert stats(tmp_path)["train"]["dropped"] == {"no_phrase": 1}
    assert stats(tmp_path)["testB"]["files"] == ["refcoco/unc"]
    run(refs, tmp_path / "one", "--split", "all")
    assert len(read_manifest(tmp_path / "one" / "all.jsonl")) == 5


def test_of_several_corpora_one_is_chosen(refs, entities, tmp_path):
    write_refs(refs / "refcoco" / "refs(google).p", ref(1, 71, "train", "x"), ref(2, 71, "test", "y"))
    (refs / "refclef").mkdir()
    write_refs(refs / "refclef" / "refs(unc).p")  # without instances.json: none of them
    with pytest.raises(InputError, match="--corpus must be one of flickr30k, refcoco/google, refcoco/unc, .* got none"):
        run(refs, tmp_path / "out")
    with pytest.raises(InputError, match="--corpus must be one of .* got refcoco"):
        run(refs, tmp_path / "out", "--corpus", "refcoco")
    with pytest.raises(InputError, match="000000000001.jpg: must be in one split, got .*train and in test"):
        run(refs, tmp_path / "out", "--corpus", "refcoco/google")
    assert not (tmp_path / "out").exists()
    run(refs, tmp_path / "out", "--corpus", "flickr30k")
    assert stats(tmp_path / "out")["val"]["files"] == ["flickr30k"]


def test_nothing_to_read_is_an_error(tmp_path):
    write_refs(tmp_path / "refs(unc).p")
    with pytest.raises(InputError, match=r"must hold, at any depth, Flickr30k .* got none of them; unpack"):
        run(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="--candidates must be at least 1, got 0"):
        run(tmp_path, tmp_path / "out", "--candidates", "0")


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([Evil()]), r"must be a pickle of plain values, got a fault: posix.system is no plain value"),
        (pickle.dumps([np.float64(1)]), r"must be a pickle of plain values, got a fault: numpy.* is no plain value"),
        (pickle.dumps([1] * 9)[:-4], r"refs\(unc\).p: must be a pickle of plain values, got a fault"),
        (b"no pickle", r"must be a pickle of plain values, got a fault"),
        (pickle.dumps({1: 2}), r"`refs` must be of type list, got \{\"1\": 2\}"),
        (pickle.dumps([{"ann_id": b"1"}]), r"refs\[0\]: `ann_id` must be of type int, got"),
        (
            pickle.dumps([ref(1, 9, "train", "x")]),
            r"refs\[0\]: `ann_id` must be the `id` of one of `annotations`, got 9",
        ),
        (pickle.dumps([{"ann_id": 71, "split": "train"}]), r"refs\[0\]: `sentences` must be of type list, got null"),
        (
            pickle.dumps([{"ann_id": 71, "split": "train", "ref_id": 1, "sentences": [{"sent_id": 1}]}]),
            r"refs\[0\], sentences\[0\]: `sent` must be of type str, got null",
        ),
    ],
)
def test_faulty_expressions_are_named_and_run_nothing(refs, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (refs / "refcoco" / "refs(unc).p").write_bytes(content)
    with pytest.raises(InputError, match=message):
        run(refs, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def test_pickles_of_python_2_are_read(refs, tmp_path):
    """Protocol 0 with byte strings, as cPickle wrote `str`; the e with its accent is UTF-8."""
    content = pickle.dumps([ref(1, 71, "train", "the cafe")], protocol=0)
    (refs / "refcoco" / "refs(unc).p").write_bytes(content.replace(b"Vthe cafe\n", b"S'the caf\\xc3\\xa9'\n"))
    run(refs, tmp_path / "out")
    assert read_manifest(tmp_path / "out" / "train.jsonl")[0].source == "the café"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "instances.json: must be whole JSON"),
        ('{"images": [{"id": 1}]}', "`height` must be of type int, got null"),
        (
            '{"images": [], "annotations": [{"image_id": 3, "bbox": []}]}',
            "`image_id` must be the `id` of one .*, got 3",
        ),
        (
            '{"images": [{"id": 3, "height": 1, "width": 2, "file_name": "a"}], '
            '"annotations": [{"image_id": 3, "id": 1, "bbox": [1, 2, "3", 4]}]}',
            r"`bbox` must be left, top, width and height, got",
        ),
    ],
)
def test_faulty_instances_are_named(refs, tmp_path, content, message):
    (refs / "refcoco" / "instances.json").write_text(content)
    with pytest.raises(InputError, match=message):
        run(refs, tmp_path / "out")


def test_proposals_are_cut_to_the_picture_and_counted(refs, tmp_path):
    write_lines(
        tmp_path / "boxes.jsonl",
        json.dumps(
            {
                "image": "train2014/COCO_train2014_000000000001.jpg",
                "boxes": [
                    [-5, 2, 25.5, 12.25],
                    [6, 2, 25, 12],
                    [6, 2, 25, 12],
                    [60, 1, 70, 3],
                    [0, 0, 99, 99],
                    [1, 1, 2, 2],
                ],
            }
        ),
        "",
        json.dumps({"image": "COCO_train2014_000000000002.jpg", "boxes": [[0, 0, 5, 5]]}),
    )
    run(refs, tmp_path, "--proposals", str(tmp_path / "boxes.jsonl"), "--candidates", "3")
    boxes = read_manifest(tmp_path / "train.jsonl")[0].boxes
    assert boxes == ((0, 2, 25.5, 12.25), (6, 2, 25, 12), (0, 0, 60, 40))
    found = stats(tmp_path)
    assert found["train"]["recall"] == 100 and found["train"]["candidates"] == 3
    assert found["testA"]["recall"] == 0 and found["testB"]["dropped"] == {"no_candidates": 1}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"image": "a.jpg"}',
        '{"image": "a.jpg", "boxes": [[1, 2, 3]]}',
        '{"boxes": [], "image": 3}',
        '{"image": "a.jpg", "boxes": [[1, 2, 3, NaN]]}',
        '{"image": "", "boxes": []}',
        '{"image": "a.jpg", "boxes": [], "boxes": [[1, 2, 3, 4]]}',
        '{"image": "a.jpg", "boxes": [[1, 2, 3, "x"]]}',
    ],
)
def test_faulty_proposals_are_named(tmp_path, line):
    write_lines(tmp_path / "p", '{"image": "x.jpg", "boxes": []}', line)
    with pytest.raises(InputError, match=r'p, line 2: must be \{"image": NAME, .* finite numbers, got '):
        read_proposals(tmp_path / "p")
    with pytest.raises(InputError, match="--proposals must be a file with a JSON .* got .*q, which is none"):
        read_proposals(tmp_path / "q")


@pytest.mark.parametrize(("height", "width"), [(375, 500), (64, 64), (480, 320), (3, 5), (1, 1)])
def test_windows_cover_the_picture(height, width):
    found = windows(height, width)
    assert len(found) == len(set(found)) <= 100 and found[0] == (0, 0, width, height)
    covered = np.zeros((height, width), bool)
    for left, top, right, bottom in found[1:] or found:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert all(isinstance(edge, int) for edge in (left, top, right, bottom))
        covered[top:bottom, left:right] = True
    assert covered.all()
    assert windows(height, width, 7) == found[:7]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in found]
    assert height < 20 or areas[0] / areas[-1] > 10


def test_windows_are_as_many_and_as_good_as_said():
    assert len(windows(375, 500)) == 100
    rng, truth = np.random.default_rng(0), []
    while len(truth) < 2000:
        share, shape = np.exp(rng.uniform(np.log(0.02), np.log(0.8))), np.exp(rng.normal(0, 0.5))
        wide, high = 500 * np.sqrt(share * shape), 375 * np.sqrt(share / shape)
        if wide <= 500 and high <= 375:
            left, top = rng.uniform(0, 500 - wide), rng.uniform(0, 375 - high)
            truth.append((left, top, left + wide, top + high))
    best = iou(np.array(windows(375, 500)), np.array(truth)).max(0)
    assert (best >= 0.5).mean() == pytest.approx(0.71, abs=0.02)


def test_windows_do_not_favour_a_side():
    boxes = np.array(windows(1000, 1000), float)
    turned = {tuple(box) for box in (1000 - boxes[:, [2, 3, 0, 1]]).tolist()}
    assert all(any(np.abs(np.array(a) - b).max() <= 1 for b in boxes) for a in turned)


def test_a_window_fits_at_one_half():
    assert has_match([(0, 0, 10, 10)], [(0, 0, 10, 5)]) and not has_match([(0, 0, 10, 10)], [(0, 0, 10, 4.9)])
    assert has_match([(0, 0, 1, 1), (0, 0, 10, 10)], [(50, 50, 60, 60), (0, 0, 10, 9)]) and not has_match(
        [], [(0, 0, 1, 1)]
    )
    assert clip_boxes([(-3, 2, 5, 99), (4, 4, 4, 9), (7, 7, 6, 8)], 10, 10) == [(0, 2, 5, 10)]


def test_boxes_as_texts_keep_their_numbers():
    made = proposals.grounding_fields(
        "x", [(0.1, 1 / 3, 1234567.25, 4)], [(0, 0, 1, 1)], (3, 4), {"truth": 0, "more": 1}
    )
    assert made["references"] == ("0.1 0.3333333333 1234567.25 4",)
    assert made["extra"] == {"truth": [[0.1, 1 / 3, 1234567.25, 4]], "extent": [3, 4], "more": 1}
