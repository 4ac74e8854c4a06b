"""Exported models beside torch: the same tokens and logits at any length, batch and beam; and what goes wrong."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("onnx", reason="needs seqkit[export]")
pytest.importorskip("onnxscript", reason="needs seqkit[export]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs seqkit[export]")

from seqkit.data.batch import PaddedSequence  # noqa: E402
from seqkit.decode import Hypothesis, Search, beam, greedy_ctc  # noqa: E402
from seqkit.export import graph  # noqa: E402
from seqkit.export.beam import Model  # noqa: E402
from seqkit.export.graph import Input  # noqa: E402
from seqkit.export.recurrent import OnnxRecurrent  # noqa: E402
from seqkit.recipes.lipreading.attention_model import LONGER  # noqa: E402
from tests.exported_models import CHARS, WORDS, exported  # noqa: E402

LENGTHS = ([5], [9, 2], [1, 14, 6, 3])  # three batch sizes and three longest lengths, none of them the exporter's
slow = pytest.mark.slow


def ids(lengths: list[int], size: int) -> tuple[Tensor, Tensor]:
    """Random tokens, padded."""
    torch.manual_seed(sum(lengths))
    lengths_B = torch.tensor(lengths)
    tokens_BT = torch.randint(4, size, (len(lengths), max(lengths)))
    return tokens_BT.masked_fill(torch.arange(max(lengths)) >= lengths_B[:, None], 0), lengths_B


def frames(lengths: list[int], *shape: int, pixels: bool = False) -> tuple[Tensor, Tensor]:
    """Random frames or features; the padding is noise too, which must not matter."""
    torch.manual_seed(sum(lengths))
    full = (len(lengths), max(lengths), *shape)
    values = torch.randint(0, 256, full, dtype=torch.uint8) if pixels else torch.randn(full)
    return values, torch.tensor(lengths)


def images(count: int) -> Tensor:
    torch.manual_seed(count)
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)


def arrays(**inputs: Tensor) -> dict[str, Any]:
    return {name: value.numpy() for name, value in inputs.items()}


def same(found: list[list[Any]], expected: list[list[Hypothesis]]) -> None:
    """The same tokens, and the same log-probabilities and scores to 1e-4."""
    assert [[one.tokens for one in some] for some in found] == [[one.tokens for one in some] for some in expected]
    for mine, theirs in zip(sum(found, []), sum(expected, []), strict=True):
        assert (mine.logprob, mine.score) == pytest.approx((theirs.logprob, theirs.score), abs=1e-4)


def close(made: Any, expected: Tensor) -> None:
    """Equal to 1e-4 of the largest logit: the signed square root of bilinear pooling magnifies roundings of zero."""
    largest = float(expected[expected > -1e30].abs().max())
    np.testing.assert_allclose(made, expected.numpy(), atol=1e-4 * max(1.0, largest))


def steps(model: Model, inputs: dict[str, Any], row: int | None = None) -> list[dict[str, Any]]:
    """What the exported decoder makes in three steps, fed with tokens by rule: of all items, or of item `row` alone."""
    memory = model.run("encoder", inputs)
    memory.pop("max_len")
    names = [name for name in memory if name.split("_")[0] in ("h", "c", "context", "attention")]
    state, found = {name: memory.pop(name) for name in names}, []
    for number in range(3):
        token_B = tokens(len(state["h"]), number) if row is None else tokens(row + 1, number)[row:]
        found.append(model.run("step", {"token": token_B[:, None].numpy(), **memory, **state}))
        state = {name: found[-1][f"next_{name}"] for name in state}
    return found


def tokens(batch: int, step: int) -> Tensor:
    return (torch.arange(batch) + 3 * step) % 4 + 4


@torch.no_grad()
def same_steps(found: list[dict[str, Any]], torch_model: Any, memories: Any) -> None:
    """Logits and attention of the steps are torch's to 1e-4."""
    state = torch_model.decoder.initial_state(memories)
    for number, made in enumerate(found):
        logits_BV, weights, state = torch_model.decoder.step(tokens(len(made["logits"]), number), memories, state)
        np.testing.assert_allclose(made["logits"][:, 0], logits_BV.numpy(), atol=1e-4)
        for stream, weights_BS in enumerate(weights, 1):
            shown = made.get(f"attention_{stream}", made.get(f"next_attention_{stream}"))
            np.testing.assert_allclose(shown[:, 0], weights_BS.numpy(), atol=1e-4)


