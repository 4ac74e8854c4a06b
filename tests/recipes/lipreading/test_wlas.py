"""Watching, listening and spelling end to end on drawn mouths and their sound, and the laws of absent streams."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seqkit.cli import run_recipe
from seqkit.data.batch import Example, collate
from seqkit.data.manifest import read_manifest
from seqkit.errors import InputError
from seqkit.nn.memory import Memory
from seqkit.recipes.lipreading import wlas
from seqkit.recipes.lipreading.attention_model import Network, Speller
from seqkit.recipes.lipreading.augmentation import Exercise, Mixing, Show, find_inputs
from seqkit.recipes.lipreading.data import Inputs, Rows, Sound, Video, noise_of, part
from seqkit.recipes.lipreading.encoders import Listening, Watching, make_listen, make_watch
from seqkit.recipes.lipreading.evaluation import slots
from seqkit.score.report import ScoredItem
from tests.drawn_faces import clicks, write_video

SMALL = [
    "--preset",
    "tiny",
    "--steps",
    "4",
    "--cut",
    "[36, 40]",
    "--pixels",
    "[16, 16]",
    "--watch_dim",
    "8",
    "--listen_dim",
    "8",
    "--decoder_dim",
    "16",
    "--attention_dim",
    "8",
    "--embed_dim",
    "8",
    "--readout_dim",
    "8",
]
INPUTS = {"watch": Inputs("pixels", (0.5,), (0.2,)), "listen": Inputs("features", (0.0,) * 4, (1.0,) * 4)}
WATCHING = Watching(channels=0.1, watch_dim=6, watch_layers=1, watch_dropout=0.0, frontend_dropout=0.0)
LISTENING = Listening(stack=2, listen_dim=5, listen_layers=2, listen_dropout=0.0)
CONVOLVING = dataclasses.replace(LISTENING, listen_strides=(1, 2, 2), listen_channels=6)
VIDEO = Video(pixels=(16, 16))


def command(*words: object) -> int:
    return run_recipe(wlas.RECIPE, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(talking_mouths: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    words = ("train", "--data", talking_mouths, "--out", folder, *SMALL, "--ctc_head", "true", "--ctc", "0.2")
    assert command(*words) == 0
    return folder


def test_a_run_is_scored_in_every_modality_and_noise(run, talking_mouths, capsys):
    words = ("evaluate", "--run", run, "--data", talking_mouths, "--split", "test", "--snr", "clean,10,-5")
    assert command(*words, "--beam", "2", "--ctc_weight", "0.3") == 0
    by = json.loads((run / "evaluate/test/report.json").read_text())["by"]
    assert set(by["snr"]) == {"clean", "10", "-5"} and set(by["modality"]) == {"audio", "video", "both"}
    assert set(by["modality_snr"]) == {f"{m}/{s}" for m in ("audio", "both") for s in by["snr"]} | {"video/clean"}
    assert by["modality_snr"]["both/clean"] == by["modality"]["both"] == by["snr"]["clean"]
    assert set(by["slot"]) == {"1", "2", "3"} and by["slot"]["2"]["wer"]["counts"]["items"] == 20
    own = {path.name: path.read_text() for path in (run / "evaluate/test").glob("hypotheses*.jsonl")}
    assert own["hypotheses.both.clean.jsonl"] == own["hypotheses.jsonl"] and len(own) == 8
    assert own["hypotheses.audio.-5.jsonl"].count("\n") == 20
    shown = capsys.readouterr().out
    assert "modality" in shown and "truth" in shown
    assert (run / "evaluate/test/disagreements.txt").read_text().startswith("what the modalities make of the same item")


def test_prediction_takes_a_clip_with_or_without_sound(run, talking_mouths, tmp_path, capsys):
    item, both, alone = read_manifest(talking_mouths / "test.jsonl")[0], tmp_path / "both.mp4", tmp_path / "alone.mp4"
    both.write_bytes(item.video.read_bytes())
    both.with_suffix(".wav").write_bytes(item.audio.read_bytes())
    alone.write_bytes(item.video.read_bytes())
    assert command("predict", "--run", run, both, alone, "--json", "--pictures", tmp_path / "p") == 0
    found = capsys.readouterr()
    first, second = (json.loads(line) for line in found.out.splitlines())
    assert found.err.count("no sound, so that the lips alone are read") == 1 and "alone.mp4" in found.err
    for number, line in enumerate((first, second), 1):
        said = bool(line["hypotheses"][0]["text"])
        assert [(tmp_path / f"p/{number:04}.{ending}").is_file() for ending in ("png", "mp4")] == [said, said]


def test_a_run_that_listens_needs_sound(talking_mouths, tmp_path, capsys):
    out, clip = tmp_path / "las", read_manifest(talking_mouths / "test.jsonl")[0]
    assert command("train", "--data", talking_mouths, "--out", out, *SMALL, "--modality", "audio") == 0
    (tmp_path / "silent.mp4").write_bytes(clip.video.read_bytes())
    assert command("predict", "--run", out, tmp_path / "silent.mp4") == 2
    assert "silent.mp4: must have what the run needs for audio, got a file without it" in capsys.readouterr().err
    assert command("predict", "--run", out, clip.audio, "--pictures", tmp_path / "p") == 0
    faceless = write_video(tmp_path / "faceless.mp4", [np.zeros((48, 64, 3), np.uint8)] * 25, clicks(1.0, [0.5]))
    assert command("predict", "--run", out, faceless) == 0  # it listens, so that no face is looked for
    silent = write_video(tmp_path / "dumb.mp4", [np.zeros((48, 64, 3), np.uint8)] * 25)
    assert command("predict", "--run", out, silent) == 2
    assert "dumb.mp4: must have what the run needs for audio, got a file without it" in capsys.readouterr().err


def test_one_sense_is_trained_alone_and_begins_from_another_run(run, talking_mouths, tmp_path, capsys):
    out = tmp_path / "was"
    assert command("train", "--data", talking_mouths, "--out", out, *SMALL, "--modality", "video", "--init", run) == 0
    told = capsys.readouterr().err
    assert "weights loaded" in told and "not in the model: " in told and "listen.encoder" in told
    assert command("evaluate", "--run", out, "--data", talking_mouths, "--split", "val") == 0
    assert set(json.loads((out / "evaluate/val/report.json").read_text())["by"]["modality"]) == {"video"}
    assert command("evaluate", "--run", out, "--data", talking_mouths, "--split", "val", "--ctc_weight", "0.3") == 2
    assert "`ctc_weight` must be 0 for a run without `ctc_head`" in capsys.readouterr().err


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one(talking_mouths, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert command("train", "--data", talking_mouths, "--out", whole, *SMALL) == 0
    assert command("train", "--data", talking_mouths, "--out", halves, *SMALL, "--max_minutes", "1e-9") == 0
    (halves / "config.yaml").write_text((whole / "config.yaml").read_text())
    assert command("train", "--data", talking_mouths, "--out", halves, "--resume") == 0
    assert (whole / "last/model.safetensors").read_bytes() == (halves / "last/model.safetensors").read_bytes()


def test_what_is_wrong_is_named(run, talking_mouths, tmp_path, capsys):
    assert command("evaluate", "--run", run, "--data", talking_mouths, "--split", "test", "--snr", "loud") == 2
    assert "`snr` must be of `clean` and numbers in dB, got 'loud'" in capsys.readouterr().err
    assert command("evaluate", "--run", run, "--data", talking_mouths, "--split", "test", "--lm", tmp_path / "no") == 2
    assert "no: must be the file of an n-gram model, got none there" in capsys.readouterr().err
    np.save(tmp_path / "rows.npy", np.zeros((30, 5)))
    assert command("predict", "--run", run, tmp_path / "rows.npy") == 2
    assert 'id "rows.npy": `video` must be given to a run that was trained on it, got none' in capsys.readouterr().err
    values = json.loads((talking_mouths / "val.jsonl").read_text().splitlines()[0])
    for split in ("train", "val"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({**values, "audio": None}) + "\n")
    assert command("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL, "--modality", "audio") == 2
    assert "`audio` or `features` must be given for modality audio, got none" in capsys.readouterr().err
    assert command("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL, "--modality", "both") == 2
    assert "training items must have something to listen to, got none" in capsys.readouterr().err
    with pytest.raises(InputError, match="`only_audio`, `only_video` must be shares that sum to at most 1, got 0.7"):
        Mixing(only_audio=0.7, only_video=0.7)


def speller(modality: str, **more: object) -> Speller:
    torch.manual_seed(0)
    network = Network(
        modality=modality, embed_dim=6, decoder_dim=8, attention_dim=7, readout_dim=9, dropout=0.0, **more
    )
    model = Speller(network, WATCHING, LISTENING, VIDEO, INPUTS, 12).double().eval()
    for name, parameter in model.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter)
    return model


def streams(lengths: list[tuple[int, int]]) -> list[Example]:
    """Examples of so many frames of video and rows of sound."""
    torch.manual_seed(1)
    return [
        Example(
            n,
            (torch.rand(frames, 1, 16, 16, dtype=torch.float64), torch.randn(rows, 4, dtype=torch.float64)),
            (4, 5, 6)[: n + 1],
        )
        for n, (frames, rows) in enumerate(lengths)
    ]


def memories(model: Speller, examples: list[Example]) -> tuple[Memory, ...]:
    return model.make_memory(model.encode(collate(examples).streams))


def test_an_absent_stream_changes_nothing_for_the_others():
    """Beside items with both, with lips alone and with sound alone, each has the logits that it has by itself."""
    model, examples = speller("both"), streams([(6, 20), (5, 0), (0, 17), (3, 9)])
    batch = collate(examples)
    logits = model.decoder(batch.inputs_BT, memories(model, examples))
    for n, example in enumerate(examples):
        alone = collate([example])
        own = model.decoder(alone.inputs_BT, memories(model, [example]))
        torch.testing.assert_close(logits[n, : own.shape[1]], own[0])


def test_a_batch_in_which_nobody_is_seen_is_learnt_from():
    model = speller("both", ctc_head=True)
    loss = wlas.make_loss(model, wlas.Objective(), (0, 1))
    total, _ = loss(collate(streams([(0, 20), (0, 17)])), 0)
    total.backward()
    assert torch.isfinite(total) and model.heads["listen"].weight.grad.abs().sum() > 0


def test_without_sound_the_model_is_the_one_that_watches():
    """WLAS without audio is WAS with the same weights: contexts, first state and logits."""
    both, was = speller("both"), speller("video")
    own, theirs = was.state_dict(), both.state_dict()
    for name, tensor in own.items():
        if tensor.shape == theirs[name].shape:
            tensor.copy_(theirs[name])
    own["decoder.cells.layers.0.weight_ih_l0"].copy_(theirs["decoder.cells.layers.0.weight_ih_l0"][:, : 6 + 12])
    own["decoder.readout.hidden.weight"].copy_(theirs["decoder.readout.hidden.weight"][:, : 8 + 12])
    own["decoder.init_hidden.0.weight"].copy_(theirs["decoder.init_hidden.0.weight"][:, :12])
    examples = streams([(6, 0), (4, 0)])
    batch = collate(examples)
    seen = collate([example._replace(streams=example.streams[:1]) for example in examples])
    torch.testing.assert_close(
        both.decoder(batch.inputs_BT, memories(both, examples)),
        was.decoder(seen.inputs_BT, was.make_memory(was.encode(seen.streams))),
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_watch(WATCHING, VIDEO, INPUTS["watch"]),
        lambda: make_listen(LISTENING, INPUTS["listen"]),
        lambda: make_listen(CONVOLVING, INPUTS["listen"]),
    ],
)
def test_a_sense_without_anything_to_sense_is_zero(make):
    torch.manual_seed(0)
    sense = make()
    shape = (2, 0, 1, 16, 16) if sense.output_dim == 12 else (2, 0, 4)
    encoded = sense(torch.zeros(shape), torch.tensor([0, 0]))
    assert encoded.values_BSD.shape == (2, 0, sense.output_dim) and not encoded.h_BLD.any()
    assert encoded.lengths_B.tolist() == [0, 0]


def test_convolutions_listen_at_the_rate_of_video_and_not_to_padding():
    sense = make_listen(CONVOLVING, INPUTS["listen"]).eval()
    rows_BTF, lengths_B = torch.randn(3, 23, 4), torch.tensor([23, 20, 5])
    found = sense(rows_BTF, lengths_B)
    assert found.lengths_B.tolist() == [6, 5, 2]
    for n, length in enumerate(lengths_B.tolist()):
        own = sense(rows_BTF[n : n + 1, :length], lengths_B[n : n + 1])
        torch.testing.assert_close(found.values_BSD[n, : own.values_BSD.shape[1]], own.values_BSD[0])


def test_training_draws_senses_and_noise(talking_mouths):
    items = read_manifest(talking_mouths / "train.jsonl")
    video, sound = Video(cut=(36, 40), pixels=(12, 16)), Sound(speeds=True)
    inputs = find_inputs(video, sound, items, ("watch", "listen"))
    show = Show(video, Rows("none"), sound, inputs, noise_of(sound, items))
    exercise = Exercise(show, "both", Mixing(noise_snr=(0.0,), noise_from=2))
    kinds = {"audio": 0, "video": 0, "both": 0}
    for draw in range(60):
        frames, rows = exercise.streams(items[0], 0, draw)
        kinds["both" if len(frames) and len(rows) else "video" if len(frames) else "audio"] += 1
        if len(frames) and len(rows):  # on one clock
            assert len(rows) == 4 * len(frames)
    assert min(kinds.values()) > 8
    alone = Exercise(show._replace(sound=Sound()), "audio", Mixing(noise_snr=(0.0,), noise_from=2))
    clean = show.hear(items[0])
    assert all(torch.equal(alone.streams(items[0], 1, draw)[1], clean) for draw in range(6))
    noisy = [torch.equal(alone.streams(items[0], 2, draw)[1], clean) for draw in range(40)]
    assert 5 < sum(noisy) < 35
    assert torch.equal(alone.streams(items[0], 2, 7)[1], alone.streams(items[0], 2, 7)[1])


def test_a_part_is_normalised_and_made_noisy_as_its_whole_is(talking_mouths):
    whole = read_manifest(talking_mouths / "train.jsonl")[0]
    sound = Sound(speeds=True)
    inputs = find_inputs(Video(), sound, [whole], ("listen",))
    show = Show(Video(), Rows("utterance"), sound, inputs, noise_of(sound, []))
    for snr, speed in ((None, 1.0), (0.0, 0.9)):
        how = {"whole": whole, "snr": snr, "speed": speed, "key": "k"}
        all_TF = show.hear(whole, snr=snr, speed=speed, key="k")
        for n in range(len(whole.words)):
            own_TF = show.hear(part(whole, n, 1), **how)
            first = int(whole.words[n][1] * 100 / speed + 1e-6)
            assert torch.equal(own_TF, all_TF[first : first + len(own_TF)])
            assert abs(len(own_TF) - (whole.words[n][2] - whole.words[n][1]) * 100 / speed) < 2


def test_slots_are_scored_by_place():
    found = slots([ScoredItem("a", ["bin blue at"], "bin red"), ScoredItem("b", ["lay red by"], "red by")])
    assert {place: [(item.references[0], item.hypothesis) for item in own] for place, own in found.items()} == {
        "1": [("bin", "bin"), ("lay", "")],
        "2": [("blue", "red"), ("red", "red")],
        "3": [("at", ""), ("by", "by")],
    }
    assert slots([ScoredItem("a", ["one two"], ""), ScoredItem("b", ["one"], "")]) == {}


def test_babble_and_recordings_are_noise(talking_mouths, tmp_path):
    items = read_manifest(talking_mouths / "train.jsonl")
    babble = noise_of(Sound(noise="babble"), items)
    assert babble(1000, items[0].id).std() > 0.1
    with pytest.raises(InputError, match="`noise` must not be babble where fewer than 7 items have sound, got 6"):
        noise_of(Sound(noise="babble"), items[:6])
    recording = noise_of(Sound(noise=str(items[0].audio)), items)
    assert len(recording(1000, "x")) == 1000 and np.isfinite(recording(1000, "x")).all()
