"""One row that cannot be read stops nothing else: it is named, counted, and passed over; a round of that kind is taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.monitoring.threshold import defaults
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from muster.device import Device
from muster.http.errors import Refused
from tests.fleet import SESSION, World

Damage = Callable[[dict[str, Any]], None]


def rewrite(world: World, kind: keys.RowKind, damage: Damage, **parts: object) -> None:
    """Change a row by hand, attribute by attribute."""
    table = SESSION.resource("dynamodb").Table(getattr(world.settings, f"{kind.table}_table"))
    item = table.get_item(Key=kind.key(**parts))["Item"]
    damage(item)
    table.put_item(Item=item)


def of_another_release(item: dict[str, Any]) -> None:
    for name in (
        "phase",
        "state",
        "at",
        "assigned_at",
        "created_at",
        "key_hash",
        "config",
        "value",
        "enrolled_at",
        "expires_at",
    ):
        if name in item:
            item[name] = "of another release"


def without_a_member(item: dict[str, Any]) -> None:
    needed = {
        "number",
        "assigned_at",
        "last_seen_at",
        "created_at",
        "revision",
        "enrolled_at",
        "expires_at",
        "label",
    } & item.keys()
    for name in needed:
        del item[name]


def of_other_kinds(item: dict[str, Any]) -> None:
    for name in set(item) - {"pk", "sk", "op_id"}:
        item[name] = {1, 2, 3}


DAMAGES = [of_another_release, without_a_member, of_other_kinds]
anyhow = pytest.mark.parametrize("damage", DAMAGES)


def passed_over(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The sort keys of the rows that the log names as passed over."""
    return {vars(record)["sk"] for record in caplog.records if record.getMessage() == "row passed over"}


def collecting(world: World, **config: Any) -> list[Device]:
    """A round with three accepted updates, which waits for its deadline."""
    devices = world.devices(3)
    world.model(**{"goal": 5, "quorum": 2, "evaluators": 0, "rounds": 3, **config})
    world.tick()
    for device in devices:
        world.update(device)
    world.deliver()
    return devices


def end(world: World) -> None:
    world.clock.advance(4000)
    world.tick()


# ---- receipts


@anyhow
def test_a_receipt_that_cannot_be_read_counts_as_nothing_and_its_round_ends(
    world: World, caplog: pytest.LogCaptureFixture, damage: Damage
) -> None:
    devices = world.relive(collecting)
    rewrite(world, keys.RECEIPT, damage, round="toy.1", client=devices[0].client_id)
    assert world.operator.round("toy", 1).accepted == 2
    assert passed_over(caplog) == {f"receipt#{devices[0].client_id}"}
    end(world)
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.accepted, rnd.version) == ("completed", 2, 1)
    assert world.operator.round("toy", 2).phase == "collecting"


@anyhow
def test_a_device_whose_receipt_cannot_be_read_is_answered_and_so_are_the_others(world: World, damage: Damage) -> None:
    devices = world.relive(collecting)
    rewrite(world, keys.RECEIPT, damage, round="toy.1", client=devices[0].client_id)
    key = world.key_of(devices[0])
    report = {"sha256": "0" * 64}
    grant = {"bytes": 400, "sha256": "0" * 64, "examples": 1}
    assert world.request("GET", "/v1/rounds/toy.1/report", key=key).json()["type"].endswith("not-assigned")
    for path, body in (("report", report), ("upload", grant)):
        assert world.request("POST", f"/v1/rounds/toy.1/{path}", key=key, body=body).status_code < 500
    assert devices[0].check_in().kind == "wait"
    assert devices[1].receipt("toy.1").state == "accepted"
    assert not world.services.inspector.inspect(RoundId("toy", 1), devices[0].client_id)
    assert world.operator.revoke(devices[0].client_id).state == "revoked"


@anyhow
def test_a_judge_that_cannot_be_read_is_no_judge(world: World, damage: Damage) -> None:
    devices = world.relive(collecting, goal=3, evaluators=2)
    world.clock.advance(60)
    world.judge(devices[:2])
    rewrite(world, keys.EVALUATION, damage, round="toy.1", client=devices[0].client_id)
    assert world.operator.round("toy", 1).evaluations == 1
    assert devices[0].check_in().kind == "wait"
    end(world)
    assert world.operator.round("toy", 1).phase == "completed"


# ---- rounds


