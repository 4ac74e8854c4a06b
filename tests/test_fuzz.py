"""Damaged files: every reader reads or refuses them, in one line, ten seconds and 2 GB; and none is without a test."""

import ast
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from seqkit.data import decoder_process
from tests.damage.outcomes import GOOD, MANY, Case, Reader, fuzz
from tests.damage.readers import READERS

ROOT = Path(__file__).parents[1]
FEW, FEWER = 200, {"video": 100, "sound": 100}  # inputs of a reader, by what names begin with
MODULES = sorted(path for folder in ("seqkit", "recipes", "data_prep") for path in (ROOT / folder).rglob("*.py"))
METHODS = {"read_text", "read_bytes"}  # of a Path
OPENERS = {
    "open", "fromfile", "memmap", "load_file", "safe_open", "imread", "VideoCapture",
    "SoundFile", "SentencePieceProcessor", "CascadeClassifier", "ZipFile", "InferenceSession", "LZMADecompressor",
    "ParquetFile",
}  # fmt: skip
LOADERS = {"np.load", "torch.load", "json.load", "yaml.safe_load", "pickle.load", "pickle.loads", "ET.parse"}
NO_FILE = {  # functions that read no content of a file of other people's, with the reason
    "data_prep/lipreading/mouths.py:cascade": "OpenCV's own file",
    "data_prep/synthetic/corpora.py:cached": "a hash of our own source",
    "data_prep/own/face_sheet.py:_row": "a clip and a picture that it has just made",
    "recipes/benchmarks/bilinear_speed.py:__enter__": "what Linux tells of this process",
    "recipes/benchmarks/ctc_speed.py:main": "a benchmark of ours, of what it was given by us",
    "recipes/benchmarks/scoring.py:main": "a benchmark of ours, of what it was given by us",
    "recipes/benchmarks/shard_speed.py:do_GET": "what it has just written",
    "recipes/benchmarks/scoring.py:measure": "what it has just measured",
    "recipes/page/app.py:digest": "a hash of bytes",
    "recipes/page/app.py:example_rows": "a picture that is copied",
    "recipes/demo.py:counted": "statistics that it has just written",
    "recipes/demo.py:read_report": "the report of a run that it has just made",
    "recipes/demo_page.py:data_url": "a picture that it has just drawn",
    "recipes/demo_page.py:predictions": "the report of a run that it has just made",
    "seqkit/hub/card.py:about_data": "lines that are counted",
    "seqkit/score/own_metric.py:own_metric": "a hash of bytes",
    "seqkit/average.py:check_assets": "bytes that are compared",
    "seqkit/data/files.py:file_hash": "a hash of bytes",
    "seqkit/data/decoder_process.py:call": "the answers of our own child process",
    "seqkit/data/decoder_process.py:dump_error": "what it has just written",
    "seqkit/data/decoder_process.py:serve": "the calls of our own parent process",
    "seqkit/data/extend_vocab.py:extend_vocab": "a vocabulary that was read before",
    "seqkit/described.py:_file_docs": "our own source",
    "seqkit/flags.py:run_cli": "the null device",
    "seqkit/nn/kernels/__init__.py:_built": "our own source",
    "seqkit/nn/kernels/__init__.py:_processor": "what Linux tells of this machine",
    "seqkit/same_data.py:data_digest": "a hash of bytes",
    "seqkit/score/attention.py:_figure": "pictures that it has just drawn",
    "seqkit/score/report.py:write_report": "a hash of bytes",
    "seqkit/train/checkpoint.py:_sync": "no content",
    "seqkit/train/lock.py:_acquire": "no content",
}


def named(node: ast.Call) -> str:
    return ast.unparse(node.func)


def opens(node: ast.AST) -> Iterator[str]:
    """Calls within a function, but not within an inner one, that open a file to read it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(child, ast.Call):
            name = named(child)
            mode = [part.value for part in child.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            writes = any(set(text) <= set("wabx+") and text for text in mode)
            last = name.rpartition(".")[2]
            own = name in LOADERS or last in OPENERS or last in METHODS and last != name
            if own and not writes:
                yield name
        yield from opens(child)


def readers_in(path: Path) -> Iterator[tuple[str, int]]:
    """Functions of a file that open one, with the line of their code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and next(opens(node), ""):
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            yield f"{path.relative_to(ROOT).as_posix()}:{node.name}", first


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_whole_and_damaged_files(reader: Reader, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)
    case = Case(reader, folder / reader.name)
    case.read_whole()
    few = next((number for name, number in FEWER.items() if reader.name.startswith(name)), FEW)
    faults = [(number, *found) for number in range(few) if (found := case.outcome(number))[0] not in GOOD]
    assert faults == []
    case.read_whole()


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_many_damaged_files(reader: Reader) -> None:
    command = [sys.executable, "-m", "tests.damage", "--exact", reader.name, "--inputs", str(MANY)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_reader_of_a_file_has_such_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded_here: None
) -> None:
    """The functions that open files are those that run while the whole files are read, but for NO_FILE."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
    ran: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            ran.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    for number, reader in enumerate(READERS):
        case = Case(reader, tmp_path / str(number))
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            case.read_whole()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    called = {(Path(name).resolve(), line) for name, line in ran if name.startswith(str(ROOT))}
    wanted = [(path, name, line) for path in MODULES for name, line in readers_in(path)]
    missing = {name for path, name, line in wanted if (path.resolve(), line) not in called} - NO_FILE.keys()
    assert sorted(missing) == [], (
        "without a test of damaged files: add a Reader in tests/damage, or a reason in NO_FILE"
    )
    assert NO_FILE.keys() <= {name for _, name, _ in wanted}


def test_what_opens_a_file_is_found() -> None:
    code = "def f(p):\n    with open(p) as g, p.open('wb') as h:\n        pass\n    av.open(p, 'w'); np.load(p)\n"
    assert list(opens(ast.parse(code).body[0])) == ["open", "np.load"]


def test_faults_are_told_apart() -> None:
    def reads(path: Path) -> object:
        content = (path / "a").read_bytes()
        if not content.startswith(b"whole"):
            raise KeyError("no one line")
        return 1.5 if content == b"whole" else float("inf")

    reader = Reader("x", lambda folder: (folder / "a").write_bytes(b"whole"), reads, ["a"])
    counts, faults, _ = fuzz(reader, 60)
    assert {"read", "traceback", "not finite"} == set(counts) and len(faults) >= 2
    ends = Reader("y", reader.make, lambda folder: reads(folder) and decoder_process.os._exit(3), ["a"])
    with pytest.raises(RuntimeError, match="y: the whole file must be read"):
        fuzz(ends, 5)
