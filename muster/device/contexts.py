"""What a trainer may be told of the work at hand: its name, a seed, a folder, and how much time is left.

How much time is left never depends on this machine's time of day: the server's counts, as its answer to the last check-in said
it, and what has passed since then by the device's clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from muster.device.trainer import TrainingContext
from muster.wire import messages as wire


class Contexts:
    """The contexts of one model's trainer on one device."""

    def __init__(self, *, client_id: str, folder: Path, clock: Callable[[], float]) -> None:
        self.folder = folder
        """Where the trainer may keep files."""
        self._client_id = client_id
        self._clock = clock
        self._told: tuple[datetime, float] | None = None
        """The server's time of day in its answer to the last check-in, and this device's clock then."""

    def heard(self, said: datetime | None) -> None:
        """Take the server's time of day, as its answer to a check-in says it, if it does."""
        self._told = None if said is None else (said, self._clock())

    def of_place(self, assignment: wire.TrainAssignment | wire.EvaluateAssignment) -> TrainingContext:
        """Of a place in a round. A server of before gives no seed, and a judge none at all: then it is drawn from the names of
        the round and of this device.
        """
        seed = assignment.seed if isinstance(assignment, wire.TrainAssignment) else None
        left = None
        if self._told is not None and assignment.report_by.tzinfo is not None:
            said, at = self._told
            left = max(0.0, (assignment.report_by - said).total_seconds() - (self._clock() - at))
        return TrainingContext(
            round=assignment.round,
            seed=self._seed(assignment.round) if seed is None else seed,
            folder=self.folder,
            report_by=assignment.report_by,
            seconds_left=left,
        )

    def of_rollout(self, rollout: str) -> TrainingContext:
        """Of a rollout that asks what the trainer measures. It sets no time."""
        return TrainingContext(round=rollout, seed=self._seed(rollout), folder=self.folder)

    def _seed(self, name: str) -> int:
        """Drawn from the names of a round, or of a rollout, and of this device: from 0 to 2⁵³ - 1."""
        return int.from_bytes(hashlib.sha256(f"{name}/{self._client_id}".encode()).digest()[:8], "big") >> 11
