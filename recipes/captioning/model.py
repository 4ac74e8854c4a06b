"""The captioner itself: an eye and the decoder put together, and the search that turns pictures into captions.

B batch, S grid cells, D width of the eye's grid, P of its vector for the whole picture, M memory width,
Z summary width, T target tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.data.batch import Example, collate
from seqkit.data.vocab import UNK, Vocab
from seqkit.decode import Ensemble, Search, beam, score_targets
from seqkit.nn import initialize
from seqkit.nn.attention import GatedAttention, make_attention
from seqkit.nn.backbones import Backbone
from seqkit.nn.decoder import Decoder, feature_dim
from seqkit.nn.embedding import Embedding
from seqkit.nn.initial_state import make_bridge
from seqkit.nn.memory import Memory
from seqkit.nn.readout import Readout
from seqkit.nn.recurrent import RecurrentStack
from seqkit.recipes.common.image_encoder import Seen, Sight
from seqkit.recipes.common.search_options import Decoding, Written

MAX_LEN = 30  # tokens of a caption, where the search is not told


@dataclass(frozen=True)
class Network:
    """Sizes and wiring of the decoder."""

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    """recurrent cell (both papers: lstm)"""
    embed_dim: int = 256
    """embedding width (Show and Tell: 512)"""
    decoder_dim: int = 512
    """decoder width (Show and Tell: 512; Show, Attend and Tell: 512 on Flickr8k)"""
    decoder_layers: int = 1
    """decoder layers (both papers: 1)"""
    attention: Literal["none", "additive", "general", "multi_head"] = "additive"
    """how a cell is scored; none: the whole picture is fed once, as the step before the first word (Show and Tell)"""
    attention_dim: int = 256
    """attention width (Show, Attend and Tell: 512)"""
    heads: int = 8
    """heads of multi_head attention"""
    memory_dim: int = 256
    """width that a cell's features are mapped to; 0: as they are (Show, Attend and Tell)"""
    gate: bool = True
    """a gate on the context, one number a word (Show, Attend and Tell, section 4.2.1)"""
    wiring: Literal["before", "after", "input_feeding"] = "before"
    """attend before the cell (Show, Attend and Tell), after it, or after it with the context fed to the next step"""
    readout: Literal["tanh", "maxout", "linear"] = "tanh"
    """layer below the softmax (Show and Tell: linear)"""
    readout_dim: int = 256
    """width below the softmax, unused by linear"""
    tied: bool = True
    """embeddings and softmax share their weights"""
    dropout: float = 0.5
    """rate on embeddings, on the picture and below the softmax (Show and Tell: 0.3)"""
    initializer: Literal["xavier", "uniform"] = "xavier"
    """Glorot and orthogonal, or U(-0.08, 0.08) (Show and Tell)"""


class Captioner(nn.Module):
    """What an eye sees to the memories that `decoder` attends to or starts from.

    Without attention the whole picture, embedded, is the step before BOS (Vinyals et al. 2015, equation 10); with it
    the first state comes from the mean of the memory (Xu et al. 2015, section 3.1.2).
    """

    def __init__(self, n: Network, eye: Backbone, vocab_size: int) -> None:
        super().__init__()
        attends, memory_dim = n.attention != "none", n.memory_dim or eye.dim
        embedding = Embedding(vocab_size, n.embed_dim, scaled=n.tied)
        attentions: list[nn.Module] = []
        if attends:
            attention = make_attention(n.attention, memory_dim, n.decoder_dim, n.attention_dim, heads=n.heads)
            attentions = [GatedAttention(attention, n.decoder_dim) if n.gate else attention]
        contexts = [attention.context_dim for attention in attentions]
        fed = 0 if n.wiring == "after" else sum(contexts)
        cells = RecurrentStack(n.cell, n.embed_dim + fed, n.decoder_dim, n.decoder_layers, dropout=n.dropout)
        wiring = n.wiring if attends else "after"
        readout = Readout(
            feature_dim(n.embed_dim, n.decoder_dim, contexts, wiring),
            n.readout_dim,
            vocab_size,
            kind=n.readout,
            tied=embedding if n.tied else None,
            dropout=n.dropout,
        )
        mapped = nn.Sequential(nn.Linear(eye.dim, memory_dim), nn.ReLU()) if n.memory_dim else nn.Identity()
        self.project = nn.Sequential(mapped, nn.Dropout(n.dropout)) if attends else nn.Identity()
        self.decoder = Decoder(
            embedding,
            cells,
            attentions,
            readout,
            wiring=wiring,
            dropout=n.dropout,
            bridge=make_bridge("mean", memory_dim, 1, cells) if attends else None,
            prefix=None if attends else nn.Sequential(nn.Linear(eye.pooled_dim, n.embed_dim), nn.Dropout(n.dropout)),
        )
        getattr(initialize, n.initializer)(self)
        self.eye = eye  # after the initializer, which must leave it alone

    def make_memory(self, seen: Seen) -> tuple[Memory, ...]:
        if len(seen) == 1:
            seen = self.eye(*seen)
        pooled_BP, grid_BSD = (part.to(self.decoder.embedding.weight.dtype) for part in seen)
        values_BSM = self.project(grid_BSD)
        lengths_B = torch.full(values_BSM.shape[:1], values_BSM.shape[1], device=values_BSM.device)
        summary_BZ = values_BSM.mean(1) if len(self.decoder.attentions) else pooled_BP
        return self.decoder.make_memory((values_BSM, lengths_B, summary_BZ))


class System(NamedTuple):
    """What turns pictures into captions: one model, or several that average their predictions, each with its sight."""

    models: tuple[Captioner, ...]
    sights: tuple[Sight, ...]
    vocab: Vocab

    @property
    def device(self) -> torch.device:
        return self.models[0].decoder.embedding.weight.device

    def make_memory(self, paths: Sequence[Path]) -> tuple[tuple[Memory, ...], ...]:
        looked = zip(self.models, self.sights, strict=True)
        return tuple(model.make_memory(tuple(part.to(self.device) for part in sight(paths))) for model, sight in looked)

    @torch.no_grad()
    def caption(self, paths: Sequence[Path], decoding: Decoding, nbest: int = 1) -> list[list[Written]]:
        """The `nbest` captions of every picture, best first."""
        search = decoding.search(MAX_LEN, nbest, suppress_tokens=(*Search.suppress_tokens, UNK))
        found: list[list[Written]] = []
        for first in range(0, len(paths), decoding.batch):
            memories = self.make_memory(paths[first : first + decoding.batch])
            for hypotheses in beam(Ensemble([model.decoder for model in self.models]), memories, search):
                cut = search.max_len
                found.append([Written(self.vocab.decode(h.tokens), h, len(h.tokens) >= cut) for h in hypotheses])
        return found

    @torch.no_grad()
    def attention(self, path: Path, tokens: Sequence[int]) -> list[tuple[str, Tensor]]:
        """Of the first model: every token with its weights over the grid (rows, columns); nothing without attention."""
        model, (memories, *_) = self.models[0], self.make_memory([path])
        batch = collate([Example(0, (), tokens)]).to(self.device)
        forced = score_targets(model.decoder, memories, batch.inputs_BT, batch.targets_BT, batch.lengths_B)
        if not forced.weights:
            return []
        weights_Thw = forced.weights[0][0].unflatten(-1, model.eye.grid).cpu()
        return [(self.vocab.token(i), weights_hw) for i, weights_hw in zip(tokens, weights_Thw, strict=False)]
