"""Language models of another case, script or spelling than the run whose search they score, and outputs' spaces."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.data.vocab import SPECIALS, CharVocab, SubwordVocab, Vocab, WordVocab
from seqkit.decode import Search, WordScorer, prefix_beam, train_ngram, write_arpa
from seqkit.decode.ngram import Ngram
from seqkit.errors import InputError
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.recipes.language_model.scorer import load_scorer
from seqkit.score.prediction import Prediction, distinct

CPU = torch.device("cpu")
TEXTS = ["bin blue at two now", "set red by nine again", "lay white in four please"]
GREEK = ["και το νερο", "ενα δυο τρια"]


def tokens_of(vocab: Vocab) -> list[str]:
    return [vocab.token(number) for number in range(len(vocab))]


def written(model: Ngram, folder: Path) -> Path:
    with (folder / "lm.arpa").open("wb") as file:
        write_arpa(model, file)
    return folder / "lm.arpa"


def cut(texts: list[str], units: str) -> list[list[str]]:
    return [text.split() if units == "words" else list(text) for text in texts]


UPPER, TITLE = [text.upper() for text in TEXTS], [text.capitalize() for text in TEXTS]


@pytest.mark.parametrize("model_units", ["words", "characters"])
@pytest.mark.parametrize(
    "model, run",
    [(UPPER, TEXTS), (TEXTS, UPPER), (UPPER, TITLE), (TITLE, UPPER)],
    ids=["upper-lower", "lower-upper", "upper-mixed", "mixed-upper"],
)
def test_a_model_in_another_case_is_refused(model: list[str], run: list[str], model_units: str, tmp_path: Path) -> None:
    path = written(train_ngram(cut(model, model_units), 2), tmp_path)
    with pytest.raises(InputError, match="lm.arpa: must be a language model in the case of the run"):
        load_scorer(path, tokens_of(CharVocab.train(run)), CPU)


def test_words_in_another_case_are_refused_by_a_run_of_words(tmp_path: Path) -> None:
    path = written(train_ngram(cut(UPPER, "words"), 2), tmp_path)
    with pytest.raises(InputError, match="in the case of the run, 'blue', got 'BLUE'"):
        load_scorer(path, tokens_of(WordVocab.train([*TEXTS, "BIN"])), CPU)


@pytest.mark.parametrize("model, run", [(TEXTS, TITLE), (TITLE, TEXTS), (TITLE, TITLE), (UPPER, UPPER)])
@pytest.mark.parametrize("units", ["words", "characters"])
def test_a_model_that_differs_in_a_few_capitals_is_taken(
    model: list[str], run: list[str], units: str, tmp_path: Path, capsys: Any
) -> None:
    path = written(train_ngram(cut(model, units), 2), tmp_path)
    load_scorer(path, tokens_of(CharVocab.train(run)), CPU)
    said = capsys.readouterr().err
    if (model, run, units) == (TITLE, TEXTS, "words"):
        assert "3 of 15 words have characters that the run lacks: 'Bin', 'Set', 'Lay'" in said


@pytest.mark.parametrize("units", ["words", "characters"])
def test_a_model_in_another_script_is_refused(units: str, tmp_path: Path) -> None:
    path = written(train_ngram(cut([*GREEK * 20, "ok"], units), 2), tmp_path)
    with pytest.raises(InputError, match="must be a language model of the same symbols, got none of .* … but"):
        load_scorer(path, tokens_of(CharVocab.train(TEXTS)), CPU)


def test_a_model_of_words_is_refused_by_a_run_of_subwords(tmp_path: Path) -> None:
    path = written(train_ngram(cut(TEXTS, "words"), 2), tmp_path)
    vocab = SubwordVocab.train(TEXTS, 60)
    with pytest.raises(InputError, match="must be a language model of the same symbols, got none of"):
        load_scorer(path, tokens_of(vocab), CPU)
    path = written(train_ngram([vocab.tokens(text) for text in TEXTS], 2), tmp_path)
    load_scorer(path, tokens_of(vocab), CPU)


def test_a_model_of_words_is_refused_by_a_run_of_characters_without_spaces(tmp_path: Path) -> None:
    path = written(train_ngram([["私", "は", "学生"], ["私", "です"]], 2), tmp_path)
    with pytest.raises(InputError, match="must be a language model of characters, as the run, got one of words"):
        load_scorer(path, tokens_of(CharVocab.train(["私は学生です"])), CPU)


@pytest.mark.parametrize("vocab", [SubwordVocab.train(TEXTS, 60), WordVocab.train([*TEXTS, *"abcdefghijklmnop"])])
def test_a_model_of_characters_is_refused_by_other_runs(vocab: Vocab, tmp_path: Path) -> None:
    path = written(train_ngram(cut(TEXTS, "characters"), 2), tmp_path)
    with pytest.raises(
        InputError, match="must be a language model of (subwords|words), as the run, got one of charact"
    ):
        load_scorer(path, tokens_of(vocab), CPU)


def test_no_text_has_double_or_outer_spaces() -> None:
    for vocab in (CharVocab.train(TEXTS), SubwordVocab.train(TEXTS, 40)):
        space = next(token for token in tokens_of(vocab) if token in (" ", "▁"))
        pieces = [space, space, *vocab.tokens("bin"), space, space, *vocab.tokens("at"), space]
        ids = [tokens_of(vocab).index(piece) for piece in pieces]
        assert vocab.decode(ids) == vocab.join(pieces) == "bin at"


def test_a_search_with_a_model_of_words_writes_single_spaces() -> None:
    """Empty words cost nothing, so that a search that could write them would prefer them to any word."""
    tokens = [*SPECIALS, *" abcd"]
    scorer = WordScorer(train_ngram([["ab", "cd"], ["cd"]], 2), tokens, unknown=-5.0)
    logits_BTV = torch.randn(24, 14, len(tokens), generator=torch.Generator().manual_seed(1))
    logits_BTV[..., tokens.index(" ")] += 2
    found = prefix_beam(logits_BTV, torch.full((24,), 14), Search(beam=20, nbest=20), scorers=[(scorer, 1.0)])
    texts = [["".join(tokens[i] for i in best.tokens) for best in some] for some in found]
    assert sum(map(len, texts)) > 100 and all(text == " ".join(text.split()) for some in texts for text in some)
    assert all(len(set(some)) == len(some) for some in texts)
    [[first], *_] = prefix_beam(logits_BTV, torch.full((24,), 14), Search(beam=1), scorers=[(scorer, 1.0)])
    assert first.tokens and first.score > float("-inf")


def test_entries_of_an_n_best_list_differ_in_their_texts() -> None:
    found = [Prediction(text, -float(n), -float(n)) for n, text in enumerate(("a b", "a b", "ab", "a b", "b"))]
    assert [(one.text, one.logprob) for one in distinct(found, 2)] == [("a b", -0.0), ("ab", -2.0)]
    assert SearchOptions(beam=5).search(9, 3).nbest == 5 and SearchOptions(beam=5).search(9, 1).nbest == 1
