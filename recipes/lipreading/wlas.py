"""Watch, Listen, Attend and Spell (Chung et al. 2017, arXiv:1611.05358): lips, sound, or both to text.

    python recipes/wlas.py train --data DIR --out RUN --preset small --modality both
    python recipes/wlas.py evaluate --run RUN --data DIR --split val --snr clean,10,0
    python recipes/wlas.py predict --run RUN face.mp4 --pictures DIR

Items need `references`, of which the first is the target, and `video` (a clip of the mouth, as data preparation makes
it), `audio`, or `features` in the place of either; the curriculum needs `words` with their times.

B batch, T target tokens, F decoder features, N real target tokens, V vocabulary, S positions of a memory.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from seqkit.cli import Recipe, print_answers
from seqkit.config import at_least_one
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item
from seqkit.data.vocab import Vocab, load_vocab, train_vocab
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.errors import InputError
from seqkit.nn.ctc import ctc_loss, frames_needed
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.recipes.common.search_options import Written
from seqkit.recipes.language_model.recipe import load_scorer
from seqkit.recipes.lipreading.attention_model import SENSES, Modality, Network, Speller, Spelling, System
from seqkit.recipes.lipreading.augmentation import Exercise, Mixing, Show, find_inputs, has, read_split
from seqkit.recipes.lipreading.ctc_model import NONE
from seqkit.recipes.lipreading.curriculum import Course, Piece, pieces
from seqkit.recipes.lipreading.data import Inputs, Rows, Sound, Video, load_inputs, noise_of, save_inputs, steps
from seqkit.recipes.lipreading.encoders import Listening, Watching
from seqkit.recipes.lipreading.evaluation import conditions, disagreements, slots, table
from seqkit.recipes.lipreading.raw_video import as_item
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.report import Provenance, ScoredItem, format_table, write_hypotheses, write_report
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group
from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.schedule import linear_ramp
from seqkit.train.training_config import TrainingConfig

METRICS = ("wer", "cer", "bleu1", "bleu")


@dataclass(frozen=True)
class Objective:
    """What is minimised."""

    smoothing: float = 0.1
    """label smoothing"""
    ctc: float = 0.3
    """share of the loss of frames, where the network has `ctc_head` (Watanabe et al. 2017: 0.2)"""
    sampling: float = 0.25
    """final share of inputs that are the model's own predictions (Chung et al.: 0.25)"""
    sampling_epochs: float = 5.0
    """epochs of whole sentences over which that share grows from 0"""


@dataclass(frozen=True)
class Text:
    """From text to ids, and to batches."""

    batch_steps: int = 900
    """a batch's examples times the longest, in frames of video or hundredths of a second of sound, at most"""
    workers: int = 0
    """processes that read ahead of training; 0: training reads by itself"""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_steps")


@dataclass(frozen=True)
class Config:
    """A run of watching, listening, or both."""

    text: Text = field(default_factory=lambda: Text(workers=1))
    video: Video = field(default_factory=lambda: Video(cut=(56, 80), pixels=(42, 60), move=3))
    rows: Rows = field(default_factory=lambda: Rows(mask_steps=6, mask_features=8))
    sound: Sound = field(default_factory=lambda: Sound(features="log_mel", coefficients=40, speeds=True))
    watch: Watching = field(
        default_factory=lambda: Watching(channels=0.5, frontend_norm=True, frontend_dropout=0.1, watch_dropout=0.3)
    )
    listen: Listening = field(default_factory=lambda: Listening(listen_strides=(1, 2, 2), listen_cell="gru"))
    network: Network = field(default_factory=lambda: Network(ctc_head=True))
    course: Course = field(default_factory=Course)
    mixing: Mixing = field(default_factory=Mixing)
    objective: Objective = field(default_factory=Objective)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
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
    )
    search: Spelling = field(default_factory=Spelling)


