"""The three files of an evaluation: their contract, their figures, and that they are written whole."""

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from seqkit.errors import InputError
from seqkit.score.evaluate import scores_with_intervals, statistics
from seqkit.score.metric import TextOptions
from seqkit.score.report import Provenance, ScoredItem, commit, format_table, has_loop, versions, write_report

ITEMS = [
    ScoredItem("a1", ["the cat sat on the mat"], "the cat sat on the mat", -1.5, -0.25),
    ScoredItem("b2", ["a dog runs", "the dog is running"], "a dog <b>sleeps</b> & runs", -9.0, -2.0, cut=True),
    ScoredItem("c3", ["日本語 です"], "です です です です", float("-inf"), None),
    ScoredItem("d4", ["one two three <four> five"], "one two three five", -3.0, -1.0),
]
ABOUT = Provenance("translation", "test_2016", None, "cpu", {"beam": 5, "seconds": 8.0})


def written(folder: Path, **changes: Any) -> dict[str, Any]:
    return write_report(folder, changes.pop("items", ITEMS), ["wer", "bleu"], changes.pop("about", ABOUT), **changes)


def test_the_report_has_the_keys_of_the_contract_and_is_what_the_file_holds(tmp_path: Path) -> None:
    manifest = tmp_path / "test_2016.jsonl"
    manifest.write_bytes(b"abc")
    report = written(tmp_path / "evaluate", about=ABOUT._replace(manifest=manifest))
    assert report == json.loads((tmp_path / "evaluate" / "report.json").read_text())
    assert list(report) == [
        "recipe",
        "run",
        "split",
        "items",
        "metrics",
        "remarks",
        "by",
        "decode",
        "calibration",
        "data_sha256",
        "commit",
        "device",
        "versions",
        "command",
    ]
    facts = [report[key] for key in ("recipe", "split", "items", "device")]
    assert facts == ["translation", "test_2016", 4, "cpu"]
    assert report["data_sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert list(report["metrics"]["wer"]) == ["value", "low", "high", "signature", "counts"]
    assert report["decode"] == {
        "beam": 5,
        "seconds": 8.0,
        "items_per_second": 0.5,
        "cut_at_maximum_length": 1,
        "repetition_loops": 1,
    }
    assert {"seqkit", "python", "torch", "numpy", "jiwer", "sacrebleu"} == set(report["versions"]) == set(versions())
    assert sorted(path.name for path in (tmp_path / "evaluate").iterdir()) == [
        "hypotheses.jsonl",
        "report.html",
        "report.json",
    ]


def test_figures_are_those_of_the_scorers(tmp_path: Path) -> None:
    report = written(tmp_path)
    tallies = statistics(["wer", "bleu"], [item.references for item in ITEMS], [item.hypothesis for item in ITEMS])
    assert report["metrics"] == {name: score._asdict() for name, score in scores_with_intervals(tallies).items()}
    assert report["data_sha256"] is None


def test_hypotheses_have_the_keys_of_the_contract_and_valid_json(tmp_path: Path) -> None:
    written(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "hypotheses.jsonl").read_text("utf-8").splitlines()]
    assert lines[1] == {
        "id": "b2",
        "references": ["a dog runs", "the dog is running"],
        "hypothesis": "a dog <b>sleeps</b> & runs",
        "logprob": -9.0,
        "score": -2.0,
    }
    assert lines[2]["logprob"] is None and lines[2]["score"] is None


def test_a_breakdown_scores_each_group_by_itself_in_natural_order(tmp_path: Path) -> None:
    report = written(tmp_path, by={"length": ["10 to 19", "9", None, "9"], "speaker": [None] * 4})
    assert list(report["by"]["length"]) == ["9", "10 to 19"] and report["by"]["speaker"] == {}
    some = (ITEMS[1], ITEMS[3])
    alone = scores_with_intervals(
        statistics(["wer"], [item.references for item in some], [item.hypothesis for item in some])
    )
    assert report["by"]["length"]["9"]["wer"]["value"] == alone["wer"].value
    assert report["by"]["length"]["9"]["wer"]["counts"]["items"] == 2
    assert "9 " in format_table(report)


def test_conditions_bring_hypotheses_of_their_own(tmp_path: Path) -> None:
    noisy = [item._replace(hypothesis="") for item in ITEMS]
    report = written(tmp_path, conditions={"snr": {"clean": ITEMS, "-5": noisy}})
    assert list(report["by"]["snr"]) == ["clean", "-5"]
    assert report["by"]["snr"]["clean"] == report["metrics"]
    assert report["by"]["snr"]["-5"]["wer"]["value"] == 100.0


def test_conditions_of_single_words_have_no_bleu_of_four(tmp_path: Path) -> None:
    words = [ScoredItem("w1", ["cat"], "cat"), ScoredItem("w2", ["dog"], "mat")]
    report = written(tmp_path, conditions={"position": {"1": words, "2": words[:1]}, "noise": {"0": words, "5": ITEMS}})
    assert [list(scores) for scores in report["by"]["position"].values()] == [["wer"]] * 2
    assert [list(scores) for scores in report["by"]["noise"].values()] == [["wer", "bleu"]] * 2
    write_report(tmp_path, words, ["bleu"], ABOUT, conditions={"position": {"1": words}})  # nothing else to show
    assert "By position" in (tmp_path / "report.html").read_text()


