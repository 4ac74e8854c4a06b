"""LipNet end to end, as a person types it: drawn mouths and features, plots, subtitles, ensembles, what goes wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import seqkit
from seqkit.cli import main
from seqkit.config import replace
from seqkit.data.batch import Data
from seqkit.data.clock import Clock
from seqkit.data.manifest import Item, read_manifest, write_manifest
from seqkit.data.video_file import write_clip
from seqkit.data.vocab import CharVocab, WordVocab
from seqkit.errors import InputError
from seqkit.recipe import preset
from seqkit.recipes.common.scorers import read_grammar
from seqkit.recipes.lipreading import lipnet, raw_video
from seqkit.recipes.lipreading.ctc_model import mean_log_probability
from seqkit.recipes.lipreading.data import make_reader, normalize_and_augment, read_features, read_frames, read_split
from seqkit.recipes.lipreading.evaluation import PHONEMES, PRONUNCIATIONS, phoneme_confusions, phonemes, visemes
from seqkit.recipes.lipreading.input_config import FeatureConfig, InputStatistics, VideoConfig
from seqkit.recipes.lipreading.subtitles import clock, write_subtitles
from seqkit.score.prediction import Word
from tests.fragile import decoded_item

SMALL = [
    "--preset", "tiny", "--steps", "4", "--crop_size", "[36,40]", "--frame_size", "[16,16]", "--crop_jitter", "0",
    "--video_dim", "8", "--beam", "4", "--window_dim", "8", "--lm_order", "3",
]  # fmt: skip


def command(*words: object) -> int:
    return main(["lipnet", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def run(talking_mouths: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert command("train", "--data", talking_mouths, "--out", folder, *SMALL, "--extra_eval_split", "test") == 0
    return folder


@pytest.fixture(scope="module")
def rows(talking_mouths: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sentences with made-up features in the place of video."""
    folder, rng = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    table = rng.standard_normal((2000, 5)).astype(np.float16)
    np.save(folder / "features.npy", table)
    for split in ("train", "val", "test"):
        items, row = [], 0
        for item in read_manifest(talking_mouths / f"{split}.jsonl")[:12]:
            steps = round((item.seconds or 0) * 25)
            items.append(
                Item(
                    id=item.id,
                    features=folder / "features.npy",
                    rows=(row, row + steps),
                    words=item.words,
                    references=item.references,
                    speaker=item.speaker,
                    seconds=item.seconds,
                )
            )
            row += steps
        write_manifest(folder / f"{split}.jsonl", items)
    return folder


def test_a_run_is_evaluated_with_and_without_the_language_model(run, talking_mouths, capsys):
    assert command("evaluate", "--run", run, "--data", talking_mouths, "--split", "test") == 0
    report = json.loads((run / "evaluate/test/report.json").read_text())
    assert list(report["metrics"]) == ["wer", "cer", "bleu"] and set(report["by"]["search"]) == {
        "greedy",
        "beam",
        "scorers",
    }
    assert report["by"]["search"]["scorers"]["wer"] == report["metrics"]["wer"]
    assert set(report["by"]["speaker"]) <= {f"t{n}" for n in range(1, 9)}
    assert command("evaluate", "--run", run, "--data", talking_mouths, "--split", "test", "--lm", "null") == 0
    assert set(json.loads((run / "evaluate/test_lm=null/report.json").read_text())["by"]["search"]) == {
        "greedy",
        "beam",
    }
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {"wer", "cer", "extra_wer"} <= set(log[-1]["validation"])


