"""Graphs of models that write text by attention: the encoder with the initial state, and one step of the decoder.

State and tokens have a second axis of hypotheses, so that a memory stands once an item and not once a hypothesis.

B batch, K hypotheses, S positions of a memory, D width of a memory, A key width, L layers, H hidden width.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.export.graph import Graph, Input
from seqkit.export.plain import PlainDecoder
from seqkit.nn.attention import DotAttention, GatedAttention, MultiHeadAttention
from seqkit.nn.memory import Memory, State

Encode = Callable[..., tuple[tuple[Memory, ...], Tensor]]


class EncoderGraph(nn.Module):
    """Inputs to memories, the decoder's initial state, and the maximum length of an output."""

    def __init__(self, model: nn.Module, encode: Encode) -> None:
        super().__init__()
        self.model, self.encode = model, encode

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """All tensors of the memories and of the state, which has one hypothesis, and the maximum lengths (B,)."""
        decoder: PlainDecoder = self.model.decoder  # type: ignore[assignment]
        memories, max_len_B = self.encode(self.model, *inputs)
        state = decoder.initial_state(memories)
        states = [part[:, None] for part in state_parts(decoder, state)]
        return *memory_parts(decoder, memories), *states, max_len_B


class StepGraph(nn.Module):
    """One token of every hypothesis to logits, attention and the next state."""

    def __init__(self, decoder: PlainDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.names = ["token", *itertools.chain(*memory_names(decoder)), *state_names(decoder)]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Tokens (B, K), the memories, the state: logits (B, K, V), weights (B, K, S) a memory, the next state."""
        decoder, given = self.decoder, dict(zip(self.names, inputs, strict=True))
        token_BK, count = given["token"], len(decoder.attentions)
        batch, decoder.shared = token_BK.shape
        memories = []
        for i in range(1, count + 1):
            values = given[f"values_{i}"] if f"values_{i}" in given else given[f"keys_{i}"]
            keys = given.get(f"keys_{i}", values)
            memories.append(Memory(values, given[f"mask_{i}"], keys, values[:, 0, :0]))
        parts = {name: given[name].flatten(0, 1) for name in state_names(decoder)}
        h_BLH = parts["h"]
        empty = h_BLH[:, 0, :0]
        state = State(
            h_BLH,
            parts.get("c", h_BLH[..., :0]),
            tuple(parts.get(f"context_{i}", empty) for i in range(1, count + 1)),
            tuple(parts.get(f"attention_{i}", empty) for i in range(1, count + 1)),
        )
        logits, weights, after = decoder.step(token_BK.flatten(), tuple(memories), state)
        made = [logits, *weights, *(part for part in state_parts(decoder, after, attention=False))]
        return tuple(part.view(batch, decoder.shared, *part.shape[1:]) for part in made)


def memory_names(decoder: PlainDecoder) -> list[list[str]]:
    """What a step needs of each memory: values and keys are one for dot products, and for several heads in one."""
    names = []
    for i, attention in enumerate(decoder.attentions, 1):
        inner = attention.attention if isinstance(attention, GatedAttention) else attention
        parts = ["values"] if not isinstance(inner, MultiHeadAttention) else []
        parts += ["keys"] if not isinstance(inner, DotAttention) else []
        names.append([f"{part}_{i}" for part in (*parts, "mask")])
    return names


def memory_parts(decoder: PlainDecoder, memories: Sequence[Memory]) -> list[Tensor]:
    """The tensors that `memory_names` names."""
    if not decoder.attentions:
        return []
    fields = {"values": "values_BSD", "keys": "keys_BSA", "mask": "mask_BS"}
    together = zip(memory_names(decoder), memories, strict=True)
    return [getattr(memory, fields[name.rsplit("_", 1)[0]]) for names, memory in together for name in names]


def state_names(decoder: PlainDecoder, *, attention: bool = True) -> list[str]:
    """What of a state the next step reads; of `attention`, the weights of the step before."""
    count = range(1, len(decoder.attentions) + 1)
    contexts = [f"context_{i}" for i in count] if decoder.wiring == "luong_input_feeding" else []
    sequential = any(part.sequential for part in decoder.attentions)
    weights = [f"attention_{i}" for i in count] if attention and sequential else []
    return ["h", *(["c"] if decoder.cells.cell_dim else []), *contexts, *weights]


def state_parts(decoder: PlainDecoder, state: State, *, attention: bool = True) -> list[Tensor]:
    """The tensors that `state_names` names."""
    parts: dict[str, Tensor] = {"h": state.h_BLH, "c": state.c_BLH}
    parts |= {f"context_{i}": context for i, context in enumerate(state.contexts, 1)}
    parts |= {f"attention_{i}": weights for i, weights in enumerate(state.weights, 1)}
    return [parts[name] for name in state_names(decoder, attention=attention)]


def attention_graphs(made: nn.Module, inputs: Sequence[Input], encode: Encode) -> list[Graph]:
    """The two graphs of a plain copy with a `decoder`; `encode` maps it and the inputs to memories and maximum lengths
    of outputs.
    """
    decoder: PlainDecoder = made.decoder  # type: ignore[assignment]
    memory, state = [name for names in memory_names(decoder) for name in names], state_names(decoder)
    cells = decoder.cells
    sizes: dict[str, Any] = {"h": (len(cells.layers), cells.hidden_dim), "c": (len(cells.layers), cells.cell_dim)}
    sizes |= {f"context_{i}": (width,) for i, width in enumerate(decoder.context_dims, 1)}
    sizes |= {f"attention_{i}": (f"positions_{i}",) for i in range(1, len(decoder.attentions) + 1)}
    fed = [Input("token", ("batch", "beam"), torch.int64, "the last token of every hypothesis")]
    for names, attention in zip(memory_names(decoder), decoder.attentions, strict=True):
        for name in names:
            part, number = name.rsplit("_", 1)
            axes = ("batch", f"positions_{number}")
            width = {"values": (attention.memory_dim,), "keys": (key_width(attention),), "mask": ()}[part]
            dtype = torch.bool if part == "mask" else torch.float32
            fed.append(Input(name, (*axes, *width), dtype, f"output of the encoder, stream {number}"))  # type: ignore[arg-type]
    fed += [Input(name, ("batch", "beam", *sizes[name]), torch.float32, "state of the decoder") for name in state]
    weights = [f"attention_{i}" for i in range(1, len(decoder.attentions) + 1)]
    after = [f"next_{name}" for name in state_names(decoder, attention=False)]
    outputs = [f"next_{name}" if name in state else name for name in weights]
    return [
        Graph("encoder", EncoderGraph(made, encode), inputs, [*memory, *state, "max_len"]),
        Graph("step", StepGraph(decoder), fed, ["logits", *outputs, *after]),
    ]


@torch.no_grad()
def key_width(attention: nn.Module) -> int:
    """Width of an attention's keys."""
    found: Tensor = attention.keys(torch.zeros(1, 1, int(attention.memory_dim)))  # type: ignore[operator, arg-type]
    return found.shape[-1]
