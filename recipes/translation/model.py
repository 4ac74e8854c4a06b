"""The translation model: a recurrent encoder and the attention decoder, and the search that translates with them.

B batch, S source tokens, T target tokens, Z summary width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.data.batch import BucketBatchSampler, Example, PaddedSequence, collate, pad
from seqkit.data.vocab import UNK, UNKNOWN
from seqkit.decode import Ensemble, Hypothesis, beam, map_batches, score_targets, token_logprobs
from seqkit.decode.search import Scorers
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.attention import AttentionKind
from seqkit.nn.decoder import Wiring, build_decoder
from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import RecurrentEncoder, TextEncoder
from seqkit.nn.initial_state import InitHidden, summarize
from seqkit.nn.initialize import INITIALIZERS, Initializer
from seqkit.nn.memory import Memory
from seqkit.nn.readout import ReadoutKind
from seqkit.nn.recurrent import CellKind
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import SavedRun
from seqkit.recipes.common.scorers import make_scorers
from seqkit.recipes.common.search_options import SearchOptions, check_vocabulary
from seqkit.recipes.translation.data import Vocabs, load_vocabs
from seqkit.score.prediction import Prediction, distinct
from seqkit.score.words import words_of
from seqkit.train import checkpoint


@described
@dataclass(frozen=True)
class Network:
    """Sizes and wiring."""

    cell: CellKind = "lstm"
    """recurrent cell of encoder and decoder (Sutskever: lstm; Bahdanau: gru)"""
    embed_dim: Annotated[int, Range(min=1)] = 256
    """embedding width (Sutskever: 1000; Bahdanau: 620)"""
    encoder_dim: Annotated[int, Range(min=1)] = 256
    """encoder width a direction (both papers: 1000)"""
    encoder_layers: Annotated[int, Range(min=1)] = 2
    """encoder layers (Sutskever: 4; Bahdanau: 1)"""
    bidirectional: bool = True
    """read the source in both directions (Bahdanau: true)"""
    reverse_source: bool = False
    """read the source from its end (Sutskever: true)"""
    decoder_dim: Annotated[int, Range(min=1)] = 512
    """decoder width (both papers: 1000)"""
    decoder_layers: Annotated[int, Range(min=1)] = 1
    """decoder layers (Sutskever: 4; Bahdanau: 1)"""
    attention: AttentionKind | None = "additive"
    """score of a source position (Sutskever: null, no attention; Bahdanau: additive)"""
    attention_dim: Annotated[int, Range(min=1)] = 512
    """attention width, unused by dot, scaled_dot and general (Bahdanau: 1000)"""
    heads: Annotated[int, Range(min=1)] = 8
    """heads of multi_head attention (Vaswani et al. 2017: 8)"""
    wiring: Wiring = "luong_input_feeding"
    """attention before the cell (bahdanau), after it (luong), or after it with the context fed to the next step"""
    init_hidden: InitHidden | None = "mean"
    """initial hidden state of the decoder: from the mean of the encoder's outputs, its last state, its backward state
    at the first word (Bahdanau), a copy of every layer's last state (Sutskever), or null for zeros"""
    readout: ReadoutKind = "tanh"
    """layer below the softmax (Bahdanau: maxout; Sutskever: linear)"""
    readout_dim: Annotated[int, Range(min=1)] = 256
    """width below the softmax, unused by linear (Bahdanau: 500)"""
    tie_embeddings: bool = True
    """share the weights of target embedding and softmax; with a joint vocabulary the source embedding too"""
    residual: bool = False
    """add a layer's input to its output where widths agree (Wu et al. 2016)"""
    dropout: Annotated[float, Range(min=0, below=1)] = 0.3
    """rate on embeddings, between layers and below the softmax"""
    variational: bool = False
    """one dropout mask a sentence between encoder layers (Gal and Ghahramani 2016)"""
    initializer: Initializer = "xavier"
    """Glorot and orthogonal (xavier), U(-0.08, 0.08) (Sutskever: uniform), or Bahdanau et al.'s"""

    def __post_init__(self) -> None:
        check_ranges(self)


class Translator(nn.Module):
    """Source ids to the memories that `decoder` attends to or starts from."""

    def __init__(self, n: Network, source_size: int, target_size: int, *, shared: bool) -> None:
        super().__init__()
        target = Embedding(target_size, n.embed_dim, scaled=n.tie_embeddings)
        source = target
        if not (shared and n.tie_embeddings):
            source = Embedding(source_size, n.embed_dim, scaled=n.tie_embeddings)
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
        decoder = build_decoder(
            target_size,
            n.embed_dim,
            n.decoder_dim,
            [encoder.output_dim],
            cell=n.cell,
            layers=n.decoder_layers,
            residual=n.residual,
            attention=n.attention,
            attention_dim=n.attention_dim,
            heads=n.heads,
            wiring=n.wiring,
            init_hidden=n.init_hidden,
            encoder_layers=n.encoder_layers,
            readout=n.readout,
            readout_dim=n.readout_dim,
            tie_embeddings=n.tie_embeddings,
            embedding=target,
            dropout=n.dropout,
        )
        self.init_hidden = n.init_hidden
        self.encoder, self.decoder = TextEncoder(source, encoder, dropout=n.dropout), decoder
        INITIALIZERS[n.initializer](self)

    def make_memory(self, source: PaddedSequence) -> tuple[Memory, ...]:
        encoded = self.encoder(source.values, source.lengths_B)
        return self.decoder.make_memory((encoded.values_BSD, encoded.lengths_B, summarize(encoded, self.init_hidden)))


