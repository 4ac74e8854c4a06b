"""Scorers: what they sum to over a hypothesis, and that they move the score and not the log-probability."""

from typing import Any

import pytest
import torch

from seqkit.decode import Coverage, LanguageModel, LengthBonus, Sampling, Search, beam, greedy, sample, score_targets
from tests.oracles import Recurrent, Table, one, source

SEARCH = Search(beam=4, nbest=4, max_len=9)


def forced(model: Any, memories: Any, tokens: list[int]) -> Any:
    """A hypothesis of SEARCH, scored."""
    target = tokens + [2] * (len(tokens) < 9)
    with torch.no_grad():
        inputs_BT, targets_BT = torch.tensor([[1, *target[:-1]]]), torch.tensor([target])
        return score_targets(model, memories, inputs_BT, targets_BT, torch.tensor([len(target)]))


def test_coverage_sums_to_its_formula() -> None:
    model, memories = Recurrent(9, 4, seed=1), source(6, 4, seed=1)
    lengths_B = memories[0].mask_BS.sum(1)
    for row, hypotheses in enumerate(beam(model, memories, SEARCH, scorers=[(Coverage(), 0.4)])):
        for tokens, logprob, score in hypotheses:
            attended_S = forced(model, one(memories, row), tokens).weights[0][0].sum(0)[: lengths_B[row]]
            coverage = float(attended_S.clamp(max=1.0).log().sum())
            assert score - logprob == pytest.approx(0.4 * coverage, abs=1e-5)


def test_coverage_chooses_what_was_attended_to() -> None:
    model, memories = Recurrent(9, 4, seed=2), source(20, 4, seed=2)

    def uncovered(weight: float) -> float:
        total = 0.0
        for row, (best, *_) in enumerate(beam(model, memories, SEARCH, scorers=[(Coverage(), weight)])):
            attended_S = forced(model, one(memories, row), best.tokens).weights[0][0].sum(0)
            total += float((1 - attended_S).clamp(min=0)[memories[0].mask_BS[row]].sum())
        return total

    assert uncovered(5.0) < 0.8 * uncovered(0.0)


def test_padding_does_not_change_coverage() -> None:
    weights = torch.tensor([[0.7, 0.3, 0.0, 0.0]]), torch.tensor([[0.7, 0.3]])
    bonuses = []
    for weights_NS in weights:
        scorer = Coverage()
        bonus, state = scorer.step(torch.tensor([1]), (weights_NS,), scorer.initial_state(1, torch.device("cpu")))
        bonuses.append((float(bonus), float(scorer.step(torch.tensor([1]), (weights_NS,), state)[0])))
    assert bonuses[0] == bonuses[1]


def test_coverage_of_a_memory_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="`memory` must be one of the model's 1 attentions, got 1"):
        greedy(Table(9, seed=0), source(2, 4, seed=0), SEARCH, scorers=[(Coverage(memory=1), 1.0)])


def test_the_length_bonus_counts_tokens_and_lengthens() -> None:
    model, memories = Table(9, seed=3), source(20, 4, seed=3)
    sizes = []
    for weight in (0.0, 2.0):
        found = beam(model, memories, SEARCH, scorers=[(LengthBonus(), weight)])
        for tokens, logprob, score in sum(found, []):
            assert score - logprob == pytest.approx(weight * min(len(tokens) + 1, 9), abs=1e-5)
        sizes.append(sum(len(row[0].tokens) for row in found))
    assert sizes[1] > 1.5 * sizes[0]


def test_the_language_model_adds_its_own_log_probability() -> None:
    model, language, memories = Table(9, seed=4), Table(9, seed=5), source(6, 4, seed=4)
    for tokens, logprob, score in sum(beam(model, memories, SEARCH, scorers=[(LanguageModel(language), 0.5)]), []):
        assert score - logprob == pytest.approx(0.5 * float(forced(language, (), tokens).total_B), abs=1e-5)


def test_a_heavy_language_model_decides_alone() -> None:
    model, language, memories = Table(9, seed=6), Table(9, seed=7), source(6, 4, seed=6)
    alone = greedy(language, (), SEARCH)[0][0]
    for (fused,) in greedy(model, memories, SEARCH, scorers=[(LanguageModel(language), 1e4)]):
        assert fused.tokens == alone.tokens


def test_a_scorer_of_weight_nothing_changes_nothing() -> None:
    model, memories = Table(9, seed=8), source(6, 4, seed=8)
    scorers = [(Coverage(), 0.0), (LanguageModel(Table(9, seed=9)), 0.0), (LengthBonus(), 0.0)]
    for search in greedy, beam:
        assert search(model, memories, SEARCH, scorers=scorers) == search(model, memories, SEARCH)


def test_a_language_model_writes_alone() -> None:
    found = sample(Table(9, seed=10), (), SEARCH, Sampling(samples=20))
    assert len(found) == 1 and len({tuple(h.tokens) for h in found[0]}) > 5
