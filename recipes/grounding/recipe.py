"""The box of a picture that a phrase means, by compact bilinear pooling (Fukui et al. 2016, arXiv:1606.01847).

    python recipes/grounding.py train --data DIR --out RUN --preset small
    python recipes/grounding.py compare --data DIR --out DIR --preset small --rows concat,product,mcb --split test
    python recipes/grounding.py evaluate --run RUN --data DIR --split test
    python recipes/grounding.py predict --run RUN photo.jpg "the dog on the left" --pictures DIR

Items need `image`, `source` (the phrase), `boxes` (the candidates) and `references` (true boxes, "left top right
bottom"). A box is in pixels of the upright picture.

B batch, K candidate boxes, S grid cells, D width of the eye's grid, R width of a region, Q phrase width.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqkit.cli import Recipe, print_answers
from seqkit.config import at_least_one
from seqkit.data.batch import Batch, pad
from seqkit.data.image import read_image, read_size
from seqkit.data.vocab import Vocab, load_vocab
from seqkit.data_prep.grounding.proposals import windows
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.nn import initialize
from seqkit.nn.backbones import Backbone, region_features
from seqkit.nn.masks import mask_from_lengths
from seqkit.recipes.common.image_encoder import Eye, Seen, Sight, direct, make_eye, sight_of
from seqkit.recipes.common.text_encoder import Language, QuestionEncoder
from seqkit.recipes.grounding.data import Asked, Text, asked, reachable, read_phrases, train_data, train_words
from seqkit.recipes.vqa.data import pairs, plain_question
from seqkit.recipes.vqa.model import Fusion, centred, scaled
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.report import Provenance, ScoredItem, format_table, write_report
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group
from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.optimizer import make_optimizer, parameter_groups
from seqkit.train.training_config import TrainingConfig

PLACE = 5  # numbers that say where a box is: its sides and its area, as shares of the picture's


@dataclass(frozen=True)
class Network:
    """Sizes and wiring of the grounder."""

    fusion: Literal["sum", "product", "concat", "bilinear", "compact", "mlb", "mutan", "mfb"] = "compact"
    """how a region and the phrase meet"""
    fused_dim: int = 2048
    """width of what fusion gives (Fukui et al.: 2048)"""
    attention_dim: int = 512
    """width of the layer between fusion and a region's score (Fukui et al.: 512)"""
    fused_dropout: float = 0.1
    """rate on what fusion gives (Fukui et al.: 0.1)"""
    centre: bool = True
    """regions are pooled from what sets a cell apart from the mean of its picture's (Fukui et al.: not)"""
    place: bool = True
    """a region's place and size are part of its features (Fukui et al.: not)"""
    normalize: Literal["length", "rms", "none"] = "rms"
    """regions and phrase: at length 1 (Fukui et al.), at a root mean square of 1, or as they are"""
    fused_norm: float = 45.0
    """length of what compact, bilinear and mfb give (Fukui et al.: 1)"""


class Grounder(nn.Module):
    """`forward(seen, boxes, counts, tokens, lengths)` scores every candidate: logits (B, K), least at padding."""

    def __init__(self, n: Network, language: Language, eye: Backbone, vocab_size: int) -> None:
        super().__init__()
        self.phrase = QuestionEncoder(language, vocab_size)
        self.centre, self.place, self.normalize = n.centre, n.place, n.normalize
        region_dim = eye.dim + PLACE * n.place
        self.fusion = Fusion(
            n.fusion, region_dim, self.phrase.dim, n.fused_dim, dropout=n.fused_dropout, norm=n.fused_norm
        )
        hidden = nn.Linear(self.fusion.dim, n.attention_dim)
        self.weigh = nn.Sequential(hidden, nn.ReLU(), nn.Linear(n.attention_dim, 1))
        initialize.xavier(self)
        self.eye = eye  # after the initializer, which must leave it alone

    def forward(self, seen: Seen, boxes_BK4: Tensor, counts_B: Tensor, tokens_BT: Tensor, lengths_B: Tensor) -> Tensor:
        phrase_BQ = self.prepare(self.phrase(tokens_BT, lengths_B))
        if len(seen) == 1:
            seen = self.eye(*seen)
        grid_BSD = seen[1].to(phrase_BQ.dtype)
        grid_BSD = centred(grid_BSD) if self.centre else grid_BSD
        whole_B2 = torch.ones(len(boxes_BK4), 2, device=boxes_BK4.device)
        regions_BKR = self.prepare(region_features(grid_BSD, self.eye.grid, boxes_BK4, whole_B2))
        if self.place:
            area_BK1 = (boxes_BK4[..., 2:] - boxes_BK4[..., :2]).prod(-1, keepdim=True)
            regions_BKR = torch.cat([regions_BKR, boxes_BK4, area_BK1], -1)
        scores_BK = self.weigh(self.fusion(regions_BKR, phrase_BQ[:, None])).squeeze(-1)
        mask_BK = mask_from_lengths(counts_B, boxes_BK4.shape[1])
        return scores_BK.masked_fill(~mask_BK, torch.finfo(scores_BK.dtype).min)

    def prepare(self, features: Tensor) -> Tensor:
        return scaled(features, self.normalize)


