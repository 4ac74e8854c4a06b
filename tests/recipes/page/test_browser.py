"""The page in a browser: every tab used as a person would, nothing asked of other machines, no file given away.

Needs gradio, selenium and a Chromium with its driver.
"""

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image

from seqkit.data.manifest import read_manifest
from seqkit.data.sound_track import write_wav
from seqkit.recipes.page.app import FORMS, build, launch, open_tab
from seqkit.tasks import TASKS
from tests.drawn_faces import talking
from tests.tiny_runs import corpus, train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("gradio", reason='the page needs gradio: pip install "seqkit[page]"')
T = TypeVar("T")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1700,1500",
)  # fmt: skip
WITHOUT_ATTENTION = ("language_model",)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a page with a run of every recipe, and a folder with their corpora."""
    folder = tmp_path_factory.mktemp("page")
    scratch = (folder / "scratch").resolve()
    scratch.mkdir()
    tabs = []
    for task in TASKS:
        data = corpus(task, folder / f"data_{task}")
        assert train(task, data, folder / task, steps=2) == 0
        tabs.append(open_tab(str(folder / task), [], "cpu"))
    assert train("wlas", folder / "data_wlas", folder / "las", steps=2, modality="audio") == 0
    tabs.append(open_tab(str(folder / "las"), [tab.title for tab in tabs], "cpu"))
    page = build(tabs, scratch)
    yield launch(page, host="127.0.0.1", port=None, max_megabytes=1, wait=False).rstrip("/"), folder
    page.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Flags by which a browser has a camera that shows a drawn face, and a microphone that hears a tone."""
    folder = tmp_path_factory.mktemp("recorded")
    with (folder / "camera.mjpeg").open("wb") as file:
        for pixels in talking(50):
            Image.fromarray(pixels).save(file, "JPEG", quality=95)
    write_wav(folder / "microphone.wav", [(8000 * np.sin(np.arange(32_000) * 0.1)).astype(np.int16)], 50)
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
        f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}",
    ]