def test_what_only_searched_texts_have_stands_with_them_alone(tmp_path: Path) -> None:
    report = written(tmp_path, about=ABOUT._replace(decode={"seconds": 8.0}))
    assert set(report["decode"]) == {"seconds", "items_per_second"}


def test_items_that_are_their_own_references_show_no_edits(tmp_path: Path) -> None:
    written(tmp_path, items=[ITEMS[0]])
    assert "edits" not in (tmp_path / "report.html").read_text()
    written(tmp_path)
    assert "edits" in (tmp_path / "report.html").read_text()


def test_text_options_reach_figures_signature_and_page(tmp_path: Path) -> None:
    items = [ScoredItem("a", ["The End."], "the end")]
    report = written(tmp_path, items=items, options=TextOptions(lowercase=True, punctuation=False))
    assert report["metrics"]["wer"]["value"] == 0.0 and "case:lc" in report["metrics"]["wer"]["signature"]
    assert '<td class="text" dir="auto">the end</td>' in (tmp_path / "report.html").read_text()


class Page(HTMLParser):
    """Collects what a browser would fetch, and checks that every element is closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [tag for name, _ in attrs if name in ("src", "href")]
        self.fetched += [tag] * (tag in ("script", "link", "img"))
        self.open += [tag] * (tag not in ("meta", "br"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_but_itself_and_shows_the_worst_items_first(tmp_path: Path) -> None:
    written(tmp_path, by={"length": ["1", "2", "1", "2"]})
    page = (tmp_path / "report.html").read_text("utf-8")
    parser = Page()
    parser.feed(page)
    assert parser.open == [] and parser.fetched == [] and "http" not in page and "url(" not in page
    assert re.findall(r"<code>([abcd]\d)</code>", page) == ["c3", "b2", "d4", "a1"]
    assert "one two three <del>&lt;four&gt;</del> five" in page
    assert "a dog <ins>&lt;b&gt;sleeps&lt;/b&gt; &amp;</ins> runs" in page and "<b>" not in page
    assert "prefers-color-scheme: dark" in page


def test_character_alignments_where_characters_are_scored(tmp_path: Path) -> None:
    write_report(tmp_path, [ScoredItem("a", ["abc"], "abd")], ["cer"], ABOUT)
    assert "ab<del>c</del><ins>d</ins>" in (tmp_path / "report.html").read_text()


def test_better_is_higher_for_bleu_when_the_worst_are_sought(tmp_path: Path) -> None:
    items = [ScoredItem("right", ["a b c d e"], "a b c d e"), ScoredItem("wrong", ["a b c d e"], "a b x y z")]
    write_report(tmp_path, items, ["bleu"], ABOUT)
    page = (tmp_path / "report.html").read_text()
    assert page.index("wrong") < page.index("right</code>")


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("", False),
        ("a", False),
        ("a a", False),
        ("a a a", True),
        ("x a b a b a b y", True),
        ("a b a b a", False),
        ("a b c a b c a b c", True),
        ("a b c a b c a b", False),
        ("a b b a b b c a", False),
        ("a a b a a b b", False),
        ("x a a b a a b a a b", True),
        ("no no yes no", False),
    ],
)
def test_loops_are_runs_three_times_in_a_row(text: str, loops: bool) -> None:
    words = text.split()
    assert has_loop(words) is loops
    runs = [words[i : i + n] for n in range(1, len(words) + 1) for i in range(len(words)) if words[i : i + n]]
    assert loops is any(" ".join([""] + run * 3 + [""]) in f" {text} " for run in runs)


def test_commit_is_that_of_a_file_under_version_control(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    file, other = tmp_path / "a.py", tmp_path / "b.py"
    file.write_text("1"), other.write_text("2")
    assert commit(file) is None
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "a.py"], check=True)
    assert commit(file) is None
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit(file) == head and len(head) == 40
    assert commit(other) is None and commit(tmp_path / "missing" / "c.py") is None


def test_commit_is_null_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert written(tmp_path)["commit"] is None


def test_the_table_shows_every_figure(tmp_path: Path) -> None:
    report = written(tmp_path, by={"length": ["1", "2", "1", "2"]})
    table = format_table(json.loads((tmp_path / "report.json").read_text()))
    assert table.startswith("translation, test_2016: 4 items\n")
    for score in report["metrics"].values():
        assert f"{score['value']:.2f}" in table and score["signature"] in table
    assert f"{report['by']['length']['2']['wer']['value']:.2f} [" in table
    assert "beam 5" in table and "repetition_loops 1" in table
    assert all(len(line) <= 120 for line in table.splitlines() if "|" not in line)  # a signature stays whole


def test_faults_are_told_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a metric must be one of"):
        write_report(tmp_path / "new", ITEMS, ["blue"], ABOUT)
    with pytest.raises(ValueError, match=r"`by\['length'\]` must hold the group of each of 4 items, got 1"):
        written(tmp_path / "new", by={"length": ["1"]})
    with pytest.raises(ValueError, match=r"`hypotheses` must be at least one, got none"):
        written(tmp_path / "new", items=[])
    assert not (tmp_path / "new").exists()
