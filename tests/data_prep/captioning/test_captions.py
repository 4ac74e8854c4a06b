"""Pictures with captions to manifests: golden manifests from corpora made here, every fault counted and named."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.cli import main
from seqkit.data.check import check
from seqkit.data.image import read_image
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.captioning import coco, flickr8k
from seqkit.data_prep.common import image_check, jobs
from seqkit.data_prep.common.image_check import DecodeCheck, check_decode
from seqkit.data_prep.common.raw_files import find_files, find_image
from seqkit.errors import InputError
from tests.raw_files import run, stats, write_json, write_lines


def picture(path: Path, mode: str = "RGB", seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path, **({"quality": 60} if path.suffix == ".jpg" else {}))
    return path


def cut(path: Path, keep: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    return path


TOKENS = [
    "a.jpg#0\tA dog runs .",
    "a.jpg#1\t  Two  spaces, and an é . ",
    "a.jpg#2\tdog",
    "b.jpg#0\tA cat .",
    "c.jpg#0\tA bird .",
    "c.jpg#1\t ",
    "d.jpg.1#0\tA fish .",
    "e.jpg#0\tA horse .",
    "f.jpg#0\tA cow .",
    "g.jpg#0\tA hen .",
    "i.jpg#0\t",
    "j.jpg#0\tIn no list .",
]


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    write_lines(folder / "text" / "Flickr8k.token.txt", *TOKENS)
    write_lines(folder / "text" / "__MACOSX" / "._Flickr8k.token.txt", "not text of ours")
    write_lines(folder / "Flickr_8k.trainImages.txt", *(f"{name}.jpg" for name in "cabdefghi"))
    picture(folder / "one" / "a.jpg", seed=1)
    picture(folder / "two" / "deep" / "b.jpg", "L")
    picture(folder / "two" / "c.jpg", "CMYK")
    picture(folder / "two" / "d.jpg")
    cut(picture(folder / "two" / "e.jpg"), 0.6)
    (folder / "two" / "f.jpg").write_bytes(b"")
    (folder / "two" / "g.jpg").write_text("no picture at all, although it is long enough to be one")
    picture(folder / "two" / "i.jpg")
    picture(folder / "two" / "j.jpg")
    return folder


def test_flickr8k_golden(raw, tmp_path, capsys):
    run(flickr8k, raw, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["raw", "stats.json", "train.jsonl"]
    assert (tmp_path / "train.jsonl").read_text(encoding="utf-8").split("\n") == [
        '{"id": "c", "image": "raw/two/c.jpg", "references": ["A bird ."]}',
        '{"id": "a", "image": "raw/one/a.jpg", "references": ["A dog runs .", "  Two  spaces, and an é . ", "dog"]}',
        '{"id": "b", "image": "raw/two/deep/b.jpg", "references": ["A cat ."]}',
        '{"id": "d", "image": "raw/two/d.jpg", "references": ["A fish ."]}',
        "",
    ]
    found = stats(tmp_path)
    assert found["train"].pop("reasons") == {name: reason(raw / "two" / name) for name in ("e.jpg", "g.jpg")}
    assert found == {
        "train": {
            "images": 9,
            "items": 4,
            "references": 6,
            "dropped": {"missing": 1, "no_caption": 1, "truncated": 1, "empty": 1, "unreadable": 1},
            "not_rgb": {"CMYK": 1, "L": 1},
            "empty_captions": 2,
            "named": {
                "missing": ["h.jpg"],
                "no_caption": ["i.jpg"],
                "truncated": ["e.jpg"],
                "empty": ["f.jpg"],
                "unreadable": ["g.jpg"],
                "CMYK": ["c.jpg"],
                "L": ["b.jpg"],
                "empty_captions": ["c.jpg", "i.jpg"],
            },
            "files": ["Flickr8k.token.txt", "Flickr_8k.trainImages.txt"],
        },
        "unlisted": {"images": 1, "left_out": "in none of the lists", "named": {"unlisted": ["j.jpg"]}},
    }
    assert "train images=9 items=4 references=6 dropped={" in capsys.readouterr().out
    assert not any(finding.problem for finding in check(tmp_path)[1])


def reason(path: Path) -> str:
    """What the reader says of a picture, without its path."""
    with pytest.raises(InputError, match=": must be a .*picture") as caught:
        read_image(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_flickr8k_takes_every_list_that_is_there(raw, tmp_path):
    write_lines(raw / "Flickr_8k.trainImages.txt", " a.jpg ", "", "  ")
    write_lines(raw / "more" / "Flickr_8k.devImages.txt", "b.jpg\r")
    write_lines(raw / "Flickr_8k.testImages.txt", "j.jpg", "d.jpg")
    run(flickr8k, raw, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["stats.json", "test.jsonl", "train.jsonl", "val.jsonl"]
    splits = {split: [i.id for i in read_manifest(tmp_path / "out" / f"{split}.jsonl")] for split in ("val", "test")}
    assert splits == {"val": ["b"], "test": ["j", "d"]}
    assert Path(read_manifest(tmp_path / "out" / "test.jsonl")[0].image).samefile(raw / "two" / "j.jpg")


def test_a_split_of_which_no_picture_is_there_is_counted_and_has_no_manifest(raw, tmp_path):
    write_lines(raw / "Flickr_8k.testImages.txt", "x.jpg")
    run(flickr8k, raw, tmp_path / "out")
    assert not (tmp_path / "out" / "test.jsonl").exists()
    assert stats(tmp_path / "out")["test"]["named"] == {"missing": ["x.jpg"]}


def test_the_order_of_the_lines_of_captions_does_not_matter(raw, tmp_path):
    run(flickr8k, raw, tmp_path)
    before = (tmp_path / "train.jsonl").read_bytes()
    write_lines(raw / "text" / "Flickr8k.token.txt", *reversed(TOKENS))
    run(flickr8k, raw, tmp_path)
    assert (tmp_path / "train.jsonl").read_bytes() == before


def test_captions_are_in_the_order_of_their_numbers(tmp_path):
    write_lines(tmp_path / "t", *(f"a.jpg#{number}\t{number}" for number in (10, 2, 0, 9)))
    assert flickr8k.read_captions(tmp_path / "t") == {"a.jpg": ("0", "2", "9", "10")}


def test_one_split_of_all_takes_no_list(raw, tmp_path):
    run(flickr8k, raw, tmp_path / "out", "--split", "mine")
    assert [item.id for item in read_manifest(tmp_path / "out" / "mine.jsonl")] == ["a", "b", "c", "d", "j"]
    assert list(stats(tmp_path / "out")) == ["mine"]
    assert stats(tmp_path / "out")["mine"]["files"] == ["Flickr8k.token.txt"]


def test_holding_out_parts_the_training_list_the_same_way_for_everybody(raw, tmp_path):
    names = [f"{letter}.jpg" for letter in "abcdj"]
    write_lines(raw / "Flickr_8k.devImages.txt", "b.jpg")
    seen = []
    for order in (names, names[::-1]):
        write_lines(raw / "Flickr_8k.trainImages.txt", *(name for name in order if name != "b.jpg"))
        run(flickr8k, raw, tmp_path / "out", "--val_size", "3")
        parts = {s: [i.id for i in read_manifest(tmp_path / "out" / f"{s}.jsonl")] for s in ("train", "val", "dev")}
        assert parts["dev"] == ["b"] and len(parts["val"]) == 3
        assert sorted(parts["train"] + parts["val"]) == ["a", "c", "d", "j"]
        assert parts["val"] == [name[0] for name in order if name[0] in parts["val"]]
        seen.append(set(parts["val"]))
    assert seen[0] == seen[1]


def test_faulty_flickr8k_is_named(raw, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="nowhere: must be a folder that holds the published files, got no folder"):
        run(flickr8k, tmp_path / "nowhere", out)
    with pytest.raises(InputError, match="--workers must be at least 1, got 0"):
        flickr8k.main(["--raw", str(raw), "--out", str(out), "--workers", "0"])
    with pytest.raises(InputError, match="--val_size must be given without --split, which makes one split of all"):
        run(flickr8k, raw, out, "--val_size", "1", "--split", "x")
    for number in ("9", "-1"):
        with pytest.raises(
            InputError, match=f"--val_size must be a share below 1 or a whole .* training images, 9, got {number}"
        ):
            run(flickr8k, raw, out, "--val_size", number)
    write_lines(raw / "Flickr_8k.testImages.txt", "b.jpg")
    message = "differ in their names.*got b.jpg .*trainImages.txt, line 3. and b.jpg .*testImages.txt, line 1.; re"
    with pytest.raises(InputError, match=message):
        run(flickr8k, raw, out)
    for name in ("testImages", "trainImages"):
        (raw / f"Flickr_8k.{name}.txt").unlink()
    with pytest.raises(InputError, match=r"raw: must hold one of Flickr_8k.trainImages.txt.*got none; or give --split"):
        run(flickr8k, raw, out)
    write_lines(raw / "text" / "Flickr8k.token.txt", "a.jpg#0\tfine", " ", "a.jpg 1 A dog .")
    with pytest.raises(InputError, match=r"token.txt, line 3: must be image.jpg#number, a tab .*'a.jpg 1 A dog .'"):
        run(flickr8k, raw, out, "--split", "x")
    (raw / "text" / "Flickr8k.token.txt").unlink()
    with pytest.raises(InputError, match=r"raw: must hold Flickr8k.token.txt, the captions.*unpack Flickr8k_text.zip"):
        run(flickr8k, raw, out)
    assert not out.exists()


def test_a_published_file_found_twice_must_be_the_same(raw, tmp_path):
    write_lines(raw / "zz" / "Flickr8k.token.txt", *TOKENS)
    run(flickr8k, raw, tmp_path / "out")
    write_lines(raw / "zz" / "Flickr8k.token.txt", *TOKENS[:-1])
    with pytest.raises(InputError, match=r"zz/Flickr8k.token.txt: must be as .*text/Flickr8k.token.txt.*keep one"):
        run(flickr8k, raw, tmp_path / "out")


def test_no_picture_at_all_is_an_error(tmp_path):
    write_lines(tmp_path / "Flickr8k.token.txt", *TOKENS)
    with pytest.raises(InputError, match=r"token.txt: must name readable images under --raw, got none; dropped: x "):
        run(flickr8k, tmp_path, tmp_path / "out", "--split", "x")
    assert not (tmp_path / "out").exists()


def test_flickr8k_as_published(real_data, tmp_path, monkeypatch):
    """Every caption byte for byte; pictures are not decoded here, for the time it takes."""
    monkeypatch.setattr(image_check, "check_decode", lambda path: DecodeCheck())
    run(flickr8k, real_data / "flickr8k", tmp_path)
    items = {i.image.name: i for split in ("train", "val") for i in read_manifest(tmp_path / f"{split}.jsonl")}
    lines = [f"{name}#{n}\t{text}\n" for name, item in items.items() for n, text in enumerate(item.references)]
    expected = (real_data / "flickr8k" / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    assert sorted(lines) == sorted(expected)
    counts = {split: (values["items"], values["references"]) for split, values in stats(tmp_path).items()}
    assert counts == {"train": (6000, 30000), "val": (1000, 5000)}


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "webp"])
def test_a_picture_is_kept_exactly_when_training_can_read_it(tmp_path, ending):
    whole = picture(tmp_path / f"x.{ending}")
    assert check_decode(whole).fault == ""
    for keep in (0.01, 0.1, 0.5, 0.9, 0.99):
        path = cut(picture(tmp_path / f"{keep}.{ending}"), keep)
        try:
            read_image(path)
        except InputError:
            assert check_decode(path).fault in ("truncated", "unreadable")
        else:
            assert check_decode(path).fault == ""
    assert ending == "webp" or check_decode(cut(picture(tmp_path / f"half.{ending}"), 0.5)).fault == "truncated"


@pytest.mark.parametrize(
    ("mode", "ending"), [("L", "png"), ("P", "gif"), ("RGBA", "png"), ("1", "png"), ("CMYK", "jpg")]
)
def test_modes_are_those_of_the_file(tmp_path, mode, ending):
    assert check_decode(picture(tmp_path / f"x.{ending}", mode)) == DecodeCheck(mode=mode)


def test_a_link_that_leads_nowhere_is_a_missing_picture(tmp_path):
    (tmp_path / "x.jpg").symlink_to(tmp_path / "gone.jpg")
    assert check_decode(tmp_path / "x.jpg") == DecodeCheck("missing")


def test_several_processes_find_what_one_finds(raw, tmp_path, monkeypatch):
    run(flickr8k, raw, tmp_path)
    before = (tmp_path / "train.jsonl").read_bytes(), stats(tmp_path)
    monkeypatch.setattr(image_check, "CHUNK_SIZE", 2)
    pool, started = jobs.ThreadPoolExecutor, []
    monkeypatch.setattr(jobs, "ThreadPoolExecutor", lambda n, *rest: started.append(n) or pool(n, *rest))
    flickr8k.main(["--raw", str(raw), "--out", str(tmp_path), "--workers", "2"])
    assert ((tmp_path / "train.jsonl").read_bytes(), stats(tmp_path)) == before and started == [2]


def test_links_to_folders_are_followed_once(tmp_path):
    picture(tmp_path / "store" / "a.jpg")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "loop").symlink_to(tmp_path / "raw")
    assert find_files(tmp_path / "raw") == {"a.jpg": [tmp_path / "raw" / "link" / "a.jpg"]}


def test_the_places_of_a_file_are_in_the_order_of_their_names(tmp_path):
    paths = [picture(tmp_path / folder / "a.jpg") for folder in "hcfabgdejli"]
    assert find_files(tmp_path)["a.jpg"] == sorted(paths)


def test_of_several_pictures_with_a_name_the_one_in_the_published_folder_is_taken(tmp_path):
    paths = [tmp_path / folder / "a.jpg" for folder in ("small", "val2014", "x")]
    assert find_image({"a.jpg": paths}, "val2014/a.jpg") == paths[1]
    assert find_image({"a.jpg": paths}, "other/a.jpg") == find_image({"a.jpg": paths}, "a.jpg") == paths[0]
    assert find_image({"a.jpg": paths}, "b.jpg") is None


def coco_json(*pictures: tuple[int, str, list[str]]) -> dict:
    """COCO's form, the captions of all pictures interleaved as published files have them."""
    rounds = [(number, texts[i]) for i in range(5) for number, _, texts in pictures if i < len(texts)]
    return {
        "info": {"year": 2014},
        "images": [{"id": number, "file_name": name, "height": 40, "width": 56} for number, name, _ in pictures],
        "annotations": [{"id": i, "image_id": number, "caption": text} for i, (number, text) in enumerate(rounds)],
    }


