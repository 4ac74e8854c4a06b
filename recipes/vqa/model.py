"""The answerer itself: what a picture shows and what a question asks, fused, once or with glimpses at the picture.

Fukui et al. 2016, arXiv:1606.01847, figures 3 and 4.

B batch, S grid cells, D width of the eye's grid, P of its vector for the whole picture, Q question width, F fused
width, G glimpses, A answers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.data.batch import pad
from seqkit.data.vocab import Vocab
from seqkit.errors import InputError
from seqkit.nn import initialize
from seqkit.nn.backbones import Backbone
from seqkit.nn.bilinear import l2_normalise
from seqkit.nn.fusion import Kind, make_fusion
from seqkit.recipes.common.image_encoder import Seen, Sight
from seqkit.recipes.common.text_encoder import Language, QuestionEncoder
from seqkit.recipes.vqa.data import Answers, Text, question_ids

ONE_LENGTH = ("bilinear", "compact", "mfb")  # fusions that end with an L2 normalisation


@dataclass(frozen=True)
class Network:
    """Sizes and wiring of the answerer."""

    fusion: Literal["question", "sum", "product", "concat", "bilinear", "compact", "mlb", "mutan", "mfb"] = "compact"
    """how picture and question meet; question: they do not, the picture is not looked at"""
    attention: Literal["none", "glimpses"] = "glimpses"
    """none: the whole picture at once; glimpses: it is weighted by what fusion makes of each cell"""
    glimpses: int = 2
    """glimpses, each with weights of its own (Fukui et al.'s code: 2)"""
    fused_dim: int = 2048
    """width of what fusion gives (Fukui et al.: 16000 for compact, 4096 for the layers of the others)"""
    fusion_layers: int = 0
    """fully connected layers behind sum, product and concat (Fukui et al.: 0 or 1, their "+ FC")"""
    attention_dim: int = 256
    """width of the layer between fusion and a cell's weight (Fukui et al.: 512)"""
    fused_dropout: float = 0.5
    """rate on what fusion gives (Fukui et al.: 0.1)"""
    image_dropout: float = 0.0
    """rate on the picture's features"""
    normalise: Literal["length", "rms", "none"] = "rms"
    """the picture's features: at length 1 (Fukui et al.), at a root mean square of 1, or as they are"""
    fused_norm: float = 45.0
    """length of what compact, bilinear and mfb give to the classifier (Fukui et al.: 1); few steps teach more with a
    greater one"""
    glimpse_norm: float = 2.0
    """length of what the glimpses' weights are made of, whatever the fusion (Fukui et al.: 1); much greater, and each
    glimpse is thrown onto one cell before anything is learnt"""
    centre: bool = False
    """glimpses look at what sets a cell apart from the mean of its picture's (Fukui et al.: not), and a constant beside
    what they find lets the question speak for itself"""


def scaled(vectors: Tensor, normalise: str) -> Tensor:
    """Vectors in the last dimension at length 1, at a root mean square of 1, or as they are."""
    return vectors if normalise == "none" else l2_normalise(vectors, -1) * length(vectors.shape[-1], normalise)


def length(dim: int, normalise: str) -> float:
    """Of what `scaled` makes of vectors `dim` wide; 1 for those that it leaves as they are."""
    return dim**0.5 if normalise == "rms" else 1.0


def centred(grid_BSD: Tensor) -> Tensor:
    """Cells less their picture's mean. What all cells share is, behind a ReLU, most of a cell, and would be most of any
    bilinear pooling of it.
    """
    return grid_BSD - grid_BSD.mean(1, keepdim=True)


class Fusion(nn.Module):
    """A picture's vectors (..., I) with a text's (..., Q): `dim` wide but for a bare concatenation.

    `norm` is the length of what comes out, of fusions that give one length, or `always`.
    Raises InputError for sizes that will not do.
    """

    def __init__(
        self,
        kind: Kind,
        image_dim: int,
        text_dim: int,
        dim: int,
        *,
        layers: int = 0,
        dropout: float = 0.0,
        norm: float = 1.0,
        always: bool = False,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.dim = image_dim + text_dim if kind == "concat" and not layers else dim
        try:
            self.fuse = make_fusion(kind, image_dim, text_dim, self.dim, layers=layers, dropout=dropout, seed=seed)
        except ValueError as error:
            raise InputError(f"`fused_dim` and `fusion_layers` must fit `fusion` {kind}: {error}") from error
        self.shorten = always and kind not in ONE_LENGTH
        self.gain = norm if always or kind in ONE_LENGTH else 1.0

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        fused = self.fuse(image, text)
        return (l2_normalise(fused, -1) if self.shorten else fused) * self.gain


class Answerer(nn.Module):
    """`forward(seen, tokens, lengths)` gives logits (B, A) and the weights of the glimpses (B, G, S), G perhaps 0.

    `seen` is pixels, what the eye makes of them, or, where the question is all, nothing.
    """

    def __init__(
        self,
        n: Network,
        language: Language,
        eye: Backbone | None,
        vocab_size: int,
        answers: int,
        vectors_VE: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.question = QuestionEncoder(language, vocab_size, vectors_VE)
        self.attends, self.normalise = n.attention == "glimpses" and eye is not None, n.normalise
        self.centre = n.centre
        self.dropout = nn.Dropout(n.image_dropout)
        self.glance: Fusion | None = None
        self.fusion: Fusion | None = None
        fused_dim = self.question.dim
        if eye is not None:
            image_dim = eye.dim * n.glimpses + n.centre if self.attends else eye.pooled_dim
            self.fusion = self._fusion(n, image_dim, n.fused_norm)
            fused_dim = self.fusion.dim
        if eye is not None and self.attends:
            self.glance = self._fusion(n, eye.dim, n.glimpse_norm, glance=True)
            self.weigh = nn.Sequential(
                nn.Linear(self.glance.dim, n.attention_dim), nn.ReLU(), nn.Linear(n.attention_dim, n.glimpses)
            )
        self.classify = nn.Linear(fused_dim, answers)
        initialize.xavier(self)
        self.eye = eye  # after the initializer, which must leave it alone

    def _fusion(self, n: Network, image_dim: int, norm: float, *, glance: bool = False) -> Fusion:
        assert n.fusion != "question"
        return Fusion(
            n.fusion,
            image_dim,
            self.question.dim,
            n.fused_dim,
            layers=n.fusion_layers,
            dropout=n.fused_dropout,
            norm=norm,
            always=glance,
            seed=2 if glance else 1,
        )

    def forward(self, seen: Seen, tokens_BT: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        question_BQ = self.question(tokens_BT, lengths_B)
        if self.fusion is None or self.eye is None:
            return self.classify(question_BQ), question_BQ.new_zeros(len(question_BQ), 0, 0)
        if len(seen) == 1:
            seen = self.eye(*seen)
        pooled_BP, grid_BSD = seen
        if self.glance is None:
            fused_BF = self.fusion(self.prepare(pooled_BP.to(question_BQ.dtype)), question_BQ)
            return self.classify(fused_BF), question_BQ.new_zeros(len(question_BQ), 0, 0)
        grid_BSD = grid_BSD.to(question_BQ.dtype)
        grid_BSD = self.prepare(centred(grid_BSD) if self.centre else grid_BSD)
        fused_BSF = self.glance(grid_BSD, question_BQ[:, None])
        weights_BGS = self.weigh(fused_BSF).transpose(1, 2).softmax(-1)
        looked_BI = (weights_BGS @ grid_BSD).flatten(1)
        if self.centre:
            looked_BI = nn.functional.pad(looked_BI, (0, 1), value=length(grid_BSD.shape[-1], self.normalise))
        return self.classify(self.fusion(looked_BI, question_BQ)), weights_BGS

    def prepare(self, features: Tensor) -> Tensor:
        return self.dropout(scaled(features, self.normalise))


class Answer(NamedTuple):
    """One answer to a question."""

    text: str
    logprob: float
    score: float  # its probability, 0 to 1; with soft targets the consensus that it is expected to have


class System(NamedTuple):
    """What answers: a model, what shows it pictures, and its words."""

    model: Answerer
    sight: Sight
    vocab: Vocab
    answers: Answers
    text: Text

    @property
    def device(self) -> torch.device:
        return self.model.classify.weight.device

    @torch.no_grad()
    def answer(
        self, paths: Sequence[Path], questions: Sequence[str], batch: int, nbest: int = 1
    ) -> tuple[list[list[Answer]], list[Tensor]]:
        """For every question its `nbest` answers, best first, and the weights (G, S) of its glimpses."""
        found: list[list[Answer]] = []
        weights: list[Tensor] = []
        for first in range(0, len(paths), batch):
            chosen = slice(first, first + batch)
            ids = [question_ids(self.text, self.vocab, question) for question in questions[chosen]]
            tokens_BT, lengths_B = (part.to(self.device) for part in pad(ids))
            seen = tuple(part.to(self.device) for part in self.sight(paths[chosen]))
            logits_BA, weights_BGS = self.model(seen, tokens_BT, lengths_B)
            soft = self.text.targets == "soft"
            logprobs_BA = nn.functional.logsigmoid(logits_BA) if soft else logits_BA.log_softmax(-1)
            best_BN, numbers_BN = logprobs_BA.topk(min(nbest, logits_BA.shape[1]))
            for logprobs, numbers in zip(best_BN.tolist(), numbers_BN.tolist(), strict=True):
                ranked = zip(numbers, logprobs, strict=True)
                found.append([Answer(self.answers.texts[i], logprob, math.exp(logprob)) for i, logprob in ranked])
            weights += list(weights_BGS.cpu())
        return found, weights
