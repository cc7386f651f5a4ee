"""Scopes, rotation, the size of the fleet, credit, the census, and the lists that operators read."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.client import REMEMBERED_ROUNDS
from chalicelib.clients.tally import MOST_NAMES, count, total
from chalicelib.instants import text
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from infra.memory.cloud import ManualClock
from muster.http.errors import Refused
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from tests.clients.enrolling import PROOF, beats, enrol, enrolment, rotate
from tests.fleet import World
from tests.refusals import UPDATE

NOT_FINITE = encode({**UPDATE, "layer.bias": np.full(3, np.nan, "f4")})

# ---- scopes


def test_a_token_admits_only_the_device_types_of_its_scope(world: World) -> None:
    token = world.operator.mint_token(5, device_types=["iot", "edge"]).token
    assert enrol(world, enrolment(token, "one", device_type="iot"))[0] == 201
    status, document = enrol(world, enrolment(token, "two", device_type="mobile"))
    assert (status, document["type"]) == (403, Problem.ENROLMENT_REFUSED.urn)
    (listed,) = world.operator.tokens()
    assert listed.claimed == 1, "a refused device takes no use"


def test_a_model_outside_a_clients_scope_does_not_exist_for_it(world: World) -> None:
    for name in ("toy", "secret"):
        world.model(name)
    world.tick()
    _, reply = enrol(world, enrolment(world.operator.mint_token(1, models=["toy"]).token))
    key = reply["key"]

    def answers(model: str) -> list[httpx_answer]:
        return [
            (response.status_code, response.json().get("type"))
            for response in (
                world.request("POST", "/v1/heartbeat", key=key, body={"model": model}),
                world.request("POST", f"/v1/models/{model}/checkin", key=key, body={}),
                world.request("GET", f"/v1/models/{model}", key=key),
            )
        ]

    assert answers("toy") == [(200, None)] * 3
    before = world.everything()
    assert answers("secret") == answers("nonsense") == [(404, Problem.UNKNOWN_MODEL.urn)] * 3
    assert world.everything() == before


httpx_answer = tuple[int, Any]

# ---- tokens


def test_a_revoked_token_admits_nobody_and_who_enrolled_with_it_stays(world: World) -> None:
    minted = world.operator.mint_token(5, label="first batch")
    _, first = enrol(world, enrolment(minted.token, "early"))
    revoked = world.operator.revoke_token(minted.token_id)
    assert (revoked.state, revoked.claimed, revoked.label) == ("revoked", 1, "first batch")
    assert world.operator.revoke_token(minted.token_id) == revoked
    assert enrol(world, enrolment(minted.token, "late"))[0] == 403
    assert world.request("POST", "/v1/heartbeat", key=first["key"], body={}).status_code == 200


def test_tokens_are_listed_page_by_page_with_what_is_left_of_them(world: World) -> None:
    minted = {world.operator.mint_token(1, label=f"batch {number}").token_id for number in range(60)}
    expired = world.operator.mint_token(1, expires_in_seconds=5)
    used = world.operator.mint_token(1)
    enrol(world, enrolment(used.token))
    world.clock.advance(5)
    found = list(world.operator.tokens())
    assert {t.token_id for t in found} == minted | {expired.token_id, used.token_id}
    assert len(found) == 62
    assert Counter(t.state for t in found) == {"active": 60, "expired": 1, "used-up": 1}
    assert not [t for t in found if used.token.partition(".")[2] in t.model_dump_json()]


def test_an_unknown_token_is_answered_with_what_is_near(world: World) -> None:
    minted = world.operator.mint_token(1)
    with pytest.raises(Refused, match=f"perhaps {minted.token_id}") as refused:
        world.operator.revoke_token(minted.token_id[:-1] + "x")
    assert refused.value.problem is Problem.UNKNOWN_TOKEN


# ---- keys


def test_a_rotated_key_takes_the_place_of_the_old_one(world: World) -> None:
    _, first = enrol(world, enrolment(world.token()))
    status, second = rotate(world, first["key"])
    assert status == 200
    assert second["key"] != first["key"]
    assert (beats(world, first["key"]), beats(world, second["key"])) == (401, 200)


def test_a_rotation_whose_reply_was_lost_has_the_same_answer_and_nothing_else_works_with_the_old_key(world: World) -> None:
    _, first = enrol(world, enrolment(world.token()))
    answer = rotate(world, first["key"])
    assert rotate(world, first["key"]) == answer
    assert rotate(world, first["key"], PROOF)[0] == 401, "another rotation with the old key"
    third = rotate(world, answer[1]["key"], PROOF)
    assert third[0] == 200
    assert rotate(world, first["key"])[0] == 401, "a rotation that another has followed"
    assert beats(world, third[1]["key"]) == 200


def test_a_place_in_a_round_goes_along_with_the_new_key(world: World) -> None:
    world.model(goal=1, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    assignment = device.check_in()
    assert assignment.kind == "train"
    _, reply = rotate(world, world.key_of(device))
    grant = world.request(
        "POST",
        f"/v1/rounds/{assignment.round}/upload",
        key=reply["key"],
        body={"bytes": 400, "sha256": "0" * 64, "examples": 1},
    )
    assert grant.status_code == 200


def test_a_device_rotates_its_key_and_keeps_the_new_one_over_a_restart(world: World) -> None:
    (device,) = world.devices(1)
    old = world.key_of(device)
    device.rotate_key()
    new = world.key_of(device)
    assert new != old
    assert (beats(world, old), beats(world, new)) == (401, 200)
    again = world.device("no token is needed", device.client_id)
    assert world.key_of(again) == new


def test_a_device_that_died_in_a_rotation_ends_it_at_its_next_start(world: World) -> None:
    (device,) = world.devices(1)
    old = world.key_of(device)

    def dies(operation: str, proceed: Any) -> Any:
        proceed()
        raise KeyboardInterrupt

    world.calls.between = dies
    with pytest.raises(KeyboardInterrupt):
        device.rotate_key()
    world.calls.between = None
    assert beats(world, old) == 401
    again = world.device("no token is needed", device.client_id)
    assert world.key_of(again) != old
    assert beats(world, world.key_of(again)) == 200


def test_a_client_changes_what_it_says_of_itself_and_only_that(world: World) -> None:
    _, reply = enrol(world, enrolment(world.token(), capabilities={"memory_mb": 512}))
    body = {"sdk_version": "2.0", "capabilities": {"gpu": True}}
    answer = world.request("PUT", "/v1/clients/me", key=reply["key"], body=body)
    assert answer.json() == {"client_id": "thermostat-7", "device_type": "iot", **body}
    shown = world.operator.client("thermostat-7")
    assert (shown.sdk_version, shown.capabilities, shown.device_type) == ("2.0", {"gpu": True}, "iot")
    refused = world.request("PUT", "/v1/clients/me", key=reply["key"], body={**body, "device_type": "edge"})
    assert (refused.status_code, refused.json()["type"]) == (422, Problem.INVALID_BODY.urn)


# ---- the size of the fleet


def test_the_fleet_has_exactly_as_many_clients_as_it_may_have() -> None:
    world = World(max_clients=3)
    try:
        token = world.token()
        answers = [enrol(world, enrolment(token, f"client-{number}")) for number in range(5)]
        assert [status for status, _ in answers] == [201, 201, 201, 403, 403]
        assert answers[3][1]["type"] == Problem.FLEET_FULL.urn
        assert enrol(world, enrolment(token, "client-1"))[0] == 201, "who is in may ask again"
        world.operator.revoke("client-0")
        world.operator.revoke("client-0")
        assert [enrol(world, enrolment(token, f"client-{number}"))[0] for number in (3, 4)] == [201, 403]
    finally:
        world.close()


def test_an_enrolment_whose_response_was_lost_counts_once() -> None:
    world = World(max_clients=2)
    try:
        token = world.token()
        world.calls.between = lambda _, proceed: (proceed(), proceed())[1]
        assert [enrol(world, enrolment(token, f"client-{number}"))[0] for number in range(3)] == [201, 201, 403]
        world.operator.revoke("client-0")
        world.calls.between = None
        assert [enrol(world, enrolment(token, f"client-{number}"))[0] for number in (2, 3)] == [201, 403]
    finally:
        world.close()


# ---- credit


def test_rounds_and_samples_are_counted_once_for_each_accepted_update(world: World) -> None:
    world.model(rounds=2, goal=2, quorum=2)
    devices = world.devices(3)
    for _ in range(2):
        world.tick()
        world.update(devices[0], examples=10)
        world.update(devices[1], examples=30)
        devices[2].check_in()
        devices[2].submit(str(world.services.rounds.latest("toy").id), NOT_FINITE, 5, {})  # type: ignore[union-attr]
        world.deliver()
        for device in devices[:2]:
            world.services.inspector.inspect(world.services.rounds.latest("toy").id, device.client_id)  # type: ignore[union-attr]
        world.play(devices)
        world.clock.advance(60)
    shown = [world.operator.client(device.client_id) for device in devices]
    assert [(c.rounds, c.samples) for c in shown] == [(2, 20), (2, 60), (0, 0)]


def test_an_inspection_that_died_before_it_counted_is_ended_by_the_next(world: World) -> None:
    world.model(goal=2, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    world.update(device, examples=7)
    calls: list[str] = []

    def dies(operation: str, proceed: Any) -> Any:
        calls.append(operation)
        if calls.count("UpdateItem") == 2:
            raise KeyboardInterrupt
        return proceed()

    world.calls.between = dies
    with pytest.raises(KeyboardInterrupt):
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    world.calls.between = None
    assert world.operator.client(device.client_id).rounds == 0
    world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    shown = world.operator.client(device.client_id)
    assert (shown.rounds, shown.samples) == (1, 7)


def test_two_inspections_at_once_both_count(world: World) -> None:
    _, _ = enrol(world, enrolment(world.token()))
    reputation = world.services.reputation

    def rival(operation: str, proceed: Any) -> Any:
        if operation == "UpdateItem":
            world.calls.between = None
            reputation.credit("thermostat-7", "other.1", 5)
        return proceed()

    world.calls.between = rival
    reputation.credit("thermostat-7", "toy.1", 10)
    shown = world.operator.client("thermostat-7")
    assert (shown.rounds, shown.samples) == (2, 15)


def test_a_client_row_does_not_grow_with_its_rounds(world: World) -> None:
    enrol(world, enrolment(world.token()))
    for number in range(REMEMBERED_ROUNDS + 5):
        world.services.reputation.credit("thermostat-7", f"toy.{number}", 1)
    client = world.services.clients.get("thermostat-7")
    assert client
    assert client.rounds == REMEMBERED_ROUNDS + 5
    assert len(client.credited) == REMEMBERED_ROUNDS


# ---- the census


def test_statistics_are_counted_from_the_clients_and_age_with_the_heartbeats(world: World) -> None:
    world.model()
    assert world.operator.statistics().counted_at is None
    token = world.token()
    keys_ = [
        enrol(world, enrolment(token, f"c-{n}", device_type=t))[1]["key"]
        for n, t in enumerate(["iot", "iot", "edge", "mobile"])
    ]
    world.operator.revoke("c-3")
    world.monitor()
    found = world.operator.statistics()
    assert (found.clients, found.active, found.revoked, found.by_device_type) == (3, 3, 1, {"iot": 2, "edge": 1})
    assert found.by_sdk_version == {"0.1.0": 3}
    assert found.counted_at == world.clock()
    world.clock.advance(found.heartbeat_timeout_seconds)
    world.request("POST", "/v1/heartbeat", key=keys_[0], body={"model": "toy"})
    world.clock.advance(1)
    world.monitor()
    found = world.operator.statistics()
    assert (found.clients, found.active, found.active_by_model) == (3, 1, {"toy": 1})
    assert [c.client_id for c in world.operator.clients(alive=True)] == ["c-0"]


def row(state: str = "active", **more: Any) -> dict[str, Any]:
    return {"state": state, "device_type": "iot", "last_seen_at": text(ManualClock().now), "rounds": 1, "samples": 2, **more}


@given(
    st.lists(
        st.tuples(st.sampled_from(["active", "revoked"]), st.sampled_from(["iot", "edge"]), st.integers(0, 9)), max_size=40
    )
)
def test_the_sum_of_the_shards_is_the_count_of_the_whole(clients: list[tuple[str, str, int]]) -> None:
    rows = [row(state, device_type=kind, sdk_version=f"0.{number}", rounds=number) for state, kind, number in clients]
    whole = count(0, rows, ManualClock().now, 60)
    parts = total(count(n, rows[n::3], ManualClock().now, 60) for n in range(3))
    assert parts
    for name in ("clients", "active", "revoked", "by_device_type", "by_sdk_version", "active_by_model", "rounds", "samples"):
        assert getattr(parts, name) == getattr(whole, name)


def test_a_fleet_of_a_thousand_device_types_and_releases_has_a_short_tally() -> None:
    rows = [row(device_type=f"type-{number}", sdk_version=f"0.{number}") for number in range(1000)]
    tally = count(0, rows, ManualClock().now, 60)
    for counts in (tally.by_device_type, tally.by_sdk_version):
        assert len(counts) == MOST_NAMES + 1
        assert sum(counts.values()) == 1000


# ---- lists


def test_clients_are_listed_page_by_page_each_once(world: World) -> None:
    token = world.operator.mint_token(200).token
    names = {f"device-{number:03d}" for number in range(120)}
    for name in names:
        enrol(world, enrolment(token, name))
    found = [client.client_id for client in world.operator.clients()]
    assert len(found) == 120
    assert set(found) == names
    assert {keys.shard(name) for name in names} == {f"{number:02d}" for number in range(keys.SHARDS)}


def test_clients_are_listed_by_what_is_wanted(world: World) -> None:
    token = world.operator.mint_token(10).token
    for name, kind in (("a-1", "iot"), ("a-2", "edge"), ("a-3", "edge")):
        enrol(world, enrolment(token, name, device_type=kind))
    world.operator.revoke("a-3")

    def ids(**only: Any) -> set[str]:
        return {client.client_id for client in world.operator.clients(**only)}

    assert ids(device_type="edge") == {"a-2", "a-3"}
    assert ids(device_type="edge", state="active") == {"a-2"}
    assert ids(state="revoked") == ids(alive=False) == {"a-3"}
    assert ids(model="toy") == set()


def test_an_unknown_client_is_answered_with_what_is_near(world: World) -> None:
    for name in ("thermostat-7", "thermostat-8", "boiler-1"):
        enrol(world, enrolment(world.token(), name))
    for call in (world.operator.client, world.operator.revoke):
        with pytest.raises(Refused) as refused:
            call("thermostat-9")
        assert refused.value.problem is Problem.UNKNOWN_CLIENT
        assert "perhaps thermostat-" in str(refused.value.document.expected)
