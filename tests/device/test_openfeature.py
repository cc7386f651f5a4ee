"""The version of a device as a flag of OpenFeature."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from muster import Device
from muster.device.variant import Variant
from muster.wire.admin import Strategy
from tests.e2e.page import block
from tests.fleet import World, checkpoint

api = pytest.importorskip("openfeature.api", reason="openfeature-sdk is not installed here (extra `openfeature`)")

from openfeature.exception import ErrorCode  # noqa: E402
from openfeature.flag_evaluation import Reason  # noqa: E402

from muster.device.openfeature import MusterProvider  # noqa: E402


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    yield world
    api.clear_providers()
    world.close()


def flags(device: Device) -> Any:
    api.set_provider_and_wait(MusterProvider(device))
    return api.get_client()


def test_a_version_is_a_number_a_text_or_an_object_and_static_where_all_are_given_it(world: World) -> None:
    (device,) = world.devices(1)
    device.model()
    client = flags(device)
    found = client.get_integer_details("toy", -1)
    assert (found.value, found.variant, found.reason, found.error_code) == (0, "v0", Reason.STATIC, None)
    sha256 = world.services.registry.known("toy", 0).checkpoint.sha256
    assert found.flag_metadata == {"revision": 1, "sha256": sha256}
    assert client.get_string_value("toy", "none") == "0"
    assert client.get_object_value("toy", {}) == {"version": 0, "sha256": sha256, "revision": 1}


def test_in_a_rollout_it_is_a_split(world: World) -> None:
    (device,) = world.devices(1)
    world.operator.deploy("toy", 1, revision=1, strategy=Strategy(kind="rolling", steps=[50]))
    world.clock.advance(5)
    given, _ = device.model()
    found = flags(device).get_integer_details("toy", -1)
    assert (found.value, found.reason) == (given, Reason.SPLIT)


def test_of_a_server_that_signs_nothing_the_reason_is_unknown(world: World) -> None:
    world.move_to(replace(world.settings, signing_key=None))
    (device,) = world.devices(1)
    device.model()
    assert flags(device).get_integer_details("toy", -1).reason == Reason.UNKNOWN


def test_what_a_heartbeat_has_named_and_nobody_asked_for_yet_makes_it_stale(world: World) -> None:
    (device,) = world.devices(1)
    device.model()
    client = flags(device)
    world.operator.deploy("toy", 1, revision=1)
    world.clock.advance(5)
    device.heartbeat_if_due()
    found = client.get_integer_details("toy", -1)
    assert (found.value, found.reason) == (0, Reason.STALE)
    device.model()
    found = client.get_integer_details("toy", -1)
    assert (found.value, found.reason) == (1, Reason.STATIC)


@pytest.mark.parametrize(
    ("kind", "key", "default", "code"),
    [
        ("boolean", "toy", False, ErrorCode.TYPE_MISMATCH),
        ("float", "toy", 0.5, ErrorCode.TYPE_MISMATCH),
        ("integer", "other", -1, ErrorCode.FLAG_NOT_FOUND),
        ("boolean", "other", False, ErrorCode.FLAG_NOT_FOUND),
        ("object", "", {}, ErrorCode.FLAG_NOT_FOUND),
    ],
)
def test_what_is_no_version_of_this_device_has_the_default_and_a_code(
    world: World, kind: str, key: str, default: object, code: ErrorCode
) -> None:
    (device,) = world.devices(1)
    device.model()
    found = getattr(flags(device), f"get_{kind}_details")(key, default)
    assert (found.value, found.reason, found.error_code) == (default, Reason.ERROR, code)


def test_before_a_version_was_ever_given_it_is_not_ready(world: World) -> None:
    (device,) = world.devices(1)
    found = flags(device).get_string_details("toy", "none")
    assert (found.value, found.reason, found.error_code) == ("none", Reason.ERROR, ErrorCode.PROVIDER_NOT_READY)


def test_without_a_network_the_last_known_version_is_given_also_after_a_restart(world: World) -> None:
    (device,) = world.devices(1)
    device.model()

    def unplugged(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network")

    again = Device.enrol(
        device._identity.url, "", device.client_id, model="toy", state_dir=device.keys._folder,
        http=httpx.Client(transport=httpx.MockTransport(unplugged)),
    )  # fmt: skip
    found = flags(again).get_integer_details("toy", -1)
    assert (found.value, found.reason) == (0, Reason.CACHED)


def test_an_evaluation_asks_nobody(world: World) -> None:
    (device,) = world.devices(1)
    device.model()
    client = flags(device)
    with world.calls.count() as calls:
        client.get_integer_value("toy", -1)
    assert calls == []


def test_the_example_of_the_page_runs(world: World) -> None:
    (device,) = world.devices(1)
    device._model = "comfort"  # the page's
    device._versions.last.note(Variant(version=4, sha256="a" * 64, revision=3, offered=1))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(block("device.md", "As a flag of OpenFeature", "python"), {"device": device})
    assert printed.getvalue() == "4 v4 STATIC\n"
