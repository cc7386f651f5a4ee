"""What a device tells OpenTelemetry, and how a trace goes from its training to the version that it became."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from muster import telemetry
from muster.device import TrainerFailed, Unreachable
from muster.operator import Operator
from muster.wire.tracing import parent_of, trace_of
from tests.fleet import API, Drift, World

ROOT = Path(__file__).parent.parent.parent
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


@dataclass(frozen=True)
class Collector:
    """What was told."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracers: TracerProvider

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == f"muster.{name}"]

    def span(self, name: str) -> ReadableSpan:
        (found,) = self.spans(name)
        return found

    def numbers(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """A counter's sums, or a histogram's counts, by attributes."""
        data = self.reader.get_metrics_data()
        points = [
            point
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == f"muster.{name}"
            for point in metric.data.data_points
        ]
        return {
            tuple(sorted((point.attributes or {}).items())): getattr(point, "value", None) or getattr(point, "count", None)
            for point in points
        }


@pytest.fixture
def told() -> Iterator[Collector]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.connect(tracers, MeterProvider([reader]))
    yield Collector(exporter, reader, tracers)
    telemetry.disconnect()


def context_of(span: ReadableSpan) -> str:
    """The span as a `traceparent` names it."""
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def test_a_trace_is_followed_from_a_devices_training_to_the_version_that_it_became(world: World, told: Collector) -> None:
    world.model(goal=2, quorum=2, evaluators=1)
    devices = world.devices(3)
    world.tick()
    for device in devices[:2]:
        world.update(device)
    world.play(devices)
    version = world.operator.version("toy", 1)
    assert sorted(version.traces) == sorted(map(context_of, told.spans("report")))
    for training, report in zip(told.spans("train"), told.spans("report"), strict=True):
        assert trace_of(context_of(training)) == trace_of(context_of(report))
        assert training.attributes == {
            "muster.model": "toy", "muster.round": "toy.1", "muster.version": 0, "muster.examples": 10,
        }  # fmt: skip
    assert {trace_of(parent) for parent in version.traces} == {trace_of(context_of(span)) for span in told.spans("take_part")}
    assert len(told.spans("judge")) == 1
    assert told.span("judge").attributes == {"muster.model": "toy", "muster.round": "toy.1", "muster.version": 1}
    assert world.operator.version("toy", 0).traces == []


def test_the_spans_of_an_update_are_below_the_place_that_it_was_trained_for(world: World, told: Collector) -> None:
    world.model(goal=1, quorum=1)
    (device,) = world.devices(1)
    world.tick()
    device.heartbeat_if_due()
    world.update(device)
    whole = told.span("take_part")
    for name in ("download", "train", "upload", "report"):
        span = told.span(name)
        assert span.parent is not None
        assert whole.context is not None
        assert span.parent.span_id == whole.context.span_id, name
    assert told.span("upload").attributes == {
        "muster.model": "toy", "muster.round": "toy.1", "muster.bytes": told.numbers("bytes")[("muster.direction", "up"),],
    }  # fmt: skip
    assert told.span("check_in").attributes == {"muster.model": "toy", "muster.work": "train", "muster.round": "toy.1"}
    assert told.span("heartbeat").attributes == {"muster.model": "toy"}


def test_the_trace_goes_to_the_api_and_never_to_the_store(
    world: World, told: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, list[httpx.Request]] = {"api": [], "store": []}
    serve, store = world.serve, world._store

    def noted(kind: str, request: httpx.Request) -> httpx.Response:
        asked[kind].append(request)
        return serve(request) if kind == "api" else store(request)

    monkeypatch.setattr(world, "serve", partial(noted, "api"))
    monkeypatch.setattr(world, "_store", partial(noted, "store"))
    world.model(goal=1, quorum=1, evaluators=1)
    devices = world.devices(2)
    world.tick()
    asked["api"].clear()
    world.update(devices[0])
    world.play(devices)
    assert len(asked["store"]) >= 3
    assert not any("traceparent" in request.headers for request in asked["store"])
    of_devices = [request for request in asked["api"] if "admin" not in request.url.path]
    assert len(of_devices) > 4
    for request in of_devices:
        assert parent_of(request.headers["traceparent"]), request.url.path
        assert "tracestate" not in request.headers
        assert "baggage" not in request.headers


def test_an_operators_request_belongs_to_the_operators_own_trace(world: World, told: Collector) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("traceparent"))
        return httpx.Response(200, json={"models": []})

    operator = Operator(API, http=httpx.Client(transport=httpx.MockTransport(answer)))
    operator.models()
    with told.tracers.get_tracer("notebook").start_as_current_span("look"):
        operator.models()
    alone, within = told.spans("request")
    assert seen == [context_of(alone), context_of(within)]
    assert within.attributes == {"muster.method": "get", "muster.of": "models"}
    look = told.exporter.get_finished_spans()[-1]
    assert (look.name, trace_of(context_of(look))) == ("look", trace_of(context_of(within)))


