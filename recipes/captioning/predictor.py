"""Predictor of captions: one run, or several whose word probabilities are averaged.

T tokens, S grid cells of R rows and C columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.data.batch import Example, collate
from seqkit.data.decoder_process import apart
from seqkit.data.image import read_image
from seqkit.data.manifest import Item
from seqkit.data.vocab import UNK, Vocab
from seqkit.decode import Ensemble, Hypothesis, Search, beam, each_batch, in_batches, score_targets, token_logprobs
from seqkit.decode.search import Scorers
from seqkit.errors import InputError
from seqkit.nn.memory import Memory
from seqkit.recipes.captioning.model import Captioner
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, image_reader
from seqkit.recipes.common.image_reader import ImageReader
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.score.language import join_characters
from seqkit.score.prediction import Prediction, distinct
from seqkit.score.words import words_of

MAX_LEN = 30  # tokens of a caption, where the search options give none


class Member(NamedTuple):
    """One model of an ensemble, and how it reads images."""

    model: Captioner
    reader: ImageReader
    image_encoder: ImageEncoderConfig

    def make_memory(self, images: Sequence[Path]) -> tuple[Memory, ...]:
        device = self.model.decoder.embedding.weight.device
        return self.model.make_memory(tuple(part.to(device) for part in self.reader(images)))


@dataclass(frozen=True)
class CaptionPredictor:
    """Captions images; an input is the path of an image file."""

    members: tuple[Member, ...]
    vocab: Vocab
    search: SearchOptions
    scorers: Scorers = ()

    def parse(self, words: Sequence[str]) -> list[Path]:
        """Each word of the command line is an image file."""
        return [Path(word) for word in words]

    def predict(self, inputs: Sequence[Path | str], nbest: int = 1, *, words: bool = True) -> list[list[Prediction]]:
        """The `nbest` captions of every image, best first. InputError names an image that cannot be read.

        `words`: with each word's probability, for which the captions are read once more.
        """
        images = [Path(path) for path in inputs]
        batches = in_batches(images, self.search.decode_batch_size)
        decoded = each_batch(partial(self._decode, nbest=nbest, words=words), batches)
        return [captions for batch in decoded for captions in batch]

    def predict_items(self, items: Sequence[Item], *, words: bool = True) -> list[Prediction]:
        """The best caption of every item's image."""
        return [best for best, *_ in self.predict([item.image for item in items if item.image], words=words)]

    @torch.no_grad()
    def _decode(self, images: Sequence[Path], *, nbest: int, words: bool) -> list[list[Prediction]]:
        """One batch of `predict`."""
        longest = self.search.max_len or MAX_LEN
        search = self.search.search(longest, nbest, suppress_tokens=(*Search.suppress_tokens, UNK))
        decoders = Ensemble([member.model.decoder for member in self.members])
        memories = tuple(member.make_memory(images) for member in self.members)
        found = beam(decoders, memories, search, scorers=self.scorers)
        logprobs = token_logprobs(decoders, memories, found) if words else [[[]] * len(some) for some in found]
        return [
            distinct((self.prediction(h, p, longest) for h, p in zip(some, known, strict=True)), nbest)
            for some, known in zip(found, logprobs, strict=True)
        ]

    def prediction(self, found: Hypothesis, logprobs: Sequence[float], longest: int) -> Prediction:
        """A hypothesis as text, with words where their tokens' log-probabilities are given."""
        tokens = [self.vocab.token(i) for i in found.tokens]
        words = words_of(tokens, self.vocab.join, logprobs) if logprobs else ()
        text, cut = join_characters(self.vocab.decode(found.tokens)), len(found.tokens) >= longest
        return Prediction(text, found.logprob, found.score, words, tokens=tuple(found.tokens), cut=cut)

    @torch.no_grad()
    def attention(self, image: Path, tokens: Sequence[int]) -> list[tuple[str, Tensor]]:
        """The first member's attention: every token with its weights over the grid (R, C); empty without attention."""
        member = self.members[0]
        batch = collate([Example(0, (), tokens)]).to(member.model.decoder.embedding.weight.device)
        memories = member.make_memory([image])
        scored = score_targets(member.model.decoder, memories, batch.inputs_BT, batch.targets_BT, batch.lengths_B)
        if not scored.weights:
            return []
        weights_TRC = scored.weights[0][0].reshape(-1, *member.model.image_encoder.grid).cpu()
        return [(self.vocab.token(i), weights_RC) for i, weights_RC in zip(tokens, weights_TRC, strict=False)]

    def plot(self, given: Path | str, found: Sequence[Prediction], path: Path) -> None:
        """Draw the attention of the best caption's words over the image. InputError for a model without attention."""
        from seqkit.draw import heat_maps

        if self.members[0].model.decoder.attentions:
            maps = self.attention(Path(given), found[0].tokens)
            pixels = apart(Path(given), read_image, Path(given), at_least=480)
            heat_maps(pixels, maps, path, title=found[0].text)
        else:
            raise InputError("plots need a model with attention, got a run whose `attention` is null")

    def with_features(self, images: Sequence[Path]) -> "CaptionPredictor":
        """The same with features of `images` read from the cache, where image encoders are frozen."""
        readers = [image_reader(m.image_encoder, m.model.image_encoder, images) for m in self.members]
        members = (m._replace(reader=reader) for m, reader in zip(self.members, readers, strict=True))
        return replace(self, members=tuple(members))
