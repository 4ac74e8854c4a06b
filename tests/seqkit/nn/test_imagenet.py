"""Weights from files: the right ones load, and all others are refused with the file's name."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.nn.imagenet import NETWORKS, build, load, pretrained


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


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("efficientnet_lite0", "small_cnn")])
def test_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    place = re.escape(str(tmp_path / "checkpoints")) + r"/\S+\.pth"
    with pytest.raises(InputError, match=rf"{place}: no such weights of {name}; put there what https://\S+\.pth gives"):
        pretrained(name)
    file = re.search(place, str(pytest.raises(InputError, pretrained, name).value))
    assert file is not None
    Path(file[0]).parent.mkdir()
    Path(file[0]).touch()
    assert pretrained(name) == Path(file[0])


def test_efficientnets_weights_are_installed() -> None:
    assert pretrained("efficientnet_lite0").is_file()


def test_small_cnn_has_none() -> None:
    with pytest.raises(InputError, match="`weights` of small_cnn must be random or a file, as there are no published"):
        pretrained("small_cnn")
