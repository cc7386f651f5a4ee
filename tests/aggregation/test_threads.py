"""Two threads: what they do is shared out in blocks, once each, also in a process that was forked."""

from __future__ import annotations

import multiprocessing
import threading
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from muster.aggregation.threads import THREADS, shares, side_by_side
from muster.wire.encodings import BLOCK


@given(st.lists(st.integers(0, 50_000), min_size=1, max_size=8))
def test_every_element_is_in_one_share_and_shares_begin_with_blocks(lengths: list[int]) -> None:
    found = shares(lengths)
    assert len(found) <= THREADS
    pieces = sorted(piece for share in found for piece in share)
    assert sum(high - low for _, low, high in pieces) == sum(lengths)
    assert all(low % BLOCK == 0 and low < high <= lengths[number] for number, low, high in pieces)
    assert all(a[2] <= b[1] for a, b in pairwise(pieces) if a[0] == b[0])


def test_a_forked_process_has_threads_of_its_own() -> None:
    together = threading.Barrier(THREADS).wait
    assert sorted(side_by_side([together] * THREADS)) == list(range(THREADS)), "all threads are there, and rest"
    context = multiprocessing.get_context("fork")
    child = context.Process(target=side_by_side, args=([int, int],))
    child.start()
    child.join(20)
    alive = child.is_alive()
    child.kill()
    assert not alive
    assert child.exitcode == 0
