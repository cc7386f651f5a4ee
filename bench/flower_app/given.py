"""What a Flower app takes from the file that the bench has written, and how it says what came of its run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def arrays(path: str, part: str) -> Arrays:
    """A part of the file, by name: `first` and `own-3` are weights, the others are examples."""
    with np.load(path) as data:
        return {name.removeprefix(f"{part}/"): data[name] for name in data.files if name.startswith(f"{part}/")}


def examples(path: str, part: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Inputs and labels that a client trains on or tests by (`train-3`, `test-3`), or that none has (`held_out`)."""
    found = arrays(path, part)
    return found["inputs"], found["labels"]


def tell(path: str, began: float, metrics: Mapping[int, Mapping[str, Any]]) -> None:
    """Write the accuracy by round, when the first round began, and that the last one ends now."""
    curve = {number: found["accuracy"] for number, found in metrics.items()}
    Path(path).write_text(json.dumps({"curve": curve, "began": began, "ended": time.time()}))