class Found(NamedTuple):
    """A box that a phrase may mean."""

    text: str  # left top right bottom, in pixels
    logprob: float
    score: float  # its probability among the candidates
    place: int  # among them


class System(NamedTuple):
    """What grounds: a model, what shows it pictures, and its words."""

    model: Grounder
    sight: Sight
    vocab: Vocab

    @torch.no_grad()
    def locate(self, phrases: Sequence[Asked], batch: int, nbest: int = 1) -> list[list[Found]]:
        """The `nbest` boxes of every phrase, best first."""
        device, found = self.model.phrase.embedding.weight.device, list[list[Found]]()
        for first in range(0, len(phrases), batch):
            chosen = phrases[first : first + batch]
            tokens_BT, lengths_B = pad([self.vocab.encode(plain_question(one.phrase)) for one in chosen])
            boxes_BK4, counts_B = pad([one.shares() for one in chosen])
            seen = tuple(part.to(device) for part in self.sight([one.image for one in chosen]))
            given = (part.to(device) for part in (boxes_BK4, counts_B, tokens_BT, lengths_B))
            logprobs_BK = self.model(seen, *given).float().log_softmax(-1).cpu()
            for one, logprobs_K in zip(chosen, logprobs_BK, strict=True):
                best_N, places_N = logprobs_K[: len(one.boxes)].topk(min(nbest, len(one.boxes)))
                found.append(
                    [
                        Found(" ".join(f"{x:g}" for x in one.boxes[k]), float(best), float(best.exp()), int(k))
                        for best, k in zip(best_N, places_N, strict=True)
                    ]
                )
        return found


@dataclass(frozen=True)
class Search:
    """How evaluation and prediction go."""

    batch: int = 32
    """phrases located together"""

    def __post_init__(self) -> None:
        at_least_one(self, "batch")


@dataclass(frozen=True)
class Config:
    """A run that grounds phrases."""

    text: Text = field(default_factory=Text)
    eye: Eye = field(default_factory=Eye)
    language: Language = field(default_factory=lambda: Language(question_dropout=0.3))
    network: Network = field(default_factory=Network)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=10,
            optimizer="adam",
            learning_rate=7e-4,
            schedule="cosine",
            warmup=50,
            max_grad_norm=1.0,
            ema_decay=0.99,
            metric="iou_0.5",
            mode="max",
        )
    )
    search: Search = field(default_factory=Search)


