"""What is exported of a translation run."""

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.data.batch import PaddedSequence
from seqkit.decode import Search
from seqkit.export.attention import attention_graphs
from seqkit.export.graph import Export, Input
from seqkit.export.plain import plain_copy
from seqkit.export.search import ALONE, search_facts
from seqkit.nn.memory import Memory
from seqkit.recipes.translation.model import TranslationPredictor

INPUTS = (
    Input("source", ("batch", "time"), torch.int64, "ids of the source's tokens, padded with 0, of `source.json`"),
    Input("source_lengths", ("batch",), torch.int64, "tokens of each source, at least 1"),
)


def encode(model: nn.Module, source_BT: Tensor, lengths_B: Tensor) -> tuple[tuple[Memory, ...], Tensor]:
    """Memories, and the most tokens of a translation."""
    memories: tuple[Memory, ...] = model.make_memory(PaddedSequence(source_BT, lengths_B))  # type: ignore[operator]
    return memories, 2 * lengths_B + 10


def translation(predictor: TranslationPredictor, config: Any) -> Export:
    """The encoder of a source, and one step of the decoder."""
    return Export(
        "attention",
        attention_graphs(plain_copy(predictor.models[0]), INPUTS, encode),
        {"source": predictor.vocabs.source, "target": predictor.vocabs.target},
        search_facts(predictor.search, Search.suppress_tokens),
        [ALONE] if predictor.scorers else [],
    )
