"""Sampling: its frequencies, its cuts, and that a draw depends on nothing but seed, item, sample and step."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from seqkit.decode import Sampling, Search, greedy, sample, sample_with_gradient, score_targets
from seqkit.decode import search as core
from seqkit.decode.sampling import draw, scramble, uniform
from seqkit.nn import build_decoder, select, sequence_risk
from tests.oracles import Recurrent, Table, one, source

SEARCH = Search(max_len=10, no_repeat_ngram=2)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"samples": 0}, "`samples` must be at least 1, got 0"),
        ({"temperature": 0.0}, "`temperature` must be above 0 and finite, got 0.0"),
        ({"temperature": float("inf")}, "`temperature` must be above 0 and finite, got inf"),
        ({"top_k": -1}, "`top_k` must be at least 0, got -1"),
        ({"top_p": 0.0}, "`top_p` must be above 0 and at most 1, got 0.0"),
        ({"top_p": 1.5}, "`top_p` must be above 0 and at most 1, got 1.5"),
    ],
)
def test_bad_options_are_named(option: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Sampling(**option)


def chi_square(count_V: torch.Tensor, share_V: torch.Tensor) -> float:
    """Sum of squared deviations in units of what chance gives; the mean is the number of categories less one."""
    expected_V = share_V * count_V.sum()
    assert not count_V[share_V == 0].any()
    return float(((count_V - expected_V) ** 2 / expected_V)[share_V > 0].sum())


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.5, 0, 1.0), (2.0, 0, 1.0), (1.0, 4, 1.0), (1.0, 0, 0.7), (1.5, 6, 0.8)],
)
def test_first_tokens_come_as_often_as_the_softmax_says(temperature: float, top_k: int, top_p: float) -> None:
    model, memories = Table(12, seed=1), source(1, 4, seed=1)
    sampling = Sampling(4000, temperature, top_k, top_p)
    found = sample(model, memories, replace(SEARCH, max_len=1, min_len=1), sampling)[0]
    count_V = torch.bincount(torch.tensor([h.tokens[0] for h in found]), minlength=12)
    logits_V = model.step(torch.tensor([1]), memories, model.initial_state(memories))[0][0] / temperature
    logits_V[[0, 1, 2]] = -torch.inf
    order = logits_V.argsort(descending=True).tolist()
    kept = order[: top_k or None]
    share_V = torch.zeros_like(logits_V)
    share_V[kept] = logits_V[kept].softmax(-1)
    nucleus = next(n for n in range(1, len(kept) + 1) if n == len(kept) or share_V[kept[:n]].sum() >= top_p)
    share_V[kept[nucleus:]] = 0
    assert chi_square(count_V, share_V / share_V.sum()) < 30


def test_whole_sentences_come_as_often_as_their_log_probability_says() -> None:
    model, memories = Table(6, seed=2), source(1, 4, seed=2)
    found = sample(model, memories, replace(SEARCH, max_len=2, suppress_tokens=()), Sampling(5000, seed=3))[0]
    every = {tuple(h.tokens): h.logprob for h in found}
    assert len(every) > 15
    kinds = sorted(every)
    count_V = torch.bincount(torch.tensor([kinds.index(tuple(h.tokens)) for h in found]))
    share_V = torch.tensor([every[kind] for kind in kinds], dtype=torch.float64).exp()
    assert float(share_V.sum()) > 0.99
    assert chi_square(count_V, share_V / share_V.sum()) < 2.5 * len(every)


@pytest.mark.parametrize("cut", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}, {"top_k": 1, "top_p": 0.5}])
def test_the_narrowest_cuts_are_greedy(cut: dict[str, Any]) -> None:
    model, memories = Table(700, seed=4, sharpness=3.0), source(8, 4, seed=4)
    found = sample(model, memories, SEARCH, Sampling(samples=2, **cut))
    assert found == [row * 2 for row in greedy(model, memories, SEARCH)]


def test_a_high_temperature_is_uniform() -> None:
    search = replace(SEARCH, max_len=1, min_len=1)
    found = sample(Table(12, seed=5), source(1, 4, seed=5), search, Sampling(3000, temperature=1e9))[0]
    count_V = torch.bincount(torch.tensor([h.tokens[0] for h in found]), minlength=12)
    share_V = torch.ones(12, dtype=torch.float64) / 9
    share_V[:3] = 0
    assert chi_square(count_V, share_V) < 30


def test_a_draw_depends_on_neither_the_batch_nor_the_number_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    model, memories, items_B = Table(9, seed=6), source(10, 4, seed=6), torch.arange(10) * 7 + 100
    three = Sampling(samples=3, seed=8)
    together = sample(model, memories, SEARCH, three, items_B=items_B)
    order_B = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    permuted = sample(model, select(memories, order_B), SEARCH, three, items_B=items_B[order_B])
    assert permuted == [together[place] for place in order_B]
    for row in range(10):
        assert sample(model, one(memories, row), SEARCH, three, items_B=items_B[row : row + 1]) == [together[row]]
    five = sample(model, memories, SEARCH, replace(three, samples=5), items_B=items_B)
    for more, few in zip(five, together, strict=True):
        assert all(more.count(h) >= few.count(h) for h in few)
    monkeypatch.setattr(core, "LEAVE_SHARE", 1.0)
    assert sample(model, memories, SEARCH, three, items_B=items_B) == together


def test_seeds_items_samples_and_steps_differ() -> None:
    model, memories = Table(200, seed=7), source(1, 4, seed=7)
    memories = select(memories, torch.zeros(4, dtype=torch.int64))
    search = Search(max_len=4, min_len=4)
    found = sum((sample(model, memories, search, Sampling(4, seed=seed)) for seed in (0, 1)), [])
    found = [h.tokens for row in found for h in row]
    assert len({tuple(tokens) for tokens in found}) == len(found) == 32


def test_samples_are_sorted_and_scored_at_temperature_one() -> None:
    model, memories = Recurrent(9, 4, seed=8), source(4, 4, seed=8)
    found = sample(model, memories, replace(SEARCH, length_penalty="wu"), Sampling(4, temperature=3.0, top_k=5))
    for row, hypotheses in enumerate(found):
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        for tokens, logprob, score in hypotheses:
            target = tokens + [2] * (len(tokens) < 10)
            with torch.no_grad():
                forced = score_targets(
                    model,
                    one(memories, row),
                    torch.tensor([[1, *target[:-1]]]),
                    torch.tensor([target]),
                    torch.tensor([len(target)]),
                )
            assert float(forced.total_B) == pytest.approx(logprob, abs=1e-9)
            assert score == pytest.approx(logprob / ((5 + len(target)) / 6) ** 0.6)


def test_a_state_may_be_given() -> None:
    model, memories = Table(9, seed=9), source(3, 4, seed=9)
    state = model.initial_state(memories)
    found = sample(model, memories, SEARCH, Sampling(2), state=state)
    assert found == sample(model, memories, SEARCH, Sampling(2))


def test_the_ends_of_the_unit_interval_draw_possible_tokens() -> None:
    rank_PV = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).repeat(2, 1)
    token_P, logprob_P = draw(rank_PV, torch.tensor([0.0, 1 - 2.0**-40], dtype=torch.float64), Sampling())
    assert token_P.tolist() == [1, 3] and logprob_P.exp().tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("cut", [{}, {"top_k": 3}, {"top_p": 0.6}, {"temperature": 2.0, "top_k": 4, "top_p": 0.9}])
def test_samples_come_as_often_as_they_are_said_to_be_drawn(cut: dict[str, Any]) -> None:
    model, memories = Table(7, seed=2), source(1, 4, seed=2)
    drawn, logprob_BK = sample_with_gradient(model, memories, Search(max_len=2), Sampling(5000, seed=3, **cut))
    every = {tuple(h.tokens): logprob for h, logprob in zip(drawn[0], logprob_BK[0].tolist(), strict=True)}
    kinds = sorted(every)
    count_V = torch.bincount(torch.tensor([kinds.index(tuple(h.tokens)) for h in drawn[0]]))
    share_V = torch.tensor([every[kind] for kind in kinds], dtype=torch.float64).exp()
    assert 0.98 < float(share_V.sum()) < 1.0 + 1e-9
    assert chi_square(count_V, share_V / share_V.sum()) < 2.5 * len(every)


@pytest.mark.parametrize("leave_share", [core.LEAVE_SHARE, 1.0])
def test_the_gradient_of_a_draw_is_that_of_teacher_forcing(leave_share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout, and where nothing is suppressed; of paths that end early, late and never."""
    monkeypatch.setattr(core, "LEAVE_SHARE", leave_share)
    model, memories = Recurrent(9, 4, seed=8), source(4, 4, seed=8)
    search = Search(max_len=torch.tensor([5, 6, 7, 8]), suppress_tokens=())
    drawn, logprob_BK = sample_with_gradient(model, memories, search, Sampling(3))
    found = torch.autograd.grad(logprob_BK.sum(), list(model.parameters()))
    rows, targets, limits = [], [], search.max_len.tolist()
    for row, hypotheses in enumerate(drawn):
        rows += [row] * 3
        targets += [[*h.tokens, 2][: limits[row]] for h in hypotheses]
    assert len({len(target) for target in targets}) > 2
    target_PT = torch.tensor([target + [0] * (8 - len(target)) for target in targets])
    input_PT = torch.cat([torch.ones_like(target_PT[:, :1]), target_PT[:, :-1]], 1)
    lengths_P = torch.tensor([len(target) for target in targets])
    forced = score_targets(model, select(memories, torch.tensor(rows)), input_PT, target_PT, lengths_P)
    torch.testing.assert_close(logprob_BK.flatten(), forced.total_B)
    torch.testing.assert_close(found, torch.autograd.grad(forced.total_B.sum(), list(model.parameters())))


