"""What a run came to, and what is expected of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from examples.digits.tour import Tour

LEAST_ACCURACY = 0.93
OUTLIER, MOST_QUARANTINED = "norm-outlier", 0.05
"""An honest device with unusual data may be an outlier; more than this share of the updates should not."""

TOO_LATE = "late"
"""What becomes of any update, a hostile one too, that was not looked into before its round had enough."""

LARGEST_GAP = 0.04
"""Between federated and central accuracy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFigures:
    """One round that has ended."""

    number: int
    phase: str
    accepted: int
    goal: int
    rejected: dict[str, int]
    late: int
    uploaded_bytes: int
    seconds: float
    version: int | None
    accuracy: float | None
    """Of its version, on the held-out scans."""
    gain: float | None
    """What its judges measured against the deployed version."""
    deployed: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFigures:
    """One version and its lineage."""

    version: int
    base: int | None
    parent: int | None
    round: int | None
    state: str
    accuracy: float
    sha256: str


@dataclass(frozen=True, slots=True)
class HostileFigures:
    """What became of one hostile device, as it learned it itself."""

    client_id: str
    expected_reason: str
    outcomes: dict[str, str]
    """For each round that it joined: the reason of its rejection, or else the state of its receipt."""

    @property
    def rejected(self) -> dict[str, int]:
        """Rejections by reason."""
        return dict(Counter(outcome for outcome in self.outcomes.values() if outcome == self.expected_reason))

    def as_json(self) -> dict[str, Any]:
        """The members of `demo.json`."""
        return {"rounds_joined": len(self.outcomes), "rejected": self.rejected, "outcomes": self.outcomes}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOutcome:
    """A whole run."""

    seed: int
    devices: int
    rounds_wanted: int
    rounds: tuple[RoundFigures, ...]
    versions: tuple[VersionFigures, ...]
    """Oldest first."""
    hostile: tuple[HostileFigures, ...]
    deployed_version: int
    disappearances: int
    tour: Tour
    central: tuple[float, ...]
    seconds: float

    @property
    def deployed(self) -> VersionFigures:
        """The version that is served at the end."""
        return next(version for version in self.versions if version.version == self.deployed_version)

    @property
    def completed(self) -> int:
        """Rounds that completed."""
        return sum(rnd.phase == "completed" for rnd in self.rounds)

    @property
    def rejected(self) -> dict[str, int]:
        """Rejections by reason, over all rounds, as the server counted them."""
        total: Counter[str] = Counter()
        for rnd in self.rounds:
            total.update(rnd.rejected)
        return dict(sorted(total.items()))

    def unmet(self) -> list[str]:
        """The expectations that this run did not meet, one sentence each."""
        final, central = self.deployed.accuracy, self.central[-1]
        failed = []
        if self.completed != self.rounds_wanted:
            failed.append(f"expected {self.rounds_wanted} completed rounds, got {self.completed}")
        if final < LEAST_ACCURACY:
            failed.append(f"expected a final accuracy of at least {LEAST_ACCURACY:.2f}, got {final:.4f}")
        if abs(final - central) > LARGEST_GAP:
            failed.append(f"expected a final accuracy within {LARGEST_GAP:.2f} of central {central:.4f}, got {final:.4f}")
        for one in self.hostile:
            if one.expected_reason not in one.outcomes.values():
                failed.append(f"expected {one.client_id} to be rejected in some round as {one.expected_reason}, got never")
            failed += [
                f"expected {one.client_id} to be rejected in {round_id} as {one.expected_reason}, got {outcome}"
                for round_id, outcome in one.outcomes.items()
                if outcome not in (one.expected_reason, TOO_LATE)
            ]
        failed += self.tour.unmet()
        theirs = sum((Counter(one.rejected) for one in self.hostile), Counter[str]())
        others = {reason: count for reason, count in self.rejected.items() if reason != OUTLIER}
        if others != dict(theirs):
            failed.append(f"expected only hostile devices to be rejected ({dict(theirs)}), the server counts {others}")
        quarantined, counted = self.rejected.get(OUTLIER, 0), sum(rnd.accepted for rnd in self.rounds)
        if quarantined > MOST_QUARANTINED * (quarantined + counted):
            shares = f"{quarantined} of {quarantined + counted}"
            failed.append(f"expected at most {MOST_QUARANTINED:.0%} of honest updates to be outliers, got {shares}")
        return failed

    def as_json(self) -> dict[str, Any]:
        """The content of `demo.json`: every figure."""
        return {
            "final_accuracy": self.deployed.accuracy,
            "newest_accuracy": self.versions[-1].accuracy,
            "central_accuracy": self.central[-1],
            "rounds_completed": self.completed,
            "accepted": sum(rnd.accepted for rnd in self.rounds),
            "rejected": self.rejected,
            "late": sum(rnd.late for rnd in self.rounds),
            "disappearances": self.disappearances,
            "deployed_version": self.deployed_version,
            "newest_version": self.versions[-1].version,
            "checkpoint_sha256": self.deployed.sha256,
            "uploaded_bytes": sum(rnd.uploaded_bytes for rnd in self.rounds),
            "seconds": self.seconds,
            "devices": self.devices,
            "seed": self.seed,
            "hostile": {one.client_id: one.as_json() for one in self.hostile},
            "central": list(self.central),
            "tour": {step.command: step.status for step in self.tour.steps},
            "rounds": [asdict(rnd) for rnd in self.rounds],
            "versions": [asdict(version) for version in self.versions],
            "unmet": self.unmet(),
        }
