"""Variants side by side: what each is trained and scored with, and how they are tested against the first."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit import compare
from seqkit.errors import InputError
from seqkit.recipe import EvaluationReport, Recipe
from seqkit.score.confidence import holm
from seqkit.score.metric import AS_IT_IS
from seqkit.score.report import Provenance, ScoredItem, write_report
from seqkit.train.loop import Outcome
from seqkit.train.state import Progress
from tests.pretend_recipe import pretend

VARIANTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "wide": {"hidden": 9, "sizes": (1, 2)},
    "greedy": {"beam": 1},
    "wide_greedy": {"hidden": 9, "sizes": (1, 2), "beam": 1, "penalty": None},
}
SAID = {"usual": ["a b", "c x"], "wide": ["a b", "c d"], "greedy": ["a x", "x x"], "wide_greedy": ["a b", "c x"]}


class Commands:
    """Train and evaluate that note their words and leave what `compare` reads."""

    def __init__(self, ending: Any = "finished", log: list[dict[str, Any]] | None = None) -> None:
        self.trained: list[list[str]] = []
        self.evaluated: list[list[str]] = []
        self.ending, self.log = ending, log or [{"step": 30, "seconds": 2.5}]

    def train(self, argv: list[str]) -> Outcome:
        self.trained.append(argv)
        folder = Path(argv[argv.index("--out") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in self.log))
        return Outcome(self.ending, Progress())

    def evaluate(self, argv: list[str]) -> EvaluationReport:
        self.evaluated.append(argv)
        name = argv[argv.index("--name") + 1]
        folder = Path(argv[argv.index("--run") + 1]) / "evaluate" / name
        items = [
            ScoredItem(str(n), [ref], said)
            for n, (ref, said) in enumerate(zip(["a b", "c\u2028d"], SAID[name], strict=True))
        ]
        write_report(folder, items, ["wer"], Provenance("pretend", "val", None, "cpu", {"seconds": 1.0}))
        return EvaluationReport(folder, "", AS_IT_IS)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return pretend(tmp_path, [])._replace(variants=VARIANTS)


Compared = Callable[..., tuple[Commands, dict[str, Any]]]


@pytest.fixture
def compared(recipe: Recipe, tmp_path: Path) -> Compared:
    def run(*words: str, **others: Any) -> tuple[Commands, dict[str, Any]]:
        commands = Commands(**others)
        argv = ["--data", "D", "--out", str(tmp_path / "out"), *words]
        compare.run(recipe, argv, commands.train, commands.evaluate)
        (written,) = (tmp_path / "out").glob("compare_*.json")
        return commands, json.loads(written.read_text())

    return run


def test_each_variant_is_trained_with_its_changes_and_what_all_share(compared: Compared, tmp_path: Path) -> None:
    commands, _ = compared("--preset", "tiny", "--steps", "7", "--variants", "usual,wide")
    shared = ["--resume", "--preset", "tiny", "--steps", "7"]
    assert commands.trained == [
        ["--data", "D", "--out", str(tmp_path / "out/usual"), *shared],
        ["--data", "D", "--out", str(tmp_path / "out/wide"), *shared, "--hidden", "9", "--sizes", "[1, 2]"],
    ]
    assert [words[words.index("--split") + 1] for words in commands.evaluated] == ["val", "val"]


def test_variants_that_differ_in_search_alone_share_a_run(compared: Compared, tmp_path: Path) -> None:
    commands, _ = compared("--split", "test", "--snr", "5 0")
    folders = [words[words.index("--out") + 1] for words in commands.trained]
    assert folders == [str(tmp_path / "out" / name) for name in ("usual", "wide", "usual", "wide")]
    assert not any("--beam" in words or "--snr" in words for words in commands.trained)
    data = ["--data", "D", "--split", "test"]
    for words, folder, name, search in zip(
        commands.evaluated,
        folders,
        VARIANTS,
        ([], [], ["--beam", "1"], ["--beam", "1", "--penalty", "null"]),
        strict=True,
    ):
        assert words == ["--run", folder, *data, "--name", name, *search, "--snr", "5 0"]


def test_every_variant_is_tested_against_the_first(compared: Compared, capsys: pytest.CaptureFixture[str]) -> None:
    _, written = compared("--variants", "usual,wide, greedy,")
    assert [(own["variant"], own["metrics"]["wer"]["value"]) for own in written["variants"]] == [
        ("usual", 25),
        ("wide", 0),
        ("greedy", 75),
    ]
    first, wide, greedy = (own["differences"] for own in written["variants"])
    assert first == {} and wide["wer"]["value"] == -25 and greedy["wer"]["value"] == 50
    assert [(own["steps"], own["seconds"]) for own in written["variants"]] == [(30, 2.5)] * 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["metric", "variant", "value", "difference", "p_holm", "steps", "seconds"]
    p_values = [own["wer"]["p_value"] for own in (wide, greedy)]
    assert [own["wer"]["p_holm"] for own in (wide, greedy)] == holm(p_values)
    assert [line.split()[:3] for line in lines[1:]] == [
        ["wer", "usual", "25.00"],
        ["wer", "wide", "0.00"],
        ["wer", "greedy", "75.00"],
    ]
    assert "-25.00 [" in lines[2]


def test_an_interrupted_training_ends_the_comparison(recipe: Recipe, tmp_path: Path) -> None:
    commands = Commands("interrupted")
    compare.run(recipe, ["--out", str(tmp_path / "out")], commands.train, commands.evaluate)
    assert len(commands.trained) == 1 and not commands.evaluated and not list(tmp_path.glob("out/*.json"))


def test_the_best_of_all_validations_is_shown_beside(compared: Compared, capsys: pytest.CaptureFixture[str]) -> None:
    log = [
        {"step": 1, "validation": {"wer": 9.0, "extra_wer": 40.0, "extra_bleu": 3.0}},
        {"step": 2, "validation": {"wer": 8.0, "extra_wer": 30.0, "extra_bleu": 2.0}},
        {"step": 2, "seconds": 1.0},
    ]
    _, written = compared("--variants", "usual", log=log)
    assert written["variants"][0]["best_of_all_validations"] == {"wer": 30.0, "bleu": 3.0}
    assert capsys.readouterr().out.splitlines()[1].endswith("30.00")


def test_what_cannot_be_compared(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="`--variants` must be among usual, wide, greedy, wide_greedy, got 'wied'"):
        compare.run(recipe, ["--out", "o", "--variants", "usual,wied"], Commands().train, Commands().evaluate)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="`compare` must run as one process; train its variants one by one"):
        compare.run(recipe, ["--out", "o"], Commands().train, Commands().evaluate)


def test_a_split_without_references_is_no_comparison(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "val.jsonl").write_text('{"id": "1", "source": "a"}\n')
    commands = Commands()
    with pytest.raises(InputError, match="`--split` must have references to compare by, got val, of which no item has"):
        compare.run(recipe, ["--data", str(tmp_path), "--out", str(tmp_path)], commands.train, commands.evaluate)
    assert not commands.trained


def test_help_says_what_each_variant_changes(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        compare.run(recipe, ["--help"], Commands().train, Commands().evaluate)
    shown = capsys.readouterr().out
    assert "hidden 9, sizes [1, 2], beam 1, penalty null" in shown and "[--variants NAMES]" in shown
