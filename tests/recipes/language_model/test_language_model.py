"""The language model recipe: counted and recurrent models, alone and as scorers of other searches."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import seqkit
from seqkit.cli import main
from seqkit.data.manifest import Item, write_manifest
from seqkit.data.vocab import SPECIALS, CharVocab
from seqkit.decode import MappedScorer, WordScorer
from seqkit.decode.ngram_file import load_ngram
from seqkit.decode.ngram_train import train_ngram
from seqkit.errors import InputError
from seqkit.recipes.language_model.data import read_splits
from seqkit.recipes.language_model.scorer import load_scorer
from tests.seqkit.decode.test_ctc import scored
from tests.seqkit.decode.test_lm import CPU, TOKENS, characters, texts
from tests.seqkit.decode.test_ngram import ask


def command(*words: object) -> int:
    return main(["language_model", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    path.write_text("".join(f"{text}\n" for text in texts()))
    return path


@pytest.fixture(scope="module")
def run(plain: Path) -> Path:
    out = plain.parent / "char"
    assert command("train", "--data", plain, "--out", out, "--order", 3, "--arpa", "true") == 0
    return out


def test_a_strangers_model_is_not_overwritten(plain: Path, tmp_path: Path, capsys: Any) -> None:
    mine = tmp_path / "run" / "model.arpa"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert command("train", "--data", plain, "--out", mine.parent, "--order", 2, "--arpa", "true") == 2
    assert "model.arpa: must not be there yet, got a file of another's" in capsys.readouterr().err
    assert mine.read_text() == "mine" and [path.name for path in mine.parent.iterdir()] == ["model.arpa"]
    assert command("train", "--data", plain, "--out", mine.parent, "--order", 2) == 0
    assert mine.read_text() == "mine"


def test_an_ngram_run_is_counted_evaluated_and_used(run: Path, plain: Path, capsys: Any) -> None:
    model = characters()
    stored = load_ngram(run / "best/model.ngram")
    assert stored.symbols == model.symbols and (stored.logprob_G == model.logprob_G).all()
    assert command("evaluate", "--run", run, "--data", plain, "--split", "mine") == 0
    report = json.loads((run / "evaluate/mine/report.json").read_text())
    logprobs = [logprob for text in texts() for logprob in ask(model, list(text))]
    perplexity, bits = (report["metrics"][name] for name in ("perplexity", "bits_per_character"))
    assert perplexity["value"] == pytest.approx(math.exp(-sum(logprobs) / len(logprobs)), rel=1e-5)
    assert bits["value"] == pytest.approx(math.log2(perplexity["value"]), rel=1e-9)
    assert perplexity["low"] < perplexity["value"] < perplexity["high"]
    signature = "perplexity|units:characters|normalize:normalize_whitespace|end:counted|unknown:counted|seqkit:"
    assert perplexity["signature"].startswith(signature)
    assert report["items"] == 120 and perplexity["counts"]["symbols"] == len(logprobs)
    lines = [json.loads(line) for line in (run / "evaluate/mine/hypotheses.jsonl").read_text().splitlines()]
    assert [line["hypothesis"] for line in lines] == texts()
    assert [line["logprob"] for line in lines] == pytest.approx(
        [sum(ask(model, list(text))) for text in texts()], abs=1e-3
    )
    shown = capsys.readouterr().out
    assert f"{len(logprobs):,} symbols and ends, 0 unknown: perplexity {perplexity['value']:.4f}" in shown


def test_a_text_is_given_its_log_probability_in_nats(run: Path, capsys: Any) -> None:
    model = characters()
    assert command("predict", "--run", run, "ab", "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)["predictions"]
    assert answer["text"] == "ab"
    assert answer["logprob"] == pytest.approx(sum(ask(model, ["a", "b"])), abs=1e-4)
    assert answer["score"] == pytest.approx(answer["logprob"] / 3, abs=1e-6)  # two symbols and the end
    found = [best for best, *_ in seqkit.load(run).predict(["ab", "axyz", ""])]
    unknown = model.symbols.index("<unk>")
    assert [(len(best.tokens), best.tokens.count(unknown)) for best in found] == [(2, 0), (4, 3), (0, 0)]
    assert command("predict", "--run", run, "ab", "axyz") == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[2] for line in lines] == ["ab", "axyz"]
    assert float(lines[0][0]) == pytest.approx(answer["logprob"], abs=1e-3)
    assert float(lines[0][1]) == pytest.approx(math.exp(-answer["score"]), abs=1e-3)


def test_unknown_words_are_counted_and_left_out(plain: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "word", tmp_path / "other.txt"
    known_word = next(text for text in texts() if text).split()[0]
    other.write_text(f"{known_word} zebra\n\nlion zebra\n")
    assert command("train", "--data", plain, "--out", out, "--order", 2, "--units", "words") == 0
    assert command("evaluate", "--run", out, "--data", other, "--split", "other", "--name", "other") == 0
    metrics = json.loads((out / "evaluate/other/report.json").read_text())["metrics"]
    model = train_ngram([text.split() for text in texts()], 2)
    known = [
        x
        for text, marks in ((f"{known_word} zebra", (1, 0, 1)), ("", (1,)), ("lion zebra", (0, 0, 1)))
        for x, mark in zip(ask(model, text.split()), marks, strict=True)
        if mark
    ]
    assert metrics["perplexity_known"]["value"] == pytest.approx(math.exp(-sum(known) / len(known)), rel=1e-5)
    assert metrics["perplexity"]["counts"]["unknown"] == 3
    assert metrics["perplexity"]["value"] != metrics["perplexity_known"]["value"]


def test_a_model_made_elsewhere_is_taken_as_it_is(run: Path, plain: Path, tmp_path: Path) -> None:
    assert command("train", "--data", run / "model.arpa", "--out", tmp_path / "again") == 0
    values = []
    for folder in run, tmp_path / "again":
        assert command("evaluate", "--run", folder, "--data", plain, "--split", "same", "--name", "same") == 0
        values.append(json.loads((folder / "evaluate/same/report.json").read_text())["metrics"]["perplexity"]["value"])
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_finished_model_says_so(run: Path, plain: Path, capsys: Any) -> None:
    assert command("train", "--data", plain, "--out", run, "--resume") == 0
    assert "already finished" in capsys.readouterr().err
    assert command("train", "--data", plain, "--out", run) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run over manifests, and their folder."""
    folder = tmp_path_factory.mktemp("recurrent")
    for part, own in (("train", texts()[:100]), ("val", texts()[100:])):
        write_manifest(
            folder / f"{part}.jsonl", (Item(id=str(place), references=(text or "a",)) for place, text in enumerate(own))
        )
    assert (
        command(
            "train", "--data", folder, "--out", folder / "run", "--preset", "tiny", "--epochs", 4, "--batch_budget", 200
        )
        == 0
    )
    return folder / "run", folder


