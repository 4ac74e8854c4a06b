"""The stored state of an optimizer is looked over before a step is taken with it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from seqkit.train.optimizer import make_optimizer
from seqkit.train.state import check_optimizer
from seqkit.train.training_config import TrainingConfig

KINDS = ("sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw")


def stepped(kind: str) -> torch.optim.Optimizer:
    model = nn.Linear(3, 2)
    optimizer = make_optimizer(model.parameters(), TrainingConfig(steps=1, optimizer=kind))  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_optimizer_stores_is_its_state(kind: str) -> None:
    optimizer = stepped(kind)
    optimizer.param_groups[0]["lr"] = 0.5  # of a schedule
    check_optimizer(optimizer.state_dict(), stepped(kind))


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "other options": lambda state: state["param_groups"][0].update(betas=(1e300, 0.9)),
    "options, got|other options": lambda state: state["param_groups"][0].pop("eps"),
    "learning rates that are none": lambda state: state["param_groups"][0].update(lr=float("nan")),
    "lacks something": lambda state: state["state"][0].pop("exp_avg"),
    "whose steps are no count": lambda state: state["state"][1].update(step=torch.tensor(-1e30)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_state_is_refused_before_a_step(fault: str) -> None:
    optimizer = stepped("adam")
    state = copy.deepcopy(optimizer.state_dict())
    FAULTS[fault](state)
    with pytest.raises(ValueError, match=fault):
        check_optimizer(state, optimizer)
