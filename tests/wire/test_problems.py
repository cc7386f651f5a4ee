"""Every refusal has one name, one status and one title, and both sides know it."""

from __future__ import annotations

import re

import pytest

from muster.wire.problems import KINDS, Problem
from muster.wire.reasons import ABOUT, Reason


def test_the_table_is_complete_and_titles_differ() -> None:
    assert KINDS.keys() == set(Problem)
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
    assert all(400 <= kind.status < 600 for kind in KINDS.values())


@pytest.mark.parametrize("problem", Problem)
def test_a_name_survives_the_wire(problem: Problem) -> None:
    assert Problem.from_urn(problem.urn) is problem


def test_a_name_of_a_newer_server_is_no_problem_of_ours() -> None:
    with pytest.raises(ValueError, match="never-heard-of"):
        Problem.from_urn("urn:muster:problem:never-heard-of")


def test_every_reason_but_a_models_own_says_what_it_means_for_an_update() -> None:
    assert set(Reason) - ABOUT.keys() == {Reason.TOO_LARGE}
    assert all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", reason) for reason in Reason), "words for machines, metrics and logs"
