"""A model: a name, how its rounds run, and whether they open by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.instants import Instant
from muster.wire.messages import RoundConfig


class TrainingState(StrEnum):
    """Whether the tick opens rounds."""

    STOPPED = "stopped"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Model:
    """One row a model."""

    name: str
    config: RoundConfig
    created_at: Instant
    training: TrainingState = TrainingState.STOPPED
    rounds_wanted: int = 0
    """How many rounds must have completed, in the model's whole life, before training rests."""
