"""From what an encoder read to the state a decoder starts in.

`mean`: of the memory's real positions. `last`: the top layer's last state. `backward`: the half of it that read the
first position last (Bahdanau et al. 2015, arXiv:1409.0473, appendix A.2.2). `copy`: every layer's last states as they
are (Sutskever et al. 2014, arXiv:1409.3215). `zeros`: nothing passes but attention.

B batch, D encoder width, Z summary width, L layers, H hidden width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from seqkit.nn.encoders import Encoded
from seqkit.nn.masks import masked_mean
from seqkit.nn.recurrent import RecurrentStack

Start = Literal["zeros", "mean", "last", "backward", "copy"]


def summarise(encoded: Encoded, start: Start) -> Tensor:
    """The stream in one vector (B, Z): Z is D for mean and last, D / 2 for backward, all states for copy, else 0."""
    if start == "mean":
        return masked_mean(encoded.values_BSD, encoded.lengths_B)
    if start == "last":
        return encoded.h_BLD[:, -1]
    if start == "backward":
        return encoded.h_BLD[:, -1].chunk(2, -1)[1]
    if start == "copy":
        return torch.cat([encoded.h_BLD, encoded.c_BLD], -1).flatten(1)
    return encoded.values_BSD[:, 0, :0]


def make_bridge(start: Start, encoder_dim: int, encoder_layers: int, cells: RecurrentStack) -> nn.Module | None:
    """A module from summaries (B, Z) to the cells' first states (B, L * (H + cell_dim)), tanh of a linear map.

    Raises ValueError where `copy` meets a decoder of another shape than the encoder's.
    """
    layers, width = len(cells.layers), cells.hidden_dim
    if start == "zeros":
        return None
    if start == "copy":
        if (encoder_layers, encoder_dim) != (layers, width):
            raise ValueError(
                "`start` must not be copy between an encoder and a decoder of different shape, "
                f"got {encoder_layers} layers of {encoder_dim} and {layers} of {width}"
            )
        return nn.Identity()
    summary_dim = encoder_dim // 2 if start == "backward" else encoder_dim
    return nn.Sequential(nn.Linear(summary_dim, layers * (width + cells.cell_dim)), nn.Tanh())
