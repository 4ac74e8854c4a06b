"""What a language model is, whichever kind: text to symbols, and symbols to probabilities.

B batch, T symbols of a text and its end, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seqkit.data.batch import Example, collate, pad
from seqkit.data.text import normalize
from seqkit.data.vocab import Vocab
from seqkit.decode import ngram as grams
from seqkit.errors import InputError
from seqkit.nn.decoder import Decoder, build_decoder
from seqkit.nn.initialize import xavier
from seqkit.nn.recurrent import CellKind


@dataclass(frozen=True)
class Text:
    """From text to symbols."""

    unit: Literal["char", "word", "subword"] = "char"
    """what one symbol is; words are what stands between spaces"""
    pieces: Path | None = None
    """the run whose target vocabulary cuts text into subwords; with unit subword only"""
    normalize: tuple[Literal["normalize_whitespace", "lower", "strip_punctuation"], ...] = ("normalize_whitespace",)
    """what is done to a text first, in this order"""

    def __post_init__(self) -> None:
        if (self.unit == "subword") != (self.pieces is not None):
            raise InputError(
                f"`pieces` must be given with unit subword and with it alone, got {self.pieces} with {self.unit}"
            )


@dataclass(frozen=True)
class Network:
    """The recurrent model."""

    vocab_size: int = 10000
    """most words, the most frequent; characters and subwords are all kept"""
    cell: CellKind = "lstm"
    """recurrent cell"""
    embed_dim: int = 256
    """embedding width"""
    hidden_dim: int = 512
    """width of a layer"""
    layers: int = 1
    """recurrent layers"""
    dropout: float = 0.3
    """rate on embeddings, between layers and below the softmax"""
    batch_tokens: int = 2000
    """a batch's texts times the longest, at most"""


class Model(NamedTuple):
    """What gives texts probabilities: an n-gram model, or a decoder over no memory."""

    text: Text
    pieces: Vocab | None  # cuts text into subwords
    symbols: Sequence[str]
    ngram: grams.Ngram | None
    decoder: Decoder | None

    def split(self, text: str) -> list[str]:
        return split(self.text, self.pieces, text)

    @torch.no_grad()
    def logprobs(self, texts: Sequence[str], batch: int) -> Iterator[tuple[list[float], list[bool]]]:
        """Of each text: log p of every symbol and of the end, natural, and whether the model knows each."""
        ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        unk, ask = ids["<unk>"], self._recurrent if self.decoder else self._counted()
        for first in range(0, len(texts), batch):
            rows = [[ids.get(symbol, unk) for symbol in self.split(text)] for text in texts[first : first + batch]]
            for row, logprobs in zip(rows, ask(rows).double().tolist(), strict=True):
                yield logprobs[: len(row) + 1], [i != unk for i in row] + [True]

    def _recurrent(self, rows: Sequence[Sequence[int]]) -> Tensor:
        assert self.decoder is not None
        batch = collate([Example(place, (), row) for place, row in enumerate(rows)])
        batch = batch.to(self.decoder.embedding.weight.device)
        logprob_BTV = self.decoder(batch.inputs_BT, ()).float().log_softmax(-1)
        return logprob_BTV.gather(2, batch.targets_BT[..., None])[..., 0]

    def _counted(self) -> Callable[[Sequence[Sequence[int]]], Tensor]:
        assert self.ngram is not None
        tables = grams.Tables(self.ngram)

        def ask(rows: Sequence[Sequence[int]]) -> Tensor:
            word_BT = pad([[grams.BOS, *row, grams.EOS] for row in rows]).values
            node_B, columns = torch.zeros(len(rows), dtype=torch.int64), []
            for word_B in word_BT.unbind(1):
                logprob_B, node_B = tables.follow(node_B, word_B)
                columns.append(logprob_B)
            return torch.stack(columns[1:], 1)

        return ask


def split(text: Text, pieces: Vocab | None, line: str) -> list[str]:
    """The symbols of one text."""
    line = normalize(line, text.normalize)
    if pieces:
        return pieces.tokens(line)
    return list(line) if text.unit == "char" else line.split()


def make_decoder(network: Network, size: int) -> Decoder:
    """A decoder over no memory, with tied embeddings."""
    decoder = build_decoder(
        size,
        network.embed_dim,
        network.hidden_dim,
        cell=network.cell,
        layers=network.layers,
        readout_dim=network.embed_dim,
        tie_embeddings=True,
        dropout=network.dropout,
    )
    xavier(decoder)
    return decoder
