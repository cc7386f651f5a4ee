"""What honest judges measure of two versions, and what liars say they did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.round_id import RoundId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCURACY = 0.7
"""The deployed version's."""

FEWEST, MOST = 10, 100
"""Examples that a judge has, any number between them alike."""

CLAIM = 10**9
"""Examples that a liar says it has."""


def honest(count: int, gain: float, disagreement: float, rng: np.random.Generator) -> list[Judgement]:
    """Judges of a candidate that is truly better by `gain`.

    Each measures both versions on the same examples. On a share `disagreement` of them one version is right and the other is
    not; it is the rest of the judge's noise: the variance of its difference is (disagreement - gain²) / examples.
    """
    only_candidate, only_deployed = (disagreement + gain) / 2, (disagreement - gain) / 2
    shares = [ACCURACY - only_deployed, only_candidate, only_deployed, 1.0 - ACCURACY - only_candidate]
    found = []
    for number in range(count):
        examples = int(rng.integers(FEWEST, MOST + 1))
        both, candidate, deployed, _ = (int(n) for n in rng.multinomial(examples, shares))
        found.append(_judge(f"judge-{number}", examples, (both + candidate) / examples, (both + deployed) / examples))
    return found


def liars(count: int, candidate: float) -> Iterator[Judgement]:
    """Judges who all say the same: that the candidate's accuracy is 1 and the deployed version's 0, or the other way round."""
    return (_judge(f"liar-{number}", CLAIM, candidate, 1.0 - candidate) for number in range(count))


def _judge(name: str, examples: int, candidate: float, deployed: float) -> Judgement:
    measured = {
        "candidate": Measurement(examples, {"accuracy": candidate}),
        "deployed": Measurement(examples, {"accuracy": deployed}),
    }
    return Judgement(round=RoundId("m", 1), client_id=name, assigned_at=NOW, report_by=NOW, ttl=0, measured=measured)
