"""A model whose versions are compared by a metric of its own: decided, shown and watched by it, whatever liars say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from chalicelib.rounds.judgement import Decision, Judgement, Measurement, decide, typical
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.opening import next_base
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage.rows import LARGEST
from muster import Device
from muster.cli import overview, render
from muster.device import Evaluation, Refused
from muster.device.errors import TrainerFailed
from muster.wire import admin
from muster.wire.admin import RoundConfig
from muster.wire.arrays import Array
from muster.wire.deciding import ACCURACY, DecidingMetric
from muster.wire.problems import Problem
from tests.fleet import SESSION, Drift, World
from tests.rounds.making import DEPLOYED, T0, a_round, ref

MSE = DecidingMetric(name="mse", direction="lower")
CONFIG = RoundConfig(goal=10, quorum=4, metric=MSE, min_gain=10.0, max_regression=500.0)
TRUSTED = CONFIG.model_copy(update={"evaluation_liars": 0})
REGRESSION: dict[str, Any] = {
    "goal": 2, "quorum": 2, "evaluators": 2, "metric": {"name": "mse", "direction": "lower", "minimum": 0.0},
    "min_gain": 10.0, "max_regression": 500.0,
}  # fmt: skip


class Regression(Drift):
    """A regression: the mean squared distance of the biases from the truth, times 10⁴; a step of 1 would arrive there.

    Of the toy's base it is 4884, and after a step of s 4884 · (1 - s)². It measures no accuracy.
    """

    truth = np.cos(np.arange(3, dtype=np.float32))

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        return Evaluation(self.examples, {"mse": 1e4 * float(np.mean((weights["layer.bias"] - self.truth) ** 2))})


def said(number: int, candidate: float | None, deployed: float | None) -> Judgement:
    """One judge's word: a number, or None for the verdict `worse`."""
    words = {"candidate": candidate, "deployed": deployed}
    measured = {
        role: Measurement(10, {}, "worse") if value is None else Measurement(10, {"mse": value})
        for role, value in words.items()
    }
    return Judgement(
        round=RoundId("toy", 1), client_id=f"judge-{number:02}", assigned_at=T0, report_by=T0, ttl=0, measured=measured
    )


def decided(pairs: Sequence[tuple[float | None, float | None]], config: RoundConfig = CONFIG) -> Decision:
    """Of candidate and deployed version, a pair for each judge."""
    return decide([said(number, *pair) for number, pair in enumerate(pairs)], config, None)


# ---- the decision


def test_lower_is_better_where_the_model_says_so() -> None:
    better = decided([(900.0, 950.0)] * 5)
    assert (better.deploy, better.gain) == (True, 50.0)
    assert better.reason == "mse fell by 50, more than 10: 5 of 5 judges found it better, 0 worse (p 0.062)"
    worse = decided([(950.0, 900.0)] * 5)
    assert (worse.deploy, worse.gain) == (False, -50.0)
    assert worse.reason.startswith("mse changed by +50, lower is better, and it did not fall by more than 10: 0 of 5 judges")
    assert not decided([(940.0, 950.0)] * 5).deploy, "a gain of exactly the margin is not above it"
    unsure = decided([(900.0, 950.0)] * 7 + [(951.0, 950.0)] * 3)
    assert unsure.reason.startswith("mse fell by 50, but only 7 of 10 judges found it better, 3 worse")


def test_a_metric_of_which_higher_is_better_rises() -> None:
    config = CONFIG.model_copy(update={"metric": DecidingMetric(name="mse", direction="higher")})
    assert decided([(950.0, 900.0)] * 5, config).reason.startswith("mse rose by 50, more than 10: ")
    assert decided([(900.0, 950.0)] * 5, config).reason.startswith("mse changed by -50, not more than 10: ")


@pytest.mark.parametrize("count", [5, 10, 15, 30])
@pytest.mark.parametrize("lie", [(-1e30, 1e30), (1e30, -1e30), (None, -1e30), (-1e30, None), (None, None), (0.0, 1e30)])
def test_a_fifth_of_liars_with_enormous_numbers_force_nothing_and_move_no_gain(
    count: int, lie: tuple[float | None, float | None]
) -> None:
    liars = count // 5
    worse = decided([(950.0, 900.0)] * (count - liars) + [lie] * liars)
    assert (worse.deploy, worse.gain) == (False, -50.0)
    better = decided([(900.0, 950.0)] * (count - liars) + [lie] * liars)
    assert better.gain == 50.0
    assert better.candidate == {"mse": 900.0}, "nor is what is shown of the candidate theirs"
    equal = decided([(900.0, 900.0)] * (count - liars) + [lie] * liars)
    assert (equal.deploy, equal.gain) == (False, 0.0)


