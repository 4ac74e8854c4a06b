"""Watch, Listen, Attend and Spell (Chung et al. 2017, arXiv:1611.05358): lips, sound, or both to text.

    seqkit wlas train --data DIR --out RUN --preset small --modality both
    seqkit wlas evaluate --run RUN --data DIR --split val --snr clean,10,0
    seqkit wlas predict --run RUN face.mp4 --plots DIR

Items need `references`, of which the first is the target, and `video` (a clip of the mouth, as data preparation makes
it), `audio`, or `features` in the place of either; the curriculum needs `words` with their times.

B batch, T target tokens, F decoder features, N real target tokens, V vocabulary, S positions of a memory.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from seqkit.data.batch import Batch, Data
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads
from seqkit.data.vocab import Vocab, load_vocab, train_vocab
from seqkit.data_prep.synthetic import corpora
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.held_out import Validated, validated
from seqkit.nn import cross_entropy, ctc_loss, frames_needed
from seqkit.nn.losses import real_tokens
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import Evaluation, Job, Recipe, SavedRun
from seqkit.recipes.common.scorers import make_scorers
from seqkit.recipes.common.search_options import check_vocabulary
from seqkit.recipes.lipreading.attention_model import AudioVisualModel, Network, Outputs, SearchConfig, SpeechPredictor
from seqkit.recipes.lipreading.augmentation import ModalityDropout, TrainingExamples
from seqkit.recipes.lipreading.curriculum import Curriculum
from seqkit.recipes.lipreading.data import StreamReader, make_reader, read_split
from seqkit.recipes.lipreading.encoders import AudioEncoderConfig, VideoEncoderConfig
from seqkit.recipes.lipreading.evaluation import conditions, disagreements, lateness, lateness_line, word_positions
from seqkit.recipes.lipreading.input_config import STREAMS, AudioConfig, FeatureConfig, Modality, VideoConfig
from seqkit.recipes.lipreading.item_times import CUTS
from seqkit.recipes.lipreading.mouth_clips import remark_whole_faces
from seqkit.recipes.lipreading.plots import plot_attention
from seqkit.recipes.lipreading.subtitles import PredictionOptions, write_all_subtitles
from seqkit.score.prediction import Prediction
from seqkit.score.report import scored_items, write_hypotheses
from seqkit.start import Start, vocab_rows
from seqkit.train import checkpoint
from seqkit.train.distributed import print0
from seqkit.train.schedule import linear_ramp
from seqkit.train.step import Loss
from seqkit.train.training_config import TrainingConfig

METRICS = ("wer", "cer", "bleu1", "bleu")


@described
@dataclass(frozen=True)
class Objective:
    """What is minimized."""

    label_smoothing: Annotated[float, Range(min=0, below=1)] = 0.1
    """share of the target's probability that is spread over the vocabulary"""
    ctc_loss_weight: Annotated[float, Range(min=0, max=1)] = 0.3
    """weight of the CTC loss; needs `ctc_head` (Watanabe et al. 2017: 0.2)"""
    scheduled_sampling: Annotated[float, Range(min=0, max=1)] = 0.25
    """final probability of feeding the model's own prediction instead of the true token (Chung et al.: 0.25)"""
    scheduled_sampling_epochs: Annotated[float, Range(min=0)] = 5.0
    """epochs of whole sentences over which that probability grows from 0"""


@described
@dataclass(frozen=True)
class BatchConfig:
    """Batches, and how they are loaded."""

    batch_budget: Annotated[int, Range(min=1)] = 900
    """most frames of a batch, padding included: of video, or of audio (100 a second) where items have no video"""
    workers: Annotated[int, Range(min=0)] = 1
    """processes that load training batches; 0: the training process loads them"""


