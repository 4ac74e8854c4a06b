"""Checkpoints: folders that are complete at every instant, and the weights in them.

A checkpoint is a plain folder (`best`, `last`) with `model.safetensors`, `meta.json`, whatever the recipe adds, and in
`last` the `training.pt` that a resumed run needs. It is written as NAME.part, forced to the disk and renamed NAME.new;
then the old one is renamed NAME.old and the new one NAME. Wherever a process is killed, NAME is complete, or it is
missing for the moment and NAME.new is complete: `find_checkpoint` returns the one that is.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.data.files import strict_json
from seqkit.described import described
from seqkit.errors import InputError

WEIGHTS, META, TRAINING = "model.safetensors", "meta.json", "training.pt"
# bytes more than its file, and times as many, that a model may take while it is made: the largest published CNN,
# VGG with 553 MB, is made whole before what a recipe does not use of it is dropped
SLACK, SLACK_RATIO = 600 * 10**6, 4
MOST_WEIGHTS = 20_000  # arrays of a model's weights, of which the largest published CNN has some hundred


def find_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint at `folder` or beside it, or None if there is none."""
    return next((path for path in (folder, _beside(folder, "new")) if (path / META).is_file()), None)


def recover(folder: Path) -> None:
    """Move a complete checkpoint that a killed process left beside `folder` to its place; delete incomplete ones."""
    if find_checkpoint(folder) == _beside(folder, "new"):
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(_beside(folder, "new"), folder)
    for ending in ("part", "new", "old"):
        shutil.rmtree(_beside(folder, ending), ignore_errors=True)


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace `folder` atomically by a new one that `write` fills; if `write` fails, it stays as it was."""
    recover(folder)
    part, new, old = (_beside(folder, ending) for ending in ("part", "new", "old"))
    part.mkdir(parents=True)
    try:
        write(part)
        for path in [*part.rglob("*"), part]:
            _sync(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    os.rename(part, new)
    if folder.exists():
        os.rename(folder, old)
    os.rename(new, folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_model(folder: Path, model: nn.Module, meta: dict[str, Any]) -> None:
    """Write `model.safetensors` and `meta.json`."""
    write_weights(folder, model.state_dict(), meta)


def write_weights(folder: Path, weights: Mapping[str, Tensor], meta: dict[str, Any]) -> None:
    """The same for weights by name; tied ones are stored once, under their first name."""
    from safetensors.torch import save

    first: dict[tuple[Any, ...], str] = {}
    tied, tensors = {}, {}
    for name, tensor in weights.items():
        same = first.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,), name)
        if same != name:
            tied[name] = same
        else:
            tensors[name] = tensor.detach().cpu().contiguous()
    (folder / WEIGHTS).write_bytes(save(tensors, {"tied": json.dumps(tied)}))
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a checkpoint by name, on the CPU. Raises InputError if there is none or it is damaged."""
    from safetensors import SafetensorError, safe_open

    path = _whole(folder) / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            tied: dict[str, str] = json.loads((file.metadata() or {}).get("tied", "{}"))
        weights = tensors | {name: tensors[same] for name, same in tied.items()}
    except (SafetensorError, OSError, ValueError, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: must be the weights of a run: {error}") from error
    check_finite(path, tensors)
    return weights


def check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raise InputError, naming the file, where a weight is NaN or infinite."""
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise InputError(f"{path}: every weight must be a finite number, got others in `{name}`; fetch it again")


def read_meta(folder: Path) -> dict[str, Any]:
    """Read `meta.json` of a checkpoint: step, epoch, metrics, seconds. Raises InputError as `read_weights` does."""
    path = _whole(folder) / META
    try:
        meta = strict_json(path.read_bytes())
        if not isinstance(meta, dict):
            raise ValueError(f"a {type(meta).__name__}")
        return meta
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: must be the facts of a checkpoint in JSON: {error}") from error


def _whole(folder: Path) -> Path:
    whole = find_checkpoint(folder)
    if whole is None:
        raise InputError(f"{folder}: must be a checkpoint with {WEIGHTS} and {META}: train first, or name another run")
    return whole


@described
class LoadReport(NamedTuple):
    """Names of weights by what became of them."""

    loaded: list[str]
    missing: list[str]
    """in the model, but not in the file"""
    unexpected: list[str]
    """in the file, but not in the model"""
    mismatched: list[str]
    """in both, with different shapes: not loaded"""
    partial: dict[str, tuple[int, int]] = {}
    """loaded row by row: how many rows of how many are the file's"""

    def text(self) -> str:
        """One line of counts, and one per kind of weight that was not loaded."""
        lines = [f"{len(self.loaded)} weights loaded, {len(self.missing) + len(self.mismatched)} left as they were"]
        if self.partial:
            rows = (f"{name} {count:,} of {size:,}" for name, (count, size) in self.partial.items())
            lines.append(f"rows matched by token, the others as they were: {', '.join(rows)}")
        return "\n".join(lines + self._failures())

    def _failures(self) -> list[str]:
        kinds = (
            ("not in the file", self.missing),
            ("not in the model", self.unexpected),
            ("other shape", self.mismatched),
        )
        return [f"{kind}: {', '.join(names)}" for kind, names in kinds if names]


def load_weights(model: nn.Module, folder: Path, *, submodule: str = "") -> None:
    """Load all weights of a checkpoint such as RUN/best, or of a `submodule` in it, into `model`. Raises InputError
    where any name or shape differs.
    """
    prefix = submodule and f"{submodule}."
    weights = {name.removeprefix(prefix): w for name, w in read_weights(folder).items() if name.startswith(prefix)}
    report = load_matching(model, weights)
    if any(report[1:]):
        raise InputError(
            f"{folder}: must hold the weights of this {submodule or 'model'}, got {'; '.join(report._failures())}"
        )


@contextmanager
def bounded_by(folders: Sequence[Path]) -> Iterator[None]:
    """Within the block, raise InputError as soon as models are made that need many more weights than these checkpoints
    have: a config that is damaged fills no memory."""
    files = [folder / WEIGHTS for folder in folders]
    most, total, number = SLACK + SLACK_RATIO * sum(file.stat().st_size for file in files if file.is_file()), 0, 0
    refusal = f"{folders[0]}: must have as many weights as its config.yaml asks for, got fewer; restore that file"

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total, number
        total += 0 if parameter is None else parameter.numel() * parameter.element_size()
        number += parameter is not None
        if total > most or number > MOST_WEIGHTS * len(folders):
            raise InputError(refusal)

    handle = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "alloc" in str(error) or "overflow" in str(error):
            raise InputError(refusal) from None
        raise
    finally:
        handle.remove()


def best_checkpoint(run: Path) -> Path:
    """The best checkpoint of a run: `best`, else `last`; `run` may itself be a checkpoint. Raises InputError if there
    is none."""
    for place in (run, run / "best", run / "last"):
        if whole := find_checkpoint(place):
            return whole
    raise InputError(f"{run}: must hold a checkpoint, best/ or last/, got none: train first, or name another run")


@described
class Rows(NamedTuple):
    """A vocabulary, and the weights whose first dimension it numbers."""

    tokens: Sequence[str]
    """of the model, in the order of its rows"""
    tokens_in: Callable[[Path], Sequence[str]]
    """the same of another run, given its checkpoint; an empty text is no token"""
    weights: Sequence[str]
    """names of weights, or of modules"""


def init_from(model: nn.Module, runs: Sequence[Path], rows: Sequence[Rows] = ()) -> LoadReport:
    """Load the weights of other runs that match by name and shape, or row by row; earlier runs take precedence. Raises
    InputError for a run without a checkpoint."""
    weights: dict[str, Tensor] = {}
    partial: dict[str, tuple[int, int]] = {}
    for run in runs:
        folder = best_checkpoint(run)
        fresh = {name: weight for name, weight in read_weights(folder).items() if name not in weights}
        for own in rows:
            partial |= match_rows(model, fresh, own, folder)
        weights |= fresh
    return load_matching(model, weights)._replace(partial=partial)


def match_rows(model: nn.Module, weights: dict[str, Tensor], rows: Rows, folder: Path) -> dict[str, tuple[int, int]]:
    """Put the rows of a run's `weights` where the model has their tokens, and its own rows where the run lacks a token.

    Returns the names of weights that are not wholly the run's, with the numbers of rows that are and of all.
    """
    own, found = model.state_dict(), dict[str, tuple[int, int]]()
    inside = tuple(f"{name}." for name in rows.weights)
    names = [name for name in own if name in weights and (name in rows.weights or name.startswith(inside))]
    tokens = rows.tokens_in(folder) if names else ()
    theirs = {token: i for i, token in enumerate(tokens) if token}
    pairs = [(i, theirs[token]) for i, token in enumerate(rows.tokens) if token in theirs]
    for name in names:
        weight, given = own[name].clone(), weights[name]
        if weight.shape[1:] == given.shape[1:] and len(given) == len(tokens):
            mine, its = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
            weight[mine.to(weight.device)] = given[its].to(weight)
            weights[name] = weight
            if len(pairs) < len(weight):
                found[name] = len(pairs), len(weight)
    return found


@torch.no_grad()
def load_matching(model: nn.Module, weights: dict[str, Tensor]) -> LoadReport:
    """Copy `weights` into the model where name and shape match."""
    own = model.state_dict()
    both = [name for name in own if name in weights]
    loaded = [name for name in both if own[name].shape == weights[name].shape]
    for name in loaded:
        own[name].copy_(weights[name])
    return LoadReport(
        loaded,
        [name for name in own if name not in weights],
        [name for name in weights if name not in own],
        [name for name in both if own[name].shape != weights[name].shape],
    )


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")


def _sync(path: Path) -> None:
    """Force a file or folder to the disk; Windows opens no folder, and keeps names by itself."""
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
