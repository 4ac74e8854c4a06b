"""The oracle is the publisher's own whole network: our pooled vector through its classifier gives its logits."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.nn import backbones, imagenet
from seqkit.nn.backbones import Backbone, region_features
from seqkit.nn.imagenet import NETWORKS

SMALL = {"resnet18": 33, "googlenet": 40, "efficientnet_lite0": 37}  # pixels; odd ones, to see the padding
PLAIN = {  # pixels in 0 to 1 as the publisher wants them
    "imagenet": lambda x: (
        (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    ),
    "halves": lambda x: 2 * x - 1,
    "lite": lambda x: (255 * x - 127) / 128,
}
SHAPES = {  # size: D, P, (R, C); from the papers' tables
    "alexnet": (224, 256, 4096, 13),
    "vgg16": (224, 512, 4096, 14),
    "googlenet": (224, 1024, 1024, 7),
    "inception_v3": (299, 2048, 2048, 8),
    "resnet18": (224, 512, 512, 7),
    "resnet34": (224, 512, 512, 7),
    "resnet50": (224, 2048, 2048, 7),
    "resnet101": (224, 2048, 2048, 7),
    "resnet152": (224, 2048, 2048, 7),
    "efficientnet_lite0": (224, 1280, 1280, 7),
    "small_cnn": (64, 128, 128, 8),
}


def pixels(size: int, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def lively(network: nn.Module, size: int) -> nn.Module:
    """Batch norms with weights of their own and the statistics of noise: none can be left out unnoticed, and what a
    picture shows reaches the last layer, which it would not through so many random ones."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.3)
            module.momentum = 1.0
    network.train()(torch.randn(4, 3, size, size))
    return network


@pytest.fixture
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Backbone, nn.Module]:
    """A backbone with random weights, and the whole network that was taken apart for it."""
    name = request.param
    torch.manual_seed(4)
    built: list[nn.Module] = []

    def build(name: str, size: int) -> nn.Module:
        built.append(lively(imagenet.build(name, size), size))
        return built[0]

    monkeypatch.setattr(backbones, "build", build)
    return Backbone(name, size=SMALL.get(name), weights=None), built[0].eval()


def logits(name: str, network: nn.Module, pixels_B3HW: Tensor) -> Tensor:
    style = {"googlenet": "halves", "inception_v3": "halves", "efficientnet_lite0": "lite"}.get(name, "imagenet")
    whole: Tensor = network(PLAIN[style](pixels_B3HW / 255))
    return whole


@pytest.mark.parametrize("pair", SMALL, indirect=True)
def test_pooled_features_through_the_classifier_are_the_networks_logits(pair: tuple[Backbone, nn.Module]) -> None:
    backbone, network = pair
    found = backbone(pixels(backbone.size))
    classifier = network.get_submodule(NETWORKS[backbone.name].classifier.rstrip("."))
    expected_BV = logits(backbone.name, network, pixels(backbone.size))
    torch.testing.assert_close(classifier(found.pooled_BP), expected_BV, rtol=1e-3, atol=1e-3)
    assert (expected_BV[0] - expected_BV[1]).abs().max() > 0.3  # else any input would do
    torch.testing.assert_close(found.grid_BSD.mean(1), found.pooled_BP)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("efficientnet_lite0", "small_cnn")])
