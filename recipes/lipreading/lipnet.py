"""Lipreading by connectionist temporal classification: LipNet (Assael et al. 2016, arXiv:1611.01599).

    seqkit lipnet train --data DIR --out RUN --preset small        # or landmarks, for precomputed features
    seqkit lipnet evaluate --run RUN --data DIR --split val --lm_weight 0.5
    seqkit lipnet predict --run RUN face.mp4 --subtitles DIR --plots DIR
    seqkit lipnet compare --data DIR --out DIR --preset small --variants lipnet,nolm,baseline-2d

Items need `references`, of which the first is the target, and `video` (a clip of the mouth, as data preparation makes
it) or `features`. Where `words` have times, single words are examples too, fewer with every epoch (section 4.1).

B batch, T frames, V vocabulary, N examples.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads
from seqkit.data.vocab import Vocab, load_vocab, train_vocab
from seqkit.data_prep.synthetic import corpora
from seqkit.decode import train_ngram, write_ngram
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.held_out import Validated, validated
from seqkit.nn import ctc_loss
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import Evaluation, Job, Recipe, SavedRun
from seqkit.recipes.common.scorers import make_scorers
from seqkit.recipes.common.search_options import check_vocabulary
from seqkit.recipes.lipreading.augmentation import frames_outside_words, trim_silence
from seqkit.recipes.lipreading.ctc_model import OWN_LM, CtcModel, CtcPredictor, SearchConfig, warn_unknown
from seqkit.recipes.lipreading.data import Split, StreamReader, count_frames, make_reader, read_split, segment
from seqkit.recipes.lipreading.encoders import VideoEncoderConfig, make_video_encoder
from seqkit.recipes.lipreading.evaluation import PHONEMES, lateness, lateness_line, phoneme_confusions, visemes
from seqkit.recipes.lipreading.input_config import FeatureConfig, VideoConfig
from seqkit.recipes.lipreading.item_times import CUTS, duration
from seqkit.recipes.lipreading.mouth_clips import remark_whole_faces
from seqkit.recipes.lipreading.subtitles import PredictionOptions, write_all_subtitles
from seqkit.recipes.lipreading.word_times import min_frames
from seqkit.score.prediction import Prediction
from seqkit.start import Start, vocab_rows
from seqkit.train import checkpoint
from seqkit.train.distributed import print0
from seqkit.train.step import Loss
from seqkit.train.training_config import TrainingConfig

METRICS = ("wer", "cer", "bleu")


@described
@dataclass(frozen=True)
class TextConfig:
    """From text to tokens, training examples and batches."""

    units: Literal["characters", "words"] = "characters"
    """what a token is (LipNet: characters)"""
    lm_order: Annotated[int, Range(min=1)] = 5
    """order of the n-gram language model of the training text (LipNet: 5)"""
    word_prob: Annotated[float, Range(min=0, max=1)] = 1.0
    """probability in the first epoch that a training word is an example by itself; 0: none is (LipNet: 1)"""
    word_prob_decay: Annotated[float, Range(min=0, max=1)] = 0.925
    """factor of that probability with every epoch (LipNet: 0.925)"""
    trim_silence: Annotated[float, Range(min=0, max=1)] = 0.75
    """probability that most silence before and after a training sentence is cut off; needs word times (LipNet: 0)"""
    blank_outside_words: Annotated[float, Range(min=0)] = 0.2
    """in frames more than this many seconds before the first word or after the last, training allows the blank alone;
    needs word times; 0: nowhere (LipNet: 0)"""
    batch_budget: Annotated[int, Range(min=1)] = 1500
    """most frames of a batch, padding included (LipNet: 50 clips of 75)"""
    extra_eval_split: str | None = None
    """a further split that every validation scores and logs, and by which nothing is selected; null: none"""
    workers: Annotated[int, Range(min=0)] = 1
    """processes that load training batches; 0: the training process loads them"""


@dataclass(frozen=True)
class Config:
    """A LipNet run."""

    text: TextConfig = TextConfig()
    video: VideoConfig = VideoConfig(crop_size=(56, 80), frame_size=(42, 60), crop_jitter=3)
    feature: FeatureConfig = FeatureConfig()
    video_encoder: VideoEncoderConfig = VideoEncoderConfig(
        channels=0.5, frontend_norm=True, frontend_dropout=0.1, video_dropout=0.3
    )
    training: TrainingConfig = TrainingConfig(
        epochs=60,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="cosine",
        warmup=200,
        max_grad_norm=5.0,
        ema_decay=0.998,
        metric="wer",
    )
    search: SearchConfig = SearchConfig()

    def __post_init__(self) -> None:
        check_ranges(self)


def make_loss(model: CtcModel) -> Loss:
    """-log p of the texts, summed, and how many tokens and ends they have."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        frames, silent = batch.streams
        logits_BTV, lengths_B = model(*frames)
        total = ctc_loss(logits_BTV, lengths_B, batch.targets_BT, batch.lengths_B - 1, silent.values).sum()
        return total, batch.lengths_B.sum()

    return loss


