"""The wheel: what is in it, and that it works from an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, as it lies in site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("seqkit", "recipes", "data_prep"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m seqkit …` from `folder`, with the wheel alone to import from."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "seqkit", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_the_tree_and_nothing_lands_beside_the_library(installed: Path) -> None:
    found = {str(path.relative_to(installed)) for path in installed.rglob("*.py")}
    stand_ins = {ROOT / "seqkit" / name / "__init__.py" for name in ("recipes", "data_prep")}
    expected = {
        str(Path("seqkit" if folder != "seqkit" else "") / path.relative_to(ROOT))
        for folder in ("seqkit", "recipes", "data_prep")
        for path in (ROOT / folder).rglob("*.py")
        if path not in stand_ins
    }
    assert found == expected
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"seqkit"}
    assert (installed / "seqkit" / "py.typed").is_file()


def test_the_installed_command_works_from_any_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "seqkit").mkdir()  # a folder of the same name
    (tmp_path / "recipes").mkdir()
    assert run(installed, tmp_path).stdout.count("\n") <= 24
    made = run(installed, tmp_path, "prepare", "synthetic", "--task", "translation", "--items", "60", "--out", "data")
    assert made.returncode == 0, made.stderr
    small = (
        "--embed_dim",
        "8",
        "--encoder_dim",
        "8",
        "--decoder_dim",
        "8",
        "--attention_dim",
        "8",
        "--readout_dim",
        "8",
    )
    train = ("translation", "train", "--preset", "tiny", "--data", "data", "--out", "run", "--steps", "2", *small)
    trained = run(installed, tmp_path, *train)
    assert trained.returncode == 0, trained.stderr
    predicted = run(installed, tmp_path, "translation", "predict", "--run", "run", "a b")
    assert predicted.returncode == 0 and predicted.stdout.count("\n") == 1, predicted.stderr
    for words in (("lipnet", "train", "--help"), ("demo", "--help"), ("score", "--help"), ("check", "--help")):
        assert run(installed, tmp_path, *words).returncode == 0, words
