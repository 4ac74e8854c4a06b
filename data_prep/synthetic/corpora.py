"""Synthetic corpora made by rule, so that every recipe runs with nothing downloaded.

    seqkit prepare synthetic --task TASK --out DIR [--items N] [--seed N]

Writes `train.jsonl`, `val.jsonl`, `test.jsonl`, `stats.json`, and images, videos and sounds beside them. By task:

translation: English into an invented language that no word-by-word model can write. The verb stands last and agrees
with its subject; adjective and numeral follow the noun, the adjective with its gender and number; prepositions follow
their noun phrase; an adverb of time leaves the front for the place before the verb.

captioning: drawn scenes, five true captions each; an item's `scene` says what is in it.

vqa: scenes of things in the cells of a grid, each with one question: for the color of a shape, the shape of a color,
whether there is such a thing. vqa_free: things anywhere and of any size; questions for numbers, positions and relations
too.

grounding: scenes with a phrase for one of their things and candidate boxes. The `chance` in `stats.json` is the
accuracy, in percent, of a model that sees only the question, or only the image.

lipreading: drawn mouths that speak, and their sound, six words a sentence. lipreading_short: small ones, and three
words that lips tell apart (at most 800 items).
"""

import hashlib
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.outputs import write_stats
from seqkit.data_prep.grounding import proposals
from seqkit.data_prep.synthetic import scene_phrases, scene_questions, scenes
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

NOUNS = [
    "dog",
    "cat",
    "bird",
    "horse",
    "boy",
    "girl",
    "farmer",
    "teacher",
    "singer",
    "sailor",
    "tree",
    "house",
    "river",
    "boat",
    "ball",
    "book",
    "hat",
    "table",
    "garden",
    "bridge",
]
ADJECTIVES = ["small", "big", "old", "young", "red", "green", "blue", "white", "quiet", "quick", "tired", "happy"]
VERBS = ["see", "find", "follow", "paint", "like", "help", "lift", "clean", "hear", "pull"]
PREPOSITIONS = ["near", "behind", "under", "with", "before", "beside"]
ADVERBS = ["today", "yesterday", "often", "now"]
NUMERALS = ["two", "three", "four", "five", "six"]

_SYLLABLES = [consonant + vowel for vowel in "aeiou" for consonant in "ptkbdgmnlrsv"]
# 17 and 60 have no common factor: every word's root begins with another syllable.
ROOTS = {
    word: _SYLLABLES[i * 17 % 60] + _SYLLABLES[(i * 23 + 11) % 60][0]
    for i, word in enumerate([*NOUNS, *ADJECTIVES, *VERBS, *PREPOSITIONS, *ADVERBS, *NUMERALS])
}
GENDERS = {noun: "ao"[i % 2] for i, noun in enumerate(NOUNS)}

Phrase = tuple[list[str], list[str]]  # English words, invented words
T = TypeVar("T")
EASY = ("colour", "shape", "exists")  # questions that one thing of the scene answers


def noun_phrase(rng: random.Random) -> tuple[Phrase, bool]:
    """`the two old dogs` and its translation; whether it is plural."""
    noun = rng.choice(NOUNS)
    adjectives = rng.sample(ADJECTIVES, rng.choices((0, 1, 2), (4, 5, 1))[0])
    plural, definite = rng.random() < 0.4, rng.random() < 0.5
    numeral = [rng.choice(NUMERALS)] if plural and rng.random() < 0.6 else []
    article = ["the"] if definite else [] if plural else ["an" if (adjectives or [noun])[0][0] in "aeiou" else "a"]
    ending = GENDERS[noun] + "s" * plural
    english = [*article, *numeral, *adjectives, noun + "s" * plural]
    invented = ["l" + ending] * definite + [ROOTS[noun] + ending]
    invented += [ROOTS[adjective] + ending for adjective in adjectives] + [ROOTS[n] + "i" for n in numeral]
    return (english, invented), plural


