"""Watch, listen, attend and spell end to end on drawn mouths and their sound, and the laws of absent streams."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import seqkit
from seqkit.cli import main
from seqkit.config import replace
from seqkit.data.batch import Example, collate
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import train_vocab
from seqkit.errors import InputError
from seqkit.nn.memory import Memory
from seqkit.recipe import preset
from seqkit.recipes.lipreading import attention_model, wlas
from seqkit.recipes.lipreading.attention_model import AudioVisualModel, Network
from seqkit.recipes.lipreading.augmentation import ModalityDropout, TrainingExamples
from seqkit.recipes.lipreading.curriculum import Curriculum, Segment
from seqkit.recipes.lipreading.data import AudioCondition, make_noise, make_reader, read_split
from seqkit.recipes.lipreading.encoders import AudioEncoderConfig, VideoEncoderConfig, make_encoders
from seqkit.recipes.lipreading.evaluation import lateness_line, word_positions
from seqkit.recipes.lipreading.input_config import AudioConfig, FeatureConfig, InputStatistics, VideoConfig
from seqkit.recipes.lipreading.word_times import words_by_attention
from seqkit.score.prediction import Prediction, Word
from tests.drawn_faces import clicks, write_video

SMALL = [
    "--preset", "tiny", "--steps", "4", "--crop_size", "[36,40]", "--frame_size", "[16,16]", "--crop_jitter", "0",
    "--video_dim", "8", "--audio_dim", "8", "--audio_channels", "8", "--decoder_dim", "16",
    "--attention_dim", "8", "--embed_dim", "8", "--readout_dim", "8",
]  # fmt: skip
STATISTICS = {
    "video": InputStatistics("pixels", (0.5,), (0.2,)),
    "audio": InputStatistics("features", (0.0,) * 4, (1.0,) * 4),
}
VIDEO_ENCODER = VideoEncoderConfig(channels=0.1, video_dim=6, video_layers=1, video_dropout=0.0, frontend_dropout=0.0)
AUDIO_ENCODER = AudioEncoderConfig(frame_stacking=2, audio_dim=5, audio_layers=2, audio_dropout=0.0)
CONVOLUTIONAL = dataclasses.replace(AUDIO_ENCODER, audio_strides=(1, 2, 2), audio_channels=6)


def command(*words: object) -> int:
    return main(["wlas", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def run(talking_mouths: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    words = ("train", "--data", talking_mouths, "--out", folder, *SMALL, "--ctc_loss_weight", "0.2")
    assert command(*words) == 0
    return folder


def test_a_run_is_scored_in_every_modality_and_noise(run, talking_mouths, capsys):
    words = (
        "evaluate",
        "--run",
        run,
        "--data",
        talking_mouths,
        "--split",
        "test",
        "--name",
        "noisy",
        "--snr",
        "clean,10,-5",
    )
    assert command(*words, "--beam", "2", "--ctc_weight", "0.3") == 0
    by = json.loads((run / "evaluate/noisy/report.json").read_text())["by"]
    assert set(by["snr"]) == {"clean", "10", "-5"} and set(by["modality"]) == {"audio", "video", "both"}
    assert set(by["modality_snr"]) == {f"{m}/{s}" for m in ("audio", "both") for s in by["snr"]} | {"video/clean"}
    assert by["modality_snr"]["both/clean"] == by["modality"]["both"] == by["snr"]["clean"]
    assert set(by["word_position"]) == {"1", "2", "3"} and by["word_position"]["2"]["wer"]["counts"]["items"] == 20
    own = {path.name: path.read_text() for path in (run / "evaluate/noisy").glob("hypotheses*.jsonl")}
    assert own["hypotheses.both.clean.jsonl"] == own["hypotheses.jsonl"] and len(own) == 8
    assert own["hypotheses.audio.-5.jsonl"].count("\n") == 20
    shown = capsys.readouterr().out
    assert "modality" in shown and "reference" in shown
    assert (run / "evaluate/noisy/disagreements.txt").read_text().startswith("outputs of the modalities for the same")


def test_prediction_takes_a_clip_with_or_without_sound(run, talking_mouths, tmp_path, capsys):
    item, both, alone = read_manifest(talking_mouths / "test.jsonl")[0], tmp_path / "both.mp4", tmp_path / "alone.mp4"
    both.write_bytes(item.video.read_bytes())
    both.with_suffix(".wav").write_bytes(item.audio.read_bytes())
    alone.write_bytes(item.video.read_bytes())
    assert command("predict", "--run", run, both, alone, "--json", "--plots", tmp_path / "p") == 0
    found = capsys.readouterr()
    first, second = (json.loads(line) for line in found.out.splitlines())
    assert found.err.count("no audio, so that the video alone is read") == 1 and "alone.mp4" in found.err
    for number, line in enumerate((first, second), 1):
        (best,) = line["predictions"]
        said = bool(best["text"])
        assert [word["text"] for word in best.get("words", [])] == best["text"].split()
        assert all(0 <= word["start"] < word["end"] <= 3 for word in best.get("words", []))
        assert [(tmp_path / f"p/{number:04}.{ending}").is_file() for ending in ("png", "mp4")] == [said, said]


def test_a_run_that_listens_needs_sound(talking_mouths, tmp_path, capsys):
    out, clip = tmp_path / "las", read_manifest(talking_mouths / "test.jsonl")[0]
    assert command("train", "--data", talking_mouths, "--out", out, *SMALL, "--modality", "audio") == 0
    (tmp_path / "silent.mp4").write_bytes(clip.video.read_bytes())
    assert command("predict", "--run", out, tmp_path / "silent.mp4") == 2
    assert "silent.mp4: must have audio, which the run was trained on, got a file without" in capsys.readouterr().err
    assert command("predict", "--run", out, clip.audio, "--plots", tmp_path / "p") == 0
    faceless = write_video(tmp_path / "faceless.mp4", [np.zeros((48, 64, 3), np.uint8)] * 25, clicks(1.0, [0.5]))
    assert command("predict", "--run", out, faceless) == 0  # it listens, so that no face is looked for
    silent = write_video(tmp_path / "dumb.mp4", [np.zeros((48, 64, 3), np.uint8)] * 25)
    assert command("predict", "--run", out, silent) == 2
    assert "dumb.mp4: must have audio, which the run was trained on, got a file without" in capsys.readouterr().err


def test_one_sense_is_trained_alone_and_begins_from_another_run(run, talking_mouths, tmp_path, capsys):
    out = tmp_path / "was"
    assert command("train", "--data", talking_mouths, "--out", out, *SMALL, "--modality", "video", "--init", run) == 0
    told = capsys.readouterr().err
    assert "weights loaded" in told and "not in the model: " in told and "audio_encoder.encoder" in told
    assert command("evaluate", "--run", out, "--data", talking_mouths, "--split", "val") == 0
    assert set(json.loads((out / "evaluate/val/report.json").read_text())["by"]["modality"]) == {"video"}
    assert command("evaluate", "--run", out, "--data", talking_mouths, "--split", "val", "--snr", "10") == 2
    assert "`snr` must be left out where no audio is read, got 10" in capsys.readouterr().err
    words = ("train", "--data", talking_mouths, "--out", tmp_path / "plain", *SMALL, "--modality", "video")
    assert command(*words, "--ctc_head", "false") == 0
    words = ("evaluate", "--run", tmp_path / "plain", "--data", talking_mouths, "--split", "val")
    assert command(*words, "--ctc_weight", "0.3") == 2
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
    assert "`lm` must be null, or a language model's run or file, got" in capsys.readouterr().err
    np.save(tmp_path / "rows.npy", np.zeros((30, 5)))
    assert command("predict", "--run", run, tmp_path / "rows.npy") == 2
    assert 'id "rows.npy": `video` must be given to a run that was trained on it, got none' in capsys.readouterr().err
    values = json.loads((talking_mouths / "val.jsonl").read_text().splitlines()[0])
    for split in ("train", "val"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({**values, "audio": None}) + "\n")
    assert command("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL, "--modality", "audio") == 2
    assert "`audio` or `features` must be given, got none" in capsys.readouterr().err
    assert command("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL, "--modality", "both") == 2
    assert "training items must have `audio` or `features`, got none that has" in capsys.readouterr().err
    with pytest.raises(InputError, match="`audio_only`, `video_only` must be probabilities of sum at most 1, got 0.7"):
        ModalityDropout(audio_only=0.7, video_only=0.7)


def make_model(modality: str, **more: object) -> AudioVisualModel:
    torch.manual_seed(0)
    network = Network(
        modality=modality, embed_dim=6, decoder_dim=8, attention_dim=7, readout_dim=9, dropout=0.0, **more
    )
    statistics = {name: STATISTICS[name] for name in wlas.STREAMS[modality]}
    model = AudioVisualModel(network, VIDEO_ENCODER, AUDIO_ENCODER, (16, 16), statistics, 12).double().eval()
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


def memories(model: AudioVisualModel, examples: list[Example]) -> tuple[Memory, ...]:
    return model.make_memory(model.encode(collate(examples).streams))


def test_an_absent_stream_changes_nothing_for_the_others():
    """Beside items with both, with lips alone and with sound alone, each has the logits that it has by itself."""
    model, examples = make_model("both"), streams([(6, 20), (5, 0), (0, 17), (3, 9)])
    batch = collate(examples)
    logits = model.decoder(batch.inputs_BT, memories(model, examples))
    for n, example in enumerate(examples):
        alone = collate([example])
        own = model.decoder(alone.inputs_BT, memories(model, [example]))
        torch.testing.assert_close(logits[n, : own.shape[1]], own[0])


def test_a_batch_in_which_nobody_is_seen_is_learnt_from():
    model = make_model("both", ctc_head=True)
    loss = wlas.make_loss(model, wlas.Objective(), (0, 1))
    total, _ = loss(collate(streams([(0, 20), (0, 17)])), 0)
    total.backward()
    assert torch.isfinite(total) and model.ctc_heads["audio"].weight.grad.abs().sum() > 0


def test_without_audio_the_model_is_the_video_only_one():
    """WLAS without audio is WAS with the same weights: contexts, first state and logits."""
    both, was = make_model("both"), make_model("video")
    own, theirs = was.state_dict(), both.state_dict()
    for name, tensor in own.items():
        if tensor.shape == theirs[name].shape:
            tensor.copy_(theirs[name])
    own["decoder.cells.layers.0.weight_ih_l0"].copy_(theirs["decoder.cells.layers.0.weight_ih_l0"][:, : 6 + 12])
    own["decoder.readout.hidden.weight"].copy_(theirs["decoder.readout.hidden.weight"][:, : 8 + 12])
    own["decoder.init_hidden.0.weight"].copy_(theirs["decoder.init_hidden.0.weight"][:, :12])
    examples = streams([(6, 0), (4, 0)])
    batch = collate(examples)
    seen = collate([dataclasses.replace(example, streams=example.streams[:1]) for example in examples])
    torch.testing.assert_close(
        both.decoder(batch.inputs_BT, memories(both, examples)),
        was.decoder(seen.inputs_BT, was.make_memory(was.encode(seen.streams))),
    )


@pytest.mark.parametrize(
    ("name", "audio", "shape"),
    [
        ("video", AUDIO_ENCODER, (2, 0, 1, 16, 16)),
        ("audio", AUDIO_ENCODER, (2, 0, 4)),
        ("audio", CONVOLUTIONAL, (2, 0, 4)),
    ],
)
def test_empty_streams_are_encoded_as_zeros(name, audio, shape):
    encoder = make_encoders(VIDEO_ENCODER, audio, (16, 16), STATISTICS)[name]
    encoded = encoder(torch.zeros(shape), torch.tensor([0, 0]))
    assert encoded.values_BSD.shape == (2, 0, encoder.output_dim) and not encoded.h_BLD.any()
    assert encoded.lengths_B.tolist() == [0, 0]


def test_convolutions_over_audio_have_the_rate_of_video_and_ignore_padding():
    encoder = make_encoders(VIDEO_ENCODER, CONVOLUTIONAL, (16, 16), STATISTICS)["audio"].eval()
    rows_BTF, lengths_B = torch.randn(3, 23, 4), torch.tensor([23, 20, 5])
    found = encoder(rows_BTF, lengths_B)
    assert found.lengths_B.tolist() == [6, 5, 2]
    for n, length in enumerate(lengths_B.tolist()):
        own = encoder(rows_BTF[n : n + 1, :length], lengths_B[n : n + 1])
        torch.testing.assert_close(found.values_BSD[n, : own.values_BSD.shape[1]], own.values_BSD[0])


def make_examples(folder: Path, modality: str, **audio: object) -> TrainingExamples:
    split = read_split(folder, "train", modality)
    video, sound = VideoConfig(crop_size=(36, 40), frame_size=(12, 16)), AudioConfig(**audio)
    streams = wlas.STREAMS[modality]
    reader = make_reader(video, FeatureConfig(None), sound, streams=streams, items=split.items)
    vocab = train_vocab("characters", [item.references[0] for item in split.items], 1 << 20)
    dropout = ModalityDropout(noise_snr=(0.0,), noise_start_epoch=2)
    return TrainingExamples(split, reader, vocab, modality, dropout, Curriculum((1,), (1,)), 900, seed=1)


def test_training_draws_modalities_and_noise(talking_mouths):
    examples = make_examples(talking_mouths, "both", speed_perturb=True)
    whole = Segment(0, "")
    kinds = {"audio": 0, "video": 0, "both": 0}
    for draw in range(60):
        frames, features = examples.streams(whole, 0, draw)
        kinds["both" if len(frames) and len(features) else "video" if len(frames) else "audio"] += 1
        if len(frames) and len(features):  # on one clock
            assert len(features) == 4 * len(frames)
    assert min(kinds.values()) > 8
    alone = make_examples(talking_mouths, "audio")
    clean = alone.reader.read_audio_stream(alone.split.items[0])
    assert all(torch.equal(alone.streams(whole, 1, draw)[0], clean) for draw in range(6))
    noisy = [torch.equal(alone.streams(whole, 2, draw)[0], clean) for draw in range(40)]
    assert 5 < sum(noisy) < 35
    assert torch.equal(alone.streams(whole, 2, 7)[0], alone.streams(whole, 2, 7)[0])


def test_an_epoch_of_segments_is_read_in_batches(talking_mouths):
    examples = make_examples(talking_mouths, "audio")
    said = []
    for batch in examples.batches(examples.epoch(0), 0):
        assert batch.streams[0].lengths_B.min() > 0
        said += [examples.vocab.decode(own.tolist()) for own in batch.targets_BT]
    assert sorted(said) == sorted(word for item in examples.split.items for word in item.references[0].split())


def test_a_segment_is_normalized_and_made_noisy_as_its_whole_is(talking_mouths):
    whole = read_manifest(talking_mouths / "train.jsonl")[0]
    reader = make_reader(VideoConfig(), FeatureConfig("utterance"), AudioConfig(), streams=("audio",), items=[whole])
    for snr, speed in ((None, 1.0), (0.0, 0.9)):
        condition = AudioCondition(snr, speed)
        (all_TF,) = reader.streams(whole, "audio", condition=condition)
        for n in range(len(whole.words)):
            (own_TF,) = reader.streams(whole, "audio", words=(n, 1), condition=condition)
            first = int(whole.words[n][1] * 100 / speed + 1e-6)
            assert torch.equal(own_TF, all_TF[first : first + len(own_TF)])
            assert abs(len(own_TF) - (whole.words[n][2] - whole.words[n][1]) * 100 / speed) < 2


def test_words_are_scored_by_position():
    items = [Item(id="a", references=("bin blue at",)), Item(id="b", references=("lay red by",))]
    found = word_positions(items, [Prediction(text, 0.0, 0.0) for text in ("bin red", "red by")])
    read = {place: [(item.references[0], own.text) for item, own in some] for place, some in found.items()}
    assert read == {
        "1": [("bin", "bin"), ("lay", "")],
        "2": [("blue", "red"), ("red", "red")],
        "3": [("at", ""), ("by", "by")],
    }
    uneven = [Item(id="a", references=("one two",)), Item(id="b", references=("one",))]
    assert word_positions(uneven, [Prediction("", 0.0, 0.0)] * 2) == {}


def test_babble_and_recordings_are_noise(talking_mouths, tmp_path):
    items = read_manifest(talking_mouths / "train.jsonl")
    babble = make_noise(AudioConfig(noise="babble"), items)
    assert babble(1000, items[0].id).std() > 0.1
    with pytest.raises(InputError, match="`noise` must not be babble where fewer than 7 items have audio, got 6"):
        make_noise(AudioConfig(noise="babble"), items[:6])
    recording = make_noise(AudioConfig(noise=str(items[0].audio)), items)
    assert len(recording(1000, "x")) == 1000 and np.isfinite(recording(1000, "x")).all()


def test_words_are_timed_by_the_head_where_the_text_fits_its_frames_and_else_by_attention(
    run, talking_mouths, monkeypatch
):
    predictor, used = seqkit.load(run).predictor, []
    for way in ("words_by_ctc", "words_by_attention"):
        monkeypatch.setattr(attention_model, way, lambda *_, way=way: used.append(way) or (Word("a", 0.1, 0.2),))
    item = read_manifest(talking_mouths / "test.jsonl")[0]
    letter = next(i for i in range(4, len(predictor.vocab)) if predictor.vocab.token(i) != " ")
    short = Prediction("a", -1.0, -1.0, (Word("a", probability=0.5),), tokens=(letter,))
    for given, found in (
        (item, short),
        (item, short._replace(tokens=(letter,) * 200)),  # which no path can say
        (dataclasses.replace(item, audio=None), short),
        (dataclasses.replace(item, audio=None), short._replace(tokens=(letter,) * 200)),
    ):
        timed = predictor.timed(given, found)
        assert timed.words == (Word("a", 0.1, 0.2, 0.5),) and timed.seconds == pytest.approx(item.seconds, abs=0.1)
    assert used == ["words_by_ctc", "words_by_attention"] * 2


def test_lateness_is_a_line():
    late = {"first start": 0.04, "last end": -0.5}
    assert lateness_line(late) == "words are late by, in seconds: first start +0.04, last end -0.50"
    assert lateness_line({}) == ""


def test_words_are_where_their_characters_are_attended_to():
    weights_TS = np.eye(10, dtype=np.float32)[[1, 2, 5, 7, 8]]
    words = words_by_attention(weights_TS, 5.0, ["h", "i", " ", "y", "o"])
    assert [word.text for word in words] == ["hi", "yo"]
    assert [(word.start, word.end) for word in words] == [pytest.approx((0.55, 1.45)), pytest.approx((3.55, 4.45))]
    close = words_by_attention(weights_TS[:, ::-1][::-1], 1.0, ["h", "i", " ", "y", "o"])
    assert all(one.end <= other.start for one, other in zip(close, close[1:], strict=False)) and len(close) == 2


def test_an_ensemble_of_a_run_with_itself_is_the_run(run, talking_mouths, capsys):
    clip = read_manifest(talking_mouths / "test.jsonl")[0].video
    (alone,), (twice,) = (seqkit.load(runs, ctc_weight=0.3).predict([clip]) for runs in (run, [run, run]))
    assert alone[0].text == twice[0].text
    for one, other in zip(alone[0].words, twice[0].words, strict=True):
        assert one == (*other[:3], pytest.approx(other.probability, rel=1e-4))
    assert alone[0].logprob == pytest.approx(twice[0].logprob, abs=1e-4)
    words = ("evaluate", "--run", run, run, "--data", talking_mouths, "--split", "test", "--snr", "clean")
    assert command(*words, "--name", "both") == 0
    assert (run / "evaluate/both/report.json").is_file()


def test_presets_change_the_defaults_alone():
    """What a preset does not name is `small`'s: convolutions over audio, the CTC heads, the cells."""
    assert preset(wlas.RECIPE, "small") == wlas.Config()
    for name, changed in wlas.RECIPE.presets.items():
        assert replace(wlas.Config(), changed) == preset(wlas.RECIPE, name)
    for name in ("base", "tiny"):
        config = preset(wlas.RECIPE, name)
        assert config.audio_encoder.audio_strides == ((2, 2) if name == "tiny" else (1, 2, 2))
        assert config.audio_encoder.audio_cell == "gru"
        assert config.network.ctc_head


def test_numbers_out_of_range_are_named(talking_mouths, tmp_path, capsys):
    words = ("train", "--data", talking_mouths, "--out", tmp_path / "run", *SMALL)
    for flags, message in (
        (("--curriculum_words", "0", "--curriculum_epochs", "1"), "`curriculum_words` must be at least 1, got (0,)"),
        (("--batch_budget", "0"), "`batch_budget` must be at least 1, got 0"),
        (("--label_smoothing", "1.5"), "`label_smoothing` must be at least 0 and below 1, got 1.5"),
    ):
        assert command(*words, *flags) == 2
        assert message in capsys.readouterr().err
