"""Language models of characters, words or subwords: n-grams with modified Kneser-Ney smoothing (Chen and Goodman 1998),
or the decoder over no memory. Either scores in the searches of the other recipes (`load_scorer`).

    python recipes/language_model.py train --data DIR --out LM --order 5 --unit char
    python recipes/language_model.py train --data corpus.txt.gz --out LM --kind recurrent
    python recipes/language_model.py train --data theirs.arpa --out LM
    python recipes/language_model.py evaluate --run LM --data DIR --split val
    python recipes/language_model.py predict --run LM "A dog runs."

DIR holds manifests, whose `references` are the text. A FILE has one sentence a line; one that ends in .arpa or .arpa.gz
is an n-gram model made elsewhere, and is taken as it is. `predict` says how likely its inputs are: log10 of their
probability, perplexity, text.

N texts, K counts, R corpora, V tokens.
"""

import dataclasses
import hashlib
import json
import math
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqkit import __version__
from seqkit.cli import Recipe
from seqkit.config import at_least_one, load_config
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate
from seqkit.data.files import atomic_write, read_lines
from seqkit.data.manifest import read_manifest
from seqkit.data.vocab import SPECIALS, UNK, CharVocab, Vocab, WordVocab, load_vocab
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.decode import LanguageModel, Mapped, NgramScorer, Scorer, WordScorer, match
from seqkit.decode.arpa import write_arpa
from seqkit.decode.ngram_file import load_ngram, write_ngram
from seqkit.decode.ngram_train import train_ngram as count
from seqkit.errors import InputError
from seqkit.nn.decoder import Decoder
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.recipes.language_model.model import Model, Network, Text, make_decoder, split
from seqkit.score.confidence import bootstrap
from seqkit.score.metric import Array, Score
from seqkit.score.report import commit, versions
from seqkit.score.terminal import columns
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group
from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.state import Progress
from seqkit.train.training_config import TrainingConfig

FILE = "model.ngram"
HELD_OUT = 20  # of a plain file every 20th line validates a recurrent model
ARPA = (".arpa", ".arpa.gz")


@dataclass(frozen=True)
class Scoring:
    """How texts are scored."""

    batch: int = 64
    """texts scored together"""

    def __post_init__(self) -> None:
        at_least_one(self, "batch")


@dataclass(frozen=True)
class Config:
    """A language model."""

    kind: Literal["ngram", "recurrent"] = "ngram"
    """counted or learnt"""
    order: int = 5
    """symbols of the longest n-gram (LipNet: 5, of characters)"""
    arpa: bool = False
    """write the n-gram model as RUN/model.arpa too, for other tools"""
    text: Text = field(default_factory=Text)
    network: Network = field(default_factory=Network)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=10, learning_rate=2e-3, schedule="cosine", warmup=100, metric="perplexity"
        )
    )
    scoring: Scoring = field(default_factory=Scoring)

    def __post_init__(self) -> None:
        at_least_one(self, "order")


def read_texts(data: Path, part: str) -> list[str]:
    """The lines of a plain file, or every reference of the manifest `part` in a folder."""
    if not data.is_dir():
        return [text for _, text in read_lines(data)]
    items = read_manifest(data / f"{part}.jsonl", needed=("references",))
    return [text for item in items for text in item.references]


def read_parts(data: Path) -> tuple[list[str], list[str]]:
    """The texts to learn from and those that validate: `train_ngram` and `val` of a folder, or the lines of one file."""
    if data.is_dir():
        return read_texts(data, "train"), read_texts(data, "val")
    texts = read_texts(data, "train")
    return [text for place, text in enumerate(texts) if place % HELD_OUT], texts[::HELD_OUT]


def train_ngram(
    config: Config, data: Path, out: Path, *, resume: bool, init: Sequence[Path], device: torch.device
) -> Outcome:
    pieces = None
    if config.text.pieces:
        pieces = load_vocab(checkpoint.find_checkpoint(config.text.pieces / "best") or config.text.pieces, "target")
    if config.kind == "recurrent":
        return train_recurrent(config, pieces, data, RunFolder(out, resume), init, device)
    if init:
        raise InputError("`--init` must not be given for an n-gram model, which is counted and not learnt")
    if checkpoint.find_checkpoint(out / "last"):
        print0(f"{out}: already finished")
        return Outcome("already finished", Progress())
    began = time.monotonic()
    if data.name.endswith(ARPA):
        model = load_ngram(data)
    else:
        model = count((split(config.text, pieces, text) for text in read_texts(data, "train")), config.order)
    sizes = [end - first for first, end in zip(model.bounds[1:], model.bounds[2:], strict=False)]
    seconds = time.monotonic() - began
    print0(f"{', '.join(f'{size:,} {n}-grams' for n, size in enumerate(sizes, 1))} in {seconds:.1f} s")
    meta = json.dumps({"ngrams": sizes, "seconds": seconds}) + "\n"

    def fill(part: Path) -> None:
        with (part / FILE).open("wb") as file:
            write_ngram(model, file)
        if pieces:
            pieces.save(part, "target")
        (part / checkpoint.META).write_text(meta, encoding="utf-8")

    checkpoint.replace_folder(out / "best", fill)
    if config.arpa:
        with atomic_write(out / "model.arpa") as file:
            write_arpa(model, file)
    # What marks a run as begun, so that nobody trains another one over it.
    checkpoint.replace_folder(out / "last", lambda part: (part / checkpoint.META).touch())
    return Outcome("finished", Progress())


