"""Front ends: padding never matters, windows are those of a plain stack, shapes are the published ones."""

import pytest
import torch
from torch import nn

from seqkit.nn.frames import PackedFrames, PixelNorm, TemporalConv
from seqkit.nn.frontends import ConvSubsampling, FrameStacking, Residual, ResNet, Stcnn, VggM

GRAY, COLOR = ((0.4,), (0.2,)), ((0.7, 0.5, 0.3), (0.1, 0.2, 0.3))
VIDEO = {
    "vggm": lambda: VggM(PixelNorm(*GRAY), size=(20, 24), width=0.05, output_dim=7),
    "vggm color": lambda: VggM(PixelNorm(*COLOR), size=(20, 24), width=0.05, span=3, output_dim=7),
    "stcnn": lambda: Stcnn(PixelNorm(*COLOR), (4, 5), kernels=(5, 3), size=(20, 24), dropout=0.0),
    "stcnn norm": lambda: Stcnn(PixelNorm(*GRAY), (4, 5), kernels=(5, 3), size=(20, 24), dropout=0.0, batch_norm=True),
    "frames only": lambda: Stcnn(PixelNorm(*COLOR), (4, 5), kernels=(5, 3), size=(20, 24), span=1, dropout=0.0),
    "resnet": lambda: ResNet(PixelNorm(*GRAY), width=4, blocks=(1, 2)),
}
FEATURES = {
    "identity": lambda: FrameStacking(5),
    "linear": lambda: FrameStacking(5, output_dim=3),
    "stack": lambda: FrameStacking(5, stack=3, stride=3),
    "overlap": lambda: FrameStacking(5, stack=3, stride=2, output_dim=4),
    "skip": lambda: FrameStacking(5, stack=2, stride=4),
    "subsample": lambda: ConvSubsampling(5, 6),
    "window": lambda: ConvSubsampling(5, 6, strides=(1,), kernel=5),
}
SHORT = {"stack": 3, "overlap": 2, "skip": 4, "subsample": 4}
ALL = {**VIDEO, **FEATURES}
LENGTHS = torch.tensor([7, 1, 4, 6])


def made(name, *, training=False):
    torch.manual_seed(0)
    front = ALL[name]().double().train(training)
    for part in front.modules():  # biases begin at 0 and would hide faults
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear) and part.bias is not None:
            nn.init.normal_(part.bias)
    return front


def batch(name, frames=7):
    torch.manual_seed(1)
    if name in FEATURES:
        return torch.randn(4, frames, 5, dtype=torch.float64)
    return torch.rand(4, frames, made(name).pixels.channels, 20, 24, dtype=torch.float64)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(name, training):
    """In training batch norm sees all real frames, so there the batch is the same but for padding."""
    front, values = made(name, training=training), batch(name)
    noisy = torch.cat([values, values], 1)
    for b, n in enumerate(LENGTHS.tolist()):
        noisy[b, n:] = 1e3
    noisy.requires_grad_()
    features, lengths = front(values, LENGTHS)
    found, found_lengths = front(noisy, LENGTHS)
    assert torch.equal(lengths, found_lengths) and features.shape[2] == front.output_dim
    for b, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[b, :n], features[b, :n])
        assert not found[b, n:].any() and not features[b, n:].any()
    found.square().sum().backward()
    for b, n in enumerate(LENGTHS.tolist()):
        assert not noisy.grad[b, n:].any() and (noisy.grad[b, :n].flatten(1).any(1).all() or name == "skip")


