"""Speed of translation: target tokens a second in training, and sentences a second in beam search.

    python recipes/benchmarks/translation_speed.py --data DIR [--preset peer] [--batches 40] [--threads 2] [--run RUN]

The rates are also given as a share of what the machine's own matrix multiplication reaches at the same time, counting
the multiplications of every linear map that a target token needs. The sizes of preset `peer` are those of the JoeyNMT
configuration that the figures of RESULTS.md were measured against: embeddings 256, bidirectional LSTM 256, LSTM 512
with additive attention and input feeding, 8,000 subwords, 128 sentences a batch.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

import seqkit
from seqkit.config import replace
from seqkit.flags import Parser, parse, run_cli
from seqkit.recipes.translation.data import read_pairs, train_data, train_vocabs
from seqkit.recipes.translation.model import Translator, make_model
from seqkit.recipes.translation.recipe import RECIPE, make_loss
from seqkit.train.allocator import keep_memory
from seqkit.train.average import WeightAverage
from seqkit.train.optimizer import make_optimizer
from seqkit.train.state import StepMetrics, Training
from seqkit.train.step import measure_horizon, train_step

PEER = {  # batches of 128 sentences hold as many real target tokens as ours at this budget
    "vocab_size": 8000,
    "batch_budget": 1900,
    "encoder_layers": 1,
    "readout_dim": 512,
    "tie_embeddings": False,
    "ema_decay": 0.0,
}


def multiply_rate(seconds: float = 2.0) -> float:
    """Floating-point operations a second of float32 matrix multiplication, 1024 square, on the threads in use."""
    a, b = torch.randn(2, 1024, 1024).unbind(0)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        torch.mm(a, b)
        done += 1
    return done * 2 * 1024**3 / (time.perf_counter() - began)


def operations_a_token(model: Translator, source_share: float) -> float:
    """Of forward and backward: 6 for each weight and token, the encoder's counted for `source_share` source tokens."""

    def weights(part: nn.Module) -> int:
        return sum(p.numel() for p in part.parameters() if p.dim() > 1)

    decoder = model.decoder
    return 6 * (
        source_share * weights(model.encoder.encoder)
        + weights(decoder.cells)
        + weights(decoder.attentions)
        + weights(decoder.readout)
    )


def time_search(run: Path, data: Path) -> None:
    """Beam search over the validation set by a trained run: how long sentences get decides how long they take."""
    predictor = seqkit.load(run, device="cpu")
    sources = [item.source for item in read_pairs(data, "val")]
    began = time.perf_counter()
    predictor.predict(sources)
    rate = len(sources) / (time.perf_counter() - began)
    print(f"beam search: {rate:,.1f} sentences a second")


def main(argv: Sequence[str]) -> None:
    presets = {**RECIPE.presets, "peer": PEER}
    parser = Parser("translation_speed", "Training and decoding speed of the translation recipe.")
    parser.add_argument("--data", type=Path, required=True, help="folder of train.jsonl and val.jsonl")
    parser.add_argument("--preset", choices=presets, default="peer", help="sizes (default: peer)")
    parser.add_argument("--batches", type=int, default=40, help="batches timed (default: 40)")
    parser.add_argument("--run", type=Path, help="a trained run, to time beam search over the validation set too")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument(
        "--precision", choices=("float32", "bf16"), default="float32", help="arithmetic (default: float32)"
    )
    given = parse(parser, list(argv))
    torch.set_num_threads(given.threads)
    keep_memory()
    fields = {**presets[given.preset], "precision": given.precision}
    config, items = replace(RECIPE.config(), fields), read_pairs(given.data, "train")
    vocabs = train_vocabs(config.text, items)
    model = make_model(config.network, vocabs)
    data, loss = train_data(config.text, vocabs, items, seed=1), make_loss(model, config.objective)
    batches = list(data.load(data.epoch(0)[: given.batches + 3], 0))
    optimizer = make_optimizer(model.parameters(), config.training)
    training = Training(
        config.training,
        measure_horizon(data, config.training),
        model,
        optimizer,
        WeightAverage(model),
        StepMetrics(),
        data,
    )
    peak = multiply_rate()
    for step, batch in enumerate(batches):
        if step == 3:  # the first ones warm caches up
            began = time.perf_counter()
        train_step(training, loss, [batch], step)
    seconds, timed = time.perf_counter() - began, batches[3:]
    tokens = sum(int(batch.lengths_B.sum()) for batch in timed)
    source = sum(int(batch.streams[0].lengths_B.sum()) for batch in timed)
    share = tokens / seconds * operations_a_token(model, source / tokens) / ((peak + multiply_rate()) / 2)
    print(
        f"training: {tokens / seconds:,.0f} target tokens a second, {len(timed) / seconds:.2f} batches a second, "
        f"{100 * share:.0f} % of the matrix-multiply rate"
    )
    if given.run:
        time_search(given.run, given.data)


if __name__ == "__main__":
    sys.exit(run_cli(main))
