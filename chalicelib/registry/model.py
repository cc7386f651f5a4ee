"""A model: a name, how its rounds run, and whether they open by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from chalicelib.instants import Instant
from muster.wire.admin import RoundConfig


class TrainingState(StrEnum):
    """Whether the tick opens rounds."""

    STOPPED = "stopped"
    RUNNING = "running"


def _parsed(value: object) -> object:
    return RoundConfig.model_validate_json(value) if isinstance(value, str) else value


NOT_OF_ROUNDS = ("hyperparameter_schema", "strategy", "keep_versions", "monthly_budget")
"""Members of a configuration that no round needs."""

FrozenConfig = Annotated[RoundConfig, PlainSerializer(RoundConfig.model_dump_json), BeforeValidator(_parsed)]
"""A config that a row stores as one JSON text: no query looks inside, and a check-in reads it in one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """Training waits for the next month, or for a larger budget. Amounts are dollars."""

    since: Instant
    until: Instant
    """The beginning of the next month."""
    budget: float
    spent: float
    """In this month, when it was looked at."""
    needed: float
    """What a round is taken to cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row a model."""

    name: str
    config: FrozenConfig
    created_at: Instant
    training: TrainingState = TrainingState.STOPPED
    config_revision: int = 1
    """The revision of `config` (`chalicelib.registry.configuration`)."""
    rounds_wanted: int = 0
    """How many rounds must have completed, in the model's whole life, before training rests."""
    over_budget: OverBudget | None = None
    """While the next round may cost more than its month has left."""

    @property
    def config_of_rounds(self) -> RoundConfig:
        """What a round keeps of the configuration. What trainers understand was held against it when it was configured, and
        how a version reaches clients, and how many are kept, is asked when it matters; every place that is taken writes a
        round's row, and would be paid for by its length.
        """
        return self.config.model_copy(update=dict.fromkeys(NOT_OF_ROUNDS))
