"""What is exported of a VQA run."""

from typing import Any

from torch import Tensor, nn

from seqkit.export.graph import Export, Graph
from seqkit.export.plain import plain_copy
from seqkit.recipes.common.image_export import pixel_input, text_inputs
from seqkit.recipes.vqa.predictor import AnswerPredictor


class AnswerGraph(nn.Module):
    """A model with its inputs in a row."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Pixels where the model sees, question ids and lengths: logits, and attention where there is one."""
        *image, tokens_BT, lengths_B = inputs
        logits_BA, weights_BGS = self.model(tuple(image), tokens_BT, lengths_B)
        return (logits_BA, weights_BGS) if self.model.attention_fusion is not None else (logits_BA,)


def vqa(predictor: AnswerPredictor, config: Any) -> Export:
    """The whole model."""
    model, text = predictor.members[0].model, predictor.members[0].text
    seen = [pixel_input(model.image_encoder)] if model.image_encoder is not None else []
    form = f"in lower case, without the question mark, at most {text.max_question} words"
    weights = ["attention"] if model.attention_fusion is not None else []
    made = AnswerGraph(plain_copy(model))
    graph = Graph("model", made, [*seen, *text_inputs("question", form)], ["logits", *weights])
    squash = "a sigmoid of each logit" if text.targets == "soft" else "their softmax"
    about = f"`logits` are of the answers in the order of `texts` in `answers.json`; probabilities are {squash}."
    return Export("whole", [graph], {"words": predictor.vocab}, {}, [about], predictor.answers.save)
