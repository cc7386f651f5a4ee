"""The tutorial, section by section: what each method of its classes does, on the real system, over HTTP and from the terminal;
and each of its mistakes, mended. `docs/from-the-tutorial.md` is the map.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chalicelib.registry.deployment import VersionState
from chalicelib.rounds.round_id import RoundId
from muster.http.errors import Refused
from muster.wire.admin import Strategy
from muster.wire.arrays import decode, encode
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.clients.enrolling import PROOF, enrol, enrolment
from tests.fleet import BASE, Drift, World, checkpoint
from tests.operator.terminal import Terminal


@pytest.fixture
def muster(world: World) -> Terminal:
    return Terminal(world)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Four checkpoints: the base, and three that differ."""
    made = []
    for number, data in enumerate([encode(BASE), *(checkpoint(bias) for bias in (1, 2, 3))]):
        made.append(tmp_path / f"{number}.safetensors")
        made[-1].write_bytes(data)
    return made


class TestModelRegistry:
    """Part 1: model versioning."""

    @pytest.fixture(autouse=True)
    def model(self, muster: Terminal, files: list[Path]) -> None:
        muster.text("model create toy {} --goal 2 --quorum 1", files[0])

    def test_register_gives_a_staged_version_with_its_metrics_config_and_parent(
        self, world: World, muster: Terminal, files: list[Path]
    ) -> None:
        made = muster.json("version register toy {} --metric accuracy=0.7 --metric loss=1.5", files[1])
        assert (made["id"], made["state"], made["parent"]) == ("toy.v1", "staged", 0)
        assert made["metrics"] == {"accuracy": 0.7, "loss": 1.5}
        assert made["config"]["goal"] == 2
        assert datetime.fromisoformat(made["created_at"]) == world.clock()

    def test_deploy_retires_what_was_deployed(self, muster: Terminal, files: list[Path]) -> None:
        muster.text("version register toy {}", files[1])
        muster.text("deploy toy toy.v1")
        assert self.states(muster) == {1: "deployed", 0: "retired"}

    def test_rollback_goes_back_by_steps(self, muster: Terminal, files: list[Path]) -> None:
        for number in (1, 2, 3):
            muster.text("version register toy {}", files[number])
            muster.text(f"deploy toy {number}")
        muster.text("rollback toy --steps 2")
        assert self.states(muster) == {3: "rolled-back", 2: "rolled-back", 1: "deployed", 0: "retired"}

    def test_get_model_gives_the_tensors_of_any_version_or_of_the_deployed_one(
        self, world: World, muster: Terminal, files: list[Path], tmp_path: Path
    ) -> None:
        muster.text("version register toy {}", files[1])
        out = tmp_path / "out"
        for ref, expected in (("deployed", files[0]), ("1", files[1]), ("challenger", files[1])):
            muster.text(f"version download toy {ref} --out {{}} --force", out)
            assert out.read_bytes() == expected.read_bytes()
        (device,) = world.devices(1)
        number, tensors = device.model()
        assert number == 0
        assert set(tensors) == set(BASE)

    def test_list_versions_filters_by_state_newest_first(self, muster: Terminal, files: list[Path]) -> None:
        for number in (1, 2, 3):
            muster.text("version register toy {}", files[number])
        muster.text("deploy toy 2")
        listed = muster.json("version list toy")
        assert [version["version"] for version in listed] == [3, 2, 1, 0]
        assert [version["created_at"] for version in listed] == sorted((v["created_at"] for v in listed), reverse=True)
        assert [version["version"] for version in muster.json("version list toy --state staged")] == [3, 1]

    # ---- its mistakes

    def test_a_checksum_is_a_whole_sha256_and_knows_shapes(self, world: World, muster: Terminal, files: list[Path]) -> None:
        """There: 16 hex digits, over names and bytes alone: a tensor of another shape has the same checksum."""
        made = muster.json("version register toy {}", files[1])
        assert made["checkpoint"]["sha256"] == hashlib.sha256(files[1].read_bytes()).hexdigest()
        turned = encode({**BASE, "layer.weight": BASE["layer.weight"].reshape(4, 3)})
        assert hashlib.sha256(turned).hexdigest() != hashlib.sha256(files[0].read_bytes()).hexdigest()
        assert "match their digests" in muster.text("version verify toy 1")
        with pytest.raises(Refused, match="wrong-shape"):
            world.operator.register("toy", turned)

    def test_versions_made_within_a_second_have_ids_of_their_own(self, muster: Terminal, files: list[Path]) -> None:
        """There: `v{round}_{second}`; the second of two replaces the first."""
        ids = [muster.json("version register toy {}", files[number])["id"] for number in (1, 2, 3)]
        assert ids == ["toy.v1", "toy.v2", "toy.v3"]

    def test_after_a_rollback_one_version_is_live(self, muster: Terminal, files: list[Path]) -> None:
        """There: what is live is called ROLLBACK, and what was left is still called DEPLOYED."""
        muster.text("version register toy {}", files[1])
        muster.text("deploy toy 1")
        muster.text("rollback toy")
        assert self.states(muster) == {1: "rolled-back", 0: "deployed"}

    def test_a_rollback_follows_what_was_deployed_not_what_was_registered(self, muster: Terminal, files: list[Path]) -> None:
        """There: it follows parents; both versions were registered over 0, so it skips 1."""
        for number in (1, 2):
            muster.text("version register toy {}", files[number])
        for number in (1, 2):
            muster.text(f"deploy toy {number}")
        muster.text("rollback toy")
        assert self.states(muster) == {2: "rolled-back", 1: "deployed", 0: "retired"}

    def test_a_rollback_beyond_the_beginning_is_refused_by_name(self, muster: Terminal, files: list[Path]) -> None:
        """There: it goes as far as it can and says nothing, or returns None."""
        muster.text("version register toy {}", files[1])
        muster.text("deploy toy 1")
        assert "does not go back so far" in muster.fails("rollback toy --steps 5", 1)
        assert self.states(muster) == {1: "deployed", 0: "retired"}

    def test_an_unknown_version_is_an_error_and_not_false(self, muster: Terminal) -> None:
        assert "There is no such version" in muster.fails("deploy toy 9", 1)

    def test_infinite_metrics_are_refused_because_json_has_none(
        self, world: World, muster: Terminal, files: list[Path]
    ) -> None:
        """There: version 0 has a loss of `inf`, which no JSON reader accepts."""
        assert "finite" in muster.fails("version register toy {} --metric loss=inf", 2, files[1])
        for path in ("/v1/admin/models/toy", "/v1/admin/models/toy/versions"):
            json.loads(world.request("GET", path).text, parse_constant=pytest.fail)

    def test_times_are_utc_and_say_so(self, muster: Terminal) -> None:
        """There: naive local times."""
        (version,) = muster.json("version list toy")
        assert datetime.fromisoformat(version["created_at"]).tzinfo == UTC

    def states(self, muster: Terminal) -> dict[int, str]:
        return {version["version"]: version["state"] for version in muster.json("version list toy")}


