"""The wheel: what is in it, that it works from an empty folder, and that scoring needs few of its dependencies."""

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


FEW = ("numpy", "jiwer", "sacrebleu", "tqdm")  # what `score`, and `check` of texts, need
BARE = f"""
import sys
theirs = "rapidfuzz", "click", "portalocker", "regex", "tabulate", "colorama", "lxml"
known = {{"seqkit", *{FEW}, *theirs, *sys.stdlib_module_names}}
class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in known:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, OnlyThese())
"""
METRICS = "wer,cer,ser,bleu,chrf,chrf++,ter,bleu1,cider,rouge_l,accuracy,vqa_accuracy"


def write_texts(folder: Path) -> None:
    (folder / "data").mkdir()
    item = '{"id": "%s", "source": "%s", "references": ["the cat sat on the mat"], "speaker": "s"}\n'
    (folder / "data" / "train.jsonl").write_text(item % ("a", "x") + item % ("b", "y"))
    (folder / "data" / "val.jsonl").write_text(item % ("c", "z"))
    (folder / "hypotheses").write_text("a the cat sat\nb the cat sat on the mat\n")


def check_score_and_check(python: list[str], folder: Path, env: dict[str, str]) -> None:
    """Runs both commands, with every option that writes or needs a module of its own."""

    def done(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*python, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)

    options = ["--by", "length,speaker", "--confusions", "3", "--details", "2", "--html", "page.html"]
    scored = done("score", "--metric", METRICS, *options, "data/train.jsonl", "hypotheses")
    table = [line.split()[:3] for line in scored.stdout.splitlines()]
    assert scored.returncode == 0 and ["wer", "hypotheses", "25.00"] in table, scored.stderr
    assert "by length" in scored.stdout and (folder / "page.html").is_file()
    checked = done("check", "data")
    assert checked.returncode == 0 and "train.jsonl: 2 items" in checked.stdout, checked.stderr
    picture = '{"id": "d", "image": "a.jpg", "references": ["x"]}\n'
    (folder / "data" / "test.jsonl").write_text(picture)
    (folder / "data" / "a.jpg").write_bytes(b"no picture")
    checked = done("check", "data")
    assert checked.returncode == 0 and "not all media were opened" in checked.stdout, checked.stderr
    trained = done("translation", "train", "--preset", "tiny", "--out", "run")
    assert trained.returncode == 2 and trained.stderr.count("\n") == 1, trained.stderr
    assert "`seqkit translation` must find torch, got no such package: pip install seqkit" in trained.stderr


def test_score_and_check_of_texts_need_few_dependencies(installed: Path, tmp_path: Path) -> None:
    write_texts(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BARE)  # which every process of the command imports
    paths = os.pathsep.join([str(tmp_path / "site"), str(installed)])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    check_score_and_check([sys.executable, "-P", "-m", "seqkit"], tmp_path, env)


@pytest.mark.slow  # makes an environment of its own from the package index
def test_score_and_check_work_where_only_these_are_installed(installed: Path, tmp_path: Path) -> None:
    write_texts(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    (wheel,) = installed.parent.glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "-q", *FEW], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    check_score_and_check([python, "-P", "-m", "seqkit"], tmp_path, env)
