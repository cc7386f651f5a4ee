"""Where a model's training stands, by the model's row and its last round."""

from __future__ import annotations

from typing import Literal

from chalicelib.registry.model import Model, TrainingState
from chalicelib.rounds.opening import completed_rounds
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.rows import Unreadable

Standing = Literal["running", "completed", "stopped"]


def last_round(model: str, rounds: RoundStore) -> Round | Unreadable | None:
    """A model's last round, or None when it had none."""
    return next(iter(rounds.history(model, None, 1)), None)


def completed(last: Round | Unreadable | None) -> int:
    """How many rounds of a model have completed, by its last one; of one that cannot be read, by what is left of it."""
    if isinstance(last, Unreadable):
        before = last.item.get("completed_before")
        return before if isinstance(before, int) else 0
    return completed_rounds(last)


def standing(model: Model, last: Round | Unreadable | None) -> Standing:
    """`running` while rounds are to come, `completed` once there were as many as were wanted, `stopped` by an operator, or
    never started.
    """
    if model.training is TrainingState.STOPPED:
        return "stopped"
    return "running" if completed(last) < model.rounds_wanted else "completed"


def standing_of(model: Model, rounds: RoundStore) -> Standing:
    """The same, asking the store. Of a model that was stopped no round is read."""
    return standing(model, None if model.training is TrainingState.STOPPED else last_round(model.name, rounds))