def test_a_version_that_most_judges_cannot_measure_is_as_far_below_as_can_be_and_not_trained_on() -> None:
    diverged = decided([(None, 900.0)] * 4 + [(900.0, 900.0)])
    assert (diverged.deploy, diverged.gain) == (False, -MSE.span)
    assert diverged.candidate == {}, "there is no number to show, and none is made up"
    last = a_round(Phase.COMPLETED, config=CONFIG, gain=diverged.gain)
    assert next_base(last, DEPLOYED) == DEPLOYED.stable
    assert next_base(replace(last, gain=-500.0), DEPLOYED) == ref(1), "a loss of exactly the margin is not beyond it"
    assert next_base(replace(last, gain=-500.1), DEPLOYED) == DEPLOYED.stable
    rescued = decided([(900.0, None)] * 5)
    assert (rescued.deploy, rescued.gain) == (True, MSE.span)
    assert decided([(None, None)] * 5).gain == 0.0


def test_a_bound_stands_for_what_cannot_be_measured() -> None:
    error_rate = DecidingMetric(name="mse", direction="lower", minimum=0.0, maximum=1.0)
    bounded = CONFIG.model_copy(update={"metric": error_rate, "min_gain": 0.01})
    decision = decided([(None, 0.25)] * 5, bounded)
    assert (decision.gain, decision.candidate) == (-1.0, {"mse": 1.0})


def test_where_judges_are_trusted_one_of_them_can_still_not_make_a_number_that_no_row_holds() -> None:
    decision = decided([(900.0, 950.0)] * 4 + [(1e30, -1e30)], TRUSTED)
    assert not decision.deploy
    assert decision.gain == pytest.approx(-4e29)


words = st.none() | st.floats(-1e30, 1e30) | st.sampled_from([1e30, -1e30, 0.0, -0.0, 5e-324, 1e-128, 900.0])
pairs = st.lists(st.tuples(words, words), min_size=3, max_size=30)
configs = st.builds(
    lambda direction, liars: CONFIG.model_copy(
        update={"metric": DecidingMetric(name="mse", direction=direction), "evaluation_liars": liars}
    ),
    st.sampled_from(["higher", "lower"]),
    st.sampled_from([0, 3, 5, 10]),
)


@given(pairs, configs)
def test_whatever_judges_say_the_gain_is_finite_fits_a_row_and_is_among_what_they_found(
    found: list[tuple[float | None, float | None]], config: RoundConfig
) -> None:
    decision = decided(found, config) if len(found) >= config.judges_needed else decided(found * 2, config)
    differences = [said(0, *pair).difference(config.metric) for pair in found]
    assert decision.gain is not None
    assert -LARGEST < min(differences) <= decision.gain <= max(differences) < LARGEST
    assert all(abs(value) <= 1e30 for value in (decision.candidate or {}).values())


@given(st.lists(st.tuples(words, words), min_size=3, max_size=24), configs, st.data())
def test_whatever_as_many_as_may_lie_say_the_gain_stays_between_the_lowest_and_the_highest_of_the_others(
    honest: list[tuple[float | None, float | None]], config: RoundConfig, data: st.DataObject
) -> None:
    one_in = config.evaluation_liars or 5
    config = config.model_copy(update={"evaluation_liars": one_in, "evaluation_quorum": 1})
    most = max(n for n in range(len(honest) + 1) if n * one_in <= len(honest) + n)
    lies = data.draw(st.lists(st.tuples(words, words), max_size=most))
    decision = decided(honest + lies, config)
    differences = [said(0, *pair).difference(config.metric) for pair in honest]
    assert decision.gain is not None
    assert min(differences) <= decision.gain <= max(differences)


@given(st.lists(st.floats(0, 1e6), min_size=5, max_size=20), st.lists(st.floats(0, 1e6), min_size=5, max_size=20))
def test_the_two_directions_are_mirrors(candidates: list[float], deployed: list[float]) -> None:
    found = list(zip(candidates, deployed, strict=False))
    mirrored = [(-a, -b) for a, b in found]
    up = CONFIG.model_copy(update={"metric": DecidingMetric(name="mse", direction="higher")})
    lower, higher = decided(found), decided(mirrored, up)
    assert (lower.deploy, lower.gain) == (higher.deploy, higher.gain)


