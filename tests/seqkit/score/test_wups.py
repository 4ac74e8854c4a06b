"""WUPS: Wu-Palmer similarity against every path of small random hierarchies, lists, and WordNet's file format."""

import math
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from seqkit.errors import InputError
from seqkit.score.evaluate import corpus_scores, scores_with_intervals, statistics
from seqkit.score.metric import TextOptions
from seqkit.score.wups import Dictionary, read_dictionary, wups

HEAD = "  1 A license\n  2 WordNet 9.7 Copyright 2026 by nobody.\n"


class Synset(NamedTuple):
    words: Sequence[str]
    uppers: Sequence[int] = ()  # places of the hypernyms in the list
    kind: str = "@"


# A kitten is also furniture; Rex is an instance.
WORLD = [
    Synset(["entity"]),
    Synset(["thing"], [0]),
    Synset(["furniture", "piece_of_furniture"], [1]),
    Synset(["animal"], [1]),
    Synset(["chair"], [2]),
    Synset(["table"], [2]),
    Synset(["dog"], [3]),
    Synset(["cat"], [3]),
    Synset(["kitten"], [7, 2]),
    Synset(["Rex"], [6], "@i"),
    Synset(["chair", "chairman"], [3]),
    Synset(["knife"], [1]),
    Synset(["glass"], [1]),
]


def write_dictionary(folder: Path, synsets: Sequence[Synset], irregular: str = "", head: str = HEAD) -> list[int]:
    """Three files in WordNet's format, and the synsets' numbers."""
    folder.mkdir(exist_ok=True)

    def line(place: int, offsets: Sequence[int]) -> str:
        words, uppers, kind = synsets[place]
        above = [f"{kind} {offsets[upper]:08} n 0000" for upper in uppers]
        pointers = ["~ 00000001 n 0000", *above, "+ 00000002 v 0101"]
        fields = [f"{offsets[place]:08} 03 n {len(words):02x}", *(f"{word} 0" for word in words), f"{len(pointers):03}"]
        return " ".join([*fields, *pointers]) + ' | what "it" means; @ 00000003 n 0000  \n'

    offsets, end = [0] * len(synsets), len(head)
    for place in range(len(synsets)):
        offsets[place], end = end, end + len(line(place, offsets))
    (folder / "data.noun").write_text(head + "".join(line(place, offsets) for place in range(len(synsets))))
    senses: dict[str, list[int]] = {}
    for synset, offset in zip(synsets, offsets, strict=True):
        for word in synset.words:
            senses.setdefault(word.lower(), []).append(offset)
    index = "".join(
        f"{word} n {len(found)} 2 @ ~ {len(found)} 0 {' '.join(f'{offset:08}' for offset in found)}  \n"
        for word, found in sorted(senses.items())
    )
    (folder / "index.noun").write_text(head + index)
    (folder / "noun.exc").write_text(irregular)
    return offsets


@pytest.fixture
def world(tmp_path: Path) -> Dictionary:
    write_dictionary(tmp_path, WORLD, "knives knife\nmice mouse\nchaises chair cat\ngeese goose\n")
    return Dictionary(tmp_path)


def paths(synsets: Sequence[Synset], place: int) -> list[list[int]]:
    """Every way from a synset to a root."""
    uppers = synsets[place].uppers
    return [[place, *rest] for upper in uppers for rest in paths(synsets, upper)] if uppers else [[place]]


def name(synsets: Sequence[Synset], place: int) -> str:
    word = synsets[place].words[0].lower()
    senses = [n for n, synset in enumerate(synsets) if word in (other.lower() for other in synset.words)]
    return f"{word}.n.{senses.index(place) + 1:02}"


