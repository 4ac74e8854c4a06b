"""The demonstration: the commands it runs, from any folder, and the table it ends with."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqkit.cli import main
from seqkit.data.manifest import Item, write_manifest
from seqkit.recipes import demo
from seqkit.recipes.demo_page import Shown, write_page
from seqkit.tasks import TASKS
from tests.pretend_recipe import corpus, pretend


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the synthetic corpus of every task."""
    folder = corpus(tmp_path / "made", "test", ["a", "b"])
    texts = {"train": ["b", "c c", "c c", "d"], "val": ["c c", "d"], "test": ["c c", "b"]}
    for split, own in texts.items():
        media = {"video": folder / f"{split}.mp4", "audio": folder / f"{split}.wav", "image": folder / "i.png"}
        for path in media.values():
            path.touch()
        items = [
            Item(id=f"{split}{n}", source="s", question="q", references=(text,), **media) for n, text in enumerate(own)
        ]
        write_manifest(folder / f"{split}.jsonl", items)
    (folder / "stats.json").write_text(json.dumps({"test": {"chance": 25.0}}))
    monkeypatch.setattr(demo, "find_recipe", lambda task: pretend(folder, []))
    return folder


def pretend_commands(ran: list[list[str]]) -> Callable[..., None]:
    """`run_command` that writes what the commands would, and notes them."""

    def run_command(task: str, *words: object) -> None:
        ran.append([task, *map(str, words)])
        if words[0] == "evaluate":
            metric = {"value": 50.0, "low": 40.0, "high": 60.0}
            folder = Path(str(words[2])) / "evaluate" / "test"
            folder.mkdir(parents=True)
            (folder / "report.json").write_text(json.dumps({"metrics": {demo.PARTS[task].metric: metric}}))
            rows = [{"id": f"test{n}", "hypothesis": f"<said {n}>"} for n in range(2)]
            (folder / "hypotheses.jsonl").write_text("\n".join(map(json.dumps, rows)))
        if words[0] == "predict" and "--plots" in words:
            plots = Path(str(words[-1]))
            plots.mkdir()
            (plots / "0002_more.png").write_bytes(b"a plot")

    return run_command


def test_every_task_is_trained_scored_and_tried(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(demo.PARTS) == set(TASKS)
    ran: list[list[str]] = []
    monkeypatch.setattr(demo, "run_command", pretend_commands(ran))
    out = tmp_path / "runs"
    assert main(["demo", "--out", str(out)]) == 0
    for task, part in demo.PARTS.items():
        train, evaluate, predict = (words[1:] for words in ran if words[0] == task and "_chance" not in "".join(words))
        assert train == ["train", "--preset", "tiny", "--data", str(made), "--out", str(out / task)]
        assert evaluate == ["evaluate", "--run", str(out / task), "--split", "test", "--plots"]
        assert predict[:3] == ["predict", "--run", str(out / task)] and ("--plots" in predict) == part.plots
    assert (out / "inputs" / "test0.mp4").is_file() and (out / "inputs" / "test0.wav").is_file()
    lines = capsys.readouterr().out.splitlines()
    table = lines[-len(demo.PARTS) - 3 : -2]
    chance = {"wer": "66.7", "bleu": "0.0", "cider": "250.0", "perplexity": "50.0"}
    assert [line.split()[:7] for line in table[1:]] == [
        [task, demo.PARTS[task].metric, "50.0", "40.0", "to", "60.0", chance.get(demo.PARTS[task].metric, "25.0")]
        for task in TASKS
    ]
    assert lines[-1].endswith(f"pictures: {out / 'index.html'}")


def test_the_page_shows_every_task_with_its_pictures(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "run_command", pretend_commands([]))
    assert main(["demo", "--out", str(tmp_path / "runs")]) == 0
    page = (tmp_path / "runs" / "index.html").read_text()
    assert page.count("<h2>") == len(TASKS) and page.count("40.0 to 60.0") == len(TASKS)
    assert page.count("data:image/png;base64,YSBwbG90") == sum(part.plots for part in demo.PARTS.values())
    assert "model: &lt;said 1&gt;" in page and "<said" not in page
    for task in TASKS:
        assert f'href="{task}/evaluate/test/report.html"' in page


@pytest.mark.parametrize(
    ("chance", "lower", "beats"), [(39.0, False, True), (41.0, False, False), (61.0, True, True), (59.0, True, False)]
)
def test_chance_is_beaten_where_all_of_the_interval_is_better(chance: float, lower: bool, beats: bool) -> None:
    shown = Shown("vqa", "accuracy", (50.0, 40.0, 60.0), chance, lower, 1.0, Path(), (), Path())
    assert shown.beats_chance is beats


def test_a_constant_answer_is_chosen_on_val_and_scored_on_test(made: Path) -> None:
    assert demo.best_constant("wer", made, made) == pytest.approx(100 * 2 / 3)  # "c c" is right once; "b" is 2 words
    assert demo.constant_score("wer", [("c c",), ("b",)], "b") == pytest.approx(100 * 2 / 3)
    assert demo.counted("accuracy", made, made) == 25.0


@pytest.mark.slow
def test_the_demonstration_beats_chance_in_every_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = []
    monkeypatch.setattr(demo, "write_page", lambda path, shown: (found.extend(shown), write_page(path, shown))[1])
    assert main(["demo", "--out", str(tmp_path / "runs")]) == 0
    assert {own.task for own in found} == set(TASKS)
    for own in found:
        assert own.beats_chance, f"{own.row()}"


def test_a_command_runs_from_any_folder_and_says_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seqkit").mkdir()  # a folder of the library's name
    monkeypatch.chdir(tmp_path)
    demo.run_command("translation", "--help")
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "translation    | $ seqkit translation --help"
    assert lines[1] == "translation    | usage: seqkit translation COMMAND …"
    assert all(line.startswith("translation    | ") for line in lines)
    monkeypatch.setattr(demo, "PARTS", {"captioning": demo.PARTS["captioning"]})
    assert main(["demo", "--out", "runs"]) == 2  # whose first command fails: the image is none
    said = capfd.readouterr()
    assert said.err.startswith("error: captioning train failed, see above; give a new folder with --out")
    assert "| error: " in said.out
