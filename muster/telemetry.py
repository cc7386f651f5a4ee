"""What devices and operators tell OpenTelemetry (extra `[otel]`). Without its API installed nothing is told, and nothing costs.

    take_part ─┬─ download                 the spans of one update, each named `muster.…`
               ├─ train
               ├─ upload
               └─ report ──▶ traceparent ──▶ the version that it became (docs/telemetry.md)

Where spans and numbers go is for the app that has the device: whatever provider it has set globally, or gives to `connect`.
What is told is a short word or a number, of a fixed set of names: no key, no URL, no error's text, nothing of the data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from muster.wire.failures import FAILURES
from muster.wire.reasons import ABOUT

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

SpanName = Literal["check_in", "download", "heartbeat", "judge", "report", "request", "take_part", "train", "upload"]
CounterName = Literal["rounds", "updates", "bytes", "retries"]
Word = str | int | float
"""What an attribute may be."""

COUNTERS: Mapping[CounterName, tuple[str, str]] = {
    "rounds": ("{round}", "Trainings that became an update, by model"),
    "updates": ("{update}", "What became of updates, as far as the device has asked: by model, state and reason"),
    "bytes": ("By", "Of tensor files, by direction: up or down"),
    "retries": ("{request}", "Requests that were sent again, by where to: api or store"),
}
"""Counters by their name, each with its unit and what it counts."""
TRAINING_SECONDS = "Seconds of trainings, by model"

_SHORT = re.compile(r"[a-z][a-z0-9_-]{0,47}(\.[0-9]{1,8})?")
"""A model, the id of a round, or a word of the protocol. A key has capital letters, and is longer; a URL has a colon."""
_REASONS = frozenset(map(str, (*ABOUT, *FAILURES)))


class _Counter(Protocol):
    def add(self, amount: int, attributes: Mapping[str, Word]) -> None: ...


class _Histogram(Protocol):
    def record(self, amount: float, attributes: Mapping[str, Word]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Api:
    trace: Any
    """The module `opentelemetry.trace`."""
    tracer: Any
    counters: Mapping[str, _Counter]
    training_seconds: _Histogram


_connected: list[_Api | None] = []
"""The API as it was found, once anything is told; None: it is not installed."""


def connect(tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Tell these providers from now on; without one, the global one of OpenTelemetry's API, also if it is set later.

    Raises:
        ModuleNotFoundError: the API is not installed.
    """
    from opentelemetry import metrics, trace

    from muster import __version__

    meter = (meter_provider or metrics.get_meter_provider()).get_meter("muster", __version__)
    api = _Api(
        trace=trace,
        tracer=(tracer_provider or trace.get_tracer_provider()).get_tracer("muster", __version__),
        counters={name: meter.create_counter(f"muster.{name}", *told) for name, told in COUNTERS.items()},
        training_seconds=meter.create_histogram("muster.training.seconds", "s", TRAINING_SECONDS),
    )
    _connected[:] = [api]


def disconnect() -> None:
    """Forget which providers were told: the next thing that is told looks for them anew."""
    _connected.clear()


def _api() -> _Api | None:
    if not _connected:
        try:
            connect()
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] != "opentelemetry":
                raise
            _connected.append(None)
    return _connected[0]


class Step:
    """A span that goes on, or nothing where nobody is told."""

    def __init__(self, span: Span | None = None, place: Context | None = None) -> None:
        self._span = span
        self.place = place
        """Where a later span is put `within` to be of the same trace; None where there is none."""

    def note(self, **attributes: Word | None) -> None:
        """Tell what has become known."""
        if self._span is not None:
            self._span.set_attributes(_told(attributes))


@contextmanager
def span(name: SpanName, *, within: Context | None = None, **attributes: Word | None) -> Iterator[Step]:
    """A span around a block; it is below the present one, or `within` another one that may be over. An exception is told by its
    type: its text may be anybody's.
    """
    api = _api()
    if api is None:
        yield Step()
        return
    began = api.tracer.start_as_current_span(
        f"muster.{name}",
        context=within,
        attributes=_told(attributes),
        record_exception=False,
        set_status_on_exception=False,
    )
    with began as found:
        try:
            yield Step(found, api.trace.set_span_in_context(found))
        except BaseException as error:
            found.set_status(api.trace.StatusCode.ERROR)
            found.set_attribute("error.type", type(error).__name__)
            raise


def headers() -> dict[str, str]:
    """The `traceparent` of the present span (W3C "Trace Context"), for the Muster API; nothing when there is none."""
    api = _api()
    here = api.trace.get_current_span().get_span_context() if api else None
    if here is None or not here.is_valid:
        return {}
    return {"traceparent": f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags & 0xFF:02x}"}


def count(name: CounterName, amount: int = 1, **attributes: Word | None) -> None:
    """Add to a counter. Its attributes have few values each; a reason that this release does not know is `other`."""
    if (api := _api()) is not None:
        reason = attributes.get("reason")
        if reason is not None and reason not in _REASONS:
            attributes["reason"] = "other"
        api.counters[name].add(amount, _told(attributes))


def trained(seconds: float, model: str) -> None:
    """Record how long a training took."""
    if (api := _api()) is not None:
        api.training_seconds.record(seconds, _told({"model": model}))


def _told(attributes: Mapping[str, Word | None]) -> dict[str, Word]:
    """Attributes under our names. A text that is no short word is left out: no URL and no key is one."""
    return {
        f"muster.{name}": value
        for name, value in attributes.items()
        if value is not None and (not isinstance(value, str) or _SHORT.fullmatch(value))
    }
