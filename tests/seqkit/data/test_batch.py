"""Batches: padding, the order of an epoch, its share among processes, and loading by workers."""

import multiprocessing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data.batch import Batches, BucketBatchSampler, Example, collate, item_seeds, loader, pad, take
from seqkit.data.vocab import BOS, EOS, PAD
from seqkit.errors import InputError

SIZES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), max_size=120)


def lognormal_sizes(count: int, seed: int = 0) -> list[tuple[int, int]]:
    """Lengths of sentence pairs as they come in translation: skewed, and correlated."""
    rng = np.random.default_rng(seed)
    source = np.exp(rng.normal(2.5, 0.4, count))
    target = source * np.exp(rng.normal(0.0, 0.2, count))
    return [(int(s) + 1, int(t) + 1) for s, t in zip(source, target, strict=True)]


def test_golden_batch():
    batch = collate([Example(7, ([5, 6, 7],), [8]), Example(2, ([9],), [10, 11])])
    assert batch.indices == (7, 2)
    assert batch.streams[0].values.tolist() == [[5, 6, 7], [9, 0, 0]]
    assert batch.streams[0].lengths_B.tolist() == [3, 1]
    assert batch.inputs_BT.tolist() == [[BOS, 8, PAD], [BOS, 10, 11]]
    assert batch.targets_BT.tolist() == [[8, EOS, PAD], [10, 11, EOS]]
    assert batch.lengths_B.tolist() == [2, 3]
    tensors = (*batch.streams[0], *batch[2:])
    assert all(t.dtype == torch.int64 and t.is_contiguous() for t in tensors)


@given(st.lists(st.lists(st.integers(4, 99), max_size=9), min_size=1, max_size=9))
@settings(deadline=None)
def test_targets_are_the_inputs_shifted(targets):
    batch = collate([Example(i, (), target) for i, target in enumerate(targets)])
    for target, inputs_T, outputs_T, length in zip(targets, *batch[2:], strict=True):
        assert length == len(target) + 1
        assert inputs_T[:length].tolist() == [BOS, *target] and outputs_T[:length].tolist() == [*target, EOS]
        assert (inputs_T[length:] == PAD).all() and (outputs_T[length:] == PAD).all()


def test_streams_of_any_kind():
    frames = [torch.randn(3, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)]
    pictures = [np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8)]
    batch = collate([Example(i, (f, p, []), [4]) for i, (f, p) in enumerate(zip(frames, pictures, strict=True))])
    values, lengths_B = batch.streams[0]
    assert values.shape == (2, 5, 2) and lengths_B.tolist() == [3, 5] and values.dtype == torch.float64
    assert torch.equal(values[0, :3], frames[0]) and (values[0, 3:] == 0).all() and torch.equal(values[1], frames[1])
    assert batch.streams[1].values.dtype == torch.uint8 and batch.streams[1].values[0].unique().tolist() == [7]
    assert batch.streams[2].values.shape == (2, 0) and batch.streams[2].lengths_B.tolist() == [0, 0]


def test_a_batch_is_a_copy():
    frames = torch.ones(2, 3)
    pad([frames]).values.zero_()
    assert frames.all()


def test_to_moves_every_tensor():
    batch = collate([Example(0, ([4], torch.ones(2, 1)), [5])]).to("meta")
    tensors = [t for stream in batch.streams for t in stream] + list(batch[2:])
    assert len(tensors) == 7 and all(t.device.type == "meta" for t in tensors) and batch.indices == (0,)


def test_faulty_examples_are_named():
    with pytest.raises(ValueError, match="`examples` must hold at least one, got none"):
        collate([])
    with pytest.raises(ValueError, match=r"`rows` must differ in their length alone, got float32 \(2, 3\), f"):
        collate([Example(0, (torch.ones(2, 3),), [4]), Example(1, (torch.ones(2, 4),), [4])])
    with pytest.raises(ValueError, match="`rows` must differ in their length alone, got float32"):
        pad([torch.ones(2), torch.ones(2, dtype=torch.float64)])
    with pytest.raises(ValueError, match="zip"):
        collate([Example(0, ([4],), [4]), Example(1, (), [4])])


