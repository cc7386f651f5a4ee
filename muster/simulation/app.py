"""What a user writes: one `App`, which simulations, tests and devices share."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muster.device.trainer import Trainer
from muster.simulation.data import Data


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalData:
    """What one device holds, as its trainer is given it."""

    train: Data
    test: Data
    """Kept out of training: by it the device judges candidates."""
    client: str = "device"
    seed: int = 0
    """Of this device; another one for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A model that devices learn together.

        app = App(name="digits", data=load, trainer=lambda own: TorchTrainer(network(), own.train, own.test))

    `data` and `trainer` are called in several processes: each must make the same again.
    """

    name: str
    """Of the model: lower case letters, digits and dashes."""
    data: Callable[[], Data]
    """All examples that there are, as only a simulation has them."""
    trainer: Callable[[LocalData], Trainer]
    """A device's trainer."""
    initial: Callable[[], bytes] | None = None
    """The first checkpoint, a tensor file; without it, what a trainer's own `checkpoint()` says."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Members of the model's `RoundConfig`. What it does not say is chosen for the size of the fleet."""
    held_out: float = 0.2
    """Share of all examples that no device has; every version is measured on them."""
    local_test: float = 0.2
    """Share of its own examples that a device keeps for judging; at least one."""
    least_examples: int = 2
    """That each device has at least, of both kinds together."""

    def __post_init__(self) -> None:
        """Checked as far as it can be without calling anything.

        Raises:
            ValueError: a share is not between 0 and 1, or a device could have nothing to train on.
            TypeError: `data`, `trainer` or `initial` cannot be called.
        """
        for name in ("held_out", "local_test"):
            share = getattr(self, name)
            if not 0.0 < share < 1.0:
                raise ValueError(f"{name}: expected a share between 0 and 1, got {share!r}")
        if self.least_examples < 2:
            raise ValueError(
                f"least_examples: expected at least 2, one to train on and one to judge by, got {self.least_examples}"
            )
        for name in ("data", "trainer", *(["initial"] if self.initial is not None else [])):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name}: expected a function, got {type(getattr(self, name)).__name__}")

    def examples(self) -> Data:
        """All examples.

        Raises:
            TypeError: `data` made something else.
        """
        found: object = self.data()
        if not isinstance(found, Data):
            raise TypeError(f"data: expected a function that returns muster.Data, got {type(found).__name__} from it")
        return found

    def trainer_of(self, own: LocalData) -> Trainer:
        """A device's trainer. What its making draws from Python's, numpy's and torch's own generators follows from its seed.

        Raises:
            TypeError: `trainer` made something that neither trains nor judges.
        """
        seed_all(own.seed)
        return self._checked(own)

    def _checked(self, own: LocalData) -> Trainer:
        made: object = self.trainer(own)
        lacking = [name for name in ("train", "evaluate") if not callable(getattr(made, name, None))]
        if lacking:
            raise TypeError(
                f"trainer: expected an object with train and evaluate, got a {type(made).__name__} without {lacking[0]}"
            )
        return made  # type: ignore[return-value]

    def first_checkpoint(self, own: LocalData, seed: int) -> bytes:
        """What the model begins with; the same seed, the same bytes, if it is drawn from the usual generators.

        Raises:
            TypeError: neither the app nor its trainer says what it is, or it is no tensor file's bytes.
        """
        seed_all(seed)
        if self.initial is not None:
            found: object = self.initial()
        else:
            trainer = self._checked(own)
            say = getattr(trainer, "checkpoint", None)
            if not callable(say):
                raise TypeError(f"initial: expected a function, since {type(trainer).__name__} has no checkpoint() to ask")
            found = say()
        if not isinstance(found, bytes):
            raise TypeError(f"initial: expected the bytes of a tensor file, got {type(found).__name__}")
        return found


def seed_all(seed: int) -> None:
    """Seed the generators that are there for all: Python's, numpy's, and torch's where it is loaded."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def seed_of(*parts: object) -> int:
    """A seed below 2⁵³ that follows from its parts, and looks unlike for unlike ones."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big") >> 11
