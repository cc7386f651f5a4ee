"""The monitor's run: count the fleet, record, deliver, watch. It is a schedule of its own, beside the tick.

Monitoring must never hold a round back, and a slow or failing CloudWatch or SNS would. So it runs in its own function, with
its own role, and derives everything from what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from chalicelib.clients.census import Census
from chalicelib.monitoring.recording import Fresh, Recording
from chalicelib.monitoring.watching import Watching
from chalicelib.registry.model import Model
from chalicelib.registry.store import RegistryStore
from chalicelib.storage.rows import Unreadable
from chalicelib.vitals import Vitals


class Monitor:
    """Looks at everything once. At dead letters only when the fleet is recorded: the stack's own alarm is there for the minutes
    between.
    """

    def __init__(
        self,
        *,
        census: Census,
        registry: RegistryStore,
        recording: Recording,
        watching: Watching,
        vitals: Vitals,
        dead_letters: Callable[[], int] | None,
    ) -> None:
        self._census = census
        self._registry = registry
        self._recording = recording
        self._watching = watching
        self._vitals = vitals
        self._dead_letters = dead_letters

    def run(self) -> None:
        """Do what is due. A step that fails does not keep the others waiting; all failures are raised at the end."""
        failures: list[Exception] = []

        def attempt(what: str, step: Callable[..., object], *arguments: object) -> None:
            try:
                step(*arguments)
            except Exception as error:  # noqa: BLE001 (kept, and raised with the others)
                error.add_note(f"while {what}")
                self._vitals.tell(None, what, error)
                failures.append(error)

        with self._vitals.telling(None, "looking which models there are"):
            models = self._registry.entries()
        recorded: set[Fresh] = set()
        attempt("taking the census", self._record_fleet, models, recorded)
        for model in models:
            attempt(f"recording the rounds of {model}", self._recording.record_rounds, model)
        attempt("sending records to CloudWatch", self._recording.deliver)
        seen = cache(self._watching.seen)
        for model in models:
            attempt(f"watching {model}", lambda name: self._watching.watch(name, seen()), model)
        if recorded and (dead := self._dead_letters) is not None:
            attempt("looking for dead letters", lambda: self._watching.watch_stack(seen(), dead, hourly=Fresh.HOUR in recorded))
        if failures:
            raise ExceptionGroup("the monitor failed in part", failures)

    def _record_fleet(self, models: Mapping[str, Model | Unreadable], recorded: set[Fresh]) -> None:
        fleet = self._census.take()
        if fleet is not None:
            for model, row in models.items():
                if (fresh := self._recording.record_fleet(model, fleet, row)) is not None:
                    recorded.add(fresh)