@dataclass(frozen=True)
class Config:
    """A WLAS, WAS or LAS run."""

    batch: BatchConfig = BatchConfig()
    video: VideoConfig = VideoConfig(crop_size=(56, 80), frame_size=(42, 60), crop_jitter=3)
    feature: FeatureConfig = FeatureConfig(time_mask=6, freq_mask=8)
    audio: AudioConfig = AudioConfig(features="log_mel", num_features=40, speed_perturb=True)
    video_encoder: VideoEncoderConfig = VideoEncoderConfig(
        channels=0.5, frontend_norm=True, frontend_dropout=0.1, video_dropout=0.3
    )
    audio_encoder: AudioEncoderConfig = AudioEncoderConfig(audio_strides=(1, 2, 2), audio_cell="gru")
    network: Network = Network(ctc_head=True)
    curriculum: Curriculum = Curriculum()
    modality_dropout: ModalityDropout = ModalityDropout()
    objective: Objective = Objective()
    training: TrainingConfig = TrainingConfig(
        epochs=36,
        optimizer="adam",
        learning_rate=1e-3,
        betas=(0.9, 0.98),
        schedule="cosine",
        warmup=200,
        max_grad_norm=1.0,
        ema_decay=0.998,
        metric="wer",
    )
    search: SearchConfig = SearchConfig()

    def __post_init__(self) -> None:
        check_ranges(self)


@described
@dataclass(frozen=True)
class EvaluationOptions:
    """Conditions of evaluation."""

    snr: tuple[str, ...] | None = None
    """signal-to-noise ratios of the audio, `clean` or in dB, to score; null: clean, 10 and 0 where there is audio"""


