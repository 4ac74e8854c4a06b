"""`seqkit score` with groups, several systems, confusions, standard input, pages and results for other scorers."""

import gzip
import io
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
from sacrebleu.metrics.chrf import CHRF

from seqkit.score import compare, confusions, score_by
from seqkit.score import score as score_lists
from seqkit.score.read_texts import read_corpus
from seqkit.score.terminal import side_by_side, width
from tests.seqkit.score.test_score_command import as_json, figures, file, lines, refused, score

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "far"]
ITEMS: list[dict[str, object]] = [
    {
        "id": f"u{n}",
        "references": [" ".join(WORDS[n % 5 : n % 5 + 2 + n % 7])],
        "speaker": f"s{n % 4}",
        "snr": None if n % 5 == 4 else 10 * (n % 3),
    }
    for n in range(30)
]
REFERENCES: list[str] = [str(item["references"][0]) for item in ITEMS]  # type: ignore[index]
SYSTEMS = [
    [text.replace("the", "a") for text in REFERENCES],
    [text.replace("cat", "dog").replace(" mat", "") for text in REFERENCES],
    [f"{text} now" if number % 2 else text for number, text in enumerate(REFERENCES)],
]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    systems = ["".join(f"u{n} {text}\n" for n, text in enumerate(system)) for system in SYSTEMS]
    return [
        file(tmp_path, "test.jsonl", lines(*ITEMS)),
        *(file(tmp_path, f"system{number}", text) for number, text in enumerate(systems)),
    ]


def test_by_a_key_every_group_is_scored_as_by_itself(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--by", "speaker,length", "--by", "snr", "--metric", "wer,ser", *files[:2])["systems"][0]
    assert list(found) == ["file", "metrics", "by"] and list(found["by"]) == ["speaker", "length", "snr"]
    for key, values in {
        "speaker": [str(item["speaker"]) for item in ITEMS],
        "length": [len(text.split()) for text in REFERENCES],
        "snr": [item["snr"] for item in ITEMS],
    }.items():
        expected = score_by("wer,ser", REFERENCES, SYSTEMS[0], values)  # type: ignore[arg-type]
        plain = {group: {name: own._asdict() for name, own in scores.items()} for group, scores in expected.items()}
        assert found["by"][key] == plain
    assert list(found["by"]["snr"]) == ["0", "10", "20"] and list(found["by"]["speaker"]) == ["s0", "s1", "s2", "s3"]
    score("--by", "snr", "--metric", "wer", *files[:3])
    shown = capsys.readouterr().out
    assert "remark: by snr: 6 of 30 items have no `snr` and are left out" in shown
    assert shown.count("by snr  items") == 2 and f"\n{files[2]}\nby snr" in shown


def test_groups_are_resampled_whole(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--group", "speaker", "--metric", "wer,chrf++", "--seed", "2"]
    found = as_json(capsys, *flags, *files)
    assert list(found) == ["systems", "pairs", "group"] and found["group"] == {"key": "speaker", "groups": 4}
    speakers = [str(item["speaker"]) for item in ITEMS]
    own = score_lists("wer,chrf++", REFERENCES, SYSTEMS[0], groups=speakers, seed=2)
    assert found["systems"][0]["metrics"] == {name: values._asdict() for name, values in own.items()}
    alone = as_json(capsys, *flags[2:], *files)["systems"][0]["metrics"]["wer"]
    assert alone["value"] == own["wer"].value and (alone["low"], alone["high"]) != own["wer"][1:3]
    pairs = compare("wer,chrf++", REFERENCES, SYSTEMS, groups=speakers, seed=2)
    for written, pair in zip(found["pairs"], pairs, strict=True):
        for name, difference in pair.items():
            assert list(written["metrics"][name]) == ["difference", "low", "high", "p_value", "p_holm"]
            assert tuple(written["metrics"][name].values()) == tuple(difference)
    score(*flags, "--by", "speaker", *files[:2])
    shown = capsys.readouterr().out
    assert "in brackets 95 % intervals of 4 groups of one `speaker`" in shown
    assert "remark: 4 groups of one `speaker` are few for intervals and tests: no p-value can be below 0.12" in shown
    assert "remark: by speaker: 4 of 4 lie in one `speaker` each; their intervals are of items" in shown


def test_a_group_of_most_items_is_remarked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"id": f"u{n}", "references": ["a b"], "speaker": "ann" if n < 9 else f"s{n}"} for n in range(12)]
    paths = file(tmp_path, "t.jsonl", lines(*items)), file(tmp_path, "h", "".join(f"u{n} a\n" for n in range(12)))
    score("--group", "speaker", "--metric", "wer", *paths)
    expected = "remark: one `speaker` has 75 % of the items, which decides intervals and tests of whole groups"
    assert expected in capsys.readouterr().out