class TestClientManager:
    """Part 2: client management."""

    def test_register_gives_a_key_that_authenticates(self, world: World, muster: Terminal) -> None:
        token = muster.json("token mint --uses 3")["token"]
        status, reply = enrol(world, enrolment(token, "thermostat-7", device_type="iot", capabilities={"gpu": False}))
        assert status == 201
        assert world.request("POST", "/v1/heartbeat", key=reply["key"], body={}).status_code == 200
        shown = muster.json("client show thermostat-7")
        assert (shown["device_type"], shown["capabilities"], shown["rounds"], shown["samples"]) == ("iot", {"gpu": False}, 0, 0)

    def test_heartbeat_and_active_clients(self, world: World, muster: Terminal) -> None:
        world.model(rounds=0)
        devices = world.devices(2)
        world.clock.advance(world.services.pacing.timeout_seconds + 1)
        devices[0].heartbeat_if_due()
        assert [client["client_id"] for client in muster.json("client list --alive")] == [devices[0].client_id]

    def test_participation_and_statistics(self, world: World, muster: Terminal) -> None:
        world.model(goal=2, quorum=2)
        devices = world.devices(2)
        world.tick()
        for device, examples in zip(devices, (10, 30), strict=True):
            world.update(device, examples=examples)
        world.deliver()
        world.monitor()
        found = muster.json("client statistics")
        assert (found["clients"], found["active"], found["by_device_type"]) == (2, 2, {"edge": 2})
        assert (found["rounds"], found["samples"]) == (2, 40)

    # ---- its mistakes

    def test_a_stranger_who_names_an_id_does_not_get_its_key(self, world: World) -> None:
        """There: registering an id again hands out its key."""
        token = world.token()
        _, mine = enrol(world, enrolment(token))
        status, document = enrol(world, enrolment(token, proof="q" * 43))
        assert (status, document["type"]) == (409, Problem.CLIENT_EXISTS.urn)
        assert mine["key"].partition(".")[2] not in json.dumps(document)

    def test_a_full_fleet_still_answers_those_who_are_in_it(self) -> None:
        """There: at `max_clients` also a registered client is turned away."""
        world = World(max_clients=1)
        try:
            token = world.token()
            assert [enrol(world, enrolment(token, name))[0] for name in ("first", "second", "first")] == [201, 403, 201]
        finally:
            world.close()

    def test_a_silent_device_may_come_back_by_itself(self, world: World) -> None:
        """There: who was silent for five minutes cannot authenticate any more."""
        _, reply = enrol(world, enrolment(world.token()))
        world.clock.advance(30 * 86_400)
        assert world.request("POST", "/v1/heartbeat", key=reply["key"], body={}).status_code == 200

    def test_a_heartbeat_needs_the_key(self, world: World) -> None:
        """There: whoever names an id keeps it alive."""
        enrol(world, enrolment(world.token()))
        assert world.request("POST", "/v1/heartbeat", key="thermostat-7." + "x" * 43, body={}).status_code == 401

    def test_keys_are_hashed_and_can_be_rotated_and_revoked(self, world: World, muster: Terminal) -> None:
        """There: keys lie in a dictionary in the clear, for ever."""
        _, reply = enrol(world, enrolment(world.token()))
        assert reply["key"].partition(".")[2] not in str(world.everything()[0])
        fresh = world.request("POST", "/v1/clients/me/key", key=reply["key"], body={"proof": PROOF}).json()["key"]
        muster.text("client revoke thermostat-7")
        for key in (reply["key"], fresh):
            assert world.request("POST", "/v1/heartbeat", key=key, body={}).status_code == 401

    def test_rejected_and_repeated_updates_are_not_counted(self, world: World, muster: Terminal) -> None:
        """There: everything that is passed in counts, as often as it is."""
        world.model(goal=3, quorum=1)
        (device,) = world.devices(1)
        world.tick()
        world.update(device, examples=10)
        world.deliver()
        for _ in range(3):
            world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
        shown = muster.json(f"client show {device.client_id}")
        assert (shown["rounds"], shown["samples"]) == (1, 10)