def make_loss(model: AudioVisualModel, objective: Objective, ramp: tuple[int, int]) -> Loss:
    """Cross entropy of the text, and CTC. `ramp`: first and last step over which scheduled sampling grows."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        probability = linear_ramp(step, start=ramp[0], end=ramp[1], high=objective.scheduled_sampling)
        outputs: Outputs = model(batch, probability)
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        logits_NV = model.decoder.readout(real_tokens(outputs.features_BTF, batch.lengths_B))
        total = cross_entropy(logits_NV, targets_N, smoothing=objective.label_smoothing)
        if objective.ctc_loss_weight and outputs.ctc:
            mean = torch.stack([ctc_head_loss(*frames, batch) for frames in outputs.ctc]).mean()
            total = (1 - objective.ctc_loss_weight) * total + objective.ctc_loss_weight * mean
        return total, len(targets_N)

    return loss


def ctc_head_loss(logits_BSV: Tensor, lengths_B: Tensor, batch: Batch) -> Tensor:
    """CTC loss, summed over the texts that fit into their frames."""
    counts_B = batch.lengths_B - 1
    rows_N = (frames_needed(batch.targets_BT, counts_B) <= lengths_B).nonzero()[:, 0]
    return ctc_loss(logits_BSV[rows_N], lengths_B[rows_N], batch.targets_BT[rows_N], counts_B[rows_N]).sum()


def make_model(config: Config, reader: StreamReader, vocab: Vocab) -> AudioVisualModel:
    return AudioVisualModel(
        config.network,
        config.video_encoder,
        config.audio_encoder,
        config.video.frame_size,
        reader.statistics,
        len(vocab),
    )


def training_job(config: Config, data: Path, start: Start) -> Job:
    modality = config.network.modality
    split, held_out = read_split(data, "train", modality), read_split(data, "val", modality)
    texts = [item.references[0] for item in split.items]
    vocab = start.vocab("target", "characters", lambda: train_vocab("characters", texts, 1 << 20), other_units=True)
    reader = make_reader(
        config.video,
        config.feature,
        config.audio,
        streams=STREAMS[modality],
        items=split.items,
        assets=start.checkpoints(),
    )
    remark_whole_faces(data / "train.jsonl", split.items if "video" in STREAMS[modality] else ())
    print0(f"vocabulary of {len(vocab):,} characters, modality {modality}")
    torch.manual_seed(config.training.seed)
    model = make_model(config, reader, vocab).to(start.device)
    start.initialize(model, vocab_rows("target", vocab, "decoder.embedding", "decoder.readout.output", "ctc_heads"))
    predictor = SpeechPredictor((model,), (reader,), vocab, modality, SearchConfig(config.search.decoding))

    def validate() -> Validated:
        texts = [best.text for best, *_ in predictor.predict_items(held_out.items, greedy=True)]
        return validated(held_out.items, texts, ("wer", "cer"))

    examples = TrainingExamples(
        split,
        reader,
        vocab,
        modality,
        config.modality_dropout,
        config.curriculum,
        config.batch.batch_budget,
        config.training.seed,
        config.batch.workers,
    )
    whole = dataclasses.replace(examples, split=held_out, curriculum=Curriculum((), ()), augment=False)
    segmented = sum(config.curriculum.curriculum_epochs) if split.timed else 0  # epochs before whole sentences
    begin = sum(len(examples.epoch(number)) for number in range(segmented))
    ramp = round(config.objective.scheduled_sampling_epochs * len(examples.epoch(segmented)))
    loss = make_loss(model, config.objective, (begin, begin + ramp))
    return Job(
        model,
        loss,
        Data(examples.epoch, examples.batches),
        validate,
        functools.partial(reader.save, vocab=vocab),
        metrics=("wer", "cer"),
        held_out=lambda: Data(whole.epoch, whole.batches),
    )


def load(runs: Sequence[SavedRun], device: torch.device) -> SpeechPredictor:
    """The predictor of saved runs. Raises InputError where their vocabularies or modalities differ."""
    first: Config = runs[0].config
    vocab, modality, search = load_vocab(runs[0].checkpoint, "target"), first.network.modality, first.search
    models, readers = [], []
    for run in runs:
        check_vocabulary(vocab, load_vocab(run.checkpoint, "target"), run.folder)
        config: Config = run.config
        if config.network.modality != modality:
            raise InputError(f"an ensemble must have one modality, got {run.folder}, which is not of {modality}")
        if search.ctc_weight and not config.network.ctc_head:
            raise InputError(f"`ctc_weight` must be 0 for a run without `ctc_head`, got {search.ctc_weight}")
        inputs = config.video, config.feature, config.audio
        readers.append(make_reader(*inputs, streams=STREAMS[modality], assets=[run.checkpoint]))
        models.append(make_model(config, readers[-1], vocab).to(device).eval())
        checkpoint.load_weights(models[-1], run.checkpoint)
    scorers = make_scorers(search.decoding.scorers, vocab, device)
    return SpeechPredictor(tuple(models), tuple(readers), vocab, modality, search, scorers)


def answer(predictor: SpeechPredictor, data: Path, split: str) -> tuple[Sequence[Item], list[Prediction]]:
    items = read_split(data, split, predictor.modality, answered=False).items
    return items, [best for best, *_ in predictor.predict_items(items)]


def evaluate(predictor: SpeechPredictor, data: Path, split: str, options: EvaluationOptions) -> Evaluation:
    """Every modality and signal-to-noise ratio, by speaker, length and word position."""
    own, (items, _, timed) = predictor.modality, read_split(data, split, predictor.modality)
    predictor = predictor.with_noise(items)
    found: dict[tuple[Modality, str], list[Prediction]] = {}
    for modality, ratio in conditions(own, options.snr, items):
        snr = None if ratio == "clean" else float(ratio)
        found[modality, ratio] = [best for best, *_ in predictor.predict_items(items, modality, snr=snr)]
    clean: dict[str, list[Prediction]] = {
        modality: some for (modality, ratio), some in found.items() if ratio == "clean"
    }

    def finish(folder: Path, report: Mapping[str, Any]) -> str:
        for (modality, ratio), some in found.items():
            write_hypotheses(folder / f"hypotheses.{modality}.{ratio}.jsonl", scored_items(items, some))
        words = [predictor.timed(items[n], clean[own][n]).words for n in timed]
        late = lateness_line(lateness(words, [items[n] for n in timed]))
        if len(clean) == 1:
            return late
        text = disagreements(items, clean)
        with atomic_write(folder / "disagreements.txt") as file:
            file.write(text.encode() + b"\n")
        return "\n\n".join(filter(None, (text, late)))

    return Evaluation(
        items,
        clean[own],
        METRICS,
        by={
            "speaker": [item.speaker for item in items],
            "length": [str(len(item.references[0].split())) for item in items],
        },
        conditions={
            "snr": {ratio: some for (modality, ratio), some in found.items() if modality == own},
            "modality": clean,
            "modality_snr": {f"{modality}/{ratio}": some for (modality, ratio), some in found.items()},
        },
        parts={"word_position": word_positions(items, clean[own])},
        decode={"beam": predictor.search.decoding.beam, "conditions": len(found)},
        finish=finish,
    )


PAPER = dict(  # Chung et al. 2017, sections 2 and 3
    batch_budget=64 * 300, crop_size=(120, 120), frame_size=(120, 120), grayscale=True, crop_jitter=0,
    normalize="corpus", time_mask=0, freq_mask=0, features="mfcc", num_features=13, speed_perturb=False,
    frontend="vgg_m", channels=1.0, temporal_kernel=5, video_cell="lstm", video_layers=3, video_bidirectional=False,
    video_reverse=True, frame_stacking=1, audio_strides=(), audio_cell="lstm", audio_layers=3,
    audio_bidirectional=False, audio_reverse=True, embed_dim=256, decoder_dim=512, decoder_layers=3,
    attention_dim=512, readout_dim=512, ctc_head=False, curriculum_words=(1, 2, 3, 4),
    curriculum_epochs=(10, 5, 5, 5), epochs=100, optimizer="sgd", learning_rate=0.1, schedule="plateau", gamma=0.9,
    warmup=0, max_grad_norm=5.0, ema_decay=0.0,
)  # fmt: skip
BASE = dict(  # one GPU
    batch_budget=9600, workers=8, crop_size=(50, 100), frame_size=(50, 100), crop_jitter=6, random_erasing=0.3,
    frontend="resnet", channels=1.0, temporal_kernel=5, audio_layers=3, decoder_dim=512, attention_dim=256,
    readout_dim=512, epochs=100, precision="bf16", ema_decay=0.999,
)  # fmt: skip
TINY = dict(  # small synthetic mouths and their sound, on a CPU
    batch_budget=300, workers=0, crop_size=(32, 44), frame_size=(16, 24), grayscale=True, frame_drop=0.0,
    keep_decoded=256, time_mask=0, freq_mask=0, channels=0.25, frontend_dropout=0.0, video_dim=64, video_layers=1,
    video_dropout=0.1, audio_strides=(2, 2), audio_channels=64, audio_dim=64, audio_layers=1, audio_dropout=0.1,
    decoder_dim=128, attention_dim=64, readout_dim=128, dropout=0.1, curriculum_words=(), curriculum_epochs=(),
    noise_start_epoch=3, epochs=5, learning_rate=6e-3, warmup=30, ema_decay=0.98,
)  # fmt: skip

WHOLE_SENTENCES: Mapping[str, Any] = {"curriculum_words": [], "curriculum_epochs": []}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "was": {"modality": "video", **WHOLE_SENTENCES, "scheduled_sampling": 0.0, "beam": 1},
    "was+cl": {"modality": "video", "scheduled_sampling": 0.0, "beam": 1},
    "was+cl+ss": {"modality": "video", "beam": 1},
    "was+cl+ss+bs": {"modality": "video"},
    "las": {"modality": "audio"},
    "wlas": {"modality": "both"},
}


def plot_item(predictor: SpeechPredictor, item: Item, found: Prediction, path: Path) -> None:
    """Draws the attention over every stream of an item."""
    if found.tokens:
        plot_attention(
            predictor.panels(item, found), [predictor.vocab.token(token) for token in found.tokens], path, found.text
        )


RECIPE = Recipe(
    "wlas",
    Config,
    presets={"small": {}, "tiny": TINY, "base": BASE, "paper": PAPER},
    training_job=training_job,
    load=load,
    evaluate=evaluate,
    answer=answer,
    reads=Reads(
        needed=("references",),
        example={
            "id": "3", "video": "clips/3.mp4", "audio": "clips/3.wav", "seconds": 3.0, "speaker": "s1",
            "references": ["bin blue now"], "words": [["bin", 0.95, 1.18], ["blue", 1.18, 1.5], ["now", 2.0, 2.4]],
        },
        any_of=("video", "audio", "features"),
        optional=CUTS,
        notes={"references": "the first is the training target"},
    ),
    common=(
        "modality", "batch_budget", "workers", "frame_size", "frontend", "video_dim", "video_layers", "audio_dim",
        "audio_layers", "decoder_dim", "dropout", "ctc_head", "ctc_loss_weight", "curriculum_words",
        "curriculum_epochs", "noise_snr", "noise_start_epoch", "scheduled_sampling", "epochs", "max_minutes",
        "learning_rate", "warmup", "precision", "seed", "beam",
    ),
    variants=VARIANTS,
    plot_item=plot_item,
    synthetic=lambda: corpora.cached("lipreading_short", items=600),
    inputs="a video file, or audio for a run that listens",
    one_by_one=True,
    evaluation=EvaluationOptions,
    prediction=PredictionOptions,
    after_prediction=write_all_subtitles,
    shares=("lipnet",),
)  # fmt: skip
