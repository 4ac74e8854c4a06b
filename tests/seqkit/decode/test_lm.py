"""Language models as scorers: what they add, over which tokens, in both beams."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.cli import run_recipe
from seqkit.data.manifest import Item, write_manifest
from seqkit.data.vocab import SPECIALS, CharVocab
from seqkit.decode import LanguageModel, LengthBonus, Mapped, NgramScorer, Search, WordScorer, beam, match, prefix_beam
from seqkit.decode.ngram_file import load
from seqkit.decode.ngram_train import train
from seqkit.errors import InputError
from seqkit.recipes.language_model import recipe as language_model
from seqkit.recipes.language_model.recipe import load_scorer
from tests.oracles import Table, source
from tests.seqkit.decode.test_ctc import scored
from tests.seqkit.decode.test_ngram import ask, corpus

CPU = torch.device("cpu")
TOKENS = [*SPECIALS, *" abcdefgh'"]  # of a search by characters


def texts() -> list[str]:
    return ["".join(sentence).replace("c", " ").strip() for sentence in corpus(3, sentences=120)]


def characters(order: int = 3) -> Any:
    return train([list(text) for text in texts()], order)


def ids(text: str) -> tuple[int, ...]:
    return tuple(TOKENS.index(char) for char in text)


@pytest.mark.parametrize("dense", [0, 1 << 24])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_an_ngram_scorer_says_what_the_model_does(order: int, dense: int) -> None:
    model = characters(order)
    scorer = Mapped(NgramScorer(model, dense=dense), match(TOKENS, model.symbols)[0])
    for text in ["", "ab de", "a'a", "hhhh", *texts()[:10]]:
        assert scored([(scorer, 1.0)], ids(text)) == pytest.approx(sum(ask(model, list(text))), abs=1e-4)
        state, logprobs = scorer.start(1, CPU), []
        for token in (1, *ids(text)):
            bonus_NV, state = scorer.step(torch.tensor([token]), (), state)
            logprobs.append(bonus_NV[0])
        known = [TOKENS.index(symbol) for symbol in model.symbols]
        assert [float(row[known].exp().sum()) for row in logprobs] == pytest.approx([1.0] * len(logprobs), abs=1e-5)


def test_ready_answers_are_those_that_are_looked_up() -> None:
    model, generator = characters(4), torch.Generator().manual_seed(1)
    ready, asked = NgramScorer(model), NgramScorer(model, dense=0)
    assert ready.table is not None and asked.table is None
    states = ready.start(30, CPU), asked.start(30, CPU)
    token_N = torch.ones(30, dtype=torch.int64)
    for _ in range(15):
        first_NW, mine = ready.step(token_N, (), states[0])
        second_NW, theirs = asked.step(token_N, (), states[1])
        assert torch.allclose(first_NW, second_NW, atol=1e-4)
        states, token_N = (mine, theirs), torch.randint(0, len(model.symbols), (30,), generator=generator)


def test_symbols_are_matched_by_name() -> None:
    symbol_V, lacking = match(["<pad>", "<s>", "</s>", "<unk>", "b", "z", "a"], ["<unk>", "<s>", "</s>", "a", "b"])
    assert symbol_V.tolist() == [0, 1, 2, 0, 4, 0, 3] and lacking == ["z"]
    assert match(["<pad>", "b", "z"], ["x", "b", "<unk>"], unknown=2)[0].tolist() == [2, 1, 2]


def test_a_recurrent_model_over_other_numbers_is_mapped() -> None:
    model = Table(7, seed=1)
    symbol_V = torch.tensor([3, 1, 2, 3, 6, 4, 5, 3])
    scorer = Mapped(LanguageModel(model), symbol_V)
    text = (4, 6, 5, 7)
    assert scored([(scorer, 1.0)], text) == pytest.approx(
        scored([(LanguageModel(model), 1.0)], tuple(symbol_V[list(text)].tolist())), abs=1e-9
    )


def test_a_bonus_for_any_token_passes_a_map() -> None:
    bonus_NV, _ = Mapped(LengthBonus(), torch.tensor([2, 1, 0])).step(torch.tensor([1, 1]), (), ())
    assert bonus_NV.tolist() == [[1.0], [1.0]]


def scorers_of_every_kind() -> list[tuple[Any, float]]:
    model = characters()
    words = train([text.split() for text in texts()], 3)
    symbol_V = match(TOKENS, model.symbols)[0]
    return [
        (Mapped(NgramScorer(model), symbol_V), 0.5),
        (Mapped(NgramScorer(model, dense=0), symbol_V), 0.25),
        (LanguageModel(Table(len(TOKENS), seed=4)), 0.3),
        (WordScorer(words, TOKENS, unknown=-1.0), 0.4),
    ]


@pytest.mark.parametrize("which", range(4))
def test_both_beams_add_the_models_log_probability(which: int) -> None:
    scorers = scorers_of_every_kind()[which : which + 1]
    logits_BTV = torch.randn(4, 12, len(TOKENS), generator=torch.Generator().manual_seed(2)).double()
    logits_BTV[..., 4] += 1  # spaces
    search = Search(beam=6, nbest=6, max_len=13)
    found = prefix_beam(logits_BTV, torch.tensor([12, 9, 12, 5]), search, scorers=scorers)
    found += beam(Table(len(TOKENS), seed=5), source(4, 4, seed=5), search, scorers=scorers)
    for tokens, logprob, score in sum(found, []):
        if len(tokens) < 13:
            assert score - logprob == pytest.approx(scored(scorers, tuple(tokens)), abs=1e-4)


def test_a_language_model_chooses_the_word_that_it_knows() -> None:
    model = train([list("the cat"), list("the cat"), list("a cat")], 3)
    tokens = [*SPECIALS, *sorted(set("the cat"))]
    scorer = Mapped(NgramScorer(model), match(tokens, model.symbols)[0])
    logits_BTV = torch.full((1, 3, len(tokens)), -9.0)
    for frame, pair in enumerate(("ch", "aa", "te")):
        for char, value in zip(pair, (0.0, 0.3), strict=True):
            logits_BTV[0, frame, tokens.index(char)] = value
    plain = prefix_beam(logits_BTV, torch.tensor([3]), Search())[0][0]
    fused = prefix_beam(logits_BTV, torch.tensor([3]), Search(), scorers=[(scorer, 0.8)])[0][0]
    assert "".join(tokens[i] for i in plain.tokens) == "hae" and "".join(tokens[i] for i in fused.tokens) == "cat"


@pytest.mark.parametrize("text", ["", "ab de", "abd", "zz", "a", " a  bd ", "ab zz de"])
def test_a_word_model_counts_words_between_spaces(text: str) -> None:
    tokens = [*SPECIALS, *" abdefghz"]
    sentences = [text.split() for text in texts()]
    model = train(sentences, 3)
    scorer = WordScorer(model, tokens, unknown=-0.7)
    unknown = sum(len(word) for word in text.split() if word not in model.symbols)
    found = scored([(scorer, 1.0)], tuple(tokens.index(char) for char in text))
    assert found == pytest.approx(sum(ask(model, text.split())) - 0.7 * unknown, abs=1e-4)


def test_letters_of_a_word_cost_nothing_before_its_end() -> None:
    scorer = WordScorer(train([["ab", "cd"]], 2), TOKENS)
    state = scorer.start(1, CPU)
    bonus_NV, state = scorer.step(torch.tensor([1]), (), state)
    bonus_NV, state = scorer.step(torch.tensor([TOKENS.index("a")]), (), state)
    assert bonus_NV[0].nonzero()[:, 0].tolist() == [2, 4]  # the end and the space


def test_words_with_letters_that_the_search_lacks_are_never_spelt() -> None:
    model = train([["ab", "aé"]], 2)
    scorer = WordScorer(model, [*SPECIALS, *" ab"])
    assert sorted(scorer.word_S.unique().tolist()) == [0, model.symbols.index("ab")]


def test_a_separator_that_is_no_token_is_named() -> None:
    with pytest.raises(ValueError, match="`separator` must be one of the tokens, got '_'"):
        WordScorer(characters(), TOKENS, separator="_")


# The recipe


def command(*words: object) -> int:
    return run_recipe(language_model.RECIPE, [str(word) for word in words])


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


def test_an_ngram_run_is_counted_evaluated_and_used(run: Path, plain: Path, capsys: Any) -> None:
    model = characters()
    stored = load(run / "best/model.ngram")
    assert stored.symbols == model.symbols and (stored.logprob_G == model.logprob_G).all()
    assert command("evaluate", "--run", run, "--data", plain, "--split", "mine") == 0
    report = json.loads((run / "evaluate/mine/report.json").read_text())
    logprobs = [logprob for text in texts() for logprob in ask(model, list(text))]
    perplexity, bits = (report["metrics"][name] for name in ("perplexity", "bits_per_character"))
    assert perplexity["value"] == pytest.approx(math.exp(-sum(logprobs) / len(logprobs)), rel=1e-5)
    assert bits["value"] == pytest.approx(math.log2(perplexity["value"]), rel=1e-9)
    assert perplexity["low"] < perplexity["value"] < perplexity["high"]
    signature = "perplexity|unit:char|normalise:squeeze|end:counted|unknown:counted|seqkit:"
    assert perplexity["signature"].startswith(signature)
    assert report["items"] == 120 and perplexity["counts"]["symbols"] == len(logprobs)
    capsys.readouterr()
    assert command("predict", "--run", run, "ab", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["logprob"] == pytest.approx(sum(ask(model, ["a", "b"])), abs=1e-4)
    assert answer["symbols"] == 3 and answer["unknown"] == 0
    assert command("predict", "--run", run, "ab", "axyz") == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[2] for line in lines] == ["ab", "axyz"]
    assert float(lines[0][0]) == pytest.approx(answer["logprob"] / math.log(10), abs=1e-3)


def test_unknown_words_are_counted_and_left_out(plain: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "word", tmp_path / "other.txt"
    known_word = next(text for text in texts() if text).split()[0]
    other.write_text(f"{known_word} zebra\n\nlion zebra\n")
    assert command("train", "--data", plain, "--out", out, "--order", 2, "--unit", "word") == 0
    assert command("evaluate", "--run", out, "--data", other, "--split", "other") == 0
    metrics = json.loads((out / "evaluate/other/report.json").read_text())["metrics"]
    model = train([text.split() for text in texts()], 2)
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
        assert command("evaluate", "--run", folder, "--data", plain, "--split", "same") == 0
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
            "train", "--data", folder, "--out", folder / "run", "--preset", "tiny", "--epochs", 4, "--batch_tokens", 200
        )
        == 0
    )
    return folder / "run", folder


def test_every_twentieth_line_of_a_file_validates(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("".join(f"{n}\n" for n in range(43)))
    learnt, held_out = language_model.read_parts(tmp_path / "lines.txt")
    assert held_out == ["0", "20", "40"] and learnt == [str(n) for n in range(43) if n % 20]


def test_a_recurrent_model_is_trained_by_the_same_fit(recurrent: tuple[Path, Path]) -> None:
    run, data = recurrent
    assert {path.name for path in run.iterdir()} >= {"config.yaml", "log.jsonl", "best", "last"}
    assert command("evaluate", "--run", run, "--data", data, "--split", "val") == 0
    value = json.loads((run / "evaluate/val/report.json").read_text())["metrics"]["perplexity"]["value"]
    validated = json.loads((run / "best/meta.json").read_text())["metrics"]["perplexity"]
    assert value == pytest.approx(validated, rel=1e-5) and value < 9  # of 12 symbols


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
            expected = json.loads(capsys.readouterr().out)["logprob"]
        assert found == pytest.approx(expected if folder == recurrent[0] else counted, abs=1e-3)


def test_a_model_of_words_scores_characters(plain: Path, tmp_path: Path) -> None:
    assert command("train", "--data", plain, "--out", tmp_path / "word", "--order", 2, "--unit", "word") == 0
    assert isinstance(load_scorer(tmp_path / "word", TOKENS, CPU), WordScorer)
    assert isinstance(load_scorer(tmp_path / "word", [*SPECIALS, "ab", "de"], CPU), Mapped)


def test_a_subword_model_cuts_as_its_run_does(tmp_path: Path, plain: Path) -> None:
    from seqkit.data.vocab import SubwordVocab

    vocab = SubwordVocab.train(texts(), 20)
    (tmp_path / "other/best").mkdir(parents=True)
    (tmp_path / "other/best/meta.json").write_text("{}")
    vocab.save(tmp_path / "other/best", "target")
    out = tmp_path / "lm"
    assert command("train", "--data", plain, "--out", out, "--unit", "subword", "--pieces", tmp_path / "other") == 0
    model = load(out / "best/model.ngram")
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
            ["train", "--data", "{plain}", "--out", "{new}", "--unit", "subword"],
            "`pieces` must be given with unit subword",
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
            ["evaluate", "--run", "{run}", "--data", "{plain}", "--split", "x", "--batch", "0"],
            "`batch` must be at least 1",
        ),
        (
            ["predict", "--run", "{run}", "a", "--nbest", "2"],
            "`--nbest` and `--pictures` must not be given to a language",
        ),
        (["predict", "--run", "{half}", "a"], "must be the run of a language model, got a folder without best/"),
    ],
)
def test_mistakes_are_named(words: list[str], text: str, run: Path, plain: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "half").mkdir()
    (tmp_path / "half/config.yaml").write_text("recipe: language_model\n")
    places = {
        "plain": plain,
        "run": run,
        "new": tmp_path / "new",
        "empty": tmp_path / "empty.txt",
        "half": tmp_path / "half",
    }
    assert command(*(word.format(**places) for word in words)) == 2
    assert text in capsys.readouterr().err


def test_a_model_of_other_symbols_is_named(run: Path) -> None:
    with pytest.raises(InputError, match=r"must be a language model of the same symbols, got none of X Y"):
        load_scorer(run, [*SPECIALS, "X", "Y"], CPU)
