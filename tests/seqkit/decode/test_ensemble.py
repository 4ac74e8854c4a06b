"""Ensembles: one member is the member, equal members change nothing, the mean is the mean."""

import pytest
import torch

from seqkit.decode import Coverage, Ensemble, Search, beam, greedy
from seqkit.nn.memory import repeat
from tests.oracles import Recurrent, Table, source

SEARCH = Search(beam=3, nbest=3, max_len=9)


def test_bad_members_are_named() -> None:
    with pytest.raises(ValueError, match="`models` must be at least one, got none"):
        Ensemble([])
    with pytest.raises(ValueError, match="`mean` must be probability or log_probability, got 'median'"):
        Ensemble([Table(9, seed=0)], mean="median")


@pytest.mark.parametrize("mean", ["probability", "log_probability"])
@pytest.mark.parametrize("search", [greedy, beam])
def test_an_ensemble_of_one_is_the_model(search, mean) -> None:
    model, memories = Recurrent(9, 4, seed=1), source(5, 4, seed=1)
    scorers = [(Coverage(), 0.2)]
    found = search(Ensemble([model], mean=mean), (memories,), SEARCH, scorers=scorers)
    assert found == search(model, memories, SEARCH, scorers=scorers)
    ensemble, token_B = Ensemble([model], mean=mean), torch.full((5,), 4)
    logits_BV = ensemble.step(token_B, (memories,), ensemble.initial_state((memories,)))[0]
    assert torch.equal(logits_BV, model.step(token_B, memories, model.initial_state(memories))[0])


@pytest.mark.parametrize("mean", ["probability", "log_probability"])
def test_an_ensemble_of_equals_is_the_model(mean) -> None:
    model, memories = Recurrent(9, 4, seed=2), source(5, 4, seed=2)
    found = beam(Ensemble([model] * 3, mean=mean), (memories,) * 3, SEARCH, scorers=[(Coverage(), 0.2)])
    expected = beam(model, memories, SEARCH, scorers=[(Coverage(), 0.2)])
    for a, b in zip(sum(found, []), sum(expected, []), strict=True):
        assert a.tokens == b.tokens and (a.logprob, a.score) == pytest.approx((b.logprob, b.score), abs=1e-5)


@pytest.mark.parametrize("mean", ["probability", "log_probability"])
def test_the_order_of_members_does_not_matter(mean) -> None:
    models = [Recurrent(9, 4, seed=3), Table(9, seed=4), Recurrent(9, 6, seed=5)]
    memories = [source(5, 4, seed=3), source(5, 3, seed=4), source(5, 6, seed=5)]
    found = beam(Ensemble(models, mean=mean), tuple(memories), SEARCH)
    turned = beam(Ensemble(models[::-1], mean=mean), tuple(memories[::-1]), SEARCH)
    assert [[h.tokens for h in row] for row in found] == [[h.tokens for h in row] for row in turned]


def test_means_are_what_they_are_called() -> None:
    models, memories, token_B = [Table(9, seed=6), Table(9, seed=7)], source(5, 4, seed=6), torch.full((5,), 4)
    own = [model.step(token_B, memories, model.initial_state(memories)) for model in models]
    shares = [logits.softmax(-1) for logits, _, _ in own]
    for mean, expected in (("probability", sum(shares) / 2), ("log_probability", (shares[0] * shares[1]).sqrt())):
        ensemble = Ensemble(models, mean=mean)
        both = (memories, memories)
        logits_BV, weights, _ = ensemble.step(token_B, both, ensemble.initial_state(both))
        torch.testing.assert_close(logits_BV.softmax(-1), expected / expected.sum(-1, keepdim=True))
        torch.testing.assert_close(weights[0], (own[0][1][0] + own[1][1][0]) / 2)


def test_a_probability_that_underflows_keeps_its_logarithm() -> None:
    models = [Table(9, seed=6), Table(9, seed=7)]
    for model in models:
        model.logits_RV = model.logits_RV.float()
        model.logits_RV[:, 5] = -300.0
    memories = (source(2, 4, seed=6),) * 2
    ensemble = Ensemble(models)
    assert ensemble.step(torch.tensor([1, 1]), memories, ensemble.initial_state(memories))[0].isfinite().all()


def test_attention_over_different_positions_has_no_mean() -> None:
    models, memories = [Table(9, seed=8), Table(9, seed=9)], (source(4, 4, seed=8), ())
    state = (models[0].initial_state(memories[0]), repeat(models[1].initial_state(()), 4))
    ensemble = Ensemble(models)
    assert ensemble.step(torch.full((4,), 1), memories, state)[1] == ()
    assert len(beam(ensemble, memories, SEARCH, state=state)) == 4
    with pytest.raises(ValueError, match="`memory` must be one of the model's 0 attentions, got 0"):
        beam(ensemble, memories, SEARCH, state=state, scorers=[(Coverage(), 1.0)])
