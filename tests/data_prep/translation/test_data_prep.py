"""Preparation scripts: golden manifests from small raw corpora, every dropped pair counted, every fault named."""

import gzip
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seqkit.data.check import check
from seqkit.data.image import read_image
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.grounding.proposals import has_match
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.data_prep.synthetic import scene_phrases, scene_questions, scenes
from seqkit.data_prep.translation import multi30k, wmt
from seqkit.data_prep.translation.pairs import Corpus, pairs
from seqkit.errors import InputError
from tests.raw_files import stats

ENGLISH = ["A cat sleeps.", "  Two dogs run. ", "", "A\u2028line"]
GERMAN = ["Eine Katze schläft.", "Zwei Hunde rennen.", "Nichts.", "Eine Zeile"]


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    write(folder / "task1" / "raw" / "train.en.gz", ENGLISH)
    write(folder / "task1" / "raw" / "train.de.gz", GERMAN)
    write(folder / "val.en", ENGLISH[:2])
    write(folder / "deep" / "er" / "val.de", GERMAN[:2])
    write(folder / "test_2017_mscoco.en", ENGLISH[:1])
    write(folder / "test_2017_mscoco.de.gz", GERMAN[:1])
    write(folder / "test_2018_flickr.en", ENGLISH[:1])
    write(folder / "tok" / "train.lc.norm.tok.en", ["a cat sleeps ."])
    write(folder / "tok" / "train.lc.norm.tok.de", ["eine katze schläft ."])
    return folder


def test_multi30k_golden(raw, tmp_path):
    out = tmp_path / "out"
    multi30k.main(["--raw", str(raw), "--out", str(out)])
    assert sorted(os.listdir(out)) == ["stats.json", "test_2017_mscoco.jsonl", "train.jsonl", "val.jsonl"]
    assert (out / "train.jsonl").read_text(encoding="utf-8").split("\n") == [
        '{"id": "train-00001", "source": "A cat sleeps.", "references": ["Eine Katze schläft."]}',
        '{"id": "train-00002", "source": "Two dogs run.", "references": ["Zwei Hunde rennen."]}',
        '{"id": "train-00004", "source": "A\u2028line", "references": ["Eine Zeile"]}',
        "",
    ]
    assert stats(out)["train"] == {
        "pairs": 4,
        "items": 3,
        "dropped": {"empty_source": 1},
        "files": [["train.en.gz", "train.de.gz"]],
    }
    assert stats(out)["test_2018_flickr"] == {"pairs": 0, "left_out": "one language only"}
    assert [item.id for item in read_manifest(out / "test_2017_mscoco.jsonl")] == ["test_2017_mscoco-00001"]


def test_multi30k_other_direction(raw, tmp_path):
    multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--source", "de", "--target", "en"])
    item = read_manifest(tmp_path / "out" / "val.jsonl")[1]
    assert (item.source, item.references) == ("Zwei Hunde rennen.", ("Two dogs run.",))
    assert stats(tmp_path / "out")["train"]["dropped"] == {"empty_target": 1}


def test_multi30k_with_a_test_set_alone_keeps_the_stats_of_other_splits(raw, tmp_path):
    multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out")])
    write(tmp_path / "later" / "test_2017_flickr.en", ENGLISH[:2])
    write(tmp_path / "later" / "test_2017_flickr.de", GERMAN[:2])
    multi30k.main(["--raw", str(tmp_path / "later"), "--out", str(tmp_path / "out")])
    assert len(read_manifest(tmp_path / "out" / "test_2017_flickr.jsonl")) == 2
    assert set(stats(tmp_path / "out")) == {"train", "val", "test_2017_flickr", "test_2017_mscoco", "test_2018_flickr"}


def test_multi30k_into_one_split(raw, tmp_path):
    multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--split", "all"])
    items = read_manifest(tmp_path / "out" / "all.jsonl")
    assert sorted(item.id.rpartition("-")[0] for item in items) == ["test_2017_mscoco", *["train"] * 3, "val", "val"]
    assert stats(tmp_path / "out")["all"]["pairs"] == 7


def test_a_pair_comes_from_one_folder_where_it_can(tmp_path):
    for folder, word in (("a", "wrong"), ("b", "right")):
        write(tmp_path / folder / "train.en", [word])
    write(tmp_path / "b" / "train.de", ["richtig"])
    multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])
    assert read_manifest(tmp_path / "out" / "train.jsonl")[0].source == "right"


