"""AN4's published features from made-up folders: golden manifests, faults counted, speakers never in two splits."""

import json
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.lipreading import an4
from seqkit.data_prep.lipreading.an4 import read_mfc, read_texts
from seqkit.errors import InputError
from tests.corpora import DATA

AN4 = DATA / "an4"


def mfc(path: Path, frames: int, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(size=(frames, 13)).astype(np.float32)
    path.write_bytes(struct.pack(">i", values.size) + values.astype(">f4").tobytes())
    return values


def lists(raw: Path, name: str, entries: dict[str, str]) -> None:
    (raw / "etc").mkdir(parents=True, exist_ok=True)
    (raw / "etc" / f"an4_{name}.fileids").write_text("".join(f"{place}\n" for place in entries))
    lines = (f"{text} ({place.rpartition('/')[2]})\n" for place, text in entries.items())
    (raw / "etc" / f"an4_{name}.transcription").write_text("".join(lines))


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    train = {f"an4_clstk/{who}/an{n}-{who}-b": f"<s> GO {n} </s>" for n, who in enumerate(["fash", "fbbh", "mblw"] * 2)}
    lists(folder, "train", train)
    lists(folder, "test", {"an4test_clstk/mxyz/an9-mxyz-b": "YES  NO", "an4test_clstk/mxyz/an8-mxyz-b": "HELP"})
    for n, place in enumerate([*train, "an4test_clstk/mxyz/an9-mxyz-b", "an4test_clstk/mxyz/an8-mxyz-b"]):
        mfc(folder / "feat" / f"{place}.mfc", 5 + n, seed=n)
    return folder


def run(raw: Path, out: Path, *argv: str) -> dict:
    an4.main(["--raw", str(raw), "--out", str(out), *argv])
    return json.loads((out / "stats.json").read_text())


def test_golden(raw, tmp_path, capsys):
    found = run(raw, tmp_path, "--val_size", "1")
    assert json.loads((tmp_path / "test.jsonl").read_text().splitlines()[0]) == {
        "id": "an9-mxyz-b",
        "references": ["YES NO"],
        "seconds": 0.11,
        "speaker": "mxyz",
        "features": "features.npy",
        "rows": [45, 56],
    }
    assert {name: counts["items"] for name, counts in found.items()} == {"train": 4, "val": 2, "test": 2}
    assert found["test"] == {
        "utterances": 2,
        "items": 2,
        "speakers": 1,
        "seconds": 0.23,
        "dropped": {},
        "named": {},
        "reasons": {},
    }
    assert "val utterances=2 items=2" in capsys.readouterr().out
    assert not any(finding.problem for finding in check(tmp_path)[1])


def test_rows_hold_what_the_files_hold(raw, tmp_path):
    run(raw, tmp_path, "--val_size", "1")
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert features.dtype == np.float32
    for name in ("train", "val", "test"):
        for item in read_manifest(tmp_path / f"{name}.jsonl"):
            (path,) = (raw / "feat").rglob(f"{item.id}.mfc")
            first, last = item.rows
            assert (features[first:last] == read_mfc(path)).all() and item.seconds == (last - first) / 100
    assert last == len(features)


def test_a_file_is_big_endian(tmp_path):
    values = mfc(tmp_path / "a.mfc", 7)
    assert (read_mfc(tmp_path / "a.mfc") == values).all() and read_mfc(tmp_path / "a.mfc").dtype == np.float32


def test_files_that_are_none(tmp_path):
    whole = mfc(tmp_path / "a.mfc", 3)
    good = (tmp_path / "a.mfc").read_bytes()
    odd = struct.pack(">i", 14) + bytes(4 * 14)
    little = struct.pack("<i", 38) + whole.astype("<f4").tobytes()
    for content in (good[:-1], good + b"x", b"", b"ab", odd, little, struct.pack(">i", 0)):
        (tmp_path / "a.mfc").write_bytes(content)
        with pytest.raises(InputError, match=r"a.mfc: must be a number of values and that many, in frames of 13, got"):
            read_mfc(tmp_path / "a.mfc")
    (tmp_path / "a.mfc").write_bytes(good[:4] + struct.pack(">f", float("nan")) + good[8:])
    with pytest.raises(InputError, match=r"a.mfc: must hold finite values, got others; fetch it again"):
        read_mfc(tmp_path / "a.mfc")


def test_texts(tmp_path):
    (tmp_path / "t").write_text("<s> A  B </s> (an1-x-b)\nC (an2-x-b) \n\n(an3-x-b)\n")
    assert read_texts(tmp_path / "t") == {"an1-x-b": "A B", "an2-x-b": "C", "an3-x-b": ""}
    (tmp_path / "t").write_text("A (an1-x-b)\nB an2-x-b\n")
    with pytest.raises(InputError, match=r"t, line 2: must be words and \(utterance\), got 'B an2-x-b'"):
        read_texts(tmp_path / "t")


def test_faults_are_counted_and_named(raw, tmp_path):
    feat = raw / "feat" / "an4_clstk"
    (feat / "fash" / "an0-fash-b.mfc").unlink()
    (feat / "fbbh" / "an1-fbbh-b.mfc").write_bytes(b"")
    lists(raw, "test", {"an4test_clstk/mxyz/an9-mxyz-b": "", "an4test_clstk/mxyz/an8-mxyz-b": "HELP"})
    found = run(raw, tmp_path, "--val_size", "0")
    assert found["train"]["dropped"] == {"missing": 1, "malformed": 1} and "val" not in found
    assert found["train"]["named"] == {"missing": ["an0-fash-b"], "malformed": ["an1-fbbh-b"]}
    assert list(found["train"]["reasons"]) == ["an1-fbbh-b"] and found["test"]["named"] == {"no_text": ["an9-mxyz-b"]}
    assert not (tmp_path / "val.jsonl").exists()


def test_val_is_of_other_speakers_by_the_seed(raw, tmp_path):
    held = []
    for seed in range(6):
        run(raw, tmp_path, "--val_size", "1", "--seed", str(seed))
        speakers = [{item.speaker for item in read_manifest(tmp_path / f"{name}.jsonl")} for name in ("train", "val")]
        assert len(speakers[1]) == 1 and speakers[0] | speakers[1] == {"fash", "fbbh", "mblw"}
        assert not speakers[0] & speakers[1]
        held += speakers[1]
    assert len(set(held)) > 1
    with pytest.raises(
        InputError, match="--val_size must be a share below 1 or a whole .* of the training speakers, 3, got 3"
    ):
        run(raw, tmp_path, "--val_size", "3")


def test_one_split_of_all(raw, tmp_path):
    assert list(run(raw, tmp_path, "--split", "mine")) == ["mine"]
    assert len(read_manifest(tmp_path / "mine.jsonl")) == 8 and not (tmp_path / "train.jsonl").exists()


def test_lists_of_any_form(tmp_path):
    """Without folder and hyphen, with ending, backslash or byte order mark: utterances, not speakers, are held out."""
    names = [f"utt{n:03d}" for n in range(20)]
    for n, name in enumerate(names):
        mfc(tmp_path / "feat" / f"{name}.mfc", 5 + n, seed=n)
    (tmp_path / "an4_train.fileids").write_bytes(
        "\r\n".join(["\ufeffutt000", ".\\feat\\utt001.mfc", *names[2:]]).encode()
    )
    (tmp_path / "an4_train.transcription").write_text("".join(f"<s> GO </s> (feat/{name}.wav)\n" for name in names))
    found = run(tmp_path, tmp_path / "out")
    assert {name: counts["items"] for name, counts in found.items()} == {"train": 18, "val": 2}
    items = [item for name in found for item in read_manifest(tmp_path / "out" / f"{name}.jsonl")]
    assert sorted(item.id for item in items) == names and {item.speaker for item in items} == {None}
    assert found["train"]["speakers"] == 0 and {item.references for item in items} == {("GO",)}


def test_speakers_are_told_by_name_or_folder(tmp_path):
    lists(tmp_path, "test", {"x/an251-fash-b": "A", "fbbh/utt1": "B", "mblw/utt2": "C", "utt3": "D"})
    for n, name in enumerate(("an251-fash-b", "utt1", "utt2", "utt3")):
        mfc(tmp_path / f"{name}.mfc", 5 + n)
    run(tmp_path, tmp_path / "out")
    speakers = [item.speaker for item in read_manifest(tmp_path / "out" / "test.jsonl")]
    assert speakers == ["fash", "fbbh", "mblw", None]


def test_utterances_that_come_twice_are_errors_with_both_places(raw, tmp_path):
    listed = (raw / "etc" / "an4_test.fileids").read_text()
    (raw / "etc" / "an4_test.fileids").write_text(listed + "other/folder/an9-mxyz-b\n")
    with pytest.raises(
        InputError, match=r"test.fileids, line 3: `utterance` must be unique, got 'an9-mxyz-b', which .* 1 h"
    ):
        run(raw, tmp_path)
    (raw / "etc" / "an4_test.fileids").write_text(listed + "an4_clstk/fash/an0-fash-b\n")
    with pytest.raises(
        InputError, match=r"test.fileids, line 3: .* got 'an0-fash-b', which .*an4_train.fileids, line 1 has"
    ):
        run(raw, tmp_path)
    (raw / "etc" / "an4_test.fileids").write_text(listed)
    with (raw / "etc" / "an4_test.transcription").open("a") as file:
        file.write("HELP (an9-mxyz-b)\n")
    with pytest.raises(
        InputError, match=r"transcription, line 3: `utterance` must be unique, got 'an9-mxyz-b', which .* 1 h"
    ):
        run(raw, tmp_path)


def test_what_a_list_lacks_and_copies_that_differ_are_named(raw, tmp_path):
    with (raw / "etc" / "an4_test.transcription").open("a") as file:
        file.write("HELP (an7-mxyz-b)\n")
    mfc(raw / "zz" / "an9-mxyz-b.mfc", 3, seed=99)
    found = run(raw, tmp_path)
    assert found["unlisted"]["named"] == {"unlisted": ["an7-mxyz-b"]}
    assert "copies_differ" not in found["test"]  # the list says which
    lists(raw, "test", {"an9-mxyz-b": "YES"})
    [text] = run(raw, tmp_path / "again")["test"]["named"]["copies_differ"]
    assert "feat/an4test_clstk/mxyz/an9-mxyz-b.mfc was taken, not " in text and text.endswith("zz/an9-mxyz-b.mfc")


def test_missing_files(raw, tmp_path):
    with pytest.raises(InputError, match=r"must hold an4_train.fileids or an4_test.fileids, in it or below, got"):
        run(raw / "feat", tmp_path)
    (raw / "etc" / "an4_train.transcription").unlink()
    with pytest.raises(InputError, match=r"an4_train.fileids: must have an4_train.transcription beside it or"):
        run(raw, tmp_path)
    (raw / "etc" / "an4_train.fileids").unlink()
    for path in (raw / "feat").rglob("*.mfc"):
        path.unlink()
    with pytest.raises(InputError, match=r"must hold the .mfc files that the lists name, got none that can be read"):
        run(raw, tmp_path)


@pytest.mark.skipif(not AN4.is_dir(), reason=f"the published features of AN4 are not at {AN4}")
def test_the_published_features(tmp_path):
    found = run(AN4, tmp_path)
    assert {name: counts["items"] for name, counts in found.items()} == {"train": 858, "val": 90, "test": 130}
    assert all(counts["dropped"] == {} for counts in found.values())
    items = read_manifest(tmp_path / "test.jsonl")
    assert items[0].references == ("RUBOUT G M E F THREE NINE",) and items[0].speaker == "fcaw"
    assert Counter(len(item.references) for item in items) == {1: 130}
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert features.shape[1] == 13 and max(item.rows[1] for item in items) == len(features)
