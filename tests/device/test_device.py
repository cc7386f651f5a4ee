"""The device: its identity, its loop, and what it refuses to send."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from chalicelib.rounds.round_id import RoundId
from muster import Device, TrainingResult
from muster.device import Evaluation, Unreachable, Untrusted
from muster.device.identity import Identity
from muster.device.keys import Keys
from muster.device.update import delta
from muster.wire.arrays import decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.fleet import API, BASE, Drift, World


def test_a_device_keeps_its_identity_over_a_restart_and_its_place_in_the_round(world: World) -> None:
    world.model()
    world.tick()
    token = world.token(uses=1)
    device = world.device(token, "thermostat-7")
    first = device.check_in()
    again = world.device("a-token.that-is-not-needed-any-more", "thermostat-7")
    second = again.check_in()
    assert second == first.model_copy(update={"base": second.base})  # type: ignore[union-attr]


def test_an_enrolment_whose_reply_was_lost_is_repeated_with_the_same_proof(world: World, tmp_path: Path) -> None:
    world.model()
    token = world.token(uses=1)
    lost = world.http()
    asked = lost._transport.handle_request

    def lose(request: httpx.Request) -> httpx.Response:
        asked(request)
        raise httpx.ReadError("the reply was lost")

    broken = httpx.Client(transport=httpx.MockTransport(lose))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muster.http.transport.ATTEMPTS", 1)
        with pytest.raises(Unreachable):
            Device.enrol(API, token, "thermostat-7", model="toy", state_dir=tmp_path, http=broken)
    device = Device.enrol(API, token, "thermostat-7", model="toy", state_dir=tmp_path, http=world.http())
    assert device.check_in().kind == "wait"


def test_the_identity_is_readable_by_its_owner_only_and_of_one_server_and_client(world: World, tmp_path: Path) -> None:
    Identity.fresh(API, "thermostat-7").save(tmp_path)
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["identity.json"]
    for url, client in ((API, "another"), ("https://elsewhere.test", "thermostat-7")):
        with pytest.raises(ValueError, match="belongs to thermostat-7"):
            Device.enrol(url, world.token(), client, model="toy", state_dir=tmp_path, http=world.http())


def test_a_device_whose_server_has_moved_keeps_its_key(world: World, tmp_path: Path) -> None:
    world.model()
    Device.enrol(API, world.token(), "thermostat-7", model="toy", state_dir=tmp_path, http=world.http())
    Device.move(tmp_path, "https://elsewhere.test")
    with pytest.raises(ValueError, match=r"Device\.move"):
        Device.enrol(API, "no token", "thermostat-7", model="toy", state_dir=tmp_path, http=world.http())
    Device.move(tmp_path, API)
    moved = Device.enrol(API, "no token", "thermostat-7", model="toy", state_dir=tmp_path, http=world.http())
    assert moved.check_in().kind == "wait"
    with pytest.raises(ValueError, match="holds no identity"):
        Device.move(tmp_path / "empty", API)
    assert not (tmp_path / "empty").exists()


def test_the_loop_takes_part_judges_and_stops(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=1)
    world.tick()
    (device,) = world.devices(1)
    stop = threading.Event()
    trainer = Drift(0.3)
    assert device.step(trainer) == 0.0
    world.deliver()
    world.clock.advance(60)
    assert device.step(trainer) == 0.0
    world.tick()
    assert world.operator.round("toy", 1).deployed
    stop.set()
    device.run(trainer, stop)


def test_while_its_model_rests_a_device_sends_heartbeats_and_does_not_ask(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    now = 1000.0
    device.clock = lambda: now
    device.beat_after(0.0)
    asked: list[str] = []
    original = Keys.call

    def noted(self: Keys, method: str, path: str, *rest: Any) -> Any:
        asked.append(path)
        return original(self, method, path, *rest)

    monkeypatch.setattr(Keys, "call", noted)
    assert device.step(Drift(0.1)) == 900.0
    beat, question = "/v1/heartbeat", "/v1/models/toy/checkin"
    assert asked == [beat, question], "at first it does not know"
    now += 300.0
    assert device.step(Drift(0.1)) == 600.0, "until its next heartbeat, which the server has drawn"
    assert asked == [beat, question]
    now += 600.0
    assert device.step(Drift(0.1)) == 900.0
    assert asked == [beat, question, beat], "the heartbeat says that it still rests"
    world.operator.start("toy", 1)
    world.clock.advance(10)
    now += 900.0
    assert device.step(Drift(0.1)) == 52.5, "at noon and a minute, and half of a meeting's five seconds"
    assert asked[3:] == [beat, question], "the heartbeat says that it trains"
    now += 60.0
    device.step(Drift(0.1))
    assert asked[5:] == [question]


def test_the_loop_goes_on_when_a_round_closed_under_it(world: World) -> None:
    world.model(goal=1, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    stop = threading.Event()
    closing = Drift(0.1)

    def close_the_round(moved):  # type: ignore[no-untyped-def]
        world.clock.advance(3600)
        stop.set()
        return moved

    closing.spoil = close_the_round
    device.run(closing, stop)
    assert device.receipt("toy.1").state == "late"


def test_an_update_is_what_training_changed() -> None:
    trained = Drift(0.5).train(BASE, {})
    update = decode(delta(BASE, trained), HEADER_LIMIT_BYTES)
    assert update.keys() == {"layer.weight", "layer.bias", "norm.num_batches_tracked"}
    assert (BASE["layer.weight"] + update["layer.weight"] == trained.weights["layer.weight"]).all()
    assert update["norm.num_batches_tracked"] == 5


@pytest.mark.parametrize(
    "spoiled",
    [
        {"layer.bias": np.array([0, np.nan, 0], "f4")},
        {"layer.bias": np.full(3, np.inf, "f4")},
        {"layer.bias": np.zeros((3, 1), "f4")},
        {"layer.bias": np.zeros(1, "f4")},
        {"layer.weight": np.zeros((4, 3), "f4")},
        {"layer.bias": np.zeros(3, "f8")},
        {"norm.num_batches_tracked": np.array(5, "i4")},
        {"extra": np.zeros(1, "f4")},
    ],
)
def test_a_device_does_not_send_what_would_be_rejected(spoiled: dict[str, np.ndarray]) -> None:
    with pytest.raises(Untrusted, match="unfit"):
        delta(BASE, TrainingResult({**BASE, **spoiled}, 10))


def test_a_device_does_not_send_an_update_of_a_part_of_the_model() -> None:
    trained = {name: array for name, array in BASE.items() if name != "layer.bias"}
    with pytest.raises(Untrusted, match=r"missing: 'layer\.bias'"):
        delta(BASE, TrainingResult(trained, 10))


@pytest.mark.parametrize(
    ("dtype", "base", "trained", "change"),
    [
        ("u1", 5, 3, 0), ("u1", 3, 255, 252), ("i1", -100, 100, 127), ("i1", 100, -100, -128), ("i1", -3, 4, 7),
        ("i8", -(2**63), 2**63 - 1, 2**63 - 1), ("i8", 2**62, -(2**63), -(2**63)), ("i4", 2, -(2**31), -(2**31)),
    ],
)  # fmt: skip
def test_a_counters_change_is_held_at_the_ends_of_its_dtype_and_never_wraps_round(
    dtype: str, base: int, trained: int, change: int
) -> None:
    model = {"w": np.zeros(1, "f4"), "n": np.full((2, 1), base, dtype), "scalar": np.array(base, dtype)}
    result = TrainingResult({**model, "n": np.full((2, 1), trained, dtype), "scalar": np.array(trained, dtype)}, 10)
    update = decode(delta(model, result), HEADER_LIMIT_BYTES)
    assert update["n"].dtype == np.dtype(dtype)
    assert update["n"].tolist() == [[change], [change]]
    assert update["scalar"] == change


def test_tensors_without_dimensions_and_without_elements_travel() -> None:
    base = {"scalar": np.array(1.5, "f4"), "empty": np.zeros((0, 4), "f2"), "none": np.zeros(0, "u1"), "w": np.ones(2, "f8")}
    result = TrainingResult({**base, "scalar": np.array(2.0, "f4")}, 10)
    update = decode(delta(base, result), HEADER_LIMIT_BYTES)
    assert {name: (array.shape, array.tolist()) for name, array in update.items()} == {
        "scalar": ((), 0.5), "empty": ((0, 4), []), "none": ((0,), []), "w": ((2,), [0.0, 0.0]),
    }  # fmt: skip


def test_a_judge_has_both_versions_before_it_measures_either(world: World) -> None:
    """To measure one may take longer than the other's URL lives."""
    world.model(goal=1, quorum=1, evaluators=1)
    world.tick()
    device, judge = world.devices(2)
    world.update(device)
    world.deliver()
    world.clock.advance(60)
    assignment = judge.check_in()
    assert assignment.kind == "evaluate"
    downloads: list[str] = []

    class Slow(Drift):
        def evaluate(self, weights):  # type: ignore[no-untyped-def]
            assert len(downloads) == 2
            return super().evaluate(weights)

    def count(request: httpx.Request) -> httpx.Response:
        if request.url.host != "api.test":
            downloads.append(str(request.url))
        return world._answer(request)

    judge._transport.http = httpx.Client(transport=httpx.MockTransport(count))
    judge.judge(assignment, Slow(0.0))
    assert world.operator.round("toy", 1).evaluations == 1


