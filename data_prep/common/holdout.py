"""Held-out validation data where none was published: a choice by hash, the same on every machine and in any order."""

import hashlib
from collections.abc import Iterable

from seqkit.errors import InputError
from seqkit.flags import Parser


def stable_hash(text: str) -> bytes:
    """The same for ever, on every machine; sorting by it is shuffling by a fixed seed."""
    return hashlib.sha256(text.encode()).digest()


def held_out(names: Iterable[str], number: int, seed: int | None = None) -> set[str]:
    """`number` of the names, always the same ones whatever their order."""
    prefix = "" if seed is None else f"{seed} "
    return set(sorted(names, key=lambda name: stable_hash(prefix + name))[:number])


def holdout_size(val_size: float, total: int, unit: str) -> int:
    """How many of `total` the flag --val_size asks for. Raises InputError where nothing would be left for training."""
    if not 0 <= val_size < max(1, total) or (val_size > 1 and val_size % 1):
        raise InputError(
            f"--val_size must be a share below 1 or a whole number below that of the {unit}, {total}, got {val_size:g}"
        )
    return int(val_size * total if val_size < 1 else val_size)


def chosen_val_size(val_size: float | None, split: str | None, default: float) -> float:
    """The value of --val_size, or its default. Raises InputError where --split is given too."""
    if split and val_size is not None:
        raise InputError("--val_size must be given without --split, which makes one split of all, got both")
    return default if val_size is None else val_size


def add_val_size(parser: Parser, unit: str, default: float, note: str = "") -> None:
    """The flag --val_size; its value is None where it is not given."""
    parser.add_argument(
        "--val_size",
        type=float,
        metavar="SHARE|N",
        help=f"{unit} held out as val, as a share below 1 or a number{note} (default: {default:g})",
    )