def make_model(network: Network, vocabs: Vocabs) -> Translator:
    try:
        sizes = len(vocabs.source), len(vocabs.target)
        return Translator(network, *sizes, shared=vocabs.source is vocabs.target)
    except ValueError as error:  # sizes that do not fit each other
        raise InputError(str(error)) from error


NOTHING = Prediction("", 0.0, 0.0)


class TranslationPredictor(NamedTuple):
    """Translates by one model, or by several whose probabilities are averaged."""

    models: tuple[Translator, ...]
    vocabs: Vocabs
    search: SearchOptions
    scorers: Scorers = ()

    @property
    def device(self) -> torch.device:
        return self.models[0].decoder.embedding.weight.device

    def parse(self, words: Sequence[str]) -> list[str]:
        """Each word of the command line is a source."""
        return list(words)

    def predict(self, inputs: Sequence[str], nbest: int = 1, *, words: bool = True) -> list[list[Prediction]]:
        """The `nbest` translations of every source, best first; sources of like length are decoded together.

        A source without a token is not put to the model, which would make something up: its translation is empty.
        `words`: with each word's probability, for which the translations are read once more.
        """
        ids = [self.vocabs.source.encode(source) for source in inputs]
        order = sorted((number for number in range(len(ids)) if ids[number]), key=lambda number: -len(ids[number]))
        lengths = [len(ids[number]) for number in order]
        most = self.search.decode_batch_size
        batches = BucketBatchSampler(lengths, 1 << 30, shuffle=False, max_items=most).epoch(0)
        found = {number: [NOTHING] for number in range(len(ids)) if not ids[number]}

        def decode(batch: Sequence[int]) -> list[list[Prediction]]:
            numbers = [order[place] for place in batch]
            return self.decode([ids[n] for n in numbers], [inputs[n] for n in numbers], nbest, words=words)

        for batch, translations in zip(batches, map_batches(decode, batches, self.device), strict=True):
            found |= zip((order[place] for place in batch), translations, strict=True)
        return [found[number] for number in range(len(ids))]

    @torch.no_grad()
    def decode(
        self, ids: Sequence[Sequence[int]], sources: Sequence[str], nbest: int, *, words: bool = True
    ) -> list[list[Prediction]]:
        """One batch of `predict`."""
        source = PaddedSequence(*(t.to(self.device) for t in pad(ids)))
        search = self.search.search(2 * source.lengths_B + 10, nbest)
        memories = tuple(model.make_memory(source) for model in self.models)
        decoder = Ensemble([model.decoder for model in self.models])
        found = beam(decoder, memories, search, scorers=self.scorers)
        logprobs = token_logprobs(decoder, memories, found) if words else [[[]] * len(some) for some in found]
        longest_B = torch.as_tensor(search.max_len).expand(len(ids)).tolist()
        rows = zip(found, logprobs, sources, longest_B, strict=True)
        return [
            distinct((self.prediction(h, p, text, most) for h, p in zip(some, known, strict=True)), nbest)
            for some, known, text, most in rows
        ]

    def prediction(self, found: Hypothesis, logprobs: Sequence[float], source: str, longest: int) -> Prediction:
        """A hypothesis as text, with words where their tokens' log-probabilities are given."""
        tokens, join = self.tokens(found.tokens, source), self.vocabs.target.join
        words = words_of(tokens, join, logprobs) if logprobs else ()
        text, cut = join(tokens), len(found.tokens) >= longest
        return Prediction(text, found.logprob, found.score, words, tokens=(*found.tokens,), cut=cut)

    def tokens(self, ids: Sequence[int], source: str) -> list[str]:
        """Tokens of a translation; an unknown word becomes the source word that it attends to most (Luong et al. 2015,
        arXiv:1410.8206, section 4.3, with attention in the place of alignment).
        """
        found = [UNKNOWN if i == UNK else self.vocabs.target.token(i) for i in ids]
        if UNK not in ids:
            return found
        weights_TS, words = self.attention(ids, source)
        if not words:
            return found
        best_T = weights_TS.argmax(-1).tolist()  # with a last row for the end
        return [words[s] if i == UNK else token for i, token, s in zip(ids, found, best_T, strict=False)]

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

    def plot(self, given: str, found: Sequence[Prediction], path: Path) -> None:
        """The alignment of the best translation: a row a target token, a column a source token."""
        from seqkit.draw import alignment

        best = found[0]
        if not best.tokens:
            return
        weights_TS, words = self.attention(best.tokens, given)
        if not words:
            raise InputError("plots need a model with attention, got a run whose `attention` is null")
        target = [self.vocabs.target.token(i) for i in best.tokens]
        alignment(weights_TS[: len(target)], words, target, path, title=best.text)


def load(runs: Sequence[SavedRun], device: torch.device) -> TranslationPredictor:
    """The predictor of saved runs. InputError where their vocabularies differ."""
    models, vocabs = [], load_vocabs(runs[0].checkpoint)
    for run in runs:
        own = vocabs if run is runs[0] else load_vocabs(run.checkpoint)
        if own is not vocabs:
            check_vocabulary(vocabs.source, own.source, run.folder)
            check_vocabulary(vocabs.target, own.target, run.folder)
        models.append(make_model(run.config.network, own).to(device).eval())
        checkpoint.load_weights(models[-1], run.checkpoint)
    search = runs[0].config.search
    return TranslationPredictor(tuple(models), vocabs, search, make_scorers(search.scorers, vocabs.target, device))
