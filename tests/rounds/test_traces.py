"""The traces of devices at the server: on versions, in the log, and in X-Ray."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from chalicelib import tracing
from chalicelib.log import log
from chalicelib.rounds.phases.traces import MOST_TRACES, noting, traces_of
from muster.cli import render
from tests.fleet import World

TRACE = "a" * 32
PARENT = f"00-{TRACE}-{'b' * 16}-01"
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)
HOSTILE = (
    f"00-{'A' * 32}-{'b' * 16}-01", f"{PARENT},{PARENT}", f"{PARENT} x", "x" * 5000, f"01{PARENT[2:]}-more",
    '{"$ne": null}', f"00-{'0' * 32}-{'b' * 16}-01", f"{PARENT[:-2]}00",
)  # fmt: skip


@given(st.lists(st.booleans(), max_size=100), st.permutations(range(100)))
def test_a_version_names_the_first_traces_of_its_manifest_whatever_the_order_of_the_receipts(
    traced: list[bool], order: list[int]
) -> None:
    names = [f"device-{number:03d}" for number in range(len(traced))]
    manifest: Any = SimpleNamespace(entries=[SimpleNamespace(client_id=name) for name in names])
    receipts: list[Any] = [
        SimpleNamespace(client_id=name, traceparent=f"of {name}" if has else None)
        for name, has in zip(names, traced, strict=True)
    ]
    receipts.append(SimpleNamespace(client_id="rejected", traceparent="of one that does not count"))
    shuffled = [receipts[number] for number in order if number < len(receipts)]
    parents: dict[str, str] = {}
    assert list(noting(shuffled, parents)) == shuffled
    wanted = [f"of {name}" for name, has in zip(names, traced, strict=True) if has]
    assert traces_of(manifest, parents) == tuple(wanted[:MOST_TRACES])


def test_a_line_of_a_traced_request_has_its_trace_and_the_next_line_has_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StringIO()
    monkeypatch.setattr(log.registered_handler, "stream", stream)
    for headers in ({"traceparent": PARENT}, {}):
        world.request("GET", "/v1/models/none", key="device-0." + "x" * 43, **headers)
    traced, other = map(json.loads, stream.getvalue().splitlines())
    assert traced["trace"] == TRACE
    assert "trace" not in other


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """X-Ray's, as far as it listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        yield listening


def test_the_functions_segment_is_annotated_with_the_devices_trace(
    world: World, daemon: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", ROOT)
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{daemon.getsockname()[1]}")
    world.request("GET", "/v1/health", traceparent=PARENT)
    header, _, document = daemon.recv(65_536).partition(b"\n")
    assert json.loads(header) == {"format": "json", "version": 1}
    told = json.loads(document)
    assert (told["type"], told["name"], len(told["id"])) == ("subsegment", "muster", 16)
    assert (told["trace_id"], told["parent_id"]) == ("1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8")
    assert told["annotations"] == {"w3c_trace_id": TRACE}
    assert told["start_time"] == told["end_time"] > 1.6e9


@pytest.mark.parametrize(
    "env",
    [
        {}, {"_X_AMZN_TRACE_ID": ROOT}, {"AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:{port}"},
        {"_X_AMZN_TRACE_ID": ROOT.replace("Sampled=1", "Sampled=0"), "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:{port}"},
        {"_X_AMZN_TRACE_ID": "Root=no", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:{port}"},
        {"_X_AMZN_TRACE_ID": ROOT, "AWS_XRAY_DAEMON_ADDRESS": "elsewhere.example:{port}"},
        {"_X_AMZN_TRACE_ID": ROOT, "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:99999"},
        {"_X_AMZN_TRACE_ID": ROOT, "AWS_XRAY_DAEMON_ADDRESS": "999.1.1.1:{port}"},
    ],
    ids=range(8),
)  # fmt: skip
def test_where_no_segment_is_recorded_nothing_is_sent_and_nothing_fails(daemon: socket.socket, env: dict[str, str]) -> None:
    port = str(daemon.getsockname()[1])
    tracing.annotate(TRACE, {name: value.replace("{port}", port) for name, value in env.items()}, NOW)
    daemon.setblocking(False)
    with pytest.raises(BlockingIOError):
        daemon.recv(65_536)


def test_a_version_has_the_trace_of_a_device_in_any_language(world: World) -> None:
    world.model(goal=1, quorum=1)
    (device,) = world.devices(1)
    world.tick()
    device._transport.http.headers["traceparent"] = PARENT
    world.update(device)
    world.deliver()
    world.tick()
    assert world.operator.version("toy", 1).traces == [PARENT]
    shown = Console(file=StringIO(), width=100, record=True)
    shown.print(render.version(world.operator.version("toy", 1)))
    assert ["traces", TRACE] in [line.split() for line in shown.export_text().splitlines()]


@pytest.mark.parametrize("header", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_traceparent_is_neither_kept_nor_logged_and_refuses_nothing(
    world: World, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StringIO()
    monkeypatch.setattr(log.registered_handler, "stream", stream)
    world.model(goal=1, quorum=1)
    (device,) = world.devices(1)
    world.tick()
    device._transport.http.headers["traceparent"] = header
    world.update(device)
    world.request("GET", "/v1/models/none", key=world.key_of(device), traceparent=header)
    world.deliver()
    world.tick()
    assert world.operator.version("toy", 1).traces == []
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert "refused" in {line["message"] for line in lines}
    assert not any("trace" in line for line in lines)
    rows, _ = world.everything()
    for text in (str(rows), stream.getvalue()):
        assert header.strip()[:20] not in text
