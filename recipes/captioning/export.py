"""What is exported of a captioning run."""

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.data.vocab import UNK
from seqkit.decode import Search
from seqkit.export.attention import attention_graphs
from seqkit.export.graph import Export
from seqkit.export.plain import plain_copy
from seqkit.export.search import ALONE, search_facts
from seqkit.nn.memory import Memory
from seqkit.recipes.captioning.predictor import MAX_LEN, CaptionPredictor
from seqkit.recipes.common.image_export import pixel_input


def encode(model: nn.Module, pixels_B3PP: Tensor) -> tuple[tuple[Memory, ...], Tensor]:
    """Memories, and the most tokens of a caption."""
    memories: tuple[Memory, ...] = model.make_memory((pixels_B3PP,))  # type: ignore[operator]
    return memories, torch.full((pixels_B3PP.shape[0],), MAX_LEN)


def captioning(predictor: CaptionPredictor, config: Any) -> Export:
    """The image encoder, and one step of the decoder."""
    model = predictor.members[0].model
    return Export(
        "attention",
        attention_graphs(plain_copy(model), [pixel_input(model.image_encoder)], encode),
        {"target": predictor.vocab},
        search_facts(predictor.search, (*Search.suppress_tokens, UNK)),
        [ALONE] if predictor.scorers else [],
    )
