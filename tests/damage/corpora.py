"""Preparations of published corpora, each with a few items of the published form."""

import gzip
import json
import lzma
import pickle
import struct
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from seqkit.data.manifest import read_manifest
from seqkit.data_prep.captioning import coco, flickr8k
from seqkit.data_prep.common.raw_files import find_files
from seqkit.data_prep.grounding import referit
from seqkit.data_prep.lipreading import an4, grid_landmarks
from seqkit.data_prep.lipreading.grid_corpus import read_corpus, sentence_of
from seqkit.data_prep.lipreading.lrs import read_lists, read_text
from seqkit.data_prep.own.text_grid import read_text_grid
from seqkit.data_prep.translation import multi30k, wmt
from seqkit.data_prep.translation.lengths import Cleaning
from seqkit.data_prep.vqa import daquar, vqa2
from seqkit.recipes.lipreading.text_grid import text_grid
from seqkit.score.prediction import Word
from tests.damage.mutations import mutate, mutate_within
from tests.damage.outcomes import Reader
from tests.damage.texts import LINES, plain, within_gzip, write

WIDE, HIGH = 60, 40
NAMES = {i: f"COCO_train2014_{i:012d}.jpg" for i in (1, 2)}


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def picture(path: Path) -> None:
    Image.fromarray(np.zeros((HIGH, WIDE, 3), np.uint8)).save(path)


def prepared(prepare, *arguments: object, **others: object):
    """A preparation, and the manifests that it writes."""

    def read(folder: Path) -> object:
        out = folder.parent / f"{folder.name}.out"
        for path in out.glob("*"):
            path.unlink()
        found = prepare(folder, out, *arguments, **others)
        return found, [read_manifest(path) for path in out.glob("*.jsonl")]

    return read


def make_coco(folder: Path) -> None:
    images = [{"id": i, "file_name": name, "height": HIGH, "width": WIDE} for i, name in NAMES.items()]
    texts = [{"id": 7 + i, "image_id": 1 + i % 2, "caption": text} for i, text in enumerate(LINES[:2] * 2)]
    write(folder, captions_train2014__json=as_json({"info": {"year": 2014}, "images": images, "annotations": texts}))
    picture(folder / NAMES[1])


def make_karpathy(folder: Path) -> None:
    images = [
        {
            "imgid": i,
            "split": split,
            "filename": name,
            "sentences": [{"raw": text, "tokens": text.split()} for text in LINES],
        }
        for (i, name), split in zip(NAMES.items(), ("train", "val"), strict=True)
    ]
    write(folder, dataset_coco__json=as_json({"dataset": "coco", "images": images}))
    picture(folder / NAMES[1])


def make_flickr8k(folder: Path) -> None:
    captions = [f"{name}#{n}\t{text}" for name in ("a.jpg", "b.jpg") for n, text in enumerate(LINES)]
    write(folder, Flickr8k__token__txt=plain(*captions), Flickr_8k__trainImages__txt=plain("a.jpg", "b.jpg"))
    write(folder, Flickr_8k__devImages__txt=plain("c.jpg"))
    picture(folder / "a.jpg")


def make_vqa(folder: Path) -> None:
    questions = [{"question_id": 10 + i, "image_id": i, "question": "What is this?"} for i in NAMES]
    answers = [
        {"answer": text, "answer_confidence": "yes", "answer_id": i} for i, text in enumerate(["net", "a net"] * 2, 1)
    ]
    kinds = {"question_type": "what is", "answer_type": "other", "multiple_choice_answer": "net"}
    annotations = [{"question_id": 10 + i, "image_id": i, "answers": answers, **kinds} for i in NAMES]
    write(
        folder,
        v2_OpenEnded_mscoco_train2014_questions__json=as_json({"info": {}, "questions": questions}),
        v2_mscoco_train2014_annotations__json=as_json({"info": {}, "annotations": annotations}),
    )
    picture(folder / NAMES[1])