def make_loss(model: Speller, objective: Objective, sampling: tuple[int, int]) -> Loss:
    """Cross entropy of the text, and of the frames their share. `sampling`: first and last step of its ramp."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        encoded = model.encode(batch.streams)
        share = linear_ramp(step, start=sampling[0], end=sampling[1], high=objective.sampling)
        features_BTF, _ = model.decoder.forward_features(batch.inputs_BT, model.make_memory(encoded), sampling=share)
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        logits_NV = model.decoder.readout(real_tokens(features_BTF, batch.lengths_B))
        total = cross_entropy(logits_NV, targets_N, smoothing=objective.smoothing)
        if objective.ctc and model.heads:
            heads = [frame_loss(*frames, batch) for frames in model.frames(encoded)]
            total = (1 - objective.ctc) * total + objective.ctc * torch.stack(heads).mean()
        return total, len(targets_N)

    return loss


def frame_loss(logits_BSV: Tensor, lengths_B: Tensor, batch: Batch) -> Tensor:
    """-log p by the frames of the texts that they can say, summed."""
    counts_B = batch.lengths_B - 1
    rows_N = (frames_needed(batch.targets_BT, counts_B) <= lengths_B).nonzero()[:, 0]
    return ctc_loss(logits_BSV[rows_N], lengths_B[rows_N], batch.targets_BT[rows_N], counts_B[rows_N]).sum()


def train_data(config: Config, vocab: Vocab, show: Show, items: Sequence[Item]) -> Data:
    """The course's pieces; each epoch anew, with modalities and noise drawn for every example."""
    seed, course = config.training.seed, config.course
    exercise = Exercise(show, config.network.modality, config.mixing)
    whole = [steps(item) for item in items]

    def examples(number: int) -> list[Piece]:
        return pieces(course, items, number, seed)

    def epoch(number: int) -> list[list[int]]:
        sizes = [piece.share(items) * whole[piece.item] for piece in examples(number)]
        return BucketBatchSampler([max(1, round(size)) for size in sizes], config.text.batch_steps, seed=seed).epoch(
            number
        )

    def read(chosen: Sequence[Sequence[int]], number: int) -> Iterable[Batch]:
        found = examples(number)
        words = course.words(number)
        if number == 0 or words != course.words(number - 1):
            print0(f"epoch {number}: " + (f"pieces of up to {words} words" if words else "whole sentences"))

        def load(place: int, draw: int) -> Example:
            piece, whole = found[place], items[found[place].item]
            item = piece.of(items)
            streams = exercise.streams(item, number, draw, whole if piece.count else None)
            return Example(place, streams, vocab.encode(item.references[0]))

        return loader(load, collate, chosen, workers=config.text.workers, seed=seed, epoch=number)

    return Data(epoch, read)


def train(
    config: Config, data: Path, out: Path, *, resume: bool, init: Sequence[Path], device: torch.device
) -> Outcome:
    with process_group(device) as device:
        modality = config.network.modality
        items, held_out = read_split(data, "train", modality), read_split(data, "val", modality)
        config = dataclasses.replace(config, course=config.course.through(items))
        last = checkpoint.find_checkpoint(out / "last") if resume else None
        vocab = (
            load_vocab(last, "target")
            if last
            else train_vocab("characters", [item.references[0] for item in items], 1 << 20)
        )
        inputs = load_inputs(last) if last else find_inputs(config.video, config.sound, items, SENSES[modality])
        torch.manual_seed(config.training.seed)
        model = make_model(config, inputs, vocab).to(device)
        print0(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(vocab):,} characters, {modality}")
        if init:
            print0(checkpoint.init_from(model, init).text())
        show = Show(config.video, config.rows, config.sound, inputs, noise_of(config.sound, items))
        system = System(model, vocab, ())
        greedy = Spelling(dataclasses.replace(config.search.decoding, beam=1))

        def validate() -> dict[str, float]:
            found = spell(system, show, held_out, modality, greedy)
            texts = [best.text for best, *_ in found]
            return corpus_scores(statistics(["wer", "cer"], [item.references for item in held_out], texts))

        def assets(folder: Path) -> None:
            vocab.save(folder, "target")
            save_inputs(folder, inputs)

        order = train_data(config, vocab, show, items)
        begin = sum(len(order.epoch(n)) for n in range(config.course.epochs))
        ramp = begin, begin + round(config.objective.sampling_epochs * len(order.epoch(config.course.epochs)))
        loss = make_loss(model, config.objective, ramp)
        return fit(model, loss, order, validate, config.training, RunFolder(out, resume, assets))