def test_a_grammar_binds_what_is_read(run, talking_mouths, tmp_path, capsys):
    said = [item.references[0].split() for item in read_manifest(talking_mouths / "train.jsonl")]
    sets = [sorted(set(place)) for place in zip(*said, strict=True)]
    (tmp_path / "slots").write_text("".join(" ".join(words) + "\n" for words in sets))
    words = ("evaluate", "--run", run, "--data", talking_mouths, "--split", "val", "--grammar", tmp_path / "slots")
    assert command(*words, "--lm", "null", "--beam", "30", "--name", "bound") == 0
    lines = [json.loads(line) for line in (run / "evaluate/bound/hypotheses.jsonl").read_text().splitlines()]
    for line in lines:
        words = line["hypothesis"].split()
        assert not words or all(word in own for word, own in zip(words, sets, strict=True))
    assert any(line["hypothesis"] for line in lines)


def test_prediction_draws_times_and_writes_subtitles(run, talking_mouths, tmp_path, capsys):
    clip = read_manifest(talking_mouths / "test.jsonl")[0].video
    words = ("predict", "--run", run, clip, "--json", "--plots", tmp_path / "p", "--subtitles", tmp_path / "s")
    assert command(*words) == 0
    found = json.loads(capsys.readouterr().out)
    (best,) = found["predictions"]
    words = best.get("words", [])
    assert [word["text"] for word in words] == best["text"].split()
    assert all(word["start"] < word["end"] for word in words) and (tmp_path / "p/0001.png").is_file()
    assert (tmp_path / "p/0001_saliency.png").is_file() == bool(words)
    assert (tmp_path / f"s/{clip.stem}.vtt").read_text().startswith("WEBVTT\n")


