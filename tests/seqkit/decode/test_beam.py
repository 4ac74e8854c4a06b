"""Beam search against a list-based oracle, exhaustive search, greedy search and forced scoring."""

import random
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from seqkit.decode import Coverage, LanguageModel, LengthBonus, Search, beam, greedy, score_targets
from seqkit.nn.attention import AdditiveAttention, DotAttention
from seqkit.nn.decoder import Decoder, Wiring, feature_dim
from seqkit.nn.memory import select
from seqkit.nn.readout import Readout
from seqkit.nn.recurrent import RecurrentStack
from tests.oracles import Recurrent, Table, assert_same, every_sentence, next_tokens, one, slow_beam, source

PENALTIES = (None, "average", "wu")
WIRINGS = get_args(Wiring)


def random_case(seed: int) -> tuple[Search, list[tuple[Any, float]]]:
    """Any options, with any scorers."""
    rng = random.Random(seed)
    size = rng.randint(1, 5)
    scorers = [(Coverage(), 0.3), (LengthBonus(), 0.7), (LanguageModel(Table(8, seed=seed + 1)), 0.5)]
    return Search(
        beam=size,
        nbest=rng.randint(1, size),
        length_penalty=rng.choice(PENALTIES),
        alpha=rng.choice([0.0, 0.6, 1.5]),
        min_len=rng.choice([0, 0, 2]),
        no_repeat_ngram=rng.choice([0, 0, 1, 2, 3]),
        suppress_tokens=rng.choice([(), (0, 1, 3)]),
        max_len=torch.tensor([rng.randint(3, 9) for _ in range(4)]),
    ), rng.sample(scorers, rng.choice([0, 0, 1, 3]))


@pytest.mark.parametrize("seed", range(60))
def test_beam_is_the_list_oracle(seed: int) -> None:
    search, scorers = random_case(seed)
    model, memories = Table(8, seed=seed, sharpness=1.0 + seed % 3), source(4, 4, seed=seed)
    found = beam(model, memories, search, scorers=scorers)
    for row, max_len in enumerate(search.max_len.tolist()):
        ask = next_tokens(model, one(memories, row), search, scorers)
        assert_same(found[row], slow_beam(ask, search, max_len), 1e-5 if scorers else 1e-9)