def check_attention(
    model: Model, torch_model: Any, memories: Any, limit_B: Tensor, search: Search, **inputs: Tensor
) -> None:
    """Steps, and searches with beams of 1, 5 and 12, padded and each item alone."""
    given = arrays(**inputs)
    together = steps(model, given)
    same_steps(together, torch_model, memories)
    for size in (1, 5, 12):
        own = dataclasses.replace(search, beam=size, nbest=min(3, size), max_len=limit_B)
        expected = beam(torch_model.decoder, memories, own)
        same(model.search(beam=size, nbest=min(3, size), **given), expected)
        for row in range(len(limit_B)):
            found = model.search(beam=size, nbest=min(3, size), **alone(given, row))
            same(found, expected[row : row + 1])
    for row in range(len(limit_B)):
        for mine, others in zip(steps(model, alone(given, row), row), together, strict=True):
            np.testing.assert_allclose(mine["logits"][0], others["logits"][row], atol=1e-4)


def alone(given: dict[str, Any], row: int) -> dict[str, Any]:
    """The inputs of one item, without padding."""
    own = {name: value[row : row + 1] for name, value in given.items()}
    for name in [name for name in own if f"{name}_lengths" in own]:
        own[name] = own[name][:, : max(1, int(own[f"{name}_lengths"][0]))]
    return own


TRANSLATION = [
    pytest.param({}, marks=slow),
    pytest.param({"cell": "gru", "attention": "location", "encoder_layers": 2, "residual": True}, marks=slow),
    pytest.param({"cell": "rnn", "attention": "multi_head", "heads": 2, "wiring": "bahdanau"}, marks=slow),
    pytest.param({"cell": "gru", "wiring": "bahdanau", "init_hidden": "backward", "readout": "maxout"}, marks=slow),
    pytest.param({"attention": "dot", "wiring": "luong", "init_hidden": "last", "length_penalty": "wu"}, marks=slow),
    pytest.param({"attention": "general", "init_hidden": None, "no_repeat_ngram": 2}, marks=slow),
    pytest.param(
        {
            "attention": None, "wiring": "luong", "init_hidden": "copy", "bidirectional": False, "decoder_dim": 8,
            "reverse_source": True, "encoder_layers": 2, "decoder_layers": 2, "length_penalty": None,
        },
        marks=slow,
    ),
]  # fmt: skip


@pytest.mark.parametrize("fields", TRANSLATION, ids=str)
def test_translation(fields: dict[str, Any], tmp_path: Path) -> None:
    predictor, model = exported("translation", tmp_path, **fields)
    torch_model = predictor.models[0]
    for lengths in LENGTHS:
        source, lengths_B = ids(lengths, len(WORDS))
        with torch.no_grad():
            memories = torch_model.make_memory(PaddedSequence(source, lengths_B))
        search = predictor.search.search(1, 1)
        limit_B = 2 * lengths_B + 10
        check_attention(model, torch_model, memories, limit_B, search, source=source, source_lengths=lengths_B)
    words = [4, 5, 14, 15, 3, 8]
    assert model.text(words) == WORDS.decode(words)