def test_faulty_raw_folders_are_named(raw, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: must be a folder that holds the published files, got no folder"):
        multi30k.main(["--raw", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")])
    with pytest.raises(InputError, match="--source and --target must be two languages, got en twice"):
        multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--target", "en"])
    with pytest.raises(InputError, match=r"no pair of files train, val or test_\* .* partner: .*train"):
        multi30k.main(["--raw", str(raw), "--out", str(tmp_path / "out"), "--target", "cs"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("short", "long"), [("en", "de"), ("de", "en")])
def test_halves_of_different_length_are_named(tmp_path, short, long):
    write(tmp_path / f"val.{short}", ["a", "b"])
    write(tmp_path / f"val.{long}", ["a", "b", "c"])
    with pytest.raises(InputError, match=rf"val.{short}: must have as many lines as .*val.{long}, got 2 and more"):
        multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out" / "val.jsonl").exists()


def test_undecodable_text_is_named(tmp_path):
    write(tmp_path / "val.en", ["a", "b"])
    (tmp_path / "val.de").write_bytes("a\nä\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"val.de, line 2: byte 0 is not UTF-8; convert the file"):
        multi30k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")])


def test_multi30k_as_published(real_data, tmp_path):
    multi30k.main(["--raw", str(real_data / "multi30k"), "--out", str(tmp_path), "--target", "fr"])
    counts = {split: values["items"] for split, values in stats(tmp_path).items()}
    assert counts == {"train": 29000, "val": 1014, "test_2016_flickr": 1000}
    assert not any(finding.problem for finding in check(tmp_path)[1])


@pytest.fixture
def news(tmp_path):
    folder = tmp_path / "raw"
    write(folder / "europarl.de-en.de.gz", ["eins zwei", "ja", "", "a b c d", "ja", "a"])
    write(folder / "europarl.de-en.en.gz", ["one two", "yes", "no", "a", "yes", "a b c d e f"])
    write(folder / "common" / "crawl.de", ["ja", "neu"])
    write(folder / "common" / "crawl.en", ["yes", "new"])
    for name in ("news2013", "news2014"):
        write(folder / f"{name}.de", ["a " * 200, "", "ja"])
        write(folder / f"{name}.en", ["a", "no", "yes"])
    return folder


def prepare_news(news, out, *argv):
    wmt.main(["--raw", str(news), "--out", str(out), "--source", "de", "--target", "en", *argv])


def test_wmt_cleans_training_alone_and_counts_why(news, tmp_path):
    out = tmp_path / "out"
    prepare_news(
        news,
        out,
        "--train",
        "europarl.de-en",
        "crawl",
        "--val",
        "news2013",
        "--test",
        "news2014",
        "--max-length",
        "5",
        "--max-ratio",
        "2",
        "--dedupe",
    )
    assert sorted(os.listdir(out)) == ["news2014.jsonl", "stats.json", "train.jsonl", "val.jsonl"]
    assert [(item.id, item.references[0]) for item in read_manifest(out / "train.jsonl")] == [
        ("europarl.de-en-00001", "one two"),
        ("europarl.de-en-00002", "yes"),
        ("crawl-00002", "new"),
    ]
    assert stats(out)["train"]["pairs"] == 8
    assert stats(out)["train"]["dropped"] == {"empty_source": 1, "too_unequal": 1, "repeated": 2, "too_long": 1}
    for split in ("val", "news2014"):
        assert [item.references for item in read_manifest(out / f"{split}.jsonl")] == [("a",), ("no",), ("yes",)]
        assert stats(out)[split]["dropped"] == {}


def test_wmt_keeps_repetitions_unless_told_and_counts_characters_on_request(news, tmp_path):
    prepare_news(news, tmp_path / "out", "--train", "europarl.de-en", "--max_length", "4", "--characters")
    assert [item.source for item in read_manifest(tmp_path / "out" / "train.jsonl")] == ["ja", "ja"]
    assert stats(tmp_path / "out")["train"]["dropped"] == {"too_long": 3, "empty_source": 1}


def test_wmt_into_one_split(news, tmp_path):
    prepare_news(news, tmp_path / "out", "--test", "news2013", "news2014", "--split", "mine")
    assert len(read_manifest(tmp_path / "out" / "mine.jsonl")) == 6


def test_wmt_faults_are_named(news, tmp_path):
    with pytest.raises(InputError, match=r"must hold, at any depth, both files.*missing: paracrawl.\{de,en\}"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "paracrawl")
    with pytest.raises(InputError, match="one of --train, --val and --test must name a corpus, got none"):
        prepare_news(news, tmp_path / "out")
    with pytest.raises(InputError, match="--max_length and --max_ratio must be at least 1, got 0, 3"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "--max_length", "0")
    with pytest.raises(InputError, match="--source and --target must be two languages, got de twice"):
        prepare_news(news, tmp_path / "out", "--train", "crawl", "--target", "de")
    assert not (tmp_path / "out").exists()


def test_pairs_stream(monkeypatch):
    """A line of each file at a time: the two readers are never more than a line apart."""
    read = {"a": 0, "b": 0}

    def lines(path):
        for number in range(1, 1000):
            read[path] = number
            yield number, f"{path} {number} "

    monkeypatch.setattr("seqkit.data_prep.translation.pairs.text_lines", lines)
    for number, source, target in pairs(Corpus("x", "a", "b")):
        assert (source, target) == (f"a {number}", f"b {number}") and set(read.values()) == {number}


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
            patched.setattr(synthetic, "MADE_BY", copies)
            folders.add(synthetic.cached("captioning", items=1))
    assert len(folders) == 1 + len(synthetic.SOURCES)
    assert read_manifest(min(folders) / "test.jsonl")[0].image.is_file()


def test_roots_and_vocabulary_are_distinct():
    assert len(set(synthetic.ROOTS.values())) == len(synthetic.ROOTS) == 57


def test_synthetic_arguments_are_checked(tmp_path):
    with pytest.raises(InputError, match="--task must be one of translation, .*, vqa, .*, lipreading, got dance"):
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


@pytest.mark.parametrize("script", ["multi30k", "wmt", "flickr8k", "coco", "daquar", "vqa2", "referit", "synthetic"])
def test_scripts_run_from_a_checkout_and_end_with_one_line(script, tmp_path):
    root = Path(synthetic.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "data_prep", script, "--out", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "required" in result.stderr
