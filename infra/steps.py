"""What a command does and how long each step takes, said on stderr: nobody waits for a minute before a silent terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say that a step begins, and, when it ends or fails, after how long."""
    print(f"· {what} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    ended = "failed"
    try:
        yield
        ended = "done"
    finally:
        print(f"  {ended} after {time.monotonic() - began:.1f} s: {what}", file=sys.stderr, flush=True)