def constant_reward_gradients(*, same_pass: bool, batches: int = 200) -> torch.Tensor:
    """Gradients of a reward of 1 for every sentence, (batches, parameters), with dropout of one half."""
    torch.manual_seed(0)
    decoder = build_decoder(8, 6, 8, [6], attention="additive", attention_dim=6, readout_dim=6, dropout=0.5)
    values_BSD, search = torch.randn(64, 4, 6), Search(max_len=6)
    gradients = []
    for batch in range(batches):
        memories = decoder.make_memory((values_BSD, torch.full((64,), 4), values_BSD[:, 0]))
        drawn, logprob_BK = sample_with_gradient(decoder, memories, search, Sampling(seed=batch))
        if not same_pass:
            targets = [[*best.tokens, 2][:6] for (best,) in drawn]
            target_BT = torch.tensor([target + [0] * (6 - len(target)) for target in targets])
            input_BT = torch.cat([torch.ones_like(target_BT[:, :1]), target_BT[:, :-1]], 1)
            lengths_B = torch.tensor([len(target) for target in targets])
            logprob_BK = score_targets(decoder, memories, input_BT, target_BT, lengths_B).total_B[:, None]
        loss = sequence_risk(logprob_BK, torch.ones(64, 1), torch.zeros(64))
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(decoder.parameters()))]))
    return torch.stack(gradients).double()


@pytest.mark.parametrize("same_pass", [True, False])
def test_the_mean_gradient_of_a_constant_reward_is_no_larger_than_chance_makes_it(same_pass: bool) -> None:
    """Of n gradients without bias the mean has 1 / sqrt(n) of their size; under another dropout mask it is biased."""
    gradients_NP = constant_reward_gradients(same_pass=same_pass)
    share = float(gradients_NP.mean(0).norm() / gradients_NP.square().sum(1).mean().sqrt())
    assert (share < 1.2 / len(gradients_NP) ** 0.5) == same_pass, share


def test_scramble_is_split_mix_and_uniform() -> None:
    first_five = scramble(1234567 + torch.arange(5) * (0x9E3779B97F4A7C15 - 2**64))
    assert [int(x) % 2**64 for x in first_five] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    drawn = uniform(torch.arange(20000))
    assert drawn.min() >= 0 and drawn.max() < 1
    count = torch.histc(drawn.float(), 50, 0, 1).double()
    assert chi_square(count, torch.full((50,), 1 / 50, dtype=torch.float64)) < 100
    assert abs(torch.corrcoef(torch.stack([drawn[1:], drawn[:-1]]))[0, 1]) < 0.03