def test_features_take_the_place_of_video(rows, tmp_path, capsys):
    out = tmp_path / "run"
    assert command("train", "--data", rows, "--out", out, *SMALL) == 0
    assert "features" in capsys.readouterr().err
    assert command("evaluate", "--run", out, "--data", rows, "--split", "test") == 0
    np.save(tmp_path / "own.npy", np.zeros((30, 5)))
    capsys.readouterr()
    assert command("predict", "--run", out, tmp_path / "own.npy") == 0
    np.save(tmp_path / "wide.npy", np.zeros((30, 6)))
    assert command("predict", "--run", out, tmp_path / "wide.npy") == 2
    assert "features must have the width that training had, 5, got 6" in capsys.readouterr().err
    values = json.loads((rows / "val.jsonl").read_text().splitlines()[0])
    (tmp_path / "val.jsonl").write_text(json.dumps({**values, "features": None, "video": "a.mp4"}) + "\n")
    assert command("evaluate", "--run", out, "--data", tmp_path, "--split", "val") == 2
    assert "`features` must be given to a run that was trained on them, got none" in capsys.readouterr().err


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one(talking_mouths, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert command("train", "--data", talking_mouths, "--out", whole, *SMALL) == 0
    assert command("train", "--data", talking_mouths, "--out", halves, *SMALL, "--max_minutes", "1e-9") == 0
    again = ["train", "--data", talking_mouths, "--out", halves, "--resume"]
    (halves / "config.yaml").write_text((whole / "config.yaml").read_text())
    assert command(*again) == 0
    assert (whole / "last/model.safetensors").read_bytes() == (halves / "last/model.safetensors").read_bytes()


def test_rows_of_the_papers_table_share_what_they_can(talking_mouths, tmp_path, capsys):
    words = ("compare", "--data", talking_mouths, "--out", tmp_path, "--variants", "nolm,lipnet,baseline-lstm")
    assert command(*words, "--split", "test", *SMALL, "--extra_eval_split", "test") == 0
    found = json.loads((tmp_path / "compare_test.json").read_text())["variants"]
    assert [own["variant"] for own in found] == ["nolm", "lipnet", "baseline-lstm"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["baseline-lstm", "nolm"]
    log = [json.loads(line) for line in (tmp_path / "nolm/log.jsonl").read_text().splitlines()]
    peeked = [entry["validation"]["extra_wer"] for entry in log if "validation" in entry]
    assert found[0]["best_of_all_validations"]["wer"] == found[1]["best_of_all_validations"]["wer"] == min(peeked)
    assert "best of all validations" in capsys.readouterr().out


def test_what_is_wrong_is_named(run, talking_mouths, tmp_path, capsys):
    assert command("predict", "--run", run, tmp_path / "none.mp4") == 2
    assert "INPUT must be a file, got" in capsys.readouterr().err
    (tmp_path / "a.mp4").write_text("no video")
    assert command("predict", "--run", run, tmp_path / "a.mp4") == 2
    assert "a.mp4" in capsys.readouterr().err
    lines = (talking_mouths / "val.jsonl").read_text().splitlines()
    bad = tmp_path / "bad"
    bad.mkdir()
    shutil.copy(talking_mouths / "train.jsonl", bad / "train.jsonl")
    values = json.loads(lines[0])
    for change, message in (
        ({"references": [" "]}, "`references` must hold text, got an empty one"),
        ({"video": None}, "`video` or `features` must be given, got none"),
    ):
        (bad / "val.jsonl").write_text(json.dumps({**values, **change}) + "\n")
        assert command("train", "--data", bad, "--out", tmp_path / "run", *SMALL) == 2
        assert message in capsys.readouterr().err
    assert (
        command("train", "--data", talking_mouths, "--out", tmp_path / "run", *SMALL, "--blank_outside_words", "-1")
        == 2
    )
    assert "`blank_outside_words` must be at least 0, got -1.0" in capsys.readouterr().err
    assert command("evaluate", "--run", run, "--data", talking_mouths, "--split", "val", "--lm", "nowhere") == 2
    assert "`lm` must be own, null, or a language model's run or file" in capsys.readouterr().err


def test_what_does_not_fit_the_run_is_named(run, talking_mouths, rows, tmp_path, capsys, monkeypatch, decoded_here):
    assert command("train", "--data", talking_mouths, "--out", tmp_path / "run", *SMALL, "--frame_size", "[4, 4]") == 2
    assert "`size` must be at least 15 pixels each way, got (4, 4)" in capsys.readouterr().err
    assert command("evaluate", "--run", run, "--data", rows, "--split", "val") == 2
    assert "`video` must be given to a run that was trained on it, got none" in capsys.readouterr().err
    monkeypatch.setattr("seqkit.recipes.lipreading.raw_video.LONGEST", 1.0)
    monkeypatch.setattr("seqkit.recipes.lipreading.raw_video.read_note", lambda _: {})
    clip, cropped = read_manifest(talking_mouths / "test.jsonl")[0].video, []
    note = {"frames": 75, "sound": False, "remarks": []}
    monkeypatch.setattr("seqkit.data_prep.lipreading.mouths.crop", lambda *_: cropped.append(1) or note)
    # longer than its time stamps say, by which it would have been read as a long recording
    monkeypatch.setattr("seqkit.recipes.lipreading.raw_video.read_clock", lambda _: Clock())
    monkeypatch.setattr("seqkit.recipes.lipreading.raw_video.length_of", lambda _: 0.0)
    assert command("predict", "--run", run, clip) == 2
    assert "must last at most 1 seconds, a few sentences, got" in capsys.readouterr().err and cropped


def test_a_video_that_ends_its_decoder_costs_itself_alone(run, talking_mouths, tmp_path, capsys, monkeypatch):
    clip = read_manifest(talking_mouths / "test.jsonl")[0].video
    bad = shutil.copy(clip, tmp_path / "bad.mp4")
    monkeypatch.setattr(raw_video, "decoded_item", decoded_item)
    assert command("predict", "--run", run, clip, bad, clip) == 2
    shown = capsys.readouterr()
    assert shown.err.count("error: ") == 1 and "bad.mp4: must be a whole file, got one that ends the proc" in shown.err
    first, second, third = shown.out.splitlines()
    assert first == third and not second


def test_texts_too_long_for_their_frames_are_left_out_and_named(rows, tmp_path, capsys):
    lines = [json.loads(line) for line in (rows / "train.jsonl").read_text().splitlines()]
    lines[0]["rows"] = [0, 3]
    for line in lines:
        line["features"] = str(rows / line["features"])
    for split in ("train", "val"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert command("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL) == 0
    assert f"1 items left out, whose text is longer than their frames can say: {lines[0]['id']}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_training_is_told_in_which_frames_nothing_is_said(stride, rows):
    split = read_split(rows, "train", "video")
    items, changes = split.items, {"blank_outside_words": 0.01, "frame_drop": 0.0, "window_stride": stride}
    config = replace(preset(lipnet.RECIPE, "tiny"), changes)
    vocab = CharVocab.train([item.references[0] for item in items])
    reader = make_reader(config.video, config.feature, streams=("video",), items=items)
    examples = lipnet.make_examples(config, reader, vocab, split)
    data = Data(examples.epoch, examples.batches)
    told = 0
    for batch in data.load(data.epoch(0), 0):
        frames, silent = batch.streams
        assert silent.lengths_B.tolist() == [-(-length // stride) for length in frames.lengths_B.tolist()]
        for number, silent_T, length in zip(batch.indices, silent.values, silent.lengths_B.tolist(), strict=True):
            if number >= len(items):  # a single word
                assert not silent_T.any()
                continue
            seconds_T, words = (torch.arange(length) + 0.5) * items[number].seconds / length, items[number].words
            outside_T = (seconds_T < words[0][1] - 0.01) | (seconds_T > words[-1][2] + 0.01)
            if (~outside_T).sum() < lipnet.min_frames(vocab.encode(items[number].references[0])):
                outside_T[:] = False  # the text would not fit into what is left
            assert silent_T[:length].tolist() == outside_T.tolist()
            told += int(silent_T.sum())
    assert told > len(items)


def test_symbols_outside_the_alphabet_are_said(run, talking_mouths, tmp_path, capsys):
    line = json.loads((talking_mouths / "test.jsonl").read_text().splitlines()[0])
    line |= {"references": ["a öne now"], "video": str(talking_mouths / line["video"])}
    (tmp_path / "test.jsonl").write_text(json.dumps(line) + "\n")
    assert command("evaluate", "--run", run, "--data", tmp_path, "--split", "test") == 0
    assert "symbols that training did not have, so that they cannot be read: 'ö'" in capsys.readouterr().err


def test_frames_are_cut_mirrored_and_scaled(tmp_path):
    frames = [np.full((40, 40, 3), 10 * n, np.uint8) for n in range(10)]
    for frame in frames:
        frame[:, :20] = 200
    write_clip(tmp_path / "a.mp4", frames, {})
    item = Item(id="a", video=tmp_path / "a.mp4", start=0.08, end=0.24)
    found = read_frames(VideoConfig((20, 20), (10, 10), grayscale=True), item)
    assert found.shape == (4, 1, 10, 10) and found.dtype == torch.uint8
    assert (found[..., 0].int() - 200).abs().max() < 6 and (found[1, 0, :, -1].int() - 30).abs().max() < 6
    options = VideoConfig((20, 20), (20, 20), grayscale=True, horizontal_flip=1.0, frame_drop=0.0)
    mirrored = read_frames(options, item, np.random.default_rng(0))
    assert (mirrored[..., -1].int() - 200).abs().max() < 6 and len(mirrored) == 4
    with pytest.raises(InputError, match=r"a.mp4: `clip` must have at least 50 x 20 pixels, got 40 x 40; prepare it"):
        read_frames(VideoConfig(crop_size=(50, 20)), item)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", "must be a .npy array of numbers"),
        (np.zeros((3, 4, 5)), "must be numbers of .time, width., got float64"),
        (np.full((9, 2), np.nan), "must hold finite numbers"),
        (np.zeros((4, 2)), "`rows` must end within the file's 4"),
    ],
)
def test_features_that_are_none_are_named(tmp_path, content, message):
    path = tmp_path / "f.npy"
    np.save(path, content) if isinstance(content, np.ndarray) else path.write_bytes(content)
    with pytest.raises(InputError, match=rf'f.npy(, id "x")?: {message}'):
        read_features(Item(id="x", features=path, rows=(0, 9)))


def test_rows_are_normalised_masked_and_shaken():
    table = np.random.default_rng(0).normal(5, 3, (200, 4)).astype(np.float32)
    inputs = InputStatistics("features", (5.0,) * 4, (3.0,) * 4)
    assert np.array_equal(normalize_and_augment(FeatureConfig(None), inputs, table), table)
    own = normalize_and_augment(FeatureConfig("utterance"), inputs, table)
    assert np.abs(own.mean(0)).max() < 1e-5 and np.abs(own.std(0) - 1).max() < 1e-4
    assert np.allclose(normalize_and_augment(FeatureConfig("corpus"), inputs, table), (table - 5) / 3, atol=1e-5)
    rng = np.random.default_rng(1)
    changed = normalize_and_augment(FeatureConfig(time_mask=40, freq_mask=2, feature_noise=0.1), inputs, table, rng)
    assert (changed == 0).any() and 0.05 < (changed - own)[changed != 0].std() < 0.2


def test_a_grammar_in_another_case_is_told(tmp_path, capsys):
    vocab, path = CharVocab(list("abcABC ")), tmp_path / "words"
    path.write_text("ab Cab\n")
    read_grammar(path, vocab, torch.device("cpu"))
    assert capsys.readouterr().err == ""
    path.write_text("AB CAB\n")
    read_grammar(path, vocab, torch.device("cpu"))
    said = capsys.readouterr().err
    assert f"{path}: words are in another case than most of the training text, 'A' for 'a'" in said


def test_a_grammar_file_is_a_lexicon_or_slots(tmp_path):
    vocab, path = CharVocab(list("abc ")), tmp_path / "words"
    path.write_text("ab c\n")
    free = read_grammar(path, vocab, torch.device("cpu"))
    assert free.accepts(vocab.encode("ab c ab")) and not free.accepts(vocab.encode("ba"))
    path.write_text("ab c\n\na\n")
    bound = read_grammar(path, vocab, torch.device("cpu"))
    assert bound.accepts(vocab.encode("c a")) and not bound.accepts(vocab.encode("ab c"))
    assert read_grammar(path, WordVocab(["ab", "c", "a"]), torch.device("cpu")).accepts([4, 6])
    for text, message in (("", "must hold at least one word"), ("ab ax", "must hold words in the symbols of training")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_grammar(path, vocab, torch.device("cpu"))
    with pytest.raises(InputError, match="`grammar` must be a file of words"):
        read_grammar(tmp_path / "none", vocab, torch.device("cpu"))


def test_subtitles_are_in_both_formats(tmp_path):
    write_subtitles(tmp_path / "clip", [Word("bin", 0.5, 1.0), Word("blue", 1.0, 3723.25)])
    assert (tmp_path / "clip.srt").read_text() == (
        "1\n00:00:00,500 --> 00:00:01,000\nbin\n\n2\n00:00:01,000 --> 01:02:03,250\nblue\n"
    )
    assert (tmp_path / "clip.vtt").read_text().startswith("WEBVTT\n\n1\n00:00:00.500 --> ") and clock(59.9999, ".") == (
        "00:01:00.000"
    )


def test_confusions_count_phonemes_said_and_read():
    assert sum(size for _, size in visemes()) == len(PHONEMES) == len(set(PHONEMES))
    assert all(phoneme in PHONEMES for own in PRONUNCIATIONS.values() for phoneme in own.split())
    assert phonemes("bin Blue") == ["b", "ih", "n", "b", "l", "uw"] and phonemes("bin gold") is None
    counts = phoneme_confusions(["bin at", "xyzzy"], ["bin p", "bin"])
    place = {phoneme: n for n, phoneme in enumerate(PHONEMES)}
    assert counts[place["b"], place["b"]] == 1 and counts.sum() == 5
    assert phoneme_confusions(["p"], ["b"])[place["p"], place["b"]] == 1


def test_an_ensemble_of_a_run_with_itself_is_the_run(run, talking_mouths, capsys):
    clip = read_manifest(talking_mouths / "test.jsonl")[0].video
    (alone,), (twice,) = (seqkit.load(runs, lm=None).predict([clip]) for runs in (run, [run, run]))
    assert alone[0].text == twice[0].text
    for one, other in zip(alone[0].words, twice[0].words, strict=True):
        assert one == (*other[:3], pytest.approx(other.probability, rel=1e-4))
    assert alone[0].logprob == pytest.approx(twice[0].logprob, abs=1e-3)
    words = ("evaluate", "--run", run, run, "--data", talking_mouths, "--split", "test")
    assert command(*words) == 0 and "test_ensemble" in capsys.readouterr().out


def test_models_of_an_ensemble_are_averaged_by_frame():
    torch.manual_seed(0)
    one, other = torch.randn(5, 4), torch.randn(5, 4)
    mean = mean_log_probability([one, other]).softmax(-1)
    product = (one.softmax(-1) * other.softmax(-1)).sqrt()
    torch.testing.assert_close(mean, product / product.sum(-1, keepdim=True))
    assert mean_log_probability([one]) is one
    with pytest.raises(InputError, match=r"an ensemble must have as many frames in every model, got \[4, 5\]"):
        mean_log_probability([one, other[:4]])


def test_initialized_training_keeps_vocabulary_and_statistics(run, talking_mouths, tmp_path, capsys):
    """The second corpus has fewer characters; under its own vocabulary the output's weights would mean others."""
    lines = [json.loads(line) for line in (talking_mouths / "train.jsonl").read_text().splitlines()]
    letters = {
        letter: sum(letter in line["references"][0] for line in lines) for letter in "abcdefghijklmnopqrstuvwxyz"
    }
    rare = min((letter for letter in letters if letters[letter]), key=lambda letter: letters[letter])
    for split in ("train", "val"):
        kept = [line for line in lines if rare not in line["references"][0]]
        moved = [line | {"video": str(talking_mouths / line["video"]), "audio": None} for line in kept]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in moved))
    assert command("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL, "--init", run) == 0
    assert "0 left as they were" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    for name in ("config.yaml", "best/meta.json", "best/model.safetensors", "best/target.json"):
        (tmp_path / "other" / name).parent.mkdir(exist_ok=True)
        shutil.copy(run / name, tmp_path / "other" / name)
    words = ("train", "--data", tmp_path, "--out", tmp_path / "new", *SMALL, "--init", tmp_path / "other")
    assert command(*words) == 2
    assert "must be of a run of lipnet or wlas, got one without inputs.json" in capsys.readouterr().err
    for name in ("target.json", "inputs.json"):
        assert (tmp_path / "run/best" / name).read_bytes() == (run / "best" / name).read_bytes()


def test_flags_that_a_command_does_not_honor_are_refused(talking_mouths, tmp_path, capsys):
    assert command("train", "--data", talking_mouths, "--out", tmp_path, *SMALL, "--subtitles", tmp_path) == 2
    assert "`--subtitles` must be a flag of seqkit lipnet train" in capsys.readouterr().err


def test_presets_change_the_defaults_alone():
    """Sizes and schedules differ; what a preset does not name is `small`'s."""
    assert preset(lipnet.RECIPE, "small") == lipnet.Config()
    for name in lipnet.RECIPE.presets:
        changed = lipnet.RECIPE.presets[name]
        assert replace(lipnet.Config(), changed) == preset(lipnet.RECIPE, name)
