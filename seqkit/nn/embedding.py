"""Token embeddings.

B batch, V vocabulary, E embedding width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Embedding(nn.Module):
    """A table (V, E), its rows multiplied by the root of E where `scaled`.

    A table tied to a softmax must start small; scaled, what goes into the network starts near unit variance all the
    same (Vaswani et al. 2017, arXiv:1706.03762, section 3.4), and learning starts hundreds of steps sooner.
    """

    def __init__(self, vocab_size: int, embed_dim: int, *, scaled: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, embed_dim))
        self.scale = embed_dim**0.5 if scaled else 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        """Ids (...) to vectors (..., E)."""
        return F.embedding(tokens, self.weight) * self.scale
