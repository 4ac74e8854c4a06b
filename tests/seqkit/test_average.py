"""The mean of several runs' weights: what it is, and which runs have none."""

from pathlib import Path

import pytest
import torch
from torch import nn

from seqkit.average import average
from seqkit.cli import main
from seqkit.errors import InputError
from seqkit.train import checkpoint
from seqkit.train.checkpoint import read_meta, read_weights

ONE = "recipe: translation\n"


class Net(nn.Module):
    """Tied weights, and buffers of two kinds."""

    def __init__(self, seed: int, width: int = 3) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.a, self.b, self.norm = nn.Linear(width, 4), nn.Linear(width, 4), nn.BatchNorm1d(4)
        self.b.weight = self.a.weight
        self.register_buffer("table", torch.tensor([1, 2]))
        self.norm.running_mean.normal_()
        self.norm.num_batches_tracked += seed


def saved(run: Path, model: nn.Module, config: str = ONE, vocab: str = "a b", name: str = "best") -> Path:
    def write(part: Path) -> None:
        checkpoint.write_model(part, model, {"step": 3, "metrics": {"bleu": 1.0}})
        (part / "target.json").write_text(vocab)

    checkpoint.replace_folder(run / name, write)
    (run / "config.yaml").write_text(config)
    return run


def test_the_mean_is_that_of_every_weight_and_keeps_ties_and_assets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nets = [Net(seed) for seed in (1, 2, 3)]
    one, two = saved(tmp_path / "one", nets[0]), saved(tmp_path / "two", nets[1])
    saved(two, nets[2], "recipe: translation\nepochs: 3\nbeam: 2\nbatch_budget: 9\n", name="last")
    out = tmp_path / "mean"
    assert main(["average", str(one), str(two), str(two / "last"), str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    found, states = read_weights(out / "best"), [net.state_dict() for net in nets]
    assert found.keys() == states[0].keys() and found["a.weight"] is found["b.weight"]
    for name in ("a.weight", "a.bias", "b.bias", "norm.running_mean"):
        torch.testing.assert_close(found[name], sum(state[name] for state in states) / 3)
    assert found["table"].tolist() == [1, 2] and found["norm.num_batches_tracked"] == 1
    assert (out / "config.yaml").read_bytes() == (one / "config.yaml").read_bytes()
    assert (out / "best" / "target.json").read_text() == "a b"
    assert read_meta(out / "best")["average_of"] == [str(one / "best"), str(two / "best"), str(two / "last")]


@pytest.mark.parametrize(
    ("model", "config", "vocab", "text"),
    [
        (Net(2), "recipe: vqa\n", "a b", "other: must be a run of translation, as .*one is, got one of vqa"),
        (Net(2), "recipe: translation\nembed_dim: 9\n", "a b", "`embed_dim` must be that of .*one, 256, got 9"),
        (Net(2), ONE, "b a", "`target.json` must be that of .*one.best, got another"),
        (Net(2, width=5), ONE, "a b", "best: must have the weights of .*, got another `a.weight`"),
        (nn.Linear(3, 4), ONE, "a b", "best: must have the weights of .*, got another `a.bias`"),
        (Net(2), "beam: 3\n", "a b", "config.yaml: must name its `recipe`, got none"),
        (Net(2), "recipe: mine\n", "a b", "the task must be one of translation, .*, got 'mine'"),
    ],
)
def test_runs_without_a_common_mean_are_one_line(
    tmp_path: Path, model: nn.Module, config: str, vocab: str, text: str
) -> None:
    one, other = saved(tmp_path / "one", Net(1)), saved(tmp_path / "other", model, config, vocab)
    with pytest.raises(InputError, match=text):
        average([one, other], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_what_is_no_floating_point_number_has_no_mean(tmp_path: Path) -> None:
    other = Net(2)
    other.table += 1
    with pytest.raises(InputError, match="`table` must be that of .*, which has no mean with another"):
        average([saved(tmp_path / "one", Net(1)), saved(tmp_path / "other", other)], tmp_path / "mean")


def test_too_few_runs_and_a_folder_that_is_taken(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", Net(1))
    with pytest.raises(InputError, match="RUN … must be two or more runs or checkpoints before OUT, got 1"):
        average([one], tmp_path / "mean")
    with pytest.raises(InputError, match="one: must be a new folder, got one that holds config.yaml"):
        average([one, one], one)
    with pytest.raises(InputError, match="RUN must be a trained run or a checkpoint in one, got .*, which has no conf"):
        average([tmp_path / "none", one], tmp_path / "mean")