def test_no_key_no_url_and_no_text_of_an_error_is_told(world: World, told: Collector) -> None:
    world.model(goal=1, quorum=1, evaluators=1)
    token = world.token()
    devices = [world.device(token, name) for name in ("one", "two")]
    world.tick()
    assignment = devices[0].check_in()
    assert assignment.kind == "train"

    class Breaks(Drift):
        def train(self, *_: Any) -> Any:
            raise RuntimeError("https://b/c?X-Amz-Signature=abc a patient's name")

    with pytest.raises(TrainerFailed):
        devices[0].take_part(assignment, Breaks(0.1))
    world.update(devices[0])
    world.play(devices)
    text = json.dumps([json.loads(span.to_json()) for span in told.exporter.get_finished_spans()])
    assert (told.spans("train")[0].attributes or {})["error.type"] == "TrainerFailed"
    assert '"ERROR"' in text
    secrets = [token.partition(".")[2], *(world.key_of(device).partition(".")[2] for device in devices)]
    for secret in (*secrets, "X-Amz", "://", "patient", "one", "two"):
        assert secret not in text, secret


def test_an_update_that_waits_for_its_delivery_is_delivered_in_the_trace_of_its_training(
    world: World, told: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(goal=1, quorum=1)
    (device,) = world.devices(1)
    world.tick()
    store = world._store
    monkeypatch.setattr(world, "_store", lambda request: httpx.Response(500) if request.method == "PUT" else store(request))
    assignment = device.check_in()
    assert assignment.kind == "train"
    device._transport._sleep = lambda _: None
    with pytest.raises(Unreachable):
        device.take_part(assignment, Drift(0.1))
    monkeypatch.setattr(world, "_store", store)
    device.take_part(assignment, Drift(0.1))
    world.deliver()
    world.tick()
    (parent,) = world.operator.version("toy", 1).traces
    assert parent == context_of(told.span("report"))
    assert trace_of(parent) == trace_of(context_of(told.span("train")))
    assert len(told.spans("take_part")) == 2
    assert told.numbers("retries") == {(("muster.to", "store"),): 2}


def test_numbers_are_counted_by_words_of_which_there_are_few(world: World, told: Collector) -> None:
    world.model(goal=2, quorum=1)
    devices = world.devices(2)
    world.tick()
    world.update(devices[0])
    world.deliver()
    for _ in range(3):
        devices[0].receipt("toy.1")
    model = ("muster.model", "toy")
    assert told.numbers("rounds") == {(model,): 1}
    assert told.numbers("training.seconds") == {(model,): 1}
    assert told.numbers("updates") == {(model, ("muster.state", "reported")): 1, (model, ("muster.state", "accepted")): 1}
    assert set(told.numbers("bytes")) == {(("muster.direction", "up"),), (("muster.direction", "down"),)}
    telemetry.count("updates", model="toy", state="rejected", reason="not-finite")
    telemetry.count("updates", model="toy", state="rejected", reason="a-server-says-so")
    reasons = {dict(key).get("muster.reason") for key in told.numbers("updates")}
    assert reasons == {None, "not-finite", "other"}


@given(st.text() | st.from_regex(r"https?://\S+") | st.from_regex(r"[a-z-]{3,9}\.[A-Za-z0-9_-]{43}", fullmatch=True))
@example("kitchen-1." + "x" * 43)
@example("https://b/c?X-Amz-Signature=abc")
@example("toy.1\n")
def test_what_a_server_says_is_told_only_if_it_is_a_short_word(said: str) -> None:
    for value in telemetry._told({"round": said}).values():
        assert isinstance(value, str)
        assert len(value) <= 57
        assert not set(value) - set("abcdefghijklmnopqrstuvwxyz0123456789_-.")
        assert len(value.rpartition(".")[2]) <= 8 or "." not in value


# ---- the server


HEX = st.text("0123456789abcdef", min_size=1, max_size=40)


@given(st.one_of(st.none(), st.text(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"), HEX))
@example(PARENT.upper())
@example(PARENT + "-x")
@example(PARENT + "\n")
@example(f"00-{'0' * 32}-{'b' * 16}-01")
@example(f"00-{'a' * 32}-{'0' * 16}-01")
@example(f"00-{'a' * 32}-{'b' * 16}-00")
@example(f"ff-{'a' * 32}-{'b' * 16}-01")
@example(f"00-{'a' * 31}٣-{'b' * 16}-01")
def test_of_what_may_come_as_a_traceparent_only_one_form_is_taken(header: str | None) -> None:
    found = parent_of(header)
    if found is not None:
        assert found == header
        assert len(found) == len(found.encode()) == 55
        version, trace, span, flags = found.split("-")
        assert version == "00"
        assert int(trace, 16) > 0
        assert int(span, 16) > 0
        assert int(flags, 16) % 2 == 1
    assert parent_of(PARENT) == PARENT


def test_the_trace_of_the_report_that_was_counted_stays_whatever_is_sent_later(world: World) -> None:
    world.model(goal=2, quorum=1)
    (device,) = world.devices(1)
    world.tick()
    assignment = device.check_in()
    assert assignment.kind == "train"
    sent: list[Any] = []
    call = device.keys.call
    device.keys.call = lambda *words: sent.append(words) or call(*words)  # type: ignore[method-assign, func-returns-value]
    device.take_part(assignment, Drift(0.1))
    receipt = world.services.rounds.receipt(world.services.rounds.latest("toy").id, device.client_id)  # type: ignore[union-attr]
    assert receipt is not None
    assert receipt.traceparent is None, "nobody traces here"
    report = next(words[3] for words in sent if words[1].endswith("/report")).model_dump(mode="json")
    again = world.request("POST", "/v1/rounds/toy.1/report", key=world.key_of(device), body=report, traceparent=PARENT)
    assert again.status_code == 202
    receipt = world.services.rounds.receipt(receipt.round, device.client_id)
    assert receipt is not None
    assert receipt.traceparent is None


def test_without_a_sampled_span_no_trace_is_kept(world: World) -> None:
    telemetry.connect(TracerProvider(sampler=ALWAYS_OFF))
    try:
        world.model(goal=1, quorum=1)
        (device,) = world.devices(1)
        world.tick()
        world.update(device)
        world.deliver()
        world.tick()
    finally:
        telemetry.disconnect()
    assert world.operator.version("toy", 1).traces == []


WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "opentelemetry":
            asked.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

asked = []
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, ROOT)
from tests.fleet import World
world = World()
world.model(goal=1, quorum=1, evaluators=1)
devices = world.devices(2)
world.tick()
devices[0].heartbeat_if_due()
world.update(devices[0])
world.play(devices)
print(world.operator.version("toy", 1).traces, asked.count("opentelemetry"), "opentelemetry" in sys.modules)
world.close()
"""


def test_without_the_packages_all_works_and_they_are_looked_for_once() -> None:
    code = WITHOUT.replace("ROOT", repr(str(ROOT)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] 1 False"
