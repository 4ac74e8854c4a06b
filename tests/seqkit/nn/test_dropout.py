"""Dropout in the kernels: masks of independent draws, the same again for the gradient, by torch's generator alone."""

from collections.abc import Iterator

import pytest
import torch

from seqkit.nn import kernels
from seqkit.nn.dropout import Dropout, VariationalDropout


@pytest.fixture(params=["kernels", "plain"], autouse=True)
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "plain":
        monkeypatch.setenv("SEQKIT_KERNELS", "0")
    elif not kernels.available():
        pytest.skip("needs a C++ compiler")
    torch.manual_seed(0)
    yield


def mask(p: float, *shape: int) -> torch.Tensor:
    return Dropout(p)(torch.ones(shape)) != 0


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_elements_are_kept_with_their_probability_and_the_mean_stays(p: float) -> None:
    kept = Dropout(p)(torch.ones(1000, 1000))
    assert (kept == 0).float().mean().item() == pytest.approx(p, abs=3e-3)
    assert kept.unique().tolist() == pytest.approx([0, 1 / (1 - p)])


def test_draws_know_nothing_of_each_other() -> None:
    """Counts of neighbors, of rows and of two masks that agree are those of independent draws, to five deviations."""
    one, other = mask(0.5, 1000, 1001), mask(0.5, 1000, 1001)
    pairs = [(one, other), *((one.flatten()[:-n], one.flatten()[n:]) for n in (1, 2, 7, 8, 16, 1001, 1 << 14))]
    for left, right in pairs:
        count = left.numel()
        assert abs((left == right).sum().item() - count / 2) < 5 * (count / 4) ** 0.5
    for rows in (one.sum(1), one.sum(0)):
        width = one.numel() / len(rows)
        assert rows.float().var().item() == pytest.approx(width / 4, rel=0.25)


def test_the_gradient_has_the_mask_of_the_values() -> None:
    x = torch.randn(50, 40, requires_grad=True)
    kept = Dropout(0.3)(x.t())
    kept.backward(torch.full_like(kept, 2.0))
    expected = (kept != 0).t() * 2 / 0.7
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected)
    torch.testing.assert_close(kept, x.t() * expected.t() / 2)


def test_masks_are_a_function_of_the_generator() -> None:
    torch.manual_seed(3)
    first, second = mask(0.5, 100), mask(0.5, 100)
    torch.manual_seed(3)
    assert torch.equal(first, mask(0.5, 100)) and torch.equal(second, mask(0.5, 100)) and not torch.equal(first, second)


def test_masks_do_not_depend_on_the_number_of_threads() -> None:
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(3)
        found.append(mask(0.5, 300, 300))
    torch.set_num_threads(before)
    assert torch.equal(*found)


def test_bfloat16_stays_bfloat16() -> None:
    kept = Dropout(0.5)(torch.full((64,), 1.5, dtype=torch.bfloat16))
    assert kept.dtype == torch.bfloat16 and set(kept.tolist()) == {0.0, 3.0}


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_none_and_all(p: float) -> None:
    assert torch.equal(Dropout(p)(torch.ones(9)), torch.full((9,), 1 - p))


def test_outside_training_nothing_is_dropped() -> None:
    x = torch.randn(4, 4, 4)
    for dropout in (Dropout(0.5), VariationalDropout(0.5)):
        assert dropout.eval()(x) is x or torch.equal(dropout(x), x)
