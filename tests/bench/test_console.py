"""What `make bench-console` measures, at sizes at which it takes little time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bench.console.__main__ import MOST_MILLISECONDS, answer_table, too_slow, update_table
from bench.console.answers import answers
from bench.console.stack import KINDS, ConsoleStack, console_stack
from bench.console.updates import UpdateCost, updates

pytestmark = pytest.mark.xdist_group("cost")


@pytest.fixture(scope="module")
def stack() -> Iterator[ConsoleStack]:
    with console_stack(models=len(KINDS), clients=10) as made:
        yield made


def test_models_are_at_different_points_of_their_lives(stack: ConsoleStack) -> None:
    found = {one.model: one for one in stack.operator.overview().models}
    collecting, alerting, rolling_out, resting, new = (found[name] for name in stack.models)
    assert (collecting.phase, collecting.accepted) == ("collecting", 1)
    assert {(alert.metric, alert.state) for alert in alerting.alerts} >= {
        ("accepted_updates", "acknowledged"), ("accuracy", "open"),
    }  # fmt: skip
    assert rolling_out.candidate_version is not None
    assert (resting.phase, resting.deployed_version) == ("completed", 3)
    assert new.round is None


def test_each_question_asks_something_of_aws_and_each_page_something_of_the_api(stack: ConsoleStack) -> None:
    told, updated = answers(stack, turns=1), asyncio.run(updates(stack, turns=1))
    assert min(told[name].requests for name in ("overview", "status of a model", "alerts of a model")) > 0
    assert {name: one.questions for name, one in updated.items()} == {
        "overview": 1, "model": 5, "rounds": 2, "round": 4, "receipts": 1, "judges": 1, "version": 2, "fleet": 8, "client": 1,
        "alerts": 2 + len(KINDS), "cost": 1,
        "cost of a model": 4,
    }  # fmt: skip
    assert min(one.sent_bytes for one in updated.values()) > 0
    assert answer_table(told).count("\n") == len(told) + 1
    assert update_table(updated).count("\n") == len(updated) + 1


def test_a_page_that_takes_too_long_is_found() -> None:
    well = UpdateCost(questions=1, answering=50.0, asking=10.0, view=1.0, drawing=20.0, sent_bytes=100, opening=90.0)
    ill = UpdateCost(questions=1, answering=MOST_MILLISECONDS, asking=0.0, view=0.0, drawing=0.0, sent_bytes=1, opening=1.0)
    assert (well.console, well.total) == (30.0, 80.0)
    assert too_slow({"well": well, "ill": ill}) == ["ill"]
    assert "| well | 1 | 50.0 | 10.0 | 20.0 | 1.0 | 80.0 | 40% |" in update_table({"well": well})