def grounding_loss(model: Grounder) -> Loss:
    """Cross entropy of the best candidate."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        phrase, boxes, *seen = batch.streams
        logits_BK = model(tuple(part.values for part in seen), *boxes, *phrase)
        return F.cross_entropy(logits_BK.float(), batch.targets_BT[:, 0], reduction="sum"), len(logits_BK)

    return loss


def train(
    config: Config, data: Path, out: Path, *, resume: bool, init: Sequence[Path], device: torch.device
) -> Outcome:
    with process_group(device) as device:
        items, held_out = read_phrases(data, "train"), read_phrases(data, "val")
        last = checkpoint.find_checkpoint(out / "last") if resume else None
        begun = last or (init and checkpoint.best_checkpoint(init[0]))
        vocab = load_vocab(begun, "words") if begun else train_words(config.text, items)
        torch.manual_seed(config.training.seed)
        model = Grounder(config.network, config.language, make_eye(config.eye), len(vocab)).to(device)
        print0(f"{len(vocab):,} words; a candidate is right for {reachable(held_out):.1f} % of the validation phrases")
        if init:
            print0(checkpoint.init_from(model, init).text())
        sight = sight_of(config.eye, model.eye, [item.image for item in [*items, *held_out]])
        system = System(model, sight, vocab)

        def validate() -> dict[str, float]:
            texts = [best.text for best, *_ in system.locate([asked(item) for item in held_out], config.search.batch)]
            return corpus_scores(statistics(["iou_0.5"], [item.references for item in held_out], texts))

        order = train_data(config.text, vocab, items, sight, config.training.seed)
        rate = config.eye.finetune_rate if config.eye.finetune else 0.0
        optimizer = make_optimizer(parameter_groups(model, config.training, {"eye.": rate}), config.training)
        run = RunFolder(out, resume, lambda part: vocab.save(part, "words"))
        return fit(model, grounding_loss(model), order, validate, config.training, run, optimizer)


def load_system(config: Config, run: Path, device: torch.device, paths: Sequence[Path] | None = None) -> System:
    """The best model of `run`, with features of `paths` from the cache, or where there are none from pixels."""
    folder = checkpoint.best_checkpoint(run)
    vocab = load_vocab(folder, "words")
    eye = make_eye(config.eye, pretrained=False)
    model = Grounder(config.network, config.language, eye, len(vocab)).to(device).eval()
    checkpoint.load_weights(model, folder)
    return System(model, direct(eye) if paths is None else sight_of(config.eye, eye, paths), vocab)


def evaluate(config: Config, run: Path, data: Path, split: str, *, device: torch.device) -> None:
    items = read_phrases(data, split)
    system = load_system(config, run, device, [item.image for item in items])
    began = time.monotonic()
    found = system.locate([asked(item) for item in items], config.search.batch)
    decode = {"seconds": time.monotonic() - began, "reachable": reachable(items)}
    evaluated = [
        ScoredItem(item.id, item.references, best.text, best.logprob, best.score, image=item.image, prompt=item.source)
        for item, (best, *_) in zip(items, found, strict=True)
    ]
    about = Provenance("grounding", split, data / f"{split}.jsonl", str(device), decode)
    print(format_table(write_report(run / "evaluate" / split, evaluated, ["iou_0.5"], about)))


def predict(
    config: Config,
    run: Path,
    inputs: Sequence[str],
    *,
    as_json: bool,
    nbest: int,
    pictures: Path | None,
    device: torch.device,
) -> None:
    given = pairs(inputs)
    system = load_system(config, run, device)
    sizes = [read_size(path) for path, _ in given]
    phrases = [Asked(path, phrase, windows(*size), size) for (path, phrase), size in zip(given, sizes, strict=True)]
    found = system.locate(phrases, config.search.batch, nbest)
    names = [f"{path}\t{phrase}" for path, phrase in given]
    print_answers(names, [[(box.text, box) for box in boxes] for boxes in found], as_json=as_json)
    if pictures:
        from seqkit.draw import boxes

        for number, (one, ranked) in enumerate(zip(phrases, found, strict=True), 1):
            drawn = [(f"{box.score:.2f}", one.boxes[box.place]) for box in ranked]
            boxes(read_image(one.image), drawn, pictures / f"{number:04}.png", title=one.phrase)


def paper() -> Config:
    """Fukui et al. 2016, section 3.4 and 4.6: an LSTM over the phrase, MCB of 2048. Regions are pooled from the grid of
    a VGG-16 by RoI align, where the paper runs its fully connected layers over each."""
    return Config(
        eye=Eye(backbone="vgg16"),
        language=Language(embed_dim=500, question_dim=1024, question_dropout=0.3),
        network=Network(centre=False, place=False, normalize="length", fused_norm=1.0),
        training=TrainingConfig(
            epochs=20, optimizer="adam", learning_rate=7e-4, max_grad_norm=0.0, patience=5, metric="iou_0.5", mode="max"
        ),
    )


def base() -> Config:
    """One GPU."""
    return dataclasses.replace(
        Config(),
        eye=Eye(backbone="resnet101", pixels=448),
        network=Network(fused_dim=8192),
        training=dataclasses.replace(Config().training, epochs=15, precision="bf16"),
    )


def tiny() -> Config:
    """Drawn scenes on a CPU."""
    return dataclasses.replace(
        Config(),
        eye=Eye(pixels=128, last_stage="blocks3"),
        language=Language(embed_dim=64, question_dim=128, question_dropout=0.0),
        network=Network(fused_dim=1024, attention_dim=128, fused_dropout=0.0),
        training=dataclasses.replace(Config().training, epochs=4, learning_rate=2e-3),
    )


ROWS = {
    "concat": {"fusion": "concat"},
    "product": {"fusion": "product"},
    "mcb": {"fusion": "compact"},
    "sum": {"fusion": "sum"},
    "bilinear": {"fusion": "bilinear"},
    "mlb": {"fusion": "mlb"},
    "mutan": {"fusion": "mutan"},
    "mfb": {"fusion": "mfb"},
}

RECIPE = Recipe(
    "grounding",
    Config,
    {"paper": paper, "base": base, "small": Config, "tiny": tiny},
    train,
    evaluate,
    predict,
    synthetic=lambda: synthetic.cached("grounding"),
    inputs="a picture file, and then a phrase in quotes",
    rows=ROWS,
)
