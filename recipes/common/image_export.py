"""Inputs of exported graphs that recipes share: images, and short texts about them."""

import torch

from seqkit.export.graph import Input
from seqkit.nn.backbones import Backbone


def pixel_input(backbone: Backbone) -> Input:
    """Images as the graph of a `backbone` reads them."""
    side = backbone.size
    about = f"RGB from 0 to 255 of upright images, stretched to {side} x {side} pixels (bilinear, antialiased)"
    return Input("pixels", ("batch", 3, side, side), torch.uint8, about)


def text_inputs(name: str, form: str) -> list[Input]:
    """Ids of short texts in `words.json`; `form` says how a text is written."""
    return [
        Input(
            name,
            ("batch", "time"),
            torch.int64,
            f"ids of the words in `words.json`, or of letters where it has those, padded with 0; {form}",
        ),
        Input(f"{name}_lengths", ("batch",), torch.int64, "words of each text, at least 1"),
    ]
