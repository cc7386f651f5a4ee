"""A trainer that wants to know for which place it works is told before it trains, and before it judges."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from bench.trouble.simulation import Adds
from muster.device import ContextTrainer, DeviceError, TrainingContext
from tests.device.stage import CHECK_IN, GET, UPLOAD, Stage, Told, assignment, judging


def training(number: int, **headers: str) -> httpx.Response:
    """A place in a round whose deadline is noon of New Year 2026."""
    return httpx.Response(200, json={**assignment(number, "boiler"), "report_by": "2026-01-01T12:00:00Z"}, headers=headers)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def told(stage: Stage, answer: httpx.Response) -> Told:
    """What a trainer is told of this answer to a check-in."""
    trainer = Told()
    stage.answers[CHECK_IN] = lambda: answer
    with contextlib.suppress(DeviceError):  # what the server says of an update to a round of the test's own is of no interest
        stage.device.step(trainer)
    return trainer


def test_a_trainer_is_told_of_its_place_before_it_trains(stage: Stage, tmp_path: Path) -> None:
    trainer = told(stage, training(3))
    assert trainer.calls == ["begin", "train"]
    (context,) = trainer.contexts
    assert context.round == "toy.3"
    assert context.folder == tmp_path / "boiler" / "toy.training"
    assert context.report_by == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert context.seconds_left is None


def test_a_trainer_is_told_of_its_place_before_it_judges(stage: Stage) -> None:
    trainer = told(stage, judging(4))
    assert trainer.calls[:2] == ["begin", "evaluate"]
    assert trainer.contexts[0].round == "toy.4"


def test_the_seed_is_the_places_own_and_the_same_after_a_restart(stage: Stage) -> None:
    seeds = [told(stage, training(number)).contexts[0].seed for number in (1, 2)]
    stage.device = stage.start()
    seeds.append(told(stage, training(1)).contexts[0].seed)
    assert seeds[0] == seeds[2] != seeds[1]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_time_that_is_left_is_by_the_servers_clock_and_not_by_this_machines(stage: Stage) -> None:
    date = format_datetime(datetime(2026, 1, 1, 11, 50, tzinfo=UTC), usegmt=True)
    stage.answers[GET] = lambda: stage.clock.sleep(40)  # the base takes its time  # type: ignore[func-returns-value]
    assert told(stage, training(1, Date=date)).contexts[0].seconds_left == 600 - 40


@pytest.mark.parametrize("date", ["", "noon", "Thu, 01 Jan 2026 11:50:00 -0000", "Thu, 99 Jan 2026 11:50:00 GMT"])
def test_a_date_that_says_nothing_leaves_the_time_unknown(stage: Stage, date: str) -> None:
    assert told(stage, training(1, Date=date)).contexts[0].seconds_left is None


def test_a_deadline_that_is_over_leaves_no_time(stage: Stage) -> None:
    assert told(stage, training(1, Date="Thu, 01 Jan 2026 12:50:00 GMT")).contexts[0].seconds_left == 0.0


def test_a_trainer_that_cannot_begin_has_failed_and_the_device_goes_on(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Told):
        def begin(self, context: TrainingContext) -> None:
            super().begin(context)
            raise KeyError("no such folder")

    broken = Broken()
    stage.play(broken, 1200)
    assert set(broken.calls) == {"begin"}
    assert "the trainer could not begin: KeyError: 'no such folder'" in caplog.text
    assert stage.times(UPLOAD) == []


def test_a_trainer_without_begin_is_one_too() -> None:
    assert isinstance(Told(), ContextTrainer)
    assert not isinstance(Adds(), ContextTrainer)