def make_model(config: Config, inputs: Mapping[str, Inputs], vocab: Vocab) -> Speller:
    return Speller(config.network, config.watch, config.listen, config.video, inputs, len(vocab))


def spell(
    system: System,
    show: Show,
    items: Sequence[Item],
    modality: Modality,
    spelling: Spelling,
    *,
    snr: float | None = None,
    nbest: int = 1,
) -> list[list[Written]]:
    """The texts of every item under one condition; items of like length are read together."""
    order = sorted(range(len(items)), key=lambda n: steps(items[n]))
    found: dict[int, list[Written]] = {}
    for first in range(0, len(order), spelling.decoding.batch):
        numbers = order[first : first + spelling.decoding.batch]
        batch = collate([Example(n, show.streams(items[n], modality, snr=snr), ()) for n in numbers])
        found |= zip(numbers, system.spell(batch, spelling, nbest), strict=True)
    return [found[n] for n in range(len(items))]


def load_system(config: Config, run: Path, device: torch.device, items: Sequence[Item] = ()) -> tuple[System, Show]:
    """The best model of `run` and what it is shown; noise of babble is made of `items`."""
    folder = checkpoint.best_checkpoint(run)
    vocab, inputs, scorers = load_vocab(folder, "target"), load_inputs(folder), ()
    model = make_model(config, inputs, vocab).to(device).eval()
    checkpoint.load_weights(model, folder)
    if config.search.ctc_weight and not model.heads:
        raise InputError(f"`ctc_weight` must be 0 for a run without `ctc_head`, got {config.search.ctc_weight}")
    if config.search.lm != NONE:
        tokens = [vocab.token(i) for i in range(len(vocab))]
        scorers = ((load_scorer(Path(config.search.lm), tokens, device), config.search.lm_weight),)
    show = Show(config.video, config.rows, config.sound, inputs, noise_of(config.sound, items))
    return System(model, vocab, scorers), show


def evaluate(config: Config, run: Path, data: Path, split: str, *, device: torch.device) -> None:
    own = config.network.modality
    items = read_split(data, split, own)
    system, show = load_system(config, run, device, items)
    began = time.monotonic()
    found: dict[tuple[Modality, str], list[ScoredItem]] = {}
    for modality, snr in conditions(own, config.search.snr, items):
        texts = spell(system, show, items, modality, config.search, snr=None if snr == "clean" else float(snr))
        found[modality, snr] = [
            ScoredItem(item.id, item.references, best.text, best.hypothesis.logprob, best.hypothesis.score, best.cut)
            for item, (best, *_) in zip(items, texts, strict=True)
        ]
    decode = {"beam": config.search.decoding.beam, "seconds": time.monotonic() - began, "conditions": len(found)}
    evaluated = found[own, "clean"]
    by = {"speaker": [item.speaker for item in items], "length": [str(len(i.references[0].split())) for i in items]}
    groups = {
        "snr": {snr: some for (modality, snr), some in found.items() if modality == own},
        "modality": {modality: some for (modality, snr), some in found.items() if snr == "clean"},
        "modality_snr": {f"{modality}/{snr}": some for (modality, snr), some in found.items()},
        "slot": slots(evaluated),
    }
    folder = run / "evaluate" / split
    report = write_report(
        folder,
        evaluated,
        METRICS,
        Provenance("wlas", split, data / f"{split}.jsonl", str(device), decode),
        by=by,
        conditions=groups,
    )
    for (modality, snr), some in found.items():
        write_hypotheses(folder / f"hypotheses.{modality}.{snr}.jsonl", some)
    crossing = report["by"].pop("modality_snr")  # shown as the paper shows it
    print(format_table(report))
    print("\n" + table(crossing))
    if len(groups["modality"]) > 1:
        differing = disagreements(groups["modality"])
        with atomic_write(folder / "disagreements.txt") as file:
            file.write(differing.encode() + b"\n")
        print("\n" + differing)


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
    system, show = load_system(config, run, device)
    modality = config.network.modality
    with tempfile.TemporaryDirectory() as folder:
        items = [as_item(Path(text), Path(folder), watch=modality != "audio") for text in inputs]
        for item in items:
            if not any(has(item, name) for name in SENSES[modality]):
                raise InputError(f"{item.id}: must have what the run needs for {modality}, got a file without it")
            if modality == "both" and not item.audio:
                print0(f"{item.id}: no sound, so that the lips alone are read")
        found = spell(system, show, items, modality, config.search, nbest=nbest)
        if pictures:
            from seqkit.recipes.lipreading.attention_plots import draw

            for number, (item, (best, *_), given) in enumerate(zip(items, found, inputs, strict=True), 1):
                draw(system, show, item, best, Path(given), pictures / f"{number:04}")
    print_answers(inputs, [[(own.text, own.hypothesis) for own in some] for some in found], as_json=as_json)


