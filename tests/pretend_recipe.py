"""A recipe that trains nothing and echoes its inputs, so that the commands are tested alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from seqkit.data.manifest import Item, read_manifest
from seqkit.errors import InputError
from seqkit.recipe import Evaluation, Job, Recipe, SavedRun
from seqkit.score.prediction import Prediction
from seqkit.start import Start
from seqkit.train.loop import Outcome
from seqkit.train.state import Progress


@dataclass(frozen=True)
class TrainingConfig:
    steps: int = 1000
    """updates in all"""
    learning_rate: float = 1e-3
    """step size (Kingma & Ba 2015)"""


@dataclass(frozen=True)
class Search:
    beam: int = 5
    """hypotheses kept a sentence"""
    penalty: Literal["wu"] | None = None
    """of length (Wu et al. 2016, equation 14)"""


@dataclass(frozen=True)
class Config:
    hidden: int = 512
    """units of a layer, 100% of them"""
    sizes: tuple[int, ...] = (3, 5)
    """kernels"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    search: Search = field(default_factory=Search)


@dataclass(frozen=True)
class EvaluationOptions:
    snr: tuple[float, ...] = ()
    """signal-to-noise ratios in dB"""


@dataclass(frozen=True)
class PredictionOptions:
    subtitles: Path | None = None
    """folder for subtitles"""


TINY = Config(hidden=8, training=TrainingConfig(steps=20))


class Echo(NamedTuple):
    """Says of how many runs it is made, its beam and its input; `bad` is unusable."""

    members: int
    search: Search

    def parse(self, words: Sequence[str]) -> list[str]:
        return list(words)

    def predict(self, inputs: Sequence[str], nbest: int = 1) -> list[list[Prediction]]:
        if self.search.beam < 0:
            raise InputError(f"`beam` must be at least 0, got {self.search.beam}")
        for text in inputs:
            if "bad" in text:
                raise InputError(f"{text}: must be good")
        texts = [f"{self.members} {self.search.beam} {text}" for text in inputs]
        return [[Prediction(text, -3.0 - n, -1.0 - 1.5 * n) for n in range(nbest)] for text in texts]

    def plot(self, given: str, found: Sequence[Prediction], path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{given}: {found[0].text}")


def pretend(made: Path, calls: list[tuple[Any, ...]]) -> Recipe:
    """The recipe; `made` is its synthetic corpus, and `calls` gets what reaches its functions."""

    def training_job(config: Config, data: Path, start: Start) -> Job | Outcome:
        calls.append((config, data, start))
        return Outcome("finished", Progress())

    def load(runs: Sequence[SavedRun], device: torch.device) -> Echo:
        calls.append((runs, device))
        return Echo(len(runs), runs[0].config.search)

    def evaluate(predictor: Echo, data: Path, split: str, options: EvaluationOptions) -> Evaluation:
        calls.append((predictor, data, split, options))
        items = read_manifest(data / f"{split}.jsonl")
        predictions = [best for best, *_ in predictor.predict([item.references[0] for item in items])]
        return Evaluation(items, predictions, ["wer"], decode={"beam": predictor.search.beam})

    def write_subtitles(
        options: PredictionOptions, inputs: Sequence[str], found: Sequence[Sequence[Prediction]]
    ) -> None:
        calls.append((options, inputs, found))

    return Recipe(
        "pretend",
        Config,
        presets={"small": {}, "tiny": {"hidden": 8, "steps": 20}},
        training_job=training_job,
        load=load,
        evaluate=evaluate,
        common=("hidden", "steps", "beam"),
        synthetic=lambda: made,
        evaluation=EvaluationOptions,
        prediction=PredictionOptions,
        after_prediction=write_subtitles,
    )


def checkpoint(run: Path, name: str) -> Path:
    """A checkpoint that is complete, and empty."""
    (run / name).mkdir(parents=True)
    (run / name / "meta.json").write_text("{}")
    return run / name


def corpus(folder: Path, split: str, texts: Sequence[str]) -> Path:
    """A folder with a manifest of texts."""
    from seqkit.data.manifest import write_manifest

    items = (Item(id=str(place), references=(text,)) for place, text in enumerate(texts))
    write_manifest(folder / f"{split}.jsonl", items)
    return folder


Run = Callable[..., tuple[int, list[tuple[Any, ...]], str]]
