"""Dynamic quantization of exported graphs: weights as 8-bit integers, activations quantized as they come."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any


def quantize(path: Path) -> Counter[str]:
    """Quantize the weights of a graph in place; returns how many operators of each kind keep float weights."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().disabled, before = True, logging.getLogger().disabled  # it suggests a step that changes nothing
    made = path.with_suffix(".int8")
    try:
        quantize_dynamic(path, made, op_types_to_quantize=["MatMul", "Gather", "LSTM"], weight_type=QuantType.QInt8)
    finally:
        logging.getLogger().disabled = before
    made.replace(path)
    return float_weights(onnx.load(path).graph)


def float_weights(graph: Any) -> Counter[str]:
    """Operators that read a float tensor of two axes or more among the weights."""
    floats = {one.name for one in graph.initializer if one.data_type == 1 and len(one.dims) > 1}
    return Counter(node.op_type for node in graph.node if floats & set(node.input))
