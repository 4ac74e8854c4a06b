"""seqkit: recurrent encoder-decoders with attention, for text, images, video and sound."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

__version__ = "0.2.0"


def load(runs: str | PathLike[str] | Sequence[str | PathLike[str]], *, device: str = "auto", **search: Any) -> Any:
    """A trained run, or an ensemble of several of one recipe, ready to predict.

    runs: the run's folder, or `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION` of the Hub, or several whose
    probabilities are averaged. device: auto, cpu, cuda or mps. search: fields of the recipe's search options, such as
    `beam=1`. Returns a `seqkit.recipe.Predictor`: `predict(inputs, nbest=1)`
    gives for each text, path or (image path, text) pair a list of `nbest` predictions with `text`, `logprob` in nats,
    `score` and, where they exist, `words` with times, `box` and `probability`; `plot(inputs, folder)` draws what was
    attended to. Raises InputError, a ValueError, where a folder is no run.
    """
    from seqkit import recipe as recipes
    from seqkit.config import read_values
    from seqkit.errors import InputError
    from seqkit.find_run import config_of, find_run
    from seqkit.flags import pick_device
    from seqkit.tasks import find_recipe

    folders = [find_run(run) for run in ([runs] if isinstance(runs, str | PathLike) else runs)]
    if not folders:
        raise InputError("`runs` must be the folder of a run, or several, got none")
    recipe = find_recipe(str(read_values(config_of(folders[0], "`runs`")).get("recipe", "")))
    return recipes.load(recipe, folders, pick_device(device), search)