def test_stages_are_all_layers_in_order_but_the_last(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[nn.Module] = []
    monkeypatch.setattr(backbones, "build", lambda *given: built.append(imagenet.build(*given)) or built[0])
    with torch.device("meta"):
        backbone = Backbone(name, weights=None)
    ours, theirs = (
        [layer for layer in module.modules() if not [*layer.children()] and type(layer) is not nn.Flatten]
        for module in (backbone.stages, built[0])
    )
    assert all(mine is yours for mine, yours in zip(ours, theirs, strict=False))
    assert {type(layer) for layer in theirs[len(ours) :]} <= {nn.AdaptiveAvgPool2d, nn.Dropout, nn.Linear}
    assert isinstance(theirs[-1], nn.Linear) and theirs[-1].out_features == 1000 and theirs[-1] not in ours


@pytest.mark.parametrize("size", [37, 64])
def test_efficientnet_pads_as_its_size_asks(size: int) -> None:
    """The oracle pads by the size it is shown, as TensorFlow did."""
    from efficientnet_lite_pytorch import EfficientNet

    oracle = EfficientNet.from_name("efficientnet-lite0", image_size=None)
    oracle.load_state_dict(torch.load(imagenet.pretrained("efficientnet_lite0"), weights_only=True))
    map_BDRC = oracle.eval().extract_features(PLAIN["lite"](pixels(size) / 255))
    torch.testing.assert_close(
        Backbone("efficientnet_lite0", size=size)(pixels(size)).grid_BSD,
        map_BDRC.flatten(2).transpose(1, 2),
        rtol=1e-3,
        atol=1e-3,
    )


def test_stages_of_efficientnet_have_the_papers_numbers_of_blocks() -> None:
    with torch.device("meta"):
        backbone = Backbone("efficientnet_lite0", weights=None)
    assert [len(backbone.stages[f"blocks{n}"]) for n in range(1, 8)] == [1, 2, 2, 3, 3, 4, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", ["alexnet", "vgg16", "inception_v3", "resnet34", "resnet50", "resnet101", "resnet152"], indirect=True
)
def test_the_large_ones_too(pair: tuple[Backbone, nn.Module]) -> None:
    backbone, network = pair
    found = backbone(pixels(backbone.size))
    classifier = network.get_submodule(NETWORKS[backbone.name].classifier.rstrip("."))
    torch.testing.assert_close(
        classifier(found.pooled_BP), logits(backbone.name, network, pixels(backbone.size)), rtol=1e-3, atol=1e-3
    )
    fast = backbone.extractor()(pixels(backbone.size))
    torch.testing.assert_close(fast.grid_BSD, found.grid_BSD, rtol=1e-3, atol=1e-3 * float(found.grid_BSD.max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        backbone = Backbone(name, weights=None)
        found = backbone(torch.empty(2, 3, backbone.size, backbone.size, dtype=torch.uint8))
    size, dim, pooled, side = SHAPES[name]
    assert (backbone.size, backbone.dim, backbone.pooled_dim, backbone.grid) == (size, dim, pooled, (side, side))
    assert found.grid_BSD.shape == (2, side * side, dim) and found.pooled_BP.shape == (2, pooled)


@pytest.mark.parametrize("name, grid", [("resnet152", 14), ("efficientnet_lite0", 14), ("vgg16", 28), ("alexnet", 27)])
def test_twice_the_size_is_twice_the_grid(name: str, grid: int) -> None:
    with torch.device("meta"):
        assert Backbone(name, size=448, weights=None).grid == (grid, grid)


def test_the_grid_is_row_by_row() -> None:
    torch.manual_seed(0)
    backbone, dark = Backbone("resnet18", size=128, weights=None), torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    lit = dark.clone()
    lit[:, :, :8, 120:] = 255  # the last column of the first row; it reaches its neighbors too, but less
    changed = (backbone(lit).grid_BSD - backbone(dark).grid_BSD).norm(dim=-1)
    assert backbone.grid == (4, 4) and int(changed.argmax()) == 3 and changed[0, 12] < changed[0, 3] / 2


@pytest.mark.parametrize("name, size", [("alexnet", 30), ("vgg16", 8), ("inception_v3", 70), ("resnet18", 0)])
def test_too_small_a_size_is_refused(name: str, size: int) -> None:
    message = rf"`size` must be enough pixels for {name}, whose own is {NETWORKS[name].size}, got {size}"
    with torch.device("meta"), pytest.raises(InputError, match=message):
        Backbone(name, size=size, weights=None)


def test_other_faults_are_told() -> None:
    with pytest.raises(InputError, match=r"`name` must be one of alexnet, .*, small_cnn, got 'resnet19'"):
        Backbone("resnet19", weights=None)
    with pytest.raises(InputError, match=r"a stage of resnet18 must be one of stem, layer1, .*, got 'layer5'"):
        Backbone("resnet18", weights=None, trainable_from="layer5")
    backbone = Backbone("resnet18", size=32, weights=None)
    for wrong in (pixels(31), pixels(32).float(), pixels(32)[0], pixels(32)[:, :2]):
        shape = re.escape(f"{wrong.dtype} {tuple(wrong.shape)}")
        with pytest.raises(ValueError, match=rf"`pixels_B3HW` must be uint8 \(B, 3, 32, 32\), got {shape}"):
            backbone(wrong)


@pytest.mark.parametrize("name, stage", [("resnet18", "layer3"), ("efficientnet_lite0", "blocks4"), ("vgg16", "conv4")])
def test_a_network_that_ends_early_gives_that_stages_map(name: str, stage: str) -> None:
    torch.manual_seed(0)
    whole = Backbone(name, size=SMALL.get(name, 64), weights=None)
    early = Backbone(name, size=whole.size, weights=None, last_stage=stage)
    early.load_state_dict({key: value for key, value in whole.state_dict().items() if key in early.state_dict()})
    maps: list[torch.Tensor] = []
    whole.stages[stage].register_forward_hook(lambda module, given, made: maps.append(made))
    whole(pixels(whole.size))
    found = early(pixels(whole.size))
    torch.testing.assert_close(found.grid_BSD, maps[0].flatten(2).transpose(1, 2))
    torch.testing.assert_close(found.pooled_BP, maps[0].mean((2, 3)))
    assert (*early.grid, early.dim, early.pooled_dim) == (*maps[0].shape[2:], maps[0].shape[1], maps[0].shape[1])
    assert list(early.stages)[-1] == stage
    with pytest.raises(InputError, match=f"a stage of {name} must be one of .*, {stage}, got"):
        Backbone(name, size=whole.size, weights=None, last_stage=stage, trainable_from=list(whole.stages)[-1])


def test_a_picture_gives_the_same_alone_and_in_company() -> None:
    torch.manual_seed(0)
    backbone = Backbone("resnet18", size=32, weights=None)
    together, alone = backbone(pixels(32, batch=3)), backbone(pixels(32, batch=3)[1:2])
    torch.testing.assert_close(together.grid_BSD[1:2], alone.grid_BSD)
    torch.testing.assert_close(together.pooled_BP[1:2], alone.pooled_BP)


def test_a_frozen_network_learns_nothing() -> None:
    backbone = Backbone("resnet18", size=32, weights=None).train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    found = backbone(pixels(32))
    assert not found.grid_BSD.requires_grad and not any(p.requires_grad for p in backbone.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    torch.testing.assert_close(backbone.eval()(pixels(32)).pooled_BP, found.pooled_BP)


@pytest.mark.parametrize(
    "name, stage, statistics",
    [
        ("resnet18", "layer3", True),
        ("efficientnet_lite0", "blocks7", False),
        ("resnet18", "stem", False),
        ("googlenet", "inception5", True),
    ],
)
def test_only_what_comes_from_the_chosen_stage_on_learns(name: str, stage: str, statistics: bool) -> None:
    torch.manual_seed(0)
    backbone = Backbone(name, size=SMALL[name], weights=None, trainable_from=stage, learn_statistics=statistics).train()
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    backbone(pixels(backbone.size)).grid_BSD.square().sum().backward()
    stages = list(backbone.stages)
    learning = {f"stages.{name}." for name in stages[stages.index(stage) :]}
    for key, parameter in backbone.named_parameters():
        learns = any(key.startswith(prefix) for prefix in learning)
        assert parameter.requires_grad == learns and (parameter.grad is not None) == learns, key
    for key, tensor in backbone.state_dict().items():
        if "running" in key:
            learned = statistics and any(key.startswith(prefix) for prefix in learning)
            assert torch.equal(tensor, before[key]) != learned, key
    own = {id(parameter) for parameter in backbone.parameters_from(stage)}
    assert own == {id(p) for p in backbone.parameters() if p.requires_grad}
    assert not any(module.training for module in backbone.eval().modules())
    with pytest.raises(InputError, match=rf"a stage of {name} must be one of .*, got 'none'"):
        next(backbone.parameters_from("none"))


def test_dropout_of_a_frozen_layer_stays_off() -> None:
    with torch.device("meta"):
        frozen, tuned = (Backbone("vgg16", weights=None, trainable_from=stage).train() for stage in (None, "fc"))
    for backbone, training in ((frozen, False), (tuned, True)):
        drops = [module for module in backbone.modules() if isinstance(module, nn.Dropout)]
        assert drops and all(module.training == training for module in drops)


@pytest.mark.parametrize("pair", SMALL, indirect=True)
def test_the_extractor_gives_the_same_without_batch_norms(
    pair: tuple[Backbone, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, folded = pair[0], []
    monkeypatch.setattr(backbones, "_fold", lambda module, fold=backbones._fold: (folded.append(module), fold(module)))
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    fast = backbone.extractor()(pixels(backbone.size))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded[0].modules())
    for ours, theirs in zip(backbone(pixels(backbone.size)), fast, strict=True):
        assert not theirs.requires_grad
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4 * float(ours.abs().max()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_the_extractor_of_a_network_in_training_gives_what_evaluation_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    backbone, folded = Backbone("resnet18", size=32, weights=None, trainable_from="stem").train(), []
    monkeypatch.setattr(backbones, "_fold", lambda module, fold=backbones._fold: (folded.append(module), fold(module)))
    fast = backbone.extractor()(pixels(32))
    assert not folded[0].training and not folded[0].stages["stem"].training
    assert backbone.training and all(parameter.requires_grad for parameter in backbone.parameters())
    torch.testing.assert_close(fast.pooled_BP, backbone.eval()(pixels(32)).pooled_BP, rtol=1e-3, atol=1e-4)


def test_the_fingerprint_is_of_the_weights_alone() -> None:
    torch.manual_seed(0)
    one, other = (Backbone("resnet18", size=size, weights=None) for size in (32, 64))
    other.load_state_dict(one.state_dict())
    assert one.fingerprint() == other.fingerprint() == one.fingerprint() and len(one.fingerprint()) == 64
    assert one.key() != other.key() and one.key() == one.key()
    with torch.no_grad():
        next(other.stages["layer4"].parameters())[-1, -1, -1, -1] += 1e-3
    before = one.fingerprint()
    assert before != other.fingerprint() and one.key()["weights"] == before
    one.stages["layer1"][0][0].bn1.running_mean[-1] += 1
    assert one.fingerprint() != before


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = imagenet.build("resnet18", 32)
    path = tmp_path / "a.pth"
    torch.save(network.state_dict(), path)
    first, second = (Backbone("resnet18", size=32, weights=weights) for weights in (path, str(path)))
    assert first.fingerprint() == second.fingerprint()
    torch.testing.assert_close(
        network.eval().fc(first(pixels(32)).pooled_BP), logits("resnet18", network, pixels(32)), rtol=1e-4, atol=1e-5
    )


def test_the_installed_eye_can_see(real_data: Path) -> None:
    """Photographs of rooms (DAQUAR) are classified with confidence only if pixels come in as trained."""
    from seqkit.data.image import Square, to_pixels

    paths = sorted((real_data / "daquar" / "nyu_depth_images").glob("*.jpg"))[:8]
    backbone = Backbone("efficientnet_lite0")
    network = imagenet.build("efficientnet_lite0", 224)
    network.load_state_dict(torch.load(imagenet.pretrained("efficientnet_lite0"), weights_only=True))
    with torch.no_grad():
        pooled_BP = backbone(to_pixels([Square(backbone.size).read(path) for path in paths])).pooled_BP
        sure = network.eval()._fc(pooled_BP).softmax(-1).max(-1).values
    assert sure.mean() > 0.3


def test_regions_whole_and_single_cells() -> None:
    grid_BSD = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
    extent_B2 = torch.tensor([[300, 400], [30, 80]])
    whole_BK4 = torch.tensor([[[0.0, 0, 400, 300]], [[0.0, 0, 80, 30]]])
    torch.testing.assert_close(region_features(grid_BSD, (3, 4), whole_BK4, extent_B2)[:, 0], grid_BSD.mean(1))
    cells_BK4 = torch.stack(
        [
            torch.tensor([[x * w / 4, y * h / 3, (x + 1) * w / 4, (y + 1) * h / 3] for y in range(3) for x in range(4)])
            for h, w in extent_B2.tolist()
        ]
    )
    torch.testing.assert_close(region_features(grid_BSD, (3, 4), cells_BK4, extent_B2), grid_BSD)


def test_regions_of_whole_cells_are_their_mean_and_padding_is_zero() -> None:
    rng = np.random.default_rng(0)
    grid_BSD = torch.randn(1, 35, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(20):
        (top, bottom), (left, right) = sorted(rng.permutation(6)[:2]), sorted(rng.permutation(8)[:2])
        box = torch.tensor([[[left * 20.0, top * 20.0, right * 20.0, bottom * 20.0], [0.0, 0, 0, 0]]])
        found = region_features(grid_BSD, (5, 7), box, torch.tensor([[100, 140]]))
        expected = grid_BSD.view(5, 7, 3)[top:bottom, left:right].flatten(0, 1).mean(0)
        torch.testing.assert_close(found[0, 0], expected)
        assert (found[0, 1] == 0).all()


def test_a_region_depends_on_its_own_cells_and_passes_gradients() -> None:
    grid_BSD = torch.randn(2, 16, 3, requires_grad=True)
    box = torch.tensor([[[0.0, 0, 25, 25]], [[75.0, 75, 100, 100]]])
    region_features(grid_BSD, (4, 4), box, torch.tensor([[100, 100], [100, 100]])).sum().backward()
    assert grid_BSD.grad is not None and grid_BSD.grad.abs().sum(-1).nonzero().tolist() == [[0, 0], [1, 15]]
    assert region_features(grid_BSD, (4, 4), box[:, :0], torch.tensor([[9, 9], [9, 9]])).shape == (2, 0, 3)
