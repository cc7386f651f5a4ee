"""A key is never lost: whatever breaks off, wherever, a rotation and an enrolment end by themselves."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster import Device
from muster.device import DeviceError, Refused, Unreachable, identity
from muster.device.files import replace_file
from muster.device.identity import Identity
from muster.device.loop import Loop
from tests.fleet import API, Drift, World

Loss = Literal["request", "answer", None]


class Line:
    """The way to the server, and the disk: each can fail."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.loses: Loss = None
        self.dies = False
        """Whether the device's process ends where the line breaks."""
        self.asked: list[str] = []

    def http(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.loses != "request":
            answer = self.world._answer(request)
        if self.loses and self.dies:
            raise KeyboardInterrupt
        if self.loses:
            raise httpx.ReadError("lost")
        return answer


@contextmanager
def full_disk() -> Iterator[None]:
    """No identity can be written."""

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "replace_file", refuse)
        yield


def enrol(line: Line, folder: Path, token: str) -> Device:
    device = Device.enrol(API, token, "thermostat-7", model="toy", state_dir=folder, http=line.http())
    device._transport._sleep = lambda _: None
    return device


def rotate(device: Device) -> None:
    try:
        device.rotate_key()
    except (DeviceError, KeyboardInterrupt):
        return


@pytest.mark.parametrize("loses", ["request", "answer"])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("through", ["check-in", "model", "loop", "rotation"])
def test_a_rotation_that_broke_off_ends_by_itself(
    world: World, tmp_path: Path, loses: Loss, restart: bool, through: str
) -> None:
    world.model()
    line = Line(world)
    device = enrol(line, tmp_path, world.token())
    old = world.key_of(device)
    line.loses, line.dies = loses, restart
    rotate(device)
    line.loses = None
    assert device.keys.is_rotating
    if restart:
        device = enrol(line, tmp_path, "no token")
        assert not device.keys.is_rotating
    if through == "check-in":
        assert device.check_in().kind == "wait"
    elif through == "model":
        assert device.model()[0] == 0
    elif through == "loop":
        Loop(device, Drift(0.1)).turn()
        assert not device.keys.is_rotating, "the loop ends it, whether or not the old key is still good"
    else:
        device.rotate_key()
    if loses == "answer" or restart or through in ("loop", "rotation"):
        assert world.key_of(device) != old
    stored = Identity.load(tmp_path)
    assert stored
    assert stored.key == world.key_of(device)
    assert enrol(line, tmp_path, "no token").check_in().kind == "wait"


def test_a_key_that_is_refused_in_a_rotation_too_is_refused(world: World, tmp_path: Path) -> None:
    world.model()
    line = Line(world)
    device = enrol(line, tmp_path, world.token())
    line.loses = "answer"
    rotate(device)
    line.loses = None
    world.operator.revoke("thermostat-7")
    del line.asked[:]
    with pytest.raises(Refused) as refused:
        device.check_in()
    assert refused.value.unauthenticated
    assert line.asked == ["/v1/models/toy/checkin", "/v1/clients/me/key"]


def test_a_device_starts_without_its_server_though_a_rotation_is_under_way(world: World, tmp_path: Path) -> None:
    world.model()
    line = Line(world)
    device = enrol(line, tmp_path, world.token())
    line.loses = "answer"
    rotate(device)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muster.device.transport.ATTEMPTS", 1)
        again = enrol(line, tmp_path, "no token")
    assert again.keys.is_rotating
    line.loses = None
    assert again.check_in().kind == "wait"
    assert not again.keys.is_rotating


def test_no_rotation_begins_that_a_full_disk_could_not_remember(world: World, tmp_path: Path) -> None:
    world.model()
    line = Line(world)
    device = enrol(line, tmp_path, world.token())
    del line.asked[:]
    with full_disk(), pytest.raises(OSError, match="No space"):
        device.rotate_key()
    assert (line.asked, device.keys.is_rotating) == ([], False)
    assert device.check_in().kind == "wait"


