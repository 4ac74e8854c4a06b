"""Text encoder of the recipes that read a question or a phrase: its words to one vector.

Fukui et al. 2016, arXiv:1606.01847, section 3.2: embeddings through a tanh, a recurrent network, and the last states
of all its layers side by side.

B batch, T words, V vocabulary, E embedding width, Q width of the text's vector.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from seqkit.described import described
from seqkit.nn.dropout import Dropout
from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import RecurrentEncoder
from seqkit.ranges import Range


@described
@dataclass(frozen=True)
class TextEncoderConfig:
    """The recurrent network over a question or a phrase."""

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    """recurrent cell (Fukui et al.: lstm)"""
    embed_dim: Annotated[int, Range(min=1)] = 300
    """embedding width (Fukui et al.: 300)"""
    text_dim: Annotated[int, Range(min=1)] = 512
    """width of a layer (Fukui et al.: 1024)"""
    text_layers: Annotated[int, Range(min=1)] = 1
    """layers, whose last states are concatenated (Fukui et al.: 2)"""
    text_dropout: Annotated[float, Range(min=0, below=1)] = 0.5
    """dropout on the embeddings and on every layer's output (Fukui et al.: 0.3)"""


class TextEncoder(nn.Module):
    """Embedding and recurrent layers; `dim` is Q. `vectors_VE`: fixed word vectors, joined to the learned ones."""

    vectors_VE: Tensor

    def __init__(self, config: TextEncoderConfig, vocab_size: int, vectors_VE: Tensor | None = None) -> None:
        super().__init__()
        fixed_VE = torch.zeros(vocab_size, 0) if vectors_VE is None else vectors_VE
        self.embedding = Embedding(vocab_size, config.embed_dim)
        self.register_buffer("vectors_VE", fixed_VE)
        self.encoder = RecurrentEncoder(
            config.embed_dim + fixed_VE.shape[1],
            config.text_dim,
            config.text_layers,
            kind=config.cell,
            dropout=config.text_dropout,
        )
        self.dropout = Dropout(config.text_dropout)
        self.dim = config.text_layers * config.text_dim

    def forward(self, tokens_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Ids (B, T) of texts of `lengths_B` words to vectors (B, Q)."""
        learned_BTE = self.dropout(self.embedding(tokens_BT).tanh())
        joined_BTE = torch.cat([learned_BTE, self.vectors_VE[tokens_BT]], -1)
        vectors_BQ: Tensor = self.dropout(self.encoder(joined_BTE, lengths_B).h_BLD.flatten(1))
        return vectors_BQ