def test_every_twentieth_line_of_a_file_validates(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("".join(f"{n}\n" for n in range(43)))
    learned, held_out = read_splits(tmp_path / "lines.txt")
    assert held_out == ["0", "20", "40"] and learned == [str(n) for n in range(43) if n % 20]


def test_a_recurrent_model_is_trained_by_the_same_fit(recurrent: tuple[Path, Path]) -> None:
    run, data = recurrent
    assert {path.name for path in run.iterdir()} >= {"config.yaml", "log.jsonl", "best", "last"}
    assert command("evaluate", "--run", run, "--data", data, "--split", "val") == 0
    value = json.loads((run / "evaluate/val/report.json").read_text())["metrics"]["perplexity"]["value"]
    validated = json.loads((run / "best/meta.json").read_text())["metrics"]["perplexity"]
    assert value == pytest.approx(validated, rel=1e-5) and value < 9  # of 12 symbols


def test_an_ensemble_gives_the_mean_of_probabilities(run: Path, recurrent: tuple[Path, Path], tmp_path: Path) -> None:
    """Symbol by symbol, and of any kind of model over the same symbols; a run with itself is the run."""
    inputs = ["ab", "axyz", "", texts()[0]]
    alone, other, both, twice = (
        seqkit.load(runs).predictor for runs in (run, recurrent[0], [run, recurrent[0]], [run, run])
    )
    scored_texts = (predictor.score(inputs) for predictor in (alone, other, both, twice))
    for first, second, mean, same in zip(*scored_texts, strict=True):
        expected = [math.log((math.exp(a) + math.exp(b)) / 2) for a, b in zip(first[1], second[1], strict=True)]
        assert mean.logprobs == pytest.approx(expected, abs=1e-9)
        assert same.logprobs == pytest.approx(first.logprobs, abs=1e-9) and same.tokens == first.tokens


def test_another_runs_vocabulary_is_kept(recurrent: tuple[Path, Path], tmp_path: Path, capsys: Any) -> None:
    run, data = recurrent
    (tmp_path / "val.jsonl").write_bytes((data / "val.jsonl").read_bytes())
    write_manifest(tmp_path / "train.jsonl", [Item(id="0", references=("xyz",))])
    more = ("--preset", "tiny", "--steps", "1", "--init", run)
    assert command("train", "--data", tmp_path, "--out", tmp_path / "next", *more) == 0
    assert (tmp_path / "next/best/target.json").read_bytes() == (run / "best/target.json").read_bytes()
    assert "0 left as they were" in capsys.readouterr().err
    assert command("train", "--data", tmp_path, "--out", tmp_path / "words", "--units", "words", *more) == 2
    assert "`units` must be those of the vocabulary in" in capsys.readouterr().err


def test_subwords_are_trained_where_no_run_gives_them(plain: Path, tmp_path: Path) -> None:
    for kind in ("ngram", "recurrent"):
        size = ("--preset", "tiny", "--kind", kind, "--steps", 1, "--units", "subwords", "--vocab_size", 40)
        assert command("train", "--data", plain, "--out", tmp_path / kind, *size) == 0
        found = [best for best, *_ in seqkit.load(tmp_path / kind).predict(texts())]
        assert 0 < sum(len(best.tokens) for best in found) < sum(map(len, texts()))
        assert all(best.logprob < 0 for best in found)


def test_either_kind_scores_the_searches_of_others(run: Path, recurrent: tuple[Path, Path], capsys: Any) -> None:
    vocab = CharVocab.train(texts())
    tokens = [vocab.token(i) for i in range(len(vocab))]
    text = texts()[0]
    counted = sum(ask(characters(), list(text)))
    for folder in run, recurrent[0], run / "model.arpa", run / "best/model.ngram":
        scorer = load_scorer(folder, tokens, CPU)
        found = scored([(scorer, 1.0)], tuple(vocab.encode(text)))
        if folder.is_dir():
            capsys.readouterr()
            assert command("predict", "--run", folder, text, "--json") == 0
            expected = json.loads(capsys.readouterr().out)["predictions"][0]["logprob"]
        assert found == pytest.approx(expected if folder == recurrent[0] else counted, abs=1e-3)


def test_a_model_of_words_scores_characters(plain: Path, tmp_path: Path) -> None:
    assert command("train", "--data", plain, "--out", tmp_path / "word", "--order", 2, "--units", "words") == 0
    assert isinstance(load_scorer(tmp_path / "word", TOKENS, CPU), WordScorer)
    assert isinstance(load_scorer(tmp_path / "word", [*SPECIALS, "ab", "de"], CPU), MappedScorer)


def test_a_subword_model_cuts_as_its_run_does(tmp_path: Path, plain: Path) -> None:
    from seqkit.data.vocab import SubwordVocab

    vocab = SubwordVocab.train(texts(), 20)
    (tmp_path / "other/best").mkdir(parents=True)
    (tmp_path / "other/best/meta.json").write_text("{}")
    vocab.save(tmp_path / "other/best", "target")
    out = tmp_path / "lm"
    assert (
        command("train", "--data", plain, "--out", out, "--units", "subwords", "--subword_run", tmp_path / "other") == 0
    )
    model = load_ngram(out / "best/model.ngram")
    assert set(model.symbols[3:]) <= {vocab.token(i) for i in range(len(vocab))}
    assert command("evaluate", "--run", out, "--data", plain, "--split", "same") == 0
    scorer, text = load_scorer(out, [vocab.token(i) for i in range(len(vocab))], CPU), texts()[0]
    expected = sum(ask(model, vocab.tokens(text)))
    assert scored([(scorer, 1.0)], tuple(vocab.encode(text))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "words, text",
    [
        (["train", "--data", "{plain}", "--out", "{new}", "--order", "0"], "`order` must be at least 1, got 0"),
        (
            ["train", "--data", "{plain}", "--out", "{new}", "--units", "words", "--subword_run", "{run}"],
            "`subword_run` must be null for units words",
        ),
        (
            ["train", "--data", "{run}/model.arpa", "--out", "{new}", "--units", "subwords"],
            "`subword_run` must be given with an ARPA file of subwords, got null",
        ),
        (
            ["train", "--data", "{plain}", "--out", "{new}", "--init", "{run}"],
            "`--init` must not be given for an n-gram",
        ),
        (["train", "--data", "{new}/none.txt", "--out", "{new}"], "none.txt"),
        (
            ["evaluate", "--run", "{run}", "--data", "{empty}", "--split", "x"],
            "must hold at least one text, got an empty",
        ),
        (
            ["evaluate", "--run", "{run}", "--data", "{plain}", "--split", "x", "--decode_batch_size", "0"],
            "`decode_batch_size` must be at least 1",
        ),
        (
            ["predict", "--run", "{run}", "a", "--nbest", "2"],
            "`nbest` must be 1 for a language model, which scores its inputs, got 2",
        ),
        (["predict", "--run", "{run}", "a", "--plots", "{new}"], "plots need a model with attention, got a language"),
        (["predict", "--run", "{half}", "a"], "half: must hold a checkpoint, best/ or last/, got none: train first"),
        (["predict", "--run", "{run}", "--run", "{words}", "a"], "words, which has another than the first"),
    ],
)
def test_mistakes_are_named(words: list[str], text: str, run: Path, plain: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "half").mkdir()
    if "{words}" in words:
        assert command("train", "--data", plain, "--out", tmp_path / "words", "--units", "words") == 0
    (tmp_path / "half/config.yaml").write_text("recipe: language_model\n")
    places = {
        "plain": plain,
        "run": run,
        "new": tmp_path / "new",
        "empty": tmp_path / "empty.txt",
        "half": tmp_path / "half",
        "words": tmp_path / "words",
    }
    assert command(*(word.format(**places) for word in words)) == 2
    assert text in capsys.readouterr().err


def test_a_model_of_other_symbols_is_named(run: Path) -> None:
    with pytest.raises(InputError, match=r"must be a language model of the same symbols, got none of X Y"):
        load_scorer(run, [*SPECIALS, "X", "Y"], CPU)
