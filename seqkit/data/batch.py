"""Batching: examples to padded tensors. Padding, the shift of targets, BOS and EOS happen here and nowhere else.

The order of an epoch is a pure function of (seed, epoch), and the seed of an item's augmentation one of
(seed, epoch, index). So an epoch is resumed by slicing its list of batches, and the number of workers or of processes
does not change what is learned.

B batch, S source positions, T target positions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.data.vocab import BOS, EOS
from seqkit.described import described
from seqkit.errors import InputError

T = TypeVar("T")
Row = Sequence[int] | NDArray[Any] | Tensor  # ids, or an array whose first dimension is its length


@dataclass(frozen=True, slots=True)
class Example:
    """One item as ids and arrays, before padding."""

    index: int  # of the item in its dataset
    streams: tuple[Row, ...]
    target: Sequence[int]  # without BOS and EOS


class PaddedSequence(NamedTuple):
    """One input stream of a batch, padded with zeros (for ids, 0 is PAD)."""

    values: Tensor  # (B, S) int64 ids, or (B, S, ...) as the examples had it
    lengths_B: Tensor


class Batch(NamedTuple):
    """Padded inputs and targets of several examples, in their order."""

    indices: tuple[int, ...]
    streams: tuple[PaddedSequence, ...]
    inputs_BT: Tensor  # BOS first
    targets_BT: Tensor  # EOS last, then PAD
    lengths_B: Tensor  # of the targets, EOS counted

    def to(self, device: torch.device | str) -> "Batch":
        streams = tuple(PaddedSequence(*(t.to(device, non_blocking=True) for t in stream)) for stream in self.streams)
        inputs_BT, targets_BT, lengths_B = (t.to(device, non_blocking=True) for t in self[2:])
        return Batch(self.indices, streams, inputs_BT, targets_BT, lengths_B)


def pad(rows: Sequence[Row]) -> PaddedSequence:
    """Pads rows of different length to one tensor; raises ValueError where they differ in more than length."""
    arrays = [np.asarray(row, np.int64 if isinstance(row, list | tuple) else None) for row in rows]
    if len({(array.shape[1:], array.dtype) for array in arrays}) != 1:
        found = ", ".join(sorted({f"{array.dtype} {array.shape}" for array in arrays}))
        raise ValueError(f"`rows` must differ in their length alone, got {found}")
    lengths_B = np.array([len(array) for array in arrays])
    values = np.zeros((len(arrays), lengths_B.max(), *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(values, arrays, strict=True):
        row[: len(array)] = array
    return PaddedSequence(torch.from_numpy(values), torch.from_numpy(lengths_B))


def collate(examples: Sequence[Example]) -> Batch:
    """Makes one batch of the examples, in their order. Raises ValueError for none, or for streams that do not match."""
    if not examples:
        raise ValueError("`examples` must hold at least one, got none")
    inputs_BT = pad([[BOS, *example.target] for example in examples]).values
    targets_BT, lengths_B = pad([[*example.target, EOS] for example in examples])
    streams = tuple(pad(rows) for rows in zip(*(example.streams for example in examples), strict=True))
    return Batch(tuple(example.index for example in examples), streams, inputs_BT, targets_BT, lengths_B)


class Batches(Sequence[list[int]]):
    """Batches as lists of item numbers, kept as one array: millions of them take little memory."""

    def __init__(self, items_N: NDArray[np.integer[Any]], ends_M: NDArray[np.int64]) -> None:
        """items_N: the items of all M batches in turn. ends_M: where each batch ends."""
        self.items_N, self.ends_M = items_N, ends_M

    def __len__(self) -> int:
        return len(self.ends_M)

    @overload
    def __getitem__(self, place: int) -> list[int]: ...

    @overload
    def __getitem__(self, place: slice) -> list[list[int]]: ...

    def __getitem__(self, place: int | slice) -> list[int] | list[list[int]]:
        if isinstance(place, slice):
            return [self[n] for n in range(len(self))[place]]
        number = range(len(self))[place]
        begin = int(self.ends_M[number - 1]) if number else 0
        items: list[int] = self.items_N[begin : self.ends_M[number]].tolist()
        return items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> "Batches":
        """Some of the batches, in the order of `places`."""
        places_M = np.asarray(places, np.int64)
        begins_M = np.concatenate([[0], self.ends_M[:-1]])[places_M] if len(places_M) else places_M
        ends_M = self.ends_M[places_M]
        spans = [self.items_N[b:e] for b, e in zip(begins_M.tolist(), ends_M.tolist(), strict=True)]
        return Batches(np.concatenate([self.items_N[:0], *spans]), np.cumsum(ends_M - begins_M))

    def of(self, numbers_N: NDArray[np.integer[Any]]) -> "Batches":
        """The same batches of other numbers: item n becomes `numbers_N[n]`."""
        return Batches(numbers_N[self.items_N], self.ends_M)


def take(batches: Sequence[Sequence[int]], places: Sequence[int]) -> Sequence[Sequence[int]]:
    """Some of the batches, in the order of `places`."""
    return batches.take(places) if isinstance(batches, Batches) else [batches[place] for place in places]


class BucketBatchSampler:
    """Batches of items of similar length, each within a budget of padded positions."""

    def __init__(
        self,
        sizes: Sequence[int] | Sequence[tuple[int, ...]] | NDArray[np.integer[Any]],
        budget: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        max_items: int | None = None,
        pool: int = 100,
    ) -> None:
        """sizes: the length of every item, or of its several sequences. budget: the largest rows x
        longest sequence of a batch; an item above it is a batch of its own. pool: how many batches' worth of items,
        at most half of all, are sorted together: more for less padding, fewer for better mixing. Without `shuffle` the
        order stays.
        """
        if budget < 1 or (max_items is not None and max_items < 1) or pool < 1:
            raise ValueError(f"`budget`, `max_items`, `pool` must be at least 1, got {budget}, {max_items}, {pool}")
        self.sizes_NK = np.asarray(sizes, dtype=np.int32).reshape(len(sizes), -1 if len(sizes) else 1)
        self.longest_N = self.sizes_NK.max(1, initial=1)
        self.budget, self.max_items = budget, max_items
        self.seed, self.shuffle, self.pool = seed, shuffle, pool

    def epoch(self, number: int) -> Batches:
        """Every item once: lists of indices into `sizes`, a pure function of (seed, number)."""
        if not self.shuffle:
            same_N = np.arange(len(self.sizes_NK), dtype=np.int32)
            return Batches(same_N, np.cumsum(self._cut(same_N), dtype=np.int64))
        rng = np.random.default_rng((self.seed, number))
        order_N = rng.permutation(len(self.sizes_NK))
        whole = max(1, int(self.longest_N.sum(dtype=np.int64)))
        usual = max(1, self.budget * len(order_N) // whole)  # items of a batch, about
        width = self.pool * min(usual, self.max_items or usual)
        pools = np.array_split(order_N, max(2, -(-len(order_N) // width)))  # of one pool, batches would hardly change
        sorted_N, counts = np.empty(len(order_N), np.int32), list[int]()
        begin = 0
        for pool_N in pools:
            own_N = sorted_N[begin : begin + len(pool_N)]
            own_N[:] = self._sorted(pool_N)
            begin += len(pool_N)
            counts += self._cut(own_N)
        batches = Batches(sorted_N, np.cumsum(counts, dtype=np.int64))
        return batches.take(rng.permutation(len(batches)))

    def _sorted(self, pool_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """By the longest sequence, then by how much the first exceeds the last, up and down in turn so that
        neighbors stay alike. The sort is stable: items of equal sizes stay in random order."""
        longest_N, sizes_NK = self.longest_N[pool_N], self.sizes_NK[pool_N]
        turn_N = np.where(longest_N % 2 == 0, 1, -1)
        return pool_N[np.lexsort((turn_N * (sizes_NK[:, 0] - sizes_NK[:, -1]), longest_N))]

    def _cut(self, order_N: NDArray[np.integer[Any]]) -> list[int]:
        """How many items each batch has, of those in this order: as many as fit."""
        longest_N = self.longest_N[order_N]
        counts: list[int] = []
        begin = 0
        while begin < len(longest_N):
            most = max(1, self.budget // int(longest_N[begin]))  # the others may only be longer
            run = np.maximum.accumulate(longest_N[begin : begin + min(most, self.max_items or most)])
            fits = run * np.arange(1, len(run) + 1) <= self.budget
            counts.append(len(run) if fits[-1] else max(1, int(fits.argmin())))
            begin += counts[-1]
        return counts


def item_seeds(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """A seed below 2**31 for each of `count` items; a larger count leaves those of the first items as they are."""
    return np.random.default_rng((seed, epoch)).integers(2**31, size=count)


class _Loaded(Generic[T]):
    """Dataset of batches, each loaded when it is asked for, here or in a worker process."""

    def __init__(
        self,
        load: Callable[[int, int], Example],
        collate: Callable[[Sequence[Example]], T],
        batches: Sequence[Sequence[int]],
        seeds_N: NDArray[np.int64],
    ) -> None:
        self.load, self.collate, self.batches, self.seeds_N = load, collate, batches, seeds_N

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> T | InputError:
        """Loads a batch; an InputError is returned, since DataLoader would put a traceback into a raised one."""
        try:
            return self.batch(number)
        except InputError as error:
            return error

    def batch(self, number: int) -> T:
        return self.collate([self.load(item, int(self.seeds_N[item])) for item in self.batches[number]])


def _as_is(batch: T) -> T:
    return batch


def loader(
    load: Callable[[int, int], Example],
    collate: Callable[[Sequence[Example]], T],
    batches: Sequence[Sequence[int]],
    *,
    workers: int = 0,
    seed: int = 0,
    epoch: int = 0,
) -> Iterator[T]:
    """Yields every batch, loaded and collated, in order.

    load: from an item's index and the seed of its augmentation (new each epoch) to its example. workers: number of
    loader processes; 0 loads in this one. The number changes nothing but the time. Where processes are not forked
    (Windows, macOS, Python 3.14) `load` and `collate` are pickled: functions and dataclasses of a module's top level.
    """
    count = 1 + max((item for batch in batches for item in batch), default=-1)
    loaded: Any = _Loaded(load, collate, batches, item_seeds(seed, epoch, count))
    if workers == 0:
        yield from (loaded.batch(number) for number in range(len(batches)))
        return
    from torch.utils.data import DataLoader

    # A generator of its own: DataLoader would else draw from the global one, and dropout would depend on `workers`.
    own = torch.Generator().manual_seed(seed)
    for batch in DataLoader(loaded, batch_size=None, num_workers=workers, collate_fn=_as_is, generator=own):
        if isinstance(batch, InputError):
            raise batch
        yield batch


@described
class Data(NamedTuple):
    """A training set: the order of its batches, and how to load them."""

    epoch: Callable[[int], Sequence[Sequence[int]]]
    """from an epoch's number to its batches of item numbers, always the same"""
    load: Callable[[Sequence[Sequence[int]], int], Iterable[Any]]
    """from some of those batches and the epoch's number to the batches themselves, in order, each with `.to(device)`"""