@pytest.fixture(scope="module")
def browser(recorded: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, *recorded, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def wait(look: Callable[[], T], seconds: float = 90) -> T:
    """What `look` gives as soon as it is something."""
    from selenium.common.exceptions import WebDriverException

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except (WebDriverException, IndexError):
            pass
        time.sleep(0.2)
    raise AssertionError("nothing came")


def find(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def open_page(browser: Any, address: str, task: str) -> int:
    """Opens the page at a task's tab, or that of the listener `las`, whose number is returned."""
    browser.get(address)
    number = [*TASKS, "las"].index(task)
    title = "wlas: las" if task == "las" else f"{task}: {task}"
    tab = wait(lambda: [one for one in find(browser, "button[role=tab]") if one.text == title])
    browser.execute_script("arguments[0].click()", tab[0])
    return number


def press_named(browser: Any, place: str, name: str) -> None:
    """Press the button of an input whose text or label is `name`, as soon as it is there."""

    def named() -> list[Any]:
        buttons = [one for one in find(browser, f"{place} button") if one.is_displayed()]
        return [one for one in buttons if name in (one.text.strip(), one.get_attribute("aria-label"))]

    browser.execute_script("arguments[0].click()", wait(named)[0])


def answered(browser: Any, number: int) -> str:
    """What is said of a recording: what is wrong with it, or nothing."""
    press(browser, number)
    wait(lambda: "answered in" in find(browser, f"#details{number}")[0].text)
    return "".join(one.text for one in find(browser, f"#problem{number}") if one.is_displayed())


def holds(browser: Any, selector: str) -> bool:
    """Whether an input has text, a picture or a video."""
    texts = [one.get_attribute("value") for one in find(browser, f"{selector} textarea")]
    return bool(any(texts) or find(browser, f"{selector} img, {selector} video"))


def press(browser: Any, number: int) -> None:
    browser.execute_script("arguments[0].click()", find(browser, f"#go{number}")[0])


@pytest.mark.parametrize("task", TASKS)
def test_an_example_is_answered_with_its_attention(served: tuple[str, Path], browser: Any, task: str) -> None:
    address, folder = served
    number = open_page(browser, address, task)
    examples = f"#examples{number} button, #examples{number} tbody tr"
    assert len(wait(lambda: find(browser, examples))) == 3

    def filled() -> bool:
        browser.execute_script("arguments[0].click()", find(browser, examples)[0])
        time.sleep(2)
        return all(holds(browser, f"#{key}{number}") for key in FORMS[task].keys)

    wait(filled)
    press(browser, number)
    last = "answered in" if task in WITHOUT_ATTENTION else "drawn in"
    wait(lambda: last in find(browser, f"#details{number}")[0].text)
    assert not [one for one in find(browser, f"#problem{number}") if one.is_displayed() and one.text]
    if task not in WITHOUT_ATTENTION and find(browser, f"#answer{number} textarea")[0].get_attribute("value"):
        picture = wait(lambda: find(browser, f"#plot{number}_0 img"))[0]
        assert wait(lambda: browser.execute_script("return arguments[0].naturalWidth", picture)) > 100
    browser.save_screenshot(str(folder / f"{task}.png"))


def test_what_is_wrong_is_said_in_a_sentence(served: tuple[str, Path], browser: Any) -> None:
    address, _ = served
    number = open_page(browser, address, "translation")
    wait(lambda: find(browser, f"#go{number}"))
    press(browser, number)
    assert wait(lambda: find(browser, f"#problem{number}")[0].text) == "Type a sentence."


def test_ones_own_picture_and_question_are_answered(served: tuple[str, Path], browser: Any) -> None:
    address, folder = served
    number = open_page(browser, address, "vqa")
    picture = read_manifest(folder / "data_vqa" / "test.jsonl")[0].image
    wait(lambda: find(browser, f"#image{number} input[type=file]"))[0].send_keys(str(picture))
    wait(lambda: find(browser, f"#image{number} img"))
    find(browser, f"#question{number} textarea")[0].send_keys("what shape is the red thing?")
    press(browser, number)
    wait(lambda: "drawn in" in find(browser, f"#details{number}")[0].text)
    assert find(browser, f"#answer{number} textarea")[0].get_attribute("value")


def test_an_upload_that_is_no_video_is_named(served: tuple[str, Path], browser: Any, tmp_path: Path) -> None:
    address, _ = served
    number = open_page(browser, address, "lipnet")
    (tmp_path / "mine.mp4").write_bytes(b"no video")
    wait(lambda: find(browser, f"#video{number} input[type=file]"))[0].send_keys(str(tmp_path / "mine.mp4"))
    time.sleep(3)
    press(browser, number)
    said = wait(lambda: find(browser, f"#problem{number}")[0].text)
    assert said.startswith("Mine.mp4: ") and "/" not in said


def test_what_the_camera_records_is_answered(served: tuple[str, Path], browser: Any) -> None:
    address, _ = served
    number = open_page(browser, address, "lipnet")
    place = f"#video{number}"
    for name, seconds in (("Capture from camera", 1), ("Click to Access Webcam", 2), ("Record", 3), ("Stop", 2)):
        press_named(browser, place, name)
        time.sleep(seconds)
    assert wait(lambda: find(browser, f"{place} video"))
    assert answered(browser, number) == ""


def test_what_the_microphone_records_is_answered_and_nothing_offers_to_publish_it(
    served: tuple[str, Path], browser: Any
) -> None:
    address, _ = served
    number = open_page(browser, address, "las")
    place = f"#audio{number}"
    for name, seconds in (("Record audio", 1), ("Record", 3), ("Stop", 2)):
        press_named(browser, place, name)
        time.sleep(seconds)
    wait(lambda: find(browser, f"{place} button[aria-label=Play]"))
    assert not find(browser, f"{place} button[aria-label=Share]")
    assert answered(browser, number) == ""


def test_nothing_is_asked_of_another_machine(served: tuple[str, Path], browser: Any) -> None:
    address, _ = served
    open_page(browser, address, "captioning")
    time.sleep(2)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert sent and not [url for url in sent if url.startswith("http") and not url.startswith(address)]


def fetch(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of a request."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_no_file_outside_is_given_away(served: tuple[str, Path]) -> None:
    address, folder = served
    outside = [folder / "translation" / "config.yaml", folder / "data_vqa" / "test.jsonl", Path(__file__)]
    for path in outside:
        status, body = fetch(f"{address}/gradio_api/file={path}")
        assert status in (403, 404) and path.read_bytes()[:50] not in body
    values = {"path": str(outside[0]), "meta": {"_type": "gradio.FileData"}}
    number = list(TASKS).index("captioning")
    headers = {"Content-Type": "application/json"}
    status, body = fetch(
        f"{address}/gradio_api/call/answer{number}", json.dumps({"data": [values]}).encode(), **headers
    )
    if status == 200:
        event = json.loads(body)["event_id"]
        status, body = fetch(f"{address}/gradio_api/call/answer{number}/{event}")
        assert b"event: error" in body and b"event: complete" not in body


def test_uploads_have_a_largest_size(served: tuple[str, Path]) -> None:
    address, _ = served
    for size, expected in ((1000, 200), (3 << 20, 413)):
        body = b"--x\r\n" + b'Content-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
        body += b"a" * size + b"\r\n--x--\r\n"
        status, _ = fetch(f"{address}/gradio_api/upload", body, **{"Content-Type": "multipart/form-data; boundary=x"})
        assert status == expected
