"""Captions of images: Show and Tell (Vinyals et al. 2016, arXiv:1609.06647), and Show, Attend and Tell (Xu et al. 2015,
arXiv:1502.03044).

    seqkit captioning train --data DIR --out RUN --preset small
    seqkit captioning train --data DIR --out RUN2 --init RUN --reward cider --learning_rate 5e-5
    seqkit captioning evaluate --run RUN --data DIR --split test --beam 3
    seqkit captioning predict --run RUN photo.jpg --plots DIR

Items need `image` and `references`; every reference is a training target. A second stage starts with --init: reward by
CIDEr (Rennie et al. 2017, arXiv:1612.00563), or training of the image encoder too (--unfreeze_from STAGE).

B batch, T target tokens, F decoder features, N real target tokens, V vocabulary, S grid cells, K samples of an image.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor

from seqkit.data.batch import Batch
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads
from seqkit.data.vocab import Vocab, load_vocab
from seqkit.data_prep.synthetic import corpora
from seqkit.decode import Hypothesis, Sampling, Search, greedy, sample_with_gradient
from seqkit.described import described
from seqkit.held_out import Validated, validated
from seqkit.nn.losses import cross_entropy, real_tokens, sequence_risk
from seqkit.nn.masks import mask_from_lengths
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import Evaluation, Job, Recipe, SavedRun
from seqkit.recipes.captioning.data import TextConfig, image_data, read_captions, read_images, train_data, train_vocab
from seqkit.recipes.captioning.model import Captioner, Network, make_captioner
from seqkit.recipes.captioning.predictor import MAX_LEN, CaptionPredictor, Member
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, image_reader, make_image_encoder, pixel_reader
from seqkit.recipes.common.image_reader import ImageFeatures
from seqkit.recipes.common.scorers import make_scorers
from seqkit.recipes.common.search_options import SearchOptions, check_vocabulary
from seqkit.score import meteor
from seqkit.score.caption import caption_words, cider, diversity, document_frequencies, weigh
from seqkit.score.language import by_character, options_for
from seqkit.score.metric import TextOptions
from seqkit.score.prediction import Prediction
from seqkit.score.result_files import coco_result
from seqkit.start import Start, vocab_rows
from seqkit.train import checkpoint
from seqkit.train.distributed import print0
from seqkit.train.optimizer import make_optimizer, parameter_groups
from seqkit.train.schedule import linear_ramp
from seqkit.train.step import Loss
from seqkit.train.training_config import TrainingConfig

COCO = TextOptions(lowercase=True, tokenizer="ptb")
VALIDATED = ("cider", "bleu4")  # in validation
METRICS = ("cider", "bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "bleu")
END = "<eos>"  # the end of a sentence, as a word of the reward

Reward = Callable[[int, str, bool], float]  # an item's number, a caption of it, and whether the model ended it


@described
@dataclass(frozen=True)
class Objective:
    """What is minimized."""

    reward: Literal["cider"] | None = None
    """null: likelihood of the captions; cider: self-critical training, sampled captions rewarded by CIDEr-D"""
    samples: Annotated[int, Range(min=1)] = 1
    """captions sampled an image; the baseline of one is the greedy caption, of several the mean of the others"""
    label_smoothing: Annotated[float, Range(min=0, below=1)] = 0.1
    """share of the target's probability that is spread over the vocabulary (both papers: 0)"""
    coverage: Annotated[float, Range(min=0)] = 0.0
    """weight of the doubly stochastic penalty: attention to every cell sums to 1 (Show, Attend and Tell: 1)"""
    scheduled_sampling: Annotated[float, Range(min=0, max=1)] = 0.0
    """final probability of feeding the model's own prediction instead of the true word (Show and Tell 2016: 0.25)"""
    scheduled_sampling_start: Annotated[int, Range(min=0)] = 0
    """step at which the probability begins to grow from 0"""
    scheduled_sampling_end: Annotated[int, Range(min=0)] = 5000
    """step at which it is reached"""


@dataclass(frozen=True)
class Config:
    """A captioning run."""

    text: TextConfig = field(default_factory=TextConfig)
    image_encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    network: Network = field(default_factory=Network)
    objective: Objective = field(default_factory=Objective)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=9,
            optimizer="adam",
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            schedule="cosine",
            warmup=200,
            max_grad_norm=1.0,
            ema_decay=0.998,
            metric="cider",
            mode="max",
        )
    )
    search: SearchOptions = field(default_factory=lambda: SearchOptions(beam=3))

    def __post_init__(self) -> None:
        check_ranges(self)


def image_features(batch: Batch) -> ImageFeatures:
    return tuple(stream.values for stream in batch.streams)


