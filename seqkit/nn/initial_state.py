"""The decoder's initial hidden state, made from what the encoder read.

`mean`: a learned map of the mean of the memory's real positions (Xu et al. 2015, arXiv:1502.03044, section 3.1.2).
`last`: of the top layer's last state. `backward`: of the half of it that read the first position last (Bahdanau et al.
2015, arXiv:1409.0473, appendix A.2.2). `copy`: every layer's last states as they are (Sutskever et al. 2014,
arXiv:1409.3215). None: zeros, so that nothing passes but attention.

B batch, D encoder width, Z summary width, L layers, H hidden width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from seqkit.nn.encoders import Encoded
from seqkit.nn.masks import masked_mean
from seqkit.nn.recurrent import RecurrentStack

InitHidden = Literal["mean", "last", "backward", "copy"]


def summarize(encoded: Encoded, kind: InitHidden | None) -> Tensor:
    """The stream in one vector (B, Z): Z is D for mean and last, D / 2 for backward, all states for copy, else 0."""
    if kind == "mean":
        return masked_mean(encoded.values_BSD, encoded.lengths_B)
    if kind == "last":
        return encoded.h_BLD[:, -1]
    if kind == "backward":
        return encoded.h_BLD[:, -1].chunk(2, -1)[1]
    if kind == "copy":
        return torch.cat([encoded.h_BLD, encoded.c_BLD], -1).flatten(1)
    return encoded.values_BSD[:, 0, :0]


def make_init_hidden(
    kind: InitHidden | None, encoder_dim: int, encoder_layers: int, cells: RecurrentStack
) -> nn.Module | None:
    """The map from summaries (B, Z) to the cells' initial states (B, L * (H + cell_dim)): linear, then tanh.

    Raises ValueError for `copy` where the decoder's shape is not the encoder's.
    """
    layers, width = len(cells.layers), cells.hidden_dim
    if kind is None:
        return None
    if kind == "copy":
        if (encoder_layers, encoder_dim) != (layers, width):
            raise ValueError(
                "`init_hidden` must not be copy between an encoder and a decoder of different shape, "
                f"got {encoder_layers} layers of {encoder_dim} and {layers} of {width}"
            )
        return nn.Identity()
    summary_dim = encoder_dim // 2 if kind == "backward" else encoder_dim
    return nn.Sequential(nn.Linear(summary_dim, layers * (width + cells.cell_dim)), nn.Tanh())
