"""What a strategy is asked to do, in both of Flower's APIs, as one value; and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from muster.wire.arrays import Array

Api = Literal["message", "numpy"]
"""Flower's two: functions of messages (`@app.train()`, `flwr.serverapp.strategy`), or clients (`NumPyClient`,
`flwr.server.strategy`)."""

Watch = Callable[[str], None]
"""Is told the name of each step of a grid before anything of it happens: a call, a reply, a call's end."""

Purpose = Literal["train", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTraining:
    """So many rounds of a strategy, from these arrays (in the app's own order)."""

    api: Api
    strategy: str
    """The full name of the strategy's class."""
    settings: Mapping[str, Any]
    """All that is set on it, by Flower's names."""
    arrays: Mapping[str, Array]
    rounds: int
    timeout: float | None
    train_configs: Sequence[Mapping[str, Any]]
    """What clients are told to train with, in each round."""
    evaluate_config: Mapping[str, Any]
    """What clients are told to evaluate with."""


@dataclass(frozen=True, slots=True)
class PlayedRound:
    """A round that completed: the model after it, and the records that its clients reported."""

    arrays: Mapping[str, Array]
    trained: Sequence[Any] = ()
    evaluated: Sequence[Any] = ()


@dataclass(slots=True)
class Heard:
    """What clients reported, by round and purpose, as records without arrays."""

    reports: dict[tuple[str, Purpose], dict[int, Any]] = field(default_factory=dict)

    def note(self, rnd: str, purpose: Purpose, partition: int, records: Any) -> None:
        """Keep a client's last report of a round."""
        self.reports.setdefault((rnd, purpose), {})[partition] = records

    def of(self, rnd: str, purpose: Purpose) -> list[Any]:
        """The reports of a round, by partition."""
        found = self.reports.get((rnd, purpose), {})
        return [found[partition] for partition in sorted(found)]
