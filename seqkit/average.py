"""The mean of the weights of several runs or checkpoints, as a run of its own.

Checkpoints of one training, or runs that began with the same weights (`--init`), lie close enough for their mean to be
better than each (Vaswani et al. 2017, arXiv:1706.03762, section 6.1; Wortsman et al. 2022, arXiv:2203.05482). Runs that
began apart do not: those make an ensemble.

    seqkit average RUN RUN … OUT
    seqkit average RUN/best RUN/last OUT
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqkit.config import fields_by_name, flatten, read_values, save_config, update
from seqkit.errors import InputError
from seqkit.find_run import CARD, FLAT, find_run, run_config
from seqkit.tasks import find_recipe
from seqkit.train import checkpoint
from seqkit.train.run_folder import WRITTEN

FREE = ("training", "search", "text", "objective", "batch", "curriculum", "modality_dropout")
"""sections of a config that do not say what a trained model computes, the first run's are kept …"""
BOUND = ("normalize", "max_question")
"""… but for these of their fields"""
FREE_FIELDS = ("cache", "unfreeze_from", "unfreeze_lr", "weights")
LANGUAGE_MODEL = ".ngram"  # of a run's training text; the first run's is kept
COUNTER = "num_batches_tracked"


def average(runs: Sequence[Path], out: Path) -> None:
    """Write the mean of the runs' weights to the folder `out`. Raises InputError where the runs differ in more than
    their training, and where `out` holds a run."""
    if len(runs) < 2:
        raise InputError(f"RUN … must be two or more runs or checkpoints before OUT, got {len(runs)}")
    if taken := next((name for name in WRITTEN if (out / name).exists()), None):
        raise InputError(f"{out}: must be a new folder, got one that holds {taken}: choose another folder")
    runs = [find_run(run) for run in runs]
    configs = [config_of(run) for run in runs]
    folders = [checkpoint.best_checkpoint(run) for run in runs]
    for run, folder, config in zip(runs[1:], folders[1:], configs[1:], strict=True):
        check_alike(runs[0], configs[0], run, config)
        check_assets(folders[0], folder)
    weights = mean_weights(folders)
    meta = {**checkpoint.read_meta(folders[0]), "metrics": {}, "average_of": [str(folder) for folder in folders]}

    def write(part: Path) -> None:
        for path in assets(folders[0]):
            shutil.copy(path, part)
        checkpoint.write_weights(part, weights, meta)

    checkpoint.replace_folder(out / "best", write)
    if (path := config_path(runs[0])).suffix == ".yaml":
        shutil.copy(path, out / "config.yaml")
    else:
        save_config(configs[0][1], out / "config.yaml", recipe=configs[0][0])


def mean_weights(folders: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of every weight; tied weights stay tied. What is no floating-point number must be the same in all."""
    first, *others = (checkpoint.read_weights(folder) for folder in folders)
    found: dict[int, Tensor] = {}
    for name, weight in first.items():
        same = [own.get(name) for own in others]
        for folder, own in zip(folders[1:], same, strict=True):
            if own is None or own.shape != weight.shape:
                raise InputError(f"{folder}: must have the weights of {folders[0]}, got another `{name}`")
            if not weight.is_floating_point() and not name.endswith(COUNTER) and not torch.equal(own, weight):
                raise InputError(f"{folder}: `{name}` must be that of {folders[0]}, which has no mean with another")
        if id(weight) not in found:
            tensors = [weight, *(own for own in same if own is not None)]
            mean = torch.stack([own.double() for own in tensors]).mean(0).to(weight.dtype)
            found[id(weight)] = mean if weight.is_floating_point() else weight
    return {name: found[id(weight)] for name, weight in first.items()}


def config_path(run: Path) -> Path:
    """The config.yaml of a run, or of the run that a checkpoint lies in."""
    for path in (run_config(run), run_config(run.parent)):
        if path:
            return path
    raise InputError(f"RUN must be a trained run or a checkpoint in one, got {run}, which has no config.yaml")


def config_of(run: Path) -> tuple[str, Any]:
    """A run's recipe and config."""
    values = read_values(path := config_path(run))
    if "recipe" not in values:
        raise InputError(f"{path}: must name its `recipe`, got none")
    recipe = find_recipe(str(values["recipe"]))
    return recipe.name, update(recipe.config(), path, values)


def check_alike(first: Path, config: tuple[str, Any], run: Path, other: tuple[str, Any]) -> None:
    """Raise InputError where two runs have no common mean."""
    if config[0] != other[0]:
        raise InputError(f"{run}: must be a run of {config[0]}, as {first} is, got one of {other[0]}")
    mine, theirs = flatten(config[1]), flatten(other[1])
    for name, leaf in fields_by_name(type(config[1])).items():
        free = (leaf.path[0] in FREE and name not in BOUND) or name in FREE_FIELDS
        if mine[name] != theirs[name] and not free:
            raise InputError(f"{run}: `{name}` must be that of {first}, {mine[name]}, got {theirs[name]}")


def assets(folder: Path) -> list[Path]:
    """The files of a checkpoint beside its weights: vocabularies, input statistics."""
    own = (checkpoint.WEIGHTS, checkpoint.META, checkpoint.TRAINING, FLAT, CARD)
    return sorted(path for path in folder.iterdir() if path.name not in own and not path.name.startswith("."))


def check_assets(first: Path, folder: Path) -> None:
    """Raise InputError where two checkpoints have different vocabularies or input statistics."""
    mine, theirs = ({path.name: path.read_bytes() for path in assets(own)} for own in (first, folder))
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name) and not name.endswith(LANGUAGE_MODEL):
            raise InputError(f"{folder}: `{name}` must be that of {first}, got another: go on from one run by `init`")