VQA = ["v2_OpenEnded_mscoco_train2014_questions.json", "v2_mscoco_train2014_annotations.json"]


def make_daquar(folder: Path) -> None:
    pairs = [line for n in (1, 2, 12) for line in (f"what is on the desk in the image{n} ?", "book, scissors")]
    write(folder, qa__894__raw__train__txt=plain(*pairs), qa__894__raw__test__txt=plain("how many in image7 ?", "3"))
    picture(folder / "image1.png")


def make_refer(folder: Path) -> None:
    images = [{"id": i, "file_name": name, "height": HIGH, "width": WIDE} for i, name in NAMES.items()]
    objects = [{"id": 70 + i, "image_id": i, "bbox": [5.5 * i, 2, 20, 10.25], "segmentation": [[1, 2]]} for i in NAMES]
    (folder / "refcoco").mkdir()
    (folder / "refcoco" / "instances.json").write_bytes(as_json({"images": images, "annotations": objects}))
    refs = [
        {
            "ref_id": i,
            "ann_id": 70 + i,
            "split": "train",
            "sentences": [{"sent_id": 10 + i, "sent": "the man", "raw": "x"}],
        }
        for i in NAMES
    ]
    (folder / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=0))
    (folder / "refcoco" / "refs(new).p").write_bytes(pickle.dumps(refs, protocol=4))
    picture(folder / NAMES[1])


def make_refexp(folder: Path) -> None:
    candidates = [{"bounding_box": box, "predicted_object_name": "x"} for box in ([2, 2, 20, 10], [30, 5, 99, 9.5])]
    extent = {"height": HIGH, "width": WIDE}
    content = {
        "images": {
            str(i): {"image_id": i, "file_name": n, "region_candidates": candidates, **extent} for i, n in NAMES.items()
        },
        "annotations": {
            str(70 + i): {"annotation_id": 70 + i, "image_id": i, "refexp_ids": [i], "bbox": [3, 2, 20, 10]}
            for i in NAMES
        },
        "refexps": {str(i): {"refexp_id": i, "raw": "The left bowl."} for i in NAMES},
    }
    write(folder, google_refexp_train_201511_coco_aligned__json=as_json(content))
    picture(folder / NAMES[1])


def make_published_refexp(folder: Path) -> None:
    boxes = [{"bounding_box": [2, 2, 20, 10], "predicted_object_name": "x"}]
    images = [{"id": i, "file_name": n, "height": HIGH, "width": WIDE} for i, n in NAMES.items()]
    objects = [{"id": 70 + i, "image_id": i, "bbox": [5.5 * i, 2, 20, 10.25]} for i in NAMES]
    entries = [{"annotation_id": 70 + i, "image_id": i, "refexp_ids": [i], "region_candidates": boxes} for i in NAMES]
    texts = [{"refexp_id": i, "raw": "a bowl", "tokens": ["a", "bowl"]} for i in NAMES]
    write(folder, google_refexp_train_201511__json=as_json({"annotations": entries, "refexps": texts}))
    write(folder, instances_train2014__json=as_json({"images": images, "annotations": objects}))
    picture(folder / NAMES[1])


def make_entities(folder: Path) -> None:
    (folder / "Sentences").mkdir()
    (folder / "Annotations").mkdir()
    texts = (
        "[/EN#1/people Two men] and [/EN#2/clothing/other a red  hat] .",
        "[/EN#0/notvisual It] is [/EN#1/people men] .",
    )
    (folder / "Sentences" / "11.txt").write_bytes(plain(*texts))
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>40</ymax></bndbox>"
    things = "".join(f"<object><name>{chain}</name>{box}</object>" for chain in (1, 2))
    size = f"<size><width>{WIDE}</width><height>{HIGH}</height><depth>3</depth></size>"
    (folder / "Annotations" / "11.xml").write_text(
        f"<annotation><filename>11.jpg</filename>{size}{things}</annotation>"
    )
    write(folder, train__txt=plain("11"))
    picture(folder / "11.jpg")