@dataclass(frozen=True)
class TrainingExamples:
    """Sentences, and single words with a probability that falls with every epoch."""

    config: Config
    reader: StreamReader
    items: list[Item]  # the sentences, then the words
    targets: list[list[int]]
    frames: list[int]
    sentences: list[int]  # numbers of the items that are sentences, and fit into their frames
    words_N: np.ndarray[Any, np.dtype[np.int64]]  # the same of single words
    augment: bool = True

    @property
    def stride(self) -> int:
        """Frames of input for each of output."""
        pixels = self.reader.statistics["video"].kind == "pixels"
        return 1 if pixels else self.config.video_encoder.window_stride

    def epoch(self, number: int) -> list[list[int]]:
        """Batches of numbers of items."""
        text, seed = self.config.text, self.config.training.seed
        probability = text.word_prob * text.word_prob_decay**number
        drawn = self.words_N[np.random.default_rng((seed, number)).random(len(self.words_N)) < probability]
        chosen = [*self.sentences, *drawn.tolist()]
        batches = BucketBatchSampler([self.frames[n] for n in chosen], text.batch_budget, seed=seed)
        return [[chosen[place] for place in batch] for batch in batches.epoch(number)]

    def batches(self, chosen: Sequence[Sequence[int]], number: int) -> Iterable[Batch]:
        """Reads batches of an epoch."""
        seed, workers = self.config.training.seed, self.config.text.workers
        return loader(self.example, collate, chosen, workers=workers, seed=seed, epoch=number)

    def example(self, number: int, draw: int) -> Example:
        """An item's frames, which of them are silent, and its text; everything random comes from `draw`."""
        rng, item, text = np.random.default_rng(draw), self.items[number], self.config.text
        if self.augment and rng.random() < text.trim_silence and number <= self.sentences[-1] and item.video:
            item = trim_silence(item, rng)
        needed = min_frames(self.targets[number])
        frames = self.reader.read_video_stream(item, rng if self.augment else None)
        if -(-len(frames) // self.stride) < needed:  # too many frames were dropped
            frames = self.reader.read_video_stream(item)
        if (there := -(-len(frames) // self.stride)) < needed:
            raise InputError(
                f'{item.video or item.features}, id "{item.id}": must have {needed} frames for its text, got {there}, '
                "fewer than its `seconds` say; correct them, or take the item out (`seqkit check` lists such items)"
            )
        silent_T = frames_outside_words(item, -(-len(frames) // self.stride), text.blank_outside_words)
        if (~silent_T).sum() < needed:
            silent_T[:] = False
        return Example(number, (frames, silent_T), self.targets[number])


def make_examples(config: Config, reader: StreamReader, vocab: Vocab, split: Split) -> TrainingExamples:
    """The training examples that fit into their frames. Raises InputError where no sentence does."""
    items = list(split.items)
    if config.text.word_prob:
        items += [segment(split.items[n], first, 1) for n in split.timed for first in range(len(split.items[n].words))]
    targets = [vocab.encode(item.references[0]) for item in items]
    frames = [*split.frames, *map(count_frames, items[len(split.items) :])]
    made = TrainingExamples(config, reader, items, targets, frames, [], np.zeros(0, np.int64))
    fits = [min_frames(ids) <= -(-count // made.stride) for ids, count in zip(targets, frames, strict=True)]
    if long := [item.id for item, fit in zip(split.items, fits, strict=False) if not fit]:
        print0(f"{len(long):,} items left out, whose text is longer than their frames can say: {', '.join(long[:5])}")
    sentences = [n for n in range(len(split.items)) if fits[n]]
    words_N = np.array([n for n in range(len(split.items), len(items)) if fits[n]], np.int64)
    if not sentences:
        raise InputError("training items must have as many frames as symbols, got none that has")
    total = sum(frames[n] for n in sentences)
    print0(f"{len(sentences):,} sentences of {total:,} frames, {len(words_N):,} single words")
    return dataclasses.replace(made, sentences=sentences, words_N=words_N)


def make_model(config: Config, reader: StreamReader, vocab: Vocab) -> CtcModel:
    encoder = make_video_encoder(config.video_encoder, config.video.frame_size, reader.statistics["video"])
    return CtcModel(encoder, len(vocab))


def training_job(config: Config, data: Path, start: Start) -> Job:
    split, held_out = read_split(data, "train", "video"), read_split(data, "val", "video")
    remark_whole_faces(data / "train.jsonl", split.items)
    extra = read_split(data, config.text.extra_eval_split, "video").items if config.text.extra_eval_split else []
    texts = [item.references[0] for item in split.items]
    units = config.text.units
    vocab = start.vocab("target", units, lambda: train_vocab(units, texts, 1 << 20), other_units=True)
    warn_unknown(vocab, split.items)
    reader = make_reader(
        config.video, config.feature, streams=("video",), items=split.items, assets=start.checkpoints()
    )
    print0(f"vocabulary of {len(vocab):,}, video as {reader.statistics['video'].kind}")
    torch.manual_seed(config.training.seed)
    model = make_model(config, reader, vocab).to(start.device)
    start.initialize(model, vocab_rows("target", vocab, "output"))
    greedy = CtcPredictor((model,), (reader,), vocab, dataclasses.replace(config.search, beam=1))
    ngrams = train_ngram((vocab.tokens(text) for text in texts), config.text.lm_order)

    def scored(items: Sequence[Item]) -> Validated:
        return validated(items, [found.text for found in greedy.predict_items(items)], ("wer", "cer"))

    def validate() -> Validated:
        extras = {f"extra_{name}": value for name, value in scored(extra)[0].items()} if extra else {}
        scores, samples = scored(held_out.items)
        return {**scores, **extras}, samples

    def held_out_data() -> Data:
        sentences = dataclasses.replace(config, text=dataclasses.replace(config.text, word_prob=0.0))
        plain = dataclasses.replace(make_examples(sentences, reader, vocab, held_out), augment=False)
        return Data(plain.epoch, plain.batches)

    def save_assets(folder: Path) -> None:
        reader.save(folder, vocab)
        with (folder / OWN_LM).open("wb") as file:
            write_ngram(ngrams, file)

    examples = make_examples(config, reader, vocab, split)
    names = ("wer", "cer", *(("extra_wer", "extra_cer") if extra else ()))
    batches = Data(examples.epoch, examples.batches)
    return Job(model, make_loss(model), batches, validate, save_assets, metrics=names, held_out=held_out_data)


def load(runs: Sequence[SavedRun], device: torch.device) -> CtcPredictor:
    """The predictor of saved runs. Raises InputError where their vocabularies differ."""
    first, vocab = runs[0], load_vocab(runs[0].checkpoint, "target")
    models, readers = [], []
    for run in runs:
        check_vocabulary(vocab, load_vocab(run.checkpoint, "target"), run.folder)
        config: Config = run.config
        readers.append(make_reader(config.video, config.feature, streams=("video",), assets=[run.checkpoint]))
        models.append(make_model(config, readers[-1], vocab).to(device).eval())
        checkpoint.load_weights(models[-1], run.checkpoint)
    scorers = make_scorers(first.config.search.scorers, vocab, device, first.checkpoint / OWN_LM)
    return CtcPredictor(tuple(models), tuple(readers), vocab, first.config.search, scorers)


def answer(predictor: CtcPredictor, data: Path, split: str) -> tuple[Sequence[Item], list[Prediction]]:
    items = read_split(data, split, "video", answered=False).items
    return items, predictor.predict_items(items)


def evaluate(predictor: CtcPredictor, data: Path, split: str, options: None) -> Evaluation:
    """Greedy, by the beam, and with language model and grammar; how late words are, and confused phonemes."""
    items, _, timed = read_split(data, split, "video")
    warn_unknown(predictor.vocab, items)
    plain = dataclasses.replace(predictor, scorers=())
    ways = {"greedy": dataclasses.replace(plain, search=dataclasses.replace(predictor.search, beam=1))}
    if predictor.search.beam > 1:
        ways["beam"] = plain
    if predictor.search.beam > 1 and predictor.scorers:
        ways["scorers"] = predictor

    def decode(batch: Sequence[Item]) -> list[tuple[Tensor, list[Prediction]]]:
        logits = predictor.item_logits(batch)
        texts = [[best for best, *_ in own.decode(logits)] for own in ways.values()]
        return list(zip(logits, map(list, zip(*texts, strict=True)), strict=True))

    logits, decoded = zip(*predictor.map_items(decode, items), strict=True)
    found = {name: [own[way] for own in decoded] for way, name in enumerate(ways)}
    *_, best = found.values()

    def finish(folder: Path, report: Mapping[str, Any]) -> str:
        counts_PP = phoneme_confusions([item.references[0] for item in items], [one.text for one in best])
        if counts_PP.any():
            from seqkit.draw_time import confusion

            confusion(counts_PP, PHONEMES, visemes(), folder / "confusion.png", title=f"{split}: phonemes")
        words = [predictor.word_times(logits[n], best[n], duration(items[n])) for n in timed]
        return lateness_line(lateness(words, [items[n] for n in timed]))

    by = {"speaker": [item.speaker for item in items]}
    decoding = {"beam": predictor.search.beam}
    return Evaluation(items, best, METRICS, by, conditions={"search": found}, decode=decoding, finish=finish)


PAPER = dict(  # Assael et al. 2016, sections 3.3 and 4
    trim_silence=0.0, blank_outside_words=0.0, batch_budget=50 * 75, crop_size=(50, 100), frame_size=(50, 100),
    crop_jitter=0, normalize="corpus", channels=1.0, frontend_norm=False, frontend_dropout=0.5, video_dropout=0.5,
    epochs=200, learning_rate=1e-4, schedule="constant", warmup=0, max_grad_norm=0.0, ema_decay=0.0, patience=30,
    beam=200,
)  # fmt: skip
BASE = dict(  # one GPU
    batch_budget=50 * 75, workers=8, crop_size=(50, 100), frame_size=(50, 100), crop_jitter=6, random_erasing=0.3,
    channels=1.0, frontend_dropout=0.3, epochs=120, precision="bf16", ema_decay=0.999,
)  # fmt: skip
LANDMARKS = dict(  # words from lip landmarks, or from other features, on two CPU cores
    units="words", lm_order=3, word_prob=0.0, batch_budget=3000, time_mask=5, freq_mask=4, epochs=12,
    learning_rate=2e-3,
)  # fmt: skip
TINY = dict(  # small synthetic mouths, on a CPU
    word_prob=0.0, blank_outside_words=0.05, batch_budget=300, workers=0, crop_size=(32, 44), frame_size=(16, 24),
    grayscale=True, frame_drop=0.0, keep_decoded=256, channels=0.25, frontend_dropout=0.0, video_dim=64,
    video_dropout=0.1, epochs=10, learning_rate=5e-3, warmup=30, ema_decay=0.98,
)  # fmt: skip

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "baseline-lstm": {"frontend": "linear", "video_cell": "lstm", "video_bidirectional": False, "lm": None},
    "baseline-2d": {"temporal_kernel": 1, "lm": None},
    "nolm": {"lm": None},
    "lipnet": {},
}


def plot_item(predictor: CtcPredictor, item: Item, found: Prediction, path: Path) -> None:
    """Draws the posteriors and the saliency of an item."""
    given = item.features if item.video is None else item.video
    assert given is not None
    predictor.plot(given, predictor.predict([given])[0], path)


RECIPE = Recipe(
    "lipnet",
    Config,
    presets={"small": {}, "tiny": TINY, "base": BASE, "landmarks": LANDMARKS, "paper": PAPER},
    training_job=training_job,
    load=load,
    evaluate=evaluate,
    answer=answer,
    reads=Reads(
        needed=("references",),
        example={
            "id": "3", "video": "clips/3.mp4", "seconds": 3.0, "speaker": "s1",
            "references": ["bin blue at f two now"],
        },
        any_of=("video", "features"),
        optional=CUTS,
        notes={"references": "the first is the training target"},
    ),
    common=(
        "units", "word_prob", "trim_silence", "blank_outside_words", "batch_budget", "workers", "crop_size",
        "frame_size", "grayscale", "crop_jitter", "frontend", "channels", "video_cell", "video_dim", "video_layers",
        "video_dropout", "epochs", "max_minutes", "learning_rate", "warmup", "precision", "seed", "beam", "lm",
        "lm_weight",
    ),
    variants=VARIANTS,
    plot_item=plot_item,
    synthetic=lambda: corpora.cached("lipreading_short", items=600),
    inputs="a video file",
    one_by_one=True,
    prediction=PredictionOptions,
    after_prediction=write_all_subtitles,
    shares=("wlas",),
)  # fmt: skip
