"""Examples: inputs and labels side by side, and, where it is known, whose each is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Data:
    """Examples in an order. Each of the three is an array, a tensor or a list, with the examples along its first axis.

    A map-style dataset of pairs (PyTorch's `DataLoader` takes it as it is), and with `pair` what scikit-learn wants.
    """

    inputs: Any
    labels: Any
    keys: Any = None
    """Of each example, whose it is: a writer, a hospital, a sensor. Only partitions by key need it."""

    def __post_init__(self) -> None:
        """Held against each other.

        Raises:
            ValueError: there are not as many labels, or keys, as inputs, or none.
        """
        for name, values in (("labels", self.labels), ("keys", self.keys)):
            if values is not None and len(values) != len(self.inputs):
                raise ValueError(f"{name}: expected {len(self.inputs)}, one for each input, got {len(values)}")
        if len(self.inputs) == 0:
            raise ValueError("inputs: expected examples, got none")

    @classmethod
    def of(cls, dataset: Iterable[tuple[Any, Any]], keys: Sequence[Any] | None = None) -> Data:
        """The examples of a dataset that yields pairs, read once."""
        pairs = list(dataset)
        return cls([inputs for inputs, _ in pairs], [labels for _, labels in pairs], keys)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.inputs[index], self.labels[index]

    @property
    def pair(self) -> tuple[Any, Any]:
        """Inputs and labels, each whole."""
        return self.inputs, self.labels

    def take(self, indices: Indices) -> Data:
        """Some of the examples, in that order."""
        return Data(_taken(self.inputs, indices), _taken(self.labels, indices), _taken(self.keys, indices))


def _taken(values: Any, indices: Indices) -> Any:
    if values is None:
        return None
    return values[indices] if hasattr(values, "shape") else [values[index] for index in indices]