def paper() -> Config:
    """Chung et al. 2017, sections 2 and 3."""
    return Config(
        text=Text(batch_steps=64 * 300),
        video=Video(cut=(120, 120), pixels=(120, 120), grayscale=True),
        rows=Rows(normalize="corpus"),
        sound=Sound(),
        watch=Watching(
            frontend="vgg_m",
            span=5,
            watch_cell="lstm",
            watch_layers=3,
            watch_both=False,
            watch_reverse=True,
            watch_dropout=0.3,
        ),
        listen=Listening(stack=1, listen_layers=3, listen_both=False, listen_reverse=True),
        network=Network(embed_dim=256, decoder_dim=512, decoder_layers=3, attention_dim=512, readout_dim=512),
        course=Course(stages=(1, 2, 3, 4), stage_epochs=(10, 5, 5, 5)),
        training=TrainingConfig(
            epochs=100,
            optimizer="sgd",
            learning_rate=0.1,
            schedule="plateau",
            gamma=0.9,
            max_grad_norm=5.0,
            metric="wer",
        ),
    )


def base() -> Config:
    """One GPU."""
    return dataclasses.replace(
        Config(),
        text=Text(batch_steps=9600, workers=8),
        video=Video(move=6, erase=0.3),
        watch=Watching(frontend="resnet", span=5),
        listen=Listening(listen_strides=(1, 2, 2), listen_layers=3),
        network=Network(decoder_dim=512, attention_dim=256, readout_dim=512, ctc_head=True),
        training=dataclasses.replace(Config().training, epochs=100, precision="bf16", ema_decay=0.999),
    )


def tiny() -> Config:
    """Mouths drawn by rule, and their sound, on a CPU."""
    return dataclasses.replace(
        Config(),
        text=Text(batch_steps=900),
        video=Video(cut=(40, 60), pixels=(20, 30), grayscale=True),
        rows=Rows(),
        course=Course(stages=(1, 2), stage_epochs=(1, 1)),
        mixing=Mixing(noise_from=4),
        watch=Watching(channels=0.25, frontend_norm=True, frontend_dropout=0.0, watch_dim=64, watch_dropout=0.1),
        listen=Listening(listen_dim=64, listen_layers=1, listen_dropout=0.1),
        network=Network(decoder_dim=128, attention_dim=64, readout_dim=128, dropout=0.1),
        training=dataclasses.replace(Config().training, epochs=10, learning_rate=3e-3, warmup=50, ema_decay=0.98),
    )


WHOLE = {"stages": "[]", "stage_epochs": "[]"}  # no curriculum
ROWS = {
    "was": {"modality": "video", **WHOLE, "sampling": "0", "beam": "1"},
    "was+cl": {"modality": "video", "sampling": "0", "beam": "1"},
    "was+cl+ss": {"modality": "video", "beam": "1"},
    "was+cl+ss+bs": {"modality": "video"},
    "las": {"modality": "audio"},
    "wlas": {"modality": "both"},
}

RECIPE = Recipe(
    "wlas",
    Config,
    {"paper": paper, "base": base, "small": Config, "tiny": tiny},
    train,
    evaluate,
    predict,
    synthetic=lambda: synthetic.cached("lipreading"),
    inputs="a video file, or sound for a run that listens",
    rows=ROWS,
)
