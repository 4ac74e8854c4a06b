"""Rows of features to text: a recipe in one file, an attention decoder over a recurrent encoder, scored by BLEU.

Items need `features`, a .npy of shape (time, width), and `references`; the first reference is the training target.
B batch, S rows of an item, I numbers a row, T tokens, V vocabulary.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from seqkit.commands import main
from seqkit.data.audio import normalize
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import Vocab, load_vocab, train_vocab
from seqkit.decode import Ensemble, beam
from seqkit.nn import Memory, RecurrentEncoder, build_decoder, sequence_loss, summarize
from seqkit.recipe import Evaluation, Job, Predictor, Recipe, SavedRun
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.recipes.lipreading.data import read_features
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.prediction import Prediction
from seqkit.start import Start, vocab_rows
from seqkit.train.checkpoint import load_weights
from seqkit.train.training_config import TrainingConfig

NEEDED = ("features", "references")


@dataclass(frozen=True)
class Config:
    feature_dim: int = 4
    """numbers a row"""
    hidden_dim: int = 128
    """width of the decoder, and of the encoder's two directions together"""
    batch_budget: int = 500
    """rows of a training batch, padding included"""
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=20, metric="bleu", mode="max"))
    search: SearchOptions = field(default_factory=SearchOptions)


class RowsToText(nn.Module):
    """Rows to the memory that `decoder` attends to."""

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        width = config.hidden_dim
        self.encoder = RecurrentEncoder(config.feature_dim, width // 2, bidirectional=True)
        kinds = {"attention": "additive", "attention_dim": width, "readout_dim": width, "init_hidden": "mean"}
        self.decoder = build_decoder(vocab_size, width, width, [self.encoder.output_dim], **kinds)

    def make_memory(self, batch: Batch) -> tuple[Memory, ...]:
        encoded = self.encoder(*batch.streams[0])
        return self.decoder.make_memory((encoded.values_BSD, encoded.lengths_B, summarize(encoded, "mean")))


@dataclass(frozen=True)
class RowsPredictor(Predictor):
    """Models over one vocabulary, whose probabilities are averaged."""

    models: Sequence[RowsToText]
    vocab: Vocab
    search: SearchOptions

    @torch.no_grad()
    def predict(self, inputs: Sequence[str | Path | Item], nbest: int = 1) -> list[list[Prediction]]:
        items = [given if isinstance(given, Item) else Item(id=str(given), features=Path(given)) for given in inputs]
        size, device = self.search.decode_batch_size, next(self.models[0].parameters()).device
        decoder, found = Ensemble([model.decoder for model in self.models]), []
        for first in range(0, len(items), size):
            rows = [normalize(read_features(item)) for item in items[first : first + size]]
            batch = collate([Example(n, (rows_SI,), ()) for n, rows_SI in enumerate(rows)]).to(device)
            memories = tuple(model.make_memory(batch) for model in self.models)
            found += beam(decoder, memories, self.search.search(50, nbest))
        return [[Prediction(self.vocab.decode(h.tokens), h.logprob, h.score) for h in several] for several in found]


def training_job(config: Config, data: Path, start: Start) -> Job:
    items, held_out = (read_manifest(data / f"{split}.jsonl", needed=NEEDED) for split in ("train", "val"))
    texts = [item.references[0] for item in items]
    vocab = start.vocab("target", "words", lambda: train_vocab("words", texts, 10_000))
    torch.manual_seed(config.training.seed)
    model = RowsToText(config, len(vocab)).to(start.device)
    start.initialize(model, vocab_rows("target", vocab, "decoder.embedding", "decoder.readout.output"))
    examples = [Example(n, (normalize(read_features(item)),), vocab.encode(texts[n])) for n, item in enumerate(items)]
    order = BucketBatchSampler([len(e.streams[0]) for e in examples], config.batch_budget, seed=config.training.seed)
    batches = Data(order.epoch, lambda chosen, _: (collate([examples[n] for n in batch]) for batch in chosen))

    def loss(batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        logits_BTV = model.decoder(batch.inputs_BT, model.make_memory(batch))
        return sequence_loss(logits_BTV, batch.targets_BT, batch.lengths_B)

    def validate() -> dict[str, float]:
        found = [best.text for best, *_ in RowsPredictor([model], vocab, SearchOptions(beam=1)).predict(held_out)]
        return corpus_scores(statistics(["bleu"], [item.references for item in held_out], found))

    return Job(model, loss, batches, validate, lambda folder: vocab.save(folder, "target"), metrics=("bleu",))


def load(runs: Sequence[SavedRun], device: torch.device) -> RowsPredictor:
    vocab = load_vocab(runs[0].checkpoint, "target")
    models = [RowsToText(run.config, len(vocab)).to(device).eval() for run in runs]
    for model, run in zip(models, runs, strict=True):
        load_weights(model, run.checkpoint)
    return RowsPredictor(models, vocab, runs[0].config.search)


def evaluate(predictor: RowsPredictor, data: Path, split: str, options: None) -> Evaluation:
    items = read_manifest(data / f"{split}.jsonl", needed=NEEDED)
    return Evaluation(items, [best for best, *_ in predictor.predict(items)], ["bleu"])


RECIPE = Recipe("rows_to_text", Config, {"small": {}, "tiny": {"learning_rate": 5e-3}}, training_job, load, evaluate)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