def make_an4(folder: Path) -> None:
    places = [f"an4_clstk/{who}/an{n}-{who}-b" for n, who in enumerate(["fash", "fbbh", "mblw"])]
    write(folder, an4_train__fileids=plain(*places))
    write(
        folder,
        an4_train__transcription=plain(*(f"<s> GO {n} </s> ({p.rpartition('/')[2]})" for n, p in enumerate(places))),
    )
    for place in places:
        path = folder / f"{place}.mfc"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(0).normal(size=(6, 13)).astype(">f4")
        path.write_bytes(struct.pack(">i", values.size) + values.tobytes())


AN4 = ["an4_train.fileids", "an4_train.transcription", "an4_clstk/fash/an0-fash-b.mfc"]


def make_text_grid(folder: Path) -> None:
    words = [Word("the", 0.1, 0.4), Word("cat", 0.5, 0.9)]
    (folder / "a.TextGrid").write_text(text_grid(words, 1.5), encoding="utf-8")


def make_grid(folder: Path) -> None:
    for name in ("bbaf2n", "lgwzzp"):
        words = ["sil", *sentence_of(name).split(), "sil"]
        write(
            folder,
            **{f"{name}__align": plain(*(f"{1000 * n} {1000 * n + 1000} {word}" for n, word in enumerate(words)))},
        )
        write(folder, **{f"{name}__mpg": b"x"})


def make_landmarks(folder: Path) -> None:
    label = {"bin": 4, "blue": 8, "at": 12, "f": 35, "two": 18, "now": 27}
    labels = [label[word] for word in sentence_of("bbaf2n").split()] * 2
    lengths = np.array([2, 3, 1, 2, 4, 5] * 2, np.uint16)
    points = np.random.default_rng(0).integers(-40, 60, (18, int(lengths.sum()))).astype(np.int16)
    with (folder / "landmarks.npz").open("wb") as file:
        np.savez(
            file,
            ids=np.array(["s1/bbaf2n", "s34/bbaf2n"]),
            n_words=np.array([6, 6], np.uint8),
            word_len=lengths,
            word_label=np.array(labels, np.uint8),
            delta16_T=points,
        )


def make_packed_landmarks(folder: Path) -> None:
    make_landmarks(folder)
    (folder / "landmarks.npz.xz").write_bytes(lzma.compress((folder / "landmarks.npz").read_bytes(), preset=0))
    (folder / "landmarks.npz").unlink()


def within_xz(content: bytes, rng: Random) -> bytes:
    change = mutate_within if rng.randrange(2) else mutate
    return lzma.compress(change(lzma.decompress(content), rng), preset=0)


def make_lrs(folder: Path) -> None:
    table = ["WORD START END ASDSCORE", "HELLO 0.10 0.45 8.2", "WORLD 0.5 0.9 7.1"]
    write(
        folder, text__txt=plain("Text:  HELLO WORLD", "Conf:  4", *table), train__txt=plain("55/00001", "66/00002 NF")
    )


def make_multi30k(folder: Path) -> None:
    write(folder, train__en=plain(*LINES), train__de=plain(*LINES[::-1]))
    for language in ("en", "de"):
        (folder / f"val.{language}.gz").write_bytes(gzip.compress(plain(*LINES[:2])))


def make_wmt(folder: Path) -> None:
    for language, kind in (("en", "src"), ("de", "ref")):
        segments = [f'<seg id="{n}"> {text} &amp; more </seg>' for n, text in enumerate(LINES, 1)]
        lines = (
            f'<{kind}set setid="t" srclang="any">',
            '<doc docid="7" genre="news">',
            *segments,
            "</doc>",
            f"</{kind}set>",
        )
        write(folder, **{f"test-{kind}__{language}__sgm": plain(*lines)})
        write(
            folder,
            **{f"train__tags__de-en__{language}": plain("<url>http://x</url>", "<talkid>1</talkid>", *LINES[:2])},
        )