def clause(rng: random.Random) -> Phrase:
    """Subject, verb, object, perhaps a place and a time."""
    (subject, subject_out), plural = noun_phrase(rng)
    (thing, thing_out), _ = noun_phrase(rng)
    verb = rng.choice(VERBS)
    time = [rng.choice(ADVERBS)] if rng.random() < 0.3 else []
    place, place_out = [], []
    if rng.random() < 0.4:
        preposition = rng.choice(PREPOSITIONS)
        (where, where_out), _ = noun_phrase(rng)
        place, place_out = [preposition, *where], [*where_out, ROOTS[preposition] + "u"]
    english = [*time, *subject, verb + "s" * (not plural), *thing, *place]
    time_out = [ROOTS[word] + "i" for word in time]
    return english, [*subject_out, *thing_out, *place_out, *time_out, ROOTS[verb] + ("ent" if plural else "et")]


def sentence(rng: random.Random) -> tuple[str, str]:
    """An English sentence of one or two clauses and its one right translation."""
    clauses = [clause(rng) for _ in range(1 + (rng.random() < 0.25))]
    english, invented = (joint.join(" ".join(c[side]) for c in clauses) for side, joint in ((0, " and "), (1, ", ke ")))
    return english.capitalize() + ".", invented.capitalize() + "."


def translation(folder: Path, items: int, seed: int) -> None:
    """`items` training pairs and a twentieth of that, at least 20, for each of val and test; no sentence twice."""
    rng, seen = random.Random(seed), set[str]()

    def fresh(split: str, count: int) -> Iterator[Item]:
        number = 0
        while number < count:
            source, target = sentence(rng)
            if source not in seen:
                seen.add(source)
                number += 1
                yield Item(id=f"{split}-{number:05d}", source=source, references=(target,))

    for split, count in _sizes(items).items():
        write_manifest(folder / f"{split}.jsonl", fresh(split, count))
    _write_counts(folder, "pairs", items)


def _write_scenes(
    folder: Path,
    items: int,
    seed: int,
    compose: Callable[[random.Random], tuple[scenes.Scene, T]],
    tell: Callable[[scenes.Scene, T, random.Random], Mapping[str, Any]],
) -> dict[str, list[T]]:
    """Writes manifests and images below `folder/images`, no scene twice; returns what `compose` gave, by split.

    `tell` gives the other values of an item, those that are no key of a manifest under `extra`.
    """
    from PIL import Image

    rng, seen = random.Random(seed), set[scenes.Scene]()
    beside: dict[str, list[T]] = {split: [] for split in _sizes(items)}

    def fresh(split: str, count: int) -> Iterator[Item]:
        while len(beside[split]) < count:
            scene, more = compose(rng)
            if scene not in seen:
                seen.add(scene)
                beside[split].append(more)
                name = f"{split}-{len(beside[split]):05d}"
                image = images / f"{name}.png"
                Image.fromarray(scenes.draw(scene, rng)).save(image, compress_level=1)
                values = dict(tell(scene, more, rng))
                extra = {**values.pop("extra", {}), "scene": scenes.to_json(scene)}
                yield Item(id=name, image=image, extra=extra, **values)

    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for split, count in _sizes(items).items():
        write_manifest(folder / f"{split}.jsonl", fresh(split, count))
    return beside


def captioning(folder: Path, items: int, seed: int) -> None:
    _write_scenes(
        folder,
        items,
        seed,
        lambda rng: (scenes.compose(rng), None),
        lambda scene, _, rng: {"references": scenes.captions(scene, rng)},
    )
    _write_counts(folder, "images", items)


