"""Forced scoring against the sum written out."""

import pytest
import torch

from seqkit.decode import Ensemble, Hypothesis, Search, beam, score_targets, token_logprobs
from tests.oracles import Recurrent, Table, next_tokens, one, source

TARGETS_BT = torch.tensor([[4, 5, 2, 0], [3, 3, 3, 2], [2, 0, 0, 0]])
INPUTS_BT = torch.tensor([[1, 4, 5, 2], [1, 3, 3, 3], [1, 2, 0, 0]])
LENGTHS_B = torch.tensor([3, 4, 1])


@pytest.mark.parametrize("seed", range(4))
def test_each_token_has_its_log_probability(seed: int) -> None:
    for model in Table(7, seed=seed), Recurrent(7, 4, seed=seed):
        memories = source(3, 4, seed=seed)
        forced = score_targets(model, memories, INPUTS_BT, TARGETS_BT, LENGTHS_B)
        for row, length in enumerate(LENGTHS_B.tolist()):
            ask, tokens = next_tokens(model, one(memories, row), Search()), TARGETS_BT[row].tolist()
            expected = [float(ask(tokens[:t])[0][tokens[t]]) for t in range(length)]
            assert forced.logprob_BT[row].tolist() == pytest.approx(expected + [0.0] * (4 - length), abs=1e-12)
            assert float(forced.total_B[row].detach()) == pytest.approx(sum(expected), abs=1e-12)


def test_weights_are_those_of_the_steps() -> None:
    model, memories = Recurrent(7, 4, seed=1), source(3, 4, seed=1)
    forced = score_targets(model, memories, INPUTS_BT, TARGETS_BT, LENGTHS_B)
    assert [w.shape for w in forced.weights] == [(3, 4, 5)]
    state = model.initial_state(memories)
    for t in range(4):
        _, weights, state = model.step(INPUTS_BT[:, t], memories, state)
        assert torch.equal(forced.weights[0][:, t], weights[0])


def test_what_comes_after_the_end_has_no_part_in_it() -> None:
    model, memories = Recurrent(7, 4, seed=2), source(3, 4, seed=2)
    real_BT = torch.arange(4) < LENGTHS_B[:, None]
    noisy = score_targets(model, memories, INPUTS_BT.where(real_BT, 6), TARGETS_BT.where(real_BT, 5), LENGTHS_B)
    assert torch.equal(noisy.logprob_BT, score_targets(model, memories, INPUTS_BT, TARGETS_BT, LENGTHS_B).logprob_BT)
    noisy.total_B[2].backward()
    assert model.embedding.weight.grad is not None and not model.embedding.weight.grad[2:].any()


def test_a_state_may_be_given_and_memory_left_out() -> None:
    model = Table(7, seed=3)
    forced = score_targets(model, (), INPUTS_BT, TARGETS_BT, LENGTHS_B)
    assert forced.weights == ()
    given = score_targets(model, (), INPUTS_BT, TARGETS_BT, LENGTHS_B, state=(torch.ones(3, dtype=torch.int64),))
    assert torch.equal(forced.total_B, given.total_B)
    other = score_targets(model, (), INPUTS_BT, TARGETS_BT, LENGTHS_B, state=(torch.full((3,), 5),))
    assert not torch.equal(forced.total_B, other.total_B)


def test_half_precision_is_summed_in_double() -> None:
    model = Table(7, seed=4)
    model.logits_RV = model.logits_RV.bfloat16()
    forced = score_targets(model, source(3, 4, seed=4), INPUTS_BT, TARGETS_BT, LENGTHS_B)
    assert (forced.logprob_BT.dtype, forced.total_B.dtype) == (torch.float32, torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_token_log_probabilities_are_the_models_and_sum_to_what_a_search_reports(seed: int) -> None:
    """Of an ensemble the averaged ones; scorers, penalties and suppressed tokens have no part in them."""
    members, memories = [Recurrent(7, 4, seed=seed), Recurrent(7, 4, seed=seed + 9)], source(3, 4, seed=seed)
    model, search = Ensemble(members), Search(beam=3, nbest=3, max_len=5, length_penalty="wu")
    found = beam(model, (memories, memories), search)
    for row, (some, logprobs) in enumerate(zip(found, token_logprobs(model, (memories, memories), found), strict=True)):
        asks = [next_tokens(member, one(memories, row), Search()) for member in members]
        for own, known in zip(some, logprobs, strict=True):
            steps = [*own.tokens, search.eos]
            expected = [
                float(torch.stack([ask(steps[:t])[0][steps[t]] for ask in asks]).exp().mean().log())
                for t in range(len(steps))
            ]
            assert known == pytest.approx(expected, abs=1e-9)
            assert sum(known[: len(own.tokens) + (len(own.tokens) < 5)]) == pytest.approx(own.logprob, abs=1e-9)


def test_no_hypothesis_has_no_log_probabilities() -> None:
    model, memories = Table(7, seed=1), source(2, 4, seed=1)
    assert token_logprobs(model, memories, [[], [Hypothesis([], 0.0, 0.0)]])[0] == []
    assert token_logprobs(model, memories, [[], []]) == [[], []]