class TestMetricsCollector:
    """Part 3: monitoring."""

    @pytest.fixture(autouse=True)
    def recorded(self, world: World) -> None:
        world.relive(three_rounds)

    def test_query_gives_mean_min_max_sum_and_count(self, world: World, muster: Terminal) -> None:
        found = muster.json("metrics query toy accuracy --hours 1")
        values = [point["value"] for point in found["points"]]
        assert found["count"] == len(values) == 3
        assert (found["min"], found["max"]) == (pytest.approx(min(values)), pytest.approx(max(values)))
        assert (found["sum"], found["mean"]) == (pytest.approx(sum(values)), pytest.approx(sum(values) / 3))

    def test_points_are_tagged_with_their_round_and_version(self, muster: Terminal) -> None:
        points = muster.json("metrics query toy accuracy")["points"]
        assert [(point["round"], point["version"]) for point in points] == [(1, 1), (2, 2), (3, 3)]

    def test_thresholds_are_set_and_alerts_listed(self, world: World, muster: Terminal) -> None:
        muster.text("threshold set toy accuracy --min 0.99")
        world.monitor()
        alerts = {alert["metric"]: alert for alert in muster.json("alerts list toy")}
        assert (alerts["accuracy"]["state"], alerts["accuracy"]["minimum"]) == ("open", 0.99)

    # ---- its mistakes

    def test_a_lasting_breach_is_one_alert(self, world: World, muster: Terminal) -> None:
        """There: every recorded value in breach is another alert."""
        muster.text("threshold set toy accuracy --min 0.99")
        for _ in range(5):
            world.monitor()
            world.clock.advance(60)
        assert len([alert for alert in muster.json("alerts list toy") if alert["metric"] == "accuracy"]) == 1

    def test_reading_alerts_does_not_lose_them(self, world: World, muster: Terminal) -> None:
        """There: `get_alerts(clear=True)` forgets them, also those that nobody has seen."""
        for _ in range(3):
            assert [alert["metric"] for alert in muster.json("alerts list toy --open")] == ["active_clients"]
        assert muster.json("alerts ack toy active_clients")["state"] == "acknowledged"
        assert [alert["metric"] for alert in muster.json("alerts list toy --open")] == ["active_clients"]

    def test_active_clients_are_recorded_and_watched(self, muster: Terminal) -> None:
        """There: the threshold is set, and nothing ever records the metric."""
        assert muster.json("metrics query toy active_clients")["count"] == 1
        assert "active_clients" in muster.text("threshold list toy")

    def test_a_metric_that_never_was_is_an_error_with_what_is_near(self, muster: Terminal) -> None:
        """There: None, as for a metric that had no value lately, and as for an aggregation with a typing error."""
        assert "perhaps accuracy" in muster.fails("metrics query toy acuracy", 1)

    def test_metrics_outlive_the_process_and_the_day(self, world: World, muster: Terminal) -> None:
        """There: a list in memory, cut to 24 hours when something is recorded."""
        world.clock.advance(30 * 3600)
        found = muster.json("metrics query toy accuracy --hours 48")
        assert (found["count"], found["points"]) == (3, [])


