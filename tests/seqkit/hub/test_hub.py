"""A run pushed to a stand-in of the Hub and used by its address; what goes wrong; and what is never opened."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import seqkit
from seqkit.cli import main
from seqkit.errors import InputError
from seqkit.find_run import find_run, parse_address, report_home
from tests.hub_runs import small_run, stand_in
from tests.hub_server import TOKEN, Hub
from tests.tiny_runs import train

NAME = "someone/some-model"
PUSH = ["--license", "mit"]
TEXTS = ["Pava la maga gasa reket.", "Tumos lunos tami timo nipo"]
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translation run; not to be changed."""
    return small_run("translation", tmp_path_factory.mktemp("translation"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with stand_in(tmp_path / "cache") as hub:
        yield hub


def push(run: Path, *flags: str) -> int:
    return main(["push", str(run), NAME, *PUSH, *flags])


def predicted(run: Any) -> list[tuple[str, float]]:
    return [(best.text, best.logprob) for best, *_ in seqkit.load(run, device="cpu").predict(TEXTS)]


def test_a_pushed_run_predicts_the_same_by_its_address(run: Path, hub: Hub, capfd: Any, tmp_path: Path) -> None:
    assert push(run) == 0
    ((_, empty), (number, files)) = hub.repositories[NAME].commits
    assert empty == {}
    assert set(files) == {"README.md", "config.json", "meta.json", "model.safetensors", "source.model", "target.model"}
    assert files["model.safetensors"] == (run / "best/model.safetensors").read_bytes()
    address = f"hf://{NAME}"
    assert capfd.readouterr().out.strip() == f"{address}@{number}"
    expected = predicted(run)
    assert predicted(address) == predicted(f"{address}@{number}") == predicted(Path(address)) == expected
    assert main(["translation", "predict", "--run", address, "--device", "cpu", TEXTS[0]]) == 0
    assert capfd.readouterr().out == f"{expected[0][0]}\n"
    shutil.copytree(find_run(address), tmp_path / "flat")  # as a folder of one's own
    assert predicted(tmp_path / "flat") == expected


def test_the_config_is_what_was_trained_for_any_machine(run: Path, hub: Hub) -> None:
    assert push(run) == 0
    content = hub.repositories[NAME].commits[-1][1]["config.json"]
    config = json.loads(content)
    assert (config["recipe"], config["seqkit"], config["vocab_size"]) == ("translation", seqkit.__version__, 120)
    assert config["betas"] == [0.9, 0.98] and config["alpha"] == 0.6
    assert "data" not in config and str(run.parent).encode() not in content


def test_a_whole_run_folder_in_a_repository_loads_too(run: Path, hub: Hub) -> None:
    files = {name: (run / name).read_bytes() for name in ("config.yaml", "log.jsonl")}
    files |= {f"best/{path.name}": path.read_bytes() for path in (run / "best").iterdir()}
    files |= {f"last/{path.name}": path.read_bytes() for path in (run / "last").iterdir()}
    hub.add(NAME, files)
    assert predicted(f"hf://{NAME}") == predicted(run)
    got = {path.relative_to(find_run(f"hf://{NAME}")).as_posix() for path in find_run(f"hf://{NAME}").rglob("*.*")}
    assert got == {name for name in files if name.startswith("best/")} | {"config.yaml"}


def test_a_pinned_revision_stays_and_the_name_alone_follows(run: Path, hub: Hub) -> None:
    assert push(run) == 0
    first = hub.repositories[NAME].commits[-1][0]
    second = hub.add(NAME, {"config.json": b'{"recipe": "none"}'})
    assert predicted(f"hf://{NAME}@{first}") == predicted(run)
    for address in (f"hf://{NAME}", f"hf://{NAME}@{second}"):
        with pytest.raises(InputError, match="the task must be one of"):
            seqkit.load(address)


def test_without_a_network_the_cache_serves_what_it_has(run: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    assert push(run) == 0
    find_run(f"hf://{NAME}")
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert predicted(f"hf://{NAME}") == predicted(run)
    assert hub.asked == []
    with pytest.raises(
        InputError, match=r"hf://someone/another: the Hub must be reached, or the model be in its cache"
    ):
        find_run("hf://someone/another")


@slow
def test_settings_of_the_environment_are_the_hubs_own(run: Path, hub: Hub, tmp_path: Path) -> None:
    assert push(run) == 0
    program = f"from seqkit.find_run import find_run; print(find_run('hf://{NAME}'))"
    home = {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    for settings in ({"HF_ENDPOINT": hub.url}, {"HF_HUB_OFFLINE": "1"}):
        environment = {**os.environ, **home, **settings}
        found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        assert Path(found.stdout.strip()).is_relative_to(tmp_path / "home")
        hub.repositories.clear()


@pytest.mark.parametrize(
    "task",
    [
        "vqa",
        "lipnet",
        *(pytest.param(task, marks=slow) for task in ("captioning", "grounding", "wlas", "language_model")),
    ],
)
def test_every_recipe_travels(task: str, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(task, tmp_path)
    assert push(run) == 0
    monkeypatch.chdir(tmp_path)
    command = [task, "evaluate", "--data", "DATA", "--split", "val", "--device", "cpu", "--run"]
    for place in (str(run), f"hf://{NAME}"):
        assert main([*command, place]) == 0
    texts = [Path(place, "evaluate/val/hypotheses.jsonl").read_bytes() for place in ("RUN", NAME)]
    assert texts[0] == texts[1]


def test_other_commands_take_an_address(run: Path, hub: Hub, tmp_path: Path, capfd: Any) -> None:
    assert push(run) == 0
    address = f"hf://{NAME}"
    assert main(["average", address, str(run), str(tmp_path / "mean")]) == 0
    assert sorted(path.name for path in (tmp_path / "mean/best").iterdir()) == sorted(
        path.name for path in (run / "best").iterdir()
    )
    assert predicted(tmp_path / "mean") == predicted(run)
    assert train("translation", run.parent / "DATA", tmp_path / "more", "--init", address) == 0
    assert "weights loaded, 0 left as they were" in capfd.readouterr().err
    assert main(["language_model", "predict", "--run", address, "a"]) == 2
    assert "must be a config of language_model, got one of translation" in capfd.readouterr().err


def test_half_a_push_leaves_the_repository_as_it_was(run: Path, hub: Hub, capfd: Any) -> None:
    before = hub.add(NAME, {"README.md": b"mine", "notes.txt": b"mine"})
    for part in ("/large/", "batch", "/commit/"):
        hub.fail = part
        assert push(run) == 2
        said = capfd.readouterr().err.splitlines()[-1]
        assert f"error: {NAME}: " in said and "418" in said and "out of order" in said
        assert hub.repositories[NAME].commits[-1][0] == before
    hub.fail = ""
    assert push(run) == 0
    assert len(hub.repositories[NAME].commits) == 3
    files = hub.repositories[NAME].commits[-1][1]
    assert files["notes.txt"] == b"mine" and files["README.md"].startswith(b"---\nlibrary_name: seqkit\n")


def test_private_means_private(run: Path, hub: Hub, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert push(run, "--private") == 0
    assert hub.repositories[NAME].private
    hub.repositories[NAME].private = False
    count = len(hub.repositories[NAME].commits)
    assert push(run, "--private") == 2
    assert "must be a private repository for --private, got a public one; nothing was sent" in capfd.readouterr().err
    assert len(hub.repositories[NAME].commits) == count
    hub.repositories[NAME].private = True
    monkeypatch.setenv("HF_TOKEN", "another")
    assert main(["translation", "predict", "--run", f"hf://{NAME}@{'1' * 40}", "a"]) == 2
    assert "must be a repository of the Hub that you may read" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "`--license` must be given"),
        (["--license", "My own!"], "`--license` must be an identifier of the Hub"),
        (["--license", "mit", "--language", "en", "German"], "`--language` must be codes of two or three letters"),
    ],
)
def test_what_a_card_must_say_is_asked_for(flags: list[str], said: str, run: Path, hub: Hub, capsys: Any) -> None:
    assert main(["push", str(run), NAME, *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert hub.asked == []


def test_pushes_that_cannot_be(
    run: Path, hub: Hub, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(said: str, *words: str) -> None:
        assert main(["push", *words, *PUSH]) == 2
        error = capfd.readouterr().err
        assert said in error and error.count("\n") == 1

    fails("RUN must be the folder of a trained run", str(tmp_path), NAME)
    shutil.copytree(run, tmp_path / "other")
    shutil.rmtree(tmp_path / "other/best")
    fails("must hold a best checkpoint, best/, got none", str(tmp_path / "other"), NAME)
    fails("OUT must be a new or empty folder", str(run), NAME, "--dry_run", str(run))
    fails("OWNER/NAME must have an owner and a name, got 'model'", str(run), "model")
    fails("must be OWNER/NAME of the Hub, got", str(run), "a/b/c")
    hub.refused = "license must be one of a list"
    fails("the Hub refused: Invalid metadata in README.md. - license must be one of a list", str(run), NAME)
    monkeypatch.setenv("HF_TOKEN", "another")
    fails("your token may not do this: Unauthorized", str(run), NAME)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    fails("a token of the Hub must be there to push", str(run), NAME)
    assert all(files == {} for _, files in hub.repositories[NAME].commits)


def test_without_a_network_a_push_is_one_line(run: Path, hub: Hub, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    assert push(run) == 2
    error = capfd.readouterr().err
    assert f"{NAME}: the Hub must be reached" in error and error.count("\n") == 1


def test_a_dry_run_asks_nobody(run: Path, hub: Hub, tmp_path: Path, capsys: Any) -> None:
    assert push(run, "--dry_run", str(tmp_path / "out")) == 0
    assert "model.safetensors" in capsys.readouterr().out
    assert predicted(tmp_path / "out") == predicted(run)
    assert hub.asked == []


def test_without_the_extra_one_line_says_what_to_install(
    run: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (["push", str(run), NAME, *PUSH], ["translation", "predict", "--run", f"hf://{NAME}", "a"]):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert 'pip install "seqkit[hub]"' in said and said.count("\n") == 1
    predicted(run)


def test_addresses() -> None:
    assert parse_address("hf://a/b") == parse_address(Path("hf://a/b")) == parse_address("hf://a/b/") == ("a/b", None)
    assert parse_address("hf://a/b@refs/pr/1") == ("a/b", "refs/pr/1")
    assert parse_address("runs/hf/a") is parse_address(Path("hf")) is None
    assert report_home(Path("hf://a/b@v1")) == Path("a/b") and report_home(Path("runs/a")) == Path("runs/a")
    for wrong in ("hf://a", "hf://a/b/c", "hf://a/b@", "hf://"):
        with pytest.raises(InputError, match="an address of the Hub must be hf://OWNER/NAME"):
            parse_address(wrong)
