"""Rows of features to text: a recipe in one file, an attention decoder over a recurrent encoder, scored by BLEU.

Items need `features`, a .npy of shape (time, width), and `references`; the first reference is the training target.
B batch, S rows, I numbers a row, T tokens, V vocabulary.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqkit.commands import run_task
from seqkit.data.audio import normalize
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, PaddedSequence, collate, pad
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import Vocab, load_vocab, train_vocab
from seqkit.decode import Ensemble, beam
from seqkit.flags import run_cli
from seqkit.nn import Memory, RecurrentEncoder, build_decoder, sequence_loss, summarize
from seqkit.recipe import Evaluation, Job, Predictor, Recipe, SavedRun, Start
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.prediction import Prediction
from seqkit.train.checkpoint import load_weights
from seqkit.train.training_config import TrainingConfig


@dataclass(frozen=True)
class Config:
    """A run."""

    width: int = 13
    """numbers a row"""
    hidden_dim: int = 128
    """width of the decoder, and of the encoder's two directions together"""
    batch_budget: int = 2000
    """rows of a training batch, padding included"""
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(metric="bleu", mode="max"))
    search: SearchOptions = field(default_factory=SearchOptions)


class RowsToText(nn.Module):
    """Rows to the memory that `decoder` attends to."""

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        width = config.hidden_dim
        sizes = {"attention": "additive", "attention_dim": width, "readout_dim": width, "init_hidden": "mean"}
        self.encoder = RecurrentEncoder(config.width, width // 2, bidirectional=True)
        self.decoder = build_decoder(vocab_size, width, width, [self.encoder.output_dim], **sizes)

    def make_memory(self, rows: PaddedSequence) -> tuple[Memory, ...]:
        encoded = self.encoder(rows.values, rows.lengths_B)
        return self.decoder.make_memory((encoded.values_BSD, encoded.lengths_B, summarize(encoded, "mean")))


def read_items(data: Path, split: str) -> list[Item]:
    return read_manifest(data / f"{split}.jsonl", needed=("features", "references"))


def read_rows(item: Item) -> NDArray[np.float32]:
    """The item's rows (S, I), each column with mean 0 and deviation 1."""
    return normalize(np.load(item.features)[slice(*item.rows or (None,))])


@dataclass(frozen=True)
class RowsPredictor(Predictor):
    """Models over one vocabulary, whose probabilities are averaged."""

    models: Sequence[RowsToText]
    vocab: Vocab
    search: SearchOptions

    def predict(self, inputs: Sequence[str | Path], nbest: int = 1) -> list[list[Prediction]]:
        return self.transcribe([Item(id=str(path), features=Path(path)) for path in inputs], nbest)

    @torch.no_grad()
    def transcribe(self, items: Sequence[Item], nbest: int = 1) -> list[list[Prediction]]:
        device, size = self.models[0].decoder.embedding.weight.device, self.search.decode_batch_size
        decoder, found = Ensemble([model.decoder for model in self.models]), []
        for first in range(0, len(items), size):
            rows = PaddedSequence(*(t.to(device) for t in pad([read_rows(i) for i in items[first : first + size]])))
            memories = tuple(model.make_memory(rows) for model in self.models)
            found += beam(decoder, memories, self.search.search(50, nbest))
        return [[Prediction(self.vocab.decode(h.tokens), h.logprob, h.score) for h in nbest] for nbest in found]


def training_job(config: Config, data: Path, start: Start) -> Job:
    items, held_out = read_items(data, "train"), read_items(data, "val")
    texts = [item.references[0] for item in items]
    vocab = load_vocab(start.assets, "target") if start.assets else train_vocab("words", texts, 10_000)
    torch.manual_seed(config.training.seed)
    model = RowsToText(config, len(vocab)).to(start.device)
    start.initialize(model)
    greedy = RowsPredictor([model], vocab, SearchOptions(beam=1))
    examples = [Example(n, (read_rows(item),), vocab.encode(texts[n])) for n, item in enumerate(items)]
    order = BucketBatchSampler([len(e.streams[0]) for e in examples], config.batch_budget, seed=config.training.seed)
    batches = Data(order.epoch, lambda chosen, _: (collate([examples[n] for n in batch]) for batch in chosen))

    def loss(batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        logits_BTV = model.decoder(batch.inputs_BT, model.make_memory(batch.streams[0]))
        return sequence_loss(logits_BTV, batch.targets_BT, batch.lengths_B)

    def validate() -> dict[str, float]:
        found = [best.text for best, *_ in greedy.transcribe(held_out)]
        return corpus_scores(statistics(["bleu"], [item.references for item in held_out], found))

    return Job(model, loss, batches, validate, lambda folder: vocab.save(folder, "target"))


def load(runs: Sequence[SavedRun], device: torch.device) -> RowsPredictor:
    vocab = load_vocab(runs[0].checkpoint, "target")
    models = [RowsToText(run.config, len(vocab)).to(device).eval() for run in runs]
    for model, run in zip(models, runs, strict=True):
        load_weights(model, run.checkpoint)
    return RowsPredictor(models, vocab, runs[0].config.search)


def evaluate(predictor: RowsPredictor, data: Path, split: str, options: None) -> Evaluation:
    items = read_items(data, split)
    return Evaluation(items, [best for best, *_ in predictor.transcribe(items)], ["bleu"])


TINY = {"width": 4, "hidden_dim": 64, "batch_budget": 400, "learning_rate": 5e-3}
RECIPE = Recipe("rows_to_text", Config, {"small": {}, "tiny": TINY}, training_job, load, evaluate)

if __name__ == "__main__":
    sys.exit(run_cli(lambda argv: run_task(RECIPE, argv)))
