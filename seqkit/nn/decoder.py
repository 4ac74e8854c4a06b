"""The attention decoder: recurrent layers that attend to none, one or several memories, and `build_decoder`.

Wirings of attention. `bahdanau`: before the cell; the query is s_{i-1}, and the contexts c_i enter the cell and the
readout (Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2; Xu et al. 2015, arXiv:1502.03044, section 3.1.2).
`luong`: after the cell; the query is s_i, and the contexts c_i enter the readout (Luong et al. 2015, arXiv:1508.04025,
section 3). `luong_input_feeding`: the contexts c_{i-1} are also fed back into the cell (the same, section 3.3; Chung et
al. 2017, arXiv:1611.05358, equations 6 to 10). Without attention the decoder is that of Sutskever et al. 2014
(arXiv:1409.3215), and with a vector fed before BOS that of Show and Tell (Vinyals et al. 2015, arXiv:1411.4555,
equation 10).

B batch, T target steps, S source positions, D memory width, Z summary width, E embedding, C contexts side by side,
L layers, H hidden, F features for the readout, V vocabulary.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from seqkit.nn.attention import AttentionKind, make_attention
from seqkit.nn.dropout import Dropout
from seqkit.nn.embedding import Embedding
from seqkit.nn.initial_state import InitHidden, make_init_hidden
from seqkit.nn.kernels import attention as fused
from seqkit.nn.masks import mask_from_lengths
from seqkit.nn.memory import Memory, State, repeat, rows
from seqkit.nn.readout import Readout, ReadoutKind
from seqkit.nn.recurrent import CellKind, RecurrentStack

Wiring = Literal["bahdanau", "luong", "luong_input_feeding"]


def build_decoder(
    vocab_size: int,
    embed_dim: int,
    hidden_dim: int,
    memory_dims: Sequence[int] = (),
    *,
    cell: CellKind = "lstm",
    layers: int = 1,
    residual: bool = False,
    attention: AttentionKind | None = None,
    attention_dim: int = 0,
    heads: int = 1,
    gated: bool = False,
    wiring: Wiring = "luong_input_feeding",
    init_hidden: InitHidden | None = None,
    encoder_layers: int = 1,
    prefix: bool = False,
    readout: ReadoutKind = "tanh",
    readout_dim: int = 0,
    tie_embeddings: bool = False,
    embedding: Embedding | None = None,
    dropout: float = 0.0,
) -> "Decoder":
    """A decoder made from numbers; its many arguments are the rows of the papers' tables of sizes.

    `memory_dims`: D of each memory; without `attention` memories only give the initial state. `attention_dim`, `heads`,
    `gated`: as in `make_attention`. `encoder_layers`: for `init_hidden` copy. `prefix`: the summaries, mapped to E, are
    fed as the step before BOS. `readout_dim`: unused by the linear readout; E with `tie_embeddings`. `embedding`: one
    shared with an encoder. Raises ValueError for sizes that do not fit each other.
    """
    attentions: list[nn.Module] = []
    if attention:
        attentions = [
            make_attention(attention, memory_dim, hidden_dim, attention_dim, heads=heads, gated=gated)
            for memory_dim in memory_dims
        ]
    embedding = embedding or Embedding(vocab_size, embed_dim, scaled=tie_embeddings)
    contexts = [int(attention.context_dim) for attention in attentions]  # type: ignore[arg-type]
    fed_dim = 0 if wiring == "luong" else sum(contexts)
    cells = RecurrentStack(cell, embed_dim + fed_dim, hidden_dim, layers, dropout=dropout, residual=residual)
    output = Readout(
        feature_dim(embed_dim, hidden_dim, contexts, wiring),
        readout_dim,
        vocab_size,
        kind=readout,
        tied_embedding=embedding if tie_embeddings else None,
        dropout=dropout,
    )
    initial = make_init_hidden(init_hidden, sum(memory_dims), encoder_layers, cells)
    first = nn.Sequential(nn.Linear(sum(memory_dims), embed_dim), Dropout(dropout)) if prefix else None
    return Decoder(
        embedding, cells, attentions, output, wiring=wiring, init_hidden=initial, prefix=first, dropout=dropout
    )


def feature_dim(embed_dim: int, hidden_dim: int, context_dims: Sequence[int], wiring: Wiring) -> int:
    """Width F of the readout's input: state and contexts, and the embedding where attention comes before the cell."""
    return hidden_dim + sum(context_dims) + (embed_dim if wiring == "bahdanau" else 0)


