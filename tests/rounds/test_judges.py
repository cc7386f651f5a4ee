"""Judges in the whole system: what they may say, whose voice is taken out, and that what is shown of them compares."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from chalicelib.rounds.judgement import Judgement
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster import Device
from muster.cli import render
from muster.device import Refused
from muster.wire.problems import Problem
from tests.fleet import Drift, World


@pytest.fixture
def devices(world: World) -> list[Device]:
    """Five devices of a model whose judges are at most five, of whom two are enough."""
    world.model(goal=1, quorum=1, over_selection=1.0, evaluators=5, evaluation_quorum=2, evaluation_level=0.25)
    made = world.devices(5)
    world.tick()
    return made


def publish(world: World, devices: list[Device]) -> Round:
    """The first device trains; its update becomes a candidate that is better by 0.05 or so."""
    world.update(devices[0])
    world.deliver()
    world.tick()
    world.clock.advance(world.settings.memory_seconds)  # nobody remembers the round as it was
    found = world.services.rounds.latest("toy")
    assert found
    assert found.phase is Phase.EVALUATING
    return found


def say(world: World, device: Device, candidate: dict[str, Any], deployed: dict[str, Any]) -> list[int]:
    """Let a device check in and report what it is said to have measured; the statuses of the answers."""
    assignment = device.check_in()
    assert assignment.kind == "evaluate"
    said = {assignment.candidate.version: candidate, assignment.deployed.version: deployed}
    return [
        world.request(
            "POST", f"/v1/models/toy/versions/{version}/metrics", key=world.key_of(device),
            body={"round": assignment.round, "examples": 10, **body},
        ).status_code
        for version, body in said.items()
    ]  # fmt: skip


def accuracy(value: float) -> dict[str, Any]:
    return {"metrics": {"accuracy": value}}


WORSE = {"verdict": "worse"}


def decide(world: World) -> Any:
    world.clock.advance(600)
    world.tick()
    return world.operator.round("toy", 1)


def test_one_judge_with_a_billion_examples_decides_nothing(world: World, devices: list[Device]) -> None:
    publish(world, devices)
    for device in devices[1:]:
        assert say(world, device, accuracy(0.4), accuracy(0.5)) == [202, 202]
    assert say(world, devices[0], {**accuracy(1.0), "examples": 10**9}, {**accuracy(0.0), "examples": 10**9}) == [202, 202]
    rnd = decide(world)
    assert (rnd.phase, rnd.deployed, rnd.gain) == ("completed", False, pytest.approx(-0.1))


def test_judges_that_are_trusted_are_so_for_the_server_too(world: World) -> None:
    world.model(evaluation_liars=0)
    assert world.operator.status("toy").config.evaluation_liars == 0


def test_a_judge_that_measures_nothing_finite_votes_against(world: World, devices: list[Device]) -> None:
    publish(world, devices)
    for device in devices[:4]:
        assert say(world, device, WORSE, accuracy(0.1)) == [202, 202]
    rnd = decide(world)
    assert (rnd.phase, rnd.deployed, rnd.gain) == ("completed", False, -1.0)
    shown = world.operator.version("toy", "1")
    assert shown.evaluation == {"accuracy": 0.0}
    assert shown.judged
    assert (shown.judged.judges, shown.judged.better, shown.judged.worse) == (4, 0, 4)


def test_a_verdict_of_worse_may_be_sent_again_and_not_be_changed(world: World, devices: list[Device]) -> None:
    publish(world, devices)
    assert say(world, devices[0], WORSE, WORSE) == [202, 202]
    key, path = world.key_of(devices[0]), "/v1/models/toy/versions/1/metrics"
    again = {"round": "toy.1", "examples": 10, "verdict": "worse"}
    assert world.request("POST", path, key=key, body=again).status_code == 202
    changed = {"round": "toy.1", "examples": 10, "metrics": {"accuracy": 0.9}}
    assert world.request("POST", path, key=key, body=changed).status_code == 409


def test_a_version_shows_its_gain_over_its_parent_and_who_many_judged_it(world: World, devices: list[Device]) -> None:
    publish(world, devices)
    for number, device in enumerate(devices):
        assert say(world, device, accuracy(0.6), accuracy(0.5 + number / 100)) == [202, 202]
    rnd = decide(world)
    assert rnd.deployed
    shown = world.operator.version("toy", "1")
    assert shown.judged
    assert shown.judged.model_dump() == {
        "judges": 5, "better": 5, "worse": 0, "gain": pytest.approx(0.08), "p": 1 / 16, "examples": 10
    }  # fmt: skip
    assert shown.parent == 0
    assert shown.evaluation == pytest.approx({"accuracy": 0.6})
    assert world.operator.version("toy", "0").judged is None


def printed(shown: Any) -> str:
    page = Console(file=StringIO(), width=200)
    page.print(shown)
    return cast("StringIO", page.file).getvalue()


def test_accuracies_by_different_judges_do_not_stand_side_by_side(world: World, devices: list[Device]) -> None:
    publish(world, devices)
    for device in devices:
        say(world, device, accuracy(0.6), accuracy(0.5))
    decide(world)
    head, first, second = (line.split() for line in printed(render.versions(list(world.operator.versions("toy")))).splitlines())
    assert "accuracy" not in head
    assert first[head.index("gain") : head.index("gain") + 3] == ["+10.0", "pt", "5"]
    assert second[head.index("gain") : head.index("gain") + 2] == ["-", "-"]
    told = printed(render.version(world.operator.version("toy", "1")))
    assert "+10.0 pt over version 0 by 5 judges (median 10 examples): 5 found it better, 0 worse, p 0.062" in told


# ---- revoked


def voices(world: World, rnd: Round) -> dict[str, Judgement]:
    return {e.client_id: e for e in world.services.rounds.judgements(rnd.id)}


def test_a_revoked_judge_counts_no_more(world: World, devices: list[Device]) -> None:
    rnd = publish(world, devices)
    for device in devices[:2]:
        say(world, device, accuracy(0.9), accuracy(0.5))
    world.operator.revoke(devices[0].client_id)
    world.operator.revoke(devices[0].client_id)
    assert [e.counts for e in voices(world, rnd).values()] == [False, True]
    assert world.operator.round("toy", 1).evaluations == 1
    ended = decide(world)
    assert (ended.deployed, ended.gain, ended.reason) == (False, None, "1 of at least 2 judges reported")


def test_a_judge_revoked_between_the_reading_of_the_voices_and_the_decision_is_not_in_it(
    world: World, devices: list[Device]
) -> None:
    rnd = publish(world, devices)
    for device in devices[:2]:
        say(world, device, accuracy(0.9), accuracy(0.5))

    def revoke_in_the_middle(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "TransactWriteItems":
            world.calls.between = None
            met.append(operation)
            world.services.revocation.revoke(devices[0].client_id)
        return proceed()

    met: list[str] = []
    world.clock.advance(600)
    world.calls.between = revoke_in_the_middle
    world.tick()
    assert len(met) == 1
    after = world.services.rounds.get("toy", 1)
    assert after
    assert (after.phase, after.fence) == (Phase.EVALUATING, rnd.fence + 1)
    assert next(world.services.registry.deployments("toy")).stable.version == 0
    world.tick()
    ended = world.operator.round("toy", 1)
    assert (ended.deployed, ended.reason) == (False, "1 of at least 2 judges reported")


def test_a_round_that_is_decided_while_a_judge_is_revoked_keeps_what_it_had(world: World, devices: list[Device]) -> None:
    publish(world, devices)
    for device in devices[:2]:
        say(world, device, accuracy(0.9), accuracy(0.5))
    world.clock.advance(600)

    def decide_in_the_middle(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "PutItem":  # the revocation looks for the judge's place
            world.calls.between = None
            world.services.coordinator.tick()
        return proceed()

    world.calls.between = decide_in_the_middle
    world.operator.revoke(devices[0].client_id)
    ended = world.operator.round("toy", 1)
    assert (ended.deployed, ended.evaluations) == (True, 2)


@pytest.mark.parametrize("phase", ["collecting", "aggregating", "evaluating"])
def test_a_client_that_was_revoked_in_any_phase_does_not_become_a_judge_by_a_check_in_under_way(
    world: World, devices: list[Device], phase: str
) -> None:
    """The check-in authenticates, and is then so slow that everything else happens before it takes a place."""
    slow = devices[4]
    assert world.services.rounds.latest("toy").phase == "collecting"  # type: ignore[union-attr]

    def meanwhile(operation: str, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        if operation == "UpdateItem":  # its client's row
            world.calls.between = None
            if phase == "collecting":
                world.services.revocation.revoke(slow.client_id)
            world.update(devices[0])
            if phase == "aggregating":
                _close(world)
                world.services.revocation.revoke(slow.client_id)
            world.deliver()
            world.tick()
            if phase == "evaluating":
                world.services.revocation.revoke(slow.client_id)
        return answer

    world.calls.between = meanwhile
    assignment = slow.check_in()
    assert assignment.kind == "wait"
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert rnd.phase is Phase.EVALUATING
    assert {name: e.withdrawn for name, e in voices(world, rnd).items()} == {slow.client_id: True}


def _close(world: World) -> None:
    """Inspect what is reported, and freeze it, and do no more."""
    rnd = world.services.rounds.latest("toy")
    assert rnd
    for receipt in list(world.services.rounds.receipts(rnd.id)):
        world.services.inspector.inspect(rnd.id, receipt.client_id)
    moved = world.services.coordinator._phases[Phase.COLLECTING].advance(rnd)
    assert moved
    assert moved.phase is Phase.AGGREGATING


def test_a_withdrawn_judge_measures_nothing_more(world: World, devices: list[Device]) -> None:
    rnd = publish(world, devices)
    assignment = devices[0].check_in()
    assert assignment.kind == "evaluate"
    world.operator.revoke(devices[0].client_id)
    with pytest.raises(Refused) as refused:
        devices[0].judge(assignment, Drift(0.0))
    assert refused.value.problem is Problem.UNAUTHENTICATED
    assert voices(world, rnd)[devices[0].client_id].measured == {}


def test_a_judges_place_goes_along_with_its_new_key(world: World, devices: list[Device]) -> None:
    rnd = publish(world, devices)
    assignment = devices[0].check_in()
    assert assignment.kind == "evaluate"
    devices[0].rotate_key()
    devices[0].judge(assignment, Drift(0.0))
    assert voices(world, rnd)[devices[0].client_id].counts
