"""The attention decoder's steps as one function, for training on a CPU: an LSTM layer with additive attention.

The same numbers as the decoder's own loop, which is the law (to rounding), in less time: gates and energies are
computed in one pass each, and each weight has one product for its gradient, over all steps at once. Under autocast
products are in bfloat16; cell states, energies, softmax and sums are float32.

B batch, T time, G = 4 H gates, H hidden, E embedding, C contexts side by side, R = C + H, Q queries (and gates) of all
memories side by side, A attention width, S source positions, D memory width.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqkit.nn.attention import AdditiveAttention, GatedAttention
from seqkit.nn.kernels import call, usable
from seqkit.nn.kernels.lstm import sum_of_products
from seqkit.nn.memory import Memory, State, rows
from seqkit.nn.recurrent import RecurrentStack


def serves(
    cells: RecurrentStack, attentions: nn.ModuleList, memories: tuple[Memory, ...], embedded_BTE: Tensor
) -> bool:
    """Whether `attention_steps` can do these modules' work."""
    within = [a.attention if isinstance(a, GatedAttention) else a for a in attentions]
    fits = cells.kind == "lstm" and len(cells.layers) == 1 and len(within) > 0
    additive = all(isinstance(attention, AdditiveAttention) for attention in within)
    return fits and additive and rows(memories) == len(embedded_BTE) and usable(embedded_BTE)


