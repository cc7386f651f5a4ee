"""Experiments on the whole server: each client is in one arm, says once what that measures, and nobody is promoted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from scipy.stats import chi2_contingency

from chalicelib.clients.client import Described
from chalicelib.clients.cohort import belongs
from chalicelib.registry.deployment import DeploymentKind as Kind
from chalicelib.rollouts.assigning import given_to, trial_of
from chalicelib.rollouts.trial import ExperimentReport, is_asked
from muster.http.errors import Refused
from muster.wire import messages as wire
from muster.wire.admin import MOST_EXPERIMENTS, Arm, CohortRule, DeploymentReply, ExperimentReply, StartExperiment, Strategy
from muster.wire.deciding import DecidingMetric
from muster.wire.problems import Problem
from tests.fleet import World, checkpoint
from tests.rollouts.fleet import CANARY, Reporters, as_good, minutes

HALVES = [{"name": "control", "version": "0", "weight": 50.0}, {"name": "new", "version": "1", "weight": 50.0}]
EVERYBODY = [Described(client_id=f"device-{number:05d}") for number in range(10_000)]


@pytest.fixture
def world() -> Iterator[World]:
    """A server whose devices come every minute, with three versions of a model."""
    made = World(heartbeat_seconds=60.0, heartbeat_timeout_seconds=180.0)
    made.model(rounds=0)
    for bias in (0.5, 0.6):
        made.operator.register("toy", checkpoint(bias))
    yield made
    made.close()


def begin(world: World, **said: Any) -> DeploymentReply:
    """An experiment of versions 0 and 1, half and half, unless something else is said."""
    seen = world.operator.status("toy").deployment_revision
    wanted = StartExperiment.model_validate({"name": "bolder", "arms": HALVES, "revision": seen, **said})
    return world.operator.start_experiment("toy", wanted)


def found(world: World, name: str = "bolder") -> ExperimentReply:
    return world.operator.experiment("toy", name)


def better(draw: random.Random, version: int) -> float:
    return min(1.0, max(0.0, draw.gauss(0.6 + 0.2 * (version == 1), 0.1)))


def refused(ask: Callable[[], object]) -> wire.ProblemDocument:
    with pytest.raises(Refused) as info:
        ask()
    return info.value.document


def test_each_arm_reaches_its_share_and_the_better_one_is_known_and_promoted_by_nobody(world: World) -> None:
    assert begin(world).kind == "experiment-started"
    reporters = Reporters(world, 200)
    minutes(world, reporters, 4, better)
    assert reporters.running[0] + reporters.running[1] == 200
    assert 70 <= reporters.running[1] <= 130
    now = found(world)
    (effect,) = now.effects
    assert (effect.arm, effect.finding, effect.split_is_broken) == ("new", "better", False)
    assert effect.low is not None
    assert effect.high is not None
    assert 0.0 < effect.low < 0.2 < effect.high
    assert [arm.clients for arm in now.arms] == [reporters.running[0], reporters.running[1]]
    assert sum(arm.share or 0.0 for arm in now.arms) == pytest.approx(100.0)
    assert now.said.startswith("new: better, accuracy differs by +0.")
    assert minutes(world, reporters, 10, better) == [], "nothing happens by itself"
    states = {one.version: str(one.state) for one in world.operator.versions("toy")}
    assert states == {0: "deployed", 1: "on-trial", 2: "staged"}


def test_what_was_found_stays_in_the_history_when_it_is_ended_and_all_get_the_deployed_version_again(world: World) -> None:
    revision = begin(world).revision
    reporters = Reporters(world, 200)
    minutes(world, reporters, 4, better)
    ended = world.operator.end_experiment("toy", "bolder", revision=revision, because="enough")
    assert (ended.kind, ended.version, ended.experiments, ended.because) == ("experiment-ended", 0, [], "enough")
    assert ended.ended == found(world)
    assert ended.previous is None, "one step of rollback leads where it led before"
    world.clock.advance(60)
    reporters.beat()
    assert reporters.running == {0: 200}
    assert world.operator.version("toy", 1).state == "retired"
    assert world.operator.experiments("toy").experiments == []
    again = world.operator.end_experiment("toy", "bolder", revision=revision)
    assert again.revision == ended.revision, "the same request again"


def test_with_a_horizon_nothing_is_said_before_it_and_then_it_ends_by_itself_with_its_result(world: World) -> None:
    begin(world, horizon_seconds=600.0)
    reporters = Reporters(world, 200)
    assert minutes(world, reporters, 9, better) == []
    now = found(world)
    assert [(effect.low, effect.effect, effect.finding) for effect in now.effects] == [(None, None, "open")]
    assert "not known before" in now.said
    assert now.arms[0].clients > 60
    assert minutes(world, reporters, 3, better) == ["experiment-ended"]
    over = next(iter(world.operator.deployments("toy")))
    assert (over.by, over.version, over.experiments) == (None, 0, [])
    assert over.because.startswith("bolder has come to its horizon: new: better, accuracy differs by +0.1")
    assert over.ended
    assert over.ended.effects[0].finding == "better"
    assert world.operator.status("toy").alerts == [], "an experiment that ends is no trouble"


def test_what_is_said_after_the_horizon_does_not_count(world: World) -> None:
    begin(world, horizon_seconds=150.0)
    reporters = Reporters(world, 60)
    minutes(world, reporters, 2, None)
    world.clock.advance(31)
    reporters.beat(better)
    assert [arm.clients for arm in found(world).arms] == [0, 0]


def test_each_client_counts_once_and_only_for_the_version_that_it_is_given(world: World) -> None:
    began = begin(world)
    (key,) = Reporters(world, 1)._keys
    present = world.services.registry.present("toy")
    given = given_to(Described(client_id=key.public), present).version

    def say(version: int, value: float | None, rollout: str = f"toy.r{began.revision}") -> wire.RolloutQuestion | None:
        report = wire.RunReport(rollout=rollout, metrics={"accuracy": value})
        return world.services.serving.heartbeat(key, wire.Heartbeat(model="toy", version=version, report=report)).asks

    assert say(given, 0.5, "toy.r9") is not None, "an answer to another question is no answer"
    say(1 - given, 0.1)
    assert [arm.clients for arm in found(world).arms] == [0, 0]
    assert say(given, 0.7) is None
    say(given, 0.1)
    (counted,) = [arm for arm in found(world).arms if arm.clients]
    assert (counted.version, counted.clients) == (given, 1)
    assert counted.mean == pytest.approx(0.7)


def test_only_clients_of_the_cohort_take_part_and_a_later_revision_of_it_changes_nothing(world: World) -> None:
    world.operator.set_cohort("few", CohortRule.model_validate({"slice": {"ends": 20.0}}), revision=0)
    begin(world, cohort="few")
    world.operator.set_cohort("few", CohortRule.model_validate({"slice": {"ends": 90.0}}), revision=1)
    present = world.services.registry.present("toy")
    inside = [client for client in EVERYBODY if trial_of(client, present)]
    assert 100 * len(inside) / len(EVERYBODY) == pytest.approx(20.0, abs=1.0)
    assert {given_to(client, present).version for client in EVERYBODY if client not in inside[:50]} <= {0, 1}
    assert all(given_to(client, present).version == 0 for client in EVERYBODY if trial_of(client, present) is None)
    assert found(world).cohort == "few.1"


def test_a_cohort_may_ask_what_a_device_says_of_itself_and_a_heartbeat_knows_it(world: World) -> None:
    world.operator.set_cohort("edges", CohortRule(device_types=["edge"], sdk_versions=["1"]), revision=0)
    world.operator.set_cohort("phones", CohortRule(device_types=["phone"]), revision=0)
    begin(world, cohort="edges", arms=[HALVES[0] | {"weight": 1.0}, HALVES[1] | {"weight": 99.0}])
    reporters = Reporters(world, 100)
    minutes(world, reporters, 3)
    assert reporters.running[1] >= 90
    seen = world.operator.status("toy").deployment_revision
    world.operator.end_experiment("toy", "bolder", revision=seen)
    begin(world, cohort="phones")
    assert minutes(world, reporters, 3) == []
    assert reporters.running == {0: 100}


def test_two_experiments_may_go_on_if_no_client_can_be_in_both_and_their_arms_are_independent_elsewhere(world: World) -> None:
    for name, (begins, ends) in {"low": (0.0, 50.0), "high": (50.0, 100.0)}.items():
        rule = CohortRule.model_validate({"slice": {"begins": begins, "ends": ends}})
        world.operator.set_cohort(name, rule, revision=0)
    first = begin(world, name="one", cohort="low")
    second = begin(world, name="two", cohort="high", arms=[HALVES[0], {"name": "third", "version": "2", "weight": 50.0}])
    assert (second.experiments, second.previous) == (["one", "two"], first.previous)
    present = world.services.registry.present("toy")
    rules = [experiment.rule for experiment in present.experiments]
    assert all(sum(belongs(rule, client) for rule in rules if rule) == 1 for client in EVERYBODY)
    assert {ref.version for ref in present.offered} == {0, 1, 2}

    world.model("other", rounds=0)
    world.operator.register("other", checkpoint(0.7))
    wanted = StartExperiment.model_validate({"name": "one", "arms": HALVES, "revision": 1})
    world.operator.start_experiment("other", wanted)
    beside = world.services.registry.present("other")
    table = [[0, 0], [0, 0]]
    for client in EVERYBODY:
        table[given_to(client, present).version > 0][given_to(client, beside).version] += 1
    assert chi2_contingency(table).pvalue > 0.001

    ended = world.operator.end_experiment("toy", "one", revision=second.revision)
    assert (ended.experiments, ended.previous) == (["two"], second.previous)
    assert world.operator.end_experiment("toy", "two", revision=ended.revision).previous is None


def test_a_model_has_so_many_experiments_at_once_and_each_has_a_name_of_its_own(world: World) -> None:
    for number in range(MOST_EXPERIMENTS + 1):
        rule = CohortRule.model_validate({"slice": {"begins": 10.0 * number, "ends": 10.0 * number + 10.0}})
        world.operator.set_cohort(f"slice-{number}", rule, revision=0)
    begin(world, name="trial-0", cohort="slice-0")
    again = refused(lambda: begin(world, name="trial-0", cohort="slice-1"))
    assert again.type == Problem.EXPERIMENTS_OVERLAP.urn
    assert "has that name" in again.detail
    for number in range(1, MOST_EXPERIMENTS):
        begin(world, name=f"trial-{number}", cohort=f"slice-{number}")
    full = refused(lambda: begin(world, name="one-more", cohort=f"slice-{MOST_EXPERIMENTS}"))
    assert full.type == Problem.EXPERIMENTS_OVERLAP.urn
    assert "one of them to be ended first" in str(full.expected)


@pytest.mark.parametrize(
    ("said", "problem", "expected"),
    [
        ({"name": "another"}, Problem.EXPERIMENTS_OVERLAP, "cohorts that cannot share a client"),
        ({"name": "another", "cohort": "few"}, Problem.EXPERIMENTS_OVERLAP, "cohorts that cannot share a client"),
        ({"name": "another", "cohort": "fwe"}, Problem.UNKNOWN_COHORT, "few"),
        ({"name": "another", "arms": [HALVES[0], HALVES[1] | {"version": "7"}]}, Problem.UNKNOWN_VERSION, "0 to 2"),
        ({"name": "another", "arms": [HALVES[0], HALVES[1] | {"version": "other.v0"}]}, Problem.UNKNOWN_VERSION, "0 to 2"),
        ({"name": "another", "arms": [HALVES[0], HALVES[1] | {"version": "deployed"}]}, Problem.EXPERIMENT_UNFIT, "different"),
        ({"name": "another", "metric": {"name": "loss", "direction": "lower"}}, Problem.EXPERIMENT_UNFIT, "a minimum and a"),
    ],
)
def test_what_cannot_begin_is_refused_by_name_and_nothing_changes(
    world: World, said: dict[str, Any], problem: Problem, expected: str
) -> None:
    world.operator.set_cohort("few", CohortRule.model_validate({"slice": {"ends": 20.0}}), revision=0)
    begin(world)
    before = world.everything()
    document = refused(lambda: begin(world, **said))
    assert document.type == problem.urn
    assert expected in str(document.expected)
    assert world.everything() == before


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"arms": [HALVES[0], HALVES[1] | {"weight": 49.0}]}, "must sum to 100, got 99"),
        ({"arms": [HALVES[0], HALVES[1] | {"name": "control"}]}, "different names"),
        ({"arms": HALVES[:1]}, "at least 2"),
        ({"arms": [HALVES[0], HALVES[1] | {"weight": 50.001}]}, "hundredths"),
        ({"arms": [HALVES[0] | {"weight": -50.0}, HALVES[1] | {"weight": 150.0}]}, "greater than or equal"),
        ({"level": 1e-7}, "greater than or equal to 0.000001"),
        ({"horizon_seconds": float("inf")}, "less than or equal"),
        ({"name": "Übung"}, "pattern"),
    ],
)
def test_a_split_that_is_none_is_refused_before_it_is_sent(said: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        StartExperiment.model_validate({"name": "bolder", "arms": HALVES, "revision": 1, **said})


def test_beside_an_experiment_nothing_is_deployed_and_beside_a_rollout_no_experiment_begins(world: World) -> None:
    seen = begin(world).revision
    for strategy in (None, Strategy.model_validate(CANARY)):
        document = refused(lambda: world.operator.deploy("toy", 2, strategy=strategy, revision=seen))  # noqa: B023
        assert document.type == Problem.EXPERIMENTS_GO_ON.urn
    ended = world.operator.end_experiment("toy", "bolder", revision=seen)
    world.operator.deploy("toy", 2, strategy=Strategy.model_validate(CANARY), revision=ended.revision)
    assert refused(lambda: begin(world)).type == Problem.ROLLOUT_GOES_ON.urn
    seen = world.operator.status("toy").deployment_revision
    unknown = refused(lambda: world.operator.end_experiment("toy", "bolder", revision=seen))
    assert unknown.type == Problem.UNKNOWN_EXPERIMENT.urn


def test_one_step_of_rollback_ends_all_experiments_and_the_versions_that_they_tried_are_rolled_back(world: World) -> None:
    world.operator.deploy("toy", 1, revision=1)
    arms = [Arm(name="a", version="1", weight=50.0), Arm(name="b", version="2", weight=50.0)]
    seen = begin(world, arms=[arm.model_dump() for arm in arms]).revision
    back = world.operator.rollback("toy", revision=seen)
    assert (back.version, back.left, back.experiments, back.kind) == (1, [2], [], "rolled-back")
    states = {one.version: str(one.state) for one in world.operator.versions("toy")}
    assert states == {0: "retired", 1: "deployed", 2: "rolled-back"}
    further = world.operator.rollback("toy", revision=back.revision)
    assert (further.version, further.left) == (0, [1])


def test_two_steps_of_rollback_go_beneath_what_was_deployed(world: World) -> None:
    world.operator.deploy("toy", 1, revision=1)
    seen = begin(world, arms=[HALVES[0] | {"version": "1"}, HALVES[1] | {"version": "2"}]).revision
    back = world.operator.rollback("toy", 2, revision=seen)
    assert (back.version, back.left) == (0, [1, 2])


def test_the_same_request_again_is_the_same_and_of_two_at_once_one_is_told_that_it_moved(world: World) -> None:
    first = begin(world, revision=1, horizon_seconds=600.0)
    world.clock.advance(5)
    assert begin(world, revision=1, horizon_seconds=600.0) == first
    document = refused(lambda: begin(world, revision=1, horizon_seconds=601.0))
    assert document.type == Problem.DEPLOYMENT_MOVED.urn


def test_a_dry_run_says_what_would_be_and_changes_nothing(world: World) -> None:
    before = world.everything()
    assert begin(world, dry_run=True).experiments == ["bolder"]
    assert world.everything() == before


def test_a_rounds_own_version_waits_while_an_experiment_goes_on(world: World) -> None:
    begin(world)
    world.operator.start("toy", 1)
    devices = world.devices(3)
    world.tick()
    for device in devices:
        world.update(device)
    world.play(devices)
    (rnd,) = world.operator.rounds("toy")
    assert rnd.phase == "completed"
    assert "experiments go on (bolder)" in str(rnd.reason)
    assert world.operator.status("toy").deployed_version == 0


def test_of_many_clients_so_many_are_asked_whatever_the_cohorts_size(world: World) -> None:
    begin(world)
    (experiment,) = world.services.registry.present("toy").experiments
    for active, expected in ((10_000, 10_000), (1_000_000, 120)):
        asked = sum(is_asked("toy", experiment, client.client_id, active) for client in EVERYBODY)
        assert asked == pytest.approx(expected, rel=0.25)


def test_a_metric_of_which_less_is_better_is_told_in_its_own_units(world: World) -> None:
    loss = DecidingMetric(name="loss", direction="lower", minimum=0.0, maximum=4.0)
    begin(world, metric=loss.model_dump())
    reporters = Reporters(world, 160)
    for _ in range(3):
        world.clock.advance(60)
        reporters.beat(lambda draw, version: 2.0 - 0.5 * (version == 1) + draw.gauss(0.0, 0.2))
    (effect,) = found(world).effects
    assert effect.finding == "better"
    assert effect.low is not None
    assert effect.high is not None
    assert effect.low < -0.5 < effect.high < 0.0


def test_an_arm_whose_clients_fall_silent_is_seen_as_a_broken_split(world: World) -> None:
    begin(world)
    minutes(world, Reporters(world, 120), 4, as_good, silent=1)
    (effect,) = found(world).effects
    assert effect.split_is_broken
    assert "which is no such split" in found(world).said


def test_what_a_revoked_client_has_said_or_is_about_to_say_does_not_count(world: World) -> None:
    begin(world)
    reporters = Reporters(world, 30)
    minutes(world, reporters, 2)
    assert sum(arm.clients for arm in found(world).arms) == 30
    world.operator.revoke("client-003")
    assert sum(arm.clients for arm in found(world).arms) == 29
    world.operator.revoke("client-003")
    (experiment,) = world.services.registry.present("toy").experiments
    late = ExperimentReport(client_id="client-003", version=0, arm="control", at=world.clock(), ttl=0, value=0.5)
    assert not world.services.reports.add_trial("toy", experiment, late), "it was authenticated before"
    assert sum(arm.clients for arm in found(world).arms) == 29


@pytest.mark.parametrize("happen", ["killed before", "killed after", "twice"])
def test_the_tick_at_the_horizon_ends_it_once_whatever_dies(happen: str) -> None:
    def past(world: World) -> None:
        world.model(rounds=0)
        world.operator.register("toy", checkpoint(0.5))
        begin(world, horizon_seconds=60.0)
        minutes(world, Reporters(world, 8), 1)
        world.clock.advance(60)

    calls: list[str] = []

    def counted(operation: str, proceed: Callable[[], Any]) -> Any:
        calls.append(operation)
        return proceed()

    with closing(World(heartbeat_seconds=60.0)) as world:
        world.relive(past)
        world.calls.between = counted
        world.tick()
        assert next(world.operator.deployments("toy")).kind == "experiment-ended"
        assert calls.count("PutItem") == 1 + 1, "one conditional write, and the tick's own mark"
    for at in range(len(calls)):
        with closing(World(heartbeat_seconds=60.0)) as world:
            world.relive(past)
            world.calls.between = _at(at, happen)
            try:
                world.tick()
            except Killed:
                pass
            finally:
                world.calls.between = None
            world.tick()
            log = [one.kind for one in world.services.registry.deployments("toy")]
            expected = [Kind.EXPERIMENT_ENDED, Kind.EXPERIMENT_STARTED, Kind.DEPLOYED]
            assert log == expected, f"{happen} call {at}, {calls[at]}"


class Killed(BaseException):
    """The function's process is gone."""


def _at(at: int, happen: str) -> Callable[[str, Callable[[], Any]], Any]:
    number = 0

    def between(operation: str, proceed: Callable[[], Any]) -> Any:
        nonlocal number
        number += 1
        if number - 1 != at:
            return proceed()
        if happen == "killed before":
            raise Killed
        proceed()
        if happen == "killed after":
            raise Killed
        return proceed()

    return between
