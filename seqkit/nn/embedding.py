"""Token embeddings.

B batch, V vocabulary, E embedding width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Embedding(nn.Module):
    """Token embeddings: a table (V, E), its rows multiplied by the square root of E where `scaled`.

    Weights shared with a softmax must be initialized small; scaled, the network's input has unit variance all the same
    (Vaswani et al. 2017, arXiv:1706.03762, section 3.4), and training converges hundreds of steps sooner.
    """

    def __init__(self, vocab_size: int, embed_dim: int, *, scaled: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, embed_dim))
        self.scale = embed_dim**0.5 if scaled else 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        """Ids (...) to vectors (..., E)."""
        return F.embedding(tokens, self.weight) * self.scale