@anyhow
def test_a_round_that_cannot_be_read_stops_no_list_no_status_and_no_tick(
    world: World, caplog: pytest.LogCaptureFixture, damage: Damage
) -> None:
    world.relive(collecting)
    world.model("other", quorum=1, goal=1)
    rewrite(world, keys.ROUND, damage, model="toy", number=1)
    world.tick()
    world.deliver()
    assert passed_over(caplog) == {"round#00000001"}
    assert world.operator.round("other", 1).phase == "collecting"
    (listed,) = world.operator.rounds("toy")
    assert (listed.number, listed.phase, listed.base_version, listed.opened_at) == (1, "unreadable", None, None)
    assert "muster round abandon toy 1" in str(listed.reason)
    assert world.operator.round("toy", 1) == listed
    assert world.operator.status("toy").round == listed
    assert [v.version for v in world.operator.versions("toy")] == [0]
    with pytest.raises(Refused, match="cannot be read"):
        world.operator.round_files("toy", 1)
    assert world.operator.stop("toy").training.state == "stopped"
    world.monitor()


@anyhow
def test_devices_of_a_model_whose_round_cannot_be_read_are_told_to_wait(world: World, damage: Damage) -> None:
    (device, *_) = world.relive(collecting)
    rewrite(world, keys.ROUND, damage, model="toy", number=1)
    world.restart()
    (fresh,) = world.devices(1)
    assert fresh.check_in().kind == "wait"
    beat = world.request("POST", "/v1/heartbeat", key=world.key_of(fresh), body={"model": "toy"})
    assert beat.json()["work"]
    assert world.request("GET", "/v1/models/toy", key=world.key_of(device)).status_code == 200
    grant = {"bytes": 400, "sha256": "0" * 64, "examples": 1}
    assert world.request("POST", "/v1/rounds/toy.1/upload", key=world.key_of(fresh), body=grant).status_code < 500


@anyhow
def test_a_round_that_cannot_be_read_is_taken_away_and_the_next_starts_from_what_is_deployed(
    world: World, damage: Damage
) -> None:
    devices = world.relive(collecting)
    end(world)
    world.update(devices[0])
    world.deliver()
    rewrite(world, keys.ROUND, damage, model="toy", number=2)
    taken = world.operator.abandon("toy", 2, "its row was damaged")
    assert (taken.phase, taken.reason, taken.number) == ("abandoned", "its row was damaged", 2)
    assert world.operator.abandon("toy", 2) == taken
    world.tick()
    receipt = world.services.rounds.receipt(RoundId("toy", 2), devices[0].client_id)
    assert receipt
    assert receipt.verdict
    assert (receipt.state.value, receipt.verdict.reason) == ("late", "round-abandoned")
    following = world.operator.round("toy", 3)
    assert (following.phase, following.base_version) == ("collecting", 0)
    assert world.operator.status("toy").training.rounds_completed == 1


def test_a_round_that_completed_and_can_no_longer_be_read_still_counts_and_keeps_what_it_came_to(world: World) -> None:
    world.relive(collecting)
    end(world)
    assert world.operator.round("toy", 2).phase == "collecting"

    def damage(item: dict[str, Any]) -> None:
        item["config"] = "{}"

    rewrite(world, keys.ROUND, damage, model="toy", number=1)
    assert world.operator.round("toy", 2).phase == "collecting"
    taken = world.operator.abandon("toy", 1)
    assert (taken.phase, taken.accepted, taken.version) == ("abandoned", 3, 1)
    rewrite(world, keys.ROUND, damage, model="toy", number=2)
    world.operator.abandon("toy", 2)
    world.tick()
    assert world.operator.status("toy").training.rounds_completed == 1
    assert world.operator.round("toy", 3).phase == "collecting"


