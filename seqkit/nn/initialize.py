"""Initialization of parameters. Each function changes a module in place and returns it.

Uniform: Sutskever et al. 2014, arXiv:1409.3215, section 3.4. Bahdanau: Bahdanau et al. 2015, arXiv:1409.0473,
appendix B.1. Xavier: Glorot and Bengio 2010 for matrices, orthogonal recurrence (Saxe et al. 2013, arXiv:1312.6120),
forget bias 1 (Jozefowicz et al. 2015).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from seqkit.nn.embedding import Embedding

Initializer = Literal["xavier", "uniform", "bahdanau"]


def gates(weight: Tensor, hidden_dim: int) -> tuple[Tensor, ...]:
    """The blocks (hidden_dim, ...) of a recurrent weight, one a gate."""
    return torch.split(weight, hidden_dim)


@torch.no_grad()
def uniform(module: nn.Module, bound: float = 0.08) -> nn.Module:
    """Every parameter from U(-bound, bound)."""
    for parameter in module.parameters():
        parameter.uniform_(-bound, bound)
    return module


@torch.no_grad()
def bahdanau(module: nn.Module) -> nn.Module:
    """Orthogonal recurrent weights; W and U of attention from N(0, 0.001^2), its v and biases 0; else N(0, 0.01^2)."""
    for name, parameter in module.named_parameters():
        if "weight_hh" in name:
            for block in gates(parameter, parameter.shape[1]):
                nn.init.orthogonal_(block)
        elif "bias" in name or "attentions" in name and ".score." in name:
            parameter.zero_()
        else:
            parameter.normal_(0.0, 0.001 if "attentions" in name else 0.01)
    return module


@torch.no_grad()
def xavier(module: nn.Module) -> nn.Module:
    """Glorot by gate, orthogonal recurrent weights, biases 0 (LSTM forget gates 1), embeddings N(0, 1 / width)."""
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            recurrent(part)
        elif isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                part.bias.zero_()
    for part in module.modules():  # after the linear maps, with which an embedding may share its weights
        if isinstance(part, Embedding):
            part.weight.normal_(0.0, part.weight.shape[1] ** -0.5)
    return module


def recurrent(layer: nn.RNNBase) -> None:
    """`xavier` for one recurrent layer."""
    for name, parameter in layer.named_parameters():
        if name.startswith("bias"):
            parameter.zero_()
            if isinstance(layer, nn.LSTM) and name.startswith("bias_ih"):
                gates(parameter, layer.hidden_size)[1].fill_(1.0)
        else:
            for block in gates(parameter, layer.hidden_size):
                (nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_)(block)


INITIALIZERS: dict[Initializer, Callable[[nn.Module], nn.Module]] = {
    "xavier": xavier,
    "uniform": uniform,
    "bahdanau": bahdanau,
}
