"""Weights from files: the right ones load, and all others are refused with the file's name."""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.nn.imagenet import NETWORKS, build, fetch, load, pretrained


@pytest.fixture(scope="module")
def whole() -> nn.Module:
    """A resnet18 whose every weight differs from that of another."""
    torch.manual_seed(1)
    return build("resnet18", 224)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_file_fills_all_but_the_classifier(tmp_path: Path, whole: nn.Module, ending: str) -> None:
    path, weights = tmp_path / f"a.{ending}", state(whole)
    weights["fc.weight"], weights["fc.bias"] = torch.zeros(365, 512), torch.zeros(365)  # of other classes
    save_file(weights, path) if ending == "safetensors" else torch.save(weights, path)
    network = build("resnet18", 224)
    load(network, "resnet18", path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[name]) != name.startswith("fc."), name


def test_auxiliary_classifiers_in_a_file_are_passed_over(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = build("googlenet", 224)
    weights = {name: torch.zeros(tensor.shape) for name, tensor in network.state_dict().items()}
    torch.save(weights | {"aux1.fc1.weight": torch.zeros(3), "aux2.fc1.weight": torch.zeros(3)}, tmp_path / "a.pth")
    load(build("googlenet", 224), "googlenet", tmp_path / "a.pth")


def test_old_files_without_batch_counts_load(tmp_path: Path, whole: nn.Module) -> None:
    weights = {name: tensor for name, tensor in state(whole).items() if "num_batches" not in name}
    torch.save(weights, tmp_path / "a.pth")
    load(build("resnet18", 224), "resnet18", tmp_path / "a.pth")


def test_other_weights_are_refused(tmp_path: Path, whole: nn.Module) -> None:
    path, weights = tmp_path / "a.pth", state(whole)
    name = re.escape(str(path))
    torch.save(weights | {"conv1.weight": torch.zeros(1, 1)}, path)
    message = rf"{name}: must be weights of resnet18, got others: .*conv1\.weight"
    with pytest.raises(InputError, match=message) as caught:
        load(build("resnet18", 224), "resnet18", path)
    assert "\n" not in str(caught.value)
    less = {key: value for key, value in weights.items() if key != "layer4.1.bn2.bias"}
    torch.save(less | {"fc.weight": weights["fc.weight"]}, path)
    with pytest.raises(InputError, match=rf"{name}: must be weights of .* got none for \['layer4.1.bn2.bias'\]"):
        load(build("resnet18", 224), "resnet18", path)
    torch.save(weights | {"more": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=rf"{name}: .* and unknown ones for \['more'\]"):
        load(build("resnet18", 224), "resnet18", path)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 no zip"])
def test_a_file_without_weights_is_refused(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    message = r"must be a state dict as torch\.save or safetensors writes it, got other or damaged data \(\w+\); "
    with pytest.raises(InputError, match=rf"a\.{ending}: {message}"):
        load(nn.Linear(1, 1), "resnet18", path)


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3}])
def test_a_checkpoint_of_other_things_is_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: must be a state dict, weights by their names, got (list|dict)"):
        load(nn.Linear(1, 1), "resnet18", tmp_path / "a.pth")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pth: no such weights; correct the path"):
        load(nn.Linear(1, 1), "resnet18", tmp_path / "none.pth")


PUBLISHED = [name for name in NETWORKS if name not in ("efficientnet_lite0", "small_cnn")]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_file_is_fetched_by_its_hash_and_not_again(tmp_path, monkeypatch, name) -> None:
    fetched: list[tuple[str, str | None]] = []

    def download(url: str, place: str, prefix: str | None, progress: bool) -> None:
        fetched.append((url, prefix))
        Path(place).touch()

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    path = pretrained(name)
    assert path.parent == tmp_path / "checkpoints" and path.is_file() and pretrained(name) == path
    ((url, prefix),) = fetched
    assert (
        url.startswith("https://download.pytorch.org/") and path.stem.endswith(f"-{prefix}") and len(prefix or "") == 8
    )


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A server on the loopback address, and the folder that it serves."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}", folder
        one.shutdown()
        thread.join()


def test_weights_are_fetched_whole_and_load(server, tmp_path, whole, capsys) -> None:
    url, folder = server
    torch.save(state(whole), folder / "net.pth")
    digest = hashlib.sha256((folder / "net.pth").read_bytes()).hexdigest()
    (folder / "net.pth").rename(folder / f"net-{digest[:8]}.pth")
    path = tmp_path / "cache" / "checkpoints" / f"net-{digest[:8]}.pth"
    fetch("resnet18", f"{url}/{path.name}", path)
    told = capsys.readouterr()
    assert not told.out and f"fetching the weights of resnet18 from {url}/{path.name} to {path}" in told.err
    load(build("resnet18", 224), "resnet18", path)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "name, fault", [("net-00000000.pth", "invalid hash value"), ("no-00000000.pth", "File not found")]
)
def test_what_is_not_the_published_file_is_refused_and_not_kept(server, tmp_path, name, fault) -> None:
    url, folder = server
    (folder / "net-00000000.pth").write_bytes(b"something else")
    path = tmp_path / "cache" / name
    with pytest.raises(
        InputError, match=rf"{name}: must hold the weights of vgg16, which could .* \(.*({fault}).*\); put"
    ):
        fetch("vgg16", f"{url}/{name}", path)
    assert list(path.parent.iterdir()) == []


def test_without_a_network_one_line_says_what_to_place_where(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url, path = f"http://127.0.0.1:{unused.getsockname()[1]}/net-00000000.pth", tmp_path / "net-00000000.pth"
        with pytest.raises(InputError, match=r"net-00000000\.pth: must hold .* put there what http://127") as caught:
            fetch("resnet18", url, path)
    assert "\n" not in str(caught.value) and "--weights FILE" in str(caught.value) and not path.exists()


def test_a_server_that_does_not_answer_is_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("seqkit.nn.imagenet.TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/net-00000000.pth"
        with pytest.raises(InputError, match="could not be fetched .*timed out"):
            fetch("resnet18", url, tmp_path / "net.pth")
    assert socket.getdefaulttimeout() is None


def test_efficientnets_weights_are_installed() -> None:
    assert pretrained("efficientnet_lite0").is_file()


def test_small_cnn_has_none() -> None:
    with pytest.raises(InputError, match="`weights` of small_cnn must be random or a file, as there are no published"):
        pretrained("small_cnn")
