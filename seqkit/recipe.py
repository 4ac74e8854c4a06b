"""What a recipe is, and the training, evaluation and prediction that all recipes share.

A recipe says what to train (`training_job`), how to read saved runs (`load`) and what to score (`evaluate`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from seqkit.config import fields_by_name, nearest, read_values, replace, update
from seqkit.data.batch import Data
from seqkit.data.files import PLOTS, check_without
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads, unread_remark
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.find_run import config_of, find_run
from seqkit.held_out import silently, with_loss
from seqkit.score.evaluate import Statistics
from seqkit.score.metric import AS_IT_IS, TextOptions
from seqkit.score.prediction import Prediction
from seqkit.score.report import Provenance, format_table, scored_items, write_report
from seqkit.share import alone, or_end
from seqkit.start import Start, check_origin
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group, rank
from seqkit.train.loop import Outcome, RunFolder, Validate, fit
from seqkit.train.run_folder import claim
from seqkit.train.state import Progress
from seqkit.train.step import Loss
from seqkit.unscored import Entry, is_unanswered, write_answers

SEARCH = "search"  # the section of a config whose fields `evaluate`, `predict` and `load` take too


@described
class Job(NamedTuple):
    """What `fit` is to train."""

    model: nn.Module
    loss: Loss
    data: Data
    validate: Validate
    save_assets: Callable[[Path], None]
    """writes what a checkpoint needs besides weights: vocabularies, input statistics"""
    optimizer: Optimizer | None = None
    """None: the config's, over all parameters"""
    metrics: Sequence[str] = ()
    """names of what `validate` returns; without them it runs once before the first step"""
    held_out: Callable[[], Data] | None = None
    """makes the batches of the validation set, whose `loss` is reported too; None: no loss"""


class SavedRun(NamedTuple):
    """A run to load: its config, with search options as asked for, its folder and its best checkpoint."""

    config: Any
    folder: Path
    checkpoint: Path


class Predictor(Protocol):
    """One run, or several whose probabilities are averaged; each recipe has a class of its own."""

    def parse(self, words: Sequence[str]) -> list[Any]:
        """The inputs that words of the command line stand for: by default each word is one."""
        return list(words)

    def predict(self, inputs: Sequence[Any], nbest: int) -> list[list[Prediction]]:
        """For each input its `nbest` predictions, best first. InputError names an input that is unusable."""

    def plot(self, given: Any, found: Sequence[Prediction], path: Path) -> None:
        """Draw, for one input and its predictions, what the model attended to: `path` is a .png; others beside it."""
        raise InputError("plots must not be asked for: this recipe draws none")


@described
class Evaluation(NamedTuple):
    """What was decoded of a split, and how it is to be scored."""

    items: Sequence[Item]
    predictions: Sequence[Prediction]
    metrics: Sequence[str] | Mapping[str, Statistics]
    """names, for texts to be compared with references; or statistics by name, for what is not compared"""
    by: Mapping[str, Sequence[str | None]] = {}
    """a breakdown's name to the group of every item"""
    conditions: Mapping[str, Mapping[str, Sequence[Prediction]]] = {}
    """a breakdown's name to the predictions of every group, such as those from noisy input"""
    parts: Mapping[str, Mapping[str, Sequence[tuple[Item, Prediction]]]] = {}
    """a breakdown's name to what is scored of every group, such as the words of one position, each as an item"""
    decode: Mapping[str, Any] = {}
    """facts of the search for the report"""
    options: TextOptions = AS_IT_IS
    finish: Callable[[Path, Mapping[str, Any]], str] | None = None
    """writes further files beside the report, given its folder and itself; returns more lines to print"""


