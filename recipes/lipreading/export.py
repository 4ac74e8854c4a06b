"""What is exported of a lipnet or wlas run."""

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.data.batch import PaddedSequence
from seqkit.data.vocab import UNK
from seqkit.decode import Search
from seqkit.decode.ctc import SPECIAL_TOKENS
from seqkit.export.attention import attention_graphs
from seqkit.export.graph import Export, Graph, Input
from seqkit.export.plain import plain_copy
from seqkit.export.search import ALONE, search_facts
from seqkit.nn.encoders import Encoded
from seqkit.nn.memory import Memory
from seqkit.recipes.lipreading.attention_model import LONGER, SpeechPredictor
from seqkit.recipes.lipreading.ctc_model import CtcPredictor
from seqkit.recipes.lipreading.data import StreamReader
from seqkit.recipes.lipreading.encoders import StreamEncoder

NORMALIZED = {
    "utterance": "each feature normalized to mean 0 and deviation 1 over the utterance",
    "corpus": "each feature less its `mean`, divided by its `std` in `inputs.json`",
    None: "not normalized",
}


class PlainStreamEncoder(StreamEncoder):
    """A stream encoder that computes empty sequences, too."""

    def forward(self, values: Tensor, lengths_B: Tensor) -> Encoded:
        """Values (B, S, D), zero for an empty sequence, their lengths and the last states of every layer."""
        return self.encode(values, lengths_B)


def plain_streams(model: nn.Module) -> nn.Module:
    """The plain copy of a model of streams."""
    made = plain_copy(model)
    for part in made.modules():
        if isinstance(part, StreamEncoder):
            part.__class__ = PlainStreamEncoder
    return made


def stream_inputs(reader: StreamReader, *, empty: bool) -> list[Input]:
    """Each stream of a model and its lengths; `empty`: an item may lack a stream."""
    found = []
    for name, inputs in reader.statistics.items():
        width = len(inputs.mean)
        if inputs.kind == "pixels":
            height, breadth = reader.video.frame_size
            crop = " x ".join(map(str, reader.video.crop_size))
            colors = "gray" if width == 1 else "RGB"
            about = f"25 frames/s, {colors} from 0 to 255, the mouth's central {crop} pixels resized"
            found.append(Input(name, ("batch", f"{name}_time", width, height, breadth), torch.uint8, about))
        else:
            kind = f"{reader.audio.features}, 100 vectors/s, or features" if name == "audio" else "features"
            about = f"{kind} as in training, {NORMALIZED[reader.feature.normalize]}"
            found.append(Input(name, ("batch", f"{name}_time", width), torch.float32, about))
        least = "0 where an item lacks the stream, which then has one step of zeros at least" if empty else "at least 1"
        found.append(Input(f"{name}_lengths", ("batch",), torch.int64, f"steps of each item; {least}"))
    return found


def encode(model: nn.Module, *streams: Tensor) -> tuple[tuple[Memory, ...], Tensor]:
    """Memories, and the most tokens of an output."""
    pairs = [PaddedSequence(*streams[first : first + 2]) for first in range(0, len(streams), 2)]
    encoded: list[Encoded] = model.encode(pairs)  # type: ignore[operator]
    longest_B = encoded[0].lengths_B
    for other in encoded[1:]:
        longest_B = torch.maximum(longest_B, other.lengths_B)
    memories: tuple[Memory, ...] = model.make_memory(encoded)  # type: ignore[operator]
    return memories, longest_B + LONGER


def wlas(predictor: SpeechPredictor, config: Any) -> Export:
    """The encoders, and one step of the decoder."""
    reader, search = predictor.readers[0], predictor.search
    inputs = stream_inputs(reader, empty=len(reader.statistics) > 1)
    return Export(
        "attention",
        attention_graphs(plain_streams(predictor.models[0]), inputs, encode),
        {"target": predictor.vocab},
        search_facts(search.decoding, (*Search.suppress_tokens, UNK)),
        [ALONE] if search.ctc_weight or predictor.scorers else [],
        lambda folder: reader.save(folder, predictor.vocab),
    )


class CtcGraph(nn.Module):
    """A CTC model with its inputs in a row."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Frames and lengths: logits (B, T, V) and their lengths."""
        logits_BTV, lengths_B = self.model(*inputs)
        return logits_BTV, lengths_B + 0  # an output of its own where it is the input


def lipnet(predictor: CtcPredictor, config: Any) -> Export:
    """The whole model."""
    reader = predictor.readers[0]
    graph = Graph(
        "model", CtcGraph(plain_streams(predictor.models[0])), stream_inputs(reader, empty=False), ["logits", "lengths"]
    )
    about = "`model.ctc` follows the likeliest path, as `--beam 1` does: without language model or grammar."
    facts = {"suppress": [*SPECIAL_TOKENS, UNK], "vocabulary": "target.json"}
    return Export(
        "ctc", [graph], {"target": predictor.vocab}, facts, [about], lambda folder: reader.save(folder, predictor.vocab)
    )
