"""Versions and deployments as operators handle them, over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chalicelib.rounds.moves import Phase
from muster.http.errors import Refused
from muster.wire import admin
from muster.wire.arrays import Array, encode
from muster.wire.problems import Problem
from tests.fleet import BASE, World, checkpoint


@pytest.fixture
def model(world: World) -> str:
    return world.model(rounds=0)


def present(world: World) -> int:
    return world.operator.status("toy").deployment_revision


def deploy(world: World, ref: str | int) -> admin.DeploymentReply:
    return world.operator.deploy("toy", ref, revision=present(world))


def rollback(world: World, steps: int = 1) -> admin.DeploymentReply:
    return world.operator.rollback("toy", steps, revision=present(world))


def states(world: World) -> dict[int, str]:
    return {version.version: version.state for version in world.operator.versions("toy")}


def everything(world: World) -> Any:
    return world.everything()


# ---- register


def test_a_registered_version_is_staged_and_knows_its_lineage(world: World, model: str) -> None:
    data = checkpoint(1)
    made = world.operator.register(model, data, {"accuracy": 0.7}, "from the lab")
    assert (made.id, made.version, made.state, made.parent, made.round, made.base) == ("toy.v1", 1, "staged", 0, None, None)
    assert (made.metrics, made.note, made.aliases) == ({"accuracy": 0.7}, "from the lab", ["challenger"])
    assert made.checkpoint.sha256 == hashlib.sha256(data).hexdigest()
    assert made.created_at == world.clock()
    assert made.config == world.operator.status(model).config
    assert world.operator.download(made.checkpoint) == data
    assert b'"note":"from the lab"' in world.operator.document(made)


def test_the_same_checkpoint_again_is_the_same_version_and_with_other_words_refused(world: World, model: str) -> None:
    first = world.operator.register(model, checkpoint(1), {"accuracy": 0.7})
    before = everything(world)
    again = world.operator.register(model, checkpoint(1), {"accuracy": 0.7})
    assert (again.id, again.document_sha256, again.created_at) == (first.id, first.document_sha256, first.created_at)
    with pytest.raises(Refused) as refused:
        world.operator.register(model, checkpoint(1), {"accuracy": 0.8})
    assert refused.value.problem is Problem.VERSION_EXISTS
    assert "0.7" in str(refused.value)
    assert everything(world) == before


def test_a_version_with_a_metric_too_small_for_a_row_may_be_registered_again_like_any_other(world: World, model: str) -> None:
    made = [world.operator.register(model, checkpoint(1), {"loss": 1e-200}) for _ in range(2)]
    assert made[0].version == made[1].version == 1
    assert made[0].metrics == {"loss": 0.0}
    assert b'"metrics":{"loss":0.0}' in world.operator.document(made[0]), "the document says what the row says"


def test_versions_that_are_made_within_one_second_have_ids_of_their_own(world: World, model: str) -> None:
    ids = [world.operator.register(model, checkpoint(number)).id for number in range(1, 6)]
    assert ids == [f"toy.v{number}" for number in range(1, 6)]


MISFITS: list[tuple[dict[str, Array], str]] = [
    ({**BASE, "extra": np.zeros(2, np.float32)}, "wrong-tensors"),
    ({name: array for name, array in BASE.items() if name != "layer.bias"}, "wrong-tensors"),
    ({**BASE, "layer.bias": np.zeros(4, np.float32)}, "wrong-shape"),
    ({**BASE, "layer.bias": np.zeros(3, np.float64)}, "wrong-dtype"),
    ({**BASE, "layer.bias": np.array([0, np.inf, 0], np.float32)}, "not-finite"),
]


@pytest.mark.parametrize(("tensors", "reason"), MISFITS)
def test_a_file_that_is_not_this_models_is_refused_and_nothing_changes(
    world: World, model: str, tensors: dict[str, Array], reason: str
) -> None:
    rows, _ = everything(world)
    with pytest.raises(Refused, match=reason) as refused:
        world.operator.register(model, encode(tensors))
    assert refused.value.problem is Problem.CHECKPOINT_UNFIT
    assert everything(world)[0] == rows


def test_a_metric_that_json_cannot_hold_is_refused_by_its_name(world: World, model: str) -> None:
    body = b'{"checkpoint": {"bytes": 350, "sha256": "%s"}, "metrics": {"loss": Infinity}}' % (b"0" * 64)
    document = world.request("POST", "/v1/admin/models/toy/versions", body=body).json()
    assert (document["status"], document["type"]) == (422, Problem.INVALID_BODY.urn)
    assert "metrics.loss" in document["detail"]


def test_a_number_that_somebody_else_took_is_chosen_again(world: World, model: str) -> None:
    def rival(operation: str, proceed: Any) -> Any:
        if operation == "TransactWriteItems":
            world.calls.between = None
            world.operator.register(model, checkpoint(9))
        return proceed()

    world.calls.between = rival
    assert world.operator.register(model, checkpoint(1)).version == 2
    assert states(world) == {2: "staged", 1: "staged", 0: "deployed"}


def test_one_checkpoint_registered_by_two_at_once_is_one_version(world: World, model: str) -> None:
    """The rival comes after the look for an earlier registration, and before the next number is chosen."""

    def rival(operation: str, proceed: Any) -> Any:
        if operation == "Query":
            world.calls.between = None
            world.operator.register(model, checkpoint(1))
        return proceed()

    world.calls.between = rival
    assert world.operator.register(model, checkpoint(1)).version == 1
    assert states(world) == {1: "staged", 0: "deployed"}


# ---- find and list


def test_a_version_is_found_by_number_id_alias_and_state(world: World, model: str) -> None:
    for number in (1, 2, 3):
        world.operator.register(model, checkpoint(number))
    deploy(world, 1)
    deploy(world, 2)
    rollback(world)
    found = {ref: world.operator.version(model, ref).version for ref in (
        2, "toy.v2", "champion", "challenger", "newest", "deployed", "staged", "retired", "rolled-back",
    )}  # fmt: skip
    assert found == {
        2: 2, "toy.v2": 2, "champion": 1, "challenger": 3, "newest": 3, "deployed": 1, "staged": 3, "retired": 0,
        "rolled-back": 2,
    }  # fmt: skip
    assert world.operator.version(model, "champion").aliases == ["champion"]


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("7", "0 to 1"), ("toy.v7", "0 to 1"), ("champoin", "perhaps champion"),
        ("challenger", "no version of toy is challenger"),
        ("rolled-back", "rolled-back now"), ("rolledback", "rolled-back"), ("other.v1", "a number from 0 to 1"),
    ],
)  # fmt: skip
def test_an_unknown_version_is_answered_with_what_is_near(world: World, model: str, ref: str, told: str) -> None:
    world.operator.register(model, checkpoint(1))
    deploy(world, 1)
    with pytest.raises(Refused) as refused:
        world.operator.version(model, ref)
    assert refused.value.problem is Problem.UNKNOWN_VERSION
    assert told in str(refused.value.document.expected)


def test_versions_are_listed_by_state_newest_first_page_by_page(world: World, model: str) -> None:
    ref = world.operator.register(model, checkpoint(1))
    row = world.services.registry.version(model, 1)
    assert row
    for number in range(2, 131):
        put = world.services.registry.put_version(_copy(row, number))
        put.table.put(put)
    deploy(world, 65)
    assert [v.version for v in world.operator.versions(model)] == list(range(130, -1, -1))
    assert [v.version for v in world.operator.versions(model, "deployed")] == [65]
    staged = [v.version for v in world.operator.versions(model, "staged")]
    assert staged == [number for number in range(130, 0, -1) if number != 65]
    page = world.request("GET", "/v1/admin/models/toy/versions?before=10&state=staged").json()
    assert ([v["version"] for v in page["versions"]], page["before"]) == (list(range(9, 0, -1)), None)
    assert world.operator.version(model, "challenger").version == 130
    assert ref.version == 1


def _copy(row: Any, number: int) -> Any:
    return replace(row, number=number, checkpoint=replace(row.checkpoint, version=number))


def test_a_page_before_the_first_is_empty(world: World, model: str) -> None:
    for path, items in (
        ("versions?before=0", "versions"),
        ("deployments?before=1", "deployments"),
        ("rounds?before=0", "rounds"),
    ):
        assert world.request("GET", f"/v1/admin/models/toy/{path}").json() == {items: [], "before": None}


@pytest.mark.parametrize("query", ["state=lost", "before=-1", "before=x", "after=3", "state=staged&nonsense=1"])
def test_a_query_that_makes_no_sense_is_refused_by_the_name_of_its_parameter(world: World, model: str, query: str) -> None:
    document = world.request("GET", f"/v1/admin/models/toy/versions?{query}").json()
    assert (document["status"], document["type"]) == (422, Problem.INVALID_QUERY.urn)
    assert query.rpartition("&")[2].partition("=")[0] in document["detail"]


# ---- deploy and roll back


def test_a_deployment_serves_devices_and_a_rollback_takes_it_back(world: World, model: str) -> None:
    (device,) = world.devices(1)
    world.operator.register(model, checkpoint(1))
    made = deploy(world, "challenger")
    assert (made.revision, made.version, made.kind, made.previous, made.by, made.round) == (2, 1, "deployed", 1, "local", None)
    world.clock.advance(10)
    assert device.model()[0] == 1
    back = rollback(world)
    assert (back.revision, back.version, back.kind, back.left, back.previous) == (3, 0, "rolled-back", [1], None)
    world.clock.advance(10)
    assert device.model()[0] == 0
    assert states(world) == {1: "rolled-back", 0: "deployed"}
    assert [d.version for d in world.operator.deployments(model)] == [0, 1, 0]


def test_the_same_deployment_or_rollback_sent_again_is_made_once(world: World, model: str) -> None:
    for number in (1, 2):
        world.operator.register(model, checkpoint(number))
    deploy(world, 1)
    first = world.operator.deploy(model, 2, revision=2)
    assert world.operator.deploy(model, 2, revision=2) == first
    back = world.operator.rollback(model, revision=3)
    assert world.operator.rollback(model, revision=3) == back
    deploy(world, 2)
    assert world.operator.rollback(model, revision=3) == back, "also when something else was deployed since"
    assert [d.version for d in world.operator.deployments(model)] == [2, 1, 2, 1, 0]


def test_a_rollback_whose_response_was_lost_is_made_once(world: World, model: str) -> None:
    world.operator.register(model, checkpoint(1))
    deploy(world, 1)
    world.calls.between = lambda _, proceed: (proceed(), proceed())[1]
    assert rollback(world).version == 0
    assert len(list(world.operator.deployments(model))) == 3


def test_to_deploy_what_is_deployed_changes_nothing(world: World, model: str) -> None:
    before = everything(world)
    assert deploy(world, 0).revision == 1
    assert everything(world) == before


def test_who_saw_an_older_revision_is_told_what_is_there_and_changes_nothing(world: World, model: str) -> None:
    for number in (1, 2):
        world.operator.register(model, checkpoint(number))
    deploy(world, 1)
    before = everything(world)
    late: tuple[Callable[[], object], ...] = (
        lambda: world.operator.deploy(model, 2, revision=1),
        lambda: world.operator.deploy(model, 0, revision=1),
        lambda: world.operator.deploy(model, 2, revision=99),
        lambda: world.operator.rollback(model, revision=99),
    )
    for lose in late:
        with pytest.raises(Refused) as refused:
            lose()
        assert refused.value.problem is Problem.DEPLOYMENT_MOVED
        assert "revision 2: version 1, deployed at 2026-01-01T12:00:00.000000Z by local" in str(refused.value.document.expected)
    assert everything(world) == before


def test_of_two_operators_at_once_one_wins_and_the_other_is_told(world: World, model: str) -> None:
    for number in (1, 2):
        world.operator.register(model, checkpoint(number))

    def rival(operation: str, proceed: Any) -> Any:
        if operation == "TransactWriteItems":
            world.calls.between = None
            world.operator.deploy(model, 2, revision=1)
        return proceed()

    world.calls.between = rival
    with pytest.raises(Refused, match="version 2") as refused:
        world.operator.deploy(model, 1, revision=1)
    assert refused.value.problem is Problem.DEPLOYMENT_MOVED
    assert states(world) == {2: "deployed", 1: "staged", 0: "retired"}


def test_nothing_to_roll_back_to_is_refused_by_name(world: World, model: str) -> None:
    world.operator.register(model, checkpoint(1))
    deploy(world, 1)
    before = everything(world)
    with pytest.raises(Refused, match="at most 1 steps") as refused:
        rollback(world, 2)
    assert refused.value.problem is Problem.NOTHING_TO_ROLL_BACK_TO
    assert everything(world) == before


def test_a_dry_run_says_what_would_happen_and_changes_nothing(world: World, model: str) -> None:
    world.operator.register(model, checkpoint(1))
    before = everything(world)
    would = world.operator.deploy(model, 1, revision=1, dry_run=True)
    assert (would.version, would.revision) == (1, 2)
    assert everything(world) == before
    deploy(world, 1)
    before = everything(world)
    assert world.operator.rollback(model, revision=2, dry_run=True).left == [1]
    with pytest.raises(Refused, match="Something else"):
        world.operator.rollback(model, revision=1, dry_run=True)
    assert everything(world) == before


def test_a_candidate_is_in_training_until_its_round_decides_and_cannot_be_deployed(world: World) -> None:
    world.model()
    devices = world.devices(4)
    world.tick()
    for device in devices[:3]:
        world.update(device)
    world.deliver()
    world.tick()
    assert world.services.rounds.latest("toy").phase is Phase.EVALUATING  # type: ignore[union-attr]
    assert states(world) == {1: "training", 0: "deployed"}
    assert world.operator.version("toy", "training").aliases == ["challenger"]
    with pytest.raises(Refused) as refused:
        deploy(world, 1)
    assert refused.value.problem is Problem.VERSION_IN_TRAINING
    world.clock.advance(60)
    world.judge(devices)
    world.tick()
    assert states(world) == {1: "deployed", 0: "retired"}


def test_an_operator_may_deploy_what_a_round_left_staged(world: World) -> None:
    world.model(min_gain=0.9)
    devices = world.devices(4)
    world.tick()
    for device in devices[:3]:
        world.update(device)
    world.play(devices)
    assert states(world) == {1: "staged", 0: "deployed"}
    assert deploy(world, "challenger").version == 1
    assert states(world) == {1: "deployed", 0: "retired"}


def test_a_round_that_an_operator_overtook_leaves_its_candidate_staged(world: World) -> None:
    world.model()
    devices = world.devices(4)
    world.operator.register("toy", checkpoint(0.01))
    world.tick()
    for device in devices[:3]:
        world.update(device)
    world.deliver()
    world.tick()
    deploy(world, 1)
    world.clock.advance(60)
    world.judge(devices)
    world.tick()
    assert states(world) == {2: "staged", 1: "deployed", 0: "retired"}
    assert "another version was deployed" in str(world.operator.round("toy", 1).reason)


def test_a_round_that_is_abandoned_while_it_evaluates_keeps_its_version_and_what_it_counted(world: World) -> None:
    world.model()
    devices = world.devices(3)
    world.tick()
    for device in devices:
        world.update(device)
    world.deliver()
    world.tick()
    ended = world.operator.abandon("toy", 1, "enough")
    assert world.operator.abandon("toy", 1, "again").reason == ended.reason == "enough"
    world.operator.stop("toy")
    world.tick()
    assert [device.receipt("toy.1").state for device in devices] == ["accepted"] * 3
    assert states(world) == {1: "staged", 0: "deployed"}
    assert deploy(world, 1).version == 1


def test_a_round_that_is_abandoned_while_it_collects_tells_every_device_and_one_that_ended_is_not_abandoned(
    world: World,
) -> None:
    world.model(rounds=2)
    devices = world.devices(3)
    world.tick()
    world.update(devices[0])
    world.deliver()
    world.operator.abandon("toy", 1)
    world.operator.stop("toy")
    world.tick()
    assert (devices[0].receipt("toy.1").state, devices[0].receipt("toy.1").reason) == ("late", "round-abandoned")
    world.operator.start("toy", 1)
    world.tick()
    world.clock.advance(60)
    for device in devices:
        world.update(device)
    world.play(devices)
    with pytest.raises(Refused) as refused:
        world.operator.abandon("toy", 2)
    assert refused.value.problem is Problem.ROUND_ENDED
