"""`seqkit export`: what it writes, what the README says, 8-bit weights, and what goes wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.cli import main
from seqkit.config import save_config
from seqkit.data.vocab import CharVocab, SubwordVocab
from seqkit.export import beam, graph
from seqkit.nn import frontends
from seqkit.nn.frames import PixelNorm
from seqkit.train import checkpoint
from tests.exported_models import WORDS, exported, make


def installed() -> None:
    """Skip where the extra is missing."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="needs seqkit[export]")


def run_folder(folder: Path, **fields: Any) -> Path:
    """A translation run that was never trained."""
    predictor, config = make("translation", **fields)
    best = folder / "best"
    best.mkdir(parents=True)
    checkpoint.write_model(best, predictor.models[0], {})
    predictor.vocabs.save(best)
    save_config(config, folder / "config.yaml", recipe="translation", data=".")
    return folder


def test_a_run_becomes_a_folder_that_decodes_without_this_library(tmp_path: Path, capsys: Any) -> None:
    installed()
    run, out = run_folder(tmp_path / "run"), tmp_path / "out"
    assert main(["export", str(run), str(out)]) == 0
    names = {"README.md", "beam.py", "encoder.onnx", "model.json", "source.json", "step.onnx", "target.json"}
    assert {path.name for path in out.iterdir()} == names
    assert capsys.readouterr().out.count("MiB") == len(names)
    decoder = (out / "beam.py").read_text(encoding="utf-8")
    imported = {name.split(".")[0] for name in re.findall(r"^\s*(?:import|from) (\S+)", decoder, re.MULTILINE)}
    assert imported - sys.stdlib_module_names == {"beam", "numpy", "onnxruntime"}  # the first in its docstring
    assert len(decoder.splitlines()) < 150
    assert not any(str(Path(beam.__file__).parents[2]).encode() in path.read_bytes() for path in out.glob("*.onnx"))
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "| source | int64 | (batch, time) |" in readme and "Outputs: logits, attention_1, next_h" in readme
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(program.splitlines()) <= 10
    assert "seqkit" not in program and "torch" not in program
    bare = f"import sys; sys.modules['torch'] = sys.modules['seqkit'] = None\n{program}"
    found = subprocess.run([sys.executable, "-c", bare], cwd=out, capture_output=True, text=True, check=True)
    lines = found.stdout.splitlines()
    assert len(lines) == 4 and all(re.search(r" -\d+\.\d+ -\d+\.\d+$", line) for line in lines)
    texts = ["a bb, ccc", "gg", "dddd hhh (f) iiii jjjjj a a"]
    expected = seqkit.load(run, device="cpu").predict(texts, nbest=2)
    source, lengths = beam.pad([WORDS.encode(text) for text in texts])
    found = beam.Model(out).search(nbest=2, source=source, source_lengths=lengths)
    assert [[one.tokens for one in some] for some in found] == [[[*one.tokens] for one in some] for some in expected]
    assert main(["export", str(run), str(out)]) == 2
    assert "OUT must be a new or empty folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("task", ["captioning", "vqa", "grounding", "lipnet", "wlas", "language_model"])
def test_the_readmes_program_runs(task: str, tmp_path: Path) -> None:
    installed()
    exported(task, tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text("utf-8"), re.DOTALL)
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout, result.stderr


def test_8_bit_weights_of_a_gru_leave_its_recurrence(tmp_path: Path) -> None:
    installed()
    readme = compare_8_bits(tmp_path, "language_model", 0.95, embed_dim=64, hidden_dim=64, cell="gru")
    assert "quantized dynamically; left at 32 bits: 1 GRU." in readme


@pytest.mark.slow
def test_8_bit_weights_of_a_translation_decode(tmp_path: Path) -> None:
    installed()
    fields = dict(embed_dim=64, encoder_dim=64, decoder_dim=96, attention_dim=64, readout_dim=64)
    assert "LSTMs are 8-bit" in compare_8_bits(tmp_path, "translation", 0.5, **fields)
    inputs = dict(source=np.array([[4, 5, 6], [7, 8, 0]]), source_lengths=np.array([3, 2]))
    model = beam.Model(tmp_path / "True")
    assert [len(found) for found in model.search(nbest=3, **inputs)] == [3, 3]