@described
class Recipe(NamedTuple):
    """A task: its numbers, and the functions by which its commands differ."""

    name: str
    """the task's word on the command line"""
    config: type[Any]
    """a frozen dataclass with sections `training` and `search`; a string below each field gives unit and source"""
    presets: Mapping[str, Mapping[str, Any]]
    """a preset's name to the fields that it changes of the defaults"""
    training_job: Callable[[Any, Path, Start], Job | Outcome]
    """(config, data, start) to what is to be trained; an Outcome where no gradient is needed"""
    load: Callable[[Sequence[SavedRun], torch.device], Any]
    """saved runs to their Predictor"""
    evaluate: Callable[[Any, Path, str, Any], Evaluation]
    """(predictor, data, split, options) to what `evaluate` scores; options are of type `evaluation`"""
    reads: Reads | None = None
    """the keys of a manifest that it reads: for `train --help-all` and `seqkit check --recipe`"""
    answer: Callable[[Any, Path, str], tuple[Sequence[Item], Sequence[Prediction]]] | None = None
    """(predictor, data, split) to the items of a split without references, and what is predicted of each"""
    server_entry: Entry | None = None
    """an item's id and its prediction's text to what the task's evaluation server takes; None: there is none"""
    common: Sequence[str] = ()
    """the fields that `train --help` shows, at most 25"""
    variants: Mapping[str, Mapping[str, Any]] = {}
    """what `compare` trains side by side: a name to the fields that it changes"""
    synthetic: Callable[[], Path] | None = None
    """makes, or finds in the cache, the corpus of preset `tiny`"""
    inputs: str = "one input"
    """what one INPUT of `predict` is"""
    paired: bool = False
    """whether that is two words, a file and a text, which on standard input may stand on two lines"""
    one_by_one: bool = False
    """whether `predict` answers each input before it reads the next, as a recording may last hours"""
    evaluation: type[Any] | None = None
    """a frozen dataclass of options that `evaluate` alone takes"""
    prediction: type[Any] | None = None
    """a frozen dataclass of options that `predict` alone takes"""
    after_prediction: Callable[[Any, Sequence[Any], Sequence[Sequence[Prediction]]], None] | None = None
    """(options, inputs, predictions) to further files, such as subtitles; options are of type `prediction`"""
    shares: Sequence[str] = ()
    """other recipes whose runs a training may begin with, as parts of their models are the same"""
    plot_item: Callable[[Any, Item, Prediction, Path], None] | None = None
    """(predictor, item, prediction, .png): draws what was attended to of an item of a manifest"""
    line: Callable[[Prediction], str] = lambda prediction: prediction.text
    """how `predict` prints a prediction"""


def preset(recipe: Recipe, name: str) -> Any:
    """The config of a preset."""
    return replace(recipe.config(), recipe.presets[name])


def train(
    recipe: Recipe,
    config: Any,
    data: Path,
    run: RunFolder,
    *,
    init: Sequence[Path] = (),
    extend_vocab: bool = False,
    device: torch.device,
) -> Outcome:
    """Train as `config` says and leave the run in its folder.

    init: runs to begin with, weights of earlier ones first; the vocabulary and input statistics are the first one's.
    extend_vocab: what is new in the data is added to that vocabulary. Raises InputError for a run of a recipe that
    shares no part with this.
    """
    for other in init:
        check_origin(other, (recipe.name, *recipe.shares))
    with process_group(device) as device, claim(run.folder, resume=run.resume) as over:
        if over:
            print0(f"{run.folder}: finished, and cannot go on without its `last`: left as it is")
            return Outcome("already finished", Progress())
        last = checkpoint.find_checkpoint(run.folder / "last") if run.resume else None
        start = Start(device, run.folder, last)
        if init and not last:
            start = Start(device, run.folder, checkpoint.best_checkpoint(init[0]), init, extend_vocab)
        if recipe.reads and (remark := unread_remark(recipe.name, recipe.reads, data / "train.jsonl")):
            print0(remark)
        job = recipe.training_job(config, data, start)
        if isinstance(job, Outcome):
            if run.write_config and job.ending == "finished" and rank() == 0:
                run.write_config(run.folder)
            return job
        run, validate, metrics = run._replace(assets=job.save_assets), job.validate, job.metrics
        if job.held_out and (held_out := silently(job.held_out)):
            validate, metrics = with_loss(validate, job.loss, held_out, device), (*metrics, "loss") if metrics else ()
        what = job.model, job.loss, job.data, validate, config.training, run, job.optimizer
        return fit(*what, metrics=metrics, share_validation=True)


def read_config(recipe: Recipe, path: Path) -> Any:
    """The config of a config.yaml; InputError where it is another recipe's."""
    return update(recipe.config(), path, read_recipe_values(recipe, path))


def read_recipe_values(recipe: Recipe, path: Path) -> dict[str, Any]:
    """All that a config.yaml says; InputError where it is another recipe's."""
    values = read_values(path)
    if values.get("recipe", recipe.name) != recipe.name:
        raise InputError(f"{path}: must be a config of {recipe.name}, got one of {values['recipe']}")
    return values