class TestFLProductionServer:
    """Part 3: the server."""

    def test_a_round_aggregates_by_samples_registers_and_deploys_what_is_better(self, world: World, muster: Terminal) -> None:
        world.model(goal=2, quorum=2, evaluators=1, max_claim_ratio="none")
        devices = world.devices(2)
        world.tick()
        for device, step, examples in zip(devices, (0.1, 0.3), (30, 10), strict=True):
            world.update(device, step=step, examples=examples)
        world.play(devices)
        version = muster.json("version show toy newest")
        assert (version["state"], version["round"], version["base"], version["parent"]) == ("deployed", 1, 0, 0)
        tensors = decode(world.operator.download(world.operator.version("toy", 1).checkpoint), HEADER_LIMIT_BYTES)
        expected = BASE["layer.bias"] + np.float32(0.15) * np.cos(np.arange(3, dtype=np.float32))
        np.testing.assert_allclose(tensors["layer.bias"], expected, atol=1e-6)

    def test_a_version_that_gains_too_little_is_staged_and_an_operator_may_deploy_it(
        self, world: World, muster: Terminal
    ) -> None:
        world.model(goal=2, quorum=2, evaluators=1, min_gain=0.5)
        whole_round(world, 0.1)
        assert muster.json("version show toy challenger")["state"] == "staged"
        assert "not more than 0.5" in muster.text("round show toy")
        assert "deployed version 1" in muster.text("deploy toy challenger")

    def test_the_default_threshold_is_one_percent(self, world: World) -> None:
        world.model(rounds=0)
        assert world.operator.status("toy").config.min_gain == 0.01

    def test_status_has_round_version_clients_alerts_and_metrics_in_one_call(self, world: World, muster: Terminal) -> None:
        world.model(goal=2, quorum=2, evaluators=1)
        muster.text("threshold set toy clients --min 5")
        whole_round(world, 0.1)
        world.monitor()
        found: dict[str, Any] = muster.json("status toy")
        assert (found["round"]["number"], found["deployed_version"]) == (1, 1)
        assert found["clients"]["clients"] == 2
        assert [alert["metric"] for alert in found["alerts"]] == ["clients"]
        assert found["metrics"]["accuracy"]["mean"] > 0.5

    def test_a_version_passes_through_all_states(self, world: World, muster: Terminal) -> None:
        """There: TRAINING is declared and never used."""
        seen = []

        def look(number: int) -> None:
            seen.append(muster.json(f"version show toy {number}")["state"])

        world.model(rounds=1, goal=2, quorum=2, evaluators=1, min_gain=0.5)
        devices = world.devices(2)
        world.tick()
        for device in devices:
            world.update(device)
        world.deliver()
        world.tick()
        look(1)
        world.clock.advance(60)
        world.judge(devices)
        world.tick()
        look(1)
        strategy = Strategy(kind="rolling", steps=[10.0])
        world.operator.deploy("toy", 1, strategy=strategy, revision=1)
        look(1)
        world.operator.move_rollout("toy", "promote", revision=2)
        look(1)
        look(0)
        muster.text("rollback toy")
        look(1)
        muster.text("experiment start toy again --arm old=0:50 --arm new=1:50")
        look(1)
        assert seen == ["training", "staged", "rolling-out", "deployed", "retired", "rolled-back", "on-trial"]
        assert set(seen) == {state.value for state in VersionState}

    # ---- its mistakes

    def test_integer_buffers_and_masks_come_out_as_what_they_are(self, world: World) -> None:
        """There: a counter is multiplied by a float weight, and fails or is cut."""
        world.model(goal=2, quorum=2, evaluators=1)
        whole_round(world, 0.1)
        tensors = decode(world.operator.download(world.operator.version("toy", 1).checkpoint), HEADER_LIMIT_BYTES)
        assert {name: array.dtype for name, array in tensors.items()} == {name: array.dtype for name, array in BASE.items()}

    def test_an_update_that_is_not_finite_changes_nothing(self, world: World, muster: Terminal) -> None:
        """There: one NaN, and the model is NaN."""
        world.model(goal=2, quorum=1)
        (device,) = world.devices(1)
        world.tick()
        device.check_in()
        spoiled = {name: np.full_like(a, np.nan) if a.dtype.kind == "f" else a for name, a in BASE.items() if a.dtype != bool}
        device.submit("toy.1", encode(spoiled), 10, {})
        world.deliver()
        assert muster.json("round show toy")["rejected"] == {"not-finite": 1}

    def test_a_round_without_updates_ends_by_name(self, world: World, muster: Terminal) -> None:
        """There: it returns the deployed version, as if it had made it."""
        world.model(report_seconds=300.0)
        world.play()
        found = muster.json("round show toy 1")
        assert (found["phase"], found["reason"].partition(":")[0]) == ("abandoned", "quorum-not-reached")

    def test_the_server_may_die_at_any_time(self, world: World, muster: Terminal) -> None:
        """There: everything is in one process's memory. Here a function has none: every piece is made anew."""
        world.model(goal=2, quorum=2, evaluators=1)
        devices = world.devices(2)
        world.tick()
        for device in devices:
            world.update(device)
            world.restart()
        world.deliver()
        world.restart()
        world.play(devices)
        world.restart()
        assert muster.json("status toy")["training"]["rounds_completed"] == 1


def three_rounds(world: World) -> None:
    """Three rounds of a model that trains on, whose accuracies are recorded."""
    world.model(rounds=4, goal=2, quorum=2, evaluators=1)
    for step in (0.1, 0.2, 0.3):
        whole_round(world, step)
    world.monitor()


def whole_round(world: World, step: float) -> None:
    """One round of two devices, from opening to decision."""
    if not hasattr(world, "two"):
        world.two = world.devices(2)  # type: ignore[attr-defined]
    devices = world.two  # type: ignore[attr-defined]
    world.clock.advance(60)
    world.tick()
    for device in devices:
        world.update(device, step=step)
    world.deliver()
    for _ in range(3):
        world.clock.advance(10)
        world.tick()
        for device in devices:
            assignment = device.check_in()
            if assignment.kind == "evaluate":
                device.judge(assignment, Drift(0.0))
