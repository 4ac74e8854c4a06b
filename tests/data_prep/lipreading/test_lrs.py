"""LRS2 and LRS3 from made-up folders with drawn talkers: splits, texts with and without times, faults counted."""

import json
import os
import shutil
from pathlib import Path

import pytest

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.lipreading import lrs
from seqkit.data_prep.lipreading.lrs import read_text
from seqkit.errors import InputError
from tests.drawn_faces import clicks, talking, write_video

FRAMES = 8


@pytest.fixture(scope="module")
def talker(tmp_path_factory) -> bytes:
    path = write_video(tmp_path_factory.mktemp("drawn") / "talker.mp4", talking(FRAMES), clicks(0.3, [0.1]))
    return path.read_bytes()


def clip(raw: Path, talker: bytes, place: str, text: str = "HELLO WORLD", table: str = "") -> None:
    path = raw / f"{place}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(talker)
    path.with_suffix(".txt").write_text(f"Text:  {text}\nConf:  4\n{table}")


def run(raw: Path, out: Path, *argv: str) -> dict:
    lrs.main(["--raw", str(raw), "--out", str(out), "--workers", "1", *argv])
    return json.loads((out / "stats.json").read_text())


def ids(out: Path, split: str) -> list[str]:
    return [item.id for item in read_manifest(out / f"{split}.jsonl")]


def test_lrs2(tmp_path, talker, capsys):
    raw = tmp_path / "raw" / "mvlrs_v1"
    for place in ("main/55/00001", "main/55/00002", "main/66/00001", "main/77/00001", "main/88/00009"):
        clip(raw, talker, place)
    table = "\nWORD START END ASDSCORE\nHELLO 0.04 0.12 7.1\nWORLD 0.15 0.9 3.3\n"
    clip(raw, talker, "pretrain/55/00001", table=table)
    clip(raw, talker, "pretrain/77/00001")
    (raw / "train.txt").write_text("55/00001\n55/00002\n")
    (raw / "val.txt").write_text("66/00001\n")
    (raw / "test.txt").write_text("77/00001 NF\n\n")
    found = run(tmp_path / "raw", tmp_path)
    assert ids(tmp_path, "train") == ["main_55_00001", "main_55_00002"] and ids(tmp_path, "val") == ["main_66_00001"]
    assert ids(tmp_path, "test") == ["main_77_00001"]
    assert json.loads((tmp_path / "pretrain.jsonl").read_text()) == {
        "id": "pretrain_55_00001",
        "video": "mouths/pretrain/55/00001.mp4",
        "audio": "mouths/pretrain/55/00001.wav",
        "references": ["HELLO WORLD"],
        "seconds": 0.32,
        "speaker": "55",
        "words": [["HELLO", 0.04, 0.12], ["WORLD", 0.15, 0.32]],
    }
    assert found["unlisted"] == {
        "videos": 2,
        "left_out": "in none of the lists, or of an ID of val or test",
        "named": {"unlisted": ["main_88_00009", "pretrain_77_00001"]},
    }
    assert found["train"] == {
        "videos": 2,
        "items": 2,
        "seconds": 0.64,
        "without_sound": 0,
        "talks": 1,
        "dropped": {},
        "named": {},
        "reasons": {},
    }
    assert "train videos=2 items=2" in capsys.readouterr().out
    assert not any(finding.problem for finding in check(tmp_path)[1])


def test_lrs3(tmp_path, talker):
    raw = tmp_path / "raw"
    talks = [f"talk{n}" for n in range(8)]
    held = [talk for talk in talks if lrs.hash_share(talk) < 0.4]
    assert 0 < len(held) < 8
    for talk in talks:
        clip(raw, talker, f"trainval/{talk}/50001")
    clip(raw, talker, f"pretrain/{held[0]}/00001")
    clip(raw, talker, "pretrain/other/00001")
    clip(raw, talker, "test/quiz/00001")
    run(raw, tmp_path, "--val_size", "0.4")
    assert ids(tmp_path, "val") == [f"trainval_{talk}_50001" for talk in held]
    assert ids(tmp_path, "train") == [f"trainval_{talk}_50001" for talk in talks if talk not in held]
    assert ids(tmp_path, "pretrain") == ["pretrain_other_00001"] and ids(tmp_path, "test") == ["test_quiz_00001"]


