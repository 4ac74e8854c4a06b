"""Folders whole at every instant; weights by name and shape; averages."""

import errno
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seqkit.errors import InputError
from seqkit.train import checkpoint, random_state
from seqkit.train.average import WeightAverage
from tests.tiny_training import Tiny, differences, forked


def write(folder: Path, model: nn.Module, **meta: int) -> None:
    checkpoint.replace_folder(folder, lambda part: checkpoint.write_model(part, model, meta))


def test_weights_come_back_to_the_bit_from_the_folder_alone(tmp_path: Path) -> None:
    model, other = Tiny(seed=1), Tiny(seed=2)
    write(tmp_path / "best", model, step=3)
    (tmp_path / "best").rename(tmp_path / "elsewhere")
    checkpoint.load_weights(other, tmp_path / "elsewhere")
    assert differences(model.state_dict(), other.state_dict()) == []
    assert checkpoint.read_meta(tmp_path / "elsewhere") == {"step": 3}
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["meta.json", "model.safetensors"]


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = Tiny(seed=1)
    write(tmp_path / "best", model)
    stored = load_file(tmp_path / "best" / "model.safetensors")
    assert "embed.weight" in stored and "output.weight" not in stored
    weights = checkpoint.read_weights(tmp_path / "best")
    assert torch.equal(weights["output.weight"], weights["embed.weight"])
    untied = Tiny(seed=2)
    untied.output.weight = nn.Parameter(torch.zeros_like(untied.embed.weight))
    checkpoint.load_weights(untied, tmp_path / "best")
    assert torch.equal(untied.output.weight, model.embed.weight)


def test_odd_weights_are_stored(tmp_path: Path) -> None:
    model = nn.Module()
    model.transposed = nn.Parameter(torch.randn(3, 2).T)
    model.empty, model.none = nn.Parameter(torch.zeros(0, 2)), nn.Parameter(torch.zeros(0, 2))
    model.short = nn.Parameter(torch.randn(2).bfloat16())
    whole = torch.randn(4)
    model.first, model.second = nn.Parameter(whole[:2]), nn.Parameter(whole[2:])  # one storage, as cuDNN has it
    write(tmp_path / "best", model)
    assert differences(dict(model.state_dict()), checkpoint.read_weights(tmp_path / "best")) == []


def test_init_from_fills_what_fits_and_names_the_rest(tmp_path: Path) -> None:
    source = nn.ModuleDict({"same": nn.Linear(2, 3), "wider": nn.Linear(4, 3), "gone": nn.Linear(1, 1, bias=False)})
    target = nn.ModuleDict({"same": nn.Linear(2, 3), "wider": nn.Linear(5, 3), "new": nn.Linear(1, 1, bias=False)})
    kept = target["wider"].weight.clone()
    write(tmp_path / "run" / "last", nn.Linear(1, 1))
    write(tmp_path / "run" / "best", source)
    for place in (tmp_path / "run", tmp_path / "run" / "best"):
        filled = checkpoint.init_from(target, [place])
        assert filled[:4] == (
            ["same.weight", "same.bias", "wider.bias"],
            ["new.weight"],
            ["gone.weight"],
            ["wider.weight"],
        )
    assert torch.equal(target["same"].weight, source["same"].weight) and torch.equal(target["wider"].weight, kept)
    assert filled.text().splitlines() == [
        "3 weights loaded, 2 left as they were",
        "not in the file: new.weight",
        "not in the model: gone.weight",
        "other shape: wider.weight",
    ]
    (tmp_path / "run" / "best").rename(tmp_path / "aside")
    assert len(checkpoint.init_from(nn.Linear(1, 1), [tmp_path / "run"]).loaded) == 2  # from `last`


