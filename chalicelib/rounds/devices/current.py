"""What is current, as a warm function remembers it: a short memory, so that a check-in need not ask twice.

The memory only saves reads. Whatever matters is decided by the condition of a write, and a memory that proves wrong there is
dropped and read again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from chalicelib.errors import Refusal
from chalicelib.instants import Clock
from chalicelib.recent import Recent
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.opening import goes_on
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from muster.wire.admin import RoundConfig
from muster.wire.problems import Problem

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """Remembers the answer for a model for some seconds. Devices ask for what they like, so it remembers only so many."""

    def __init__(self, read: Callable[[str], Value], clock: Clock, seconds: float) -> None:
        self._read = read
        self._clock = clock
        self._life = timedelta(seconds=seconds)
        self._known: Recent[str, tuple[datetime, Value]] = Recent()

    def get(self, model: str) -> Value:
        """The remembered answer, or a fresh one when there is none or it is too old."""
        known = self._known.get(model)
        if known and self._clock() - known[0] < self._life:
            return known[1]
        return self.refresh(model)

    def last_known(self, model: str) -> Value | None:
        """The last answer, however old, or None; nothing is read."""
        known = self._known.get(model)
        return known[1] if known else None

    def refresh(self, model: str) -> Value:
        """A fresh answer, remembered from now on."""
        value = self._read(model)
        self._known.put(model, (self._clock(), value))
        return value


class Current:
    """The current round and deployment of each model, and the model itself."""

    def __init__(self, *, rounds: RoundStore, registry: RegistryStore, clock: Clock, seconds: float) -> None:
        self.round: Memory[Round | None] = Memory(rounds.current, clock, seconds)
        self._models: Memory[Model | None] = Memory(registry.model, clock, seconds)
        self._deployments: Memory[Deployment | None] = Memory(registry.deployment, clock, seconds)

    def rests(self, name: str, last: Round | None) -> bool:
        """Whether no round of a model is open, and none will be until an operator decides so, or another month begins. `last`
        is its last round.

        Raises:
            Refusal: `unknown-model`.
        """
        if last is not None and not last.is_terminal:
            return False  # and the model need not be read
        model = self._models.get(name)
        if model is None:
            raise unknown_model(name)
        return model.over_budget is not None or not goes_on(model, last)

    def config(self, name: str, last: Round | None) -> RoundConfig:
        """How the round that is open runs, or else how the next one will. `last` is the model's last round; where it is over,
        the model was read to know whether it rests.

        Raises:
            Refusal: `unknown-model`.
        """
        if last is not None and not last.is_terminal:
            return last.config
        model = self._models.get(name)
        if model is None:
            raise unknown_model(name)
        return model.config

    def deployment(self, model: str) -> Deployment:
        """What the model's clients are served.

        Raises:
            Refusal: `unknown-model`.
        """
        deployment = self._deployments.get(model)
        if deployment is None:
            raise unknown_model(model)
        return deployment


def unknown_model(name: str) -> Refusal:
    """There is no such model."""
    return Refusal(Problem.UNKNOWN_MODEL, f"no model {name[:48]!r}", expected="the name of a model", got=name[:48])
