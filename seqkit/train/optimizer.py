"""torch's optimizers from a plan's numbers, and learning rates that differ between parts of a model."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn, optim
from torch.optim import Optimizer

from seqkit.errors import InputError
from seqkit.train.training_config import TrainingConfig


def make_optimizer(parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], plan: TrainingConfig) -> Optimizer:
    """Parameters, or groups of them with an `lr` each, under the plan's update rule.

    The kernels are the fastest that torch has for the rule: fused where it can, else over all parameters at once.
    """
    rate, decay, epsilon = plan.learning_rate, plan.weight_decay, plan.epsilon
    given: Any = list(parameters)
    match plan.optimizer:
        case "sgd":
            return optim.SGD(given, rate, momentum=plan.momentum, weight_decay=decay, fused=True)
        case "adagrad":
            return optim.Adagrad(given, rate, eps=epsilon, weight_decay=decay, foreach=True)
        case "adadelta":
            return optim.Adadelta(given, rate, rho=plan.rho, eps=epsilon, weight_decay=decay, foreach=True)
        case "rmsprop":
            return optim.RMSprop(
                given, rate, alpha=plan.rho, eps=epsilon, weight_decay=decay, momentum=plan.momentum, foreach=True
            )
        case "adam":
            return optim.Adam(given, rate, betas=plan.betas, eps=epsilon, weight_decay=decay, fused=True)
        case "adamw":
            return optim.AdamW(given, rate, betas=plan.betas, eps=epsilon, weight_decay=decay, fused=True)


def groups(model: nn.Module, plan: TrainingConfig, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Groups for `make_optimizer`: parameters whose name begins with a key of `rates` learn at that learning rate,
    the first key that fits; at 0 they are frozen. The others learn at the plan's. Raises InputError for a key that
    fits no parameter.
    """
    found: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in ["", *rates]}
    for name, parameter in model.named_parameters():
        found[next((prefix for prefix in rates if name.startswith(prefix)), "")].append(parameter)
    for prefix in rates:
        if not found[prefix]:
            raise InputError(f"`rates` must name parameters of the model, got {prefix!r}, with which no name begins")
    rate = {**rates, "": plan.learning_rate}
    for parameter in (p for prefix in rates if rates[prefix] == 0 for p in found[prefix]):
        parameter.requires_grad_(False)
    return [{"params": found[prefix], "lr": rate[prefix]} for prefix in found if found[prefix] and rate[prefix] > 0]


def set_rates(optimizer: Optimizer, share: float) -> float:
    """Every group's learning rate at `share` of its full one; the first group's is returned."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * share
    return float(optimizer.param_groups[0]["lr"])
