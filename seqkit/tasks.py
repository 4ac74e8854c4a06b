"""The tables of tasks and corpora: a word of the command line to the module that holds it.

The one place where the library names what stands above it; modules are imported when they are asked for.
"""

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from seqkit.described import described
from seqkit.errors import InputError

if TYPE_CHECKING:
    from seqkit.recipe import Recipe


@described
class Entry(NamedTuple):
    """One word of the command line."""

    module: str
    about: str
    example: str = ""
    pipeline: str = ""
    """what the Hugging Face Hub calls the task, or the nearest that it knows"""
    inputs: str = ""
    """what `predict` takes from Python"""


SPEECH = "automatic-speech-recognition"
TASKS = {
    "translation": Entry(
        "translation.recipe", "text to text", 'predict --run RUN "A dog runs."', "translation", '["A dog runs."]'
    ),
    "captioning": Entry(
        "captioning.recipe", "images to text", "predict --run RUN dog.jpg", "image-to-text", '["dog.jpg"]'
    ),
    "vqa": Entry(
        "vqa.recipe",
        "questions about images",
        'predict --run RUN dog.jpg "who runs?"',
        "visual-question-answering",
        '[("dog.jpg", "who runs?")]',
    ),
    "grounding": Entry(
        "grounding.recipe",
        "phrases to image boxes",
        'predict --run RUN dog.jpg "the dog"',
        "zero-shot-object-detection",
        '[("dog.jpg", "the dog")]',
    ),
    "lipnet": Entry("lipreading.lipnet", "lips to text, by CTC", "train --data DIR --out RUN", SPEECH, '["face.mp4"]'),
    "wlas": Entry("lipreading.wlas", "lips, sound or both", "evaluate --run RUN --split val", SPEECH, '["face.mp4"]'),
    "language_model": Entry(
        "language_model.recipe",
        "probabilities of text",
        "train --data DIR --out RUN",
        "text-generation",
        '["A dog runs."]',
    ),
}

CORPORA = {
    "multi30k": Entry("translation.multi30k", "Multi30k, any two of its languages"),
    "wmt": Entry("translation.wmt", "any parallel text: two files, one sentence a line"),
    "flickr8k": Entry("captioning.flickr8k", "Flickr8k"),
    "coco": Entry("captioning.coco", "MS COCO captions, and Karpathy's splits"),
    "daquar": Entry("vqa.daquar", "DAQUAR"),
    "vqa2": Entry("vqa.vqa2", "VQA v1 and v2"),
    "referit": Entry("grounding.referit", "Flickr30k Entities, ReferIt and RefCOCO"),
    "grid": Entry("lipreading.grid", "GRID: talking faces to mouth clips"),
    "check_grid": Entry("lipreading.check_grid", "what is wrong with a copy of GRID"),
    "grid_landmarks": Entry("lipreading.grid_landmarks", "lip points of all of GRID"),
    "lrs": Entry("lipreading.lrs", "LRS2 and LRS3"),
    "an4": Entry("lipreading.an4", "AN4: spelled letters and digits"),
    "videos": Entry("own.videos", "own videos of faces, with texts beside them"),
    "sounds": Entry("own.sounds", "own sound with texts, or a Kaldi folder"),
    "pictures": Entry("own.pictures", "own pictures with captions"),
    "pairs": Entry("own.pairs", "own texts: two files that are translations of each other"),
    "table": Entry("own.table", "own tables of any task: CSV, JSON, Parquet, Hugging Face"),
    "synthetic": Entry("synthetic.corpora", "corpora made by rule, for any task"),
}

SHARED = (  # corpora whose preparation decodes media, of which `--shard` computes a part
    *("flickr8k", "coco", "daquar", "vqa2", "referit", "grid", "check_grid", "lrs", "videos", "pictures"),
)


def find_recipe(task: str) -> "Recipe":
    """The recipe of a task; InputError for a name that is none."""
    if task not in TASKS:
        raise InputError(f"the task must be one of {', '.join(TASKS)}, got {task!r}")
    recipe: Recipe = importlib.import_module(f"seqkit.recipes.{TASKS[task].module}").RECIPE
    return recipe


def command_of(task: str) -> str:
    """What starts a task's commands: its word after `seqkit`, or the file of a recipe of one's own."""
    return f"seqkit {task}" if task in TASKS else f"python {sys.argv[0]}"


def find_export(task: str) -> Callable[[Any, Any], Any]:
    """What a task exports, of a predictor and a config: the function of its name in its recipe's `export.py`."""
    module = importlib.import_module(f"seqkit.recipes.{TASKS[task].module.partition('.')[0]}.export")
    found: Callable[[Any, Any], Any] = getattr(module, task)
    return found


def find_corpus(name: str) -> Any:
    """The module that prepares a corpus."""
    return importlib.import_module(f"seqkit.data_prep.{CORPORA[name].module}")