@pytest.mark.parametrize(
    "fields",
    [
        {"attention": None, "readout": "linear", "tie_embeddings": False},
        pytest.param({}, marks=slow),
        pytest.param({"wiring": "luong_input_feeding", "proj_dim": None, "gate": False}, marks=slow),
    ],
    ids=str,
)
def test_captioning(fields: dict[str, Any], tmp_path: Path) -> None:
    predictor, model = exported("captioning", tmp_path, **fields)
    torch_model = predictor.members[0].model
    search = predictor.search.search(30, 1, suppress_tokens=(0, 1, 3))
    for count in (1, 2, 4):
        with torch.no_grad():
            memories = torch_model.make_memory((images(count),))
        check_attention(model, torch_model, memories, torch.full((count,), 30), search, pixels=images(count))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"modality": "both"}, marks=slow),
        pytest.param({"modality": "video", "attention": "location", "video_cell": "lstm"}, marks=slow),
        {"modality": "audio", "audio_strides": (1, 2, 2), "ctc_head": True},
        pytest.param(
            {"modality": "audio", "frame_stacking": 4, "audio_reverse": True, "audio_cell": "gru"}, marks=slow
        ),
    ],
    ids=str,
)
def test_speech_in_every_modality_and_without_a_stream(fields: dict[str, Any], tmp_path: Path) -> None:
    predictor, model = exported("wlas", tmp_path, **fields)
    torch_model, streams = predictor.models[0], predictor.readers[0].statistics
    for lengths in LENGTHS:
        own = {"video": frames(lengths, 1, 16, 16, pixels=True), "audio": frames([4 * length for length in lengths], 4)}
        if len(streams) > 1 and len(lengths) > 1:  # the first item is not heard, the last not seen
            own["audio"][1][0] = 0
            own["video"][1][-1] = 0
        given = {name: own[name] for name in streams}
        with torch.no_grad():
            encoded = torch_model.encode([PaddedSequence(*given[name]) for name in streams])
            memories = torch_model.make_memory(encoded)
        limit_B = torch.stack([e.lengths_B for e in encoded]).amax(0) + LONGER
        inputs = {name: values for name, (values, _) in given.items()}
        inputs |= {f"{name}_lengths": lengths_B for name, (_, lengths_B) in given.items()}
        search = predictor.search.decoding.search(1, 1, suppress_tokens=(0, 1, 3))
        check_attention(model, torch_model, memories, limit_B, search, **inputs)
    assert model.text([4, 5, 3, 6]) == CHARS.decode([4, 5, 3, 6])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        pytest.param({"kind": "features", "window_stride": 2, "video_cell": "lstm"}, marks=slow),
        pytest.param({"kind": "features", "window": 0, "window_stride": 3}, marks=slow),
        pytest.param({"frontend": "resnet"}, marks=slow),
        pytest.param({"frontend": "vgg_m", "frame_size": (40, 40)}, marks=slow),
        pytest.param({"frontend": "linear", "video_bidirectional": False, "video_reverse": True}, marks=slow),
    ],
    ids=str,
)
def test_ctc(fields: dict[str, Any], tmp_path: Path) -> None:
    predictor, model = exported("lipnet", tmp_path, **fields)
    pixels = predictor.readers[0].statistics["video"].kind == "pixels"
    shape = (1, *predictor.readers[0].video.frame_size) if pixels else (4,)
    for lengths in LENGTHS:
        video, lengths_B = frames(lengths, *shape, pixels=pixels)
        with torch.no_grad():
            logits_BTV, after_B = predictor.models[0](video, lengths_B)
        made = model.run("model", arrays(video=video, video_lengths=lengths_B))
        assert made["lengths"].tolist() == after_B.tolist()
        for row, length in enumerate(after_B.tolist()):
            np.testing.assert_allclose(made["logits"][row, :length], logits_BTV[row, :length].numpy(), atol=1e-4)
        expected = [[own.hypothesis] for own in greedy_ctc(logits_BTV, after_B, suppress_tokens=(1, 2, 3))]
        same([[one] for one in model.ctc(**arrays(video=video, video_lengths=lengths_B))], expected)
        alone = arrays(video=video[:1, : lengths[0]], video_lengths=lengths_B[:1])
        same([[one] for one in model.ctc(**alone)], expected[:1])


@pytest.mark.parametrize(
    "fields",
    [
        {"fusion": None},
        pytest.param({}, marks=slow),
        pytest.param({"fusion": "mfb", "attention": None, "cell": "gru"}, marks=slow),
        pytest.param({"fusion": "bilinear", "center": True}, marks=slow),
        pytest.param({"fusion": "concat", "fusion_layers": 1}, marks=slow),
    ],
    ids=str,
)
def test_answers(fields: dict[str, Any], tmp_path: Path) -> None:
    predictor, model = exported("vqa", tmp_path, **fields)
    torch_model = predictor.members[0].model
    for lengths in LENGTHS:
        question, lengths_B = ids(lengths, len(WORDS))
        seen = {"pixels": images(len(lengths))} if torch_model.image_encoder else {}
        with torch.no_grad():
            logits_BA, weights_BGS = torch_model(tuple(seen.values()), question, lengths_B)
        made = model.run("model", arrays(**seen, question=question, question_lengths=lengths_B))
        close(made["logits"], logits_BA)
        if "attention" in made:
            np.testing.assert_allclose(made["attention"], weights_BGS.numpy(), atol=1e-4)
    assert tuple(json.loads((tmp_path / "answers.json").read_text())["texts"]) == predictor.answers.texts