@pytest.mark.parametrize("name", ALL)
def test_a_sequence_alone_is_the_same(name):
    front, values = made(name), batch(name)
    features, lengths = front(values, LENGTHS)
    for b, n in enumerate(LENGTHS.tolist()):
        alone, steps = front(values[b : b + 1, :n], LENGTHS[b : b + 1])
        assert steps.tolist() == [alone.shape[1]] == [-(-n // SHORT.get(name, 1))] == [int(lengths[b])]
        torch.testing.assert_close(features[b, : int(steps)], alone[0])


@pytest.mark.parametrize("name", [n for n in ALL if n != "skip"])
def test_every_step_depends_on_its_frame_and_on_no_far_one(name):
    """The first step sees its first frame, and nothing beyond the reach of its windows."""
    front, values = made(name), batch(name, 40).requires_grad_()
    features, _ = front(values, torch.tensor([40] * 4))
    features[:, 0].sum().backward()
    felt = values.grad.flatten(2).any(2)[0].tolist()
    reach = {
        "vggm": 3,
        "vggm color": 2,
        "stcnn": 3,
        "stcnn norm": 3,
        "frames only": 1,
        "resnet": 3,
        "identity": 1,
        "linear": 1,
        "stack": 3,
        "overlap": 3,
        "subsample": 4,
        "window": 3,
    }[name]
    assert felt == [True] * reach + [False] * (40 - reach)


@pytest.mark.parametrize("span", [1, 3, 5])
def test_a_temporal_convolution_is_the_3d_one(span):
    torch.manual_seed(0)
    conv = TemporalConv(2, 4, 3, span=span, stride=2).double()
    plain = nn.Conv3d(2, 4, (span, 3, 3), stride=(1, 2, 2), padding=(span // 2, 1, 1)).double()
    plain.weight.data = conv.conv.weight.data.reshape(4, span, 2, 3, 3).transpose(1, 2)
    plain.bias.data = conv.conv.bias.data
    lengths, values = torch.tensor([6, 1, 3]), torch.randn(3, 6, 2, 9, 8, dtype=torch.float64)
    frames = PackedFrames(lengths, 6)
    found = frames.unpack(conv(frames.pack(values), frames))
    for b, n in enumerate(lengths.tolist()):
        want = plain(values[b : b + 1, :n].transpose(1, 2))[0].transpose(0, 1)
        torch.testing.assert_close(found[b, :n], want)


@pytest.mark.parametrize("span", [1, 3, 5])
def test_the_tower_equals_the_tower_over_each_window(span):
    """The naive way: for every frame, the stack of its neighbors as one picture of many channels."""
    torch.manual_seed(0)
    front = VggM(PixelNorm(*GRAY), size=(20, 24), width=0.05, span=span, output_dim=7).double().eval()
    values, lengths = torch.rand(2, 8, 1, 20, 24, dtype=torch.float64), torch.tensor([8, 5])
    features, _ = front(values, lengths)
    for b, n in enumerate(lengths.tolist()):
        standard = (values[b, :n, 0] - 0.4) / 0.2
        for t in range(n):
            window = [
                standard[i] if 0 <= i < n else torch.zeros(20, 24, dtype=torch.float64)
                for i in range(t - span // 2, t + span // 2 + 1)
            ]
            want = front.rest(front.conv1.conv(torch.stack(window)[None]))
            torch.testing.assert_close(features[b, t], want[0])


def test_stcnn_is_the_published_layers():
    """Three 3-D convolutions of torch's, with the paper's sizes, on whole clips."""
    torch.manual_seed(0)
    front = Stcnn(PixelNorm(*COLOR)).double().eval()
    values = torch.rand(1, 5, 3, 50, 100, dtype=torch.float64)
    mean, std = (torch.tensor(v, dtype=torch.float32).double()[None, :, None, None, None] for v in COLOR)
    x = (values.transpose(1, 2) - mean) / std
    for conv, kernel, stride, pad in zip(front.convs, (5, 5, 3), (2, 1, 1), (2, 2, 1), strict=True):
        weight = conv.conv.weight
        weight = weight.reshape(len(weight), 3, -1, kernel, kernel).transpose(1, 2)
        x = nn.functional.conv3d(x, weight, conv.conv.bias, (1, stride, stride), (1, pad, pad))
        x = nn.functional.max_pool3d(x.relu(), (1, 2, 2))
    features, lengths = front(values, torch.tensor([5]))
    assert features.shape == (1, 5, 1728) and lengths.tolist() == [5]
    torch.testing.assert_close(features[0], x[0].transpose(0, 1).flatten(1))
    assert [conv.conv.out_channels for conv in front.convs] == [32, 64, 96]


@pytest.mark.parametrize(
    ("front", "shape", "width"),
    [
        (lambda: VggM(PixelNorm(*GRAY)), (1, 120, 120), 512),
        (lambda: VggM(PixelNorm(*GRAY), width=0.25, size=(60, 60), output_dim=128), (1, 60, 60), 128),
        (lambda: Stcnn(PixelNorm(*COLOR)), (3, 50, 100), 1728),
        (lambda: Stcnn(PixelNorm(*GRAY), (16, 32, 48)), (1, 50, 100), 864),
        (lambda: Stcnn(PixelNorm(*GRAY), (4, 5), kernels=(3, 3), size=(37, 41)), (1, 37, 41), 5 * 4 * 5),
        (lambda: ResNet(PixelNorm(*GRAY), width=8), (1, 88, 88), 64),
        (lambda: ResNet(PixelNorm(*GRAY)), (1, 112, 112), 512),
    ],
)
def test_sizes(front, shape, width):
    model = front().eval()
    with torch.no_grad():
        features, lengths = model(torch.zeros(2, 2, *shape, dtype=torch.uint8), torch.tensor([2, 1]))
    assert features.shape == (2, 2, width) and model.output_dim == width and lengths.tolist() == [2, 1]


def test_the_tower_has_the_published_channels():
    shapes = [tuple(p.shape) for p in VggM(PixelNorm(*GRAY)).parameters() if p.ndim > 1]
    assert shapes == [
        (96, 5, 3, 3),
        (256, 96, 5, 5),
        (512, 256, 3, 3),
        (512, 512, 3, 3),
        (512, 512, 3, 3),
        (512, 512 * 4 * 4),
    ]


def test_the_residual_network_is_resnet_18():
    """Weights of torchvision's trunk give torchvision's map, on the stem's output."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs, ours = models.resnet18(weights=None).eval(), ResNet(PixelNorm(*GRAY), span=5).eval()
    parts = nn.Sequential(
        theirs.bn1, theirs.relu, theirs.maxpool, theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4
    )
    ours.trunk.load_state_dict(dict(zip(ours.trunk.state_dict(), parts.state_dict().values(), strict=True)))
    x = torch.randn(2, 64, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(ours.trunk(x), parts(x))


def test_a_residual_layer_with_zero_weights_is_its_shortcut():
    layer = Residual(3, 3, 1).eval()
    nn.init.zeros_(layer.body[0].weight)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    torch.testing.assert_close(layer(x), x.relu())
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, (x > 0).float())


def test_a_residual_networks_features_are_the_mean_of_its_map():
    front = made("resnet")
    values, lengths = torch.rand(1, 3, 1, 70, 80, dtype=torch.float64), torch.tensor([3])
    frames = PackedFrames(lengths, 3)
    map_NDHW = front.trunk(front.stem(front.pixels(values[0]), frames))
    assert map_NDHW.shape[2:] == (9, 10)
    torch.testing.assert_close(front(values, lengths)[0][0], map_NDHW.flatten(2).sum(2) / 90)


def test_bytes_are_floats_times_255():
    for name in VIDEO:
        front = made(name)
        pixels = torch.randint(0, 256, (2, 3, front.pixels.channels, 20, 24), dtype=torch.uint8)
        lengths = torch.tensor([3, 2])
        torch.testing.assert_close(front(pixels, lengths), front(pixels.double() / 255, lengths))


def test_statistics_of_pixels_are_in_the_checkpoint():
    front = Stcnn(PixelNorm(*COLOR))
    other = Stcnn(PixelNorm((0.0,) * 3, (1.0,) * 3))
    other.load_state_dict(front.state_dict())
    torch.testing.assert_close(other.pixels.mean_C11.flatten(), torch.tensor(COLOR[0]))
    torch.testing.assert_close(other.pixels.std_C11.flatten(), torch.tensor(COLOR[1]))
    found = front.pixels(torch.tensor(COLOR[0])[None, :, None, None].expand(2, 3, 4, 5))
    torch.testing.assert_close(found, torch.zeros(2, 3, 4, 5), atol=1e-6, rtol=0)


def test_dropout_takes_a_channel_out_of_a_whole_clip():
    torch.manual_seed(0)
    front = Stcnn(PixelNorm(*GRAY), (40,), kernels=(3,), size=(8, 8), dropout=0.5)
    nn.init.zeros_(front.convs[0].conv.weight)
    nn.init.ones_(front.convs[0].conv.bias)
    features, _ = front(torch.rand(6, 5, 1, 8, 8), torch.tensor([5, 5, 5, 5, 5, 3]))
    maps = features.reshape(6, 5, 40, 4)
    assert (maps[:, :1] == maps[:, :, :, :1])[:5].all() and set(maps[:5].unique().tolist()) == {0.0, 2.0}
    assert 0.4 < float((maps[:5, 0, :, 0] == 0).float().mean()) < 0.6
    assert not torch.equal(maps[0], maps[1])
    assert (front.eval()(torch.rand(1, 2, 1, 8, 8), torch.tensor([2]))[0] == 1).all()


def test_batch_norm_learns_from_real_frames_alone():
    """Its statistics after one step are those of the packed frames, however much padding there was."""
    moments = []
    for frames in (7, 30):
        front = made("vggm", training=True)
        values = torch.zeros(4, frames, 1, 20, 24, dtype=torch.float64)
        values[:, :7] = batch("vggm")
        front(values, LENGTHS)
        moments.append([buffer for name, buffer in front.rest.named_buffers() if "running" in name])
    torch.testing.assert_close(*moments)


def test_weights_begin_as_he_said():
    torch.manual_seed(0)
    for front in (
        VggM(PixelNorm(*GRAY), width=0.5),
        Stcnn(PixelNorm(*COLOR)),
        ResNet(PixelNorm(*GRAY)),
        ConvSubsampling(40, 256),
    ):
        for part in front.modules():
            if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear) and part.weight.numel() > 2000:
                fan_in = part.weight[0].numel()
                assert float(part.weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
                assert part.bias is None or not part.bias.any()


def test_stacked_rows_are_neighbors_in_order():
    rows = torch.arange(1.0, 8)[None, :, None]
    for stack, stride, want in (
        (2, 2, [[1, 2], [3, 4], [5, 6], [7, 0]]),
        (3, 2, [[1, 2, 3], [3, 4, 5], [5, 6, 7], [7, 0, 0]]),
        (1, 3, [[1], [4], [7]]),
        (3, 7, [[1, 2, 3]]),
        (9, 5, [[*range(1, 8), 0, 0], [6, 7, *[0] * 7]]),
    ):
        features, lengths = FrameStacking(1, stack=stack, stride=stride)(rows, torch.tensor([7]))
        assert features[0].tolist() == want and lengths.tolist() == [len(want)]
    wide = FrameStacking(2, stack=2, stride=2)(torch.arange(1.0, 9).reshape(1, 4, 2), torch.tensor([4]))[0]
    assert wide[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_one_batch_is_learned():
    """Each front end with a linear map tells the frames of a clip apart."""
    for name in ("vggm", "stcnn norm", "resnet"):
        torch.manual_seed(0)
        front = VIDEO[name]()
        head = nn.Linear(front.output_dim, 4)
        values = torch.rand(2, 8, front.pixels.channels, 20, 24)
        target = torch.randint(4, (16,))
        optimizer = torch.optim.Adam([*front.parameters(), *head.parameters()], 0.01)
        for _ in range(40):
            loss = nn.functional.cross_entropy(head(front(values, torch.tensor([8, 8]))[0]).flatten(0, 1), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert float(loss.detach()) < 0.2, name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PixelNorm((0.5,), (0.1, 0.1)),
            r"`mean`, `std` must be as many, each `std` above 0, got \(0\.5,\) and",
        ),
        (lambda: PixelNorm((0.5,), (0.0,)), r"`mean`, `std` must be as many"),
        (lambda: TemporalConv(1, 2, 3, span=4), r"`span` must be odd, got 4"),
        (
            lambda: Stcnn(PixelNorm(*GRAY), (4, 5)),
            r"`kernels` must be as many as `channels`, got \(5, 5, 3\) and \(4, 5\)",
        ),
        (lambda: Stcnn(PixelNorm(*GRAY), size=(14, 30)), r"`size` must be at least 15 pixels each way, got \(14, 30\)"),
        (lambda: ConvSubsampling(3, 3, kernel=2), r"`kernel` must be odd, got 2"),
        (lambda: FrameStacking(3, stride=0), r"`stack`, `stride` must be at least 1, got 1, 0"),
        (lambda: FrameStacking(3, stack=0), r"`stack`, `stride` must be at least 1, got 0, 1"),
        (
            lambda: VIDEO["vggm"]()(torch.rand(1, 2, 3, 20, 24), torch.tensor([2])),
            r"`values` must have 1 channels, got \(2, 3, 20, 24\)",
        ),
        (lambda: VIDEO["vggm"]()(torch.rand(1, 2, 1, 20, 24), torch.tensor([3])), r"`lengths_B` must be <= max_len 2"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_fifteen_pixels_are_enough():
    assert Stcnn(PixelNorm(*GRAY), size=(15, 15))(torch.rand(1, 1, 1, 15, 15), torch.tensor([1]))[0].shape == (1, 1, 96)
