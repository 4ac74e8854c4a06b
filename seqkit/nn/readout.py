"""The readout: the output layers of the decoder, from its features at a step to logits over the vocabulary.

Maxout: Goodfellow et al. 2013, arXiv:1302.4389, as in Bahdanau et al. 2015, arXiv:1409.0473, appendix A.2.2.
Tied embeddings: Press and Wolf 2017, arXiv:1608.05859.

... any leading dimensions, F feature width, R readout width, V vocabulary.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from seqkit.nn.dropout import Dropout
from seqkit.nn.embedding import Embedding

ReadoutKind = Literal["tanh", "maxout", "linear"]


class Readout(nn.Module):
    """The readout: tanh or maxout of a linear map to R, dropout, a linear map to V; `kind` linear: the last alone.

    `tied_embedding` is an embedding (V, R) whose weights the last map shares. Raises ValueError for another shape.
    """

    def __init__(
        self,
        feature_dim: int,
        readout_dim: int,
        vocab_size: int,
        *,
        kind: ReadoutKind = "tanh",
        tied_embedding: Embedding | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in get_args(ReadoutKind):
            raise ValueError(f"`kind` must be one of {', '.join(get_args(ReadoutKind))}, got {kind!r}")
        readout_dim = feature_dim if kind == "linear" else readout_dim
        if tied_embedding is not None and tied_embedding.weight.shape != (vocab_size, readout_dim):
            shape = tuple(tied_embedding.weight.shape)
            raise ValueError(f"`tied_embedding` must be ({vocab_size}, {readout_dim}), got {shape}")
        self.kind, self.feature_dim = kind, feature_dim
        width = 2 * readout_dim if kind == "maxout" else readout_dim
        self.hidden = nn.Identity() if kind == "linear" else nn.Linear(feature_dim, width)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(readout_dim, vocab_size)
        if tied_embedding is not None:
            self.output.weight = tied_embedding.weight

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., F) to logits (..., V)."""
        hidden = self.hidden(features)
        if self.kind == "tanh":
            hidden = torch.tanh(hidden)
        elif self.kind == "maxout":
            hidden = hidden.unflatten(-1, (-1, 2)).amax(-1)
        logits: Tensor = self.output(self.dropout(hidden))
        return logits
