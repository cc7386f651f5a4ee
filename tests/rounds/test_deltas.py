"""Deltas of published versions: which are made, who is given them, and what they save in a whole training."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from chalicelib.registry.deltas import WORTH_IT
from chalicelib.registry.urls import downloadable
from chalicelib.registry.version import Version
from chalicelib.storage import keys, spool
from muster import Device, TrainingResult
from muster.aggregation.manifest import Manifest
from muster.device import Evaluation
from muster.wire.arrays import Array, encode
from muster.wire.deltas import DeltaEnds, apply_delta
from muster.wire.refs import CheckpointRef, DeltaRef
from tests.fleet import BASE, Drift, World

GAIN = 0.4
"""A step that makes the judges deploy the candidate."""


def play_round(world: World, devices: list[Device], step: float = GAIN) -> Version:
    """A round in which the first device trains and all may judge; its version."""
    world.clock.advance(60)
    world.tick()
    world.update(devices[0], step=step)
    world.play(devices)
    version = world.services.registry.newest("toy")
    assert version
    return version


def stored(world: World, ref: CheckpointRef, delta: DeltaRef) -> bytes:
    key = keys.DELTA.key(base_sha256=delta.base_sha256, target_sha256=ref.sha256)
    return bytes(world.services.blobs.read(key, delta.nbytes))


def deltas(world: World) -> set[str]:
    return {key for key in world.everything()[1] if key.startswith("deltas/")}


@pytest.fixture
def training(world: World) -> tuple[World, list[Device]]:
    world.model(rounds=4, goal=1, quorum=1, evaluators=1, over_selection=5.0)
    return world, world.devices(3)


def test_a_version_has_a_delta_from_its_base_and_what_lies_there_makes_it(training: tuple[World, list[Device]]) -> None:
    world, devices = training
    version = play_round(world, devices)
    (delta,) = version.checkpoint.deltas
    base = encode(BASE)
    made = bytearray(version.checkpoint.nbytes)
    ends = DeltaEnds(delta.base_sha256, version.checkpoint.sha256, version.checkpoint.nbytes)
    content = stored(world, version.checkpoint, delta)
    apply_delta(io.BytesIO(base), io.BytesIO(content), ends, memoryview(made))
    assert made == world.operator.download(world.operator.version("toy", 1).checkpoint)
    assert len(content) == delta.nbytes <= WORTH_IT * version.checkpoint.nbytes


def test_where_training_went_on_from_what_is_not_served_there_is_a_delta_from_both(
    training: tuple[World, list[Device]],
) -> None:
    world, devices = training
    first = play_round(world, devices, step=-0.01)
    served = world.services.registry.deployment("toy")
    second = play_round(world, devices)
    rnd = world.services.rounds.get("toy", 2)
    assert served
    assert rnd
    assert rnd.candidate
    assert (served.stable.version, second.base) == (0, first.number)
    assert {delta.base_sha256 for delta in second.checkpoint.deltas} == {first.checkpoint.sha256, served.stable.sha256}
    deployed = world.services.registry.deployment("toy")
    assert deployed
    assert deployed.stable.deltas == second.checkpoint.deltas == rnd.candidate.deltas


def test_a_checkpoint_that_is_too_long_a_delta_that_is_too_long_and_no_change_have_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(rounds=4, goal=1, quorum=1, evaluators=0)
    devices = world.devices(1)
    making = world.services.aggregating._publishing._deltas
    assert play_round(world, devices, step=0.0).checkpoint.deltas == ()
    making._limit_bytes = len(encode(BASE)) - 1
    assert play_round(world, devices).checkpoint.deltas == ()
    making._limit_bytes = len(encode(BASE))
    monkeypatch.setattr("chalicelib.registry.deltas.WORTH_IT", 0.1)
    assert play_round(world, devices).checkpoint.deltas == ()
    assert deltas(world) == set()
    monkeypatch.undo()
    assert len(play_round(world, devices).checkpoint.deltas) == len(deltas(world)) == 2


def test_a_delta_that_is_there_is_named_as_it_is_and_not_made_again(training: tuple[World, list[Device]]) -> None:
    """Another release's zlib may have written it, in other bytes; devices are told how long what they will read is."""
    world, devices = training
    version = play_round(world, devices)
    (delta,) = version.checkpoint.deltas
    key = keys.DELTA.key(base_sha256=delta.base_sha256, target_sha256=version.checkpoint.sha256)
    longer = stored(world, version.checkpoint, delta) + b"of another zlib"
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=longer)
    base = replace(version.checkpoint, sha256=delta.base_sha256)
    with world.calls.count() as calls:
        again = world.services.aggregating._publishing._deltas.make("toy.1", version.checkpoint, [base, base])
    assert (calls, again) == (["HeadObject"], (DeltaRef(delta.base_sha256, len(longer)),))


