"""What came of a run, as figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from muster.simulation.plan import SimulationPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRound:
    """One round that has ended."""

    number: int
    phase: str
    goal: int
    accepted: int
    rejected: dict[str, int]
    late: int
    dropped: int
    """Devices that took a place and were not heard of."""
    uploaded_bytes: int
    seconds: float
    """By the place's clock."""
    version: int | None
    sha256: str | None
    """Of the version's checkpoint."""
    metrics: Mapping[str, float]
    """Of the version, on what no device holds."""
    gain: float | None
    """What its judges measured against the deployed version."""
    deployed: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOutcome:
    """A whole run."""

    model: str
    metric: str
    """The one that decides."""
    plan: SimulationPlan
    goal: int
    first: Mapping[str, float]
    """Metrics of version 0, on what no device holds."""
    rounds: tuple[SimulatedRound, ...]
    deployed_version: int
    deployed_sha256: str
    newest_version: int
    newest_sha256: str
    local: Mapping[str, float]
    """What the newest version is worth where the data are: the deciding metric on each client's own test data, as the `mean`,
    the `worst` of all, and the worst `tenth`."""
    seconds: float
    """Of real time, from the first enrolment to the last round's end."""
    central: tuple[float, ...] = ()
    """The deciding metric of one trainer with everybody's data, after as many passes; empty unless asked for."""

    @property
    def updates(self) -> int:
        """Accepted ones."""
        return sum(rnd.accepted for rnd in self.rounds)

    def curve(self) -> list[tuple[int, float]]:
        """The deciding metric by round, from version 0 on."""
        told = [(0, self.first), *((rnd.number, rnd.metrics) for rnd in self.rounds)]
        return [(number, metrics[self.metric]) for number, metrics in told if self.metric in metrics]

    def served(self) -> list[tuple[int, float]]:
        """The same of the version that was deployed at the end of each round."""
        found, last = [], self.first.get(self.metric)
        if last is not None:
            found.append((0, last))
        for rnd in self.rounds:
            last = rnd.metrics.get(self.metric, last) if rnd.deployed else last
            if last is not None:
                found.append((rnd.number, last))
        return found

    def as_json(self) -> dict[str, Any]:
        """Every figure."""
        return {**asdict(self), "updates": self.updates}