def slow_similarity(synsets: Sequence[Synset], first: int, second: int) -> float:
    one, other = paths(synsets, first), paths(synsets, second)
    common = {place for path in one for place in path} & {place for path in other for place in path}
    if not common:
        return 0.0
    lengths = {place: [len(path) for path in paths(synsets, place)] for place in common}
    lowest = [place for place in common if min(lengths[place]) == max(map(min, lengths.values()))]
    subsumer = first if first in lowest else sorted(lowest, key=partial(name, synsets))[0]

    def way(start: int) -> int:
        return min(
            path.index(upper) + rest.index(upper)
            for path in paths(synsets, start)
            for rest in paths(synsets, subsumer)
            for upper in set(path) & set(rest)
        )

    depth = max(lengths[subsumer])
    return 2.0 * depth / (way(first) + depth + way(second) + depth)


def test_similarity_is_that_of_every_path(tmp_path: Path) -> None:
    draw, askew = random.Random(0), 0
    for trial in range(30):
        synsets = []
        for place in range(12):
            uppers = draw.sample(range(place), min(place, draw.choice([0, 1, 1, 1, 2, 2, 3])))
            words = [draw.choice(["a", "A-b", "a_b", "aa", "b"]), f"w{place}"]
            synsets.append(Synset(words, uppers, draw.choice(["@", "@i"])))
        offsets = write_dictionary(tmp_path / str(trial), synsets)
        dictionary = Dictionary(tmp_path / str(trial))
        table = [[dictionary.similarity(one, other) for other in offsets] for one in offsets]
        for first, row in enumerate(table):
            for second, found in enumerate(row):
                assert found == slow_similarity(synsets, first, second), (synsets, first, second)
                assert found == dictionary.word_similarity(f"w{first}", f"w{second}")
                askew += found != table[second][first]
    assert askew > 20  # the order of the two matters, as it does in NLTK


def test_similarities_of_words_are_those_of_the_best_senses(world: Dictionary) -> None:
    assert world.word_similarity("dog", "cat") == 2 * 3 / (2 * 3 + 1 + 1)
    assert world.word_similarity("chair", "table") == 2 * 3 / (2 * 3 + 1 + 1)
    assert world.word_similarity("chair", "dog") == 0.75  # a chairman is an animal
    assert world.word_similarity("table", "dog") == 2 * 2 / (2 * 2 + 2 + 2)
    assert world.word_similarity("chair", "chairman") == 1
    assert world.word_similarity("Rex", "DOG") == 2 * 4 / (2 * 4 + 1)
    assert world.word_similarity("dog", "unicorn") == world.word_similarity("unicorn", "dog") == 0
    assert world.word_similarity("piece_of_furniture", "furniture") == 1
    assert world.word_similarity("piece of furniture", "furniture") == 0


@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("dogs", ["dog"]),
        ("DOGS", ["dog"]),
        ("knives", ["knife"]),
        ("glasses", ["glass"]),
        ("dogss", []),
        ("mice", []),
        ("chaises", ["chair", "cat"]),
        ("", []),
        ("geese", []),
        ("s", []),
        ("chairmen", ["chairman"]),
        ("1", []),
    ],
)
def test_plurals_have_the_synsets_of_their_singulars(world: Dictionary, word: str, same: list[str]) -> None:
    assert world.synsets(word) == [synset for singular in same for synset in world.synsets(singular)]
    assert same == [] or world.synsets(word)


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("bus", "buses"),
        ("calf", "calves"),
        ("fox", "foxes"),
        ("quiz", "quizes"),
        ("church", "churches"),
        ("dish", "dishes"),
        ("man", "men"),
        ("lady", "ladies"),
        ("shoe", "shoes"),
    ],
)
def test_every_ending_is_undone(tmp_path: Path, singular: str, plural: str) -> None:
    offsets = write_dictionary(tmp_path, [Synset([singular])])
    dictionary = Dictionary(tmp_path)
    assert dictionary.synsets(plural) == dictionary.synsets(singular) == offsets
    assert dictionary.synsets(plural + "s") == []


def test_an_irregular_plural_is_no_regular_one(tmp_path: Path) -> None:
    offsets = write_dictionary(tmp_path, [Synset(["axe"]), Synset(["axis"], [0])], "axes axis\n")
    assert Dictionary(tmp_path).synsets("axes") == [offsets[1]]


