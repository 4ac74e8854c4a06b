"""The translator itself: encoder and decoder put together, and the search that turns source text into target text.

B batch, S source tokens, T target tokens, Z summary width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.data.batch import BucketBatchSampler, Example, PaddedSequence, collate, pad
from seqkit.data.vocab import UNK
from seqkit.decode import Ensemble, Hypothesis, beam, map_batches, score_targets
from seqkit.errors import InputError
from seqkit.nn import initialize
from seqkit.nn.attention import make_attention
from seqkit.nn.decoder import Decoder, feature_dim
from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import RecurrentEncoder, TextEncoder
from seqkit.nn.initial_state import Start, make_bridge, summarise
from seqkit.nn.memory import Memory
from seqkit.nn.readout import Readout
from seqkit.nn.recurrent import RecurrentStack
from seqkit.recipes.common.search_options import Decoding, Written
from seqkit.recipes.translation.data import Vocabs


@dataclass(frozen=True)
class Network:
    """Sizes and wiring."""

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    """recurrent cell of encoder and decoder (Sutskever: lstm; Bahdanau: gru)"""
    embed_dim: int = 256
    """embedding width (Sutskever: 1000; Bahdanau: 620)"""
    encoder_dim: int = 256
    """encoder width a direction (both papers: 1000)"""
    encoder_layers: int = 2
    """encoder layers (Sutskever: 4; Bahdanau: 1)"""
    bidirectional: bool = True
    """read the source in both directions (Bahdanau: true)"""
    reverse_source: bool = False
    """read the source from its end (Sutskever: true)"""
    decoder_dim: int = 512
    """decoder width (both papers: 1000)"""
    decoder_layers: int = 1
    """decoder layers (Sutskever: 4; Bahdanau: 1)"""
    attention: Literal["none", "additive", "dot", "scaled_dot", "general", "multi_head", "location"] = "additive"
    """how a source position is scored (Sutskever: none; Bahdanau: additive)"""
    attention_dim: int = 512
    """attention width, unused by dot, scaled_dot and general (Bahdanau: 1000)"""
    heads: int = 8
    """heads of multi_head attention (Vaswani et al. 2017: 8)"""
    wiring: Literal["before", "after", "input_feeding"] = "input_feeding"
    """attend before the cell (Bahdanau), after it, or after it with the context fed to the next step (Luong)"""
    begin: Start = "mean"
    """first decoder state: none, from the mean of the memory, from the encoder's last state, from its backward state at
    the first word (Bahdanau), or a copy of every layer's last state (Sutskever)"""
    readout: Literal["tanh", "maxout", "linear"] = "tanh"
    """layer below the softmax (Bahdanau: maxout; Sutskever: linear)"""
    readout_dim: int = 256
    """width below the softmax, unused by linear (Bahdanau: 500)"""
    tied: bool = True
    """embeddings and softmax share their weights; with a joint vocabulary the source's embeddings too"""
    residual: bool = False
    """add a layer's input to its output where widths agree (Wu et al. 2016)"""
    dropout: float = 0.3
    """rate on embeddings, between layers and below the softmax"""
    variational: bool = False
    """one dropout mask a sentence between encoder layers (Gal and Ghahramani 2016)"""
    initializer: Literal["xavier", "uniform", "bahdanau"] = "xavier"
    """Glorot and orthogonal, U(-0.08, 0.08) (Sutskever), or Bahdanau's"""


class Translator(nn.Module):
    """Source ids to the memories that `decoder` attends to or starts from."""

    def __init__(self, n: Network, source_size: int, target_size: int, *, shared: bool) -> None:
        super().__init__()
        target = Embedding(target_size, n.embed_dim, scaled=n.tied)
        source = target if shared and n.tied else Embedding(source_size, n.embed_dim, scaled=n.tied)
        encoder = RecurrentEncoder(
            n.embed_dim,
            n.encoder_dim,
            n.encoder_layers,
            kind=n.cell,
            bidirectional=n.bidirectional,
            reverse=n.reverse_source,
            residual=n.residual,
            dropout=n.dropout,
            variational=n.variational,
        )
        memory_dim = encoder.output_dim
        attentions = (
            []
            if n.attention == "none"
            else [make_attention(n.attention, memory_dim, n.decoder_dim, n.attention_dim, heads=n.heads)]
        )
        contexts = [attention.context_dim for attention in attentions]
        fed = 0 if n.wiring == "after" else sum(contexts)
        cells = RecurrentStack(
            n.cell, n.embed_dim + fed, n.decoder_dim, n.decoder_layers, dropout=n.dropout, residual=n.residual
        )
        readout = Readout(
            feature_dim(n.embed_dim, n.decoder_dim, contexts, n.wiring),
            n.readout_dim,
            target_size,
            kind=n.readout,
            tied=target if n.tied else None,
            dropout=n.dropout,
        )
        bridge = make_bridge(n.begin, memory_dim, n.encoder_layers, cells)
        self.begin = n.begin
        self.encoder = TextEncoder(source, encoder, dropout=n.dropout)
        self.decoder = Decoder(target, cells, attentions, readout, wiring=n.wiring, bridge=bridge, dropout=n.dropout)
        getattr(initialize, n.initializer)(self)

    def make_memory(self, source: PaddedSequence) -> tuple[Memory, ...]:
        encoded = self.encoder(source.values, source.lengths_B)
        return self.decoder.make_memory((encoded.values_BSD, encoded.lengths_B, summarise(encoded, self.begin)))