def karpathy_json(*pictures: tuple[str, str, str, list[str]]) -> dict:
    return {
        "dataset": "coco",
        "images": [
            {
                "imgid": i,
                "split": split,
                "filename": name,
                **({"filepath": folder} if folder else {}),
                "sentences": [{"raw": text, "tokens": text.split()} for text in texts],
            }
            for i, (split, folder, name, texts) in enumerate(pictures)
        ],
    }


@pytest.fixture
def coco_raw(tmp_path):
    folder = tmp_path / "raw"
    for name in ("COCO_train2014_000000000007.jpg", "COCO_train2014_000000000003.jpg"):
        picture(folder / "train2014" / name)
    picture(folder / "val2014" / "COCO_val2014_000000000005.jpg", "L")
    write_json(
        folder / "annotations" / "captions_train2014.json",
        coco_json(
            (7, "COCO_train2014_000000000007.jpg", ["A dog. ", "two\n", " "]),
            (3, "COCO_train2014_000000000003.jpg", ["A cat"]),
            (4, "COCO_train2014_000000000004.jpg", ["Not here"]),
        ),
    )
    write_json(
        folder / "annotations" / "captions_val2014.json",
        coco_json((5, "COCO_val2014_000000000005.jpg", ["A grey one."])),
    )
    write_json(folder / "annotations" / "instances_val2014.json", {"images": []})
    return folder