def attention_steps(
    cells: RecurrentStack,
    attentions: nn.ModuleList,
    memories: tuple[Memory, ...],
    state: State,
    embedded_BTE: Tensor,
    *,
    before: bool,
    dropout: nn.Module,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Teacher forcing from `state`: top layer (B, T, H), contexts (B, T, C), and weights (B, T, S) of each memory.

    `before`: attention before the cell (Bahdanau), else after it, with its contexts fed to the next step. `dropout`: on
    the top layer.
    """
    weight_GI, weight_GH, bias_G, other_G = (
        cells.layers[0].get_parameter(f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    steps, width = embedded_BTE.shape[1], embedded_BTE.shape[2]
    weight_GE, weight_GC = torch.split(weight_GI, [width, weight_GI.shape[1] - width], 1)
    gates_TBG = F.linear(embedded_BTE.transpose(0, 1), weight_GE, bias_G + other_G)
    queries, gate_biases, streams = [], [], []
    for attention, memory in zip(attentions, memories, strict=True):
        gate = attention.gate if isinstance(attention, GatedAttention) else None
        inner = attention.attention if isinstance(attention, GatedAttention) else attention
        assert isinstance(inner, AdditiveAttention)
        queries += [inner.query.weight, *([] if gate is None else [gate.weight])]
        gate_biases.append(weight_GI.new_zeros(1) if gate is None else gate.bias)
        keys_BSA = memory.keys_BSA + inner.query.bias
        streams += [keys_BSA, memory.values_BSD, memory.mask_BS, inner.score.weight[0]]
    mask_TBH = None
    if dropout.training and dropout.p and not before:
        mask_TBH = dropout(torch.ones(steps, len(embedded_BTE), cells.hidden_dim))
    top_TBH, contexts_TBC, *weights = AttentionSteps.apply(
        before,
        tuple(isinstance(attention, GatedAttention) for attention in attentions),
        gates_TBG,
        torch.cat([weight_GC, weight_GH], 1),
        torch.cat(queries),
        torch.cat(gate_biases),
        state.h_BLH[:, 0],
        state.c_BLH[:, 0],
        torch.cat(state.contexts, -1),
        mask_TBH,
        *streams,
    )
    top_BTH = top_TBH.transpose(0, 1)
    top_BTH = dropout(top_BTH) if before else top_BTH
    return top_BTH, contexts_TBC.transpose(0, 1), tuple(w.transpose(0, 1) for w in weights)


class Attended(NamedTuple):
    """One memory that the decoder attends to additively: score = v' tanh(keys + query)."""

    keys_BSA: Tensor  # with the query's bias
    values_BSD: Tensor
    mask_BS: Tensor
    score_A: Tensor
    gated: bool  # whether a column of the queries is a gate on the context


class AttentionSteps(torch.autograd.Function):
    """The decoder's steps as one function, with its gradient."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        before: bool,
        gated: Sequence[bool],
        gates_TBG: Tensor,
        weight_GR: Tensor,
        weight_QH: Tensor,
        gate_bias: Tensor,
        h_BH: Tensor,
        c_BH: Tensor,
        context_BC: Tensor,
        dropout_TBH: Tensor | None,
        *memories: Tensor,
    ) -> tuple[Tensor, ...]:
        """Gates (T, B, G) of the embeddings, to top (T, B, H), contexts (T, B, C), and weights (T, B, S) of memories.

        weight_GR: columns for the contexts, then for h. weight_QH: rows for each memory's query, then for its gate.
        Before the cell (`before`; Bahdanau) attention asks with h of the step before, and its contexts enter the cell;
        after it (Luong) with h of the step, times `dropout_TBH`, and the contexts enter the next step; `top` is what
        asks (after) or h (before). `memories`: keys, values, mask and score of each in turn.
        """
        steps, batch, width = gates_TBG.shape
        hidden, dtype, wide = width // 4, gates_TBG.dtype, context_BC.shape[1]
        attended = [
            Attended(k.to(dtype).contiguous(), x.to(dtype).contiguous(), m.contiguous(), v.float().contiguous(), gate)
            for k, x, m, v, gate in zip(*(memories[i::4] for i in range(4)), gated, strict=True)
        ]
        run = _Run(
            before, attended, weight_GR.to(dtype), weight_QH.to(dtype), gate_bias.float(), dropout_TBH, gates_TBG
        )
        run.inputs_TBR[0, :, :wide], run.inputs_TBR[0, :, wide:], run.c_TBH[0] = context_BC, h_BH, c_BH
        gates_TBG, recurrent_BG = gates_TBG.contiguous(), gates_TBG.new_empty(batch, width)
        for t in range(steps):
            h_BH, next_BH = run.inputs_TBR[t, :, wide:], run.inputs_TBR[t + 1, :, wide:]
            if before:
                run.attend(t, h_BH, run.inputs_TBR[t])
            torch.mm(run.inputs_TBR[t], run.weight_GR.t(), out=recurrent_BG)
            call(
                "lstm_forward", dtype, batch, hidden, None, gates_TBG[t], recurrent_BG, h_BH, wide + hidden,
                run.c_TBH[t], run.activated_TBG[t], next_BH, wide + hidden, run.c_TBH[t + 1],
            )  # fmt: skip
            if before:
                run.top_TBH[t] = next_BH
            else:
                torch.mul(next_BH, 1 if dropout_TBH is None else dropout_TBH[t], out=run.top_TBH[t])
                run.attend(t, run.top_TBH[t], run.inputs_TBR[t + 1])
        ctx.run = run
        contexts_TBR = run.inputs_TBR[:-1] if before else run.inputs_TBR[1:]
        return (run.top_TBH.clone(), contexts_TBR[:, :, :wide].clone(), *(w.clone() for w in run.weights))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        run: _Run = ctx.run
        dtop_TBH, dcontext_TBC = grads[0].float().contiguous(), grads[1].float().contiguous()
        sums = _Sums(run, [g.float().contiguous() for g in grads[2:]])
        steps, batch, hidden = dtop_TBH.shape
        wide, dtype, row = dcontext_TBC.shape[2], run.top_TBH.dtype, dcontext_TBC.shape[2] + hidden
        dh_BH, dc_BH = dtop_TBH.new_zeros(2, batch, hidden).unbind(0)
        dgates_TBG, down_BR = torch.empty_like(run.activated_TBG), run.top_TBH.new_zeros(batch, row)
        outer_BH, dcontext_BC = dtop_TBH.new_empty(batch, hidden), dtop_TBH.new_empty(batch, wide)
        for t in reversed(range(steps)):
            if not run.before:
                torch.add(dcontext_TBC[t], down_BR[:, :wide], out=dcontext_BC)
                torch.add(dtop_TBH[t], run.attend_backward(t, dcontext_BC, sums), out=outer_BH)
                if run.dropout_TBH is not None:
                    outer_BH.mul_(run.dropout_TBH[t])
            call(
                "lstm_backward", dtype, batch, hidden, None, run.activated_TBG[t], run.c_TBH[t], run.c_TBH[t + 1],
                down_BR[:, wide:], row, dtop_TBH[t] if run.before else outer_BH, dgates_TBG[t], dh_BH, dc_BH,
            )  # fmt: skip
            torch.mm(dgates_TBG[t], run.weight_GR, out=down_BR)
            if run.before:
                torch.add(dcontext_TBC[t], down_BR[:, :wide], out=dcontext_BC)
                down_BR[:, wide:] += run.attend_backward(t, dcontext_BC, sums)
        asking_TBH = run.inputs_TBR[:-1, :, wide:] if run.before else run.top_TBH
        first_BC = torch.zeros_like(down_BR[:, :wide]) if run.before else down_BR[:, :wide]
        weights = sum_of_products(dgates_TBG, run.inputs_TBR[:-1]), sum_of_products(sums.dquery_TBQ, asking_TBH)
        return (
            None, None, dgates_TBG, *weights, sums.dgate_bias, down_BR[:, wide:].float(), dc_BH, first_BC.float(),
            None, *sums.of_memories(),
        )  # fmt: skip


class _Run:
    """What one run of `AttentionSteps` keeps of its steps."""

    def __init__(
        self,
        before: bool,
        attended: Sequence[Attended],
        weight_GR: Tensor,
        weight_QH: Tensor,
        gate_bias: Tensor,
        dropout_TBH: Tensor | None,
        gates_TBG: Tensor,
    ) -> None:
        (steps, batch, width), row = gates_TBG.shape, weight_GR.shape[1]
        self.before, self.attended, self.dropout_TBH = before, attended, dropout_TBH
        self.weight_GR, self.weight_QH, self.gate_bias = weight_GR, weight_QH, gate_bias
        self.activated_TBG = torch.empty(steps, batch, width, dtype=gates_TBG.dtype)
        self.inputs_TBR = gates_TBG.new_empty(steps + 1, batch, row)  # contexts and h that enter each step
        self.c_TBH = torch.empty(steps + 1, batch, width // 4)
        self.top_TBH = gates_TBG.new_empty(steps, batch, width // 4)
        self.query_TBQ = gates_TBG.new_empty(steps, batch, len(weight_QH))
        self.weights = [torch.empty(steps, batch, a.keys_BSA.shape[1]) for a in attended]
        most = max(max(sum(a.keys_BSA.shape[1:]), a.values_BSD.shape[2]) for a in attended)
        self.scratch = torch.empty(batch, most)

    def attend(self, t: int, asking_BH: Tensor, to_BR: Tensor) -> None:
        """Contexts of step `t` into the first columns of `to_BR`."""
        query_BQ, column, place = self.query_TBQ[t], 0, 0
        torch.mm(asking_BH, self.weight_QH.t(), out=query_BQ)
        for number, own in enumerate(self.attended):
            (batch, positions, width), wide = own.keys_BSA.shape, own.values_BSD.shape[2]
            context_BD = to_BR[:, place : place + wide]
            call(
                "attention_forward", query_BQ.dtype, batch, positions, width, wide, 1, own.mask_BS, own.keys_BSA,
                own.values_BSD, own.score_A, query_BQ[:, column:], query_BQ.shape[1], self.weights[number][t],
                context_BD, to_BR.shape[1], self.scratch,
            )  # fmt: skip
            column, place = column + width + own.gated, place + wide
            if own.gated:
                context_BD.mul_(self.gate(number, query_BQ[:, column - 1 : column]))

    def gate(self, number: int, query_B1: Tensor) -> Tensor:
        return torch.sigmoid(query_B1.float() + self.gate_bias[number])

    def attend_backward(self, t: int, dcontext_BC: Tensor, sums: "_Sums") -> Tensor:
        """From the gradient of the contexts of step `t` to that of what asked (B, H); adds to `sums`."""
        query_BQ, dquery_BQ, column, place = self.query_TBQ[t], sums.dquery_TBQ[t], 0, 0
        contexts_BR = self.inputs_TBR[t if self.before else t + 1]
        for number, own in enumerate(self.attended):
            (batch, positions, width), wide = own.keys_BSA.shape, own.values_BSD.shape[2]
            dcontext_BD = dcontext_BC[:, place : place + wide]
            if own.gated:
                gate_B1 = self.gate(number, query_BQ[:, column + width : column + width + 1])
                dot_B1 = (dcontext_BD * contexts_BR[:, place : place + wide]).sum(1, keepdim=True)
                dgate_B1 = dot_B1 * (1 - gate_B1)  # the context is already times the gate
                dquery_BQ[:, column + width : column + width + 1] = dgate_B1
                sums.dgate_bias[number] += dgate_B1.sum()
                dcontext_BD.mul_(gate_B1)
            call(
                "attention_backward", query_BQ.dtype, batch, positions, width, wide, own.mask_BS, own.keys_BSA,
                own.values_BSD, own.score_A, query_BQ[:, column:], query_BQ.shape[1], self.weights[number][t],
                dcontext_BD, dcontext_BC.shape[1], sums.dweights[number][t], dquery_BQ[:, column:],
                dquery_BQ.shape[1], sums.dkeys[number], sums.dvalues[number], sums.dscore[number], self.scratch,
            )  # fmt: skip
            column, place = column + width + own.gated, place + wide
        return torch.mm(dquery_BQ, self.weight_QH)


class _Sums:
    """What the backward pass of `AttentionSteps` adds up over the steps."""

    def __init__(self, run: _Run, dweights: Sequence[Tensor]) -> None:
        self.dquery_TBQ, self.dweights = torch.empty_like(run.query_TBQ), dweights
        self.dkeys = [torch.zeros(a.keys_BSA.shape) for a in run.attended]
        self.dvalues = [torch.zeros(a.values_BSD.shape) for a in run.attended]
        self.dscore = [torch.zeros(a.keys_BSA.shape[::2]) for a in run.attended]
        self.dgate_bias = torch.zeros(len(run.gate_bias))

    def of_memories(self) -> list[Tensor | None]:
        """Gradients of keys, values, mask and score of each memory in turn."""
        parts = zip(self.dkeys, self.dvalues, self.dscore, strict=True)
        return [grad for keys, values, score in parts for grad in (keys, values, None, score.sum(0))]
