"""Clients come: by a heartbeat, or to ask for work. Who they are, and whether they come too often, is one write.

A check-in is then put to the site's rule, if there is one: it is asked of nobody without a key.
"""

from __future__ import annotations

from chalicelib.admission.asking import SiteQuestion
from chalicelib.admission.deciding import Admission
from chalicelib.clients.arrivals import Arrival, ArrivalStore
from chalicelib.clients.client import Client, Described
from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import unauthenticated
from chalicelib.clients.rate import TooSoon
from chalicelib.errors import Refusal
from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.storage.rows import Item, from_item
from muster.wire import messages as wire
from muster.wire.problems import Problem


class Presence:
    """The use cases of a client that comes."""

    def __init__(self, *, store: ArrivalStore, admission: Admission, clock: Clock) -> None:
        self._store = store
        self._admission = admission
        self._clock = clock

    def heartbeat(self, caller: Credential | None, beat: wire.Heartbeat) -> Described | None:
        """Authenticate and mark alive, in one conditional write, and say who it is; None when the model is not in its scope.

        Raises:
            Refusal: `unauthenticated`, `too-many-requests`.
        """
        runs = {name: value for name, value in (("model", beat.model), ("version", beat.version)) if value is not None}
        row = self._come(caller, Arrival(kind="heartbeat", model=beat.model, says=runs))
        return None if row is None else Described.of_row(row)

    def check_in(
        self, caller: Credential | None, model: str, state: wire.DeviceState | None, no_oftener_seconds: float = 0.0
    ) -> Client | None:
        """Authenticate, mark alive and store the device's state, in one conditional write; and return the client, or None when
        the model is not in its scope. In the long run one check-in each `no_oftener_seconds` is enough.

        Raises:
            Refusal: `unauthenticated`, `too-many-requests`, `refused-by-site`.
        """
        said = state.model_dump(exclude_none=True) if state else {}
        says: Item = {"readiness": said} if said else {}
        arrival = Arrival(
            kind="checkin",
            model=model,
            says=says,
            no_longer_says=() if said else ("readiness",),
            no_oftener_seconds=no_oftener_seconds,
        )
        row = self._come(caller, arrival)
        if row is None:
            return None
        client = from_item(Client, row)
        if self._admission.asks:
            self._admission.check(
                SiteQuestion(
                    what="check-in",
                    client_id=client.client_id,
                    device_type=client.device_type,
                    sdk_version=client.sdk_version,
                    capabilities=client.capabilities,
                    model=model,
                    **said,
                    at=self._clock(),
                )
            )
        return client

    def _come(self, caller: Credential | None, arrival: Arrival) -> Item | None:
        done = self._store.arrive(caller, arrival, self._clock()) if caller else "refused"
        if isinstance(done, TooSoon):
            log.info("client comes too often", client=caller.public if caller else None, kind=arrival.kind)
            raise Refusal(
                Problem.TOO_MANY_REQUESTS,
                "this client sends more requests of this kind than it may",
                expected="a request after the seconds that this answer names",
                got="one that came before",
                retry_after_seconds=done.seconds,
            )
        if done == "refused":
            raise unauthenticated()
        return None if done == "foreign-model" else done
