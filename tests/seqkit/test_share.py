"""Parts of a command, and what they are merged to: the same bytes as of one process."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from seqkit.cli import main
from seqkit.data.manifest import read_manifest
from seqkit.share import MAGIC, alone, is_part, is_shared, read_parts, run_merged, run_part, shared_jobs, split_flags
from seqkit.tasks import CORPORA, SHARED
from tests.tiny_runs import corpus, train

ROOT = Path(__file__).parents[2]
TIMES = re.compile(rb'"(seconds|items_per_second)": [0-9.e+-]+')


def merged(command: list[str], folder: Path, count: int) -> int:
    """The status of a command in `count` parts, each but the last computed before those before it, and merged."""
    for number in range(count, 0, -1):
        assert main([*command, "--shard", f"{number}/{count}", f"--parts={folder}"]) == 0
    return main(["merge", str(folder)])


def files(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: TIMES.sub(b"", content) for name, content in found.items() if not name.endswith(".html")}


@pytest.mark.parametrize("task", ["translation", "vqa", "grounding", "lipnet", "wlas", "language_model"])
def test_a_merged_evaluation_is_that_of_one_process(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = corpus(task, tmp_path / "d"), tmp_path / "run"
    assert train(task, data, run, steps=1) == 0
    command = [task, "evaluate", "--run", str(run), "--split", "val"]
    small = [] if task == "language_model" else ["--decode_batch_size", "3", "--name", "val"]
    whole = run / "evaluate" / "val"
    monkeypatch.setattr("sys.argv", ["seqkit", *command, *small])
    capsys.readouterr()
    assert main([*command, *small]) == 0
    one, said = files(whole), capsys.readouterr().out
    for path in whole.iterdir():
        path.unlink()
    monkeypatch.setattr("sys.argv", ["seqkit", "merge", str(tmp_path / "parts")])
    for number in (3, 1, 2):
        assert main([*command, *small, "--shard", f"{number}/3", "--parts", str(tmp_path / "parts")]) == 0
    assert not list(whole.iterdir())
    parts = capsys.readouterr().out.splitlines()
    assert len(parts) == 3 and all(" batches" in line for line in parts)
    assert main(["merge", str(tmp_path / "parts")]) == 0
    assert files(whole) == one
    assert re.sub(r"seconds.*", "", capsys.readouterr().out) == re.sub(r"seconds.*", "", said)


def words(data: Path) -> list[str]:
    return [item.source or "" for item in read_manifest(data / "val.jsonl")]


def test_merged_predictions_are_those_of_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = corpus("translation", tmp_path / "d"), tmp_path / "run"
    assert train("translation", data, run, steps=1) == 0
    options = ["--json", "--nbest", "2", "--decode_batch_size", "3"]
    command = ["translation", "predict", "--run", str(run), *options, *words(data)]
    capsys.readouterr()
    assert main(command) == 0
    one = capsys.readouterr().out
    assert merged(command, tmp_path / "parts", 4) == 0
    out = capsys.readouterr().out
    assert out[out.index("{") :] == one and len(one.splitlines()) == 20


def test_recordings_are_shared_by_input_and_bad_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = corpus("lipnet", tmp_path / "d"), tmp_path / "run"
    assert train("lipnet", data, run, steps=1) == 0
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    videos = [str(item.video) for item in read_manifest(data / "val.jsonl")[:3]]
    command = ["lipnet", "predict", "--run", str(run), videos[0], str(tmp_path / "bad.mp4"), *videos[1:]]
    capsys.readouterr()
    assert main(command) == 2
    one = capsys.readouterr()
    for number in (1, 2):
        assert main([*command, "--shard", f"{number}/2", "--parts", str(tmp_path / "parts")]) == 0
    assert capsys.readouterr().err == ""
    assert main(["merge", str(tmp_path / "parts")]) == 2
    both = capsys.readouterr()
    assert both.out == one.out and both.err == one.err and "bad.mp4" in one.err


def test_a_bad_picture_costs_itself_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = corpus("grounding", tmp_path / "d"), tmp_path / "run"
    assert train("grounding", data, run, steps=1) == 0
    items = read_manifest(data / "val.jsonl")[:5]
    (tmp_path / "bad.png").write_bytes(Path(str(items[0].image)).read_bytes()[:300])
    pairs = [word for item in items for word in (str(item.image), item.source or "")]
    command = ["grounding", "predict", "--run", str(run), "--decode_batch_size", "2", *pairs]
    command[-4] = str(tmp_path / "bad.png")
    capsys.readouterr()
    assert main(command) == 2
    one = capsys.readouterr()
    assert merged(command, tmp_path / "parts", 2) == 2
    both = capsys.readouterr()
    assert both.out.endswith(one.out) and both.err == one.err and "bad.png" in one.err


def make_pictures(folder: Path) -> None:
    (folder / "in").mkdir(parents=True)
    for number in range(60):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / "in" / f"{number}.png")
        (folder / "in" / f"{number}.txt").write_text(f"a picture of {number}")
    (folder / "in" / "7.png").write_bytes(b"no picture")


def test_a_merged_preparation_writes_what_one_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seqkit.data_prep.common.image_check.CHUNK_SIZE", 16)
    make_pictures(tmp_path)
    command = ["prepare", "pictures", "--raw", str(tmp_path / "in"), "--out"]
    assert main([*command, str(tmp_path / "one")]) == 0
    one = capsys.readouterr().out
    command.append(str(tmp_path / "two"))
    for number in (1, 2):
        assert main([*command, "--shard", f"{number}/2", "--parts", str(tmp_path / "parts")]) == 0
    assert not list((tmp_path / "two").glob("*.jsonl"))
    capsys.readouterr()
    assert main(["merge", str(tmp_path / "parts")]) == 0
    assert capsys.readouterr().out == one
    assert files(tmp_path / "two") == files(tmp_path / "one")


def test_a_part_of_jobs_does_its_own_and_the_merge_none_of_them(tmp_path: Path) -> None:
    """Of jobs whose results are no lists, such as videos, a part ends with its own; a second loop is the merge's."""
    seen: list[list[int]] = []

    def command(argv: list[str]) -> int:
        found = dict(shared_jobs(lambda numbers: (seen.append(numbers), iter((n, n * n) for n in numbers))[1], 5))
        more = dict(shared_jobs(lambda numbers: iter((n, -n) for n in numbers), 2))
        assert found == {n: n * n for n in range(5)} and more == {0: 0, 1: -1}
        return 7

    for number in (1, 2):
        run_part(command, ["x"], f"{number}/2", str(tmp_path))
    assert seen == [[0, 2, 4], [1, 3]]
    assert run_merged(command, read_parts(tmp_path)) == 7 and len(seen) == 2
    assert command([]) == 7 and seen[2] == [0, 1, 2, 3, 4]


