"""Graphs of ONNX: what a recipe exports, and writing it with free batch and time.

The exporter is told that batch and time are dynamic in the way that makes it fail where a model fixes one of them,
in the place of freezing it in silence.
"""

import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.data.vocab import UNK, SubwordVocab, Vocab
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.export.plain import plain_functions
from seqkit.export.recurrent import translations

OPSET = 20
MISSING = 'export needs onnx, onnxscript and onnxruntime: pip install "seqkit[export]"'
BATCH, TIME = 2, 33  # sizes of what a graph is traced with; any others work


@described
class Input(NamedTuple):
    """An input of a graph."""

    name: str
    axes: tuple[str | int, ...]
    """each the name of an axis of any size, or a size"""
    dtype: torch.dtype
    about: str
    """what it holds, and in which units"""

    def example(self) -> Tensor:
        """Values to trace with: lengths are whole, counts are 1, ids are 1."""
        sizes = [BATCH if axis == "batch" else axis if isinstance(axis, int) else self.size(axis) for axis in self.axes]
        return torch.full(sizes, TIME if self.name.endswith("lengths") else 1, dtype=self.dtype)

    def size(self, axis: str) -> int:
        """A size for a free axis, different for different names."""
        return TIME + 2 * (axis != "time")

    def dynamic(self) -> dict[int, Any]:
        """The free axes, as the exporter takes them."""
        free = torch.export.Dim.DYNAMIC
        return {place: free for place, axis in enumerate(self.axes) if isinstance(axis, str)}


class Graph(NamedTuple):
    """One .onnx file: a module of `plain_copy`, its inputs and the names of its outputs."""

    name: str
    module: nn.Module
    inputs: Sequence[Input]
    outputs: Sequence[str]


@described
class Export(NamedTuple):
    """What a recipe exports of a run."""

    kind: str
    """attention, ctc or whole: how beam.py reads the graphs"""
    graphs: Sequence[Graph]
    vocabularies: Mapping[str, Vocab]
    facts: Mapping[str, Any]
    """what beam.py has to know besides"""
    about: Sequence[str] = ()
    """lines of the README on how inputs are made and what the graphs lack"""
    save: Callable[[Path], None] | None = None
    """writes further files"""


def check_installed() -> None:
    """Raises InputError where the extra is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError(MISSING) from None


def write_graph(graph: Graph, path: Path) -> None:
    """Write one graph. Raises InputError where the exporter of torch cannot."""
    check_installed()
    inputs = tuple(one.example() for one in graph.inputs)
    shapes = (tuple(one.dynamic() for one in graph.inputs),)  # those of *inputs
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # it warns of attributes that are empty
    with warnings.catch_warnings(), plain_functions(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(graph.module, inputs, dynamic_shapes=shapes, strict=True)
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[one.name for one in graph.inputs],
            output_names=list(graph.outputs),
            custom_translation_table=translations(),
            verbose=False,
        )
        assert made is not None
        name_axes(made.model.graph, graph.inputs)
        clear_traces(made.model)
        made.save(path, external_data=False)


def name_axes(graph: Any, inputs: Sequence[Input]) -> None:
    """Name the free axes of the inputs as the recipe does."""
    for value, one in zip(graph.inputs, inputs, strict=True):
        value.shape = type(value.shape)(one.axes)


def clear_traces(model: Any) -> None:
    """Remove what the exporter says of the source code and its place on this machine."""
    for part in (model, model.graph, *model.functions.values()):
        part.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()


def write_vocab(vocab: Vocab, folder: Path, name: str) -> None:
    """Write NAME.json, the tokens from id 4 on and how they are joined, and of subwords sentencepiece's NAME.model."""
    vocab.save(folder, name)
    if isinstance(vocab, SubwordVocab):
        tokens = [vocab.token(number) for number in range(UNK + 1, len(vocab))]
        text = json.dumps({"kind": "subwords", "tokens": tokens}, ensure_ascii=False, indent=0)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
