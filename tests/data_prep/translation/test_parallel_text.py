"""Preparation scripts: golden manifests from small raw corpora, every dropped pair counted, every fault named."""

import gzip
import os
from pathlib import Path

import pytest

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.translation import multi30k, wmt
from seqkit.data_prep.translation.pairs import Corpus, read_pairs
from seqkit.errors import InputError
from tests.raw_files import stats

ENGLISH = ["A cat sleeps.", "  Two dogs run. ", "", "A\u2028line"]
GERMAN = ["Eine Katze schläft.", "Zwei Hunde rennen.", "Nichts.", "Eine Zeile"]


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    write(folder / "task1" / "raw" / "train.en.gz", ENGLISH)
    write(folder / "task1" / "raw" / "train.de.gz", GERMAN)
    write(folder / "val.en", ENGLISH[:2])
    write(folder / "deep" / "er" / "val.de", GERMAN[:2])
    write(folder / "test_2017_mscoco.en", ENGLISH[:1])
    write(folder / "test_2017_mscoco.de.gz", GERMAN[:1])
    write(folder / "test_2018_flickr.en", ENGLISH[:1])
    write(folder / "tok" / "train.lc.norm.tok.en", ["a cat sleeps ."])
    write(folder / "tok" / "train.lc.norm.tok.de", ["eine katze schläft ."])
    return folder


def test_multi30k_golden(raw, tmp_path):
    out = tmp_path / "out"
    multi30k.main(["--raw", str(raw), "--out", str(out)])
    names = ["stats.json", "test_2017_mscoco.jsonl", "test_2018_flickr.jsonl", "train.jsonl", "val.jsonl"]
    assert sorted(os.listdir(out)) == names
    assert (out / "train.jsonl").read_text(encoding="utf-8").split("\n") == [
        '{"id": "train-00001", "source": "A cat sleeps.", "references": ["Eine Katze schläft."]}',
        '{"id": "train-00002", "source": "Two dogs run.", "references": ["Zwei Hunde rennen."]}',
        '{"id": "train-00004", "source": "A\u2028line", "references": ["Eine Zeile"]}',
        "",
    ]
    assert stats(out)["train"] == {
        "pairs": 4,
        "items": 3,
        "dropped": {"empty_source": 1},
        "named": {"empty_source": ["train.en.gz, line 3"]},
        "files": [["train.en.gz", "train.de.gz"]],
    }
    assert stats(out)["test_2018_flickr"] == {
        "sources": 1,
        "items": 1,
        "references": 0,
        "dropped": {},
        "named": {},
        "files": [["test_2018_flickr.en"]],
    }
    [item] = read_manifest(out / "test_2018_flickr.jsonl")
    assert (item.id, item.source, item.references) == ("test_2018_flickr-00001", "A cat sleeps.", ())
    assert [item.id for item in read_manifest(out / "test_2017_mscoco.jsonl")] == ["test_2017_mscoco-00001"]


def test_multi30k_other_direction(raw, tmp_path):
    multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--source", "de", "--target", "en"])
    item = read_manifest(tmp_path / "out" / "val.jsonl")[1]
    assert (item.source, item.references) == ("Zwei Hunde rennen.", ("Two dogs run.",))
    assert stats(tmp_path / "out")["train"]["dropped"] == {"empty_target": 1}


def test_multi30k_with_a_test_set_alone_keeps_the_stats_of_other_splits(raw, tmp_path):
    multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out")])
    write(tmp_path / "later" / "test_2017_flickr.en", ENGLISH[:2])
    write(tmp_path / "later" / "test_2017_flickr.de", GERMAN[:2])
    multi30k.main(["--raw", str(tmp_path / "later"), "--out", str(tmp_path / "out")])
    assert len(read_manifest(tmp_path / "out" / "test_2017_flickr.jsonl")) == 2
    assert set(stats(tmp_path / "out")) == {"train", "val", "test_2017_flickr", "test_2017_mscoco", "test_2018_flickr"}


def test_multi30k_into_one_split(raw, tmp_path):
    multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--split", "all"])
    items = read_manifest(tmp_path / "out" / "all.jsonl")
    assert sorted(item.id.rpartition("-")[0] for item in items) == ["test_2017_mscoco", *["train"] * 3, "val", "val"]
    assert stats(tmp_path / "out")["all"]["pairs"] == 7


