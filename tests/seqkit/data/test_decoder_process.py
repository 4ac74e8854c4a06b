"""A decoder that ends its process costs one file; values and errors come back, the next call gets another process."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data import check_files, decoder_process
from seqkit.data.check import check
from seqkit.data.decoder_process import DecoderEnded, DecoderProcess, apart, borrowed
from seqkit.data.image import Square, read_image
from seqkit.data_prep.lipreading.mouths import Unusable
from seqkit.errors import InputError
from seqkit.recipes.common.image_reader import PixelReader
from tests.raw_files import write_lines

PATH = Path("a.mp4")


def pid() -> int:
    return os.getpid()


def ends(path: Path) -> str:
    """Of a file named `bad` the end of the process, as a broken decoder brings it about."""
    if path.stem == "bad":
        os.abort()
    return path.stem


def ends_in_check(path: Path) -> None:
    ends(path)


class FragileSquare(Square):
    """A square whose decoder ends the process over a file named `bad`."""

    def read(self, path: Path) -> np.ndarray:
        ends(path)
        return super().read(path)


def never_ends() -> None:
    while True:
        pass


def talks() -> int:
    print("a library's remark")
    os.write(1, b"and another\n")
    return 7


def faulty() -> None:
    raise KeyError("a bug")


def greedy() -> int:
    return len(np.ones(1 << 45, np.uint8))


def odd_error() -> None:
    class Local(Exception):
        pass

    raise Local("cannot be sent")


class OddFault(InputError):
    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)


def odd_fault() -> None:
    raise OddFault("reason", "a.mp4: must be a clip")


def no_face() -> None:
    raise Unusable("no_face", "a.mp4: must show a face")


def folder() -> str:
    return os.getcwd()


def test_values_come_back_from_one_process_that_stays(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    first = apart(PATH, pid)
    assert first == apart(PATH, pid) != os.getpid()
    pixels = apart(tmp_path / "a.png", read_image, tmp_path / "a.png", at_least=20)
    assert np.array_equal(pixels, read_image(tmp_path / "a.png", at_least=20))


def test_a_decoder_that_ends_its_process_costs_its_file_alone() -> None:
    with pytest.raises(
        InputError, match="^bad: must be a whole file, got one that ends the process that decodes it .*-6"
    ):
        apart(Path("bad"), ends, Path("bad"))
    assert apart(Path("good"), ends, Path("good")) == "good"
    with pytest.raises(InputError, match="ends the process that decodes it .3"):
        apart(PATH, os._exit, 3)


def test_one_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(InputError, match="a.mp4: must be a whole file, got one that takes too long"):
        apart(PATH, never_ends)
    assert time.monotonic() - began < 20
    monkeypatch.setattr(decoder_process, "WAIT", 1.0)  # one that waits for ever uses no processor
    with pytest.raises(InputError, match="takes too long"):
        apart(PATH, time.sleep, 60)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system that bounds memory")
def test_one_that_takes_all_memory_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.mp4: must fit into memory, got a file that takes more"):
        apart(PATH, greedy)


def test_errors_come_back_with_their_place() -> None:
    with pytest.raises(InputError, match="nowhere.jpg: no such picture"):
        apart(PATH, read_image, Path("nowhere.jpg"))
    with pytest.raises(KeyError, match="a bug") as raised:
        apart(PATH, faulty)
    assert "in faulty" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="cannot be sent"):
        apart(PATH, odd_error)


def test_a_callers_mistake_stays_one_whatever_its_class() -> None:
    with pytest.raises(InputError, match="a.mp4: must be a clip") as raised:
        apart(PATH, odd_fault)
    assert type(raised.value) is InputError
    with pytest.raises(Unusable, match="a.mp4: must show a face") as unusable:
        apart(PATH, no_face)
    assert unusable.value.reason == "no_face"


def test_what_libraries_print_is_no_answer() -> None:
    assert apart(PATH, talks) == 7


def test_relative_paths_are_those_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(PATH, pid)
    monkeypatch.chdir(tmp_path)
    assert Path(apart(PATH, folder)).samefile(tmp_path)


def test_an_interrupt_leaves_the_child_to_its_parent() -> None:
    with borrowed() as process:
        process.call(pid)
        process.child.send_signal(signal.SIGINT)
        assert process.call(pid) == process.child.pid


def test_a_killed_child_is_told_and_replaced() -> None:
    process = DecoderProcess()
    process.child.kill()
    with pytest.raises(DecoderEnded, match="takes too long, or too much memory"):
        process.call(pid)
    process.close()


def test_check_goes_on_after_a_picture_that_ends_its_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "bad", "c"):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.png")
    items = [{"id": name, "image": f"{name}.png", "references": [name]} for name in ("a", "bad", "c")]
    write_lines(tmp_path / "train.jsonl", *map(json.dumps, items))
    monkeypatch.setattr(check_files, "_picture", ends_in_check)
    found = [finding.text for finding in check(tmp_path)[1] if finding.problem]
    assert len(found) == 1 and 'id "bad"' in found[0] and "ends the process that decodes it" in found[0]


def test_a_picture_that_ends_its_decoder_is_named_by_the_reader_of_predict(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / f"{name}.png")
    reader = PixelReader(FragileSquare(32), unknown=True)
    with pytest.raises(InputError, match=r"bad\.png: must be a whole file, got one that ends the process"):
        reader([tmp_path / "good.png", tmp_path / "bad.png"])
    assert reader([tmp_path / "good.png"])[0].shape == (1, 3, 32, 32)