def compare_8_bits(folder: Path, task: str, share: float, **fields: Any) -> str:
    """The README of an export in 8 bits, which is a `share` of the plain one at most and gives nearly its numbers."""
    sizes, outputs = [], []
    for int8 in (False, True):
        _, model = exported(task, folder / str(int8), int8=int8, **fields)
        sizes.append(sum(path.stat().st_size for path in (folder / str(int8)).glob("*.onnx")))
        tokens = np.array([[4, 5, 6], [7, 8, 2]])
        given = dict(tokens=tokens, source=tokens, source_lengths=np.array([3, 2]))
        made = model.run(next(iter(model.graphs)), given)
        outputs.append(made.get("logits", made.get("h")))
    assert sizes[1] < share * sizes[0]
    assert 1e-6 < np.abs(outputs[1] - outputs[0]).max() < 0.25 * np.abs(outputs[0]).max()
    return (folder / "True" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["Stcnn", "ResNet", "VggM", "LinearFrontEnd"])
@torch.no_grad()
def test_frames_in_their_padded_places_are_those_packed(kind: str) -> None:
    from seqkit.export.plain import plain_functions

    torch.manual_seed(0)
    options: dict[str, Any] = {"width": 4} if kind == "ResNet" else {"size": (40, 40)}
    options |= {"width": 0.05} if kind == "VggM" else {}
    frontend = getattr(frontends, kind)(PixelNorm(), **options).eval()
    video, lengths_B = torch.randint(0, 256, (3, 6, 1, 40, 40), dtype=torch.uint8), torch.tensor([6, 1, 4])
    packed, _ = frontend(video, lengths_B)
    with plain_functions():
        padded, _ = frontend(video, lengths_B)
    torch.testing.assert_close(padded, packed, atol=1e-5, rtol=1e-5)


def test_without_the_extra_one_line_says_what_to_install(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(run_folder(tmp_path / "run")), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert 'pip install "seqkit[export]"' in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqkit.export.command.check_installed", lambda: None)
    assert main(["export", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "RUN must be the folder of a trained run" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("recipe: mine\n")
    assert main(["export", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "the task must be one of" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["export", str(tmp_path), str(tmp_path / "file")]) == 2
    assert "OUT must be a new or empty folder" in capsys.readouterr().err


def test_subwords_are_joined_without_sentencepiece(tmp_path: Path) -> None:
    texts = ["the dog runs, fast!", "▁ a dog  sleeps", "three dogs"]
    vocab = SubwordVocab.train(texts, 60)
    graph.write_vocab(vocab, tmp_path, "target")
    assert SubwordVocab((tmp_path / "target.model").read_bytes()).encode(texts[0]) == vocab.encode(texts[0])
    model: Any = object.__new__(beam.Model)
    model.vocab = json.loads((tmp_path / "target.json").read_text(encoding="utf-8"))
    space = vocab.encode("▁ a")[0]
    for text in texts:
        ids = [space, space, *vocab.encode(text), 3, space, 2]
        assert model.text(ids) == vocab.decode(ids)
    chars = CharVocab.train(["a b"])
    graph.write_vocab(chars, tmp_path, "letters")
    model.vocab = json.loads((tmp_path / "letters.json").read_text(encoding="utf-8"))
    ids = [chars.encode("a b")[n] for n in (1, 0, 1, 1, 2, 1)]
    assert model.text(ids) == chars.decode(ids) == "a b"


def test_words_are_joined_as_the_vocabulary_does(tmp_path: Path) -> None:
    graph.write_vocab(WORDS, tmp_path, "target")
    model: Any = object.__new__(beam.Model)
    model.vocab = json.loads((tmp_path / "target.json").read_text(encoding="utf-8"))
    ids = WORDS.encode("a bb, ccc. gg")
    assert model.text(ids) == WORDS.decode(ids) == "a bb, ccc. gg"


def test_the_decoder_stands_alone_and_is_short() -> None:
    text = Path(beam.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 190
    imported = set(re.findall(r"^\s*(?:import|from) ([\w.]+)", text, re.MULTILINE))
    assert imported - set(sys.stdlib_module_names) - {"collections.abc", "beam"} == {"numpy", "onnxruntime"}