@given(SIZES, st.integers(1, 200), st.integers(0, 5), st.none() | st.integers(1, 9), st.booleans(), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_an_epoch_holds_every_item_once_within_the_budget(sizes, budget, epoch, max_items, shuffle, pool):
    batches = BucketBatchSampler(sizes, budget, shuffle=shuffle, max_items=max_items, pool=pool).epoch(epoch)
    assert sorted(item for batch in batches for item in batch) == list(range(len(sizes)))
    for batch in batches:
        longest = max(max(sizes[item]) for item in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        assert len(batch) <= (max_items or len(sizes))
    if not shuffle:
        assert [item for batch in batches for item in batch] == list(range(len(sizes)))


def test_the_order_is_a_function_of_seed_and_epoch():
    sizes = lognormal_sizes(500)
    batches = BucketBatchSampler(sizes, 300, seed=3)
    first, second = batches.epoch(0), batches.epoch(1)
    assert batches.epoch(0) == first == BucketBatchSampler(sizes, 300, seed=3).epoch(0)
    assert first != second and BucketBatchSampler(sizes, 300, seed=4).epoch(0) != first
    assert len({tuple(sorted(batch)) for batch in first} & {tuple(sorted(batch)) for batch in second}) < len(first) / 5


def test_the_order_of_lengths_is_random():
    sizes = lognormal_sizes(4000)
    lengths = [max(max(sizes[i]) for i in batch) for batch in BucketBatchSampler(sizes, 400).epoch(0)]
    assert abs(np.corrcoef(lengths[1:], lengths[:-1])[0, 1]) < 0.15


@pytest.mark.parametrize("budget", [1000, 4000])
def test_little_is_padding(budget):
    sizes = np.array(lognormal_sizes(20_000))
    batches = BucketBatchSampler(sizes.tolist(), budget).epoch(0)
    padded_K = sum(len(batch) * sizes[batch].max(0) for batch in batches)
    assert 1 - sizes.sum() / padded_K.sum() < 0.08
    assert len(batches) < 1.05 * sizes.max(1).sum() / budget + 3


def test_plain_lengths_and_no_items():
    sizes = [2, 9, 4] * 50
    assert BucketBatchSampler(sizes, 18).epoch(0) == BucketBatchSampler([(size,) for size in sizes], 18).epoch(0)
    assert BucketBatchSampler([], 10).epoch(0) == [] == BucketBatchSampler([], 10, shuffle=False).epoch(0)


def test_bad_budgets_are_named():
    for others in ({"budget": 0}, {"budget": 5, "max_items": 0}, {"budget": 5, "pool": 0}):
        with pytest.raises(ValueError, match="`budget`, `max_items`, `pool` must be at least 1, got"):
            BucketBatchSampler([1], **others)


def load(item: int, seed: int) -> Example:
    noise = torch.rand(item % 5 + 1, 2, generator=torch.Generator().manual_seed(seed))
    return Example(item, (noise,), [item + 4])


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
    batches = BucketBatchSampler([item % 5 + 1 for item in range(30)], 12, seed=1).epoch(2)
    torch.manual_seed(0)
    alone = list(loader(load, collate, batches, seed=1, epoch=2))
    after_alone = torch.rand(1)
    torch.manual_seed(0)
    helped = list(loader(load, collate, batches, workers=workers, seed=1, epoch=2))
    assert torch.equal(torch.rand(1), after_alone)  # nor the random numbers of dropout
    assert [batch.indices for batch in helped] == [tuple(batch) for batch in batches]
    for one, other in zip(alone, helped, strict=True):
        assert one.indices == other.indices and torch.equal(one.targets_BT, other.targets_BT)
        assert torch.equal(one.streams[0].values, other.streams[0].values)


def test_resuming_is_slicing():
    batches = BucketBatchSampler([item % 5 + 1 for item in range(30)], 12).epoch(0)
    whole = list(loader(load, collate, batches, seed=5, epoch=3))
    rest = list(loader(load, collate, batches[4:], seed=5, epoch=3))
    assert len(rest) == len(whole) - 4
    for one, other in zip(whole[4:], rest, strict=True):
        assert one.indices == other.indices and torch.equal(one.streams[0].values, other.streams[0].values)


def load_two(item, draw):
    if item == 2:
        raise InputError("c.wav: must be sound, got other data")
    return Example(item, ([item],), [])


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_wrong_with_an_item_is_said_as_it_is(workers):
    with pytest.raises(InputError, match="^c.wav: must be sound, got other data$"):
        list(loader(load_two, collate, [[0, 1], [2], [3]], workers=workers))


def seed_of(item: int, seed: int) -> Example:
    return Example(item, ([seed],), [])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_item_gets_its_own_seed_whatever_its_batch(workers):
    for batches in ([[4, 2], [0, 1, 3]], [[0], [3, 4], [2]]):
        for batch in loader(seed_of, collate, batches, workers=workers, seed=7, epoch=1):
            seeds_B = batch.streams[0].values[:, 0]
            assert seeds_B.tolist() == item_seeds(7, 1, 5)[list(batch.indices)].tolist()


def test_workers_may_be_started_by_a_fork_server(monkeypatch):
    """The default of Python 3.14, and of Windows and macOS, pickles what a worker gets."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("this platform forks nothing")
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        with pytest.raises(InputError, match="^c.wav: must be sound, got other data$"):
            list(loader(load_two, collate, [[0, 1], [2], [3]], workers=1))
        (batch,) = loader(seed_of, collate, [[4, 2]], workers=1, seed=7, epoch=1)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert batch.streams[0].values[:, 0].tolist() == item_seeds(7, 1, 5)[[4, 2]].tolist()


def test_seeds_are_a_function_of_seed_epoch_and_item():
    seeds_N = item_seeds(1, 2, 1000)
    assert (item_seeds(1, 2, 10) == seeds_N[:10]).all() and len(set(seeds_N.tolist())) > 990
    assert (item_seeds(1, 3, 1000) != seeds_N).mean() > 0.99 and (item_seeds(2, 2, 1000) != seeds_N).mean() > 0.99
    assert seeds_N.min() >= 0 and seeds_N.max() < 2**31


def test_a_loader_is_lazy():
    seen = []

    def record(item: int, seed: int) -> Example:
        seen.append(item)
        return load(item, seed)

    batches = loader(record, collate, [[3, 1], [2], []])
    assert next(batches).indices == (3, 1) and seen == [3, 1]
    assert list(loader(record, collate, [])) == []


def plain_epoch(sizes: list[tuple[int, ...]], budget: int, seed: int, number: int, most: int | None) -> list[list[int]]:
    """The batches of an epoch, made one item after the other."""
    longest = [max(size, default=1) for size in sizes]
    longest = [max(1, size) for size in longest]

    def cut(order: list[int]) -> list[list[int]]:
        batches: list[list[int]] = []
        batch: list[int] = []
        for item in order:
            wide = max([longest[n] for n in [*batch, item]])
            if batch and ((len(batch) + 1) * wide > budget or len(batch) == most):
                batches.append(batch)
                batch = []
            batch.append(item)
        return [*batches, batch] if batch else batches

    rng = np.random.default_rng((seed, number))
    order = rng.permutation(len(sizes)).tolist()
    usual = max(1, budget * len(order) // max(1, sum(longest)))
    width = 3 * min(usual, most or usual)
    batches = []
    for pool in np.array_split(np.array(order), max(2, -(-len(order) // width))):
        turn = [1 if longest[n] % 2 == 0 else -1 for n in pool]
        keys = [(longest[n], t * (sizes[n][0] - sizes[n][-1])) for n, t in zip(pool, turn, strict=True)]
        batches += cut([int(pool[k]) for k in sorted(range(len(pool)), key=lambda k: keys[k])])
    return [batches[n] for n in rng.permutation(len(batches))]


@pytest.mark.parametrize("most", [None, 1, 4])
@pytest.mark.parametrize("budget", [1, 7, 60, 1 << 30])
def test_batches_are_those_of_a_plain_loop(budget: int, most: int | None) -> None:
    rng = np.random.default_rng(5)
    for seed in range(5):
        sizes = [(int(a), int(b)) for a, b in rng.integers(0, 20, size=(int(rng.integers(1, 90)), 2))]
        sampler = BucketBatchSampler(sizes, budget, seed=seed, max_items=most, pool=3)
        assert sampler.epoch(2) == plain_epoch(sizes, budget, seed, 2, most)
        assert BucketBatchSampler(np.array(sizes), budget, seed=seed, max_items=most, pool=3).epoch(2) == sampler.epoch(
            2
        )


def test_batches_are_lists_in_one_array() -> None:
    lists = [[4, 1], [], [0, 3, 2]]
    found = Batches(np.array([4, 1, 0, 3, 2], np.int32), np.array([2, 2, 5]))
    assert found == lists and list(found) == lists and found[-1] == lists[-1] and found[1:] == lists[1:]
    assert found != lists[:2] and found != 3 and len(found) == 3
    assert found.take([2, 0, 2]) == [lists[2], lists[0], lists[2]] and found.take([]) == []
    assert take(found, [1, 2]) == take(lists, [1, 2]) == lists[1:]
    assert found.of(np.array([10, 11, 12, 13, 14])) == [[14, 11], [], [10, 13, 12]]
    with pytest.raises(IndexError):
        found[3]