def test_what_is_shown_is_the_midmean_of_what_most_measured() -> None:
    measured = [Measurement(10, {"mse": 900.0, "r2": 0.5})] * 8 + [Measurement(10, {}, "worse"), Measurement(1, {"mse": 1e30})]
    assert typical(measured, MSE) == {"mse": 900.0, "r2": 0.5}


# ---- the whole system


def play(world: World, devices: Sequence[Device], step: float, judge: Drift | None = None) -> admin.RoundReply:
    """A round in which all devices take that step, and judge by their mean squared error."""
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    for device in devices:
        assignment = device.check_in()
        if assignment.kind == "train":
            device.take_part(assignment, Regression(step))
    world.deliver()
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    for device in devices:
        assignment = device.check_in()
        if assignment.kind == "evaluate":
            assert assignment.metric == "mse"
            device.judge(assignment, judge or Regression(0.0))
    world.tick()
    return next(rnd for rnd in world.operator.rounds("toy") if rnd.finished_at)


def printed(shown: Any) -> str:
    page = Console(file=StringIO(), width=250)
    page.print(shown)
    return cast("StringIO", page.file).getvalue()


def test_a_regression_is_trained_judged_and_deployed_by_its_own_metric(world: World) -> None:
    world.model(rounds=3, **REGRESSION)
    devices = world.devices(2)
    first = play(world, devices, 0.5)
    assert (first.phase, first.deployed) == ("completed", True)
    assert first.gain == pytest.approx(4884 * 0.75, rel=1e-3)
    assert first.reason
    assert first.reason.startswith("mse fell by 3663, more than 10: 2 of 2 judges found it better")
    shown = world.operator.version("toy", "deployed")
    assert shown.version == 1
    assert shown.evaluation == pytest.approx({"mse": 1221}, rel=1e-3)
    assert [d.version for d in world.operator.deployments("toy")] == [1, 0]

    second = play(world, devices, -0.5)
    assert (second.phase, second.deployed, second.version) == ("completed", False, 2)
    assert second.gain == pytest.approx(-4884 * 0.75, rel=1e-3)
    assert world.operator.status("toy").deployed_version == 1

    third = play(world, devices, 0.25)
    assert third.base_version == 1, "the second lost more than the margin, so training goes on from what is deployed"
    assert (third.deployed, world.operator.status("toy").deployed_version) == (True, 3)


def test_what_operators_see_names_the_metric_and_its_direction(world: World) -> None:
    world.model(rounds=1, **REGRESSION)
    rnd = play(world, world.devices(2), 0.5)
    assert rnd.metric == DecidingMetric(name="mse", direction="lower", minimum=0.0)
    gain = "+3663 in mse, lower is better"
    assert gain in printed(render.round_(rnd))
    assert gain in printed(render.rounds([rnd]))
    assert gain in printed(render.versions(list(world.operator.versions("toy"))))
    told = printed(render.version(world.operator.version("toy", "1")))
    assert f"{gain} over version 0 by 2 judges (median 10 examples): 2 found it better, 0 worse, p 0.25" in told
    status = printed(overview.page([world.operator.status("toy")], world.clock()))
    assert "judged by  mse, lower is better; deployed above a gain of 10" in status
    assert " pt" not in told + status


def test_default_thresholds_do_not_alarm_for_a_metric_whose_numbers_nobody_but_the_operator_knows(world: World) -> None:
    class AlsoLoss(Regression):
        def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
            found = super().evaluate(weights)
            return Evaluation(found.examples, {**found.metrics, "loss": found.metrics["mse"], "accuracy": 0.0})

    world.model(rounds=3, **REGRESSION)
    devices = world.devices(2)
    play(world, devices, 0.5, AlsoLoss(0.0))
    world.monitor()
    watched = {t.metric for t in world.operator.thresholds("toy")}
    assert "gain" in watched
    assert watched & {"accuracy", "loss", "mse"} == set()
    assert [a.metric for a in world.operator.status("toy").alerts] == ["active_clients"]
    assert world.operator.status("toy").metrics["mse"].last == pytest.approx(1221, rel=1e-3)
    play(world, devices, -0.5)
    world.monitor()
    assert sorted(a.metric for a in world.operator.status("toy").alerts) == ["active_clients", "gain"]
    assert world.operator.set_threshold("toy", "mse", maximum=2000.0).in_breach


