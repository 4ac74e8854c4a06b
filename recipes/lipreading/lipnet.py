"""Lipreading by connectionist temporal classification: LipNet (Assael et al. 2016, arXiv:1611.01599).

    python recipes/lipnet.py train --data DIR --out RUN --preset small        # or landmarks, for rows of features
    python recipes/lipnet.py evaluate --run RUN --data DIR --split val --lm_weight 0.5
    python recipes/lipnet.py predict --run RUN face.mp4 --subtitles DIR --pictures DIR
    python recipes/lipnet.py compare --data DIR --out DIR --preset small --rows lipnet,nolm,baseline-2d

Items need `references`, of which the first is the target, and `video` (a clip of the mouth, as data preparation makes
it) or `features`. Where `words` have times, single words are examples too, fewer with every epoch (section 4.1).

B batch, T frames, V vocabulary, N examples.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seqkit.cli import Recipe, print_answers
from seqkit.config import at_least_one
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.manifest import Item
from seqkit.data.vocab import Vocab, load_vocab, train_vocab
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.decode.ngram_file import write_ngram
from seqkit.decode.ngram_train import train_ngram as count
from seqkit.errors import InputError
from seqkit.nn.ctc import ctc_loss, frames_needed
from seqkit.recipes.lipreading.confusions import PHONEMES, confusions, groups
from seqkit.recipes.lipreading.ctc_model import LM, LipReader, Reading, System, make_scorers, note_unknown
from seqkit.recipes.lipreading.data import (
    Inputs,
    Rows,
    Video,
    length,
    load_inputs,
    look,
    part,
    read_items,
    save_inputs,
    silence,
    spoken,
    steps,
    trimmed,
    watched,
)
from seqkit.recipes.lipreading.encoders import Watching, make_watch
from seqkit.recipes.lipreading.plots import draw
from seqkit.recipes.lipreading.raw_video import as_item, write_subtitles
from seqkit.recipes.lipreading.timing import lateness
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.report import Provenance, ScoredItem, format_table, write_report
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group
from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.training_config import TrainingConfig

METRICS = ("wer", "cer", "bleu")
RATE = 25.0  # frames a second


@dataclass(frozen=True)
class Text:
    """From text to ids, and to batches."""

    units: Literal["characters", "words"] = "characters"
    """what a frame says (LipNet: characters)"""
    lm_order: int = 5
    """symbols of the longest n-gram of the run's own language model (LipNet: 5)"""
    single_words: float = 1.0
    """share of the words of training that are examples by themselves in the first epoch; 0: none (LipNet: 1)"""
    word_decay: float = 0.925
    """by which that share is multiplied with every epoch (LipNet: 0.925)"""
    trim: float = 0.75
    """share of training sentences, those whose words have times, of which most of the silence is cut off (LipNet: 0)"""
    silence: float = 0.2
    """seconds before the first word and after the last, where words have times, in which training allows characters;
    beyond them it wants the blank; 0: they may be anywhere (LipNet: 0)"""
    batch_frames: int = 1500
    """a batch's examples times the longest, at most (LipNet: 50 clips of 75)"""
    peek: str = ""
    """a further split that every validation scores and logs; nothing is chosen by it"""
    workers: int = 0
    """processes that read ahead of training; 0: training reads by itself"""

    def __post_init__(self) -> None:
        at_least_one(self, "lm_order", "batch_frames")
        if self.silence < 0:
            raise InputError(f"`silence` must be at least 0 seconds, got {self.silence}")


@dataclass(frozen=True)
class Config:
    """A lipreading run."""

    text: Text = field(default_factory=lambda: Text(workers=1))
    video: Video = field(default_factory=lambda: Video(cut=(56, 80), pixels=(42, 60), move=3))
    rows: Rows = field(default_factory=Rows)
    watch: Watching = field(
        default_factory=lambda: Watching(channels=0.5, frontend_norm=True, frontend_dropout=0.1, watch_dropout=0.3)
    )
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=60,
            optimizer="adam",
            learning_rate=1e-3,
            schedule="cosine",
            warmup=200,
            max_grad_norm=5.0,
            ema_decay=0.998,
            metric="wer",
        )
    )
    search: Reading = field(default_factory=Reading)


