"""Parallel text in markup: tagged lines, XML and SGM, from files made here and from IWSLT's own."""

import gzip
from pathlib import Path

import pytest

from seqkit.data.manifest import read_manifest
from seqkit.data_prep.translation import wmt
from seqkit.data_prep.translation.markup import Sentence, read_sentences
from seqkit.errors import InputError
from tests.raw_files import stats, write_lines

ENGLISH = ('<doc docid="1" genre="lectures">', "<url>http://x.org</url>", "<title>On spaces</title>")
GERMAN = (' <doc docid="1" genre="lectures">', " <url>http://x.org</url>", " <title>Von Leerzeichen</title>")


def prepare(raw: Path, out: Path, *argv: str, target: str = "de") -> None:
    wmt.main(["--raw", str(raw), "--out", str(out), "--source", "en", "--target", target, *argv])


def pairs(path: Path) -> list[tuple[str, str, str]]:
    return [(item.id, str(item.source), item.references[0]) for item in read_manifest(path)]


def segments(kind: str, *texts: tuple[str, str], doc: str = "7") -> list[str]:
    lines = [f'<seg id="{number}"> {text} </seg>' for number, text in texts]
    return ['<?xml version="1.0" encoding="UTF-8"?>', f"<mteval><{kind}set>", f'<doc docid="{doc}">', *lines, "</doc>"]


def test_lines_that_are_markup_are_left_out_and_named(tmp_path):
    write_lines(tmp_path / "train.tags.en-de.en", *ENGLISH, "Less <b>is</b> more. ", "<3 is no tag.", "</doc>")
    write_lines(tmp_path / "train.tags.en-de.de", *GERMAN, "Weniger ist mehr. ", "<3 ist keins.", "</doc>")
    prepare(tmp_path, tmp_path / "out", "--train", "train.tags.en-de")
    assert pairs(tmp_path / "out" / "train.jsonl") == [
        ("train.tags.en-de-00004", "Less <b>is</b> more.", "Weniger ist mehr."),
        ("train.tags.en-de-00005", "<3 is no tag.", "<3 ist keins."),
    ]
    found = stats(tmp_path / "out")["train"]
    assert (found["pairs"], found["items"], found["markup"]) == (2, 2, 4)
    assert found["named"] == {
        "markup": [
            f"train.tags.en-de.en, line {n}: <{t}>" for n, t in ((1, "doc"), (2, "url"), (3, "title"), (6, "doc"))
        ]
    }


def test_tags_that_one_language_has_more_of_shift_nothing(tmp_path):
    write_lines(tmp_path / "t.en", *ENGLISH, "<reviewer>A</reviewer>", "<translator>B</translator>", "one", "two")
    write_lines(tmp_path / "t.de", *GERMAN, "eins", "zwei")
    prepare(tmp_path, tmp_path / "out", "--train", "t")
    assert [pair[1:] for pair in pairs(tmp_path / "out" / "train.jsonl")] == [("one", "eins"), ("two", "zwei")]


def test_plain_text_that_only_mentions_a_tag_is_kept(tmp_path):
    write_lines(tmp_path / "t.en", "Write", "<title>x</title> into it.")
    write_lines(tmp_path / "t.de", "Schreib", "<title>x</title> hinein.")
    prepare(tmp_path, tmp_path / "out", "--train", "t")
    assert len(read_manifest(tmp_path / "out" / "train.jsonl")) == 2
    assert "markup" not in stats(tmp_path / "out")["train"]


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("set.en.xml", "set.de.xml"),
        ("set-src.en.sgm", "set-ref.de.sgm"),
        ("set-src.en.sgm.gz", "set-ref.de.sgml"),
        ("set.en", "set.de"),
    ],
)
def test_segments_are_read_by_content_whatever_the_name(tmp_path, english, german):
    texts = [("1", "A &lt;b&gt; &amp;amp; R&D"), ("2", "&#8220;two&#x201D;&#xD800;")], [("1", "Ein"), ("2", "zwei")]
    for name, kind, lines in ((english, "src", texts[0]), (german, "ref", texts[1])):
        write_lines(tmp_path / name, *segments(kind, *lines))
        if name.endswith(".gz"):
            (tmp_path / name).write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    prepare(tmp_path, tmp_path / "out", "--test", "set")
    assert pairs(tmp_path / "out" / "set.jsonl") == [
        ("set-00001", "A <b> &amp; R&D", "Ein"),
        ("set-00002", "“two”&#xD800;", "zwei"),
    ]