def test_a_synset_may_have_many_words(tmp_path: Path) -> None:
    synonyms = [f"word{n}" for n in range(17)]  # their number is written in hexadecimal
    offsets = write_dictionary(tmp_path, [Synset(["top"]), Synset(synonyms[:12], [0]), Synset(synonyms, [1])])
    assert set(Dictionary(tmp_path).hypernyms(offsets[2]).distances) == set(offsets)


def test_a_word_that_is_also_a_plural_has_the_synsets_of_both(tmp_path: Path) -> None:
    offsets = write_dictionary(tmp_path, [Synset(["glass"]), Synset(["glasses"], [0])])
    assert Dictionary(tmp_path).synsets("glasses") == [offsets[1], offsets[0]]


def test_lists_are_scored_both_ways(world: Dictionary) -> None:
    far = partial(wups, dictionary=world, threshold=0.0)
    assert far("dog", "dog") == 1 and far("unicorn", "unicorn") == 1 and far("Unicorn", "unicorn") == 0
    assert far("dog, table", "table,dog") == 1
    assert far("dog", "dog, table") == far("dog, table", "dog") == 0.5  # the table is met by the dog alone
    assert far("table, dog", "chair, cat") == 0.75 * 0.75
    assert far("table, table", "dog") == 0.25 and far("dog, dog", "dog") == 1
    assert far("", "") == 1 and far("", "dog") == far("dog", "") == far("dog,", "dog") == 0


def test_below_the_threshold_a_tenth_is_left(world: Dictionary) -> None:
    near = partial(wups, dictionary=world)
    assert near("dog", "cat", threshold=0.75) == 0.75 and near("dog", "cat", threshold=0.76) == 0.1 * 0.75
    assert near("Dog", "dogs", threshold=0.9) == 1
    assert near("table, dog", "chair, cat", threshold=0.9) == math.prod([0.1 * 0.75] * 2)


def test_a_corpus_has_the_best_of_its_references(tmp_path: Path) -> None:
    write_dictionary(tmp_path, WORLD)
    options = TextOptions(wordnet=tmp_path)
    references, hypotheses = [["table", "cat"], ["dog", "unicorn"], ["Unicorn", "dog"]], ["dog", "unicorn", "unicorn"]
    found = scores_with_intervals(statistics(["wups_0.9", "wups_0.0", "accuracy"], references, hypotheses, options))
    assert found["wups_0.0"].value == pytest.approx(100 * 1.75 / 3)
    assert found["wups_0.9"].value == pytest.approx(100 * 1.075 / 3)
    assert found["wups_0.0"].counts == {"items": 3, "wups_sum": 1.75, "answers": 3}
    for threshold in ("0.9", "0.0"):
        wanted = f"|nrefs:2|case:mixed|refs:best|threshold:{threshold}|far:0.1|wordnet:9.7|library:seqkit"
        signature = found[f"wups_{threshold}"].signature
        assert signature.startswith(f"wups_{threshold}{wanted}|equals:calculate_wups|text:nfc+space|seqkit:")
    lower = statistics(["wups_0.9"], references, hypotheses, options._replace(lowercase=True))
    assert (
        corpus_scores(lower)["wups_0.9"] == pytest.approx(100 * 2.075 / 3)
        and "|case:lc|" in lower["wups_0.9"].signature
    )


def test_a_dictionary_without_a_version_is_known_by_its_bytes(tmp_path: Path) -> None:
    for folder, head in (("a", ""), ("b", ""), ("c", "  1 no version\n")):
        write_dictionary(tmp_path / folder, WORLD, head=head)
    first, same, other = (Dictionary(tmp_path / folder).version for folder in "abc")
    assert first == same != other and len(first) == 12 and int(first, 16)


def test_a_dictionary_is_read_once(tmp_path: Path) -> None:
    write_dictionary(tmp_path, WORLD)
    assert read_dictionary(tmp_path) is read_dictionary(tmp_path)


