"""WMT's test sets of one XML file, and test sets of which the source alone is there."""

import gzip

import pytest

from seqkit.data.manifest import read_manifest
from seqkit.data_prep.translation import wmt
from seqkit.errors import InputError
from tests.raw_files import stats, write_lines


def part(tag, *texts, more='lang="de" translator="A"'):
    return f"<{tag} {more}><p>" + "".join(f'<seg id="{n}">{text}</seg>\n' for n, text in texts) + f"</p></{tag}>"


def document(name, *parts, more=""):
    return f'<doc origlang="en" id="{name}" {more}>' + "".join(parts) + "</doc>"


def source(*texts):
    return part("src", *texts, more='lang="en"')


def dataset(*documents):
    return ["<?xml version='1.0' encoding='utf-8'?>", '<dataset id="set2021">', *documents, "</dataset>"]


DOCUMENTS = (
    document(
        "a",
        source((1, "R&amp;D &#233; <i>it</i>"), (2, "two"), (3, "three")),
        part("ref", (1, "eins"), (2, "zwei")),
        part("ref", (2, "ZWEI"), (4, "vier"), more='lang="de" translator="B"'),
        part("hyp", (1, "uno"), (2, "due"), more='lang="de" system="X"'),
    ),
    document("b", source((1, "other")), part("ref", (1, "anderes"))),
    document("c", source((1, "suite")), part("ref", (1, "Reihe")), more='testsuite="T"'),
)


def prepare(raw, out, *argv, pair=("en", "de")):
    wmt.main(["--raw", str(raw), "--out", str(out), "--source", pair[0], "--target", pair[1], *argv])


@pytest.mark.parametrize("name", ["set.xml", "set.en-de.xml", "set.en-de.all.xml", "set.en-de.xml.gz"])
def test_one_file_holds_sources_and_several_references(tmp_path, name):
    write_lines(tmp_path / "raw" / name, *dataset(*DOCUMENTS))
    if name.endswith(".gz"):
        (tmp_path / "raw" / name).write_bytes(gzip.compress((tmp_path / "raw" / name).read_bytes()))
    prepare(tmp_path / "raw", tmp_path, "--test", "set")
    found = [(item.id, item.source, item.references) for item in read_manifest(tmp_path / "set.jsonl")]
    assert found == [
        ("set-00001", "R&D é it", ("eins",)),
        ("set-00002", "two", ("zwei", "ZWEI")),
        ("set-00005", "other", ("anderes",)),
    ]
    counts = stats(tmp_path)["set"]
    assert counts["dropped"] == {"no_reference": 1, "no_source": 1, "test_suite": 1}
    assert counts["named"] == {
        "no_reference": [f"{name}, document 'a', segment 3"],
        "no_source": [f"{name}, document 'a', segment 4"],
        "test_suite": [f"{name}, document 'c', segment 1"],
    }
    assert counts["files"] == [[name]]


def test_a_file_of_sources_alone_has_no_references(tmp_path):
    write_lines(tmp_path / "raw/set.en-de.source.xml", *dataset(document("a", source((1, "one"), (2, "two")))))
    prepare(tmp_path / "raw", tmp_path, "--test", "set")
    assert [(item.source, item.references) for item in read_manifest(tmp_path / "set.jsonl")] == [
        ("one", ()),
        ("two", ()),
    ]
    with pytest.raises(InputError, match=r"must hold pairs to keep, got 2 pairs, all dropped: {'no_reference': 2}"):
        prepare(tmp_path / "raw", tmp_path, "--train", "set")


def test_a_test_set_of_one_language_is_a_manifest_without_references(tmp_path):
    write_lines(tmp_path / "raw/set.en", "one", "", "three")
    prepare(tmp_path / "raw", tmp_path, "--test", "set")
    assert [item.source for item in read_manifest(tmp_path / "set.jsonl")] == ["one", "three"]
    assert stats(tmp_path)["set"]["named"] == {"empty_source": ["set.en, line 2"]}
    write_lines(tmp_path / "raw/v2/set.en", "one", "", "four")
    with pytest.raises(InputError, match=r"v2/set.en: must be as .*set.en, its namesake, got other content"):
        prepare(tmp_path / "raw", tmp_path, "--test", "set")
    (tmp_path / "raw/v2/set.en").unlink()
    for flag in ("--train", "--val"):
        with pytest.raises(
            InputError, match=r"must hold, at any depth, both files of each corpus.*missing: set.{en,de}"
        ):
            prepare(tmp_path / "raw", tmp_path, flag, "set")


@pytest.mark.parametrize(
    ("documents", "pair", "message"),
    [
        (
            (DOCUMENTS[0], DOCUMENTS[0]),
            "en de",
            r"document 'a': `id of a <doc>` must be unique, got 'a', which .*'a' has",
        ),
        (
            (document("a", source((1, "x"), (1, "y"))),),
            "en de",
            r"<src>  segment 2: `id of a <seg>` must be unique, got '1', which set.xml, document 'a', <src>  segment 1",
        ),
        ((DOCUMENTS[1],), "de en", "document 'b': <src> must be in de, got en; give --source and --target so"),
        ((document("a", part("ref", (1, "x"))),), "en de", "document 'a': must have one <src>, got 0; take the file"),
        (("<doc>",), "en de", "set.xml: must be whole XML, got a fault: mismatched tag"),
    ],
)
def test_faulty_files_are_named(tmp_path, documents, pair, message):
    write_lines(tmp_path / "raw/set.xml", *dataset(*documents))
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "raw", tmp_path, "--test", "set", pair=pair.split())


def test_two_files_go_before_one_and_copies_must_not_differ(tmp_path):
    write_lines(tmp_path / "raw/set.xml", *dataset(DOCUMENTS[1]))
    write_lines(tmp_path / "raw/other/set.xml", *dataset(DOCUMENTS[1].replace("other", "another")))
    with pytest.raises(InputError, match=r"set.xml: must be as .*set.xml, its namesake, got other content"):
        prepare(tmp_path / "raw", tmp_path, "--test", "set")
    write_lines(tmp_path / "raw/set.en", "one")
    write_lines(tmp_path / "raw/set.de", "eins")
    prepare(tmp_path / "raw", tmp_path, "--test", "set")
    assert [item.source for item in read_manifest(tmp_path / "set.jsonl")] == ["one"]


def test_the_sentences_are_those_of_sacrebleu(tmp_path):
    from sacrebleu.dataset.wmt_xml import WMTXMLDataset

    path = tmp_path / "raw/set.xml"
    write_lines(path, *dataset(*(text.replace("<i>it</i>", "it") for text in DOCUMENTS)))
    theirs = WMTXMLDataset._unwrap_wmt21_or_later(str(path))
    prepare(tmp_path / "raw", tmp_path, "--test", "set")
    items = read_manifest(tmp_path / "set.jsonl")
    assert [item.source for item in items] == theirs["src"]
    for item, *texts in zip(items, theirs["ref:A"], theirs["ref:B"], strict=True):
        assert list(item.references) == [text for text in texts if text]
