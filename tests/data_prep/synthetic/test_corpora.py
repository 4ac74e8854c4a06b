"""Synthetic corpora: the same for everybody, true by rule, and of no use to a model that sees one side alone."""

import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from seqkit.data.check import check
from seqkit.data.image import read_image
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.grounding.proposals import has_match
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.data_prep.synthetic import scene_phrases, scene_questions, scenes
from seqkit.errors import InputError
from tests.raw_files import stats


def test_synthetic_translation_is_the_same_for_everybody(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.make("translation", tmp_path / name, items=100, seed=seed)
    files = sorted(os.listdir(tmp_path / "a"))
    assert files == ["stats.json", "test.jsonl", "train.jsonl", "val.jsonl"]
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / "train.jsonl").read_bytes() != (tmp_path / "c" / "train.jsonl").read_bytes()
    counts = {split: len(read_manifest(tmp_path / "a" / f"{split}.jsonl")) for split in ("train", "val", "test")}
    assert counts == {split: values["items"] for split, values in stats(tmp_path / "a").items()}
    assert counts == {"train": 100, "val": 20, "test": 20}
    assert check(tmp_path / "a")[1] == []


def test_synthetic_translation_needs_more_than_words_in_order(tmp_path):
    synthetic.make("translation", tmp_path, items=500)
    for item in read_manifest(tmp_path / "train.jsonl"):
        source = item.source.lower().removesuffix(".").split(" and ")
        target = item.references[0].lower().removesuffix(".").split(", ke ")
        assert len(source) == len(target) and item.source[0].isupper() and item.references[0][0].isupper()
        for english, invented in zip(source, target, strict=True):
            here = english.split()
            verbs = [v for v in synthetic.VERBS for word in here if word in (v, v + "s")]
            plural = verbs[0] in here
            assert len(verbs) == 1 and invented.split()[-1] == synthetic.ROOTS[verbs[0]] + ("ent" if plural else "et")
            assert len(here) - sum(word in ("a", "an") for word in here) == len(invented.split())
            last = here.index(verbs[0] + "s" * (not plural)) - 1
            noun = here[last].removesuffix("s")
            ending = synthetic.GENDERS[noun] + "s" * plural
            assert plural == (here[last] != noun) and synthetic.ROOTS[noun] + ending in invented.split()


def test_no_synthetic_sentence_occurs_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "sentence", lambda rng: (f"Sentence {rng.randrange(60)}.", "Sa."))
    synthetic.make("translation", tmp_path, items=20)
    sources = [item.source for split in ("train", "val", "test") for item in read_manifest(tmp_path / f"{split}.jsonl")]
    assert sorted(sources) == sorted(f"Sentence {number}." for number in range(60))


def test_synthetic_captioning_is_the_same_for_everybody(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.make("captioning", tmp_path / name, items=60, seed=seed)
    files = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 104 and files[-4:] == ["stats.json", "test.jsonl", "train.jsonl", "val.jsonl"]
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / "train.jsonl").read_bytes() != (tmp_path / "c" / "train.jsonl").read_bytes()
    items = [i for split in ("train", "val", "test") for i in read_manifest(tmp_path / "a" / f"{split}.jsonl")]
    assert len({read_image(item.image).tobytes() for item in items}) == len(items) == 100
    counts = {split: (values["images"], values["items"]) for split, values in stats(tmp_path / "a").items()}
    assert counts == {"train": (60, 60), "val": (20, 20), "test": (20, 20)}
    assert check(tmp_path / "a")[1] == []


def test_synthetic_captions_are_true_of_their_pictures(tmp_path):
    synthetic.make("captioning", tmp_path, items=40)
    for item in read_manifest(tmp_path / "train.jsonl"):
        scene = scenes.from_json(item.extra["scene"])
        assert len(item.references) == 5 and all(scenes.holds(text, scene) for text in item.references)
        drawn = read_image(item.image)
        assert drawn.shape == (scenes.SIDE, scenes.SIDE, 3)
        for thing in scene.things:
            left, top, right, bottom = thing.box
            inside = drawn[top:bottom, left:right].astype(int) - scenes.COLORS[thing.colour]
            assert (abs(inside).max(-1) <= 10).any(0).all() and (abs(inside).max(-1) <= 10).any(1).all()


