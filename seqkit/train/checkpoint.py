"""Folders that are whole at every instant, and the weights in them.

A checkpoint is a plain folder (`best`, `last`) with `model.safetensors`, `meta.json`, whatever the recipe adds, and in
`last` the `training.pt` that a resumed run needs. It is written beside its place as NAME.part, forced to the disk,
renamed NAME.new, and only then takes the place of the old one, which steps aside as NAME.old. So wherever a process is
killed, NAME is whole, or it is missing for the moment and NAME.new is whole: `find` returns the one that is.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.errors import InputError

WEIGHTS, META, TRAINING = "model.safetensors", "meta.json", "training.pt"


def find(folder: Path) -> Path | None:
    """The whole checkpoint that stands for `folder`, or None where there is none."""
    return next((path for path in (folder, _beside(folder, "new")) if (path / META).is_file()), None)


def recover(folder: Path) -> None:
    """Put in its place what a killed process left beside `folder`, and remove the rest of it."""
    if find(folder) == _beside(folder, "new"):
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(_beside(folder, "new"), folder)
    for ending in ("part", "new", "old"):
        shutil.rmtree(_beside(folder, ending), ignore_errors=True)


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder and put it in the place of `folder`, or leave that as it was if `write` fails."""
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
    """`model.safetensors` and `meta.json`; weights that share memory are stored once, under their first name."""
    from safetensors.torch import save

    first: dict[tuple[Any, ...], str] = {}
    tied, tensors = {}, {}
    for name, tensor in model.state_dict().items():
        same = first.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,), name)
        if same != name:
            tied[name] = same
        else:
            tensors[name] = tensor.detach().cpu().contiguous()
    (folder / WEIGHTS).write_bytes(save(tensors, {"tied": json.dumps(tied)}))
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every weight of a checkpoint by name, on the CPU; InputError where there is no checkpoint or it is damaged."""
    from safetensors import SafetensorError, safe_open

    whole = find(folder)
    if whole is None:
        raise InputError(f"{folder}: must be a checkpoint with {WEIGHTS} and {META}: train first, or name another run")
    try:
        with safe_open(whole / WEIGHTS, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            tied: dict[str, str] = json.loads((file.metadata() or {}).get("tied", "{}"))
    except (SafetensorError, FileNotFoundError) as error:
        raise InputError(f"{whole / WEIGHTS}: must be the weights of a run: {error}") from error
    return tensors | {name: tensors[same] for name, same in tied.items()}


def read_meta(folder: Path) -> dict[str, Any]:
    """`meta.json` of a checkpoint: step, epoch, metrics, seconds."""
    whole = find(folder)
    if whole is None:
        raise InputError(f"{folder}: must be a checkpoint with {WEIGHTS} and {META}: train first, or name another run")
    meta: dict[str, Any] = json.loads((whole / META).read_text(encoding="utf-8"))
    return meta


class LoadReport(NamedTuple):
    """The names of a model's weights, and of those it was filled from."""

    loaded: list[str]
    missing: list[str]
    """in the model, but not in the file"""
    unexpected: list[str]
    """in the file, but not in the model"""
    reshaped: list[str]
    """in both with different shapes: left as the model had it"""

    def text(self) -> str:
        """A line of counts, and one for every kind of name that was not loaded."""
        lines = [f"{len(self.loaded)} weights loaded, {len(self.missing) + len(self.reshaped)} left as they were"]
        return "\n".join(lines + self._failures())

    def _failures(self) -> list[str]:
        kinds = ("not in the file", self.missing), ("not in the model", self.unexpected), ("other shape", self.reshaped)
        return [f"{kind}: {', '.join(names)}" for kind, names in kinds if names]


def load_weights(model: nn.Module, folder: Path, *, part: str = "") -> None:
    """Fill `model` from a checkpoint such as RUN/best, or from that `part` of what is in it; InputError where any name
    or shape differs.
    """
    prefix = part and f"{part}."
    weights = {name.removeprefix(prefix): w for name, w in read_weights(folder).items() if name.startswith(prefix)}
    filled = load_matching(model, weights)
    if any(filled[1:]):
        raise InputError(
            f"{folder}: must hold the weights of this {part or 'model'}, got {'; '.join(filled._failures())}"
        )


def best_of(run: Path) -> Path:
    """The checkpoint that speaks for a run: its `best` or else its `last`; `run` itself may be one. Raises InputError
    where there is none."""
    for place in (run, run / "best", run / "last"):
        if whole := find(place):
            return whole
    raise InputError(f"{run}: must hold a checkpoint, best/ or last/, got none: train first, or name another run")


def init_from(model: nn.Module, runs: Sequence[Path]) -> LoadReport:
    """Fill `model` with the weights of runs that fit by name and shape; where several have one of a name, the first
    gives it. Raises InputError for a run that has none."""
    weights: dict[str, Tensor] = {}
    for run in runs:
        weights = read_weights(best_of(run)) | weights
    return load_matching(model, weights)


@torch.no_grad()
def load_matching(model: nn.Module, weights: dict[str, Tensor]) -> LoadReport:
    """Copy `weights` into the model's own where name and shape are the same."""
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
    """Force a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
