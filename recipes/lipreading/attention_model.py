"""The speller: two senses, one decoder that attends to both, and the search that writes down what is said.

Chung et al. 2017, arXiv:1611.05358, section 2. A stream that an item lacks is a memory without positions, whose context
is zero.

B batch, S positions of a memory, Z summary width, V vocabulary, T target tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.data.batch import Batch, PaddedSequence
from seqkit.data.vocab import UNK, Vocab
from seqkit.decode import CtcPrefix, Search, beam
from seqkit.decode.search import Scorers
from seqkit.nn.attention import AttentionKind
from seqkit.nn.decoder import Wiring, build_decoder
from seqkit.nn.encoders import Encoded
from seqkit.nn.initialize import xavier
from seqkit.nn.memory import Memory
from seqkit.nn.recurrent import CellKind
from seqkit.recipes.common.search_options import SearchOptions, Written
from seqkit.recipes.lipreading.ctc_model import NONE
from seqkit.recipes.lipreading.data import Inputs, Video
from seqkit.recipes.lipreading.encoders import Listening, Sense, Watching, make_listen, make_watch

SENSES = {"video": ("watch",), "audio": ("listen",), "both": ("watch", "listen")}
Modality = Literal["video", "audio", "both"]


@dataclass(frozen=True)
class Network:
    """The decoder that spells."""

    modality: Modality = "both"
    """video (WAS), audio (LAS), or both (WLAS)"""
    embed_dim: int = 64
    """width of a character's embedding"""
    decoder_cell: CellKind = "lstm"
    """recurrent cell (Chung et al.: lstm)"""
    decoder_dim: int = 256
    """width (Chung et al.: 512)"""
    decoder_layers: int = 1
    """layers (Chung et al.: 3)"""
    attention: AttentionKind = "additive"
    """score of an encoder step, one attention a stream (Chung et al.: additive)"""
    attention_dim: int = 128
    """attention width"""
    wiring: Wiring = "luong_input_feeding"
    """attention after the cell with the contexts fed to the next step (Chung et al.), after it without that (luong), or
    before the cell (bahdanau)"""
    readout_dim: int = 256
    """width below the softmax"""
    dropout: float = 0.3
    """rate on embeddings and below the softmax"""
    ctc_head: bool = False
    """a token or the blank for every step of each memory, too (Watanabe et al. 2017)"""


@dataclass(frozen=True)
class Spelling:
    """Search and the conditions of evaluation."""

    decoding: SearchOptions = field(default_factory=lambda: SearchOptions(beam=4))
    snr: tuple[str, ...] = ("clean", "10", "0")
    """signal-to-noise ratios, in dB, at which `evaluate` scores what hears"""
    ctc_weight: float = 0.0
    """weight of the frames' log-probabilities of each text, for a run with `ctc_head` (Watanabe et al. 2017: 0.3)"""
    lm: str = NONE
    """language model: none, or a run of language_model.py, or a .ngram or .arpa file"""
    lm_weight: float = 0.3
    """weight of its log-probabilities"""


class Speller(nn.Module):
    """Streams to the memories that `decoder` attends to."""

    def __init__(
        self,
        n: Network,
        watching: Watching,
        listening: Listening,
        video: Video,
        inputs: Mapping[str, Inputs],
        vocab_size: int,
    ) -> None:
        super().__init__()
        self.senses = SENSES[n.modality]
        self.watch = make_watch(watching, video, inputs["watch"]) if "watch" in self.senses else None
        self.listen = make_listen(listening, inputs["listen"]) if "listen" in self.senses else None
        there = [self.sense(name) for name in self.senses]
        widths = [sense.output_dim for sense in there]
        self.decoder = build_decoder(
            vocab_size,
            n.embed_dim,
            n.decoder_dim,
            widths,
            cell=n.decoder_cell,
            layers=n.decoder_layers,
            attention=n.attention,
            attention_dim=n.attention_dim,
            wiring=n.wiring,
            init_hidden="last",
            readout_dim=n.readout_dim,
            dropout=n.dropout,
        )
        xavier(self.decoder)
        heads = [nn.Linear(width, vocab_size) for width in widths] if n.ctc_head else []
        self.heads = nn.ModuleDict(dict(zip(self.senses, heads, strict=False)))

    def sense(self, name: str) -> Sense:
        found = self.watch if name == "watch" else self.listen
        assert found is not None
        return found

    def encode(self, streams: Sequence[PaddedSequence]) -> list[Encoded]:
        """What each sense makes of its stream."""
        return [self.sense(name)(*stream) for name, stream in zip(self.senses, streams, strict=True)]

    def make_memory(self, encoded: Sequence[Encoded]) -> tuple[Memory, ...]:
        """The memories; their summaries are the senses' last states, from which the decoder begins."""
        return self.decoder.make_memory(*((e.values_BSD, e.lengths_B, e.h_BLD[:, -1]) for e in encoded))

    def frames(self, encoded: Sequence[Encoded]) -> list[tuple[Tensor, Tensor]]:
        """Logits (B, S, V) of the heads, and lengths; none without `ctc_head`."""
        return [
            (self.heads[name](e.values_BSD), e.lengths_B)
            for name, e in zip(self.senses, encoded, strict=True)
            if name in self.heads
        ]


class System(NamedTuple):
    """What turns streams into text."""

    model: Speller
    vocab: Vocab
    scorers: Scorers

    @property
    def device(self) -> torch.device:
        return self.model.decoder.embedding.weight.device

    @torch.no_grad()
    def spell(self, batch: Batch, spelling: Spelling, nbest: int = 1) -> list[list[Written]]:
        """The `nbest` texts of every item, best first; at most ten tokens more than its longest memory has steps."""
        encoded = self.model.encode(batch.to(self.device).streams)
        longest_B = torch.stack([e.lengths_B for e in encoded]).amax(0) + 10
        search = spelling.decoding.search(longest_B, nbest, suppress_tokens=(*Search.suppress_tokens, UNK))
        joint = [(CtcPrefix(*frames), spelling.ctc_weight) for frames in self.model.frames(encoded)]
        scorers = (*self.scorers, *joint) if spelling.ctc_weight else self.scorers
        found = beam(self.model.decoder, self.model.make_memory(encoded), search, scorers=scorers)
        limit_B = torch.as_tensor(search.max_len).expand(len(found)).tolist()
        return [
            [Written(self.vocab.decode(h.tokens), h, len(h.tokens) >= limit) for h in some]
            for some, limit in zip(found, limit_B, strict=True)
        ]
