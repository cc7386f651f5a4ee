"""The second implementation is held against the vectors, as one in any language would be."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from examples.raw_device import deltas
from examples.raw_device.device import Device
from examples.raw_device.learning import Learner
from examples.raw_device.tensors import FORMATS, Tensor, decoded, encoded, read_file, write_file
from muster.conformance import vectors
from muster.conformance.vectors.deltas import content

VECTORS = vectors.load()


@pytest.mark.parametrize("vector", [one for one in VECTORS["files"] if one["word"] is None], ids=lambda one: str(one["name"]))
def test_it_reads_every_good_file_and_writes_those_of_the_plain_spelling_again(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    written = write_file(read_file(data))
    assert read_file(written) == read_file(data)
    if vector["name"] in {f"{vector['model']}-{vector['encoding']}", "zeros", "subnormals", "int8-lowest"}:
        assert written == data


@pytest.mark.parametrize("vector", VECTORS["encodings"], ids=lambda one: f"{one['about']}, {one['dtype']} as {one['encoding']}")
def test_it_encodes_as_the_vectors_say(vector: dict[str, Any]) -> None:
    count = len(bytes.fromhex(vector["values"])) // struct.calcsize(FORMATS[vector["dtype"]])
    values = list(struct.unpack(f"<{count}{FORMATS[vector['dtype']]}", bytes.fromhex(vector["values"])))
    tensors = encoded({"w": Tensor(vector["dtype"], tuple(vector["shape"]), values)}, vector["encoding"])
    file = read_file(write_file(tensors))
    assert [(name, file[name].dtype, list(file[name].shape)) for name in sorted(file)] == sorted(
        (one["name"], one["dtype"], one["shape"]) for one in vector["tensors"]
    )
    assert write_file(tensors).endswith(b"".join(bytes.fromhex(one["bytes"]) for one in vector["tensors"]))
    assert struct.pack(f"<{count}d", *decoded(tensors, "w")).hex() == vector["read"]


@pytest.mark.parametrize("vector", VECTORS["deltas"], ids=lambda one: str(one["name"]))
def test_it_applies_good_deltas_and_refuses_the_others(vector: dict[str, Any]) -> None:
    base, delta = content(vector["base"]), bytes.fromhex(vector["delta"])
    ends = (vector["base_sha256"], vector["target_sha256"], vector["target_bytes"])
    if vector["fit"]:
        assert deltas.apply(base, delta, *ends) == content(vector["target"])
    else:
        with pytest.raises(deltas.BadDelta):
            deltas.apply(base, delta, *ends)


def test_a_number_that_an_encoding_cannot_hold_stops_the_update() -> None:
    for value, dtype in ((float("nan"), "F32"), (70_000.0, "F16"), (1e39, "F32"), (3.4e38, "BF16"), (300, "I8")):
        with pytest.raises(ValueError):
            write_file({"w": Tensor(dtype, (1,), [value])})


def test_what_int8_leaves_out_of_one_update_goes_into_the_next(tmp_path: Path) -> None:
    device = Device(url="http://nowhere", token="t", client_id="raw-1", model="toy", folder=tmp_path)
    base = {"w": Tensor("F32", (3,), [0.0, 0.0, 0.0]), "mask": Tensor("BOOL", (1,), [True])}
    trained = {"w": Tensor("F32", (3,), [1.0, 0.003, -0.004])}
    total = [0.0, 0.0, 0.0]
    for _ in range(100):
        file, device._left = device.update(base, trained, "int8")
        total = [sum(pair) for pair in zip(total, decoded(read_file(file), "w"), strict=True)]
    assert total == pytest.approx([100.0, 0.3, -0.4], abs=0.01)
    assert set(read_file(file)) == {"w", "scale:w"}


def test_devices_see_one_truth_through_noise_of_their_own() -> None:
    model = {"w": Tensor("F32", (50,), [0.0] * 50), "steps": Tensor("I64", (), [3]), "mask": Tensor("BOOL", (1,), [True])}
    first, again, other = Learner("one"), Learner("one"), Learner("other")
    hyperparameters = {"epochs": 20, "learning_rate": 0.5}
    learnt, metrics = first.train(model, hyperparameters)
    assert learnt == again.train(model, hyperparameters)[0] != other.train(model, hyperparameters)[0]
    assert learnt["steps"].values == [23]
    assert learnt["mask"] == model["mask"]
    assert metrics["train_loss"] < 1e-6
    assert other.evaluate(learnt)["accuracy"] > 0.9 > other.evaluate(model)["accuracy"]


def test_a_judge_that_does_not_measure_what_decides_reports_nothing_and_says_so(tmp_path: Path) -> None:
    device = Device(url="http://nowhere", token="t", client_id="raw-1", model="toy", folder=tmp_path)
    data = write_file({"w": Tensor("F32", (3,), [0.0, 0.0, 0.0])})
    device._write(f"{hashlib.sha256(data).hexdigest()}.safetensors", data)
    version = {"version": 1, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "url": "http://nowhere"}
    work = {"kind": "evaluate", "round": "toy.1", "metric": "mse", "candidate": version, "deployed": version}
    with pytest.raises(LookupError, match="expected to judge by one of accuracy, loss, was asked for mse"):
        device.judge(work)


def test_a_damaged_checkpoint_on_the_disk_is_not_used(tmp_path: Path) -> None:
    device = Device(url="http://nowhere", token="t", client_id="raw-1", model="toy", folder=tmp_path)
    sha256 = hashlib.sha256(b"good").hexdigest()
    device._write(f"{sha256}.safetensors", b"good")
    assert device._from_disk(sha256) == b"good"
    (tmp_path / f"{sha256}.safetensors").write_bytes(b"gone")
    assert device._from_disk(sha256) is None
    assert device._kept() == []


def test_the_identity_survives_a_restart_and_is_for_the_owner_only(tmp_path: Path) -> None:
    device = Device(url="http://nowhere", token="t", client_id="raw-1", model="toy", folder=tmp_path / "new")
    device._keep("identity.json", {"proof": "p", "key": "k"})
    assert Device(url="http://nowhere", token="t", client_id="raw-1", model="toy", folder=tmp_path / "new")._identity == {
        "proof": "p",
        "key": "k",
    }
    assert json.loads((tmp_path / "new/identity.json").read_text())["key"] == "k"
    assert (tmp_path / "new/identity.json").stat().st_mode & 0o077 == 0
