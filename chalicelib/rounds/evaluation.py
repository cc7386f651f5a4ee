"""What judges measure of a candidate, and what follows from it.

A judge measures the candidate and the deployed version on the same local data, so the comparison is paired: what differs
between the two numbers is the model, not the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.instants import Instant
from chalicelib.rounds.round import Round
from muster.wire.admin import RoundConfig


@dataclass(frozen=True, slots=True)
class Measurement:
    """One version on one client's data."""

    examples: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One judge's place, and its measurements by role: `candidate` and `deployed`."""

    round: str
    client_id: str
    assigned_at: Instant
    report_by: Instant
    ttl: int
    measured: dict[str, Measurement] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether both versions were measured."""
        return self.measured.keys() >= {"candidate", "deployed"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the evaluations: deploy or leave staged, the gain in accuracy, and the reason in words."""

    deploy: bool
    gain: float | None
    candidate: dict[str, float] | None
    reason: str


def weighted_mean(measurements: Sequence[Measurement], max_examples: int) -> dict[str, float]:
    """The mean of each metric that every measurement has, weighted by examples up to a cap."""
    names = set.intersection(*(set(m.metrics) for m in measurements))
    weights = [min(m.examples, max_examples) for m in measurements]
    total = sum(weights)
    return {
        name: sum(w * m.metrics[name] for w, m in zip(weights, measurements, strict=True)) / total for name in sorted(names)
    }


def is_due(rnd: Round, complete: int, now: datetime) -> bool:
    """Whether an evaluating round should be decided at `now`: enough judges are done, or their time is up."""
    return complete >= rnd.config.evaluators or (rnd.evaluate_by is not None and now >= rnd.evaluate_by)


def decide(evaluations: Sequence[Evaluation], config: RoundConfig, revision_moved: bool) -> Decision:
    """Whether the candidate is deployed.

    Without enough complete evaluations there is no evidence, and with another deployment since there is no comparison:
    the version then stays staged.
    """
    complete = sorted((e for e in evaluations if e.is_complete), key=lambda e: e.client_id)
    if len(complete) < config.evaluation_quorum or not config.evaluators:
        return Decision(False, None, None, f"{len(complete)} of at least {config.evaluation_quorum} judges reported")
    candidate, deployed = (
        weighted_mean([e.measured[role] for e in complete], config.max_examples) for role in ("candidate", "deployed")
    )
    gain = candidate["accuracy"] - deployed["accuracy"]
    if revision_moved:
        return Decision(False, gain, candidate, "another version was deployed in the meantime")
    if gain > config.min_gain:
        return Decision(True, gain, candidate, f"accuracy rose by {gain:.4f}, more than {config.min_gain}")
    return Decision(False, gain, candidate, f"accuracy changed by {gain:+.4f}, not more than {config.min_gain}")