def test_a_key_that_the_disk_does_not_take_is_used_and_written_when_it_does(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.model()
    line = Line(world)
    device = enrol(line, tmp_path, world.token())
    old = world.key_of(device)
    line.loses = "answer"
    rotate(device)
    line.loses = None
    now = 0.0
    device.clock = lambda: now
    loop = Loop(device, Drift(0.1))
    with full_disk():
        loop.turn()
        new = world.key_of(device)
        assert new != old
        assert "in memory only" in caplog.text
        for _ in range(5):
            now += 100.0
            loop.turn()
        assert "still does not take its key" in caplog.text
        assert caplog.text.count("still does not take its key") <= 5
        assert world.key_of(enrol(Line(world), tmp_path, "no token")) == new, "what the disk has leads to the same key"
    now += 900.0
    loop.turn()
    stored = Identity.load(tmp_path)
    assert stored
    assert (stored.key, stored.next_proof) == (new, None)
    assert device.keys.is_saved


@pytest.mark.parametrize("loses", ["request", "answer"])
@pytest.mark.parametrize("dies", [False, True])
def test_an_enrolment_that_broke_off_goes_on_with_the_same_call(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loses: Loss, dies: bool
) -> None:
    world.model()
    line, token = Line(world), world.token(uses=1)
    line.loses, line.dies = loses, dies
    monkeypatch.setattr("muster.http.transport.ATTEMPTS", 1)
    with pytest.raises((Unreachable, KeyboardInterrupt)):
        enrol(line, tmp_path, token)
    line.loses = None
    assert enrol(line, tmp_path, token).check_in().kind == "wait"
    assert world.operator.client("thermostat-7").state == "active"


def test_an_enrolment_that_the_disk_forgets_takes_part_and_goes_on_with_the_same_token(world: World, tmp_path: Path) -> None:
    world.model()
    line, token = Line(world), world.token(uses=1)
    with full_disk(), pytest.raises(OSError, match="No space"):
        enrol(line, tmp_path, token)
    assert line.asked == [], "whoever could not repeat its proof does not enrol"
    full = full_disk()
    save = Identity.save

    def fills(self: Identity, folder: Path) -> None:
        save(self, folder)
        full.__enter__()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Identity, "save", fills)
        device = enrol(line, tmp_path, token)
    assert device.check_in().kind == "wait"
    assert not device.keys.is_saved
    full.__exit__(None, None, None)
    again = enrol(line, tmp_path, token)
    assert world.key_of(again) == world.key_of(device)


Step = st.sampled_from(["rotate", "check in", "restart", "lose the request", "lose the answer", "fill the disk", "mend"])


@settings(max_examples=8)
@given(st.lists(Step, max_size=8))
def test_after_any_faults_in_any_order_the_device_has_a_key_that_is_good(steps: list[str]) -> None:
    world = World()
    try:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr("muster.device.transport.ATTEMPTS", 1)
            world.model()
            line = Line(world)
            device = enrol(line, Path(folder), world.token())
            full = False

            def refuse(path: Path, content: bytes) -> None:
                if full:
                    raise OSError(errno.ENOSPC, "No space left on device")
                written(path, content)

            written = replace_file
            patch.setattr(identity, "replace_file", refuse)
            for step in steps:
                try:
                    if step == "rotate":
                        device.rotate_key()
                    elif step == "check in":
                        device.check_in()
                    elif step == "restart":
                        device = enrol(line, Path(folder), "no token")
                except (Unreachable, OSError):
                    pass
                line.loses = {"lose the request": "request", "lose the answer": "answer", "mend": None}.get(step, line.loses)
                full = {"fill the disk": True, "mend": False}.get(step, full)
            line.loses, full = None, False
            assert device.check_in().kind == "wait"
            assert enrol(line, Path(folder), "no token").check_in().kind == "wait"
    finally:
        world.close()