def make_loss(model: LipReader) -> Loss:
    """-log p of the texts, summed, and how many characters and ends they have."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        frames, silent = batch.streams
        logits_BTV, lengths_B = model(*frames)
        total = ctc_loss(logits_BTV, lengths_B, batch.targets_BT, batch.lengths_B - 1, silent.values).sum()
        return total, batch.lengths_B.sum()

    return loss


def read_split(data: Path, split: str) -> list[Item]:
    """Raises InputError for an item with neither video nor features."""
    items = read_items(data, split)
    for item in items:
        if not item.video and not item.features:
            raise InputError(f'{data / split}.jsonl, id "{item.id}": `video` or `features` must be given, got neither')
    return items


def sequence(config: Config, inputs: Inputs, item: Item, rng: np.random.Generator | None = None) -> Tensor:
    """What the reader is shown of an item, (T, ...); with `rng` changed as training does."""
    return look(config.video, config.rows, inputs, item, rng)


def train_data(config: Config, vocab: Vocab, inputs: Inputs, items: Sequence[Item]) -> Data:
    """Sentences, and single words with a share that falls by the epoch."""
    timed = [item for item in items if spoken(item)] if config.text.single_words else []
    examples = [*items, *(part(item, n, 1) for item in timed for n in range(len(item.words)))]
    targets = [vocab.encode(item.references[0]) for item in examples]
    sizes = [steps(item) for item in examples]
    stride = config.watch.window_stride if inputs.kind == "features" else 1
    fits = [fewest(ids) <= -(-size // stride) for ids, size in zip(targets, sizes, strict=True)]
    short = [item.id for item, fit in zip(items, fits, strict=False) if not fit]
    if short:
        print0(f"{len(short):,} items left out, whose text is longer than their frames can say: {', '.join(short[:5])}")
    sentences = [n for n in range(len(items)) if fits[n]]
    single = np.array([n for n in range(len(items), len(examples)) if fits[n]], dtype=np.int64)
    if not sentences:
        raise InputError("training items must have as many frames as symbols, got none that has")
    print0(f"{len(sentences):,} sentences of {sum(sizes[n] for n in sentences):,} frames, {len(single):,} single words")
    seed = config.training.seed

    def epoch(number: int) -> list[list[int]]:
        share = config.text.single_words * config.text.word_decay**number
        drawn = single[np.random.default_rng((seed, number)).random(len(single)) < share]
        chosen = [*sentences, *drawn.tolist()]
        batches = BucketBatchSampler([sizes[n] for n in chosen], config.text.batch_frames, seed=seed)
        return [[chosen[place] for place in batch] for batch in batches.epoch(number)]

    def load(number: int, draw: int) -> Example:
        rng, item = np.random.default_rng(draw), examples[number]
        if rng.random() < config.text.trim and number < len(items) and item.video:
            item = trimmed(item, rng)
        frames = sequence(config, inputs, item, rng)
        if -(-len(frames) // stride) < fewest(targets[number]):  # too many frames left out by chance
            frames = sequence(config, inputs, item)
        silent_T = silence(item, -(-len(frames) // stride), config.text.silence)
        if (~silent_T).sum() < fewest(targets[number]):
            silent_T[:] = False
        return Example(number, (frames, silent_T), targets[number])

    def read(chosen: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        return loader(load, collate, chosen, workers=config.text.workers, seed=seed, epoch=epoch)

    return Data(epoch, read)


def fewest(ids: Sequence[int]) -> int:
    """Frames that a text needs."""
    return int(frames_needed(torch.tensor([[*ids]], dtype=torch.int64), torch.tensor([len(ids)])))


def train_ngram(
    config: Config, data: Path, out: Path, *, resume: bool, init: Sequence[Path], device: torch.device
) -> Outcome:
    with process_group(device) as device:
        items, held_out = read_split(data, "train"), read_split(data, "val")
        peeked = read_split(data, config.text.peek) if config.text.peek else []
        last = checkpoint.find_checkpoint(out / "last") if resume else None
        texts = [item.references[0] for item in items]
        vocab = load_vocab(last, "target") if last else train_vocab(config.text.units, texts, 1 << 20)
        inputs = load_inputs(last)["watch"] if last else watched(config.video, items)
        torch.manual_seed(config.training.seed)
        model = LipReader(make_watch(config.watch, config.video, inputs), len(vocab)).to(device)
        print0(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(vocab):,} symbols, {inputs.kind}")
        if init:
            print0(checkpoint.init_from(model, init).text())
        system, greedy = System(model, vocab, ()), dataclasses.replace(config.search, beam=1)
        ngrams = count((vocab.tokens(text) for text in texts), config.text.lm_order)

        def scored(some: Sequence[Item]) -> dict[str, float]:
            logits = logits_of(config, inputs, system, some)
            found = [system.text(best) for best, *_ in system.read(logits, greedy)]
            return corpus_scores(statistics(["wer", "cer"], [item.references for item in some], found))

        def validate() -> dict[str, float]:
            peek = {f"peek_{name}": value for name, value in scored(peeked).items()} if peeked else {}
            return {**scored(held_out), **peek}

        def assets(folder: Path) -> None:
            vocab.save(folder, "target")
            save_inputs(folder, {"watch": inputs})
            with (folder / LM).open("wb") as file:
                write_ngram(ngrams, file)

        order = train_data(config, vocab, inputs, items)
        return fit(model, make_loss(model), order, validate, config.training, RunFolder(out, resume, assets))


def logits_of(config: Config, inputs: Inputs, system: System, items: Sequence[Item]) -> list[Tensor]:
    """Logits (T, V) of every item."""
    return system.logits([steps(i) for i in items], lambda n: sequence(config, inputs, items[n]), config.search.batch)


def load_system(config: Config, run: Path, device: torch.device) -> tuple[System, Inputs]:
    """The best model of `run`, and what it is shown."""
    folder = checkpoint.best_checkpoint(run)
    vocab, inputs = load_vocab(folder, "target"), load_inputs(folder)["watch"]
    model = LipReader(make_watch(config.watch, config.video, inputs), len(vocab)).to(device).eval()
    checkpoint.load_weights(model, folder)
    return System(model, vocab, make_scorers(config.search, vocab, folder, device)), inputs


def evaluate(config: Config, run: Path, data: Path, split: str, *, device: torch.device) -> None:
    items = read_split(data, split)
    system, inputs = load_system(config, run, device)
    note_unknown(system.vocab, items)
    began = time.monotonic()
    logits = logits_of(config, inputs, system, items)
    plain, greedy = system._replace(scorers=()), dataclasses.replace(config.search, beam=1)
    ways = {"greedy": (plain, greedy)}
    if config.search.beam > 1:
        ways["beam"] = plain, config.search
    if config.search.beam > 1 and system.scorers:
        ways["scorers"] = system, config.search
    found = {}
    for name, (own, search) in ways.items():
        texts = own.read(logits, search)
        found[name] = [
            ScoredItem(item.id, item.references, system.text(best), best.logprob, best.score)
            for item, (best, *_) in zip(items, texts, strict=True)
        ]
    decode = {"beam": config.search.beam, "seconds": time.monotonic() - began}
    *_, evaluated = found.values()
    folder = run / "evaluate" / split
    report = write_report(
        folder,
        evaluated,
        METRICS,
        Provenance("lipnet", split, data / f"{split}.jsonl", str(device), decode),
        by={"speaker": [item.speaker for item in items]},
        conditions={"search": found},
    )
    print(format_table(report))
    timed = [n for n, item in enumerate(items) if spoken(item)]
    late = lateness(
        [system.words(logits[n], texts[n][0], length(items[n]) / len(logits[n])) for n in timed],
        [items[n] for n in timed],
    )
    if late:
        print("words come late by, in seconds: " + ", ".join(f"{name} {value:+.2f}" for name, value in late.items()))
    counts = confusions([item.references[0] for item in items], [item.hypothesis for item in evaluated])
    if counts.any():
        from seqkit.draw_time import confusion

        confusion(counts, PHONEMES, groups(), folder / "confusion.png", title=f"{run.name}, {split}: phonemes")


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
    system, shown = load_system(config, run, device)
    with tempfile.TemporaryDirectory() as folder:
        items = [as_item(Path(text), Path(folder)) for text in inputs]
        sequences = [sequence(config, shown, item) for item in items]
    logits = system.logits(list(map(len, sequences)), lambda n: sequences[n], config.search.batch)
    found = system.read(logits, config.search, nbest)
    words = [
        system.words(own, best, len(frames) / len(own) / RATE)
        for frames, own, (best, *_) in zip(sequences, logits, found, strict=True)
    ]
    print_answers(
        inputs,
        [[(system.text(own), own) for own in some] for some in found],
        as_json=as_json,
        more=[{"words": own} for own in words],
    )
    for text, own in zip(inputs, words, strict=True):
        if config.search.subtitles != Path():
            write_subtitles(config.search.subtitles / Path(text).stem, own)
    if pictures:
        for number, (frames, own, spoken) in enumerate(zip(sequences, logits, words, strict=True), 1):
            draw(system, frames, own, spoken, pictures / f"{number:04}", rate=RATE)


def paper() -> Config:
    """Assael et al. 2016, sections 3.3 and 4."""
    return Config(
        text=Text(trim=0.0, silence=0.0, batch_frames=50 * 75),
        video=Video(),
        rows=Rows(normalize="corpus"),
        watch=Watching(),
        training=TrainingConfig(
            epochs=200, optimizer="adam", learning_rate=1e-4, max_grad_norm=0.0, patience=30, metric="wer"
        ),
        search=Reading(beam=200),
    )


def base() -> Config:
    """One GPU."""
    return dataclasses.replace(
        Config(),
        text=Text(batch_frames=50 * 75, workers=8),
        video=Video(move=6, erase=0.3),
        watch=Watching(frontend_norm=True, frontend_dropout=0.3),
        training=dataclasses.replace(Config().training, epochs=120, precision="bf16", ema_decay=0.999),
    )


def landmarks() -> Config:
    """Words from lip points, or from other rows of features, on two CPU cores."""
    return dataclasses.replace(
        Config(),
        text=Text(units="words", lm_order=3, single_words=0.0, batch_frames=3000),
        rows=Rows(mask_steps=5, mask_features=4),
        training=dataclasses.replace(Config().training, epochs=12, learning_rate=2e-3),
    )


def tiny() -> Config:
    """Mouths drawn by rule, on a CPU."""
    return dataclasses.replace(
        Config(),
        text=Text(batch_frames=600),
        video=Video(cut=(40, 60), pixels=(20, 30), grayscale=True),
        watch=Watching(channels=0.25, frontend_norm=True, frontend_dropout=0.0, watch_dim=64, watch_dropout=0.1),
        training=dataclasses.replace(Config().training, epochs=12, learning_rate=3e-3, ema_decay=0.98),
    )


ROWS = {
    "baseline-lstm": {"frontend": "dense", "watch_cell": "lstm", "watch_both": "false", "lm": "none"},
    "baseline-2d": {"span": "1", "lm": "none"},
    "nolm": {"lm": "none"},
    "lipnet": {},
}

RECIPE = Recipe(
    "lipnet",
    Config,
    {"paper": paper, "base": base, "small": Config, "landmarks": landmarks, "tiny": tiny},
    train_ngram,
    evaluate,
    predict,
    synthetic=lambda: synthetic.cached("lipreading"),
    inputs="a video file",
    rows=ROWS,
)
