"""What is exported of a recurrent language model."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.export.graph import Export, Graph, Input
from seqkit.export.plain import plain_copy
from seqkit.recipes.language_model.model import LanguageModelPredictor

TOKENS = Input("tokens", ("batch", "time"), torch.int64, "1 and then the ids of a text's symbols in `symbols.json`")
ABOUT = "`logits` at a place are of the symbol after it; 2 is the end of a text. Padding changes no logits before it."


class LanguageModelGraph(nn.Module):
    """A decoder over no memory."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Tokens (B, T) to logits (B, T, V)."""
        return (self.decoder(inputs[0], ()),)


def language_model(predictor: LanguageModelPredictor, config: Any) -> Export:
    """The whole model. Raises InputError for n-grams, which are no network."""
    member = predictor.members[0]
    if member.decoder is None:
        raise InputError("RUN must be a recurrent language model, got n-grams, whose model.ngram is a table")
    graph = Graph("model", LanguageModelGraph(plain_copy(member.decoder)), [TOKENS], ["logits"])
    subwords = {"target": member.subwords} if member.subwords else {}

    def save(folder: Path) -> None:
        text = json.dumps(list(member.symbols), ensure_ascii=False, indent=0)
        (folder / "symbols.json").write_text(text, encoding="utf-8")

    return Export("whole", [graph], subwords, {}, [ABOUT], save)