class TrainedRun(NamedTuple):
    """What `seqkit.load` returns: a run, or an ensemble, of whatever recipe, ready to use."""

    recipe: Recipe
    predictor: Predictor
    device: torch.device

    def predict(self, inputs: Sequence[Any], nbest: int = 1) -> list[list[Prediction]]:
        """For each input a list of its `nbest` predictions, best first.

        inputs: texts, paths of files, or pairs (path of an image, text). InputError names one that is unusable.
        """
        if isinstance(inputs, str | Path):
            raise InputError(f"`inputs` must be a list of inputs, got one, {str(inputs)!r}: put it in brackets")
        if nbest < 1:
            raise InputError(f"`nbest` must be at least 1, got {nbest}")
        return self.predictor.predict(inputs, nbest) if inputs else []

    def plot(self, inputs: Sequence[Any], folder: str | Path) -> None:
        """Draw what the model attends to for each input: 0001.png and so on, in a `folder` without others."""
        check_without(Path(folder), PLOTS, "`folder` must be a folder without pictures")
        for number, (given, found) in enumerate(zip(inputs, self.predict(inputs), strict=True), 1):
            self.predictor.plot(given, found, Path(folder) / f"{number:04}.png")

    def predict_each(self, inputs: Sequence[Any], nbest: int = 1) -> list[list[Prediction] | InputError]:
        """The same, with the error in the place of each input that is unusable, so that it costs no other."""
        try:
            return list(self.predict(inputs, nbest))
        except InputError as error:
            if len(inputs) == 1:
                return [error]
        half = len(inputs) // 2
        with alone():
            return self.predict_each(inputs[:half], nbest) + self.predict_each(inputs[half:], nbest)


def load(recipe: Recipe, runs: Sequence[Path], device: torch.device, search: Mapping[str, Any]) -> TrainedRun:
    """One run or an ensemble, in folders or of the Hub; `search`: search options. InputError where one is no run."""
    saved = []
    known = {name for name, leaf in fields_by_name(recipe.config).items() if leaf.path[0] == SEARCH}
    for name in search:
        if name not in known:
            raise InputError(f"`{name}` must be a search option of {recipe.name}{nearest(name, known)}")
    for run in map(find_run, runs):
        config = read_config(recipe, config_of(run))
        saved.append(SavedRun(replace(config, search), run, checkpoint.best_checkpoint(run)))
    with checkpoint.bounded_by([run.checkpoint for run in saved]):
        return TrainedRun(recipe, recipe.load(saved, device), device)


class EvaluationReport(NamedTuple):
    """The report of an evaluation: its folder, its text for a terminal, and how its texts were compared."""

    folder: Path
    summary: str
    options: TextOptions


def evaluate(
    run: TrainedRun, data: Path, split: str, options: Any, folder: Path, *, plots: bool = False
) -> EvaluationReport:
    """Decode and score a split and write the report to `folder`, with attention drawn into it for `plots`; a split
    without references is decoded alone. `options` are of the recipe's type `evaluation`."""
    began = time.monotonic()
    if run.recipe.answer and is_unanswered(data, split):
        answered = scored_items(*or_end(run.recipe.answer(run.predictor, data, split)))
        return EvaluationReport(folder, write_answers(folder, answered, run.recipe.server_entry), AS_IT_IS)
    found = or_end(run.recipe.evaluate(run.predictor, data, split, options))
    decode = {**found.decode, "seconds": time.monotonic() - began}
    source = data / f"{split}.jsonl" if data.is_dir() else data
    origin = folder.parent.parent if folder.parent.name == "evaluate" else None
    about = Provenance(run.recipe.name, split, source, str(run.device), decode, origin)
    conditions = {
        name: {group: scored_items(found.items, predictions) for group, predictions in groups.items()}
        for name, groups in found.conditions.items()
    }
    for name, parts in found.parts.items():
        conditions[name] = {group: scored_items(*zip(*some, strict=True)) for group, some in parts.items()}
    draw = partial(run.recipe.plot_item, run.predictor) if plots and run.recipe.plot_item else None
    report = write_report(
        folder,
        scored_items(found.items, found.predictions, draw=draw),
        found.metrics,
        about,
        by=found.by,
        conditions=conditions,
        options=found.options,
    )
    more = found.finish(folder, report) if found.finish else ""
    summary = "\n\n".join(part for part in (format_table(report), more, str(folder / "report.html")) if part)
    return EvaluationReport(folder, summary, found.options)
