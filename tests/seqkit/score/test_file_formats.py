"""Files of sclite, COCO and VQA are read by id whatever their names; files of times and faults are refused by name."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from seqkit.errors import InputError
from seqkit.flags import run_cli
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.read_texts import Corpus, read_corpus
from tests.seqkit.score.test_score_command import as_json, figures, file, refused, score

CAPTIONS = {
    "images": [{"id": 1}, {"id": 2}],
    "annotations": [
        {"id": 7, "image_id": 2, "caption": "two cats"},
        {"id": 8, "image_id": 1, "caption": "a dog"},
        {"id": 9, "image_id": 2, "caption": "cats asleep"},
    ],
}
RESULTS = [{"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": "two dogs"}]
ANSWERS = {
    "annotations": [
        {"question_id": 5, "multiple_choice_answer": "no", "answers": [{"answer_id": 1, "answer": "no"}] * 10},
        {"question_id": 6, "multiple_choice_answer": "2", "answers": [{"answer": "2"}] * 9 + [{"answer": "two"}]},
    ]
}


def dumped(folder: Path, name: str, content: Any, **how: Any) -> Path:
    return file(folder, name, json.dumps(content, **how))


def test_sclite_files_are_matched_by_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = file(tmp_path, "ref.trn", ";; comment\nHELLO WORLD (spk1-001)\nGOOD DAY TO (spk1-002)\n\n(spk1-003)\n")
    found = file(tmp_path, "hyp.trn", "GOOD (spk1-002)\n\t (spk1-003)\nHELLO WORD (spk1-001)\n")
    ids = ["spk1-001", "spk1-002", "spk1-003"]
    texts = [["HELLO WORLD"], ["GOOD DAY TO"], [""]]
    assert read_corpus([reference], [found]) == Corpus(ids, texts, [["HELLO WORD", "GOOD", ""]], "by id")
    unnamed = (
        file(tmp_path, "hyp", found.read_bytes()),
        file(tmp_path, "ref", reference.read_bytes().partition(b"\n")[2]),
    )
    assert read_corpus([unnamed[1]], [unnamed[0]]).ids == ids
    assert figures(capsys, "--metric", "wer", reference, found)["wer"] == pytest.approx(100 * 3 / 5)
    kaldi = file(tmp_path, "text", "spk1-003\nspk1-001 HELLO\nspk1-002 GOOD\n")
    assert read_corpus([reference], [kaldi]).systems == [["HELLO", "GOOD", ""]]


def test_lines_that_end_in_a_remark_are_no_sclite_file(tmp_path: Path) -> None:
    for text in ("a cat (asleep)\na dog (awake)\n", "one (1)\ntwo (1)\n", "one (1)\ntwo\n"):
        path = file(tmp_path, "a", text)
        assert read_corpus([path], [path]).references == [[line] for line in text.splitlines()]


def test_faults_of_sclite_files_are_named(tmp_path: Path) -> None:
    good = file(tmp_path, "a.trn", "x (s-1)\n")
    refused(good, file(tmp_path, "b.trn", "x\n"), match=r"b.trn, line 1: must be `text \(id\)`, got 'x'")
    refused(good, file(tmp_path, "c.trn", "y (s-1)\nx (s-1)\n"), match=r'c.trn, line 2: every id .* got "s-1" again')
    refused(good, file(tmp_path, "d.trn", "{ x / y } (s-1)\n"), match=r"d.trn, line 1: must hold no alternatives")
    refused(good, file(tmp_path, "e.trn", ";; x\n"), match=r"e.trn: must hold at least one item")
    refused(
        file(tmp_path, "f", "(%uh) x (s-1)\n"), good, match=r"f, line 1: must hold no words that .*as \(%uh\), whic"
    )
    twice = file(tmp_path, "g", "a (s-1)\nb (s-2)\nc (s-1)\n")
    refused(twice, good, match=r'g, line 3: every id must come once, got "s-1" again, as item 1 has it')


@pytest.mark.parametrize("name", ["results.json", "results"])
@pytest.mark.parametrize("indent", [None, 2])
def test_captions_of_coco_are_matched_by_image(tmp_path: Path, name: str, indent: int | None) -> None:
    truth, found = (
        dumped(tmp_path, "truth.json", CAPTIONS, indent=indent),
        dumped(tmp_path, name, RESULTS, indent=indent),
    )
    references = [["two cats", "cats asleep"], ["a dog"]]
    assert read_corpus([truth], [found]) == Corpus(["2", "1"], references, [["two dogs", "a dog"]], "by id")
    lines = "".join(json.dumps({"id": str(r["image_id"]), "hypothesis": r["caption"]}) + "\n" for r in RESULTS)
    assert read_corpus([truth], [file(tmp_path, "lines", lines)]).systems == [["two dogs", "a dog"]]


def test_results_of_a_part_are_scored_on_it_and_remarked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, found = dumped(tmp_path, "truth.json", CAPTIONS), dumped(tmp_path, "results.json", RESULTS[:1])
    corpus = read_corpus([truth], [found])
    assert (corpus.ids, corpus.references) == (["1"], [["a dog"]])
    assert corpus.remarks == (f"1 items of {truth} have no hypothesis and are left out",)
    score("--metric", "wer", truth, found)
    assert f"remark: {corpus.remarks[0]}\n" in capsys.readouterr().out
    score("--json", "--metric", "wer", truth, found)
    shown = capsys.readouterr()
    assert json.loads(shown.out)["systems"] and corpus.remarks[0] in shown.err
    other = dumped(tmp_path, "other.json", RESULTS[1:])
    refused(truth, found, other, match=r"other.json: must have the ids .*missing 1: 1; extra 1: 2")
    more = dumped(tmp_path, "more.json", [*RESULTS, {"image_id": 3, "caption": "x"}])
    refused(truth, more, match=r"more.json: must have the ids .*, got extra 1: 3")


def test_answers_of_vqa_are_matched_by_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "truth.gzip"  # an ending that says little
    path.write_bytes(gzip.compress(json.dumps(ANSWERS).encode()))
    found = dumped(tmp_path, "results.json", [{"question_id": 6, "answer": "2"}, {"question_id": 5, "answer": "yes"}])
    scored = as_json(capsys, "--metric", "vqa_accuracy", path, found)["systems"][0]["metrics"]["vqa_accuracy"]
    people = [["no"] * 10, ["2"] * 9 + ["two"]]
    assert scored["value"] == corpus_scores(statistics(["vqa_accuracy"], people, ["yes", "2"]))["vqa_accuracy"] == 50


def test_numbers_are_ids_and_answers_as_texts_are(tmp_path: Path) -> None:
    results = [{"question_id": 6.0, "answer": 2}, {"question_id": "5", "answer": "yes"}]
    truth = dumped(tmp_path, "truth.json", ANSWERS)
    assert read_corpus([truth], [dumped(tmp_path, "r.json", results)]).systems == [["yes", "2"]]
    twice = dumped(tmp_path, "t.json", [*results, {"question_id": "6", "answer": "two"}])
    refused(truth, twice, match=r't.json, entry 3: every id must come once, got "6" again, as item 1 has it')


def test_annotations_and_questions_come_once(tmp_path: Path) -> None:
    """COCO has several captions of an image, each with an id; VQA has one entry a question."""
    captions = {"annotations": [*CAPTIONS["annotations"], CAPTIONS["annotations"][0]]}
    answers = {"annotations": [*ANSWERS["annotations"], ANSWERS["annotations"][0]]}
    for content, key, value, place in ((captions, "id", "7", 4), (answers, "question_id", "'5'", 3)):
        truth = dumped(tmp_path, "t.json", content)
        refused(truth, truth, match=rf"t.json, entry {place}: `{key}` must come once, got {value}, which .*entry 1 has")


def test_words_that_may_be_ids_and_invisible_letters_are_remarked(tmp_path: Path, capsys: Any) -> None:
    one, other = file(tmp_path, "a", "alice a b\nbob c\n"), file(tmp_path, "b", "bob c\nalice a b\n")
    assert "if those are ids, give `--format kaldi`" in read_corpus([one], [other]).remarks[0]
    assert read_corpus([one], [one]).remarks == read_corpus([one], [other], "kaldi").remarks == ()
    for first in ("u1 {}\nu2 {}\n", "1 {}\n2 {}\n", "0.\t{}\n1.\t{}\n"):
        numbered = file(tmp_path, "n", first.format("alice a b", "bob c"))
        [remark] = read_corpus([one], [numbered]).remarks
        assert f"every line of {numbered} begins with an id or a number, such as '{first.split()[0]}'," in remark
    for text in ("2 {}\n1 {}\n", "no {}\n1 {}\n", "u1 {}\nu1 {}\n"):
        assert not read_corpus([one], [file(tmp_path, "n", text.format("a", "b"))]).remarks
    marked = file(tmp_path, "c", "\u200falice a b\nbo\u00adb c\u200b\n")
    score("--metric", "wer", marked, one)
    assert "references alone hold the invisible U+00AD, U+200B, U+200F, which count" in capsys.readouterr().out
    score("--metric", "wer", one, marked)
    assert "hypotheses alone hold the invisible U+00AD" in capsys.readouterr().out
    score("--metric", "wer", marked, marked)
    assert "invisible" not in capsys.readouterr().out
    signs = file(tmp_path, "s", "<s> al@@ ice a &amp; b </s>\nb@@ob ▁c\n")
    score("--metric", "wer", one, signs)
    assert "hypotheses alone hold &amp;, </s>, <s>, @@, ▁, signs of tokens or of HTML" in capsys.readouterr().out
    score("--metric", "wer", signs, signs)
    assert "signs of" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "must be a JSON object, got a fault"),
        ("[" * 100_000, "must be a JSON object, got brackets nested too deep"),
        ("1" * 5000, "must be a JSON object, got Exceeds the limit"),
        ("[]", "must hold COCO or VQA results or annotations, got JSON of another kind"),
        ('{"a": 1}', "must hold COCO or VQA results or annotations, got JSON of another kind"),
        ('[{"image_id": 1}]', r"entry 1: must have `image_id` and `caption`, or .*, got {"),
        ('[{"image_id": true, "caption": "a"}]', "entry 1: must have `image_id` and `caption`"),
        ('[{"image_id": 1, "caption": 2}]', "entry 1: must have `image_id` and `caption`"),
        ('[{"question_id": 1, "answers": []}]', "entry 1: must have"),
        ("[[1]]", "entry 1: must have"),
        ('[{"image_id": 1, "caption": "\\ud800"}]', "entry 1: must be text, got half a character"),
        (
            '[{"image_id": 1, "caption": "a"}, {"image_id": 1, "caption": "b"}]',
            'entry 2: every id must .* got "1" again',
        ),
    ],
)
def test_other_json_is_refused(tmp_path: Path, content: str, match: str) -> None:
    refused(dumped(tmp_path, "truth.json", RESULTS[:1]), file(tmp_path, "a.json", content), match=match)


CTM, STM = "utt1 1 0.10 0.40 hello 0.99\nutt1 1 0.50 0.40 you\n", "f 1 spk 0.00 1.50 <o,f0,male> hello you\n;; end\n"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("hyp.ctm", CTM, "ctm"),
        ("hyp", CTM, "ctm"),
        ("hyp", "utt1 1 0 1 hello 0.9\n", "ctm"),
        ("hyp", "utt1 1 0 1 hello\nutt1 1 1 2 you\n", "ctm"),
        ("hyp.txt", STM, "stm"),
        ("hyp.stm", "hello\n", "stm"),
    ],
)
def test_files_of_times_are_refused_with_what_scores_them(tmp_path: Path, name: str, content: str, kind: str) -> None:
    reference = file(tmp_path, "text", "utt1 hello you\n")
    refused(
        reference, file(tmp_path, name, content), match=rf"{name}: must be one text per item, got .{kind}, .* sclite"
    )


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nhello\n", "subtitles"),
        ("a", "1\n00:00:01,000 --> 00:00:02,000\nhello\n", "subtitles"),
        ("a", "WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n", "subtitles"),
        ("a", "[Script Info]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,hello\n", "subtitles"),
        ("a.TextGrid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n', "TextGrid"),
        ("a.align", "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n", "labels"),
        ("a.mlf", '#!MLF!#\n"*/a.lab"\nhello\n.\n', "labels"),
        ("a", '<refset setid="t">\n<doc docid="1">\n<seg id="1">a b</seg>\n', "markup"),
        ("a.xml", '<?xml version="1.0"?>\n<dataset/>\n', "markup"),
        ("a.csv", "id;text\nu1;a b\n", "table"),
        ("a.csv", "id,text\nu1,a b\n", "table"),
        ("a.tsv", "id\ttext\nu1\ta b\n", "table"),
    ],
)
def test_other_forms_of_texts_are_refused_and_no_tags_are_words(
    tmp_path: Path, name: str, content: str, kind: str
) -> None:
    other = file(tmp_path, "b", "x\n" * content.count("\n"))
    refused(file(tmp_path, name, content), other, match=rf"{name}: must be one text per item, got {kind}, ")
    refused(other, file(tmp_path, name, content), match=rf"{name}: must be one text per item, got {kind}, ")


def test_texts_with_numbers_are_no_times(tmp_path: Path) -> None:
    for text in (
        "he ran 3.5 4 miles\nin 10.5 5 minutes or so\nnone\n",
        "utt1 4 5 6 seven\nutt2 4 4 4 eight\n",  # digits as words
        "1 2 three\n1 2 three\n1 2 three\n",
        "4 5 6\n1 2 3\n5 5 5\n",
    ):
        path = file(tmp_path, "a", text)
        assert len(read_corpus([path], [path]).ids) == text.count("\n")
    for name in ("a.csv", "a.tsv"):
        path = file(tmp_path, name, "utt1\ta b\nutt2\tc\n" if name == "a.tsv" else "a b\nyes, c\n")
        assert len(read_corpus([path], [path]).ids) == 2


def test_boxes_in_brackets_are_read_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = file(tmp_path, "a", "[0, 0, 10, 10]\n[5, 5, 9, 9]\n")
    for line in (
        "0,0,10,10",
        "(0,0),(10,10)",
        '{"x1": 0, "y1": 0, "x2": 10, "y2": 10}',
        "-0.0 0 10 10",
        "x1=0 y1=0 x2=10 y2=10",
    ):
        found = figures(capsys, "--metric", "iou_0.5", reference, file(tmp_path, "b", f"{line}\n{line}\n"))
        assert found["iou_0.5"] == 50, line


def test_commands_of_a_terminal_are_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (
        json.dumps({"id": "a\x1b[2J", "references": ["b\x1b[31m c"]}),
        json.dumps({"id": "a\x1b[2J", "hypothesis": "\x9b1m"}),
    )
    paths = [file(tmp_path, f"{n}.jsonl", line + "\n") for n, line in enumerate(lines)]
    score("--metric", "wer", "--details", "1", *paths)
    shown = capsys.readouterr().out
    assert r"a\x1b[2J  wer" in shown and r"b\x1b[31m" in shown and r"\x9b1m" in shown
    assert not any(c in shown for c in "\x1b\x9b")
    assert run_cli(lambda _: score(paths[0], tmp_path / "\x1b[2J"), []) == 2
    assert r"\x1b[2J: cannot be read" in capsys.readouterr().err


def test_white_space_separates_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = file(tmp_path, "a", "a b\na b\na b\n")
    found = file(tmp_path, "b", "a\tb\na\t\tb\n a\u00a0b \n")
    scored = as_json(capsys, "--metric", "wer", reference, found)["systems"][0]["metrics"]["wer"]
    assert scored["value"] == 0 and "|text:nfc+space|" in scored["signature"]


def test_perfect_short_items_are_not_the_worst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = file(tmp_path, "a", "Yes.\na b c d e f\ng h i j k l\n")
    found = file(tmp_path, "b", "Yes.\na b c d x y\ng h i j k l\n")
    for tokenizer in ("13a", "ptb"):
        metric = "bleu" if tokenizer == "13a" else "bleu4"
        score("--metric", metric, "--tokenize", tokenizer, "--details", "3", reference, found)
        worst = capsys.readouterr().out.partition("worst of")[2]
        assert worst.index(f"2  {metric} ") < worst.index(f"1  {metric} 100.00  0 edits")


def test_a_text_too_long_for_ter_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"`ter` must have texts of at most 2,000 words, got 2,001 in item 2; split it"
    ):
        statistics(["ter"], [["a"], ["b " * 2001]], ["a", "b"])
    assert corpus_scores(statistics(["wer"], [["b " * 2001]], ["b " * 2001])) == {"wer": 0}