@pytest.mark.parametrize("task", ["vqa", "vqa_free", "grounding"])
def test_synthetic_scenes_with_texts_are_the_same_for_everybody(task, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.make(task, tmp_path / name, items=60, seed=seed)
    files = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 104 and files[-4:] == ["stats.json", "test.jsonl", "train.jsonl", "val.jsonl"]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert (tmp_path / "a" / "train.jsonl").read_bytes() != (tmp_path / "c" / "train.jsonl").read_bytes()
    items = [i for split in ("train", "val", "test") for i in read_manifest(tmp_path / "a" / f"{split}.jsonl")]
    assert len({read_image(item.image).tobytes() for item in items}) == len(items) == 100
    assert {split: (s["images"], s["items"]) for split, s in stats(tmp_path / "a").items()} == {
        "train": (60, 60),
        "val": (20, 20),
        "test": (20, 20),
    }
    assert check(tmp_path / "a")[1] == []


@pytest.mark.parametrize(("task", "kinds", "low", "high"), [("vqa", 3, 24, 29), ("vqa_free", 7, 22, 29)])
def test_synthetic_questions_have_one_right_answer_and_are_no_use_alone(task, kinds, low, high, tmp_path):
    synthetic.make(task, tmp_path, items=420)
    usual, right, counts, sizes = {}, [], {}, set()
    for item in read_manifest(tmp_path / "train.jsonl"):
        usual.setdefault(item.question, []).append(item.references[0])
    for split in ("train", "val", "test"):
        for item in read_manifest(tmp_path / f"{split}.jsonl"):
            scene = scenes.from_json(item.extra["scene"])
            assert item.references == (scene_questions.answer(item.question, scene),)
            assert item.extra["answer_type"] == scene_questions.answer_type(item.references[0])
            sizes |= {thing.size for thing in scene.things}
            kind = item.extra["question_type"]
            counts[split, kind] = counts.get((split, kind), 0) + 1
            known = usual.get(item.question, [""])
            right += [max(known, key=known.count) == item.references[0]] * (split != "train")
        assert low < stats(tmp_path)[split]["chance"] < high
    assert len(counts) == 3 * kinds and sizes == ({"medium"} if task == "vqa" else set(scenes.SIZES))
    assert {number for (split, _), number in counts.items() if split == "train"} == {420 // kinds}
    assert 100 * sum(right) / len(right) < high + 15


def test_synthetic_phrases_have_one_right_box(tmp_path):
    synthetic.make("grounding", tmp_path, items=60)
    for item in read_manifest(tmp_path / "train.jsonl"):
        scene = scenes.from_json(item.extra["scene"])
        [thing] = scene_phrases.referents(item.source, scene)
        assert item.extra["truth"] == [list(thing.box)]
        assert item.extra["extent"] == list(read_image(item.image).shape[:2])
        assert item.references == ("{} {} {} {}".format(*thing.box),)
        fits = [has_match([box], item.extra["truth"]) for box in item.boxes]
        assert fits.count(True) == 1 and len(fits) == scene_phrases.CANDIDATES
        assert item.extra["phrase_type"] in scene_phrases.KINDS
    assert {split["chance"] for split in stats(tmp_path).values()} == {25}


def test_no_synthetic_scene_occurs_twice(tmp_path, monkeypatch):
    few = [scenes.compose(random.Random(seed)) for seed in range(60)]
    monkeypatch.setattr(scenes, "compose", lambda rng: rng.choice(few))
    synthetic.make("captioning", tmp_path, items=20)
    items = [i for split in ("train", "val", "test") for i in read_manifest(tmp_path / f"{split}.jsonl")]
    assert {scenes.from_json(item.extra["scene"]) for item in items} == set(few) and len(items) == 60


def test_another_version_of_any_of_its_files_makes_another_corpus(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert {path.stem for path in synthetic.SOURCES} > {
        "corpora",
        "scenes",
        "scene_questions",
        "proposals",
        "speech_audio",
    }
    folders = {synthetic.cached("captioning", items=1)}
    for changed in range(len(synthetic.SOURCES)):
        copies = [tmp_path / f"{changed}-{path.name}" for path in synthetic.SOURCES]
        for i, (copy, path) in enumerate(zip(copies, synthetic.SOURCES, strict=True)):
            copy.write_bytes(path.read_bytes() + b"#" * (i == changed))
        with monkeypatch.context() as patched:
            patched.setattr(synthetic, "SOURCES", copies)
            folders.add(synthetic.cached("captioning", items=1))
    assert len(folders) == 1 + len(synthetic.SOURCES)
    assert read_manifest(min(folders) / "test.jsonl")[0].image.is_file()


def test_roots_and_vocabulary_are_distinct():
    assert len(set(synthetic.ROOTS.values())) == len(synthetic.ROOTS) == 57


def test_synthetic_arguments_are_checked(tmp_path):
    with pytest.raises(InputError, match="--task must be one of translation, .*, vqa, .*, lipreading, .*got dance"):
        synthetic.make("dance", tmp_path)
    with pytest.raises(InputError, match="--items must be at least 1, got 0"):
        synthetic.main(["--task", "translation", "--out", str(tmp_path), "--items", "0"])


def test_the_cache_is_made_once_by_many_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadPoolExecutor(4) as threads:
        folders = list(threads.map(lambda _: synthetic.cached("translation", items=200), range(8)))
    assert len(set(folders)) == 1 and os.listdir(tmp_path / "seqkit") == [folders[0].name]
    stamp = (folders[0] / "train.jsonl").stat().st_mtime_ns
    assert synthetic.cached("translation", items=200) == folders[0]
    assert (folders[0] / "train.jsonl").stat().st_mtime_ns == stamp
    assert synthetic.cached("translation", items=201) != folders[0]
