"""Where a training begins: a new model, or what earlier runs have learned.

A run that goes on from others keeps their vocabulary and input statistics, without which weights mean nothing. Where a
vocabulary must differ, rows of weights that belong to its tokens are matched by token, never by index.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from seqkit.config import read_values
from seqkit.data.extend_vocab import extend_vocab, new_tokens, units_of
from seqkit.data.vocab import SPECIALS, Vocab, load_vocab
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.find_run import run_config
from seqkit.train import checkpoint
from seqkit.train.checkpoint import Rows
from seqkit.train.distributed import print0

SHOWN = 10  # new tokens that are shown


@described
class Start(NamedTuple):
    """Where a training begins."""

    device: torch.device
    folder: Path
    """the run folder, for what is trained without `fit`"""
    assets: Path | None = None
    """the checkpoint whose vocabulary and input statistics are taken over: of the run itself when it is resumed, else
    of the first of `init`"""
    init: Sequence[Path] = ()
    """runs whose weights the model begins with; of one name, the first run's. None when a run is resumed"""
    extend_vocab: bool = False
    """add to the first run's vocabulary what is new in the data"""

    def checkpoints(self) -> list[Path]:
        """The checkpoints whose input statistics are taken over, earlier ones first."""
        others = [checkpoint.best_checkpoint(run) for run in self.init[1:]]
        return [self.assets, *others] if self.assets else []

    def vocab(
        self, name: str, units: str, train: Callable[[], Vocab], texts: Iterable[str] = (), *, other_units: bool = False
    ) -> Vocab:
        """The vocabulary `name` of the checkpoint `assets`, else the one that `train` returns.

        What is new in the data is said, and added if that is asked for: tokens of the vocabulary that `train` returns,
        or of subwords the characters of `texts`. Raises InputError where the checkpoint has other units, unless
        `other_units`: then the vocabulary is new too.
        """
        if self.assets is None:
            return train()
        own = load_vocab(self.assets, name)
        if units_of(own) != units and other_units:
            return train()
        if units_of(own) != units:
            raise InputError(f"`units` must be those of the vocabulary in {self.assets}, {units_of(own)}, got {units}")
        if not self.init:
            return own
        what = "characters" if units == "subwords" else units
        what = what if name == units else f"{name} {what}"
        return extend_vocab(own, self.new(what, new_tokens(own, train, texts)))

    def new(self, what: str, tokens: Sequence[str]) -> Sequence[str]:
        """Those of `tokens`, which the first run does not know, that are to be added: all or none; says which."""
        if tokens:
            shown = ", ".join(map(repr, tokens[:SHOWN])) + ", …" * (len(tokens) > SHOWN)
            then = "added, with new weights" if self.extend_vocab else "unknown to the model; `extend_vocab` adds them"
            print0(f"{len(tokens):,} {what} are not in {self.init[0]}: {shown}: {then}")
        return tokens if self.extend_vocab else ()

    def initialize(self, model: nn.Module, *rows: Rows) -> None:
        """Log how large `model` is, and copy the weights of `init` into it; what was not copied is logged.

        rows: which weights have a row for every token of a vocabulary.
        """
        print0(f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} parameters to train")
        if self.init:
            print0(checkpoint.init_from(model, self.init, rows).text())


def vocab_rows(name: str, vocab: Vocab, *weights: str) -> Rows:
    """The rows that belong to tokens of `vocab`, which a checkpoint has under `name`: of all parameters of the modules
    called `weights`. Of other units only the special tokens are the same."""

    def tokens_in(folder: Path) -> Sequence[str]:
        other = load_vocab(folder, name)
        if units_of(other) == units_of(vocab):
            return _tokens(other)
        return [*SPECIALS, *[""] * (len(other) - len(SPECIALS))]

    return Rows(_tokens(vocab), tokens_in, weights)


def _tokens(vocab: Vocab) -> list[str]:
    return [vocab.token(i) for i in range(len(vocab))]


def check_origin(run: Path, recipes: Collection[str]) -> None:
    """Raise InputError where a run to begin with is of none of these recipes."""
    for path in (run_config(run), run_config(run.parent)):  # a checkpoint's folder is a run as well
        if path:
            other = read_values(path).get("recipe")
            if other and other not in recipes:
                raise InputError(f"`init` must be a run of {' or '.join(recipes)}, got {run}, a run of {other}")
            return