def test_the_hash_is_even():
    assert abs(sum(lrs.hash_share(f"talk{n}") for n in range(2000)) / 2000 - 0.5) < 0.03
    assert all(0 <= lrs.hash_share(f"talk{n}") < 1 for n in range(100))


def test_faults_are_counted_and_named(tmp_path, talker):
    raw = tmp_path / "raw"
    for number in range(1, 5):
        clip(raw, talker, f"test/a/0000{number}")
    (raw / "test" / "a" / "00002.txt").unlink()
    (raw / "test" / "a" / "00003.mp4").write_bytes(b"no video")
    (raw / "test" / "a" / "00004.txt").write_text("Conf: 3\n")
    (raw / "test" / "a" / "notes.mp4").write_bytes(b"not a number")
    (raw / "test" / "00005.mp4").write_bytes(b"in no folder of an ID")
    found = run(raw, tmp_path, "--split", "mine")["mine"]
    assert ids(tmp_path, "mine") == ["test_a_00001"]
    assert found["dropped"] == {"no_text": 2, "unreadable": 1}
    assert found["named"] == {"no_text": ["test_a_00002", "test_a_00004"], "unreadable": ["test_a_00003"]}
    assert set(found["reasons"]) == {"test_a_00002", "test_a_00003", "test_a_00004"}
    assert sorted(os.listdir(tmp_path)) == ["mine.jsonl", "mouths", "raw", "stats.json"]


def test_texts(tmp_path):
    path = tmp_path / "1.txt"
    path.write_text(
        "Text:  SO  IT'S\nRef: x\nFRAME X Y W H\n000001 0.1 0.2 0.3 0.4\nWORD START END\nSO 0.5 0.4\nIt's 0.6 0.7\n\n"
    )
    assert read_text(path) == ("SO IT'S", (("SO", 0.5, 0.5), ("It's", 0.6, 0.7)))
    for faulty in ("A 1", "A nan 1", "A 0 inf", "A -1 1", "A 1e999 2"):
        path.write_text(f"Text: A\nWORD START END\n{faulty}\n")
        with pytest.raises(InputError, match=rf"1.txt, line 3: must be a word, start and end, got '{faulty}'"):
            read_text(path)
    path.write_text("Text:\n")
    with pytest.raises(InputError, match=r"1.txt: must have a line `Text: ...` with a sentence, got none"):
        read_text(path)


def test_mistakes(tmp_path):
    with pytest.raises(InputError, match=r"must hold main, pretrain, trainval, test folders of ID/00001.mp4, in it or"):
        run(tmp_path, tmp_path)
    clip(tmp_path / "more", b"no video", "trainval/a/00001")
    for val in ("1", "-0.1"):
        with pytest.raises(InputError, match=rf"--val_size must be a share .* that of the IDs, 1, got {val}"):
            run(tmp_path / "more", tmp_path, f"--val_size={val}")
    with pytest.raises(InputError, match="--val_size must be given without --split, which makes one split of all"):
        run(tmp_path / "more", tmp_path, "--val_size=0.5", "--split=mine")
    shutil.rmtree(tmp_path / "more")
    with pytest.raises(InputError, match="--workers must be at least 1, got 0"):
        run(tmp_path, tmp_path, "--workers", "0")
    clip(tmp_path, b"no video", "test/a/00001")
    with pytest.raises(InputError, match=r"must hold usable videos with their texts, got none: {'test': {'unread"):
        run(tmp_path, tmp_path)


