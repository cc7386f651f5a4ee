"""Two threads, and how elements are shared out among them. Which thread does what cannot change a bit of a result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from muster.wire.encodings import BLOCK

T = TypeVar("T")

THREADS = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Cores that are used. A function of 3 GB has two."""

LEAST = 8 * BLOCK
"""Elements for which another thread is worth its while."""

Share = list[tuple[int, int, int]]
"""Pieces of arrays, for one thread: the number of an array, and its elements from, and up to but not including."""


def side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Do some tasks, at most `THREADS` at a time, and return what they returned."""
    if len(tasks) == 1:
        return [tasks[0]()]
    return [future.result() for future in [_pool().submit(task) for task in tasks]]


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads of this process, made when they are first needed."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="sums")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads


def shares(lengths: Sequence[int]) -> list[Share]:
    """Arrays of these lengths, cut at block edges into a share for each thread, of about the same number of elements."""
    size = max(LEAST, -(-sum(lengths) // THREADS))
    found: list[Share] = [[]]
    room = size
    for number, length in enumerate(lengths):
        low = 0
        while low < length:
            if room <= 0:
                found.append([])
                room = size
            high = min(length, low + -(-room // BLOCK) * BLOCK)
            found[-1].append((number, low, high))
            room -= high - low
            low = high
    return [share for share in found if share]
