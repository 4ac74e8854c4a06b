"""The demonstration: the commands it runs, from any folder, and the table it ends with."""

import json
from pathlib import Path

import pytest

from seqkit.cli import main
from seqkit.recipes import demo
from tests.pretend_recipe import corpus, pretend


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the synthetic corpus of every task."""
    folder = corpus(tmp_path / "made", "test", ["a", "b"])
    monkeypatch.setattr(demo, "find_recipe", lambda task: pretend(folder, []))
    return folder


def test_every_task_is_trained_scored_and_tried(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def run_command(task: str, *words: object) -> None:
        ran.append([task, *map(str, words)])
        if words[0] == "evaluate":
            metric = {"value": 50.0, "low": 40.0, "high": 60.0}
            folder = Path(str(words[2])) / "evaluate" / "test"
            folder.mkdir(parents=True)
            (folder / "report.json").write_text(json.dumps({"metrics": {demo.SHOWN[task][0]: metric}}))

    monkeypatch.setattr(demo, "run_command", run_command)
    out = tmp_path / "runs"
    assert main(["demo", "--out", str(out)]) == 0
    for task, (_, keys) in demo.SHOWN.items():
        train, evaluate, predict = (words[1:] for words in ran if words[0] == task)
        assert train == ["train", "--preset", "tiny", "--data", str(made), "--out", str(out / task)]
        assert evaluate == ["evaluate", "--run", str(out / task), "--split", "test"]
        assert predict[:3] == ["predict", "--run", str(out / task)] and predict[-2] == "--plots"
        assert len(predict) == 5 + len(keys)
    table = capsys.readouterr().out.splitlines()[-len(demo.SHOWN) - 1 :]
    assert [line.split()[:6] for line in table[1:]] == [
        [task, metric, "50.0", "40.0", "to", "60.0"] for task, (metric, _) in demo.SHOWN.items()
    ]


def test_a_command_runs_from_any_folder_and_says_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seqkit").mkdir()  # a folder of the library's name
    monkeypatch.chdir(tmp_path)
    demo.run_command("translation", "--help")
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "translation | $ seqkit translation --help"
    assert lines[1] == "translation | usage: seqkit translation COMMAND …"
    assert all(line.startswith("translation | ") for line in lines)
    assert main(["demo", "--out", "runs"]) == 2  # whose first command fails: the corpus lacks train.jsonl
    said = capfd.readouterr()
    assert said.err.startswith("error: captioning train failed, see above; give a new folder with --out")
    assert "| error: " in said.out