def make_wmt_xml(folder: Path) -> None:
    parts = "".join(
        f'<{tag} lang="{language}" translator="A"><p><seg id="1">{text}</seg><seg id="2">more</seg></p></{tag}>'
        for tag, language, text in (("src", "en", LINES[0]), ("ref", "de", LINES[1]))
    )
    write(folder, set2021__xml=f'<dataset id="set2021">\n<doc origlang="en" id="a">{parts}</doc>\n</dataset>'.encode())


def read_wmt_xml(folder: Path, out: Path) -> object:
    return wmt.prepare(folder, out, "en", "de", {"test": ["set2021"]}, Cleaning(100, 3.0))


def read_wmt(folder: Path, out: Path) -> object:
    return wmt.prepare(folder, out, "en", "de", {"train": ["train.tags.de-en"], "test": ["test"]}, Cleaning(100, 3.0))


READERS = [
    Reader("COCO", make_coco, prepared(coco.prepare), ["captions_train2014.json"]),
    Reader("Karpathy's splits", make_karpathy, prepared(coco.prepare), ["dataset_coco.json"]),
    Reader("Flickr8k", make_flickr8k, prepared(flickr8k.prepare), ["Flickr8k.token.txt", "Flickr_8k.trainImages.txt"]),
    Reader("VQA", make_vqa, prepared(vqa2.prepare), VQA),
    Reader("DAQUAR", make_daquar, prepared(daquar.prepare), ["qa.894.raw.train.txt", "qa.894.raw.test.txt"]),
    Reader(
        "refer",
        make_refer,
        prepared(referit.prepare, corpus="refcoco/unc"),
        ["refcoco/refs(unc).p", "refcoco/instances.json"],
    ),
    Reader("refer, newer pickle", make_refer, prepared(referit.prepare, corpus="refcoco/new"), ["refcoco/refs(new).p"]),
    Reader(
        "RefCOCOg, aligned", make_refexp, prepared(referit.prepare), ["google_refexp_train_201511_coco_aligned.json"]
    ),
    Reader(
        "RefCOCOg",
        make_published_refexp,
        prepared(referit.prepare),
        ["google_refexp_train_201511.json", "instances_train2014.json"],
    ),
    Reader(
        "Flickr30k Entities",
        make_entities,
        prepared(referit.prepare),
        ["Annotations/11.xml", "Sentences/11.txt", "train.txt"],
    ),
    Reader("AN4", make_an4, prepared(an4.prepare), AN4),
    Reader("TextGrid", make_text_grid, lambda folder: read_text_grid(folder / "a.TextGrid"), ["a.TextGrid"]),
    Reader("GRID's alignments", make_grid, lambda folder: read_corpus(folder).clips, ["bbaf2n.align"]),
    Reader("GRID's landmarks", make_landmarks, prepared(grid_landmarks.prepare), ["landmarks.npz"], mutate_within),
    Reader(
        "GRID's landmarks, packed",
        make_packed_landmarks,
        prepared(grid_landmarks.prepare),
        ["landmarks.npz.xz"],
        within_xz,
    ),
    Reader(
        "LRS",
        make_lrs,
        lambda folder: (read_text(folder / "text.txt"), read_lists(find_files(folder))),
        ["text.txt", "train.txt"],
    ),
    Reader("Multi30k", make_multi30k, prepared(multi30k.prepare, "en", "de"), ["train.en", "train.de"]),
    Reader("Multi30k, packed", make_multi30k, prepared(multi30k.prepare, "en", "de"), ["val.en.gz"], within_gzip),
    Reader("WMT's XML", make_wmt_xml, prepared(read_wmt_xml), ["set2021.xml"]),
    Reader("WMT and IWSLT", make_wmt, prepared(read_wmt), ["test-src.en.sgm", "train.tags.de-en.de"]),
]