@pytest.fixture
def judged(world: World) -> list[Device]:
    """Five devices of a regression whose first candidate waits for its judges."""
    world.model(**{**REGRESSION, "goal": 1, "quorum": 1, "evaluators": 5, "evaluation_quorum": 2, "evaluation_level": 0.25})
    devices = world.devices(5)
    world.tick()
    assignment = devices[0].check_in()
    assert assignment.kind == "train"
    devices[0].take_part(assignment, Regression(0.5))
    world.deliver()
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    return devices


@pytest.mark.parametrize(
    ("metrics", "got"),
    [({"accuracy": 0.9}, "accuracy"), ({}, "no metrics"), ({"loss": 1.0, "mae": 2.0}, "loss, mae"), ({"mse": -1.0}, "mse -1"),
     ({"mse": -1e30}, "mse -1e+30")],
)  # fmt: skip
@pytest.mark.parametrize("version", [0, 1])
def test_a_judge_without_the_metric_is_refused_by_name_and_nothing_is_stored(
    world: World, judged: list[Device], metrics: dict[str, float], got: str, version: int
) -> None:
    assert judged[0].check_in().kind == "evaluate"
    path, key = f"/v1/models/toy/versions/{version}/metrics", world.key_of(judged[0])
    before = world.everything()
    answer = world.request("POST", path, key=key, body={"round": "toy.1", "examples": 3, "metrics": metrics})
    assert (answer.status_code, answer.json()["type"]) == (422, Problem.INVALID_BODY.urn)
    assert answer.json()["detail"] == "metrics.mse: versions of toy are judged by it"
    assert (answer.json()["expected"], answer.json()["got"]) == ("mse, the metric that decides, from 0 to 1e+30", got)
    assert world.everything() == before
    mended = {"round": "toy.1", "examples": 3, "metrics": {**metrics, "mse": 1.0}}
    assert world.request("POST", path, key=key, body=mended).status_code == 202
    assert world.request("POST", path, key=key, body=mended).status_code == 202


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e31", "1e999", '"1"', "null", "true"])
def test_what_is_no_finite_number_is_refused_and_nothing_is_stored(world: World, judged: list[Device], number: str) -> None:
    assert judged[0].check_in().kind == "evaluate"
    before = world.everything()
    body = b'{"round": "toy.1", "examples": 3, "metrics": {"mse": %s}}' % number.encode()
    answer = world.request("POST", "/v1/models/toy/versions/1/metrics", key=world.key_of(judged[0]), body=body)
    assert (answer.status_code, answer.json()["type"]) == (422, Problem.INVALID_BODY.urn)
    assert world.everything() == before


def test_a_verdict_of_worse_needs_no_metric(world: World, judged: list[Device]) -> None:
    assert judged[0].check_in().kind == "evaluate"
    body = {"round": "toy.1", "examples": 3, "verdict": "worse"}
    for version in (0, 1):
        path = f"/v1/models/toy/versions/{version}/metrics"
        assert world.request("POST", path, key=world.key_of(judged[0]), body=body).status_code == 202
    rnd = world.services.rounds.latest("toy")
    assert rnd
    (stored,) = world.services.rounds.judgements(rnd.id)
    assert stored.difference(rnd.config.metric) == 0.0


def test_a_device_that_does_not_measure_it_sends_nothing_and_says_what_is_missing(world: World, judged: list[Device]) -> None:
    assignment = judged[0].check_in()
    assert assignment.kind == "evaluate"
    with pytest.raises(TrainerFailed, match=r"expected mse among the metrics, by which .* are judged; got accuracy"):
        judged[0].judge(assignment, Drift(0.0))
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert [judge.measured for judge in world.services.rounds.judgements(rnd.id)] == [{}]


def test_one_liar_with_1e30_neither_blocks_nor_decides_and_every_row_can_be_read(world: World, judged: list[Device]) -> None:
    for number, device in enumerate(judged):
        assignment = device.check_in()
        assert assignment.kind == "evaluate"
        if number:
            device.judge(assignment, Regression(0.0))
            continue
        for version, value in ((1, 1e30), (0, 0.0)):
            body = {"round": "toy.1", "examples": 10**9, "metrics": {"mse": value, "loss": -1e30}}
            path = f"/v1/models/toy/versions/{version}/metrics"
            assert world.request("POST", path, key=world.key_of(device), body=body).status_code == 202
    world.clock.advance(600)
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert rnd.gain == pytest.approx(4884 * 0.75, rel=1e-3)
    shown = world.operator.version("toy", "1")
    assert shown.evaluation == pytest.approx({"mse": 1221}, rel=1e-3)
    world.monitor()
    assert world.operator.status("toy").metrics["gain"].last == rnd.gain


