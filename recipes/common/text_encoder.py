"""What a question or a phrase says, as one vector: the language side of answering and of grounding.

Fukui et al. 2016, arXiv:1606.01847, section 3.2: embeddings through a tanh, a recurrent network, and the last states
of all its layers side by side.

B batch, T words, V vocabulary, E embedding width, Q question width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import RecurrentEncoder


@dataclass(frozen=True)
class Language:
    """The network that reads."""

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    """recurrent cell (Fukui et al.: lstm)"""
    embed_dim: int = 300
    """embedding width (Fukui et al.: 300)"""
    question_dim: int = 512
    """width of a layer (Fukui et al.: 1024)"""
    question_layers: int = 1
    """layers, whose outputs are joined (Fukui et al.: 2)"""
    question_dropout: float = 0.5
    """rate on the embeddings and on every layer's output (Fukui et al.: 0.3)"""


class QuestionEncoder(nn.Module):
    """Ids (B, T) to (B, Q); `dim` is Q. `vectors_VE`, where given, are joined to the embeddings and do not learn."""

    vectors_VE: Tensor

    def __init__(self, n: Language, vocab_size: int, vectors_VE: Tensor | None = None) -> None:
        super().__init__()
        fixed_VE = torch.zeros(vocab_size, 0) if vectors_VE is None else vectors_VE
        self.embedding = Embedding(vocab_size, n.embed_dim)
        self.register_buffer("vectors_VE", fixed_VE)
        self.encoder = RecurrentEncoder(
            n.embed_dim + fixed_VE.shape[1], n.question_dim, n.question_layers, kind=n.cell, dropout=n.question_dropout
        )
        self.dropout = nn.Dropout(n.question_dropout)
        self.dim = n.question_layers * n.question_dim

    def forward(self, tokens_BT: Tensor, lengths_B: Tensor) -> Tensor:
        learnt_BTE = self.dropout(self.embedding(tokens_BT).tanh())
        joined_BTE = torch.cat([learnt_BTE, self.vectors_VE[tokens_BT]], -1)
        return self.dropout(self.encoder(joined_BTE, lengths_B).h_BLD.flatten(1))