def test_a_long_delta_is_written_in_pieces_like_a_checkpoint(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PIECE_BYTES", 5 << 20)
    values = np.random.default_rng(0)
    tensors = {"layer.weight": values.normal(0, 0.05, 3 << 20).astype("f4"), "layer.bias": np.zeros(3, "f4")}
    world.model(goal=1, quorum=1, evaluators=0, tensors=tensors)
    version = play_round(world, world.devices(1), step=0.001)
    (delta,) = version.checkpoint.deltas
    assert delta.nbytes > 5 << 20
    assert len(stored(world, version.checkpoint, delta)) == delta.nbytes
    assert not {key for key in world.everything()[1] if key.startswith("staged/")}


def test_deltas_are_no_part_of_what_a_version_is(training: tuple[World, list[Device]]) -> None:
    world, devices = training
    play_round(world, devices)
    second = play_round(world, devices)
    rnd = world.services.rounds.get("toy", 2)
    assert rnd
    assert rnd.base.deltas
    key = keys.MANIFEST.key(round=rnd.id, sha256=rnd.manifest_sha256)
    data = world.services.blobs.read(key, 1 << 20)
    manifest = Manifest.from_bytes(data)
    assert b"delta" not in data
    assert manifest.base == rnd.base
    assert manifest.to_bytes() == data == replace(manifest, base=rnd.base).to_bytes()
    document = keys.DOCUMENT.key(sha256=second.document_sha256)
    assert b"delta" not in world.services.blobs.read(document, 1 << 20)


# ---- who is given one


def check_in(world: World, device: Device, **body: Any) -> dict[str, Any]:
    response = world.request("POST", "/v1/models/toy/checkin", key=world.key_of(device), body=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_only_who_says_that_it_has_the_base_is_given_a_delta(training: tuple[World, list[Device]]) -> None:
    world, devices = training
    version = play_round(world, devices)
    world.tick()
    (delta,) = version.checkpoint.deltas
    for have in ([], ["0" * 64], [version.checkpoint.sha256], [version.checkpoint.sha256, delta.base_sha256]):
        assert check_in(world, devices[1], have=have)["base"]["delta"] is None
    assert check_in(world, devices[1])["base"]["delta"] is None
    (late,) = world.devices(1)
    world.clock.advance(60)
    with world.calls.count() as calls:
        found = check_in(world, late, have=["0" * 64, delta.base_sha256])["base"]["delta"]
    assert calls == ["UpdateItem", "Query", "UpdateItem", "PutItem"]
    assert (found["base_sha256"], found["bytes"]) == (delta.base_sha256, delta.nbytes)
    with world.http() as http:
        assert http.get(found["url"]).content == stored(world, version.checkpoint, delta)


def test_the_shortest_of_several_is_given(world: World) -> None:
    known = {"a" * 64: 50, "b" * 64: 40, "c" * 64: 60}
    ref = CheckpointRef(
        version=1,
        sha256="f" * 64,
        nbytes=100,
        header_bytes=1,
        min_update_bytes=1,
        max_update_bytes=1,
        deltas=tuple(DeltaRef(sha256, nbytes) for sha256, nbytes in known.items()),
    )
    for have, shortest in (("abc", "b"), ("cba", "b"), ("ca", "a"), ("c", "c")):
        found = downloadable(ref, world.services.presigner, [letter * 64 for letter in have]).delta
        assert found
        assert (found.base_sha256, found.bytes) == (shortest * 64, known[shortest * 64])
        assert f"/deltas/{shortest * 64}/{'f' * 64}?" in found.url


def test_what_a_device_has_is_asked_of_its_model_too(training: tuple[World, list[Device]]) -> None:
    world, devices = training
    version = play_round(world, devices)
    (delta,) = version.checkpoint.deltas
    key = world.key_of(devices[1])

    def ask(query: str) -> httpx.Response:
        return world.request("GET", f"/v1/models/toy{query}", key=key)

    assert ask("").json()["checkpoint"]["delta"] is None
    assert ask(f"?have={'0' * 64}").json()["checkpoint"]["delta"] is None
    with world.calls.count() as calls:
        found = ask(f"?have={'0' * 64},{delta.base_sha256}").json()["checkpoint"]["delta"]
    assert calls == ["GetItem"]
    assert (found["base_sha256"], found["bytes"]) == (delta.base_sha256, delta.nbytes)
    for wrong in ("?have=", "?have=x", f"?have={'0' * 64},", "?have=" + ",".join(["0" * 64] * 5), "?had=1"):
        refused = ask(wrong)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:muster:problem:invalid-query")
    for wrong_have in (["0" * 63], ["0" * 64] * 5, "0" * 64, [1]):
        response = world.request("POST", "/v1/models/toy/checkin", key=key, body={"have": wrong_have})
        assert response.status_code == 422


def test_a_judge_makes_the_candidate_of_the_deployed_version_though_it_had_neither(
    training: tuple[World, list[Device]],
) -> None:
    world, (device, judge, _) = training
    world.tick()
    world.update(device, step=GAIN)
    world.deliver()
    world.tick()
    assignment = judge.check_in()
    assert assignment.kind == "evaluate"
    assert assignment.deployed.delta is None
    assert assignment.candidate.delta
    before = world.downloaded_bytes
    judge.judge(assignment, Drift(0.0))
    assert world.downloaded_bytes - before == assignment.deployed.bytes + assignment.candidate.delta.bytes
    assert world.operator.round("toy", 1).evaluations == 1


def test_a_judge_that_has_an_older_version_makes_the_deployed_one_of_that(training: tuple[World, list[Device]]) -> None:
    world, (device, judge, _) = training
    judge.model()
    play_round(world, [device])
    world.clock.advance(60)
    world.tick()
    world.update(device)
    world.deliver()
    world.tick()
    assignment = judge.check_in()
    assert assignment.kind == "evaluate"
    assert assignment.deployed.delta
    assert assignment.candidate.delta
    before = world.downloaded_bytes
    judge.judge(assignment, Drift(0.0))
    assert world.downloaded_bytes - before == assignment.deployed.delta.bytes + assignment.candidate.delta.bytes


def test_a_device_that_lies_about_what_it_has_gets_the_right_version_all_the_same(
    training: tuple[World, list[Device]],
) -> None:
    """Of files that it has not, and of files whose content it has not."""
    world, (device, liar, _) = training
    version = play_round(world, [device])
    world.tick()
    (delta,) = version.checkpoint.deltas
    liar._checkpoints._held[delta.base_sha256] = None
    before = world.downloaded_bytes
    number, arrays = liar.model()
    assert number == 1
    assert encode(arrays) == world.operator.download(world.operator.version("toy", 1).checkpoint)
    assert world.downloaded_bytes - before == delta.nbytes + 2 * version.checkpoint.nbytes
    liar._checkpoints._drop(version.checkpoint.sha256)
    liar._checkpoints._held[delta.base_sha256] = b"something else"
    world.update(liar)
    assert liar.receipt("toy.2").state == "reported"


# ---- what it saves


class Learner:
    """A trainer whose steps are as small, against the weights, as those of real training."""

    def __init__(self, seed: int) -> None:
        self._values = np.random.default_rng(seed)

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> TrainingResult:
        moved = {name: array + self._values.normal(0, 5e-4, array.shape).astype(array.dtype) for name, array in base.items()}
        return TrainingResult(moved, 10, {})

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        mean = float(np.abs(weights["layer.weight"]).mean())
        return Evaluation(10, {"accuracy": mean})


def whole_training(**settings: Any) -> tuple[str, int, int]:
    """Four rounds of a fleet: the last version's digest, the bytes that its devices downloaded, and what deltas weigh."""
    world = World(**settings)
    try:
        values = np.random.default_rng(7)
        tensors = {"layer.weight": values.normal(0, 0.05, (120, 150)).astype("f4"), "layer.bias": np.zeros(150, "f4")}
        world.model(rounds=4, goal=4, quorum=4, evaluators=2, over_selection=1.0, tensors=tensors)
        devices = world.devices(4)
        learners = [Learner(number) for number in range(4)]
        for _ in range(200):
            world.tick()
            world.deliver()
            for device, learner in zip(devices, learners, strict=True):
                device.model()
                device.step(learner)
            rnd = world.services.rounds.latest("toy")
            if rnd and rnd.completed == 4 and rnd.summary:
                newest = world.services.registry.newest("toy")
                assert newest
                parts = [delta.nbytes for v in world.services.registry.versions("toy") for delta in v.checkpoint.deltas]
                return newest.checkpoint.sha256, world.downloaded_bytes, sum(parts)
            world.clock.advance(60)
        raise AssertionError("the training has not ended")
    finally:
        world.close()


def test_a_whole_training_gives_the_same_model_and_downloads_a_fifth_less() -> None:
    with_deltas, fewer, made = whole_training()
    without, all_of_them, none = whole_training(delta_limit_bytes=0)
    assert with_deltas == without
    assert (made > 0, none) == (True, 0)
    assert fewer < 0.8 * all_of_them