def test_coco_golden(coco_raw, tmp_path):
    run(coco, coco_raw, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["raw", "stats.json", "train.jsonl", "val.jsonl"]
    assert (tmp_path / "train.jsonl").read_text().split("\n") == [
        '{"id": "COCO_train2014_000000000007", "image": "raw/train2014/COCO_train2014_000000000007.jpg", '
        '"references": ["A dog. ", "two\\n"]}',
        '{"id": "COCO_train2014_000000000003", "image": "raw/train2014/COCO_train2014_000000000003.jpg", '
        '"references": ["A cat"]}',
        "",
    ]
    found = stats(tmp_path)
    assert found["train"]["named"] == {
        "missing": ["COCO_train2014_000000000004.jpg"],
        "empty_captions": ["COCO_train2014_000000000007.jpg"],
    }
    assert found["val"]["not_rgb"] == {"L": 1} and set(found) == {"train", "val"}
    assert found["val"]["files"] == ["captions_train2014.json", "captions_val2014.json"]


def test_karpathy_golden(tmp_path):
    for place in ("val2014/a.jpg", "val2014/b.jpg", "small/a.jpg", "train2014/c.jpg", "val2014/d.jpg"):
        picture(tmp_path / "raw" / place)
    write_json(
        tmp_path / "raw" / "dataset_coco.json",
        karpathy_json(
            ("test", "val2014", "a.jpg", [" A dog. ", "B"]),
            ("restval", "val2014", "b.jpg", ["C"]),
            ("train", "train2014", "c.jpg", ["D"]),
            ("val", "", "d.jpg", ["E"]),
        ),
    )
    run(coco, tmp_path / "raw", tmp_path)
    manifests = {split: (tmp_path / f"{split}.jsonl").read_text() for split in ("train", "val", "test")}
    assert manifests == {
        "train": '{"id": "b", "image": "raw/val2014/b.jpg", "references": ["C"]}\n'
        '{"id": "c", "image": "raw/train2014/c.jpg", "references": ["D"]}\n',
        "val": '{"id": "d", "image": "raw/val2014/d.jpg", "references": ["E"]}\n',
        "test": '{"id": "a", "image": "raw/val2014/a.jpg", "references": [" A dog. ", "B"]}\n',
    }


def test_pictures_of_2017_serve_for_those_of_2014_that_are_not_there(coco_raw, tmp_path):
    picture(coco_raw / "val2017" / "000000000004.jpg")
    other = picture(coco_raw / "val2017" / "000000000003.jpg")
    run(coco, coco_raw, tmp_path / "out")
    items = {item.id: item for item in read_manifest(tmp_path / "out" / "train.jsonl")}
    assert items["COCO_train2014_000000000004"].image.name == "000000000004.jpg"
    assert items["COCO_train2014_000000000003"].image != other and len(items) == 3


def test_of_several_publications_one_is_chosen(coco_raw, tmp_path):
    write_json(coco_raw / "captions_val2017.json", coco_json((3, "COCO_train2014_000000000003.jpg", ["Of 2017"])))
    write_json(
        coco_raw / "dataset_flickr30k.json",
        karpathy_json(("test", "", "COCO_train2014_000000000003.jpg", ["From Karpathy"])),
    )
    out = tmp_path / "out"
    with pytest.raises(InputError, match="--captions must be one of 2014, 2017, dataset_flickr30k, which .* got none"):
        run(coco, coco_raw, out)
    with pytest.raises(InputError, match="--captions must be one of 2014, .*, got dataset_coco"):
        run(coco, coco_raw, out, "--captions", "dataset_coco")
    for name, split, text in (
        ("2014", "train", "A dog. "),
        ("2017", "val", "Of 2017"),
        ("dataset_flickr30k", "test", "From Karpathy"),
    ):
        run(coco, coco_raw, tmp_path / name, "--captions", name)
        assert read_manifest(tmp_path / name / f"{split}.jsonl")[0].references[0] == text
        assert sorted(os.listdir(tmp_path / name))[-1] == ("val.jsonl" if name != "dataset_flickr30k" else "test.jsonl")


def test_coco_and_karpathy_into_one_split(coco_raw, tmp_path):
    run(coco, coco_raw, tmp_path / "out", "--split", "all")
    assert [item.id[-1] for item in read_manifest(tmp_path / "out" / "all.jsonl")] == ["7", "3", "5"]
    assert sorted(os.listdir(tmp_path / "out")) == ["all.jsonl", "stats.json"]
    for year in ("train2014", "val2014"):
        (coco_raw / "annotations" / f"captions_{year}.json").unlink()
    with pytest.raises(InputError, match=r"raw: must hold captions_train2014.json.*got none of them; unpack"):
        run(coco, coco_raw, tmp_path / "out")
    write_json(
        coco_raw / "dataset_coco.json",
        karpathy_json(
            ("test", "val2014", "COCO_val2014_000000000005.jpg", ["A"]),
            ("train", "train2014", "COCO_train2014_000000000003.jpg", ["B"]),
        ),
    )
    run(coco, coco_raw, tmp_path / "out", "--split", "all")
    assert [item.id[-1] for item in read_manifest(tmp_path / "out" / "all.jsonl")] == ["5", "3"]


COCO_FAULTS = [
    ("[", r"captions_val2014.json: must be whole JSON, got a fault: Expecting value.*; unpack or download it again"),
    ("[]", r"captions_val2014.json: `images` must be of type list, got null"),
    ('{"images": {}}', r"`images` must be of type list, got \{\}"),
    ('{"images": []}', r"captions_val2014.json: `annotations` must be of type list, got null"),
    ('{"images": [{"id": 1}]}', r"images\[0\]: `file_name` must be of type str, got null"),
    ('{"images": [{"id": "1", "file_name": "a"}]}', r'images\[0\]: `id` must be of type int, got "1"'),
    ('{"images": [], "annotations": [3]}', r"annotations\[0\]: `image_id` must be of type int, got null"),
    ('{"images": [], "annotations": [{"image_id": 9}]}', r"annotations\[0\]: `image_id` must be the `id` of.*got 9"),
    (
        '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "caption": 5}]}',
        r"json, annotations\[0\]: `caption` must be of type str, got 5",
    ),
]
KARPATHY_FAULTS = [
    ('{"images": [{"filename": "a"}]}', r"dataset_coco.json, images\[0\]: `split` must be of type str, got null"),
    ('{"images": [{"split": "dev"}]}', r"images\[0\]: `split` must be one of train, restval, val, test, got 'dev'"),
    ('{"images": [{"split": "val"}]}', r"images\[0\]: `filename` must be of type str, got null"),
    ('{"images": [{"split": "val", "filename": "a"}]}', r"images\[0\]: `sentences` must be of type list, got null"),
    ('{"images": [{"split": "val", "filename": "a", "filepath": 1}]}', r"`filepath` must be of type str, got 1"),
    (
        '{"images": [{"split": "val", "filename": "a", "sentences": [{}]}]}',
        r"images\[0\], sentences\[0\]: `raw` must be of type str, got null",
    ),
]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        *(("captions_val2014", *fault) for fault in COCO_FAULTS),
        *(("dataset_coco", *fault) for fault in KARPATHY_FAULTS),
    ],
)
def test_faulty_json_is_named(tmp_path, name, content, message):
    (tmp_path / f"{name}.json").write_text(content)
    with pytest.raises(InputError, match=message):
        run(coco, tmp_path, tmp_path / "out")


def test_parts_of_all_splits_are_merged_to_what_one_process_writes(coco_raw, tmp_path, monkeypatch):
    monkeypatch.setattr(image_check, "CHUNK_SIZE", 1)
    run(coco, coco_raw, tmp_path / "one")
    command = ["prepare", "coco", "--raw", str(coco_raw), "--out", str(tmp_path / "two"), "--workers", "1"]
    for number in (2, 1):
        assert main([*command, "--shard", f"{number}/2", "--parts", str(tmp_path / "parts")]) == 0
    assert not (tmp_path / "two").exists()
    checked = []
    monkeypatch.setattr(image_check, "map_jobs", lambda *given, **others: checked.append(given))
    assert main(["merge", str(tmp_path / "parts")]) == 0
    assert checked == []
    written = [{path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "two")]
    assert written[0] == written[1] and {"train.jsonl", "val.jsonl", "stats.json"} <= written[0].keys()
