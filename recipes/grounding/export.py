"""What is exported of a grounding run."""

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.export.graph import Export, Graph, Input
from seqkit.export.plain import plain_copy
from seqkit.recipes.common.image_export import pixel_input, text_inputs
from seqkit.recipes.grounding.predictor import GroundingPredictor

BOXES = (
    Input(
        "boxes",
        ("batch", "candidates", 4),
        torch.float32,
        "left, top, right, bottom of candidate boxes as shares of the image's sides, padded with 0",
    ),
    Input("boxes_lengths", ("batch",), torch.int64, "candidates of each image"),
)


class BoxGraph(nn.Module):
    """A model with its inputs in a row."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Pixels, boxes and their number, phrase ids and lengths: logits (B, K)."""
        pixels_B3PP, *rest = inputs
        return (self.model((pixels_B3PP,), *rest),)


def grounding(predictor: GroundingPredictor, config: Any) -> Export:
    """The whole model."""
    model = predictor.members[0].model
    inputs = [pixel_input(model.image_encoder), *BOXES, *text_inputs("phrase", "in lower case")]
    graph = Graph("model", BoxGraph(plain_copy(model)), inputs, ["logits"])
    about = "The softmax of `logits` is the probability of each candidate; at padding they are the least number."
    return Export("whole", [graph], {"words": predictor.vocab}, {}, [about])
