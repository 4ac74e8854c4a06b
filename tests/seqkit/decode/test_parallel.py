"""Batches side by side: the same results in the same order, errors passed on, the number of threads as it was."""

import pytest
import torch

from seqkit.decode import map_batches


@pytest.mark.parametrize("threads", [1, 3])
def test_results_keep_their_order_and_threads_their_number(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seen = map_batches(lambda n: (n, torch.get_num_threads()), list(range(7)), torch.device("cpu"))
        assert [n for n, _ in seen] == list(range(7)) and {count for _, count in seen} == {1}
        assert torch.get_num_threads() == threads
        with pytest.raises(ZeroDivisionError):
            map_batches(lambda n: 1 // n, [1, 0], torch.device("cpu"))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert map_batches(lambda n: n + 1, [], torch.device("cpu")) == []
