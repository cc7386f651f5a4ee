"""Whatever is learnt is trained, judged and deployed by its own metric."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.places import in_this_process

TASKS = Path(__file__).parent / "tasks.py"


@pytest.mark.parametrize(
    ("name", "metric", "lower", "reached"),
    [("heights", "mse", True, 0.1), ("words", "perplexity", True, 1.5), ("tags", "f1", False, 0.9)],
)
def test_a_task_is_learnt_and_its_versions_are_deployed_by_its_own_metric(
    name: str, metric: str, lower: bool, reached: float
) -> None:
    outcome = in_this_process(f"{TASKS}:{name}", clients=6, rounds=3)
    first, last = outcome.first[metric], outcome.rounds[-1].metrics[metric]
    assert outcome.metric == metric
    assert (last < reached < first) if lower else (last > reached > first)
    assert outcome.deployed_version == 3
    assert all(rnd.gain is not None and rnd.gain > 0 for rnd in outcome.rounds)