def test_all_judges_at_the_ends_of_the_numbers_are_stored_shown_recorded_and_read_back(
    world: World, judged: list[Device]
) -> None:
    for device in judged:
        assert device.check_in().kind == "evaluate"
        for version, body in ((1, {"verdict": "worse"}), (0, {"metrics": {"mse": 0.0}})):
            path = f"/v1/models/toy/versions/{version}/metrics"
            sent = {"round": "toy.1", "examples": 1, **body}
            assert world.request("POST", path, key=world.key_of(device), body=sent).status_code == 202
    world.clock.advance(600)
    world.tick()
    world.monitor()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.deployed, rnd.gain) == ("completed", False, -1e30)
    shown = world.operator.version("toy", "1")
    assert (shown.evaluation, shown.judged and shown.judged.gain) == ({}, -1e30)
    assert "-1e+30 in mse" in printed(render.round_(rnd))
    assert world.operator.metric("toy", "gain").points[-1].value == -1e30
    world.operator.start("toy", 2)
    world.tick()
    assert world.operator.round("toy", 2).base_version == 0


def test_a_device_of_before_goes_on_judging_a_model_whose_metric_is_accuracy(world: World) -> None:
    """It does not know `metric`, and reports accuracy; of another model it is refused, as above."""
    world.model(goal=1, quorum=1, evaluators=1)
    (device,) = world.devices(1)
    world.tick()
    world.update(device)
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    assert device.check_in().kind == "evaluate"
    for version in (0, 1):
        body = {"round": "toy.1", "examples": 3, "metrics": {"accuracy": 0.5 + version / 10}}
        path = f"/v1/models/toy/versions/{version}/metrics"
        assert world.request("POST", path, key=world.key_of(device), body=body).status_code == 202
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert (rnd.deployed, rnd.metric) == (True, ACCURACY)


def test_rows_of_before_are_read_as_judged_by_accuracy(world: World) -> None:
    """Model, round and version hold a configuration without `metric`, as the last release wrote them."""
    world.model(rounds=2, goal=1, quorum=1, evaluators=1)
    (device,) = world.devices(1)
    world.tick()
    for name in (world.settings.versions_table, world.settings.rounds_table):
        table = SESSION.resource("dynamodb").Table(name)
        for item in table.scan()["Items"]:
            if "config" in item:
                old = json.loads(str(item["config"]))
                assert old.pop("metric")
                table.put_item(Item={**item, "config": json.dumps(old)})
    world.restart()
    world.update(device)
    world.play([device])
    rnd = world.operator.round("toy", 1)
    assert (rnd.deployed, rnd.metric) == (True, ACCURACY)
    assert rnd.reason
    assert rnd.reason.startswith("accuracy rose by ")
    assert world.operator.status("toy").config.metric == ACCURACY
    assert world.operator.version("toy", "0").config.metric == ACCURACY
    assert "accuracy" in {t.metric for t in world.operator.thresholds("toy")}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"metric": {"name": "mse", "direction": "lower"}}, "min_gain is required with the metric mse"),
        ({"metric": {"name": "mse"}, "min_gain": 1.0, "max_regression": 1.0}, "config.metric.direction"),
        ({"metric": {"name": "mse", "direction": "less"}, "min_gain": 1.0, "max_regression": 1.0}, "'higher' or 'lower'"),
        ({"metric": {"name": "gain", "direction": "higher"}, "min_gain": 1.0, "max_regression": 1.0}, "got gain"),
        ({"min_gain": 2.0}, "min_gain must not exceed the largest difference in accuracy"),
    ],
)
def test_a_model_whose_metric_could_not_decide_is_refused_when_it_is_created(
    world: World, changes: dict[str, Any], why: str
) -> None:
    body = {
        "name": "bad", "config": {"goal": 1, "quorum": 1, **changes}, "checkpoint": {"bytes": 100, "sha256": "0" * 64}
    }  # fmt: skip
    answer = world.request("POST", "/v1/admin/models", body=body)
    assert (answer.status_code, answer.json()["type"]) == (422, Problem.INVALID_BODY.urn)
    assert why in answer.json()["detail"] + str(answer.json().get("expected"))


def test_the_same_model_again_is_the_same_and_another_metric_is_another_model(world: World) -> None:
    world.model(rounds=0, **REGRESSION)
    world.model(rounds=0, **REGRESSION)
    with pytest.raises(Refused) as refused:
        world.model(rounds=0, **{**REGRESSION, "metric": {"name": "mae", "direction": "lower", "minimum": 0.0}})
    assert refused.value.problem is Problem.MODEL_EXISTS
