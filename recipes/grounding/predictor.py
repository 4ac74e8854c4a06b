"""Predictor of grounding: one run, or several whose box probabilities are averaged.

B batch, K candidate boxes, M members.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.data.batch import pad
from seqkit.data.decoder_process import apart
from seqkit.data.image import read_image, read_size
from seqkit.data.manifest import Item
from seqkit.data.vocab import Vocab
from seqkit.data_prep.grounding.proposals import clip_boxes, windows
from seqkit.decode import each_batch, in_batches
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, image_reader
from seqkit.recipes.common.image_reader import ImageReader
from seqkit.recipes.common.image_text import as_pair, parse_pairs, text_ids
from seqkit.recipes.grounding.data import Phrase, phrase_of
from seqkit.recipes.grounding.model import GroundingModel
from seqkit.score.prediction import Prediction


class Member(NamedTuple):
    """One model of an ensemble, and how it reads images."""

    model: GroundingModel
    reader: ImageReader
    image_encoder: ImageEncoderConfig

    def log_probs(self, phrases: Sequence[Phrase], vocab: Vocab) -> Tensor:
        """Log-probabilities of the candidates (B, K)."""
        device = self.model.text_encoder.embedding.weight.device
        tokens_BT, lengths_B = pad([text_ids(vocab, phrase.text) for phrase in phrases])
        boxes_BK4, counts_B = pad([phrase.relative_boxes() for phrase in phrases])
        image = tuple(part.to(device) for part in self.reader([phrase.image for phrase in phrases]))
        inputs = (part.to(device) for part in (boxes_BK4, counts_B, tokens_BT, lengths_B))
        logprobs_BK: Tensor = self.model(image, *inputs).float().log_softmax(-1).cpu()
        return logprobs_BK


@described
@dataclass(frozen=True)
class GroundingPredictor:
    """Finds the box of a phrase; an input is a pair of image path and phrase, or a Phrase with its candidate boxes."""

    members: tuple[Member, ...]
    vocab: Vocab
    batch_size: int
    """phrases grounded together"""
    proposals: Mapping[str, Sequence[Sequence[float]]] | None = None
    """candidate boxes by the file name of their image; None: windows, or those of the items"""

    def parse(self, words: Sequence[str]) -> list[tuple[Path, str]]:
        """Pairs from the command line: images and phrases in turn, or lines with a tab between them."""
        return parse_pairs(words)

    def predict(self, inputs: Sequence[tuple[Path, str] | Phrase], nbest: int = 1) -> list[list[Prediction]]:
        """The `nbest` boxes of every phrase, best first; a box's score is its probability among the candidates, which
        for a pair are those of `proposals`, or windows of several sizes.

        Raises InputError for an image that cannot be read or has no proposals, and for a phrase without words.
        """
        phrases = [given if isinstance(given, Phrase) else self.with_candidates(*as_pair(given)) for given in inputs]

        def decode(batch: Sequence[Phrase]) -> list[list[Prediction]]:
            found = []
            for phrase, logprobs_K in zip(batch, self._log_probs(batch), strict=True):
                best_N, places_N = logprobs_K.topk(min(nbest, len(phrase.boxes)))
                ranked = zip(places_N.tolist(), best_N.tolist(), strict=True)
                found.append([box_prediction(phrase.boxes[place], logprob) for place, logprob in ranked])
            return found

        return [boxes for batch in each_batch(decode, in_batches(phrases, self.batch_size)) for boxes in batch]

    def predict_items(self, items: Sequence[Item]) -> list[Prediction]:
        """The best candidate of every item."""
        return [best for best, *_ in self.predict([phrase_of(item) for item in self.with_proposals(items)])]

    def with_proposals(self, items: Sequence[Item]) -> list[Item]:
        """The items with the boxes of `proposals`, where there are any, in the place of their own."""
        if self.proposals is None:
            return list(items)
        found = [self.with_candidates(Path(item.image or ""), "").boxes for item in items]
        return [replace(item, boxes=tuple(map(tuple, boxes))) for item, boxes in zip(items, found, strict=True)]

    def with_candidates(self, image: Path, text: str) -> Phrase:
        """A phrase about an image with its proposals, within the image; without any, windows of several sizes."""
        size = apart(image, read_size, image)
        if self.proposals is None:
            return Phrase(image, text, windows(*size), size)
        boxes = clip_boxes(self.proposals.get(image.name, ()), *size)
        if not boxes:
            raise InputError(f"`proposals` must have boxes within {image.name}, got none; add a line for it")
        return Phrase(image, text, boxes, size)

    @torch.no_grad()
    def _log_probs(self, batch: Sequence[Phrase]) -> list[Tensor]:
        """For every phrase the log of the members' mean probability of its candidates (K,)."""
        logprobs_MBK = torch.stack([member.log_probs(batch, self.vocab) for member in self.members])
        logprobs_BK = logprobs_MBK.logsumexp(0) - math.log(len(self.members))
        return [row_K[: len(phrase.boxes)] for row_K, phrase in zip(logprobs_BK, batch, strict=True)]

    def plot(self, given: tuple[Path, str] | Phrase, found: Sequence[Prediction], path: Path) -> None:
        """Draw the boxes, each with its probability, on the image."""
        from seqkit.draw import boxes

        drawn = [(f"{box.score:.2f}", box.box) for box in found if box.box is not None]
        boxes(apart(Path(given[0]), read_image, Path(given[0])), drawn, path, title=given[1])

    def with_features(self, images: Sequence[Path]) -> "GroundingPredictor":
        """The same with features of `images` read from the cache, where image encoders are frozen."""
        readers = [image_reader(m.image_encoder, m.model.image_encoder, images) for m in self.members]
        members = (m._replace(reader=reader) for m, reader in zip(self.members, readers, strict=True))
        return replace(self, members=tuple(members))


def box_prediction(box: Sequence[float], logprob: float) -> Prediction:
    left, top, right, bottom = (float(side) for side in box)
    probability = math.exp(logprob)
    text = " ".join(f"{side:g}" for side in box)
    return Prediction(text, logprob, probability, box=(left, top, right, bottom), probability=probability)
