"""The bench of rollouts simulates what it says."""

from __future__ import annotations

import numpy as np
import pytest

from bench.rollouts.fleets import KINDS, Course, windows
from chalicelib.rollouts.samples import STEPS


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_is_worse_by_as_much_as_it_says(kind: str) -> None:
    course = Course(kind=kind, loss=0.05, candidates=50, others=50, ticks=400)
    seen = list(windows(course, np.random.default_rng(0)))
    candidate, stable = (np.concatenate([window[side] for window in seen]) / STEPS for side in (0, 1))
    assert len(candidate) == len(stable) == 20_000
    assert stable.mean() - candidate.mean() == pytest.approx(0.05, abs=0.008)


@pytest.mark.parametrize(("lie", "candidate", "stable"), [("force", 0, STEPS), ("block", STEPS, 0)])
def test_liars_say_what_serves_them(lie: str, candidate: int, stable: int) -> None:
    ((one, other),) = windows(Course(liars=1.0, lie=lie, ticks=1), np.random.default_rng(0))
    assert (set(one), set(other)) == ({candidate}, {stable})


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of bell-shaped, skewed, binary, rare, got 'round'"):
        next(windows(Course(kind="round"), np.random.default_rng(0)))