def test_texts_may_lie_in_a_tree_of_their_own(tmp_path, talker):
    """As LRS3 is published: the same folders twice, videos in the one and texts in the other."""
    raw = tmp_path / "raw"
    for place in ("test/a/00001", "test/b/00001", "trainval/a/00001"):
        clip(raw / "video", talker, place, text=place.upper().replace("/", " "))
        text = raw / "text" / f"{place}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        (raw / "video" / f"{place}.txt").rename(text)
    found = run(raw, tmp_path, "--split", "mine")["mine"]
    items = {item.id: item.references for item in read_manifest(tmp_path / "mine.jsonl")}
    assert items == {
        "test_a_00001": ("TEST A 00001",),
        "test_b_00001": ("TEST B 00001",),
        "trainval_a_00001": ("TRAINVAL A 00001",),
    }
    assert found["dropped"] == {}


def test_of_texts_that_differ_none_is_taken_at_random(tmp_path, talker):
    clip(tmp_path, talker, "test/a/00001")
    (tmp_path / "test" / "a" / "00001.txt").unlink()
    for folder in ("one", "two"):
        path = tmp_path / folder / "test" / "a" / "00001.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"Text: {folder}\n")
    with pytest.raises(InputError, match=r"two/test/a/00001.txt: must be as .*one/test/a/00001.txt, its namesake"):
        run(tmp_path, tmp_path / "out")
    (tmp_path / "two" / "test" / "a" / "00001.txt").write_text("Text: one\n")
    run(tmp_path, tmp_path / "out")
    assert read_manifest(tmp_path / "out" / "test.jsonl")[0].references == ("one",)


def test_a_clip_that_comes_twice_is_an_error_with_both_places(tmp_path, talker):
    for root in ("v1", "v2"):
        clip(tmp_path / root, talker, "main/55/00001")
    (tmp_path / "v2" / "main" / "55" / "00001.mp4").write_bytes(talker + b"more")
    with pytest.raises(InputError, match=r"v2/main/55/00001.mp4: must be as .*v1/main/55/00001.mp4, its namesake"):
        run(tmp_path, tmp_path / "out")
    (tmp_path / "v2" / "main" / "55" / "00001.mp4").write_bytes(talker)
    for name in ("train", "test"):
        (tmp_path / f"{name}.txt").write_text("55/00001\n")
    with pytest.raises(
        InputError, match=r"test.txt, line 1: `clip` must be unique, got '55/00001', which .*train.txt, l"
    ):
        run(tmp_path, tmp_path / "out")


def test_what_a_list_names_and_is_not_there_is_named(tmp_path, talker):
    clip(tmp_path, talker, "main/55/00001")
    (tmp_path / "train.txt").write_text("55/00001\n55/00002\n")
    found = run(tmp_path, tmp_path / "out")["train"]
    assert found["dropped"] == {"missing": 1} and found["named"] == {"missing": ["55/00002"]}


def test_a_table_of_other_words_than_the_text_is_named(tmp_path):
    for text, table in (("ONE TWO", "ONE 0 1\n"), ("ONE", "TWO 0 1\n"), ("ONE", "ONE 0 1\nTWO 1 2\n")):
        (tmp_path / "a.txt").write_text(f"Text:  {text}\nWORD START END\n{table}")
        with pytest.raises(InputError, match=rf"a.txt: must have the words of `Text:` in its table, got '{text}' and "):
            read_text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("Text:  {NS} ONE-TWO\nWORD START END\none 0 1\ntwo 1 2\n")
    assert read_text(tmp_path / "a.txt")[0] == "{NS} ONE-TWO"


def test_a_text_that_comes_twice_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("Text:  ONE\nConf:  4\nText:  TWO\n")
    with pytest.raises(InputError, match=r"a.txt, line 3: `Text:` must come once, got it again"):
        read_text(tmp_path / "a.txt")