def train_recurrent(
    config: Config, pieces: Vocab | None, data: Path, run: RunFolder, init: Sequence[Path], device: torch.device
) -> Outcome:
    with process_group(device) as device:
        texts, held_out = read_parts(data)
        rows = [split(config.text, pieces, text) for text in texts]
        last = checkpoint.find_checkpoint(run.folder / "last") if run.resume else None
        vocab = load_vocab(last, "target") if last else pieces or make_vocab(config, rows)
        torch.manual_seed(config.training.seed)
        decoder = make_decoder(config.network, len(vocab)).to(device)
        print0(f"{sum(p.numel() for p in decoder.parameters()):,} parameters, {len(vocab):,} symbols")
        if init:
            print0(checkpoint.init_from(decoder, init).text())
        model = Model(config.text, pieces, symbols_of(vocab), None, decoder)
        ids = {symbol: i for i, symbol in enumerate(model.symbols)}
        examples = [Example(place, (), [ids.get(s, UNK) for s in row]) for place, row in enumerate(rows)]
        batches = BucketBatchSampler(
            [len(row) + 1 for row in rows], config.network.batch_tokens, seed=config.training.seed
        )
        order = Data(batches.epoch, lambda found, epoch: (collate([examples[i] for i in batch]) for batch in found))

        def validate() -> dict[str, float]:
            total_1K = statistics(model, held_out, config.scoring.batch).sum(0)[None]
            return {name: float(value(total_1K)[0]) for name, value in VALUES.items()}

        run = run._replace(assets=lambda folder: vocab.save(folder, "target"))
        return fit(decoder, make_loss(decoder), order, validate, config.training, run)


