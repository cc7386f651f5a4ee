"""A disk that is full, and files on it that are of no use, cost a device nothing but a line in the log."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bench.trouble.server import ROUND_SECONDS, assignment
from bench.trouble.simulation import Adds
from muster.device import TrainingResult, checkpoints, identity, update
from muster.device.update import Feedback
from muster.wire.arrays import decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.device.stage import CHECK_IN, REPORT, Stage

BASE = {"w": np.zeros(4, np.float32)}
CHANGED = {"w": np.array([0.1, 0.25, 1.0, -0.3], np.float32)}


class Thirds(Adds):
    """A trainer whose updates int8 cannot hold exactly."""

    def train(self, base: Any, hyperparameters: Any) -> TrainingResult:
        return TrainingResult({"w": base["w"] + np.array([1 / 3, 0.7, 0.011, 0], np.float32)}, 10)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage whose rounds want int8."""
    made = Stage(tmp_path)

    def answer() -> httpx.Response | None:
        number = int(made.clock.now // ROUND_SECONDS) + 1
        if any(path == f"/v1/rounds/toy.{number}/report" for _, path, _ in made.asked):
            return None
        return httpx.Response(200, json=assignment(number, "boiler") | {"encoding": "int8"})

    made.answers[CHECK_IN] = answer
    return made


def refuse(path: Path, content: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_keeps_no_device_from_taking_part(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (checkpoints, identity, update):
        monkeypatch.setattr(module, "replace_file", refuse)
    stage.play(Thirds(), 5 * ROUND_SECONDS - 1)
    assert len(stage.times(REPORT)) == 5
    assert "a checkpoint stays in memory" in caplog.text
    assert caplog.text.count("what rounding left out stays in memory") == 5
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_cannot_be_read_or_written_keeps_no_device_from_taking_part(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.play(Thirds(), ROUND_SECONDS - 1)

    def broken(path: Path, *_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    for name in ("read_bytes", "open", "touch", "unlink", "exists"):
        monkeypatch.setattr(Path, name, broken)
    for module in (checkpoints, identity, update):
        monkeypatch.setattr(module, "replace_file", refuse)
    stage.play(Thirds(), 3 * ROUND_SECONDS)
    assert len(stage.times(REPORT)) >= 3


def test_what_rounding_left_out_is_not_forgotten_by_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = []
    for full in (False, True):
        feedback = Feedback(tmp_path / str(full) / "feedback")
        _, left = feedback.encoded(CHANGED, BASE)
        with monkeypatch.context() as patch:
            if full:
                patch.setattr(update, "replace_file", refuse)
            feedback.keep(left)
        updates.append(feedback.encoded(CHANGED, BASE)[0])
    assert updates[0] == updates[1] != Feedback(tmp_path / "none").encoded(CHANGED, BASE)[0]


DAMAGED = {
    "empty": b"", "cut": encode(CHANGED)[:-3], "garbage": b"x" * 100, "a pickle": b"\x80\x04N.",
    "not finite": encode({"w": np.array([0, np.nan, 0, 0], np.float32)}),
    "infinite": encode({"w": np.full(4, np.inf, np.float32)}),
    "bfloat16": encode({"w": np.zeros(4, np.float16)}).replace(b'"F16"', b'"BF16"').replace(b"  ", b" ", 1),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_file_of_what_rounding_left_out_that_is_damaged_is_logged_and_deleted(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "toy.feedback.safetensors"
    file.write_bytes(DAMAGED[damage])
    plain, _ = Feedback(tmp_path / "none").encoded(CHANGED, BASE)
    assert Feedback(file).encoded(CHANGED, BASE)[0] == plain
    assert "is of no use" in caplog.text
    assert not file.exists()


def test_one_of_another_model_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "toy.feedback.safetensors"
    file.write_bytes(encode({"w": np.ones((2, 2), np.float32)}))
    plain, _ = Feedback(tmp_path / "none").encoded(CHANGED, BASE)
    assert Feedback(file).encoded(CHANGED, BASE)[0] == plain
    assert caplog.text == ""


def test_one_that_would_make_the_update_unfit_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "toy.feedback.safetensors"
    file.write_bytes(encode({"w": np.full(4, 3e38, np.float32)}))
    changed = {"w": np.full(4, 1e20, np.float32)}
    sent, _ = Feedback(file).encoded(changed, BASE)
    assert set(decode(sent, HEADER_LIMIT_BYTES)) == {"w", "scale:w"}
    assert "makes this one unfit" in caplog.text


def test_a_device_with_a_damaged_file_takes_part(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "boiler").mkdir()
    (tmp_path / "boiler" / "toy.feedback.safetensors").write_bytes(b"garbage")
    stage.play(Thirds(), ROUND_SECONDS - 1)
    assert stage.times(REPORT)
