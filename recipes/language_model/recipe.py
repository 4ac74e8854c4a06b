"""Language models of characters, words or subwords: n-grams with modified Kneser-Ney smoothing (Chen and Goodman 1998),
or the decoder over no memory. Either scores in the searches of the other recipes (`scorer.load_scorer`).

    seqkit language_model train --data DIR --out LM --order 5 --units characters
    seqkit language_model train --data corpus.txt.gz --out LM --preset recurrent
    seqkit language_model train --data theirs.arpa --out LM
    seqkit language_model evaluate --run LM --data DIR --split val
    seqkit language_model predict --run LM "A dog runs."

DIR holds manifests, whose `references` are the text. A file has one sentence a line; one in ARPA format, which its
content tells, is an n-gram model made elsewhere, and is taken as it is. `predict` prints the log-probability of each
input in nats, its perplexity, and the input.

N real targets, V vocabulary, F decoder features.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from seqkit.data.batch import Batch
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads
from seqkit.data_prep.synthetic import corpora
from seqkit.decode import Ngram, is_ngram, load_ngram, train_ngram, write_arpa, write_ngram
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.decoder import Decoder
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import Evaluation, Job, Recipe
from seqkit.recipes.language_model.data import (
    TextConfig,
    find_subwords,
    read_splits,
    read_texts,
    segment,
    start_vocab,
    symbols_of,
    train_data,
)
from seqkit.recipes.language_model.model import (
    FILE,
    LanguageModelPredictor,
    Member,
    Network,
    SearchConfig,
    load,
    make_decoder,
    predicted,
)
from seqkit.recipes.language_model.perplexity import VALUES, statistics
from seqkit.score.evaluate import corpus_scores
from seqkit.score.prediction import Prediction
from seqkit.start import Start, vocab_rows
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, rank
from seqkit.train.loop import Outcome
from seqkit.train.state import Progress
from seqkit.train.step import Loss
from seqkit.train.training_config import TrainingConfig


@described
@dataclass(frozen=True)
class Config:
    """A language model."""

    kind: Literal["ngram", "recurrent"] = "ngram"
    """counted n-grams, or a recurrent network"""
    order: Annotated[int, Range(min=1)] = 5
    """symbols of the longest n-gram (LipNet: 5, of characters)"""
    arpa: bool = False
    """write the n-gram model as RUN/model.arpa too, for other tools"""
    text: TextConfig = field(default_factory=TextConfig)
    network: Network = field(default_factory=Network)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=10, learning_rate=2e-3, schedule="cosine", warmup=100, metric="perplexity"
        )
    )
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self) -> None:
        check_ranges(self)


def training_job(config: Config, data: Path, start: Start) -> Job | Outcome:
    if config.kind == "ngram":
        return count_ngrams(config, data, start)
    texts, held_out = read_splits(data)
    vocab = start_vocab(start, config.text, texts)
    subwords = vocab if config.text.units == "subwords" else None
    torch.manual_seed(config.training.seed)
    decoder = make_decoder(config.network, len(vocab)).to(start.device)
    start.initialize(decoder, vocab_rows("target", vocab, "embedding", "readout.output"))
    print0(f"{len(vocab):,} symbols")
    model = LanguageModelPredictor((Member(config.text, subwords, symbols_of(vocab), None, decoder),), config.search)

    def validate() -> dict[str, float]:
        return corpus_scores(statistics(config.text, held_out, list(model.score(held_out))))

    batches = train_data(config.text, vocab, texts, config.training.seed)
    return Job(
        decoder,
        make_loss(decoder),
        batches,
        validate,
        lambda folder: vocab.save(folder, "target"),
        metrics=tuple(VALUES),
    )


def make_loss(decoder: Decoder) -> Loss:
    """Cross entropy of the real symbols and ends."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        features_BTF, _ = decoder.forward_features(batch.inputs_BT, ())
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        return cross_entropy(decoder.readout(real_tokens(features_BTF, batch.lengths_B)), targets_N), len(targets_N)

    return loss


