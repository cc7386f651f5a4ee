"""Several runs of one thing. A contestant prints one JSON line for each."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def measure(case: str, runs: int, run: Callable[[], Any], check: Callable[[Any], list[float]]) -> None:
    """One warm-up, then so many runs; print their seconds, and a few numbers of the last result."""
    result = run()
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    sys.stdout.write(json.dumps({"case": case, "seconds": seconds, "check": check(result)}) + "\n")
    sys.stdout.flush()