def test_a_pair_comes_from_one_folder_where_it_can(tmp_path):
    for folder, word in (("a", "wrong"), ("b", "right")):
        write(tmp_path / folder / "train.en", [word])
    write(tmp_path / "b" / "train.de", ["richtig"])
    multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])
    assert read_manifest(tmp_path / "out" / "train.jsonl")[0].source == "right"


def test_faulty_raw_folders_are_named(raw, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: must be a folder that holds the published files, got no folder"):
        multi30k.main(["--raw", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")])
    with pytest.raises(InputError, match="--source and --target must be two languages, got en twice"):
        multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--target", "en"])
    with pytest.raises(InputError, match=r"no pair of files train, val or test_\* .* partner: .*train"):
        multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--target", "cs"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("short", "long"), [("en", "de"), ("de", "en")])
def test_halves_of_different_length_are_named(tmp_path, short, long):
    write(tmp_path / f"val.{short}", ["a", "b"])
    write(tmp_path / f"val.{long}", ["a", "b", "c"])
    with pytest.raises(InputError, match=rf"val.{short}: must have as many lines as .*val.{long}, got 2 and more"):
        multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out" / "val.jsonl").exists()


def test_undecodable_text_is_named(tmp_path):
    write(tmp_path / "val.en", ["a", "b"])
    (tmp_path / "val.de").write_bytes("a\nä\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"val.de, line 2: byte 0 is not UTF-8; convert the file"):
        multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])


def test_multi30k_as_published(real_data, tmp_path):
    multi30k.main(["--raw", str(real_data / "multi30k"), "--out", str(tmp_path), "--target", "fr"])
    counts = {split: values["items"] for split, values in stats(tmp_path).items()}
    assert counts == {"train": 29000, "val": 1014, "test_2016_flickr": 1000}
    assert not any(finding.problem for finding in check(tmp_path)[1])


@pytest.fixture
def news(tmp_path):
    folder = tmp_path / "raw"
    write(folder / "europarl.de-en.de.gz", ["eins zwei", "ja", "", "a b c d", "ja", "a"])
    write(folder / "europarl.de-en.en.gz", ["one two", "yes", "no", "a", "yes", "a b c d e f"])
    write(folder / "common" / "crawl.de", ["ja", "neu"])
    write(folder / "common" / "crawl.en", ["yes", "new"])
    for name in ("news2013", "news2014"):
        write(folder / f"{name}.de", ["a " * 200, "", "ja"])
        write(folder / f"{name}.en", ["a", "no", "yes"])
    return folder


def prepare_news(news, out, *argv):
    wmt.main(["--raw", str(news), "--out", str(out), "--source", "de", "--target", "en", *argv])


def test_wmt_cleans_training_alone_and_counts_why(news, tmp_path):
    out = tmp_path / "out"
    prepare_news(
        news,
        out,
        "--train",
        "europarl.de-en",
        "crawl",
        "--val",
        "news2013",
        "--test",
        "news2014",
        "--max-length",
        "5",
        "--max-ratio",
        "2",
        "--dedupe",
    )
    assert sorted(os.listdir(out)) == ["news2014.jsonl", "stats.json", "train.jsonl", "val.jsonl"]
    assert [(item.id, item.references[0]) for item in read_manifest(out / "train.jsonl")] == [
        ("europarl.de-en-00001", "one two"),
        ("europarl.de-en-00002", "yes"),
        ("crawl-00002", "new"),
    ]
    assert stats(out)["train"]["pairs"] == 8
    assert stats(out)["train"]["dropped"] == {"empty_source": 1, "too_unequal": 1, "repeated": 2, "too_long": 1}
    for split in ("val", "news2014"):
        assert [item.references for item in read_manifest(out / f"{split}.jsonl")] == [("a",), ("no",), ("yes",)]
        assert stats(out)[split]["dropped"] == {}


def test_wmt_keeps_repetitions_unless_told_and_counts_characters_on_request(news, tmp_path):
    prepare_news(news, tmp_path / "out", "--train", "europarl.de-en", "--max_length", "4", "--characters")
    assert [item.source for item in read_manifest(tmp_path / "out" / "train.jsonl")] == ["ja", "ja"]
    assert stats(tmp_path / "out")["train"]["dropped"] == {"too_long": 3, "empty_source": 1}


def test_wmt_into_one_split(news, tmp_path):
    prepare_news(news, tmp_path / "out", "--test", "news2013", "news2014", "--split", "mine")
    assert len(read_manifest(tmp_path / "out" / "mine.jsonl")) == 6


def test_wmt_faults_are_named(news, tmp_path):
    with pytest.raises(InputError, match=r"must hold, at any depth, both files.*missing: paracrawl.\{de,en\}"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "paracrawl")
    with pytest.raises(InputError, match="one of --train, --val and --test must name a corpus, got none"):
        prepare_news(news, tmp_path / "out")
    with pytest.raises(InputError, match="--max_length and --max_ratio must be at least 1, got 0, 3"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "--max_length", "0")
    with pytest.raises(InputError, match="--source and --target must be two languages, got de twice"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "--target", "de")
    assert not (tmp_path / "out").exists()


def test_pairs_stream(monkeypatch):
    """A line of each file at a time: the two readers are never more than a line apart."""
    read = {"a": 0, "b": 0}

    def lines(path):
        for number in range(1, 1000):
            read[str(path)] = number
            yield number, f"{path} {number} "

    monkeypatch.setattr("seqkit.data_prep.translation.markup.read_lines", lines)
    for number, source, (target,), *_ in read_pairs(Corpus("x", Path("a"), Path("b"))):
        assert (source, target) == (f"a {number}", f"b {number}") and set(read.values()) == {number}


def test_what_has_one_language_and_is_no_test_set_is_left_out_by_name(raw, tmp_path):
    (raw / "val.en").unlink()
    write(raw / "test_2019.de", ["nur das Ziel"])
    write(raw / "test_2018_flickr.en", ["one", "", "two"])
    multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out")])
    found = stats(tmp_path / "out")
    assert found["val"] == {"pairs": 0, "left_out": "one language only", "files": [["val.de"]]}
    assert found["test_2019"]["left_out"] == "one language only"
    assert found["test_2018_flickr"]["named"] == {"empty_source": ["test_2018_flickr.en, line 2"]}
    assert [i.source for i in read_manifest(tmp_path / "out" / "test_2018_flickr.jsonl")] == ["one", "two"]


def test_copies_that_differ_are_named(tmp_path):
    """Two whole copies of which nothing says which is meant: refused. A stray half of another: left out by name."""
    for folder, word in (("v1", "eins"), ("v2", "zwei")):
        write(tmp_path / folder / "train.en", ["one"])
        write(tmp_path / folder / "train.de", [word])
    with pytest.raises(
        InputError, match=r"v2/train.de: must be as .*v1/train.de, its namesake, got other content; keep"
    ):
        multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])
    (tmp_path / "v2" / "train.en").unlink()
    multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])
    assert read_manifest(tmp_path / "out" / "train.jsonl")[0].references == ("eins",)
    assert stats(tmp_path / "out")["train"]["copies_left_out"] == [str(tmp_path / "v2" / "train.de")]
    write(tmp_path / "v2" / "train.de.gz", ["eins"])
    (tmp_path / "v2" / "train.de").unlink()
    multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "same")])
    assert "copies_left_out" not in stats(tmp_path / "same")["train"]


def test_halves_of_different_folders_must_not_have_rivals(tmp_path):
    write(tmp_path / "a" / "train.en", ["one"])
    write(tmp_path / "b" / "train.de", ["eins"])
    write(tmp_path / "c" / "train.de", ["zwei"])
    with pytest.raises(InputError, match=r"c/train.de: must be as .*b/train.de, its namesake, got other content"):
        multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])


def test_a_corpus_is_named_once(news, tmp_path):
    with pytest.raises(InputError, match="--train, --val and --test must name a corpus once, got crawl twice"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "--val", "crawl")
    for name in ("val.de", "val.en"):
        write(news / name, ["x"])
    with pytest.raises(InputError, match="--test must not be named as another manifest, got val; rename its files"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "--test", "val")