def test_rows_that_belong_to_tokens_are_matched_by_token(tmp_path: Path) -> None:
    source, target = (
        nn.ModuleDict({"a": nn.Linear(2, rows), "b": nn.Linear(2, 3), "c": nn.Linear(2, 3)}) for rows in (3, 4)
    )
    kept = target["a"].weight.clone()
    write(tmp_path / "run" / "best", source)
    rows = checkpoint.Rows(
        "xyzw", lambda folder: "zqx" if folder == tmp_path / "run" / "best" else "", ("a", "b.weight")
    )
    report = checkpoint.init_from(target, [tmp_path / "run"], [rows._replace(weights=("a", "ab"))])
    assert report.loaded == list(dict(target.named_parameters())) and report.partial == {
        "a.weight": (2, 4),
        "a.bias": (2, 4),
    }
    assert report.text().splitlines() == [
        "6 weights loaded, 0 left as they were",
        "rows matched by token, the others as they were: a.weight 2 of 4, a.bias 2 of 4",
    ]
    want = torch.stack([source["a"].weight[2], kept[1], source["a"].weight[0], kept[3]])
    assert torch.equal(target["a"].weight, want) and torch.equal(target["c"].weight, source["c"].weight)
    same = rows._replace(tokens="qzx", weights=("b.weight",))
    assert checkpoint.init_from(target, [tmp_path / "run"], [same]).partial == {}
    assert torch.equal(target["b"].weight, source["b"].weight[[1, 0, 2]])
    assert torch.equal(target["b"].bias, source["b"].bias)


def test_of_several_runs_the_first_that_has_a_weight_gives_it(tmp_path: Path) -> None:
    eye, ear, both = (nn.ModuleDict({name: nn.Linear(2, 3) for name in names}) for names in ("ao", "bo", "abo"))
    write(tmp_path / "eye" / "best", eye)
    write(tmp_path / "ear" / "best", ear)
    assert not checkpoint.init_from(both, [tmp_path / "eye", tmp_path / "ear"]).missing
    for name, source in (("a", eye), ("b", ear), ("o", eye)):
        assert torch.equal(both[name].weight, source[name].weight)


def test_a_part_of_a_run_is_what_another_model_begins_with(tmp_path: Path) -> None:
    source = nn.ModuleDict({"eye": nn.Linear(2, 3), "eyelid": nn.Linear(2, 3)})
    write(tmp_path / "run" / "last", source)
    eye = nn.Linear(2, 3)
    checkpoint.load_weights(eye, checkpoint.best_checkpoint(tmp_path / "run"), submodule="eye")
    assert torch.equal(eye.weight, source["eye"].weight) and torch.equal(eye.bias, source["eye"].bias)
    with pytest.raises(InputError, match=r"last: must hold the weights of this ear, got not in the file: weight, bias"):
        checkpoint.load_weights(eye, tmp_path / "run" / "last", submodule="ear")


def test_errors_name_the_folder_and_the_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none/best: must be a checkpoint with model.safetensors"):
        checkpoint.load_weights(Tiny(), tmp_path / "none" / "best")
    with pytest.raises(InputError, match=r"none: must hold a checkpoint, best/ or last/, got none: train first"):
        checkpoint.init_from(Tiny(), [tmp_path / "none"])
    with pytest.raises(InputError, match=r"none: must be a checkpoint"):
        checkpoint.read_meta(tmp_path / "none")
    write(tmp_path / "best", nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"best: must hold the weights of this model, got other shape: weight, bias"):
        checkpoint.load_weights(nn.Linear(3, 3), tmp_path / "best")
    with pytest.raises(InputError, match=r"got not in the model: bias$"):
        checkpoint.load_weights(nn.Linear(2, 2, bias=False), tmp_path / "best")
    weights = tmp_path / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model.safetensors: must be the weights of a run: "):
        checkpoint.load_weights(nn.Linear(2, 2), tmp_path / "best")
    weights.unlink()
    with pytest.raises(InputError, match=r"model.safetensors: must be the weights of a run: "):
        checkpoint.load_weights(nn.Linear(2, 2), tmp_path / "best")