def make_loss(decoder: Decoder) -> Loss:
    """Cross entropy of the real symbols and ends."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        features_BTF, _ = decoder.forward_features(batch.inputs_BT, ())
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        return cross_entropy(decoder.readout(real_tokens(features_BTF, batch.lengths_B)), targets_N), len(targets_N)

    return loss


def make_vocab(config: Config, rows: Sequence[Sequence[str]]) -> Vocab:
    """A table of the symbols, the most frequent first."""
    found, counts = np.unique([symbol for row in rows for symbol in row], return_counts=True)
    ordered = [str(found[place]) for place in np.lexsort((found, -counts)) if found[place] not in SPECIALS]
    if config.text.unit == "char":
        return CharVocab(ordered)
    return WordVocab(ordered[: max(1, config.network.vocab_size - len(SPECIALS))])


def symbols_of(vocab: Vocab) -> list[str]:
    return [vocab.token(i) for i in range(len(vocab))]


def load_model(config: Config, run: Path, device: torch.device) -> Model:
    folder = checkpoint.find_checkpoint(run / "best")
    if folder is None:
        raise InputError(f"{run}: must be the run of a language model, got a folder without best/: train it first")
    pieces = load_vocab(folder, "target") if config.text.unit == "subword" else None
    if config.kind == "ngram":
        ngram = load_ngram(folder / FILE)
        return Model(config.text, pieces, ngram.symbols, ngram, None)
    vocab = load_vocab(folder, "target")
    decoder = make_decoder(config.network, len(vocab)).to(device).eval().requires_grad_(False)
    checkpoint.load_weights(decoder, folder)
    return Model(config.text, pieces, symbols_of(vocab), None, decoder)


def load_scorer(path: Path, tokens: Sequence[str], device: torch.device) -> Scorer:
    """A language model as a scorer of a search over `tokens`, the specials among them.

    `path`: a run of this recipe, or the file of an n-gram model (.ngram, .arpa, .arpa.gz). A model of words scores
    characters word by word. Raises InputError where model and tokens have nothing in common.
    """
    if path.is_dir():
        model = load_model(load_config(Config, path / "config.yaml"), path, device)
    else:
        ngram = load_ngram(path)
        model = Model(Text(), None, ngram.symbols, ngram, None)
    plain = [token for token in tokens if token not in SPECIALS]
    words = any(len(symbol) > 1 for symbol in model.symbols if symbol not in SPECIALS)
    if model.ngram and words and " " in plain and all(len(token) == 1 for token in plain):
        return WordScorer(model.ngram, tokens, device)
    symbol_V, lacking = match(tokens, model.symbols, model.symbols.index("<unk>"))
    if len(lacking) >= len(plain):
        raise InputError(f"{path}: must be a language model of the same symbols, got none of {' '.join(plain[:5])} …")
    if lacking:
        print0(f"{path}: unknown to the language model: {' '.join(map(repr, lacking[:20]))}")
    scorer = NgramScorer(model.ngram, device) if model.ngram else LanguageModel(model.decoder)
    return Mapped(scorer, symbol_V.to(device))


class Counts(NamedTuple):
    """What is counted of each text."""

    nats: float  # -log p of all its symbols and its end
    symbols: int  # and 1 for the end
    known_nats: float  # of the symbols that the model knows
    known_symbols: int
    characters: int  # and 1 for the end


VALUES = {
    "perplexity": lambda sums_RK: np.exp(sums_RK[:, 0] / sums_RK[:, 1]),
    "perplexity_known": lambda sums_RK: np.exp(sums_RK[:, 2] / sums_RK[:, 3]),
    "bits_per_character": lambda sums_RK: sums_RK[:, 0] / math.log(2) / sums_RK[:, 4],
}


def statistics(model: Model, texts: Sequence[str], batch: int) -> Array:
    """(N, K) `Counts` of the texts."""
    counts = []
    for text, (logprobs, known) in zip(texts, model.logprobs(texts, batch), strict=True):
        own = [logprob for logprob, knows in zip(logprobs, known, strict=True) if knows]
        counts.append(Counts(-sum(logprobs), len(logprobs), -sum(own), len(own), len(text) + 1))
    return np.array(counts, np.float64).reshape(-1, len(Counts._fields))


def evaluate(config: Config, run: Path, data: Path, split: str, *, device: torch.device) -> None:
    texts = read_texts(data, split)
    if not texts:
        raise InputError(f"{data}: must hold at least one text, got an empty file")
    model, began = load_model(config, run, device), time.monotonic()
    statistics_NK = statistics(model, texts, config.scoring.batch)
    seconds = time.monotonic() - began
    sums_K = statistics_NK.sum(0)
    counts = Counts(*sums_K.tolist())._asdict() | {"unknown": float(sums_K[1] - sums_K[3])}
    metrics = {}
    for name, value in VALUES.items():
        low, high = bootstrap(statistics_NK, value)
        metrics[name] = Score(float(value(sums_K[None])[0]), low, high, signature(name, config), counts)
    source = data / f"{split}.jsonl" if data.is_dir() else data
    report = {
        "recipe": "language_model",
        "split": split,
        "items": len(texts),
        "metrics": {name: score._asdict() for name, score in metrics.items()},
        "by": {},
        "decode": {"seconds": seconds, "items_per_second": len(texts) / seconds},
        "data_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "commit": commit(Path(__file__)),
        "device": str(device),
        "versions": versions(),
        "command": shlex.join(["python", *sys.argv]),
    }
    with atomic_write(run / "evaluate" / split / "report.json") as file:
        file.write((json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode())
    rows = [[name, *(f"{number:.3f}" for number in score[:3])] for name, score in metrics.items()]
    print(
        f"language_model, {split}: {len(texts)} texts, {counts['symbols']:,.0f} symbols and ends, "
        f"{counts['unknown']:,.0f} unknown\n"
    )
    print(columns([["metric", "value", "low", "high"], *rows]))
    print("", *(score.signature for score in metrics.values()), sep="\n")


def signature(name: str, config: Config) -> str:
    """All that must be equal for two figures to be comparable."""
    settings = {
        "unit": config.text.unit,
        "normalize": "+".join(config.text.normalize) or "none",
        "end": "counted",
        "unknown": "left_out" if name == "perplexity_known" else "counted",
        "seqkit": __version__,
    }
    return "|".join([name, *(f"{key}:{value}" for key, value in settings.items())])


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
    if nbest != 1 or pictures:
        raise InputError("`--nbest` and `--pictures` must not be given to a language model, which scores its inputs")
    model = load_model(config, run, device)
    for text, counts in zip(inputs, statistics(model, inputs, config.scoring.batch), strict=True):
        nats, symbols, _, known, _ = counts.tolist()
        answer: dict[str, Any] = {
            "input": text,
            "logprob": -nats,
            "perplexity": math.exp(nats / symbols),
            "symbols": int(symbols),
            "unknown": int(symbols - known),
        }
        line = f"{-nats / math.log(10):.4f}\t{answer['perplexity']:.4f}\t{text}"
        print(json.dumps(answer, ensure_ascii=False) if as_json else line)


def recurrent() -> Config:
    """The decoder over no memory, learnt."""
    return dataclasses.replace(Config(), kind="recurrent")


def tiny() -> Config:
    """A small recurrent model of the synthetic corpus."""
    return dataclasses.replace(
        Config(),
        kind="recurrent",
        network=Network(embed_dim=32, hidden_dim=64, dropout=0.1),
        training=dataclasses.replace(Config().training, epochs=2, learning_rate=5e-3, warmup=20),
    )


RECIPE = Recipe(
    "language_model",
    Config,
    {"ngram": Config, "recurrent": recurrent, "tiny": tiny},
    train_ngram,
    evaluate,
    predict,
    synthetic=lambda: synthetic.cached("translation"),
    inputs="texts",
    search="scoring",
)