def likelihood(model: Captioner, objective: Objective) -> Loss:
    """Cross entropy of the captions' words, and the doubly stochastic penalty (Xu et al. 2015, equation 14)."""
    start, end = objective.scheduled_sampling_start, objective.scheduled_sampling_end

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        memories = model.make_memory(image_features(batch))
        probability = linear_ramp(step, start=start, end=end, high=objective.scheduled_sampling)
        features_BTF, weights = model.decoder.forward_features(batch.inputs_BT, memories, sampling=probability)
        logits_NV = model.decoder.readout(real_tokens(features_BTF, batch.lengths_B))
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        total = cross_entropy(logits_NV, targets_N, smoothing=objective.label_smoothing)
        for weights_BTS in weights if objective.coverage else ():
            real_BT1 = mask_from_lengths(batch.lengths_B, weights_BTS.shape[1])[..., None]
            attended_BS = weights_BTS.masked_fill(~real_BT1, 0.0).sum(1)
            total = total + objective.coverage * (1 - attended_BS).square().sum()
        return total, len(targets_N)

    return loss


def cider_reward(references: Sequence[Sequence[str]]) -> Reward:
    """CIDEr-D, 0 to 10, with the end of the sentence as a word of caption and references (Rennie et al. 2017); document
    frequencies are those of these references."""
    words_of = functools.partial(caption_words, characters=by_character(options_for(references, COCO)))
    words = [[[*words_of(text), END] for text in texts] for texts in references]
    frequencies = document_frequencies(words)
    weighed = [[weigh(text, frequencies) for text in texts] for texts in words]

    def reward(number: int, caption: str, ended: bool) -> float:
        return cider(weigh([*words_of(caption), *([END] if ended else [])], frequencies), weighed[number])

    return reward


def self_critical(model: Captioner, reward: Reward, vocab: Vocab, max_len: int, samples: int = 1) -> Loss:
    """Negative expected reward of the model's own captions: the value is that of the samples, so that the log shows it,
    the gradient is REINFORCE's. The baseline of an image's only sample is its greedy caption's reward (Rennie et al.
    2017, equation 9), of several samples the mean reward of the others (Kool et al. 2019).
    """
    search = Search(max_len=max_len)

    def rewards(batch: Batch, found: list[list[Hypothesis]]) -> Tensor:
        return torch.tensor(
            [
                [reward(number, vocab.decode(own.tokens), len(own.tokens) < max_len) for own in captions]
                for number, captions in zip(batch.indices, found, strict=True)
            ],
            device=batch.lengths_B.device,
        )

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        memories, items_B = model.make_memory(image_features(batch)), torch.tensor(batch.indices)
        drawing = Sampling(samples, seed=step)
        sampled, logprob_BK = sample_with_gradient(model.decoder, memories, search, drawing, items_B=items_B)
        reward_BK, baseline_B = rewards(batch, sampled), None
        if samples == 1:
            model.eval()
            with torch.no_grad():
                best = greedy(model.decoder, model.make_memory(image_features(batch)), search)
            baseline_B = rewards(batch, best)[:, 0]
            model.train()
        risk = sequence_risk(logprob_BK, reward_BK, baseline_B)
        return risk - risk.detach() - reward_BK.sum(), reward_BK.numel()

    return loss


def training_job(config: Config, data: Path, start: Start) -> Job:
    items, held_out = read_captions(data, "train"), read_captions(data, "val")
    vocab = start.vocab("words", "words", lambda: train_vocab(config.text, items))
    torch.manual_seed(config.training.seed)
    encoder = make_image_encoder(config.image_encoder)
    model = make_captioner(config.network, encoder, len(vocab)).to(start.device)
    print0(f"{len(vocab):,} words")
    start.initialize(model, vocab_rows("words", vocab, "decoder.embedding", "decoder.readout.output"))
    reader = image_reader(config.image_encoder, encoder, [i.image for i in [*items, *held_out] if i.image])
    greedy_search = dataclasses.replace(config.search, beam=1)
    predictor = CaptionPredictor((Member(model, reader, config.image_encoder),), vocab, greedy_search)

    def validate() -> Validated:
        return validated(
            held_out, [found.text for found in predictor.predict_items(held_out, words=False)], VALIDATED, COCO
        )

    seed, held_out_data = config.training.seed, None
    if config.objective.reward:
        batches = image_data(config.text, items, reader, seed)
        reward = cider_reward([item.references for item in items])
        loss = self_critical(model, reward, vocab, config.search.max_len or MAX_LEN, config.objective.samples)
    else:
        batches = train_data(config.text, vocab, items, reader, seed)
        loss = likelihood(model, config.objective)
        held_out_data = functools.partial(train_data, config.text, vocab, held_out, reader, 0)
    groups = parameter_groups(model, config.training, config.image_encoder.learning_rates())
    optimizer = make_optimizer(groups, config.training)
    save = functools.partial(vocab.save, name="words")
    return Job(model, loss, batches, validate, save, optimizer, VALIDATED, held_out_data)