def test_a_judge_that_was_interrupted_goes_on_though_it_measures_something_else_now(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=1)
    world.tick()
    device, judge = world.devices(2)
    world.update(device)
    world.deliver()
    world.clock.advance(60)
    assignment = judge.check_in()
    assert assignment.kind == "evaluate"

    class Fickle(Drift):
        measured = 0

        def evaluate(self, weights):  # type: ignore[no-untyped-def]
            Fickle.measured += 1
            if Fickle.measured == 2:
                raise KeyboardInterrupt
            return Evaluation(10, {"accuracy": 0.1 * Fickle.measured})

    with pytest.raises(KeyboardInterrupt):
        judge.judge(assignment, Fickle(0.0))
    judge.judge(assignment, Fickle(0.0))
    assert world.operator.round("toy", 1).evaluations == 1
    evaluation = world.services.rounds.judgement(RoundId("toy", 1), judge.client_id)
    assert evaluation
    assert {role: round(m.metrics["accuracy"], 1) for role, m in evaluation.measured.items()} == {
        "deployed": 0.1,
        "candidate": 0.4,
    }


def test_a_checkpoint_is_downloaded_once(world: World) -> None:
    world.model()
    (device,) = world.devices(1)
    device.model()
    world.s3.delete_object(Bucket=world.settings.bucket, Key=f"checkpoints/{_digest(encode(BASE))}.safetensors")
    assert device.model()[0] == 0


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("expired", "succeeds"), [(1, True), (2, False)])
def test_a_grant_that_expires_on_the_way_is_asked_for_once_more(world: World, expired: int, succeeds: bool) -> None:
    world.model(goal=1, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    answers = iter([httpx.Response(403)] * expired)
    grants: list[str] = []

    def store(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and request.url.host != "api.test":
            grants.append(str(request.url))
            return next(answers, None) or world._answer(request)
        return world._answer(request)

    device._transport.http = httpx.Client(transport=httpx.MockTransport(store))
    if succeeds:
        world.update(device)
        assert device.receipt("toy.1").state == "reported"
    else:
        with pytest.raises(Unreachable, match="403"):
            world.update(device)
    assert len(grants) == 2
