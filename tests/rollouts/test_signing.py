"""Every revision is signed by who writes it: a tick that dies at it, a key that fails, a key that comes later, another key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, Literal

import pytest
from botocore.exceptions import ClientError

from chalicelib.registry.deployment import is_repeat
from muster import Device
from muster.device import BadSignature, Unsigned
from muster.device.trust import verified
from muster.wire.admin import Arm, StartExperiment, Strategy
from muster.wire.messages import ModelReply
from muster.wire.statements import Statement
from tests.fleet import SESSION, World, checkpoint
from tests.rollouts.ticking import Killed, ready, ticked


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    yield world
    world.close()


def signatures(world: World) -> list[str | None]:
    """Which key signed each revision, oldest first; every one is the revision's own."""
    found = [*world.services.registry.deployments("toy")][::-1]
    for deployment in found:
        assert deployment.signed is None or f'"revision":{deployment.revision}}}' in deployment.signed.statement
    return [deployment.signed.key if deployment.signed else None for deployment in found]


def key(world: World) -> str:
    assert world.settings.signing_key
    return world.settings.signing_key


def at_sign(happen: str) -> Callable[[str, Callable[[], Any]], Any]:
    def between(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "Sign":
            if happen == "after":
                proceed()
            if happen == "fails":
                raise ClientError({"Error": {"Code": "KMSInternalException", "Message": ""}}, operation)
            raise Killed(operation)
        return proceed()

    return between


@pytest.mark.parametrize("happen", ["before", "after"])
def test_a_tick_that_is_killed_before_or_after_the_signing_call_ends_with_the_same_log(happen: str) -> None:
    logs = []
    for between in (None, at_sign(happen)):
        with closing(ready("stepped")) as world:
            ticked(world, between)
            ticked(world, None)
            logs.append([replace(one, signed=None) for one in world.services.registry.deployments("toy")])
            assert signatures(world) == [key(world)] * len(logs[-1])
    assert logs[0] == logs[1]


def test_a_key_that_fails_stops_a_ticks_move_and_the_next_tick_makes_it() -> None:
    with closing(ready("stepped")) as world:
        before = [*world.operator.deployments("toy")]
        with pytest.raises(ExceptionGroup, match="the tick failed") as failed:
            ticked(world, at_sign("fails"))
        assert "signing-failed" in str(failed.value.exceptions[0])
        assert [*world.operator.deployments("toy")] == before
        world.tick()
        assert next(world.operator.deployments("toy")).kind == "stepped"


def test_a_key_that_fails_keeps_a_round_from_its_decision_until_it_works() -> None:
    with closing(World()) as world:
        world.model()
        devices = world.devices(4)
        world.tick()
        for device in devices[:3]:
            world.update(device)
        world.calls.between = at_sign("fails")
        with pytest.raises((ExceptionGroup, RuntimeError)):
            world.play(devices)
        evaluating = world.services.rounds.latest("toy")
        assert evaluating is not None and not evaluating.is_terminal  # noqa: PT018
        assert world.services.registry.present("toy").revision == 1
        world.calls.between = None
        world.play(devices)
        present = world.services.registry.present("toy")
        assert (present.round, present.stable.version, signatures(world)) == (1, 1, [key(world)] * 2)


def test_every_move_of_a_rollout_is_signed_and_two_signatures_are_no_difference(world: World) -> None:
    strategy = Strategy(kind="rolling", steps=[50])
    world.operator.deploy("toy", 1, strategy=strategy, revision=1)
    moves: tuple[Literal["pause", "resume", "abort"], ...] = ("pause", "resume", "abort")
    for number, move in enumerate(moves, start=2):
        made = world.operator.move_rollout("toy", move, revision=number)
        assert world.operator.move_rollout("toy", move, revision=number) == made, "the same request again"
    world.operator.deploy("toy", 1, revision=5)
    world.operator.rollback("toy", revision=6)
    assert signatures(world) == [key(world)] * 7
    present = world.services.registry.present("toy")
    assert present.signed
    assert is_repeat(present, replace(present, signed=replace(present.signed, signature="another")))


def test_the_arms_of_an_experiment_are_offered_and_every_client_runs_what_it_is_given(world: World) -> None:
    world.operator.register("toy", checkpoint(2.0))
    devices = world.devices(8)
    arms = [Arm(name=f"arm-{version}", version=str(version), weight=weight) for version, weight in ((0, 40), (1, 30), (2, 30))]
    world.operator.start_experiment("toy", StartExperiment(name="which", arms=arms, revision=1))
    world.clock.advance(5)
    assert {device.model()[0] for device in devices} == {0, 1, 2}
    signed = world.services.registry.present("toy").signed
    assert signed
    assert [offer.version for offer in Statement.model_validate_json(signed.statement).offered] == [0, 1, 2]
    assert signatures(world) == [key(world)] * 2


# ---- a key that comes later, or another one


def unsigned(world: World) -> None:
    """The log as a release before left it: version 1 on version 0, without signatures."""
    world.move_to(replace(world.settings, signing_key=None))
    world.operator.deploy("toy", 1, revision=1)


def test_what_a_release_before_left_unsigned_is_signed_by_its_next_move(world: World) -> None:
    settings = world.settings
    unsigned(world)
    world.move_to(settings)
    (device,) = world.devices(1)
    with pytest.raises(Unsigned):
        device.model()
    world.operator.rollback("toy", revision=2)
    world.clock.advance(5)
    assert device.model()[0] == 0
    assert signatures(world) == [key(world), None, key(world)]


def test_to_deploy_what_is_deployed_signs_it_in_its_place_once_and_changes_nothing_else(world: World) -> None:
    settings = world.settings
    unsigned(world)
    world.move_to(settings)
    before = world.services.registry.present("toy")
    made = world.operator.deploy("toy", 1, revision=2)
    assert (made.revision, made.version, made.previous, made.is_signed) == (3, 1, before.previous, True)
    assert world.operator.deploy("toy", 1, revision=2) == made, "the same request again"
    assert world.operator.deploy("toy", 1, revision=3) == made, "there is nothing to sign any more"
    assert world.operator.rollback("toy", revision=3).version == 0, "the way back is as long as it was"


def test_another_key_signs_anew_and_a_device_follows_when_its_owner_pins_it(world: World) -> None:
    (device,) = world.devices(1)
    assert device.model()[0] == 0
    other = SESSION.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    old = key(world)
    world.move_to(replace(world.settings, signing_key=other))
    world.operator.deploy("toy", 0, revision=1)
    world.operator.deploy("toy", 1, revision=2)
    world.clock.advance(5)
    assert signatures(world) == [old, other, other]
    with pytest.raises(BadSignature):
        device.model()
    (newcomer,) = world.devices(1)
    assert newcomer.signing_key
    assert newcomer.signing_key != device.signing_key
    device.pin(newcomer.signing_key)
    assert device.model()[0] == newcomer.model()[0] == 1


def test_what_is_sent_is_what_was_signed_to_the_letter(world: World) -> None:
    (device,) = world.devices(1)
    answer = world.request("GET", "/v1/models/toy", key=world.key_of(device))
    signed = world.services.registry.present("toy").signed
    assert signed
    reply = ModelReply.model_validate_json(answer.content)
    assert (reply.statement, reply.signature) == (signed.statement, signed.signature)
    assert verified(reply, "toy", str(device.signing_key)).text == reply.statement


def test_a_heartbeat_and_a_model_request_ask_no_key_for_anything(world: World) -> None:
    (device,) = world.devices(1)
    with world.calls.count() as calls:
        device.heartbeat_if_due()
        Device.model(device)
    assert not {"Sign", "GetPublicKey"} & set(calls), calls