class Layer(nn.Module):
    """One recurrent layer as an operator, with its first states as inputs."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = OnnxRecurrent(layer)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Values, lengths and first states: outputs and last states, batch first."""
        x_BTI, lengths_B, *first = inputs
        y_BTD, last = self.layer(x_BTI, lengths_B, [state_BGH.transpose(0, 1) for state_BGH in first])
        return y_BTD, *(state_GBH.transpose(0, 1) for state_GBH in last)


@pytest.mark.parametrize("kind", ["LSTM", pytest.param("GRU", marks=slow), pytest.param("RNN", marks=slow)])
@torch.no_grad()
def test_a_row_of_length_0_keeps_its_state_and_padding_changes_none(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    layer = getattr(nn, kind)(3, 5, bidirectional=True, batch_first=True)
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    inputs = [Input("x", ("batch", "time", 3), torch.float32, ""), Input("x_lengths", ("batch",), torch.int64, "")]
    inputs += [Input(name, ("batch", 2, 5), torch.float32, "") for name in states]
    graph.write_graph(
        graph.Graph("layer", Layer(layer), inputs, ["y", *(f"last_{n}" for n in states)]), tmp_path / "l.onnx"
    )
    session = onnxruntime.InferenceSession(str(tmp_path / "l.onnx"))
    for lengths in ([0, 4, 2], [3, 0], [1], [0]):
        x_BTI, first = torch.randn(len(lengths), max([1, *lengths]), 3), torch.randn(len(states), len(lengths), 2, 5)
        noise = torch.arange(x_BTI.shape[1])[None, :, None] >= torch.tensor(lengths)[:, None, None]
        given = {"x": x_BTI + 1e3 * noise, "x_lengths": torch.tensor(lengths), **dict(zip(states, first, strict=True))}
        y_BTD, *last = session.run(None, arrays(**given))
        for row, length in enumerate(lengths):
            own = [state_BGH[row][:, None].contiguous() for state_BGH in first]
            expected, after = torch.zeros(0, 10), own
            if length:
                made, after = layer(x_BTI[row : row + 1, :length], tuple(own) if kind == "LSTM" else own[0])
                expected, after = made[0], list(after) if kind == "LSTM" else [after]
            np.testing.assert_allclose(y_BTD[row, :length], expected.numpy(), atol=1e-5)
            assert not y_BTD[row, length:].any()
            for mine, theirs in zip(last, after, strict=True):
                np.testing.assert_allclose(mine[row], theirs[:, 0].numpy(), atol=1e-5)


@slow
@pytest.mark.parametrize("fields", [{}, {"fusion": "mlb", "spatial_features": False}], ids=str)
def test_grounding(fields: dict[str, Any], tmp_path: Path) -> None:
    predictor, model = exported("grounding", tmp_path, **fields)
    for lengths in LENGTHS:
        phrase, lengths_B = ids(lengths, len(WORDS))
        boxes = torch.rand(len(lengths), 3 + len(lengths), 4).sort(-1).values
        boxes_lengths = torch.arange(len(lengths)) + 2
        inputs = dict(boxes=boxes, boxes_lengths=boxes_lengths, phrase=phrase, phrase_lengths=lengths_B)
        with torch.no_grad():
            logits_BK = predictor.members[0].model((images(len(lengths)),), *inputs.values())
        made = model.run("model", arrays(pixels=images(len(lengths)), **inputs))
        close(made["logits"], logits_BK)


@pytest.mark.parametrize("fields", [{"layers": 2}, pytest.param({"cell": "gru"}, marks=slow)], ids=str)
def test_language_model(fields: dict[str, Any], tmp_path: Path) -> None:
    predictor, model = exported("language_model", tmp_path, **fields)
    for lengths in LENGTHS:
        tokens, _ = ids(lengths, len(CHARS))
        with torch.no_grad():
            logits_BTV = predictor.members[0].decoder(tokens, ())
        np.testing.assert_allclose(model.run("model", arrays(tokens=tokens))["logits"], logits_BTV.numpy(), atol=1e-4)
    assert json.loads((tmp_path / "symbols.json").read_text(encoding="utf-8"))[:4] == ["<pad>", "<s>", "</s>", "<unk>"]
