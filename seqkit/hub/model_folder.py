"""A run as a flat folder, as repositories of the Hub are: config, weights, vocabularies and model card at its root."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch

from seqkit import __version__
from seqkit import recipe as recipes
from seqkit.config import fields_by_name, flatten, read_values
from seqkit.errors import InputError
from seqkit.find_run import CARD, FLAT, assets, config_of, parse_address
from seqkit.hub.card import CardOptions, model_card
from seqkit.recipe import SEARCH, read_config
from seqkit.tasks import find_recipe
from seqkit.train import checkpoint

NOT_SENT = ("average_of",)  # facts of a checkpoint that name folders of this machine


def write_model_folder(run: Path, out: Path, name: str, options: CardOptions) -> None:
    """Write to the new or empty folder `out` what repository `name` is to hold of a run, and load it once.

    Raises InputError for a run without `best/` and for a folder that is not empty.
    """
    path = config_of(run)
    best = checkpoint.find_checkpoint(run / "best")
    if best is None:
        raise InputError(f"{run}: must hold a best checkpoint, best/, got none: train first, or name another run")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"OUT must be a new or empty folder, got {out}, which is not")
    stored = read_values(path)
    recipe = find_recipe(str(stored.get("recipe", "")))
    values, lacking = portable(read_config(recipe, path))
    header = {"recipe": recipe.name, "seqkit": __version__, "data_sha256": stored.get("data_sha256")}
    config = {**{key: value for key, value in header.items() if value}, **values}
    meta = {key: value for key, value in checkpoint.read_meta(best).items() if key not in NOT_SENT}
    out.mkdir(parents=True, exist_ok=True)
    for source in assets(best):
        shutil.copyfile(source, out / source.name)
    if (best / checkpoint.WEIGHTS).is_file():
        shutil.copyfile(best / checkpoint.WEIGHTS, out / checkpoint.WEIGHTS)
    for place, facts in ((FLAT, config), (checkpoint.META, meta)):
        (out / place).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    recipes.load(recipe, [out], torch.device("cpu"), {})
    (out / CARD).write_text(model_card(run, out, name, stored, lacking, options), encoding="utf-8")


def portable(config: Any) -> tuple[dict[str, Any], list[str]]:
    """The fields of a config as JSON has them, for any machine, and the names of search options that were left out.

    Files and folders of this machine are null, or their last name where null is no value.
    """
    defaults, values = flatten(type(config)()), flatten(config)
    lacking = []
    for name, leaf in fields_by_name(type(config)).items():
        value = values[name]
        if value != defaults[name] and is_local(value, leaf.type):
            values[name] = None if type(None) in get_args(leaf.type) else Path(value).name
            lacking += [name] if leaf.path[0] == SEARCH else []
    return {name: plain(value) for name, value in values.items()}, lacking


def is_local(value: Any, kind: Any) -> bool:
    """Whether the value of a field is a path, or a text of any content that names one; addresses of the Hub are not."""
    if isinstance(value, str | Path) and parse_address(value):
        return False
    if isinstance(value, Path):
        return True
    free = str in (kind, *get_args(kind))
    return free and isinstance(value, str) and (os.sep in value or "/" in value or Path(value).exists())


def plain(value: Any) -> Any:
    """A value as JSON has it: tuples as lists, paths as text."""
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return value.as_posix() if isinstance(value, Path) else value
