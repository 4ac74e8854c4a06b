"""Losses over target sequences and over drawn ones."""

import pytest
import torch

from seqkit.nn.losses import cross_entropy, real_tokens, sequence_loss, sequence_risk

V = 7


def test_smoothing_spreads_the_targets_mass():
    logits_NV, targets_N = torch.randn(5, V, dtype=torch.float64), torch.randint(V, (5,))
    want = torch.full((5, V), 0.1 / V, dtype=torch.float64)
    want[torch.arange(5), targets_N] += 0.9
    got = cross_entropy(logits_NV, targets_N, smoothing=0.1)
    torch.testing.assert_close(got.double(), -(want * logits_NV.log_softmax(-1)).sum(), rtol=1e-6, atol=0)


def test_loss_counts_real_tokens_alone():
    logits_BTV, targets_BT = torch.randn(2, 3, V), torch.randint(V, (2, 3))
    total, count = sequence_loss(logits_BTV, targets_BT, torch.tensor([3, 1]))
    rows = torch.cat([logits_BTV[0], logits_BTV[1, :1]])
    torch.testing.assert_close(total, cross_entropy(rows, torch.cat([targets_BT[0], targets_BT[1, :1]])))
    assert count == 4 and real_tokens(targets_BT, torch.tensor([3, 1])).shape == (4,)


@pytest.mark.parametrize("samples", [1, 4])
def test_the_gradient_of_the_risk_is_that_of_the_expected_reward(samples: int) -> None:
    """Averaged over all draws of a categorical, with a baseline and without."""
    logits_V, reward_V = (
        torch.randn(3, dtype=torch.float64, requires_grad=True),
        torch.tensor([0.3, -1.0, 2.0]).double(),
    )
    (expected_V,) = torch.autograd.grad(-(logits_V.softmax(0) * reward_V).sum(), logits_V)
    found_V = torch.zeros(3, dtype=torch.float64)
    for draws in torch.cartesian_prod(*[torch.arange(3)] * samples).view(-1, 1, samples):
        logprob_BK = logits_V.log_softmax(0)[draws]
        baseline_B = torch.tensor([0.7]).double() if samples == 1 else None
        (gradient_V,) = torch.autograd.grad(sequence_risk(logprob_BK, reward_V[draws], baseline_B), logits_V)
        found_V += logprob_BK.detach().sum().exp() * gradient_V / samples
    torch.testing.assert_close(found_V, expected_V)


def test_the_risk_of_one_sample_needs_a_baseline() -> None:
    with pytest.raises(ValueError, match="`baseline_B` must be given for one sample an item, got None"):
        sequence_risk(torch.zeros(2, 1), torch.ones(2, 1))