def test_a_round_that_somebody_mended_meanwhile_is_not_taken_away(world: World) -> None:
    world.relive(collecting)
    table = SESSION.resource("dynamodb").Table(world.settings.rounds_table)
    whole = table.get_item(Key=keys.ROUND.key(model="toy", number=1))["Item"]
    rewrite(world, keys.ROUND, of_another_release, model="toy", number=1)

    def mend(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "PutItem":
            world.calls.between = None
            table.put_item(Item={**whole, "op_id": "mended", "phase": "aggregating", "fence": 1})
        return proceed()

    world.calls.between = mend
    assert world.operator.abandon("toy", 1).accepted == 3
    rnd = world.services.rounds.get("toy", 1)
    assert rnd
    assert (rnd.phase, rnd.fence) == (Phase.ABANDONED, 2), "it was read again, and ended as any other"


# ---- what else is listed


@anyhow
def test_lists_pass_over_what_cannot_be_read_and_go_on_after_it(world: World, damage: Damage) -> None:
    devices = world.relive(collecting)
    end(world)
    world.operator.deploy("toy", 1, revision=1)
    rewrite(world, keys.VERSION, damage, model="toy", version=1)
    rewrite(world, keys.DEPLOYMENT, damage, model="toy", revision=1)
    rewrite(world, keys.CLIENT, damage, shard=keys.shard(devices[1].client_id), client=devices[1].client_id)
    token = world.operator.mint_token(1).token_id
    rewrite(world, keys.TOKEN, damage, token=token)
    assert [v.version for v in world.operator.versions("toy")] == [0]
    assert [d.revision for d in world.operator.deployments("toy")] == [2]
    assert {c.client_id for c in world.operator.clients()} == {devices[0].client_id, devices[2].client_id}
    assert token not in {t.token_id for t in world.operator.tokens()}
    assert world.operator.status("toy").newest_version == 1


def test_a_model_whose_newest_version_cannot_be_read_makes_the_next_one_all_the_same(world: World) -> None:
    devices = world.relive(collecting, max_regression=1.0)
    end(world)
    rewrite(world, keys.VERSION, of_another_release, model="toy", version=1)
    world.operator.deploy("toy", 0, revision=1)
    world.operator.abandon("toy", 2)
    world.tick()
    registered = world.operator.register("toy", world.operator.download(world.operator.version("toy", 0).checkpoint))
    assert registered.version in (0, 2)
    assert devices


def test_a_model_that_cannot_be_read_does_not_keep_the_others_waiting(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.model("broken")
    world.model("toy", goal=1, quorum=1)
    rewrite(world, keys.MODEL, of_another_release, model="broken")
    world.tick()
    world.monitor()
    assert passed_over(caplog) == {"model#broken"}
    assert world.operator.round("toy", 1).phase == "collecting"
    assert [m.model for m in world.operator.models()] == ["toy"]


# ---- it is told


@anyhow
@pytest.mark.parametrize("kind", [keys.ROUND, keys.RECEIPT, keys.VERSION, keys.MODEL, keys.CLIENT])
def test_a_row_that_cannot_be_read_opens_an_alert_which_ends_when_it_is_mended(
    world: World, kind: keys.RowKind, damage: Damage
) -> None:
    devices = world.relive(collecting)
    world.monitor()
    alerts = world.services.monitoring.alerts
    assert "unreadable_rows" not in alerts("toy")
    parts = {"model": "toy", "number": 1, "version": 0, "round": "toy.1", "client": devices[0].client_id,
             "shard": keys.shard(devices[0].client_id)}  # fmt: skip
    kept: dict[str, Any] = {}

    def spoil(item: dict[str, Any]) -> None:
        kept.update(item)
        damage(item)

    rewrite(world, kind, spoil, **parts)
    world.clock.advance(300)
    world.monitor()
    alert = alerts("toy")["unreadable_rows"]
    assert (alert.value, alert.sentence) == (1, "unreadable_rows of toy is 1, above 0")
    rewrite(world, kind, lambda item: item.update(kept), **parts)
    world.clock.advance(300)
    world.monitor()
    assert alerts("toy")["unreadable_rows"].cleared_at


def test_the_places_of_a_round_that_is_over_are_read_no_more(world: World) -> None:
    devices = world.relive(collecting)
    end(world)
    rewrite(world, keys.RECEIPT, of_another_release, round="toy.1", client=devices[0].client_id)
    assert world.services.rounds.unreadable("toy") == 0


def test_rows_that_cannot_be_read_are_watched_by_default() -> None:
    assert [t.maximum for t in defaults("toy", None, trains=False) if t.metric == "unreadable_rows"] == [0.0]


def test_the_rounds_around_one_that_cannot_be_read_are_recorded(world: World) -> None:
    devices = world.relive(collecting)
    end(world)
    for device in devices:
        world.update(device)
    world.deliver()
    end(world)
    rewrite(world, keys.ROUND, of_another_release, model="toy", number=1)
    world.monitor()
    assert [point.round for point in world.operator.metric("toy", "accepted_updates").points] == [2]