def test_segments_may_share_a_line_and_span_several(tmp_path):
    write_lines(
        tmp_path / "t", "<srcset>", '<DOC docid="a"><seg id="1">one</seg> <seg id=\'2\'>two', " more</seg></DOC>"
    )
    assert list(read_sentences(tmp_path / "t")) == [Sentence(2, "one", "a 1"), Sentence(2, "two  more", "a 2")]


@pytest.mark.parametrize(
    "more",
    [
        ['</refset><refset refid="b">', '<doc docid="7">', '<seg id="2">ZWEI</seg>', "</doc>"],
        ['<doc docid="7" sysid="b">', '<seg id="2">ZWEI</seg></doc>'],
    ],
)
def test_several_sets_of_references_are_several_references(tmp_path, more):
    write_lines(tmp_path / "t-src.en.sgm", *segments("src", ("1", "one"), ("2", "two")))
    write_lines(tmp_path / "t-ref.de.sgm", *segments("ref", ("1", "eins"), ("2", "zwei")), *more)
    prepare(tmp_path, tmp_path / "out", "--test", "t")
    found = [item.references for item in read_manifest(tmp_path / "out" / "t.jsonl")]
    assert found == [("eins",), ("zwei", "ZWEI")]
    write_lines(tmp_path / "t-src.en.sgm", *segments("src", ("1", "one"), ("2", "two")), *more)
    with pytest.raises(InputError, match="t-src.en.sgm, line .: the segment '7 2' must come once in a source, got it"):
        prepare(tmp_path, tmp_path / "out", "--test", "t")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['<seg id="1">a</seg>', '<seg id="1">b</seg>'], "line 3: `id` of a <seg> must be unique .* '1', which line 2"),
        (["<seg>a</seg>"], "line 2: must have <seg id=\"NUMBER\">, got '<seg>'"),
        (['<seg id="1">a', '<seg id="2">b</seg>'], "line 3: must close the <seg> of line 2 first; fetch it again"),
        (['<seg id="1">a'], "line 2: must close its <seg>, got the end of the file; fetch it again"),
    ],
)
def test_faulty_segments_are_named(tmp_path, lines, message):
    write_lines(tmp_path / "t", "<refset>", *lines)
    with pytest.raises(InputError, match=message):
        list(read_sentences(tmp_path / "t"))


def test_segments_must_be_of_one_document_and_number(tmp_path):
    write_lines(tmp_path / "t.en.xml", *segments("src", ("1", "a"), ("2", "b")))
    write_lines(tmp_path / "t.de.xml", *segments("ref", ("1", "x"), ("3", "y")))
    with pytest.raises(
        InputError, match=r"t.de.xml, line 5: must be the segment '7 2' .*line 5 of .*, got '7 3'; take"
    ):
        prepare(tmp_path, tmp_path / "out", "--test", "t")


@pytest.mark.parametrize(("folder", "target"), [("en-ja", "ja"), ("de-en", "de")])
def test_iwslt_as_published(real_data, tmp_path, folder, target):
    """Nine sentences of training, and every segment of the six sets; nothing of a talk's description becomes text."""
    raw = real_data / "iwslt2017" / folder
    years = [
        f"IWSLT17.TED.{name}.{folder}" for name in ("tst2010", "tst2011", "tst2012", "tst2013", "tst2014", "tst2015")
    ]
    argv = ("--train", f"train.tags.{folder}", "--val", f"IWSLT17.TED.dev2010.{folder}", "--test", *years)
    prepare(raw, tmp_path, *argv, target=target)
    found = stats(tmp_path)
    assert (found["train"]["items"], found["train"]["markup"], found["train"]["dropped"]) == (9, 7, {})
    for name, path in (("val", f"IWSLT17.TED.dev2010.{folder}"), *((year, year) for year in years)):
        number = (raw / f"{path}.en.xml").read_text(encoding="utf-8").count("<seg id=")
        items = read_manifest(tmp_path / f"{name}.jsonl")
        assert len(items) == number == found[name]["items"] > 3
    texts = [
        text
        for path in tmp_path.glob("*.jsonl")
        for item in read_manifest(path)
        for text in (item.source, *item.references)
    ]
    assert not any("http" in text or "<" in text for text in texts)
