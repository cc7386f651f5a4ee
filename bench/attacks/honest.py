"""What the guards cost where nobody is hostile: the same trainings with each guard, with all of them, and with none."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from bench.attacks.defences import OFF
from bench.attacks.training import TrainingCourse
from muster.wire.admin import Outliers, RoundConfig

GUARDS: dict[str, dict[str, Any]] = {
    "no guard": {**OFF, "max_examples": 10_000},
    "defaults": {},
    "outliers, `deviations` 3.5": {**OFF, "outliers": Outliers(deviations=3.5)},
    "outliers, `deviations` 6 (default)": {**OFF, "outliers": Outliers()},
    "outliers, `deviations` 10": {**OFF, "outliers": Outliers(deviations=10.0)},
    "`max_claim_ratio` 2 (default)": {**OFF, "max_claim_ratio": 2.0},
    "`max_claim_ratio` 10": {**OFF, "max_claim_ratio": 10.0},
    "`uniform`": {**OFF, "weighting": "uniform"},
}


def configs(clients: int) -> dict[str, RoundConfig]:
    """Configurations by name, for rounds in which everybody takes part."""
    return {name: RoundConfig(goal=clients, quorum=1, over_selection=1.0, **settings) for name, settings in GUARDS.items()}


def line(courses: Iterable[TrainingCourse]) -> dict[str, float]:
    """Of some trainings that differ in their seed: the mean accuracy after the last round, its least and its most; the shares
    of updates that were quarantined, and that weighed less than was claimed.
    """
    known = list(courses)
    last = [course.accuracies[-1] for course in known]
    updates = sum(course.honest for course in known)
    return {
        "accuracy": statistics.mean(last),
        "least": min(last),
        "most": max(last),
        "quarantined": sum(course.honest_quarantined for course in known) / updates,
        "capped": sum(course.honest_capped for course in known) / updates,
    }
