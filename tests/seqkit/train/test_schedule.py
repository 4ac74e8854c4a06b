"""Schedules against closed forms and torch's own; plans; optimizers."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from seqkit.errors import InputError
from seqkit.train import schedule
from seqkit.train.optimizer import make_optimizer, parameter_groups, set_learning_rates
from seqkit.train.schedule import Horizon, lr_factor
from seqkit.train.training_config import TrainingConfig

RULES = ("sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw")


def rates(config: TrainingConfig, horizon: Horizon, steps: int) -> list[float]:
    return [lr_factor(config, horizon, step, ()) for step in range(steps)]


def test_constant_with_warmup() -> None:
    assert rates(TrainingConfig(), Horizon(9, 3), 4) == [1, 1, 1, 1]
    assert rates(TrainingConfig(warmup=4), Horizon(9, 3), 6) == [0.25, 0.5, 0.75, 1, 1, 1]


def test_sutskever_holds_five_epochs_then_halves_every_half() -> None:
    config, per_epoch = TrainingConfig(schedule="step", epochs=7.5), 10
    got = rates(config, Horizon(75, per_epoch), 75)
    assert got == [1.0 if step < 50 else 0.5 ** (step // 5 - 9) for step in range(75)]
    assert got[49:51] == [1, 0.5] and got[54:56] == [0.5, 0.25] and got[-1] == 0.5**5


def test_halving_every_eight_epochs() -> None:
    config = TrainingConfig(schedule="step", step_after=8, step_every=8, warmup=2)
    got = rates(config, Horizon(99, 3), 99)
    assert got[0] == 0.5 and got[1:24] == [1] * 23 and got[24:48] == [0.5] * 24 and got[48] == 0.25


def test_inverse_square_root_peaks_at_the_last_step_of_warmup() -> None:
    got = rates(TrainingConfig(schedule="inverse_sqrt", warmup=100), Horizon(9, 9), 1000)
    assert got[:100] == [pytest.approx((step + 1) / 100) for step in range(100)]
    assert got[100:] == [pytest.approx(10 / math.sqrt(step + 1)) for step in range(100, 1000)]
    assert rates(TrainingConfig(schedule="inverse_sqrt"), Horizon(9, 9), 2) == [1, pytest.approx(1 / math.sqrt(2))]


def test_cosine_falls_from_one_after_warmup_to_the_floor_at_the_end() -> None:
    got = rates(TrainingConfig(schedule="cosine", warmup=10, min_lr_ratio=0.1), Horizon(110, 9), 130)
    assert got[:10] == [pytest.approx((step + 1) / 10) for step in range(10)]
    assert got[10] == 1 and got[60] == pytest.approx(0.55) and got[110:] == [pytest.approx(0.1)] * 20
    assert all(a > b for a, b in zip(got[10:], got[11:111], strict=False))


@settings(deadline=None)  # torch imports half of itself at the first call
@given(st.lists(st.integers(0, 6), max_size=40), st.integers(0, 3), st.sampled_from(["min", "max"]))
def test_plateau_is_torchs(scores: list[int], patience: int, mode: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    torchs = ReduceLROnPlateau(optimizer, mode, 0.5, patience, threshold=0.0, eps=0.0)  # type: ignore[arg-type]
    for score in scores:
        torchs.step(score)
    assert schedule.plateau(scores, patience=patience, gamma=0.5, mode=mode) == optimizer.param_groups[0]["lr"]


def test_plateau_in_a_plan() -> None:
    config = TrainingConfig(schedule="plateau", gamma=0.1, plateau_patience=0, min_lr_ratio=0.05, mode="max")
    assert [lr_factor(config, Horizon(9, 9), 5, (3.0, 4.0, 2.0, 1.0)[:n]) for n in range(5)] == [1, 1, 1, 0.1, 0.05]


def test_since_best() -> None:
    assert [schedule.evaluations_since_best(scores, "min") for scores in ([1], [1, 2], [1, 2, 1], [3, 2, 1])] == [
        0,
        1,
        2,
        0,
    ]
    assert schedule.evaluations_since_best([1, 2, 3], "max") == 0
    assert (
        schedule.evaluations_since_best([math.nan, 5, math.nan], "max") == 1
        and schedule.evaluations_since_best([math.nan], "min") == 1
    )


def test_ramps() -> None:
    assert [schedule.linear_ramp(s, start=2, end=6, high=0.4) for s in (0, 2, 3, 6, 9)] == [
        0,
        0,
        pytest.approx(0.1),
        pytest.approx(0.4),
        pytest.approx(0.4),
    ]
    assert schedule.linear_ramp(5, start=5, end=5) == 0 and schedule.linear_ramp(6, start=5, end=5) == 1
    stairs = [schedule.staircase(s, start=3, every=2, rise=0.05, high=0.12) for s in range(9)]
    assert stairs == [0, 0, 0, 0.05, 0.05, 0.1, 0.1, 0.12, 0.12]
    assert schedule.exponential(3, 0.9) == pytest.approx(1 - 0.729)
    k = 20.0
    sigmoid = [schedule.inverse_sigmoid(s, k) for s in range(200)]
    assert sigmoid == [pytest.approx(1 - k / (k + math.exp(s / k))) for s in range(200)]
    assert schedule.inverse_sigmoid(1_000_000, k) == 1 and sigmoid == sorted(sigmoid)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0, got 0.0"),
        ({"epochs": math.nan}, "`epochs` must be finite and above 0, got nan"),
        ({"grad_accumulation": 0}, "`grad_accumulation` must be at least 1, got 0"),
        ({"max_grad_norm": -1.0}, "`max_grad_norm` must be at least 0, got -1.0"),
        ({"ema_decay": 1.0}, "`ema_decay` must be at least 0 and below 1, got 1.0"),
        ({"betas": (0.9, 1.0)}, r"`betas` must be at least 0 and below 1, got \(0.9, 1.0\)"),
        (
            {"ema_decay": 0.9, "average_last": 2},
            "`ema_decay` or `average_last` must be 0, got 0.9 and 2: one average at a time",
        ),
    ],
)
def test_plan_refuses(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        TrainingConfig(**values)


def test_plan_is_frozen_and_every_field_is_documented() -> None:
    from seqkit.config import fields_by_name

    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingConfig().steps = 3  # type: ignore[misc]
    assert all(leaf.doc for leaf in fields_by_name(TrainingConfig).values())


def minimise(parameter: nn.Parameter, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """The last value of a bowl whose walls are a hundred times steeper one way than the other."""
    for _ in range(steps):
        value = (parameter.square() * torch.tensor([1.0, 0.01], dtype=parameter.dtype)).sum()
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return value.item()


PLAIN: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"momentum": 0.3}),
    "adagrad": (torch.optim.Adagrad, {"eps": 1e-5}),
    "adadelta": (torch.optim.Adadelta, {"rho": 0.8, "eps": 1e-5}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.8, "eps": 1e-5, "momentum": 0.3}),
    "adam": (torch.optim.Adam, {"eps": 1e-5, "betas": (0.8, 0.9)}),
    "adamw": (torch.optim.AdamW, {"eps": 1e-5, "betas": (0.8, 0.9)}),
}


@pytest.mark.parametrize("rule", RULES)
def test_optimizers_are_torchs_with_the_plans_numbers(rule: str) -> None:
    config = TrainingConfig(
        optimizer=rule,
        learning_rate=0.3,
        momentum=0.3,
        betas=(0.8, 0.9),
        rho=0.8,
        epsilon=1e-5,  # type: ignore[arg-type]
        weight_decay=0.02,
    )
    kind, options = PLAIN[rule]
    first, second = (nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2))
    minimise(first, make_optimizer([first], config), 20)
    minimise(second, kind([second], lr=0.3, weight_decay=0.02, foreach=False, **options), 20)  # type: ignore[call-arg]
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("rule", RULES)
def test_optimizers_go_downhill(rule: str) -> None:
    config = TrainingConfig(optimizer=rule, learning_rate=1.0 if rule in ("adadelta", "adagrad") else 0.1, epsilon=1e-6)  # type: ignore[arg-type]
    parameter = nn.Parameter(torch.tensor([1.0, 1.0]))
    assert minimise(parameter, make_optimizer([parameter], config), 300) < 0.1


def test_parts_of_a_model_learn_at_their_own_rates() -> None:
    model = nn.ModuleDict({"cnn": nn.Linear(1, 1), "fixed": nn.Linear(1, 1), "rnn": nn.Linear(1, 1)})
    config = TrainingConfig(learning_rate=0.4)
    optimizer = make_optimizer(parameter_groups(model, config, {"cnn.": 0.1, "fixed.": 0.0}), config)
    assert [group["lr"] for group in optimizer.param_groups] == [0.4, 0.1]
    assert [p.requires_grad for p in model["fixed"].parameters()] == [False, False]
    for share in (0.5, 0.25):
        assert set_learning_rates(optimizer, share) == pytest.approx(0.4 * share)
        assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(r * share) for r in (0.4, 0.1)]
    with pytest.raises(InputError, match="`rates` must name parameters of the model, got 'cmm.', with which no name"):
        parameter_groups(model, config, {"cmm.": 0.1})
