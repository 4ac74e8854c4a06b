"""Language models of either kind, and the predictor that gives texts their probabilities.

B batch, T symbols of a text and its end, V vocabulary, M members of an ensemble.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from seqkit.data.batch import Example, collate, pad
from seqkit.data.vocab import Vocab, load_vocab
from seqkit.decode import each_batch, in_batches, load_ngram
from seqkit.decode import ngram as grams
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.decoder import Decoder, build_decoder
from seqkit.nn.initialize import xavier
from seqkit.nn.recurrent import CellKind
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import SavedRun
from seqkit.recipes.language_model.data import TextConfig, segment, symbols_of
from seqkit.score.prediction import Prediction, Word
from seqkit.score.words import words_of
from seqkit.train import checkpoint

FILE = "model.ngram"


@described
@dataclass(frozen=True)
class Network:
    """The recurrent model."""

    cell: CellKind = "lstm"
    """recurrent cell"""
    embed_dim: Annotated[int, Range(min=1)] = 256
    """embedding width"""
    hidden_dim: Annotated[int, Range(min=1)] = 512
    """width of a layer"""
    layers: Annotated[int, Range(min=1)] = 1
    """recurrent layers"""
    dropout: Annotated[float, Range(min=0, below=1)] = 0.3
    """rate on embeddings, between layers and below the softmax"""

    def __post_init__(self) -> None:
        check_ranges(self)


@described
@dataclass(frozen=True)
class SearchConfig:
    """How texts are scored."""

    decode_batch_size: Annotated[int, Range(min=1)] = 64
    """texts scored together"""

    def __post_init__(self) -> None:
        check_ranges(self)


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


@dataclass(frozen=True)
class Member:
    """One model: an n-gram model, or a decoder over no memory."""

    text: TextConfig
    subwords: Vocab | None
    symbols: Sequence[str]
    ngram: grams.Ngram | None
    decoder: Decoder | None

    @cached_property
    def ids(self) -> dict[str, int]:
        """The number of every symbol."""
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    @property
    def unknown(self) -> int:
        return self.ids["<unk>"]

    def encode(self, text: str) -> list[int]:
        """Ids of a text's symbols."""
        return [self.ids.get(symbol, self.unknown) for symbol in segment(self.text, self.subwords, text)]

    def words(self, text: str, logprobs: Sequence[float]) -> tuple[Word, ...]:
        """The words of a text, as this model normalizes it, with their probabilities."""
        join = self.subwords.join if self.subwords else ("" if self.text.units == "characters" else " ").join
        return words_of(segment(self.text, self.subwords, text), join, logprobs)

    @torch.no_grad()
    def logprobs(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """log p (B, T) of every symbol and of the end; what follows a row's end is padding."""
        return (self._recurrent(rows) if self.decoder else self._counted(rows)).double().cpu()

    def _recurrent(self, rows: Sequence[Sequence[int]]) -> Tensor:
        assert self.decoder is not None
        batch = collate([Example(place, (), row) for place, row in enumerate(rows)])
        batch = batch.to(self.decoder.embedding.weight.device)
        logits_BTV: Tensor = self.decoder(batch.inputs_BT, ())
        logprob_BTV = logits_BTV.float().log_softmax(-1)
        return logprob_BTV.gather(2, batch.targets_BT[..., None])[..., 0]

    def _counted(self, rows: Sequence[Sequence[int]]) -> Tensor:
        assert self.ngram is not None
        tables = grams.NgramTables(self.ngram)
        word_BT = pad([[grams.BOS, *row, grams.EOS] for row in rows]).values
        node_B, columns = torch.zeros(len(rows), dtype=torch.int64), []
        for word_B in word_BT.unbind(1):
            logprob_B, node_B = tables.follow(node_B, word_B)
            columns.append(logprob_B)
        return torch.stack(columns[1:], 1)


@described
class ScoredText(NamedTuple):
    """One text's symbols and its end under a model."""

    tokens: list[int]
    """ids of the symbols, without the end"""
    logprobs: list[float]
    """of the symbols and the end, in nats"""
    known: list[bool]
    """whether the model knows each; it knows the end"""


class LanguageModelPredictor(NamedTuple):
    """Scores texts by one model, or by the mean of several models' probabilities."""

    members: tuple[Member, ...]
    search: SearchConfig

    def parse(self, words: Sequence[str]) -> list[str]:
        """Each word of the command line is a text."""
        return list(words)

    def score(self, texts: Sequence[str]) -> Iterator[ScoredText]:
        """Every text's log-probabilities, symbol by symbol."""
        for batch in each_batch(self._score, in_batches(texts, self.search.decode_batch_size)):
            yield from batch

    def _score(self, texts: Sequence[str]) -> list[ScoredText]:
        """One batch of `score`."""
        unk = self.members[0].unknown
        rows_MB = [[member.encode(text) for text in texts] for member in self.members]
        logprob_MBT = [member.logprobs(rows) for member, rows in zip(self.members, rows_MB, strict=True)]
        logprob_BT = torch.stack(logprob_MBT).logsumexp(0) - math.log(len(self.members))
        return [
            ScoredText(row, logprobs[: len(row) + 1], [*(i != unk for i in row), True])
            for row, logprobs in zip(rows_MB[0], logprob_BT.tolist(), strict=True)
        ]

    def predict(self, inputs: Sequence[str], nbest: int = 1) -> list[list[Prediction]]:
        """Each text itself: `logprob` of the text and its end, `score`, the mean over its symbols and the end, and its
        words with their probabilities.
        """
        if nbest != 1:
            raise InputError(f"`nbest` must be 1 for a language model, which scores its inputs, got {nbest}")
        words = self.members[0].words
        found = (
            (text, predicted(text, own), own.logprobs) for text, own in zip(inputs, self.score(inputs), strict=True)
        )
        return [[best._replace(words=words(text, logprobs))] for text, best, logprobs in found]

    def plot(self, given: str, found: Sequence[Prediction], path: Path) -> None:
        """InputError: there is nothing to draw."""
        raise InputError("plots need a model with attention, got a language model, which has none")


def predicted(text: str, scored: ScoredText) -> Prediction:
    """A text with its log-probability, and the mean over its symbols and the end."""
    logprob = sum(scored.logprobs)
    return Prediction(text, logprob, logprob / len(scored.logprobs), tokens=tuple(scored.tokens))


def load(runs: Sequence[SavedRun], device: torch.device) -> LanguageModelPredictor:
    """The predictor of saved runs. InputError where their symbols differ, whose probabilities have no mean."""
    members = tuple(load_member(run, device) for run in runs)
    for run, member in zip(runs, members, strict=True):
        if settings(member) != settings(members[0]):
            raise InputError(
                f"an ensemble must have one vocabulary, got {run.folder}, which has another than the first"
            )
    return LanguageModelPredictor(members, runs[0].config.search)


def settings(member: Member) -> tuple[object, ...]:
    """All that must be equal for two models to give probabilities of the same symbols."""
    pieces = symbols_of(member.subwords) if member.subwords else None
    return member.text.units, member.text.normalize, set(member.symbols) - {"<pad>"}, pieces


def load_member(run: SavedRun, device: torch.device) -> Member:
    text, folder = run.config.text, run.checkpoint
    subwords = load_vocab(folder, "target") if text.units == "subwords" else None
    if run.config.kind == "ngram":
        ngram = load_ngram(folder / FILE)
        return Member(text, subwords, ngram.symbols, ngram, None)
    vocab = load_vocab(folder, "target")
    decoder = make_decoder(run.config.network, len(vocab)).to(device).eval().requires_grad_(False)
    checkpoint.load_weights(decoder, folder)
    return Member(text, subwords, symbols_of(vocab), None, decoder)
