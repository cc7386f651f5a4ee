"""Rollouts on the whole server: what the fleet reports decides, by itself, and whatever dies on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.rollouts.report import RolloutReport
from muster.http.errors import Refused
from muster.wire.admin import RoundConfig, Strategy
from muster.wire.deciding import DecidingMetric
from muster.wire.problems import Problem
from tests.fleet import World, checkpoint
from tests.rollouts.fleet import CANARY, Reporters, all_say, as_good, candidate, minutes, worse


@pytest.fixture
def world() -> Iterator[World]:
    """A server whose devices come every minute."""
    made = World(heartbeat_seconds=60.0, heartbeat_timeout_seconds=180.0)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["canary", "blue-green"])
def test_what_a_revoked_client_has_said_or_is_about_to_say_counts_no_longer(world: World, kind: str) -> None:
    candidate(world, **({} if kind == "canary" else {"kind": kind, "steps": []}))
    minutes(world, Reporters(world, 12), 2)
    store, rollout = world.services.reports, world.services.registry.present("toy").rollout
    assert rollout
    heard: Any = store.reports if kind == "canary" else store.verifications
    before = {said.client_id for said in heard("toy", rollout)}
    gone = min(before)
    for _ in range(2):
        world.operator.revoke(gone)
        assert {said.client_id for said in heard("toy", rollout)} == before - {gone}
    all_say(world, [gone], 0.9)
    assert {said.client_id for said in heard("toy", rollout)} == before - {gone}


def test_a_good_candidate_goes_from_step_to_step_and_to_all_by_itself(world: World) -> None:
    candidate(world, steps=[20.0, 50.0], guard={"margin": 0.1})
    reporters = Reporters(world, 240)
    assert minutes(world, reporters, 12) == ["stepped", "promoted"]
    world.clock.advance(60)
    reporters.beat()
    assert reporters.running == {1: 240}
    stepped, promoted = [one for one in world.operator.deployments("toy") if one.kind in ("stepped", "promoted")][::-1]
    assert stepped.because.startswith("step 2 of 2: accuracy differs by -0.0")
    assert promoted.because.startswith("all clients are given it: accuracy differs by ")
    assert (promoted.by, promoted.version, promoted.rollout) == (None, 1, None)


def test_a_worse_candidate_is_taken_back_by_itself_within_two_windows_and_few_have_run_it(world: World) -> None:
    candidate(world)
    reporters = Reporters(world, 120)
    assert minutes(world, reporters, 4, worse) == ["aborted"]
    world.clock.advance(60)
    reporters.beat()
    assert reporters.running == {0: 120}
    assert len(reporters.ever[1]) < 0.5 * 120
    aborted = next(iter(world.operator.deployments("toy")))
    assert aborted.because.startswith("the candidate is worse: accuracy differs by -0.")
    assert (aborted.version, aborted.left, aborted.by) == (0, [1], None)
    assert world.operator.version("toy", 1).state == "rolled-back"


def test_what_was_taken_back_by_itself_is_an_alert_with_its_figures_until_somebody_decides(world: World) -> None:
    candidate(world)
    minutes(world, Reporters(world, 120), 4, worse)
    world.clock.advance(600)
    world.monitor()
    (alert,) = [one for one in world.operator.status("toy").alerts if one.metric == "rollout_trouble"]
    assert alert.because is not None
    assert alert.because.startswith("the candidate is worse: accuracy differs by -0.")
    world.operator.deploy("toy", 1, revision=world.operator.status("toy").deployment_revision)
    world.clock.advance(600)
    world.monitor()
    assert "rollout_trouble" not in [one.metric for one in world.operator.status("toy").alerts]


def test_where_too_few_have_reported_for_an_interval_it_is_the_means_that_are_told(world: World) -> None:
    candidate(world)
    assert minutes(world, Reporters(world, 40), 6, lambda draw, version: 0.0 if version == 1 else 0.75) == ["aborted"]
    aborted = next(iter(world.operator.deployments("toy")))
    assert aborted.because.startswith("the candidate is worse: accuracy is 0 beside 0.75 (")


def test_what_cannot_be_measured_is_the_worst_there_is(world: World) -> None:
    candidate(world)
    reporters = Reporters(world, 120)
    kinds = minutes(world, reporters, 4, lambda draw, version: None if version == 1 else as_good(draw, version))
    assert kinds == ["aborted"]


def test_without_reports_a_canary_is_paused_and_then_taken_back_and_never_promoted(world: World) -> None:
    candidate(world)
    reporters = Reporters(world, 40)
    assert minutes(world, reporters, 20, None) == ["paused", "aborted"]
    paused, aborted = [one for one in world.operator.deployments("toy") if one.kind in ("paused", "aborted")][::-1]
    assert paused.because.startswith("no client reports the candidate: ")
    assert aborted.because.startswith("it was paused for too long (no client reports the candidate: ")


def test_of_a_fleet_that_is_too_small_to_know_a_canary_waits_for_an_operator(world: World) -> None:
    candidate(world, guard={"margin": 0.001})
    assert minutes(world, Reporters(world, 120), 16) == ["paused"]
    paused = next(iter(world.operator.deployments("toy")))
    assert paused.because.startswith("all that were asked have reported, and it is not known that it is not worse: ")


def test_candidates_that_fall_silent_break_the_split_and_are_taken_back(world: World) -> None:
    candidate(world, patience=6)
    reporters = Reporters(world, 120)
    assert minutes(world, reporters, 16, as_good, silent=1) == ["paused", "aborted"]
    paused = next(one for one in world.operator.deployments("toy") if one.kind == "paused")
    assert paused.because.startswith("the split is broken")


def test_a_rollout_that_was_paused_for_silence_goes_on_when_it_is_heard_of_again(world: World) -> None:
    candidate(world, patience=5, guard={"margin": 0.1})
    reporters = Reporters(world, 120)
    assert minutes(world, reporters, 7, None) == ["paused"]
    assert minutes(world, reporters, 6)[:2] == ["resumed", "promoted"]


def test_what_the_model_is_configured_to_meanwhile_changes_nothing_in_a_rollout(world: World) -> None:
    candidate(world)
    perplexity = DecidingMetric(name="perplexity", direction="lower", minimum=1.0)
    config = RoundConfig(goal=3, quorum=2, metric=perplexity, min_gain=0.1, max_regression=1.0)
    world.operator.configure("toy", config, revision=1)
    assert minutes(world, Reporters(world, 120), 4, worse) == ["aborted"]


def test_an_operators_pause_holds_and_a_worse_candidate_is_taken_back_all_the_same(world: World) -> None:
    revision = candidate(world)
    world.operator.move_rollout("toy", "pause", revision=revision)
    reporters = Reporters(world, 120)
    assert minutes(world, reporters, 12) == []
    world.operator.move_rollout("toy", "abort", revision=revision + 1)
    said = Strategy.model_validate(CANARY)
    revision = world.operator.deploy("toy", 1, strategy=said, revision=revision + 2).revision
    world.operator.move_rollout("toy", "pause", revision=revision)
    assert minutes(world, reporters, 4, worse) == ["aborted"]


def test_an_operators_pause_holds_also_when_the_guard_had_paused_before(world: World) -> None:
    candidate(world, patience=5, guard={"margin": 0.1})
    reporters = Reporters(world, 120)
    assert minutes(world, reporters, 7, None) == ["paused"]
    revision = world.operator.status("toy").deployment_revision
    paused = world.operator.move_rollout("toy", "pause", revision=revision, because="I look into it")
    assert (paused.revision, paused.kind, paused.by) == (revision + 1, "paused", "local")
    assert paused.rollout
    assert paused.rollout.paused == "I look into it"
    assert world.operator.move_rollout("toy", "pause", revision=revision) == paused
    assert world.operator.move_rollout("toy", "pause", revision=revision + 1) == paused
    assert minutes(world, reporters, 12) == []
    assert minutes(world, reporters, 12, None) == []


def test_a_pause_that_the_guard_made_at_the_same_time_is_not_the_operators(world: World) -> None:
    revision = candidate(world, patience=5)
    assert minutes(world, Reporters(world, 120), 7, None) == ["paused"]
    with pytest.raises(Refused) as refused:
        world.operator.move_rollout("toy", "pause", revision=revision)
    assert refused.value.problem is Problem.DEPLOYMENT_MOVED


def test_a_rolling_deployment_asks_nobody_and_steps_by_time(world: World) -> None:
    candidate(world, kind="rolling", steps=[25.0, 50.0], pause_seconds=180.0)
    reporters = Reporters(world, 40)
    assert minutes(world, reporters, 2) == []
    assert minutes(world, reporters, 4) == ["stepped", "promoted"]
    status = world.operator.status("toy")
    assert status.deployed_version == 1


def test_a_rolling_deployment_with_a_guard_needs_no_proof_and_takes_back_what_is_worse(world: World) -> None:
    candidate(world, kind="rolling", guard={"least": 10})
    assert minutes(world, Reporters(world, 120), 5, worse) == ["aborted"]


def test_two_slots_are_switched_when_the_fleet_has_the_second_on_its_disks_and_back_at_once(world: World) -> None:
    revision = candidate(world, kind="blue-green", steps=[], warm=90.0, pause_seconds=600.0)
    reporters = Reporters(world, 20)
    settled = world.services.pacing.timeout_seconds
    assert minutes(world, reporters, int(settled // 60) - 1) == []
    assert reporters.running == {0: 20}
    status = world.operator.rollout("toy")
    assert status.slots is not None
    assert (status.slots.seen, status.slots.ready) == (20, 20)
    assert minutes(world, reporters, 2) == ["stepped"]
    world.clock.advance(60)
    reporters.beat()
    assert reporters.running == {1: 20}
    world.operator.move_rollout("toy", "abort", revision=revision + 1)
    world.clock.advance(60)
    world.clock.advance(60)
    reporters.beat()
    assert reporters.running == {0: 20}


def test_two_slots_that_do_not_become_warm_are_not_switched_and_somebody_is_told(world: World) -> None:
    candidate(world, kind="blue-green", steps=[])
    reporters = Reporters(world, 20)
    assert minutes(world, reporters, 30, None) == ["paused"]
    assert reporters.running == {0: 20}
    paused = next(iter(world.operator.deployments("toy")))
    assert paused.because == "it does not become warm: 0 of 20 clients that were asked have it on their disks"
    assert minutes(world, reporters, 8)[:2] == ["resumed", "stepped"]


def test_nobody_asks_for_what_is_not_there(world: World) -> None:
    candidate(world, kind="blue-green", steps=[])
    for _ in range(10):
        world.clock.advance(60)
        world.tick()
    assert next(iter(world.operator.deployments("toy"))).because.startswith("it does not become warm: 0 of 0 clients")


def test_what_changes_with_time_is_no_difference_of_the_versions(world: World) -> None:
    """Both are equally good, and everything becomes worse between the steps."""
    candidate(world, steps=[10.0, 50.0], guard={"margin": 0.1})
    reporters = Reporters(world, 600)
    assert minutes(world, reporters, 5) == ["stepped"]
    assert "aborted" not in minutes(world, reporters, 6, lambda draw, version: as_good(draw, version) - 0.15)


def test_those_of_a_later_step_are_heard_before_it_is_left(world: World) -> None:
    candidate(world, steps=[20.0, 50.0], guard={"margin": 0.1})
    reporters = Reporters(world, 240)
    assert minutes(world, reporters, 5) == ["stepped"]
    assert minutes(world, reporters, 30, as_good, silent=1) == ["paused", "aborted"]


def test_a_client_counts_once_and_only_for_what_it_is_given(world: World) -> None:
    revision = candidate(world, steps=[99.0])
    device = world.devices(1)[0]
    key, name = world.key_of(device), f"toy.r{revision}"
    wrong: list[dict[str, Any]] = [
        {"version": 0, "report": {"rollout": name, "metrics": {"accuracy": 0.5}}},  # not what it is given
        {"version": 1, "report": {"rollout": "toy.r77", "metrics": {"accuracy": 0.5}}},  # another rollout's
        {"version": 1, "report": {"rollout": name, "metrics": {"loss": 0.5}}},  # not what was asked
        {"version": 1},
    ]
    for said in wrong:
        world.request("POST", "/v1/heartbeat", key=key, body={"model": "toy", **said})
    assert list(_reports(world)) == []
    for value in (0.25, 0.75):
        report = {"rollout": name, "metrics": {"accuracy": value}}
        world.request("POST", "/v1/heartbeat", key=key, body={"model": "toy", "version": 1, "report": report})
    assert [report.value for report in _reports(world)] == [0.25]


@pytest.mark.parametrize("value", [1e31, "x", [1.0], True])
def test_a_report_that_is_no_number_is_refused(world: World, value: object) -> None:
    revision = candidate(world, steps=[99.0])
    key = world.key_of(world.devices(1)[0])
    report = {"rollout": f"toy.r{revision}", "metrics": {"accuracy": value}}
    answer = world.request("POST", "/v1/heartbeat", key=key, body={"model": "toy", "version": 1, "report": report})
    assert answer.status_code == 422


def test_a_number_beyond_the_scale_counts_as_its_end(world: World) -> None:
    revision = candidate(world, steps=[99.0], guard={"least": 2})
    for device, value in zip(world.devices(3), (1e30, -1e30, 0.5), strict=True):
        report = {"rollout": f"toy.r{revision}", "metrics": {"accuracy": value}}
        body = {"model": "toy", "version": 1, "report": report}
        world.request("POST", "/v1/heartbeat", key=world.key_of(device), body=body)
    world.clock.advance(120)
    guard = world.operator.rollout("toy").guard
    assert guard is not None
    if guard.candidates == 3:
        assert guard.candidate_mean == 0.5


def test_a_rounds_version_reaches_the_fleet_by_the_models_strategy_and_training_goes_on_from_it(world: World) -> None:
    world.model(rounds=3, goal=2, quorum=2, evaluators=1, evaluation_liars=0, strategy=CANARY)
    devices = world.devices(4)
    for _ in range(2):
        world.tick()
        for device in devices[:2]:
            world.update(device)
        world.deliver()
        world.play(devices)
    log = list(world.operator.deployments("toy"))[::-1]
    assert [one.kind for one in log][:2] == ["deployed", "started"]
    assert (log[1].round, log[1].by) == (1, None)
    rounds = {one.number: one for one in world.operator.rounds("toy")}
    assert rounds[1].deployed
    assert rounds[2].base_version == 1, "that a rollout steps does not send training back"
    assert rounds[2].reason is not None


def test_beside_a_rollout_nothing_else_is_deployed(world: World) -> None:
    revision = candidate(world)
    world.operator.register("toy", checkpoint(0.75))
    with pytest.raises(Refused) as refused:
        world.operator.deploy("toy", 2, revision=revision)
    assert refused.value.problem is Problem.ROLLOUT_GOES_ON
    assert world.operator.status("toy").deployment_revision == revision


def test_a_guard_needs_a_metric_with_two_ends(world: World) -> None:
    metric = {"name": "perplexity", "direction": "lower", "minimum": 1.0}
    world.model(metric=metric, min_gain=0.1, max_regression=1.0)
    world.operator.register("toy", checkpoint(0.5))
    with pytest.raises(Refused, match="guard needs a metric with a minimum and a maximum") as refused:
        world.operator.deploy("toy", 1, strategy=Strategy.model_validate(CANARY), revision=1)
    assert refused.value.problem is Problem.STRATEGY_UNFIT
    assert world.operator.status("toy").deployment_revision == 1


@pytest.mark.parametrize("move", ["pause", "promote", "abort"])
def test_a_move_may_be_sent_twice_and_one_that_saw_something_else_changes_nothing(world: World, move: str) -> None:
    revision = candidate(world)
    first = world.operator.move_rollout("toy", move, revision=revision)  # type: ignore[arg-type]
    assert world.operator.move_rollout("toy", move, revision=revision) == first  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        world.operator.move_rollout("toy", "resume" if move != "pause" else "abort", revision=revision)
    assert refused.value.problem in (Problem.DEPLOYMENT_MOVED, Problem.NO_ROLLOUT)
    assert world.operator.status("toy").deployment_revision == revision + 1


def test_a_rollback_always_wins(world: World) -> None:
    revision = candidate(world)
    reporters = Reporters(world, 120)
    minutes(world, reporters, 2)
    back = world.operator.rollback("toy", revision=revision)
    assert (back.version, back.left, back.rollout) == (0, [1], None)
    assert minutes(world, reporters, 6) == []
    assert reporters.running == {0: 120}


def _reports(world: World) -> list[RolloutReport]:
    present = world.services.registry.present("toy")
    assert present.rollout is not None
    return list(world.services.reports.reports("toy", present.rollout))
