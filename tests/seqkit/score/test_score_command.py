"""`seqkit score` on files: formats, agreement with the command lines of sacrebleu and jiwer, and every fault."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqkit.errors import InputError
from seqkit.score.command import add_arguments, run
from seqkit.score.metric import TextOptions
from seqkit.score.read_texts import FORMATS, read_corpus
from seqkit.score.report import Provenance, ScoredItem, write_report
from seqkit.score.terminal import side_by_side
from tests.seqkit.score.test_wups import WORLD, write_dictionary

REFERENCES = "the cat sat on the mat\nAllô, «naïve» Łódź!\n\nyes\n日本語 の テスト です\n"
FIRST = "the cat sat on a mat\nAllô, naïve Lodz!\n\nyes\n日本語 の\u2028テスト です ね\n"
SECOND = "the cat\nAllô, «naïve» Łódź!\nsomething\n\n日本 の テスト です\n"


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def score(*words: object) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    run(parser.parse_args([str(word) for word in words]))


def as_json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    score("--json", *words)
    return json.loads(capsys.readouterr().out)


def figures(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, float]:
    found = as_json(capsys, *words)["systems"][0]["metrics"]
    return {name: metric["value"] for name, metric in found.items()}


def refused(*words: object, match: str) -> None:
    with pytest.raises(InputError, match=match) as fault:
        score(*words)
    assert "\n" not in str(fault.value)


@pytest.fixture
def corpus(tmp_path: Path) -> list[Path]:
    texts = {"ref": REFERENCES, "first": FIRST, "second": SECOND}
    return [file(tmp_path, name, text) for name, text in texts.items()]


def test_figures_are_those_of_the_command_lines_of_sacrebleu_and_jiwer(
    corpus: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = figures(capsys, "--raw", "--metric", "bleu,chrf,ter", *corpus[:2])
    command = [sys.executable, "-m", "sacrebleu", corpus[0], "-i", corpus[1], "-m", "bleu", "chrf", "ter", "-w", "14"]
    theirs = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert [round(value, 14) for value in found.values()] == [metric["score"] for metric in theirs]
    long = [text.replace("\n\n", "\n") for text in (REFERENCES, FIRST)]  # jiwer's command drops lines below two letters
    spoken = [file(tmp_path, name, text) for name, text in zip("ab", long, strict=True)]
    found = figures(capsys, "--raw", "--metric", "wer,cer", *spoken)
    for name, flags in (("wer", []), ("cer", ["-c"])):
        command = [sys.executable, "-m", "jiwer.cli", "-r", spoken[0], "-h", spoken[1], *flags]
        assert found[name] == 100 * float(subprocess.run(command, capture_output=True, check=True).stdout)


def test_json_is_the_contract_and_alone(corpus: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--metric", "wer,bleu", *corpus)
    assert list(found) == ["systems", "pairs"]
    assert [list(system) for system in found["systems"]] == [["file", "metrics"]] * 2
    assert [system["file"] for system in found["systems"]] == [str(path) for path in corpus[1:]]
    assert list(found["systems"][0]["metrics"]) == ["wer", "bleu"]
    assert list(found["systems"][0]["metrics"]["wer"]) == ["value", "low", "high", "signature", "counts"]
    (pair,) = found["pairs"]
    assert (pair["baseline"], pair["file"]) == (str(corpus[1]), str(corpus[2]))
    values = [system["metrics"]["wer"]["value"] for system in found["systems"]]
    assert pair["metrics"]["wer"]["difference"] == values[1] - values[0]
    assert 0 < pair["metrics"]["wer"]["p_value"] <= 1
    assert as_json(capsys, *corpus[:2])["pairs"] == []


def test_the_table_names_systems_figures_and_signatures(corpus: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    score("--metric", "wer,chrf", *corpus)
    table = capsys.readouterr().out
    found = as_json(capsys, "--metric", "wer,chrf", *corpus)
    assert table.startswith("5 items, matched line by line")
    for system in found["systems"]:
        for metric in system["metrics"].values():
            assert f"{metric['value']:.2f} [{metric['low']:.2f}, {metric['high']:.2f}]" in table
            assert metric["signature"] in table
    assert f" p {found['pairs'][0]['metrics']['chrf']['p_value']:.3f}" in table and "substitutions" in table


def test_only_line_feeds_end_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = file(tmp_path, "a", "a\u2028b\x0bc\u0085d\r\ne\rf\n\n")
    assert read_corpus([ours], [ours]).references == [["a\u2028b\x0bc\u0085d"], ["e\rf"], [""]]
    assert figures(capsys, "--metric", "wer", ours, file(tmp_path, "b", "a\u2028b\x0bc\u0085d\ne\rf\n\n"))["wer"] == 0.0
    unended = file(tmp_path, "c", "a\nb")
    assert read_corpus([unended], [unended]).systems == [["a", "b"]]


def test_kaldi_files_are_matched_by_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = file(tmp_path, "text", "utt1 hello world\nutt2\tgood  day\nutt3 \n")
    hypotheses = file(tmp_path, "hyp", "utt3\nutt2 good\nutt1 hello world\n")
    texts = [["hello world"], ["good  day"], [""]], [["hello world", "good", ""]]
    assert read_corpus([references], [hypotheses])[:4] == (["utt1", "utt2", "utt3"], *texts, "by id")
    assert figures(capsys, "--metric", "wer", references, hypotheses)["wer"] == 25.0
    plain = read_corpus([references], [hypotheses], "plain")
    assert plain.references[0] == ["utt1 hello world"] and plain.matched == "line by line"


@pytest.mark.parametrize(
    ("references", "matched"),
    [
        ("a1 x\na2 y\n", "by id"),
        ("001 x\n002 y\n", "by id"),
        ("1089-134-0 x\n1089-134-1 y\n", "by id"),
        ("spk_a x\nspk_b\n", "by id"),
        ("a1\tx\n", "by id"),
        ("hello world\n", "line by line"),
        ("the x\na y\n", "line by line"),
        ("a1 x\nyes y\n", "line by line"),
        ("2 dogs\n3 cats\n", "line by line"),
        ("1. x\n2) y\n", "line by line"),
        ("3.5 m\n1,000 s\n", "line by line"),
        ("0 m\n0.5 s\n", "line by line"),
        ("\n", "line by line"),
        ("12:30\n", "line by line"),
    ],
)
def test_only_what_looks_like_ids_is_read_as_ids(tmp_path: Path, references: str, matched: str) -> None:
    path = file(tmp_path, "a", references)
    assert read_corpus([path], [path]).matched == matched


def lines(*objects: dict[str, object]) -> str:
    return "".join(json.dumps(value) + "\n" for value in objects)


def test_json_lines_are_matched_by_id_with_any_number_of_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = file(
        tmp_path,
        "test.jsonl",
        lines({"id": "b", "references": ["x y", "x z"], "image": "b.jpg"}, {"id": "a", "references": ["w"]}),
    )
    found = lines({"id": "a", "hypothesis": "w"}, {"id": "b", "hypothesis": "x z"})
    hypotheses = file(tmp_path, "hypotheses.jsonl", "\n" + found)
    assert read_corpus([manifest], [hypotheses])[:4] == (["b", "a"], [["x y", "x z"], ["w"]], [["x z", "w"]], "by id")
    assert figures(capsys, "--metric", "wer", manifest, hypotheses)["wer"] == 0.0
    assert "nrefs:var" in as_json(capsys, manifest, hypotheses)["systems"][0]["metrics"]["bleu"]["signature"]
    kaldi = file(tmp_path, "hyp", "a w\nb x y\n")
    assert read_corpus([manifest], [kaldi]).systems == [["x y", "w"]]
    refused(manifest, file(tmp_path, "other", "a w\nc x\n"), match="other: must have .*, got missing 1: b; extra 1: c")
    plain = file(tmp_path, "hyp.txt", "x y\nw\n")
    assert read_corpus([manifest], [plain]).systems == [["x y", "w"]]
    assert read_corpus([manifest], [plain]).matched == "line by line"
    renamed = file(tmp_path, "manifest.json", manifest.read_bytes())
    assert read_corpus([renamed], [hypotheses], "jsonl").ids == ["b", "a"]


def test_an_evaluation_is_scored_again_from_its_own_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [ScoredItem("n1", ["a b c d e"], "a b c d\u2028e"), ScoredItem("n2", ["f g", "h"], "f")]
    report = write_report(tmp_path, items, ["wer", "bleu"], Provenance("r", "test", None, "cpu", {}))
    own = tmp_path / "hypotheses.jsonl"
    assert as_json(capsys, "--metric", "wer,bleu", own, own)["systems"][0]["metrics"] == report["metrics"]


def test_several_reference_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = file(tmp_path, "a", "x y\nz\n"), file(tmp_path, "b", "x w\nv\n")
    hypotheses = file(tmp_path, "h", "x w\nz\n")
    found = as_json(capsys, "--references", second, first, hypotheses)["systems"][0]["metrics"]["wer"]
    assert found["value"] == 0.0 and "|nrefs:2|" in found["signature"]
    one = file(tmp_path, "c", "x\n")
    refused("--references", one, first, hypotheses, match=r"c: must have as many lines as .*a, 2, got 1")


def test_options_reach_figures_and_signatures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = file(tmp_path, "a", "The cat, sat on it.\n"), file(tmp_path, "b", "the cat sat on it\n")
    plain = figures(capsys, *paths)
    found = as_json(capsys, "--lowercase", "--no_punctuation", "--tokenize", "char", *paths)["systems"][0]["metrics"]
    assert plain["wer"] == 60.0 and found["wer"]["value"] == 0.0 and found["bleu"]["value"] == pytest.approx(100)
    assert "|tok:char|" in found["bleu"]["signature"]
    for metric in found.values():
        assert "|case:lc|" in metric["signature"] and "|punct:no|" in metric["signature"]


def test_caption_metrics_have_their_own_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = file(tmp_path, "a", "A dog isn't here .\nTwo men, running\n")
    hypotheses = file(tmp_path, "b", "a dog is here\ntwo men running\n")
    found = as_json(capsys, "--metric", "bleu4,cider,bleu", "--tokenize", "ptb", references, hypotheses)
    metrics = found["systems"][0]["metrics"]
    assert ["|tok:ptb|" in metric["signature"] for metric in metrics.values()] == [True, True, False]
    alone = as_json(capsys, "--metric", "cider", references, hypotheses)["systems"][0]["metrics"]["cider"]
    assert alone == metrics["cider"] and 0 < alone["value"] < 1000


def test_answers_are_scored_against_all_that_a_manifest_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = file(
        tmp_path,
        "val.jsonl",
        lines(
            {"id": "q1", "question": "how many ?", "references": ["two"] * 9 + ["3"], "image": "a.jpg"},
            {"id": "q2", "question": "what ?", "references": ["Dog, table"] * 10, "answers": ["no"]},
        ),
    )
    answers = lines({"id": "q2", "hypothesis": "table, Dog"}, {"id": "q1", "hypothesis": "2"})
    first = file(tmp_path, "first.jsonl", answers)
    second = file(tmp_path, "second", "q1 two\nq2 Dog, chair\n")
    names = "vqa_accuracy,accuracy,wups_0.9,wups_0.0"
    write_dictionary(tmp_path / "dict", WORLD)
    given = ["--metric", names, "--wordnet", tmp_path / "dict", manifest, first, second]
    found = as_json(capsys, *given)
    table = [{name: metric["value"] for name, metric in system["metrics"].items()} for system in found["systems"]]
    assert table == [
        {"vqa_accuracy": 50, "accuracy": 50, "wups_0.9": 50, "wups_0.0": 50},
        {"vqa_accuracy": 50, "accuracy": 50, "wups_0.9": 53.75, "wups_0.0": 87.5},
    ]
    assert found["pairs"][0]["metrics"]["wups_0.0"]["difference"] == 37.5
    signatures = {name: metric["signature"] for name, metric in found["systems"][0]["metrics"].items()}
    assert "|nrefs:10|script:2021|" in signatures["vqa_accuracy"] and "|wordnet:9.7|" in signatures["wups_0.9"]
    old = as_json(capsys, "--vqa_script", "2016", *given)["systems"][0]["metrics"]["vqa_accuracy"]
    assert old["value"] == 0 and "|script:2016|" in old["signature"]
    score("--details", "1", *given)
    assert "by vqa_accuracy\n\nq2  vqa_accuracy 0.00" in capsys.readouterr().out
    refused("--metric", names, manifest, first, match=r"`wups_0.9` and `wups_0.0` must have .* by --wordnet DIR")
    refused(*given[:2], "--wordnet", tmp_path, *given[4:], match=r"must be a folder with WordNet's .*no index.noun")


def test_boxes_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = file(tmp_path, "a", "0 0 10 10\n0 0 10 10\n5.5 5 9 9\n")
    hypotheses = file(tmp_path, "b", "0 0 10 5\nnone\n5.5 5 9 9\n")
    found = as_json(capsys, "--metric", "iou_0.5", references, hypotheses)["systems"][0]["metrics"]["iou_0.5"]
    assert found["value"] == pytest.approx(200 / 3) and found["counts"]["valid"] == 2
    refused("--metric", "iou_0.5", hypotheses, references, match=r"the references of `iou_0.5` .* 'none' as item 2")


def test_a_report_takes_answers_and_boxes(tmp_path: Path) -> None:
    folder, options = tmp_path / "dict", TextOptions(vqa_script="2016", wordnet=tmp_path / "dict")
    write_dictionary(folder, WORLD)
    items = [ScoredItem("q1", ["dog"] * 10, "dogs"), ScoredItem("q2", ["cat"] * 9 + ["dog"], "Cat")]
    names = ["vqa_accuracy", "accuracy", "wups_0.9", "wups_0.0"]
    by = {"answers": ["single", "list"]}
    report = write_report(tmp_path, items, names, Provenance("r", "test", None, "cpu", {}), by=by, options=options)
    assert [report["metrics"][name]["value"] for name in names] == [50, 0, 100, 100]
    assert report["by"]["answers"]["list"]["vqa_accuracy"]["value"] == 100
    boxes = [ScoredItem("b", ["0 0 1 1"], "0 0 1 1"), ScoredItem("c", ["0 0 1 1"], "")]
    report = write_report(tmp_path, boxes, ["iou_0.5"], Provenance("r", "test", None, "cpu", {}))
    assert report["metrics"]["iou_0.5"]["value"] == 50 and "iou_0.5" in (tmp_path / "report.html").read_text()


def test_seed_and_resamples_move_the_interval_alone(corpus: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    def wer(*flags: object) -> dict[str, Any]:
        found: dict[str, Any] = as_json(capsys, "--metric", "wer", *flags, *corpus[:2])["systems"][0]["metrics"]["wer"]
        return found

    assert wer() == wer() == wer("--resamples", 1000, "--seed", 0)
    few = wer("--resamples", 1)
    assert few["low"] == few["high"] and few["value"] == wer("--seed", 7)["value"]
    assert len({wer("--resamples", 1, "--seed", seed)["low"] for seed in range(5)}) > 1


def test_details_list_the_worst_items_with_alignments(corpus: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    score("--metric", "wer", "--details", "2", *corpus[:2])
    shown = capsys.readouterr().out.split("worst of")[1]
    assert f"{corpus[1]} by wer" in shown
    assert "2  wer 66.67  2 edits\nREF Allô, «naïve» Łódź!\nHYP Allô, naïve   Lodz!\n          S       S" in shown
    assert "日本語 の" in shown and "the cat" not in shown
    score("--metric", "cer", "--details", "1", corpus[0], corpus[2])
    assert "REF ." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (["--metric", "wer,blue"], r"a metric must be one of wer cer ser bleu .*, got 'blue'; did you mean bleu\?"),
        (["--resamples", "0"], r"`--resamples` must be at least 1, got 0"),
        (["--seed", "-1"], r"`--seed` must be at least 0, got -1"),
        (["--details", "-1"], r"`--details` must be at least 0, got -1"),
    ],
)
def test_values_out_of_range_are_refused(corpus: list[Path], flags: list[str], match: str) -> None:
    refused(*flags, *corpus, match=match)


def test_files_that_cannot_be_read_are_refused(corpus: list[Path], tmp_path: Path) -> None:
    reference = corpus[0]
    refused(reference, tmp_path / "none", match=r"none: cannot be read")
    refused(reference, tmp_path, match=r"cannot be read")
    refused(reference, file(tmp_path, "latin", b"good\ncaf\xe9\n"), match=r"latin, line 2: byte 3 is not UTF-8")
    refused(reference, file(tmp_path, "empty", ""), match=r"empty: must hold at least one line, got an empty file")
    refused(file(tmp_path, "a.jsonl", "\n\n"), reference, match=r"a.jsonl: must hold at least one item, got only empty")


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    many = file(tmp_path, "many", "".join(f"u{n} x\n" for n in range(20)))
    refused(
        file(tmp_path, "two", "x\ny\n"),
        file(tmp_path, "three", "x\ny\nz\n"),
        match=r"three: must have as many lines as .*two, 2, got 3",
    )
    refused(
        many,
        file(tmp_path, "less", "u3 x\nu4 x\nv5 x\n"),
        match=r"less: must have the ids of .*many, got missing 18: u0, u1, u2, .*, u11 and 8 more; extra 1: v5$",
    )
    refused(
        many,
        file(tmp_path, "short", "".join(f"u{n} x\n" for n in range(18))),
        match=r"short: must have the ids of .*many, got missing 2: u18, u19$",
    )
    refused(
        many,
        file(tmp_path, "long", "".join(f"u{n} x\n" for n in range(21))),
        match=r"long: must have the ids of .*many, got extra 1: u20$",
    )
    refused(many, file(tmp_path, "double", "u1 x\nu1 y\n"), match=r'double, line 2: every id .* once, got "u1" again')
    refused(many, file(tmp_path, "gap", "u1 x\n\n"), match=r"gap, line 2: must be an id and a text, got an empty line")
    refused(many, file(tmp_path, "none", "x\n" * 20), match=r'none, line 2: every id must come once, got "x" again')


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("{", r"bad.jsonl, line 2: must be a JSON object, got a fault at column 2"),
        ("[1]", r"bad.jsonl, line 2: must be a JSON object with a text as `id`, got \[1\]"),
        ('{"id": 3, "hypothesis": "x"}', r"line 2: must be a JSON object with a text as `id`"),
        ('{"id": "b"}', r'line 2, id "b": `hypothesis` must be a text, got null'),
        (r'{"id": "b", "hypothesis": "\ud800"}', r'line 2, id "b": `hypothesis` must be a text, got "\\ud800"'),
        ('{"id": "a", "hypothesis": "x"}', r'line 2: every id must come once, got "a" again'),
    ],
)
def test_bad_json_lines_are_refused(tmp_path: Path, line: str, match: str) -> None:
    reference = file(tmp_path, "a.jsonl", lines({"id": "a", "references": ["x"]}))
    refused(reference, file(tmp_path, "bad.jsonl", lines({"id": "a", "hypothesis": "x"}) + line + "\n"), match=match)


@pytest.mark.parametrize("references", [None, "x", [], [3], ["x", None]])
def test_bad_references_are_refused(tmp_path: Path, references: object) -> None:
    bad = file(tmp_path, "bad.jsonl", lines({"id": "a", "references": references}))
    refused(bad, bad, match=r'line 1, id "a": `references` must be a list of at least one text, got ')


def test_alignments_stand_under_one_another_whatever_the_width_of_their_letters() -> None:
    pairs = [("日本", "x"), (None, "new"), ("old", None), ("ne\u0301", "né"), ("same", "same")]
    assert side_by_side(pairs).split("\n") == [
        "REF 日本 ... old ne\u0301 same",
        "HYP x    new ... né same",
        "    S    I   D   S",
    ]


def test_every_format_is_offered() -> None:
    assert FORMATS == ("auto", "plain", "kaldi", "trn", "jsonl", "json")