def make_model(network: Network, vocabs: Vocabs) -> Translator:
    try:
        sizes = len(vocabs.source), len(vocabs.target)
        return Translator(network, *sizes, shared=vocabs.source is vocabs.target)
    except ValueError as error:  # sizes that do not fit each other
        raise InputError(str(error)) from error


NOTHING = Written("", Hypothesis([], 0.0, 0.0), cut=False)


class System(NamedTuple):
    """What turns source text into target text: one model, or several that average their predictions."""

    models: tuple[Translator, ...]
    vocabs: Vocabs

    @property
    def device(self) -> torch.device:
        return self.models[0].decoder.embedding.weight.device

    def translate(self, sources: Sequence[str], decoding: Decoding, nbest: int = 1) -> list[list[Written]]:
        """The `nbest` translations of every source, best first; sources of like length are decoded together.

        A source without a token is not put to the model, which would make something up: its translation is empty.
        """
        ids = [self.vocabs.source.encode(source) for source in sources]
        order = sorted((number for number in range(len(ids)) if ids[number]), key=lambda number: -len(ids[number]))
        lengths = [len(ids[number]) for number in order]
        batches = BucketBatchSampler(lengths, 1 << 30, shuffle=False, max_items=decoding.batch).epoch(0)
        found = {number: [NOTHING] for number in range(len(ids)) if not ids[number]}

        def search(batch: Sequence[int]) -> Iterable[tuple[int, list[Written]]]:
            numbers = [order[place] for place in batch]
            together = [ids[n] for n in numbers], [sources[n] for n in numbers]
            return zip(numbers, self.search(*together, decoding, nbest), strict=True)

        for translations in map_batches(search, batches, self.device):
            found |= translations
        return [found[number] for number in range(len(ids))]

    @torch.no_grad()
    def search(
        self, ids: Sequence[Sequence[int]], sources: Sequence[str], decoding: Decoding, nbest: int
    ) -> list[list[Written]]:
        source = PaddedSequence(*(t.to(self.device) for t in pad(ids)))
        search = decoding.search(2 * source.lengths_B + 10, nbest)
        memories = tuple(model.make_memory(source) for model in self.models)
        found = beam(Ensemble([model.decoder for model in self.models]), memories, search)
        longest_B = torch.as_tensor(search.max_len).expand(len(ids))
        return [
            [Written(self.text(h, source), h, len(h.tokens) >= longest) for h in hypotheses]
            for hypotheses, source, longest in zip(found, sources, longest_B.tolist(), strict=True)
        ]

    def text(self, hypothesis: Hypothesis, source: str) -> str:
        """The hypothesis as text; an unknown word becomes the source word that it attends to most (Luong et al. 2015,
        arXiv:1410.8206, section 4.3, with attention in the place of alignment).
        """
        target = self.vocabs.target
        if UNK not in hypothesis.tokens:
            return target.decode(hypothesis.tokens)
        weights_TS, words = self.attention(hypothesis.tokens, source)
        if not words:
            return target.decode(hypothesis.tokens)
        best_T = weights_TS.argmax(-1).tolist()
        pairs = zip(hypothesis.tokens, best_T, strict=False)  # the weights have a last row for the end
        return target.join(words[s] if i == UNK else target.token(i) for i, s in pairs)

    @torch.no_grad()
    def attention(self, tokens: Sequence[int], source: str) -> tuple[Tensor, list[str]]:
        """The first model's weights (T + 1, S) from each target token and the end to the source, and the source's
        tokens; no tokens where that model does not attend.
        """
        model, words = self.models[0], self.vocabs.source.tokens(source)
        batch = collate([Example(0, (self.vocabs.source.encode(source) or [UNK],), tokens)]).to(self.device)
        memories = model.make_memory(batch.streams[0])
        forced = score_targets(model.decoder, memories, batch.inputs_BT, batch.targets_BT, batch.lengths_B)
        return (forced.weights[0][0].cpu(), words) if forced.weights else (torch.zeros(0), [])
