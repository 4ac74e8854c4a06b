"""Predictor of visual question answering: one run, or several whose answer probabilities are averaged.

B batch, S grid cells, G glimpses, A answer classes, M members, N answers of an n-best list.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit.data.batch import pad
from seqkit.data.decoder_process import apart
from seqkit.data.image import read_image
from seqkit.data.manifest import Item
from seqkit.data.vocab import UNK, Vocab
from seqkit.decode import each_batch, in_batches
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, image_reader
from seqkit.recipes.common.image_reader import ImageReader
from seqkit.recipes.common.image_text import as_pair, parse_pairs, text_tokens
from seqkit.recipes.vqa.data import Answers, TextConfig, question_ids
from seqkit.recipes.vqa.model import VQAModel
from seqkit.score.prediction import Prediction
from seqkit.train.distributed import print0

Question = tuple[Path, str]  # an image and a question about it


class Member(NamedTuple):
    """One model of an ensemble, and how it reads its inputs."""

    model: VQAModel
    reader: ImageReader
    image_encoder: ImageEncoderConfig
    text: TextConfig

    def log_probs(self, images: Sequence[Path], questions: Sequence[str], vocab: Vocab) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the classes (B, A) and attention weights (B, G, S); with soft targets each class has a
        probability of its own."""
        device = self.model.classifier.weight.device
        tokens_BT, lengths_B = (t.to(device) for t in pad([question_ids(self.text, vocab, q) for q in questions]))
        image = tuple(part.to(device) for part in self.reader(images))
        logits_BA, weights_BGS = self.model(image, tokens_BT, lengths_B)
        return F.logsigmoid(logits_BA) if self.text.targets == "soft" else logits_BA.log_softmax(-1), weights_BGS


@described
@dataclass(frozen=True)
class AnswerPredictor:
    """Answers questions about images; an input is a pair of image path and question."""

    members: tuple[Member, ...]
    vocab: Vocab
    answers: Answers
    batch_size: int
    """questions answered together"""

    def parse(self, words: Sequence[str]) -> list[Question]:
        """Pairs from the command line: images and questions in turn, or lines with a tab between them."""
        return parse_pairs(words)

    def predict(self, inputs: Sequence[Question], nbest: int = 1) -> list[list[Prediction]]:
        """The `nbest` answers to every question, best first; words that no training question had are logged.

        Raises InputError for an image that cannot be read, a question without words, and what is no pair.
        """
        for _, question in map(as_pair, inputs):
            if unknown := [w for w in text_tokens(self.vocab, question) if UNK in self.vocab.encode(w)]:
                print0(f"not in any training question: {', '.join(unknown)} (in {question!r})")
        return self.answer(inputs, nbest)

    def predict_items(self, items: Sequence[Item]) -> list[Prediction]:
        """The best answer to every item's question."""
        pairs = [(item.image, item.question) for item in items]
        return [best for best, *_ in self.answer([(i, q) for i, q in pairs if i is not None and q is not None])]

    def answer(self, inputs: Sequence[Question], nbest: int = 1) -> list[list[Prediction]]:
        """The `nbest` answers to every question; an answer's score is its probability."""

        def decode(batch: Sequence[Question]) -> list[list[Prediction]]:
            logprobs_BA, _ = self._log_probs(batch)
            best_BN, classes_BN = logprobs_BA.topk(min(nbest, logprobs_BA.shape[1]))
            found = []
            for logprobs, classes in zip(best_BN.tolist(), classes_BN.tolist(), strict=True):
                ranked = [(self.answers.texts[i], p, math.exp(p)) for i, p in zip(classes, logprobs, strict=True)]
                found.append([Prediction(text, p, share, probability=share) for text, p, share in ranked])
            return found

        return [answers for batch in each_batch(decode, in_batches(inputs, self.batch_size)) for answers in batch]

    @property
    def device(self) -> torch.device:
        return self.members[0].model.classifier.weight.device

    @torch.no_grad()
    def _log_probs(self, batch: Sequence[Question]) -> tuple[Tensor, Tensor]:
        """The log of the members' mean probability (B, A), and the first's attention (B, G, S)."""
        images, questions = zip(*batch, strict=True)
        paths = [Path(image) for image in images]
        found = [member.log_probs(paths, questions, self.vocab) for member in self.members]
        logprobs_MBA = torch.stack([logprobs_BA for logprobs_BA, _ in found])
        return logprobs_MBA.logsumexp(0) - math.log(len(found)), found[0][1].cpu()

    def plot(self, given: Question, found: Sequence[Prediction], path: Path) -> None:
        """Draw the first member's glimpses over the image. InputError for a model without any."""
        from seqkit.draw import heat_maps

        image, question = given
        encoder = self.members[0].model.image_encoder
        if encoder is None or self.members[0].model.attention_fusion is None:
            raise InputError("plots need a model with glimpses, got a run whose `attention` or `fusion` is null")
        _, weights_1GS = self._log_probs([given])
        maps = [(f"glimpse {g}", weights_S.reshape(encoder.grid)) for g, weights_S in enumerate(weights_1GS[0], 1)]
        pixels = apart(Path(image), read_image, Path(image), at_least=480)
        heat_maps(pixels, maps, path, title=f"{question}  {found[0].text}")

    def with_features(self, images: Sequence[Path]) -> "AnswerPredictor":
        """The same with features of `images` read from the cache, where image encoders are frozen."""
        return replace(self, members=tuple(_with_features(member, images) for member in self.members))


def _with_features(member: Member, images: Sequence[Path]) -> Member:
    backbone = member.model.image_encoder
    return member if backbone is None else member._replace(reader=image_reader(member.image_encoder, backbone, images))
