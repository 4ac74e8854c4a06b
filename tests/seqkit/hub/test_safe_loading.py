"""Nothing in a model's folder is executed or unpickled: programs and pickles beside the weights stay shut."""

import pickle
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import seqkit
from seqkit.cli import main
from seqkit.find_run import find_run
from tests.hub_runs import small_run, stand_in

pytest.importorskip("huggingface_hub", reason="needs seqkit[hub]")
OPENED: list[str] = []
WATCHED: list[Path] = []  # folders; an audit hook cannot be removed, so it looks whether there are any


def watch(event: str, arguments: Sequence[Any]) -> None:
    if WATCHED and event in ("open", "import", "exec", "pickle.find_class"):
        OPENED.extend(str(value) for value in arguments if str(value).startswith(tuple(map(str, WATCHED))))


class Trap:
    """What would end the test if it were unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


def trap(folder: Path) -> None:
    """Put programs and pickles of all the usual names into a folder."""
    for name in ("pytorch_model.bin", "model.pt", "training.pt", "model.pkl", "target.pkl", "vocab.npy"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    for name in ("modeling_seqkit.py", "recipe.py", "model.py", "sitecustomize.py", "conftest.py", "__init__.py"):
        (folder / name).write_text("raise SystemExit('executed')")


@pytest.mark.parametrize("task", ["translation", pytest.param("lipnet", marks=pytest.mark.slow)])
def test_only_weights_tables_and_configs_are_opened(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(task, tmp_path)
    out = tmp_path / "flat"
    assert main(["push", str(run), "a/b", "--license", "mit", "--dry_run", str(out)]) == 0
    for folder in (out, run, run / "best"):
        trap(folder)
    known = {"config.json", "config.yaml", "meta.json", "model.safetensors", "lm.ngram", "inputs.json"}
    known |= {"source.model", "target.model", "target.json"}
    sys.addaudithook(watch)
    for place in (out, run):
        monkeypatch.chdir(place)
        WATCHED.append(place)
        OPENED.clear()
        seqkit.load(place, device="cpu")
        WATCHED.clear()
        names = {Path(path).name for path in OPENED}
        assert "target.json" in names or "target.model" in names
        assert names <= known


def test_a_download_leaves_programs_and_pickles_where_they_are(tmp_path: Path) -> None:
    run = small_run("language_model", tmp_path)
    shutil.copytree(run / "best", tmp_path / "all")
    trap(tmp_path / "all")
    shutil.copy(run / "config.yaml", tmp_path / "all")
    with stand_in(tmp_path / "cache") as hub:
        hub.add("a/b", {path.name: path.read_bytes() for path in (tmp_path / "all").iterdir()})
        got = {path.name for path in find_run("hf://a/b").iterdir()}
    assert got == {"config.yaml", "meta.json", "model.safetensors", "target.json"}
