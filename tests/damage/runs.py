"""Readers of trained runs: every file of a run's folder, other people's weights, caches and exported models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save_file
from torch import nn

import seqkit
from seqkit.average import mean_weights
from seqkit.compare import read_result
from seqkit.config import save_config
from seqkit.data.batch import Data
from seqkit.data.feature_store import StoreWriter, locked, open_store
from seqkit.decode import train_ngram, write_ngram
from seqkit.errors import InputError
from seqkit.export import beam
from seqkit.nn import imagenet
from seqkit.recipe import EvaluationReport
from seqkit.score.metric import AS_IT_IS
from seqkit.train import checkpoint
from seqkit.train.average import WeightAverage
from seqkit.train.random_state import get_rng_state
from seqkit.train.schedule import Horizon
from seqkit.train.state import Progress, StepMetrics, Training, load_training_state, write_training_state
from seqkit.train.training_config import TrainingConfig
from tests import exported_models
from tests.damage.mutations import mutate_within
from tests.damage.outcomes import Reader
from tests.damage.texts import LINES, jsonl

BEST = ("config.yaml", "best/meta.json", "best/model.safetensors")
VOCABS = {
    "translation": ("source", "target"), "captioning": ("words",), "vqa": ("words",), "grounding": ("words",),
    "language_model": ("target",), "lipnet": ("target",), "wlas": ("target",),
}  # fmt: skip
MORE = {"vqa": ("best/answers.json",), "lipnet": ("best/inputs.json",), "wlas": ("best/inputs.json",)}
FIELDS: dict[str, dict[str, object]] = {"lipnet": {"lm": None}}
KEY = {"net": "x"}


def make_run(task: str, **fields: object) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        predictor, config = exported_models.make(task, **fields)
        (folder / "best").mkdir()
        save_config(config, folder / "config.yaml", recipe=task, data="/x", data_sha256="0")
        model: Any = (getattr(predictor, "models", None) or predictor.members)[0]
        if not isinstance(model, nn.Module):
            model = getattr(model, "model", None) or model.decoder
        checkpoint.write_model(folder / "best", model, {"step": 3, "metrics": {"wer": 50.5}, "seconds": 1.5})
        vocab = getattr(predictor, "vocab", None) or exported_models.CHARS
        for name in VOCABS[task]:
            (exported_models.WORDS if task == "translation" else vocab).save(folder / "best", name)
        if task == "vqa":
            predictor.answers.save(folder / "best")
        if task in ("lipnet", "wlas"):
            predictor.readers[0].save(folder / "best", vocab)

    return make


def load_run(folder: Path) -> object:
    run = seqkit.load(folder, device="cpu")
    checkpoint.read_meta(folder / "best")
    if run.recipe.name in ("translation", "language_model"):
        return [[(p.text, p.logprob) for p in found] for found in run.predict(["a bb"])]
    return getattr(run.predictor, "answers", None), [r.statistics for r in getattr(run.predictor, "readers", ())]


def make_counts(folder: Path) -> None:
    make_run("language_model")(folder)
    text = (folder / "config.yaml").read_text().replace("kind: recurrent", "kind: ngram")
    (folder / "config.yaml").write_text(text)
    with (folder / "best" / "model.ngram").open("wb") as file:
        write_ngram(train_ngram([list(line) for line in LINES], 3), file)


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3))


def small_training() -> Training:
    model, config = small_model(), TrainingConfig(steps=9, ema_decay=0.5)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    data = Data(lambda epoch: [[0]], lambda batches, epoch: iter(()))
    return Training(config, Horizon(9, 1), model, optimizer, WeightAverage(model, ema_decay=0.5), StepMetrics(), data)


def step(training: Training) -> None:
    for parameter in training.model.parameters():
        parameter.grad = torch.full_like(parameter, 0.1)
    training.optimizer.step()


def make_training(folder: Path) -> None:
    training = small_training()
    step(training)
    (folder / "last").mkdir()
    checkpoint.write_model(folder / "last", training.model, {"step": 1})
    progress = Progress(1, 0, 1, 2.5, (50.0,))
    write_training_state(folder / "last", training, progress, [get_rng_state(torch.device("cpu"))], 10)


def resume(folder: Path) -> object:
    training = small_training()
    found = load_training_state(folder / "last", training)
    with (folder / "log.jsonl").open("ab") as file:
        file.truncate(found.logged)
    (folder / "log.jsonl").unlink()
    step(training)
    training.average.update(found.progress.step)
    return found, training.pending.rows, list(training.model.parameters())


def make_weights(folder: Path) -> None:
    torch.manual_seed(0)
    weights = {name: value.clone() for name, value in imagenet.build("small_cnn", 64).state_dict().items()}
    torch.save(weights, folder / "w.pth")
    torch.save(weights, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(weights, folder / "w.safetensors")


def read_imagenet(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        network = imagenet.build("small_cnn", 64)
        imagenet.load(network, "small_cnn", folder / name)
        return list(network.state_dict().values())

    return read


def make_store(folder: Path) -> None:
    with locked(folder), StoreWriter(folder, KEY, open_store(folder, KEY), 3) as writer:
        writer.add([b"a", b"b", b"c"], [np.ones((3, 4), np.float16), np.zeros((3, 2, 2), np.float16)])
        for name in (b"a", b"b", b"c"):
            writer.note(b"stamp" + name, name)
    next(folder.glob("index-*.bin")).rename(folder / "index-0.bin")
    next(folder.glob("features-*.f16")).rename(folder / "features-0.f16")
    header = json.loads((folder / "cache.json").read_bytes()) | {"features": "features-0.f16", "index": "index-0.bin"}
    (folder / "cache.json").write_text(json.dumps(header))


def read_store(folder: Path) -> object:
    store = open_store(folder, KEY)
    return store.rows([b"stampa", b"stampb"])


def make_means(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        checkpoint.write_model(folder / name, small_model(), {"step": 1})


def make_export(folder: Path) -> None:
    exported_models.WORDS.save(folder, "target")
    vector = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])
    same = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [vector], [same])
    opset = [onnx.helper.make_opsetid("", 17)]
    (folder / "model.onnx").write_bytes(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )
    facts = {
        "kind": "text",
        "graphs": ["model"],
        "vocabulary": "target.json",
        "bos": 1,
        "eos": 2,
        "suppress": [0, 1],
        "search": {"beam": 5},
    }
    (folder / "model.json").write_text(json.dumps(facts))


def load_export(folder: Path) -> object:
    try:
        model = beam.Model(folder)
        return model.text([4, 5, 3]), model.facts
    except ValueError as error:  # it is used without seqkit
        if str(folder) in str(error) or "`tokens` must be below" in str(error):
            raise InputError(str(error)) from error
        raise


def make_compared(folder: Path) -> None:
    score = {"value": 50.0, "low": 40.0, "high": 60.0, "signature": "x", "counts": {"errors": 1}}
    rows = [{"id": "a", "references": [LINES[0]], "hypothesis": LINES[1], "logprob": -1.5, "score": -1.5}]
    (folder / "report.json").write_text(json.dumps({"metrics": {"wer": score}}))
    (folder / "hypotheses.jsonl").write_bytes(jsonl(*rows))
    (folder / "log.jsonl").write_bytes(jsonl({"step": 1, "seconds": 2.5, "validation": {"wer": 5.5, "extra_wer": 4.5}}))


def read_compared(folder: Path) -> object:
    return read_result(folder, "a", EvaluationReport(folder, "", AS_IT_IS), {})


def run_files(task: str) -> list[str]:
    return [*BEST, *(f"best/{name}.json" for name in VOCABS[task]), *MORE.get(task, ())]


READERS = [
    *(Reader(f"run of {task}", make_run(task, **FIELDS.get(task, {})), load_run, run_files(task)) for task in VOCABS),
    Reader("run of counts", make_counts, load_run, ["best/model.ngram", "config.yaml"]),
    Reader("training state", make_training, resume, ["last/training.pt"], mutate_within),
    Reader("means of weights", make_means, lambda f: mean_weights([f / "one", f / "two"]), ["two/model.safetensors"]),
    Reader("weights w.pth", make_weights, read_imagenet("w.pth"), ["w.pth"], mutate_within),
    Reader("weights old.pth", make_weights, read_imagenet("old.pth"), ["old.pth"]),
    Reader("weights w.safetensors", make_weights, read_imagenet("w.safetensors"), ["w.safetensors"]),
    Reader("cache of features", make_store, read_store, ["cache.json", "index-0.bin"]),
    Reader("exported model", make_export, load_export, ["model.json", "target.json", "model.onnx"]),
    Reader("compared runs", make_compared, read_compared, ["report.json", "hypotheses.jsonl", "log.jsonl"]),
]
