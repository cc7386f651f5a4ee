"""Models and their training."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from muster.wire.admin.configuring import RoundConfig
from muster.wire.messages import MAX_CHECKPOINT_BYTES, ModelName, Reply, Request, Sha256


class CheckpointUpload(Request):
    """An operator is about to upload a checkpoint."""

    bytes: Annotated[int, Field(ge=10, le=MAX_CHECKPOINT_BYTES)]
    sha256: Sha256


class CreateModel(Request):
    """A model, its configuration, and the checkpoint that becomes version 0 and is deployed."""

    name: ModelName
    config: RoundConfig
    checkpoint: CheckpointUpload


class Training(Request):
    """Whether rounds open by themselves, and how many must have completed, in the model's whole life, before they rest."""

    state: Literal["running", "stopped"]
    rounds: Annotated[int, Field(ge=1, le=10**6)] | None = None

    @model_validator(mode="after")
    def _running_names_its_end(self) -> Training:
        if (self.state == "running") != (self.rounds is not None):
            raise ValueError("rounds is required for running, and must be absent for stopped")
        return self


TrainingStanding = Annotated[
    Literal["running", "completed", "stopped"],
    Field(
        description="running: rounds are to come; completed: as many as were wanted are there; stopped: by an operator, or "
        "never started"
    ),
]


class TrainingReply(Reply):
    """Where a model's training stands."""

    state: TrainingStanding
    rounds_completed: int
    rounds_wanted: int


class ModelSummary(Reply):
    """One line of the list of models."""

    model: str
    created_at: datetime
    training: TrainingStanding
    rounds_wanted: int


class ModelList(Reply):
    """All models, by name."""

    models: list[ModelSummary]