def load(runs: Sequence[SavedRun], device: torch.device) -> CaptionPredictor:
    """One run, or several with the same vocabulary whose word probabilities are averaged."""
    members, vocab = [], load_vocab(runs[0].checkpoint, "words")
    for config, _, folder in runs:
        check_vocabulary(vocab, load_vocab(folder, "words"), folder)
        encoder = make_image_encoder(config.image_encoder, pretrained=False)
        model = make_captioner(config.network, encoder, len(vocab)).to(device).eval()
        checkpoint.load_weights(model, folder)
        members.append(Member(model, pixel_reader(encoder), config.image_encoder))
    search = runs[0].config.search
    return CaptionPredictor(tuple(members), vocab, search, make_scorers(search.scorers, vocab, device))


def answer(predictor: CaptionPredictor, data: Path, split: str) -> tuple[list[Item], list[Prediction]]:
    items = read_images(data, split)
    return items, predictor.with_features([item.image for item in items if item.image]).predict_items(items)


def evaluate(predictor: CaptionPredictor, data: Path, split: str, options: None) -> Evaluation:
    items = read_captions(data, split)
    images = [item.image for item in items if item.image]
    predictions = predictor.with_features(images).predict_items(items)
    decode: dict[str, float] = {"beam": predictor.search.beam}
    if (data / "train.jsonl").is_file():
        learned = [caption for item in read_captions(data, "train") for caption in item.references]
        decode |= diversity([best.text for best in predictions], learned)._asdict()
    metrics = [*METRICS, *(["meteor"] if meteor.installed() else [])]
    return Evaluation(items, predictions, metrics, decode=decode, options=COCO)


PAPER = {  # Show and Tell: Vinyals et al. 2016, section 4, and its authors' published settings
    "batch_budget": 32,
    "backbone": "inception_v3",
    "embed_dim": 512,
    "attention": None,
    "readout": "linear",
    "tie_embeddings": False,
    "dropout": 0.3,
    "initializer": "uniform",
    "label_smoothing": 0.0,
    "epochs": 54,
    "optimizer": "sgd",
    "learning_rate": 2.0,
    "schedule": "step",
    "step_after": 8.0,
    "step_every": 8.0,
    "warmup": 0,
    "max_grad_norm": 5.0,
    "ema_decay": 0.0,
    "length_penalty": None,
    "max_len": 20,
}
ATTEND = {  # Show, Attend and Tell with soft attention: Xu et al. 2015, sections 3 and 4.3
    "backbone": "vgg16",
    "embed_dim": 512,
    "attention_dim": 512,
    "proj_dim": None,
    "readout_dim": 512,
    "label_smoothing": 0.0,
    "coverage": 1.0,
    "epochs": 50,
    "optimizer": "rmsprop",
    "schedule": "constant",
    "warmup": 0,
    "max_grad_norm": 5.0,
    "ema_decay": 0.0,
    "patience": 10,
    "metric": "bleu4",
}
BASE = {  # one GPU
    "backbone": "resnet101",
    "embed_dim": 512,
    "decoder_dim": 1024,
    "proj_dim": 1024,
    "readout_dim": 512,
    "epochs": 25,
    "precision": "bf16",
}
TINY = {  # drawn scenes on a CPU
    "min_count": 1,
    "image_size": 128,
    "output_stage": "blocks4",
    "embed_dim": 64,
    "decoder_dim": 128,
    "attention_dim": 64,
    "proj_dim": 96,
    "readout_dim": 64,
    "dropout": 0.1,
    "label_smoothing": 0.0,
    "epochs": 3,
    "learning_rate": 4e-3,
    "warmup": 50,
    "ema_decay": 0.98,
}
COMMON = (
    "backbone", "weights", "image_size", "unfreeze_from", "unfreeze_lr", "attention", "embed_dim", "decoder_dim",
    "proj_dim", "dropout", "reward", "samples", "label_smoothing", "scheduled_sampling", "batch_budget", "workers",
    "epochs", "steps", "max_minutes", "learning_rate", "precision", "patience", "beam", "max_len", "seed",
)  # fmt: skip

RECIPE = Recipe(
    "captioning",
    Config,
    presets={"small": {}, "tiny": TINY, "base": BASE, "paper": PAPER, "attend": ATTEND},
    training_job=training_job,
    load=load,
    evaluate=evaluate,
    answer=answer,
    server_entry=coco_result,
    reads=Reads(
        needed=("image", "references"),
        example={"id": "7", "image": "images/dog.jpg", "references": ["a dog runs", "a brown dog on grass"]},
        notes={"references": "each is a training target"},
    ),
    common=COMMON,
    plot_item=lambda predictor, item, found, path: predictor.plot(item.image, [found], path),
    synthetic=lambda: corpora.cached("captioning", items=2000),
    inputs="an image file",
)
