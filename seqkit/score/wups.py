"""WUPS: accuracy of answers with credit for answers of similar meaning (Malinowski and Fritz 2014, arXiv:1410.0210).

The score of an answer is the lesser of two products: over its own parts of how well each is met by the best part of
the reference, and over the reference's parts likewise; of several references the best counts (the min consensus of
Malinowski et al. 2015, arXiv:1505.01121). Two parts meet by their Wu-Palmer similarity in WordNet, by a tenth of it
below the threshold, which is 0.9 or 0.0; equal parts meet by 1, parts that are not both nouns of WordNet by 0.
It equals the published script calculate_wups.py: only nouns are looked up, the best pair of senses counts, case counts
between equal parts alone, and a part that is repeated is a factor again, so that lists are not quite the paper's sets.

Similarities equal those of NLTK's `wup_similarity`: of the common hypernyms the one farthest from the root by its
shortest path; of several the first of the two synsets if it is one, else the first by name. With the depth d of this
one by its longest path, counted from 1, and the shortest paths l and m of both synsets to it, which may lead past it,
the similarity is 2 d / (2 d + l + m). It may depend on the order of the two. Synsets without a common hypernym have
none: WordNet 1.6, whose nouns have several roots, is not given a root above them as NLTK gives it.

`Dictionary` reads index.noun, data.noun and noun.exc as WordNet publishes them (wndb(5WN)) since version 1.7.
R corpora.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqkit.data.files import read_lines
from seqkit.errors import InputError
from seqkit.score.metric import Array, Metric, References, TextOptions
from seqkit.score.vqa import mean, parts

FAR = 0.1  # what a similarity below the threshold is multiplied by
_FILES = ("index.noun", "data.noun", "noun.exc")
_HYPERNYMS = ("@", "@i")  # of classes and of instances
_ENDINGS = {  # of plurals, with those of the singulars
    "s": "",
    "ses": "s",
    "ves": "f",
    "xes": "x",
    "zes": "z",
    "ches": "ch",
    "shes": "sh",
    "men": "man",
    "ies": "y",
}


class Hypernyms(NamedTuple):
    """The hypernyms of a synset, and its own depth."""

    distances: dict[int, int]  # the shortest path to each, and 0 to itself
    shortest: int  # path to a root
    longest: int


class Dictionary:
    """The nouns of WordNet. A synset is the number of the byte at which its line begins in data.noun."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError where the folder has not all three files, or a line is not in WordNet's format."""
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise InputError(f"{folder}: must be a folder with WordNet's {', '.join(_FILES)}, got no {missing[0]}")
        self.folder = folder
        self._index = {line.partition(" ")[0]: line for _, line in read_lines(folder / "index.noun")}
        self._index.pop("", None)  # the license at the head
        try:
            self._data = (folder / "data.noun").read_bytes()
        except OSError as error:
            raise InputError(f"{folder / 'data.noun'}: cannot be read ({error.strerror})") from None
        irregular = (line.split() for _, line in read_lines(folder / "noun.exc"))
        self._irregular = {words[0]: words[1:] for words in irregular if words}
        self._hypernyms: dict[int, Hypernyms | None] = {}
        self._similar: dict[tuple[str, str], float] = {}

    @property
    def version(self) -> str:
        """WordNet's version from the head of data.noun, such as `3.0`; else the first digits of the file's SHA-256."""
        told = re.search(rb"Word[Nn]et (\d[\w.+]*) Copyright", self._data[:4096])
        return told[1].decode() if told else hashlib.sha256(self._data).hexdigest()[:12]

    def synsets(self, word: str) -> list[int]:
        """Looks up the synsets of a word in singular or plural and any case; `_` joins parts, as in `night_stand`."""
        word = word.lower()
        plural = (word.removesuffix(ending) + other for ending, other in _ENDINGS.items() if word.endswith(ending))
        forms = dict.fromkeys([word, *self._irregular.get(word, plural)])
        return [synset for form in forms if form in self._index for synset in self._senses(form)]

    def similarity(self, first: int, second: int) -> float:
        """Wu-Palmer similarity of two synsets; 0 where they have no common hypernym."""
        common = self.hypernyms(first).distances.keys() & self.hypernyms(second).distances.keys()
        if not common:
            return 0.0
        farthest = max(self.hypernyms(synset).shortest for synset in common)
        lowest = [synset for synset in common if self.hypernyms(synset).shortest == farthest]
        subsumer = first if first in lowest else min(lowest, key=self._name)
        depth = self.hypernyms(subsumer).longest + 1
        return 2.0 * depth / (2 * depth + self._distance(first, subsumer) + self._distance(second, subsumer))

    def word_similarity(self, first: str, second: str) -> float:
        """The best similarity over the synsets of both words; 0 where one of the words is not in the dictionary."""
        if (first, second) not in self._similar:
            theirs = self.synsets(second)
            best = (self.similarity(one, other) for one in self.synsets(first) for other in theirs)
            self._similar[first, second] = max(best, default=0.0)
        return self._similar[first, second]

    def hypernyms(self, synset: int) -> Hypernyms:
        """Finds the hypernyms of a synset (cached). Raises InputError for a damaged data.noun."""
        if synset not in self._hypernyms:
            self._hypernyms[synset] = None  # until it is found, so that a circle is told and not followed
            uppers = [self.hypernyms(upper) for upper in self._line(synset)[1]]
            distances = {synset: 0}
            for upper in uppers:
                for other, distance in upper.distances.items():
                    distances[other] = min(distance + 1, distances.get(other, distance + 1))
            shortest = min((upper.shortest + 1 for upper in uppers), default=0)
            longest = max((upper.longest + 1 for upper in uppers), default=0)
            self._hypernyms[synset] = Hypernyms(distances, shortest, longest)
        found = self._hypernyms[synset]
        if found is None:
            raise InputError(f"{self.folder / 'data.noun'}: no synset must be its own hypernym, got {synset:08}")
        return found

    def _distance(self, first: int, second: int) -> int:
        """Returns the shortest path from one to the other through a common hypernym."""
        theirs = self.hypernyms(second).distances
        return min(
            distance + theirs[upper] for upper, distance in self.hypernyms(first).distances.items() if upper in theirs
        )

    def _name(self, synset: int) -> str:
        """As NLTK names it: its first word with its place among the senses of this word."""
        word = self._line(synset)[0]
        senses = self._senses(word)
        if synset not in senses:
            raise InputError(f"{self.folder / 'index.noun'}: {word!r} must have the synset {synset:08} of data.noun")
        return f"{word}.n.{senses.index(synset) + 1:02}"

    def _senses(self, form: str) -> list[int]:
        """The synsets of a word in the index, that of its commonest sense first."""
        fields = self._index.get(form, "").split()
        try:
            return [int(field) for field in fields[-int(fields[2]) :]]
        except (ValueError, IndexError):
            path = self.folder / "index.noun"
            raise InputError(f"{path}: {form!r} must have a line that ends with synsets") from None

    def _line(self, synset: int) -> tuple[str, tuple[int, ...]]:
        """The first word of a synset in lower case, and the hypernyms of it."""
        line = self._data[synset : self._data.find(b"\n", synset)].partition(b"|")[0]
        fields = line.decode("utf-8", "replace").split()
        try:
            if int(fields[0]) != synset:
                raise ValueError
            pointers = 5 + 2 * int(fields[3], 16)  # after the words and the number of pointers
            kinds, targets = fields[pointers::4], fields[pointers + 1 :: 4]
            above = [int(target) for kind, target in zip(kinds, targets, strict=True) if kind in _HYPERNYMS]
            return fields[4].lower(), tuple(above)
        except (ValueError, IndexError):
            wanted = "must be the data.noun that belongs to its index.noun, byte for byte as published"
            raise InputError(f"{self.folder / 'data.noun'}: {wanted}, got no synset at byte {synset}") from None