def test_keys_may_come_from_another_file(files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = file(tmp_path, "text", "".join(f"u{n} {text}\n" for n, text in enumerate(REFERENCES)))
    speakers = file(tmp_path, "utt2spk", "".join(f"u{n} s{n % 4}\n" for n in range(29, -1, -1)))
    whole = as_json(capsys, "--by", "speaker", *files[:2])["systems"][0]["by"]
    assert as_json(capsys, "--by", "speaker", "--manifest", speakers, references, files[1])["systems"][0]["by"] == whole
    plain = [file(tmp_path, name, "\n".join(own) + "\n") for name, own in (("r", REFERENCES), ("h", SYSTEMS[0]))]
    assert as_json(capsys, "--by", "speaker", "--manifest", files[0], *plain)["systems"][0]["by"] == whole
    refused(
        "--by", "speaker", references, files[1], match="`--by` must be length, or a key of a file given by --manifest"
    )
    refused("--manifest", files[0], *files[:2], match="`--manifest` must be given with `--by KEYS` or `--group KEY`")
    refused("--group", "spekaer", *files[:2], match="`--group` must be one of speaker, snr, length, got .* you mean")
    refused("--group", "snr", *files[:2], match="`--group` must be given in every item, got none in item 5")


def test_answer_types_of_vqa_are_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [
        {"question_id": n, "answer_type": kind, "answers": [{"answer": "yes"}] * 10} for n, kind in enumerate("aabb")
    ]
    references = file(tmp_path, "annotations", json.dumps({"annotations": entries}))
    answers = [{"question_id": n, "answer": answer} for n, answer in enumerate(("yes", "no", "yes", "yes"))]
    hypotheses = file(tmp_path, "results.json", json.dumps(answers))
    given = ["--metric", "vqa_accuracy", "--by", "answer_type", references, hypotheses]
    found = as_json(capsys, *given)["systems"][0]["by"]["answer_type"]
    assert {group: own["vqa_accuracy"]["value"] for group, own in found.items()} == {"a": 50, "b": 100}


def test_several_systems_have_corrected_p_values(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    score("--metric", "wer,bleu", *files)
    table = capsys.readouterr().out
    assert "p_holm" in table.splitlines()[2]
    pairs = compare("wer,bleu", REFERENCES, SYSTEMS)
    assert f"p {pairs[0]['wer'].p_value:.3f}" in table and f"{pairs[0]['wer'].p_holm:.3f}" in table
    score("--metric", "wer", *files[:3])
    assert "p_holm" not in capsys.readouterr().out


def test_confusions_are_listed_and_in_json(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--confusions", 2, "--metric", "wer", *files)["systems"]
    for system, texts in zip(found, SYSTEMS, strict=True):
        own = confusions(REFERENCES, texts, most=2)
        assert [tuple(row.values()) for row in system["confusions"]["substitutions"]] == own.substitutions
        assert [tuple(row.values()) for row in system["confusions"]["deletions"]] == own.deletions
        assert [tuple(row.values()) for row in system["confusions"]["insertions"]] == own.insertions
    assert found[0]["confusions"]["substitutions"] == [{"reference": "the", "hypothesis": "a", "count": 6}]
    score("--confusions", 1, "--metric", "wer", *files[:3], file(files[0].parent, "same", lines(*(
        {"id": item["id"], "hypothesis": text} for item, text in zip(ITEMS, REFERENCES, strict=True)
    ))))  # fmt: skip
    shown = capsys.readouterr().out
    assert "the > a" in shown and f"confusions of {files[0].parent / 'same'}: none" in shown
    assert as_json(capsys, "--confusions", 1, "--metric", "cer", *files[:2])["systems"][0]["confusions"]["deletions"]


def test_chrf_plus_plus_is_sacrebleus_to_the_last_digit(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--raw", "--metric", "chrF++,chrF", *files[:2])["systems"][0]["metrics"]
    for name, words in (("chrf++", 2), ("chrf", 0)):
        scorer = CHRF(word_order=words)
        assert found[name]["value"] == scorer.corpus_score(SYSTEMS[0], [REFERENCES]).score
        assert scorer.get_signature().format() in found[name]["signature"]
    lower = as_json(capsys, "--raw", "--lowercase", "--metric", "chrf++", *files[:2])["systems"][0]["metrics"]["chrf++"]
    assert "|case:lc|" in lower["signature"] and lower["counts"]["word_matches_2"] > 0


def test_the_sentence_error_rate_is_the_share_of_items_with_edits(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, "--metric", "ser", *files[:2])["systems"][0]["metrics"]["ser"]
    wrong = sum(reference.split() != text.split() for reference, text in zip(REFERENCES, SYSTEMS[0], strict=True))
    assert found["value"] == 100 * wrong / 30 and found["counts"]["sentence_errors"] == wrong
    several = score_lists("ser", [["a b", "c  d"], "e", ["", "x"]], ["c d", " e ", ""])["ser"]
    assert several.value == 0 and "|tok:word|" in several.signature


def test_one_file_may_be_standard_input(
    files: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def piped(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))

    expected = as_json(capsys, *files[:2])["systems"][0]
    for content in (files[1].read_bytes(), gzip.compress(files[1].read_bytes())):
        piped(content)
        assert as_json(capsys, files[0], "-")["systems"][0] == expected | {"file": "standard input"}
    piped(files[0].read_bytes())
    assert as_json(capsys, "-", files[1])["systems"][0] == expected
    piped(files[0].read_bytes())
    assert "by" in as_json(capsys, "--manifest", "-", "--by", "speaker", *files[:2])["systems"][0]
    refused("-", "-", match="`-`, standard input, must be one file only, got it more than once")
    refused("--manifest", "-", "--by", "speaker", "-", files[1], match="`-`, standard input, must be one file only")
    piped(b"caf\xe9\n")
    refused("-", files[1], match=r"^standard input, line 1: byte 3 is not UTF-8")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    refused("-", files[1], match="`-` must be piped in on standard input, got a terminal")


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="needs files that are pipes")
def test_a_pipe_is_read_from_its_beginning(files: list[Path]) -> None:
    reads, writes = zip(*(os.pipe() for _ in range(2)), strict=True)
    for end, content in zip(writes, (files[0].read_bytes(), gzip.compress(files[1].read_bytes())), strict=True):
        os.write(end, content)
        os.close(end)
    found = read_corpus([Path(f"/dev/fd/{reads[0]}")], [Path(f"/dev/fd/{reads[1]}")])
    assert found == read_corpus([files[0]], [files[1]])


def test_a_page_holds_all_of_it_and_nothing_from_outside(files: list[Path], tmp_path: Path) -> None:
    odd = file(tmp_path, "<odd>", files[1].read_text().replace("cat", "<script>cat</script>"))
    page = tmp_path / "out" / "page.html"
    flags = ["--metric", "wer,bleu", "--by", "snr", "--confusions", 3, "--html", page]
    score(*flags, *files, odd)
    text = page.read_text(encoding="utf-8")
    assert all(
        part in text for part in ("By snr", "Confusions", "<del>the</del> <ins>a</ins>", "&lt;odd&gt;", "p Holm")
    )
    assert "&lt;script&gt;cat" in text and "<script" not in text and "http" not in text and "src=" not in text
    assert text.count("30 worst items by wer") == 4 and "wer|nrefs:1" in text


def test_results_are_written_for_other_scorers(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = figures(capsys, *files[:2])
    score("--write", tmp_path / "hyp.trn", *files[:2])
    capsys.readouterr()
    assert figures(capsys, files[0], tmp_path / "hyp.trn") == expected
    refused("--write", tmp_path / "hyp.json", *files[:2], match="`--write_as` must be one of trn, coco, vqa")
    refused("--write", tmp_path / "h.trn", *files, match="`--write` must be given with one file of hypotheses, got 3")
    refused("--write_as", "coco", *files[:2], match="`--write_as` must be given with `--write FILE`")
    plain = [file(tmp_path, name, "\n".join(own) + "\n") for name, own in (("r", REFERENCES), ("h", SYSTEMS[0]))]
    score("--write", tmp_path / "results.json", "--write_as", "coco", *plain)
    assert json.loads((tmp_path / "results.json").read_text())[4] == {"image_id": 5, "caption": SYSTEMS[0][4]}


def test_language_and_normalizer_reach_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = file(tmp_path, "a", "一只 Dog.\n"), file(tmp_path, "b", "一只 dog\n")
    found = as_json(capsys, "--language", "zho_Hans", "--normalizer", "lower, punctuation", *paths)["systems"][0]
    assert found["metrics"]["wer"]["value"] == 0 and "|tok:zh|" in found["metrics"]["bleu"]["signature"]
    refused("--language", "en-zh", *paths, match="`--language` must be the one of the references, got 'en-zh'; give zh")
    refused("--language", "zh", "--tokenize", "13a", *paths, match="one of language and tokenizer must be given")
    refused("--normalizer", "wisper", *paths, match="a normalizer must be one of lower .*, got 'wisper'")
    refused("--confusions", "-1", *paths, match="`--confusions` must be at least 0, got -1")


def test_alignments_are_folded_to_the_terminal(
    files: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [("日本", "x"), ("same", "same"), (None, "new"), ("old", None), ("a", "b")]
    assert side_by_side(pairs, 16).split("\n\n") == [
        "REF 日本 same\nHYP x    same\n    S",
        "REF ... old a\nHYP new ... b\n    I   D   S",
    ]
    for columns in range(5, 40):
        blocks = side_by_side(pairs, columns).split("\n\n")
        assert all(width(line) <= max(columns, 8) for block in blocks for line in block.split("\n"))
        words = [word for block in blocks for word in block.split("\n")[0].removeprefix("REF").split()]
        assert words == ["日本", "same", "...", "old", "a"]
    assert side_by_side(pairs, 0) == side_by_side(pairs, 80) and side_by_side([], 40) == "REF\nHYP"
    monkeypatch.setenv("COLUMNS", "24")
    score("--metric", "wer", "--details", 30, *files[:2])
    shown = capsys.readouterr().out.split("worst of")[1]
    assert max(map(width, shown.splitlines()[1:])) <= 24 and shown.count("REF") > 30
    monkeypatch.setenv("COLUMNS", "0")
    score("--metric", "wer", "--details", 30, *files[:2])
    assert capsys.readouterr().out.split("worst of")[1].count("REF") == 30


def test_own_metrics_are_found_from_the_folder_one_works_in(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def longest(references, hypothesis):\n    return len(hypothesis)\n")
    words = [sys.executable, "-P", "-m", "seqkit", "score", "--json", "--metric", "mine:longest", *files[:2]]
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(list(map(str, words)), cwd=tmp_path, env=paths, capture_output=True, check=True)
    value = json.loads(done.stdout)["systems"][0]["metrics"]["mine:longest"]["value"]
    assert value == sum(map(len, SYSTEMS[0])) / 30


def test_reading_holds_little_more_than_the_texts(tmp_path: Path) -> None:
    texts = "".join(f"{WORDS[n % 10]} {n}{' cats sat on the mat and saw a dog' * 3}\n" for n in range(4000))
    paths = [file(tmp_path, name, texts) for name in ("references", "hypotheses")]
    tracemalloc.start()
    corpus = read_corpus(paths[:1], paths[1:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(corpus.ids) == 4000 and peak < 10 * len(texts)
