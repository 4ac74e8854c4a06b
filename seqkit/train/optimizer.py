"""Optimizers from a TrainingConfig, and parameter groups with learning rates of their own."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn, optim
from torch.optim import Optimizer

from seqkit.errors import InputError
from seqkit.train.training_config import TrainingConfig


def make_optimizer(parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: TrainingConfig) -> Optimizer:
    """The optimizer of `config` over parameters, or over parameter groups with an `lr` each.

    Uses the fastest kernels that torch has for it: fused where there are any, else foreach.
    """
    rate, decay, epsilon = config.learning_rate, config.weight_decay, config.epsilon
    given: Any = list(parameters)
    match config.optimizer:
        case "sgd":
            return optim.SGD(given, rate, momentum=config.momentum, weight_decay=decay, fused=True)
        case "adagrad":
            return optim.Adagrad(given, rate, eps=epsilon, weight_decay=decay, foreach=True)
        case "adadelta":
            return optim.Adadelta(given, rate, rho=config.rho, eps=epsilon, weight_decay=decay, foreach=True)
        case "rmsprop":
            return optim.RMSprop(
                given, rate, alpha=config.rho, eps=epsilon, weight_decay=decay, momentum=config.momentum, foreach=True
            )
        case "adam":
            return optim.Adam(given, rate, betas=config.betas, eps=epsilon, weight_decay=decay, fused=True)
        case "adamw":
            return optim.AdamW(given, rate, betas=config.betas, eps=epsilon, weight_decay=decay, fused=True)


def parameter_groups(model: nn.Module, config: TrainingConfig, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Parameter groups for `make_optimizer` with learning rates by name prefix.

    A parameter whose name starts with a key of `rates` gets that learning rate (the first key that fits); at 0 it is
    frozen. All others get the config's. Raises InputError for a key that fits no parameter.
    """
    found: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in ["", *rates]}
    for name, parameter in model.named_parameters():
        found[next((prefix for prefix in rates if name.startswith(prefix)), "")].append(parameter)
    for prefix in rates:
        if not found[prefix]:
            raise InputError(f"`rates` must name parameters of the model, got {prefix!r}, with which no name begins")
    rate = {**rates, "": config.learning_rate}
    for parameter in (p for prefix in rates if rates[prefix] == 0 for p in found[prefix]):
        parameter.requires_grad_(False)
    return [{"params": found[prefix], "lr": rate[prefix]} for prefix in found if found[prefix] and rate[prefix] > 0]


def set_learning_rates(optimizer: Optimizer, lr_factor: float) -> float:
    """Set the learning rate of every group to its initial one times `lr_factor`; returns the first group's."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * lr_factor
    return float(optimizer.param_groups[0]["lr"])