def vqa(folder: Path, items: int, seed: int, *, layout: str = "cells", kinds: Sequence[str] = EASY) -> None:
    """An image for every question, as many of each kind."""
    rng = random.Random(seed)
    cards = scene_questions.deal(rng, kinds)

    def compose(rng: random.Random) -> tuple[scenes.Scene, scene_questions.Card]:
        card = next(cards)
        return scene_questions.compose(card, rng, layout), card

    def tell(scene: scenes.Scene, card: scene_questions.Card, rng: random.Random) -> Mapping[str, Any]:
        extra = {"question_type": card.kind, "answer_type": scene_questions.answer_type(card.answer)}
        return {"question": card.question, "references": (card.answer,), "extra": extra}

    dealt = _write_scenes(folder, items, seed, compose, tell)
    _write_counts(folder, "images", items, {split: {"chance": scene_questions.chance(dealt[split])} for split in dealt})


def grounding(folder: Path, items: int, seed: int) -> None:
    def tell(scene: scenes.Scene, phrase: scene_phrases.Phrase, rng: random.Random) -> Mapping[str, Any]:
        return proposals.grounding_fields(
            phrase.text,
            [phrase.thing.box],
            scene_phrases.candidates(scene, rng),
            (scenes.SIDE, scenes.SIDE),
            {"phrase_type": phrase.kind},
        )

    _write_scenes(folder, items, seed, scene_phrases.compose, tell)
    chance = {"chance": 100 / scene_phrases.THINGS}
    _write_counts(folder, "images", items, {split: chance for split in _sizes(items)})


def lipreading(folder: Path, items: int, seed: int) -> None:
    from seqkit.data_prep.synthetic import speech  # imports PyAV and OpenCV

    speech.lipreading(folder, items, seed)


def lipreading_short(folder: Path, items: int, seed: int) -> None:
    from seqkit.data_prep.synthetic import speech

    speech.lipreading(folder, items, seed, slots=speech.SHORT, size=48)


def _sizes(items: int) -> dict[str, int]:
    return {"train": items, "val": max(20, items // 20), "test": max(20, items // 20)}


def _write_counts(folder: Path, unit: str, items: int, more: Mapping[str, Mapping[str, object]] | None = None) -> None:
    sizes = _sizes(items).items()
    counts = {split: {unit: count, "items": count, "dropped": {}} for split, count in sizes}
    write_stats(folder, {split: {**counts[split], **(more or {}).get(split, {})} for split in counts})


TASKS: dict[str, Callable[[Path, int, int], None]] = {
    "translation": translation,
    "captioning": captioning,
    "vqa": vqa,
    "grounding": grounding,
    "vqa_free": partial(vqa, layout="free", kinds=tuple(scene_questions.DECKS)),
    "lipreading": lipreading,
    "lipreading_short": lipreading_short,
}
SOURCES = [*sorted(Path(__file__).parent.glob("*.py")), Path(proposals.__file__)]


def make(task: str, out: Path, *, items: int = 4000, seed: int = 1) -> None:
    """Writes train, val and test of a task; the same arguments give the same bytes. Raises InputError for bad ones."""
    if task not in TASKS:
        raise InputError(f"--task must be one of {', '.join(TASKS)}, got {task}")
    if items < 1:
        raise InputError(f"--items must be at least 1, got {items}")
    TASKS[task](out, items, seed)


def cached(task: str, *, items: int = 4000, seed: int = 1) -> Path:
    """The folder of a corpus, made on the first call below $XDG_CACHE_HOME or ~/.cache.

    Another version of these modules makes another folder. Any number of processes may call at once: each makes its own
    copy, and the first to finish gives it the name.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqkit"
    version = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()[:8]
    folder = cache / f"{task}-{items}-{seed}-{version}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{task}-", dir=cache) as scratch:
        make(task, Path(scratch) / "corpus", items=items, seed=seed)
        try:
            (Path(scratch) / "corpus").rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare synthetic", __doc__ or "")
    parser.add_argument("--task", required=True, choices=TASKS, help="what the corpus is for")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--items", type=int, default=4000, help="training items; val and test get a twentieth each")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another corpus (default: 1)")
    given = parse(parser, argv)
    make(given.task, given.out, items=given.items, seed=given.seed)