def test_no_dictionary_is_told() -> None:
    for metric in ("wups_0.9", "wups_0.0"):
        with pytest.raises(
            InputError,
            match=r"`wups_0.9` and `wups_0.0` must have a folder with WordNet's dict files "
            r"\(https://wordnet.princeton.edu/.*\): give it by --wordnet DIR",
        ):
            statistics([metric], [["dog"]], ["dog"])
    assert corpus_scores(statistics(["accuracy"], [["dog"]], ["dog"])) == {"accuracy": 100}


@pytest.mark.parametrize("missing", ["index.noun", "data.noun", "noun.exc"])
def test_a_folder_without_all_files_is_refused(tmp_path: Path, missing: str) -> None:
    write_dictionary(tmp_path, WORLD)
    (tmp_path / missing).unlink()
    with pytest.raises(InputError, match=rf"must be a folder with WordNet's index.noun, .*, got no {missing}"):
        statistics(["wups_0.9"], [["dog"]], ["dog"], TextOptions(wordnet=tmp_path))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dictionary(tmp_path, WORLD)

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"data.noun: cannot be read \(Permission denied\)"):
        Dictionary(tmp_path)


def damaged(folder: Path, file: str, old: str, new: str) -> Dictionary:
    write_dictionary(folder, WORLD)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return Dictionary(folder)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    belongs = r"data.noun: must be the data.noun that belongs to its index.noun, byte for byte .*, got no synset"
    with pytest.raises(InputError, match=belongs):
        damaged(tmp_path, "data.noun", "\n", "\r\n").word_similarity("dog", "cat")
    with pytest.raises(InputError, match=belongs):
        damaged(tmp_path, "data.noun", " n 01 dog", " n zz dog").word_similarity("dog", "cat")
    with pytest.raises(InputError, match=belongs):
        damaged(tmp_path, "data.noun", " v 0101 |", " |").word_similarity("dog", "cat")
    with pytest.raises(InputError, match=rf"{belongs} at byte 99999999"):
        line = "dog n 1 2 @ ~ 1 0 "
        damaged(tmp_path, "index.noun", line, f"{line}99999999\ndogg ").word_similarity("dog", "cat")
    inside = write_dictionary(tmp_path, WORLD)[6] + 1
    with pytest.raises(InputError, match=rf"{belongs} at byte {inside}"):
        Dictionary(tmp_path).hypernyms(inside)


@pytest.mark.parametrize("line", ["dog", "dog n x", "dog n 0 2", "dog n 1 2 @ ~ 1 0 here"])
def test_a_bad_line_of_the_index_is_told(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"index.noun: 'dog' must have a line that ends with synsets"):
        damaged(tmp_path, "index.noun", "dog n 1 2 @ ~ 1 0 ", f"{line}\ndogg ").synsets("dogs")


def test_an_index_without_a_synset_that_must_be_named_is_told(tmp_path: Path) -> None:
    synsets = [Synset(["top"]), Synset(["b"], [0]), Synset(["c"], [0]), Synset(["x"], [1, 2]), Synset(["y"], [1, 2])]
    write_dictionary(tmp_path, synsets)
    index = tmp_path / "index.noun"
    index.write_text(index.read_text().replace("\nc n 1", "\nc n 0"))
    with pytest.raises(InputError, match=r"index.noun: 'c' must have a line that ends with synsets"):
        Dictionary(tmp_path).word_similarity("x", "y")
    offsets = write_dictionary(tmp_path, synsets)
    index.write_text(index.read_text().replace(f"{offsets[2]:08}", f"{offsets[1]:08}"))
    with pytest.raises(InputError, match=rf"index.noun: 'c' must have the synset {offsets[2]:08} of data.noun"):
        Dictionary(tmp_path).word_similarity("x", "y")


@pytest.mark.parametrize(
    "synsets", [[Synset(["a"], [0])], [Synset(["b"], [1]), Synset(["c"], [0]), Synset(["a"], [1])]]
)
def test_a_synset_above_itself_is_told(tmp_path: Path, synsets: list[Synset]) -> None:
    write_dictionary(tmp_path, synsets)
    for _ in range(2):
        with pytest.raises(InputError, match=r"data.noun: no synset must be its own hypernym, got \d{8}"):
            Dictionary(tmp_path).word_similarity("a", "a")