def count_ngrams(config: Config, data: Path, start: Start) -> Outcome:
    """Count and smooth an n-gram model, or take one over from an ARPA file; by the first process alone."""
    if start.init:
        raise InputError("`--init` must not be given for an n-gram model, which is counted from text alone")
    if checkpoint.find_checkpoint(start.folder / "last"):
        print0(f"{start.folder}: already finished")
        return Outcome("already finished", Progress())
    if rank() > 0:
        return Outcome("finished", Progress())
    copy = start.folder / "model.arpa"
    if config.arpa and copy.exists() and not checkpoint.find_checkpoint(start.folder / "best"):
        raise InputError(f"{copy}: must not be there yet, got a file of another's: choose another folder")
    began, foreign = time.monotonic(), data.is_file() and is_ngram(data)
    if foreign and config.text.units == "subwords" and not config.text.subword_run:
        raise InputError("`subword_run` must be given with an ARPA file of subwords, got null")
    texts = [] if foreign else read_texts(data, "train")
    subwords = find_subwords(config.text, texts) if config.text.units == "subwords" else None
    if foreign:
        model = load_ngram(data)
    else:
        model = train_ngram((segment(config.text, subwords, text) for text in texts), config.order)
    sizes = [end - first for first, end in zip(model.bounds[1:], model.bounds[2:], strict=False)]
    seconds = time.monotonic() - began
    print0(f"{', '.join(f'{size:,} {n}-grams' for n, size in enumerate(sizes, 1))} in {seconds:.1f} s")

    def write(folder: Path) -> None:
        with (folder / FILE).open("wb") as file:
            write_ngram(model, file)
        if subwords:
            subwords.save(folder, "target")
        meta = json.dumps({"ngrams": sizes, "seconds": seconds}) + "\n"
        (folder / checkpoint.META).write_text(meta, encoding="utf-8")

    checkpoint.replace_folder(start.folder / "best", write)
    if config.arpa:
        save_arpa(model, copy)
    # What marks a run as begun, so that nobody trains another one over it.
    checkpoint.replace_folder(start.folder / "last", lambda folder: (folder / checkpoint.META).touch())
    return Outcome("finished", Progress())


def save_arpa(model: Ngram, path: Path) -> None:
    with atomic_write(path) as file:
        write_arpa(model, file)


def evaluate(predictor: LanguageModelPredictor, data: Path, split: str, options: None) -> Evaluation:
    texts = read_texts(data, split)
    if not texts:
        raise InputError(f"{data}: must hold at least one text, got an empty file")
    scored = list(predictor.score(texts))
    metrics = statistics(predictor.members[0].text, texts, scored)
    items = [Item(id=str(number), references=(text,)) for number, text in enumerate(texts, 1)]
    predictions = [predicted(text, own) for text, own in zip(texts, scored, strict=True)]

    def summarize(folder: Path, report: Mapping[str, Any]) -> str:
        counts = report["metrics"]["perplexity"]["counts"]
        values = ", ".join(f"{name} {report['metrics'][name]['value']:.4f}" for name in VALUES)
        return f"{counts['symbols']:,.0f} symbols and ends, {counts['unknown']:,.0f} unknown: {values}"

    return Evaluation(items, predictions, metrics, finish=summarize)


def line(found: Prediction) -> str:
    """Log-probability in nats, perplexity, text."""
    return f"{found.logprob:.4f}\t{math.exp(-found.score):.4f}\t{found.text}"


RECURRENT = {"kind": "recurrent"}
TINY = {  # the synthetic corpus on a CPU
    "kind": "recurrent", "embed_dim": 32, "hidden_dim": 64, "dropout": 0.1,
    "epochs": 2, "learning_rate": 5e-3, "warmup": 20,
}  # fmt: skip

RECIPE = Recipe(
    "language_model",
    Config,
    presets={"small": {}, "tiny": TINY, "recurrent": RECURRENT},
    training_job=training_job,
    load=load,
    evaluate=evaluate,
    reads=Reads(
        needed=("references",),
        example={"id": "2", "references": ["a dog runs through the snow"]},
        notes={"references": "each is a training text"},
    ),
    common=(
        "kind", "order", "arpa", "units", "subword_run", "vocab_size", "normalize", "batch_budget", "cell",
        "embed_dim", "hidden_dim", "layers", "dropout", "epochs", "steps", "max_minutes", "learning_rate", "schedule",
        "warmup", "max_grad_norm", "precision", "patience", "decode_batch_size", "seed",
    ),
    synthetic=lambda: corpora.cached("translation"),
    inputs="a text",
    line=line,
)  # fmt: skip