class Decoder(nn.Module):
    """A recurrent decoder with attention: `embedding` (V, E), `cells`, one attention a memory, `readout` from F to V.

    `init_hidden` maps the summaries side by side (B, sum of Z) to the initial state (B, L * (H + cell_dim)), zeros
    where it is None; `prefix` maps them to a vector (B, E) that is fed as the step before BOS. `dropout` acts on
    embeddings and on the top layer's output.
    """

    shares_memories = True  # a row of memories may serve several neighboring rows of queries

    def __init__(
        self,
        embedding: Embedding,
        cells: RecurrentStack,
        attentions: Sequence[nn.Module],
        readout: nn.Module,
        *,
        wiring: Wiring = "luong_input_feeding",
        init_hidden: nn.Module | None = None,
        prefix: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Raises ValueError for another wiring."""
        super().__init__()
        if wiring not in get_args(Wiring):
            raise ValueError(f"`wiring` must be one of {', '.join(get_args(Wiring))}, got {wiring!r}")
        self.embedding, self.cells, self.readout = embedding, cells, readout
        self.attentions = nn.ModuleList(attentions)
        self.context_dims = tuple(int(attention.context_dim) for attention in attentions)  # type: ignore[arg-type]
        self.init_hidden, self.prefix, self.wiring = init_hidden, prefix, wiring
        self.dropout = Dropout(dropout)

    @property
    def fusible(self) -> bool:
        """Whether no step's input depends on the step before, so that the recurrence can run in one kernel."""
        no_feeding = self.wiring == "luong" or len(self.attentions) == 0  # which torch 2.11 can trace
        return no_feeding and not any(attention.sequential for attention in self.attentions)

    def make_memory(self, *streams: tuple[Tensor, Tensor, Tensor]) -> tuple[Memory, ...]:
        """One (values (B, S, D), lengths (B,), summary (B, Z)) a stream, to memories with their keys computed once.

        A decoder that attends to nothing keeps the summaries alone.
        """
        if self.attentions and len(streams) != len(self.attentions):
            raise ValueError(f"`streams` must be one an attention, {len(self.attentions)}, got {len(streams)}")
        if not self.attentions:
            nothing = [values_BSD[:, :0] for values_BSD, _, _ in streams]
            summaries = [summary_BZ for _, _, summary_BZ in streams]
            return tuple(Memory(n, n[..., 0].bool(), n, z) for n, z in zip(nothing, summaries, strict=True))
        memories = []
        for attention, (values_BSD, lengths_B, summary_BZ) in zip(self.attentions, streams, strict=True):
            mask_BS = mask_from_lengths(lengths_B, values_BSD.shape[1])
            keys_BSA: Tensor = attention.keys(values_BSD)  # type: ignore[operator]
            memories.append(Memory(values_BSD, mask_BS, keys_BSA, summary_BZ))
        return tuple(memories)

    def initial_state(self, memories: tuple[Memory, ...], batch: int | None = None) -> State:
        """The state before BOS; `batch` is needed only where there is no memory."""
        weight = self.embedding.weight
        like_B = weight.new_empty(rows(memories) if memories else batch or 1)
        h_BLH, c_BLH = self.cells.zeros(like_B)
        summary_BZ = torch.cat([memory.summary_BZ for memory in memories], -1) if memories else like_B[:, None]
        if self.init_hidden is not None:
            first_BLX = self.init_hidden(summary_BZ).unflatten(1, (len(self.cells.layers), -1))
            h_BLH, c_BLH = first_BLX.split((self.cells.hidden_dim, self.cells.cell_dim), -1)
        contexts = tuple(like_B.new_zeros(len(like_B), width) for width in self.context_dims)
        weights = tuple(like_B.new_zeros(m.mask_BS.shape) for m in memories) if self.attentions else ()
        state = State(h_BLH, c_BLH, contexts, weights)
        return state if self.prefix is None else self.step_features(self.prefix(summary_BZ), memories, state)[1]

    def attend(self, query_BTQ: Tensor, memories: tuple[Memory, ...], state: State) -> list[tuple[Tensor, Tensor]]:
        """The context (B, T, D) and weights (B, T, S) of each memory."""
        if not self.attentions:
            return []
        together = zip(self.attentions, memories, state.weights, strict=True)
        return [attention(query_BTQ, memory, previous_BS) for attention, memory, previous_BS in together]

    def attend_once(
        self, query_BQ: Tensor, memories: tuple[Memory, ...], state: State
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The context (B, D) and weights (B, S) of each memory for one query."""
        shared = len(query_BQ) // rows(memories) if self.attentions else 1
        if shared > 1 and any(attention.sequential for attention in self.attentions):
            memories, shared = repeat(memories, shared), 1
        attended = self.attend(query_BQ.view(-1, shared, query_BQ.shape[1]), memories, state)
        return [context.flatten(0, 1) for context, _ in attended], [weights.flatten(0, 1) for _, weights in attended]

    def step_features(self, embedded_BE: Tensor, memories: tuple[Memory, ...], state: State) -> tuple[Tensor, State]:
        """One step from an embedded token: features (B, F) for the readout, and the next state."""
        if self.wiring == "bahdanau":
            contexts, weights = self.attend_once(state.h_BLH[:, -1], memories, state)
            fed, shown = contexts, [embedded_BE]
        else:
            fed, shown = list(state.contexts) if self.wiring == "luong_input_feeding" else [], []
        top_BH, h_BLH, c_BLH = self.cells.step(torch.cat([embedded_BE, *fed], -1), state.h_BLH, state.c_BLH)
        top_BH = self.dropout(top_BH)
        if self.wiring != "bahdanau":
            contexts, weights = self.attend_once(top_BH, memories, state)
        return torch.cat([top_BH, *contexts, *shown], -1), State(h_BLH, c_BLH, tuple(contexts), tuple(weights))

    def step(
        self, token_B: Tensor, memories: tuple[Memory, ...], state: State
    ) -> tuple[Tensor, tuple[Tensor, ...], State]:
        """One token in; logits (B, V), one attention (B, S) a memory, and the next state out."""
        features_BF, state = self.step_features(self.dropout(self.embedding(token_B)), memories, state)
        return self.readout(features_BF), state.weights, state

    def forward_features(
        self, inputs_BT: Tensor, memories: tuple[Memory, ...], *, sampling: float = 0.0, argmax: bool = True
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Teacher forcing as far as the readout: features (B, T, F), and one attention (B, T, S) a memory.

        In one kernel where the wiring allows it. Scheduled sampling (Bengio et al. 2015, arXiv:1506.03099): with
        probability `sampling`, drawn for each token, the input is the model's own prediction, its `argmax` or a draw,
        in place of the truth.
        """
        if not 0.0 <= sampling <= 1.0:
            raise ValueError(f"`sampling` must be from 0 to 1, got {sampling}")
        state = self.initial_state(memories, len(inputs_BT))
        embedded_BTE = self.dropout(self.embedding(inputs_BT))
        if self.fusible and not sampling:
            top_BTH = self.dropout(self.cells(embedded_BTE, state.h_BLH, state.c_BLH)[0])
            attended = self.attend(top_BTH, memories, state)
            shown = [embedded_BTE] if self.wiring == "bahdanau" else []
            features_BTF = torch.cat([top_BTH, *(context_BTD for context_BTD, _ in attended), *shown], -1)
            return features_BTF, tuple(weights_BTS for _, weights_BTS in attended)
        if not sampling and fused.serves(self.cells, self.attentions, memories, embedded_BTE):
            before = self.wiring == "bahdanau"
            top_BTH, contexts_BTC, attended_BTS = fused.attention_steps(
                self.cells, self.attentions, memories, state, embedded_BTE, before=before, dropout=self.dropout
            )
            return torch.cat([top_BTH, contexts_BTC, *([embedded_BTE] if before else [])], -1), attended_BTS
        columns: list[Tensor] = []
        weights: list[tuple[Tensor, ...]] = []
        for embedded_BE in embedded_BTE.unbind(1):
            if sampling and columns:
                own_BE = self.dropout(self.embedding(self.predict(columns[-1], argmax=argmax)))
                sampled_B1 = torch.rand(len(own_BE), 1, device=own_BE.device) < sampling
                embedded_BE = torch.where(sampled_B1, own_BE, embedded_BE)
            features_BF, state = self.step_features(embedded_BE, memories, state)
            columns.append(features_BF)
            weights.append(state.weights)
        return torch.stack(columns, 1), tuple(torch.stack(steps, 1) for steps in zip(*weights, strict=True))

    @torch.no_grad()
    def predict(self, features_BF: Tensor, *, argmax: bool) -> Tensor:
        """The model's own next token (B,): the likeliest, or a draw."""
        logits_BV = self.readout(features_BF)
        return logits_BV.argmax(-1) if argmax else draw(logits_BV)

    def forward(
        self, inputs_BT: Tensor, memories: tuple[Memory, ...], *, sampling: float = 0.0, argmax: bool = True
    ) -> Tensor:
        """Logits (B, T, V) of inputs that begin with BOS: `step` over the columns; options as in `forward_features`."""
        logits_BTV: Tensor = self.readout(
            self.forward_features(inputs_BT, memories, sampling=sampling, argmax=argmax)[0]
        )
        return logits_BTV


def draw(logits_BV: Tensor) -> Tensor:
    """One token a row (B,) from softmax(logits), on the device (the Gumbel trick: no waiting for the host)."""
    uniform_BV = torch.rand_like(logits_BV, dtype=torch.float32).clamp_min(1e-20)
    return (logits_BV.float() - (-uniform_BV.log()).log()).argmax(-1)