def test_a_failed_write_leaves_the_old_checkpoint_and_no_rubbish(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        (part / "half").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")

    write(tmp_path / "last", Tiny(), step=1)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.replace_folder(tmp_path / "last", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert checkpoint.read_meta(tmp_path / "last") == {"step": 1}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_whole_checkpoint_is_found_between_the_renames(tmp_path: Path, count: int) -> None:
    def work() -> None:
        rename, left = os.rename, [count]

        def deadly(source: Path, target: Path) -> None:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), 9)
            rename(source, target)

        os.rename = deadly
        write(tmp_path / "last", Tiny(seed=2), step=2)

    write(tmp_path / "last", Tiny(seed=1), step=1)
    assert os.WIFSIGNALED(os.waitpid(forked(work), 0)[1])
    meant = {1: 1, 2: 1, 3: 2}[count]  # the new one counts as soon as the old one has left its place
    other = Tiny(seed=3)
    checkpoint.load_weights(other, tmp_path / "last")
    assert differences(other.state_dict(), Tiny(seed=meant).state_dict()) == []
    checkpoint.recover(tmp_path / "last")
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert checkpoint.read_meta(tmp_path / "last") == {"step": meant}


def test_random_states_come_back(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(1).item()]

    cpu = torch.device("cpu")
    random_state.seed_all(3)
    draw()  # numpy and python now hold back the second half of a pair of normal numbers
    torch.save(random_state.get_rng_state(cpu), tmp_path / "random.pt")
    first = draw()
    draw()
    random_state.set_rng_state(torch.load(tmp_path / "random.pt", weights_only=True), cpu)
    assert draw() == first
    random_state.seed_all(3)
    draw()
    assert draw() == first


def test_moving_average_is_the_sum_it_stands_for() -> None:
    model, ema, steps = nn.Linear(2, 2).double(), 0.7, 30
    average, want = WeightAverage(model, ema_decay=ema), model.weight.detach().clone()
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.weight.normal_()
        average.update(step)
        decay = min(ema, (1 + step) / (10 + step))
        want = decay * want + (1 - decay) * model.weight.detach()
    own = model.weight.detach().clone()
    with average.applied():
        torch.testing.assert_close(model.weight.detach(), want)
    assert torch.equal(model.weight.detach(), own)


def test_mean_of_the_latest_weights() -> None:
    model = nn.Linear(2, 2).double()
    average, seen = WeightAverage(model, average_last=3), []
    for count in range(1, 6):
        with torch.no_grad():
            model.weight.normal_()
        seen.append(model.weight.detach().clone())
        average.snapshot()
        with pytest.raises(KeyError), average.applied():
            torch.testing.assert_close(model.weight.detach(), torch.stack(seen[-3:]).mean(0))
            raise KeyError  # whatever happens within, the weights come back
        assert torch.equal(model.weight.detach(), seen[-1])
        assert len(average.state_dict()) == min(count, 3)


def test_no_average_is_the_weights_themselves() -> None:
    model = Tiny()
    average = WeightAverage(model)
    average.update(1)
    with average.applied():
        assert differences(model.state_dict(), Tiny().state_dict()) == []
    assert average.state_dict() == []


def test_meta_is_readable(tmp_path: Path) -> None:
    write(tmp_path / "best", nn.Linear(1, 1), step=12)
    assert json.loads((tmp_path / "best" / "meta.json").read_text()) == {"step": 12}


def test_a_damaged_config_makes_no_model_far_larger_than_its_weights(tmp_path: Path) -> None:
    with checkpoint.bounded_by([tmp_path]):
        nn.Linear(1000, 1000)
    refused = pytest.raises(InputError, match="must have as many weights as its config.yaml asks for, got fewer")
    with refused, checkpoint.bounded_by([tmp_path]):
        nn.Linear(20000, 20000)


def test_a_config_of_a_million_layers_is_refused_at_once(tmp_path: Path) -> None:
    """Damage makes `layers: 2147483648` of 1; layers that hold next to nothing fill no memory, but take minutes."""
    refused = pytest.raises(InputError, match="must have as many weights as its config.yaml asks for, got fewer")
    with refused, checkpoint.bounded_by([tmp_path]):
        for _ in range(10**5):
            nn.Linear(1, 1)
    with checkpoint.bounded_by([tmp_path]):
        for _ in range(1000):
            nn.Linear(1, 1)