def wups(answer: str, reference: str, dictionary: Dictionary, threshold: float) -> float:
    """Computes the score of one answer against one reference, from 0 to 1."""
    given, wanted = parts(answer), parts(reference)
    return min(_met(given, wanted, dictionary, threshold), _met(wanted, given, dictionary, threshold))


@lru_cache(maxsize=2)
def read_dictionary(folder: Path) -> Dictionary:
    """Reads a dictionary, cached. Raises as `Dictionary` does."""
    return Dictionary(folder)


def _met(those: Sequence[str], by: Sequence[str], dictionary: Dictionary, threshold: float) -> float:
    return math.prod(max(_similarity(part, other, dictionary, threshold) for other in by) for part in those)


def _similarity(first: str, second: str, dictionary: Dictionary, threshold: float) -> float:
    if first == second:
        return 1.0
    similarity = dictionary.word_similarity(first, second)
    return similarity if similarity >= threshold else FAR * similarity


def _chosen(options: TextOptions) -> Dictionary:
    if options.wordnet is None:
        where = "https://wordnet.princeton.edu/download or Debian's package wordnet-base"
        given = "give it by --wordnet DIR or TextOptions(wordnet=...)"
        raise InputError(f"`wups_0.9` and `wups_0.0` must have a folder with WordNet's dict files ({where}): {given}")
    return read_dictionary(options.wordnet)


def _statistics(references: References, hypotheses: Sequence[str], options: TextOptions, *, threshold: float) -> Array:
    dictionary = _chosen(options)
    pairs = zip(references, hypotheses, strict=True)
    best = [max(wups(hypothesis, text, dictionary, threshold) for text in texts) for texts, hypothesis in pairs]
    return np.array([[score, 1.0] for score in best])


def _settings(references: str, options: TextOptions, *, threshold: float) -> dict[str, str]:
    case, version = "lc" if options.lowercase else "mixed", _chosen(options).version
    own = {"refs": "best", "threshold": f"{threshold:.1f}", "far": f"{FAR:g}", "wordnet": version}
    return {"nrefs": references, "case": case} | own | {"library": "seqkit", "equals": "calculate_wups"}


def _wups(threshold: float) -> Metric:
    statistics, settings = partial(_statistics, threshold=threshold), partial(_settings, threshold=threshold)
    return Metric(statistics, mean, settings, ("wups_sum", "answers"))


WUPS_METRICS: dict[str, Metric] = {"wups_0.9": _wups(0.9), "wups_0.0": _wups(0.0)}
