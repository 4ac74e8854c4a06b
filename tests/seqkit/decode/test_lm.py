"""Language models as scorers: what they add, over which tokens, in both beams."""

from typing import Any

import pytest
import torch

from seqkit.data.vocab import SPECIALS
from seqkit.decode import (
    LanguageModel,
    LengthBonus,
    MappedScorer,
    NgramScorer,
    Search,
    WordScorer,
    beam,
    match_symbols,
    prefix_beam,
)
from seqkit.decode.ngram_train import train_ngram
from tests.oracles import Table, source
from tests.seqkit.decode.test_ctc import scored
from tests.seqkit.decode.test_ngram import ask, corpus

CPU = torch.device("cpu")
TOKENS = [*SPECIALS, *" abcdefgh'"]  # of a search by characters


def texts() -> list[str]:
    return ["".join(sentence).replace("c", " ").strip() for sentence in corpus(3, sentences=120)]


def characters(order: int = 3) -> Any:
    return train_ngram([list(text) for text in texts()], order)


def ids(text: str) -> tuple[int, ...]:
    return tuple(TOKENS.index(char) for char in text)


@pytest.mark.parametrize("dense", [0, 1 << 24])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_an_ngram_scorer_says_what_the_model_does(order: int, dense: int) -> None:
    model = characters(order)
    scorer = MappedScorer(NgramScorer(model, dense=dense), match_symbols(TOKENS, model.symbols)[0])
    for text in ["", "ab de", "a'a", "hhhh", *texts()[:10]]:
        assert scored([(scorer, 1.0)], ids(text)) == pytest.approx(sum(ask(model, list(text))), abs=1e-4)
        state, logprobs = scorer.initial_state(1, CPU), []
        for token in (1, *ids(text)):
            bonus_NV, state = scorer.step(torch.tensor([token]), (), state)
            logprobs.append(bonus_NV[0])
        known = [TOKENS.index(symbol) for symbol in model.symbols]
        assert [float(row[known].exp().sum()) for row in logprobs] == pytest.approx([1.0] * len(logprobs), abs=1e-5)


def test_ready_answers_are_those_that_are_looked_up() -> None:
    model, generator = characters(4), torch.Generator().manual_seed(1)
    ready, asked = NgramScorer(model), NgramScorer(model, dense=0)
    assert ready.table is not None and asked.table is None
    states = ready.initial_state(30, CPU), asked.initial_state(30, CPU)
    token_N = torch.ones(30, dtype=torch.int64)
    for _ in range(15):
        first_NW, mine = ready.step(token_N, (), states[0])
        second_NW, theirs = asked.step(token_N, (), states[1])
        assert torch.allclose(first_NW, second_NW, atol=1e-4)
        states, token_N = (mine, theirs), torch.randint(0, len(model.symbols), (30,), generator=generator)


def test_symbols_are_matched_by_name() -> None:
    symbol_V, lacking = match_symbols(
        ["<pad>", "<s>", "</s>", "<unk>", "b", "z", "a"], ["<unk>", "<s>", "</s>", "a", "b"]
    )
    assert symbol_V.tolist() == [0, 1, 2, 0, 4, 0, 3] and lacking == ["z"]
    assert match_symbols(["<pad>", "b", "z"], ["x", "b", "<unk>"], unknown=2)[0].tolist() == [2, 1, 2]


def test_a_recurrent_model_over_other_numbers_is_mapped() -> None:
    model = Table(7, seed=1)
    symbol_V = torch.tensor([3, 1, 2, 3, 6, 4, 5, 3])
    scorer = MappedScorer(LanguageModel(model), symbol_V)
    text = (4, 6, 5, 7)
    assert scored([(scorer, 1.0)], text) == pytest.approx(
        scored([(LanguageModel(model), 1.0)], tuple(symbol_V[list(text)].tolist())), abs=1e-9
    )


def test_a_bonus_for_any_token_passes_a_map() -> None:
    bonus_NV, _ = MappedScorer(LengthBonus(), torch.tensor([2, 1, 0])).step(torch.tensor([1, 1]), (), ())
    assert bonus_NV.tolist() == [[1.0], [1.0]]


def scorers_of_every_kind() -> list[tuple[Any, float]]:
    model = characters()
    words = train_ngram([text.split() for text in texts()], 3)
    symbol_V = match_symbols(TOKENS, model.symbols)[0]
    return [
        (MappedScorer(NgramScorer(model), symbol_V), 0.5),
        (MappedScorer(NgramScorer(model, dense=0), symbol_V), 0.25),
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
    model = train_ngram([list("the cat"), list("the cat"), list("a cat")], 3)
    tokens = [*SPECIALS, *sorted(set("the cat"))]
    scorer = MappedScorer(NgramScorer(model), match_symbols(tokens, model.symbols)[0])
    logits_BTV = torch.full((1, 3, len(tokens)), -9.0)
    for frame, pair in enumerate(("ch", "aa", "te")):
        for char, value in zip(pair, (0.0, 0.3), strict=True):
            logits_BTV[0, frame, tokens.index(char)] = value
    plain = prefix_beam(logits_BTV, torch.tensor([3]), Search())[0][0]
    fused = prefix_beam(logits_BTV, torch.tensor([3]), Search(), scorers=[(scorer, 0.8)])[0][0]
    assert "".join(tokens[i] for i in plain.tokens) == "hae" and "".join(tokens[i] for i in fused.tokens) == "cat"


@pytest.mark.parametrize("text", ["", "ab de", "abd", "zz", "a", "a bd ", "ab zz de"])
def test_a_word_model_counts_words_between_spaces(text: str) -> None:
    tokens = [*SPECIALS, *" abdefghz"]
    sentences = [text.split() for text in texts()]
    model = train_ngram(sentences, 3)
    scorer = WordScorer(model, tokens, unknown=-0.7)
    unknown = sum(len(word) for word in text.split() if word not in model.symbols)
    found = scored([(scorer, 1.0)], tuple(tokens.index(char) for char in text))
    assert found == pytest.approx(sum(ask(model, text.split())) - 0.7 * unknown, abs=1e-4)


def test_letters_of_a_word_cost_nothing_before_its_end() -> None:
    scorer = WordScorer(train_ngram([["ab", "cd"]], 2), TOKENS)
    state = scorer.initial_state(1, CPU)
    bonus_NV, state = scorer.step(torch.tensor([1]), (), state)
    bonus_NV, state = scorer.step(torch.tensor([TOKENS.index("a")]), (), state)
    assert bonus_NV[0].nonzero()[:, 0].tolist() == [2, 4]  # the end and the space


def test_words_with_letters_that_the_search_lacks_are_never_spelled() -> None:
    model = train_ngram([["ab", "aé"]], 2)
    scorer = WordScorer(model, [*SPECIALS, *" ab"])
    assert sorted(scorer.word_S.unique().tolist()) == [0, model.symbols.index("ab")]


def test_a_separator_that_is_no_token_is_named() -> None:
    with pytest.raises(ValueError, match="`separator` must be one of the tokens, got '_'"):
        WordScorer(characters(), TOKENS, separator="_")