def test_beam_over_a_large_vocabulary_is_the_list_oracle() -> None:
    search = Search(beam=4, nbest=4, max_len=6, length_penalty="wu", no_repeat_ngram=1)
    model, memories = Table(1500, seed=5, sharpness=4.0), source(3, 4, seed=5)
    model.logits_RV[:, search.eos] += 8
    for row, found in enumerate(beam(model, memories, search)):
        assert_same(found, slow_beam(next_tokens(model, one(memories, row), search), search, 6))


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("bonus", [0.0, 0.8])
def test_a_very_wide_beam_is_exhaustive(penalty: Any, bonus: float) -> None:
    search = Search(beam=400, nbest=400, max_len=4, length_penalty=penalty, no_repeat_ngram=3)
    model, memories, scorers = Table(7, seed=3), source(1, 4, seed=3), [(LengthBonus(), bonus)]
    every = list(every_sentence(next_tokens(model, memories, search, scorers), search, 7, 4))
    every.sort(key=lambda hypothesis: -hypothesis.score)
    assert len(every) > 300
    assert_same(beam(model, memories, search, scorers=scorers)[0], every, 1e-6)
    assert_same(beam(model, memories, replace(search, nbest=1), scorers=scorers)[0], every[:1], 1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_beam_of_one_is_greedy(seed: int) -> None:
    search, scorers = random_case(seed)
    search = replace(search, beam=1, nbest=1)
    model, memories = Table(8, seed=seed), source(4, 4, seed=seed)
    assert beam(model, memories, search, scorers=scorers) == greedy(model, memories, search, scorers=scorers)


@pytest.mark.parametrize("vocab", [8, 700])
@pytest.mark.parametrize("seed", range(10))
def test_beam_of_one_is_greedy_where_many_tokens_tie(seed: int, vocab: int) -> None:
    model, memories = Table(vocab, seed=seed), source(6, 4, seed=seed)
    model.logits_RV = model.logits_RV.clamp(max=1.0).round()  # three or more equal best tokens at nearly every step
    search = Search(beam=1, max_len=9, no_repeat_ngram=seed % 3)
    assert ((model.logits_RV == model.logits_RV.amax(1, keepdim=True)).sum(1) >= 3).double().mean() > 0.5
    assert beam(model, memories, search) == greedy(model, memories, search)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_search_reports_the_forced_log_probability(penalty: Any) -> None:
    model, memories = Recurrent(9, 4, seed=6), source(6, 4, seed=6)
    options = Search(beam=3, nbest=3, max_len=8, length_penalty=penalty, min_len=2, no_repeat_ngram=2)
    scorers = [(LengthBonus(), 1.0), (Coverage(), 0.2)]
    for row, hypotheses in enumerate(beam(model, memories, options, scorers=scorers)):
        for tokens, logprob, _ in hypotheses:
            target = tokens + [2] * (len(tokens) < 8)
            inputs_BT, targets_BT = torch.tensor([[1, *target[:-1]]]), torch.tensor([target])
            forced = score_targets(model, one(memories, row), inputs_BT, targets_BT, torch.tensor([len(target)]))
            assert float(forced.total_B.detach()) == pytest.approx(logprob, abs=1e-9)


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("streams", [0, 1, 2])
def test_the_decoder_is_searched(wiring: str, streams: int) -> None:
    torch.manual_seed(0)
    attentions = [AdditiveAttention(6, 6, 5), DotAttention(6, 6)][:streams]
    fed = 0 if wiring == "luong" else 6 * streams
    cells = RecurrentStack("lstm", 4 + fed, 6, 2)
    readout = Readout(feature_dim(4, 6, [6] * streams, wiring), 6, 12)
    model = Decoder(torch.nn.Embedding(12, 4), cells, attentions, readout, wiring=wiring).double().eval()
    readout.requires_grad_(False)
    list(readout.parameters())[-2].mul_(12)
    memories = model.make_memory(
        *(
            (torch.randn(5, 4, 6, dtype=torch.float64), torch.tensor([4, 2, 1, 3, 4]), torch.zeros(5, 0).double())
            for _ in attentions
        )
    )
    state, search = model.initial_state(memories, 5), Search(beam=3, nbest=3, max_len=7, length_penalty="wu")
    found, narrow = beam(model, memories, search, state=state), replace(search, beam=1, nbest=1)
    assert beam(model, memories, narrow, state=state) == greedy(model, memories, narrow, state=state)
    for row, hypotheses in enumerate(found):
        ask = next_tokens(model, select(memories, torch.tensor([row])), search)
        assert_same(hypotheses, slow_beam(ask, search, 7))


def test_a_sentence_closes_as_soon_as_its_result_is_known() -> None:
    model, memories = Table(9, seed=8, sharpness=3.0), source(8, 4, seed=8)
    model.logits_RV[:, 2] += 3
    short = beam(model, memories, Search(beam=40, max_len=9))
    steps = len(model.rows_seen)
    assert [row[:1] for row in beam(model, memories, Search(beam=40, nbest=40, max_len=9))] == short
    assert steps < len(model.rows_seen) - steps


def test_with_bonuses_a_later_hypothesis_can_still_win() -> None:
    search, scorers = Search(beam=3, max_len=8), [(LengthBonus(), 4.0)]
    model, memories = Table(9, seed=8), source(8, 4, seed=8)
    for row, found in enumerate(beam(model, memories, search, scorers=scorers)):
        assert_same(found, slow_beam(next_tokens(model, one(memories, row), search, scorers), search, 8), 1e-5)