def test_what_can_be_shared_is_what_has_workers() -> None:
    modules = {name: ROOT / "data_prep" / f"{entry.module.replace('.', '/')}.py" for name, entry in CORPORA.items()}
    assert set(SHARED) == {
        name
        for name, path in modules.items()
        if '"--workers"' in path.read_text(encoding="utf-8") or "workers=" in path.read_text(encoding="utf-8")
    }


@pytest.fixture
def parts(tmp_path: Path) -> Callable[..., Path]:
    """Makes parts of a preparation of pictures."""
    make_pictures(tmp_path)

    def make(*numbers: int, folder: str = "parts", out: str = "out") -> Path:
        for number in numbers:
            command = ["prepare", "pictures", "--raw", str(tmp_path / "in"), "--out", str(tmp_path / out)]
            assert main([*command, "--shard", f"{number}/2", "--parts", str(tmp_path / folder)]) == 0
        return tmp_path / folder

    return make


def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["merge", str(folder)]) == 2
    return capsys.readouterr().err


def test_parts_that_are_lacking_damaged_or_others_are_one_line(
    parts: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert "must hold parts as `--shard i/n --parts" in refused(tmp_path / "empty", capsys)
    folder = parts(2)
    assert "must hold all 2 parts, got none of 1" in refused(folder, capsys)
    parts(1)
    path = folder / "1-of-2.part"
    content = path.read_bytes()
    for damaged in (content[:-1], content + b" ", b"", content[: len(MAGIC)]):
        path.write_bytes(damaged)
        assert "1-of-2.part: must be a whole part, got a damaged file" in refused(folder, capsys)
    parts(1, out="other")
    assert "must be of the same command, inputs and version as" in refused(folder, capsys)
    parts(1)
    for number in range(60, 80 * 40):
        (tmp_path / "in" / f"{number}.png").write_bytes(b"no picture")
        (tmp_path / "in" / f"{number}.txt").write_text("a picture")
        if number > 500:
            break
    assert "the parts must hold" in refused(folder, capsys)


def test_a_command_with_fewer_batches_than_its_parts_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = corpus("translation", tmp_path / "d"), tmp_path / "run"
    assert train("translation", data, run, steps=1) == 0
    command = ["translation", "evaluate", "--run", str(run), "--split", "val", "--decode_batch_size", "3"]
    assert main([*command, "--shard", "1/1", "--parts", str(tmp_path / "parts")]) == 0
    lines = (data / "val.jsonl").read_text().splitlines(keepends=True)
    (data / "val.jsonl").write_text("".join(lines[:3]))
    assert "the parts must be of the data as they are, got 6 batches more" in refused(tmp_path / "parts", capsys)


def test_flags_that_are_wrong_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shard in ("0/2", "3/2", "x", "1/0"):
        assert main(["prepare", "pictures", "--shard", shard, "--parts", str(tmp_path)]) == 2
        assert "`--shard` must be i/n with i from 1 to n, got" in capsys.readouterr().err
    assert main(["prepare", "pictures", "--shard", "1/2"]) == 2
    assert "`--parts` must be given with `--shard`" in capsys.readouterr().err
    assert main(["prepare", "pairs", "--shard", "1/2"]) == 2
    assert "`--shard` must be given to a preparation with work to share, got `pairs`" in capsys.readouterr().err
    for command in (["translation", "train"], ["score"], ["average", "predict"]):
        assert main([*command, "--shard", "1/2"]) == 2
        assert "`--shard` must be given to evaluate, predict or prepare, got" in capsys.readouterr().err


def test_flags_are_taken_out_of_a_command() -> None:
    assert split_flags(["a", "--shard", "1/2", "--b", "--parts=x", "c"]) == (["a", "--b", "c"], "1/2", "x")
    assert split_flags(["a", "--", "--shard", "1/2"]) == (["a", "--", "--shard", "1/2"], "", "")
    with alone():
        assert not is_part() and not is_shared()


def test_inputs_that_are_piped_in_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = corpus("translation", tmp_path / "d"), tmp_path / "run"
    assert train("translation", data, run, steps=1) == 0
    command = ["translation", "predict", "--run", str(run), "--json", "--decode_batch_size", "3"]
    capsys.readouterr()
    assert main([*command, *words(data)]) == 0
    one = capsys.readouterr().out
    monkeypatch.setattr("seqkit.predict.stdin_batches", lambda paired: iter([words(data)[:7], words(data)[7:]]))
    for number in (1, 2):
        assert main([*command, "--shard", f"{number}/2", "--parts", str(tmp_path / "parts")]) == 0
    monkeypatch.undo()
    capsys.readouterr()
    assert main(["merge", str(tmp_path / "parts")]) == 0
    assert capsys.readouterr().out == one
    assert json.loads(one.splitlines()[0])["input"] == words(data)[0]
