"""Who may speak: devices enrol, keys are checked and rotated, clients revoked and listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chalicelib.admission.asking import SiteQuestion
from chalicelib.admission.deciding import Admission
from chalicelib.clients import credentials
from chalicelib.clients.client import Client, ClientState, Conduct, Readiness
from chalicelib.clients.credentials import Credential
from chalicelib.clients.enrolling import Enroller
from chalicelib.clients.fleet_store import FleetFull, FleetStore
from chalicelib.clients.pacing import Pacing
from chalicelib.clients.store import ClientStore
from chalicelib.clients.token_store import TokenRefused
from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.storage import keys
from chalicelib.storage.dynamo import ConditionCheck, ConditionFailed
from chalicelib.storage.rows import Unreadable, readable_one
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.problems import Problem

PAGE = 50
EXAMINED = 500
"""Clients that one page of a filtered list looks at: a page costs the same whatever the fleet and the filter."""


def unauthenticated() -> Refusal:
    """One answer for an unknown id, a wrong key and a revoked client: it tells a stranger nothing."""
    return Refusal(
        Problem.UNAUTHENTICATED,
        "the bearer key is unknown, wrong or revoked",
        expected="Authorization: Bearer <client_id>.<secret>",
        got="no key that is valid now",
    )


@dataclass(frozen=True, slots=True)
class Allowance:
    """That a key is its client's, and a model in the client's scope: what a write has to check that is done in a key's name.

    The check is a part of the write, so a key ends everywhere at the instant at which it is rotated away or revoked.
    """

    caller: Credential
    check: ConditionCheck

    def is_missing(self, lost: ConditionFailed) -> bool:
        """Whether a write was not done because the model is outside the client's scope.

        Raises:
            Refusal: `unauthenticated`: because the key is not a client's.
        """
        if lost.condition is not self.check.condition:
            return False
        if not credentials.holds(readable_one(Client, lost.found), self.caller):
            raise unauthenticated()
        return True


class Directory:
    """The use cases of clients."""

    def __init__(
        self,
        *,
        store: ClientStore,
        enroller: Enroller,
        fleet: FleetStore,
        clock: Clock,
        pacing: Pacing,
        signing_key: Callable[[], str | None],
        admission: Admission,
    ) -> None:
        """`signing_key` reads the public key that signs deployments; None where nothing is signed."""
        self._store = store
        self._enroller = enroller
        self._fleet = fleet
        self._clock = clock
        self._pacing = pacing
        self._signing_key = signing_key
        self._admission = admission

    # ---- devices

    def enrol(self, request: wire.Enrolment) -> wire.Enrolled:
        """Register a device and give it its key; the same enrolment sent again has the same answer.

        It is one transaction: a device that dies has used nothing of its token, or is enrolled.

        Raises:
            Refusal: `enrolment-refused` (the token), `client-exists` (another device has the id), `fleet-full`,
                `signing-failed` (before anything was written: a device that was not told of the key would pin none),
                `refused-by-site` (before anything was written, too).
        """
        token = credentials.parse(request.token)
        now = self._clock()
        if token is None:
            raise Refusal(Problem.ENROLMENT_REFUSED, "the token has not the shape of one", expected="<id>.<secret>")
        key, shown = credentials.device_key(token, request.client_id, request.proof), self._signing_key()
        self._ask_site(token, request, now)
        client = Client(
            client_id=request.client_id,
            key_hash=key.hashed,
            state=ClientState.ACTIVE,
            device_type=request.device_type,
            sdk_version=request.sdk_version,
            enrolled_at=now,
            last_seen_at=now,
            capabilities=dict(request.capabilities),
        )
        try:
            holder = self._enroller.admit(client, token, now)
        except TokenRefused as refused:
            # Whoever was enrolled with this token and this proof has that key: a lost answer is given again, whatever became of
            # the token since.
            if credentials.holds(self._store.get(request.client_id), key):
                return self._enrolled(key, shown)
            raise Refusal(
                Problem.ENROLMENT_REFUSED,
                "this enrolment token does not admit this client",
                expected="a token that is known and good, has a use left, and whose scope has the device type",
                got="a token that is unknown, expired, revoked or used up, or a device type outside its scope",
            ) from refused
        except FleetFull as full:
            if credentials.holds(self._store.get(request.client_id), key):
                return self._enrolled(key, shown)
            raise Refusal(
                Problem.FLEET_FULL,
                str(full),
                expected="a fleet with room: revoke clients that are gone, or raise MUSTER_MAX_CLIENTS",
                got=f"client id {request.client_id!r}",
            ) from full
        if holder is not None and not credentials.holds(holder, key):
            raise Refusal(
                Problem.CLIENT_EXISTS,
                f"client id {request.client_id!r} was enrolled by another device or with another token",
                expected="an id that is free, or the token and proof that it was enrolled with",
                got="an id that is taken",
            )
        if holder is None:
            log.info("client enrolled", client=client.client_id, device_type=client.device_type, token=token.public)
        return self._enrolled(key, shown)

    def _ask_site(self, token: Credential, request: wire.Enrolment, now: datetime) -> None:
        """Put an enrolment to the site's rule, if there is one and the token is known; any other is refused without it."""
        known = self._enroller.token(token) if self._admission.asks else None
        if known is None:
            return
        self._admission.check(
            SiteQuestion(
                what="enrolment",
                client_id=request.client_id,
                device_type=request.device_type,
                sdk_version=request.sdk_version,
                capabilities=request.capabilities,
                token_id=known.token_id,
                token_label=known.label,
                at=now,
            )
        )

    def rotate(self, caller: Credential | None, request: wire.KeyRotation) -> wire.Enrolled:
        """Give a device a new key in the place of its own; the same rotation sent again has the same answer.

        Raises:
            Refusal: `unauthenticated`, `signing-failed`.
        """
        if caller is None:
            raise unauthenticated()
        key, shown = credentials.device_key(caller, caller.public, request.proof), self._signing_key()
        client = self._store.rotate(caller, key, self._clock())
        if client is None or not credentials.holds(client, key):
            raise unauthenticated()
        log.info("key rotated", client=client.client_id)
        return self._enrolled(key, shown)

    def describe(self, caller: Credential | None, request: wire.ProfileUpdate) -> wire.Profile:
        """Store what an enrolled device says of itself now; a repeat is the same.

        Raises:
            Refusal: `unauthenticated`.
        """
        changes = {"sdk_version": request.sdk_version, "capabilities": dict(request.capabilities)}
        client = self._store.describe(caller, changes) if caller else None
        if client is None:
            raise unauthenticated()
        return wire.Profile(
            client_id=client.client_id,
            device_type=client.device_type,
            sdk_version=client.sdk_version,
            capabilities=client.capabilities,
        )

    def authenticate(self, credential: Credential | None) -> Client:
        """The active client whose key this is.

        Raises:
            Refusal: `unauthenticated`.
        """
        client = self._store.get(credential.public) if credential else None
        if credential is None or not credentials.holds(client, credential) or client is None:
            raise unauthenticated()
        return client

    def allowance(self, credential: Credential | None, model: str) -> Allowance:
        """What a write has to check that is done in the name of a key, for a model.

        Raises:
            Refusal: `unauthenticated`: there is no key that could be anybody's.
        """
        if credential is None:
            raise unauthenticated()
        return Allowance(credential, self._store.may_use(credential, model))

    def is_active(self, client_id: str) -> bool:
        """Whether the client is known and not revoked, at this instant."""
        client = self._store.get(client_id)
        return client is not None and client.state is ClientState.ACTIVE

    # ---- operators

    def show(self, client_id: str) -> admin.ClientReply:
        """One client.

        Raises:
            Refusal: `unknown-client`.
        """
        return self._reply(self._known(client_id))

    def page(self, query: admin.ClientPage) -> admin.ClientList:
        """A page of the clients that the query wants, of a bounded number that were looked at."""
        found: list[admin.ClientReply] = []
        for examined, row in enumerate(self._store.browse(query.after, EXAMINED), 1):
            if isinstance(row, Unreadable):
                row.tell()
                last = keys.CLIENT.name_in(row.sk)
            else:
                last = row.client_id
                found += [reply for reply in [self._reply(row)] if _wanted(reply, query)]
            if len(found) == PAGE or examined == EXAMINED:
                return admin.ClientList(clients=found, after=last)
        return admin.ClientList(clients=found, after=None)

    def revoke(self, client_id: str) -> admin.ClientReply:
        """Take a client's key away for good; a repeat is the same.

        Raises:
            Refusal: `unknown-client`.
        """
        client = self._known(client_id)
        if client.state is ClientState.ACTIVE:
            self._fleet.revoke(client)
            log.info("client revoked", client=client.client_id)
            client = self._known(client_id)
        return self._reply(client)

    def _known(self, client_id: str) -> Client:
        client = self._store.get(client_id)
        if client is None:
            raise Refusal(
                Problem.UNKNOWN_CLIENT,
                f"no client {client_id[:64]!r}",
                expected=near(client_id, self._store.ids_like(client_id, 5)),
                got=client_id[:64],
            )
        return client

    def _reply(self, client: Client) -> admin.ClientReply:
        now, conduct, said = self._clock(), client.conduct or Conduct(), client.readiness or Readiness()
        return admin.ClientReply(
            client_id=client.client_id,
            state=client.state.value,
            alive=client.is_alive(now, self._pacing.timeout_seconds),
            device_type=client.device_type,
            sdk_version=client.sdk_version,
            capabilities=client.capabilities,
            enrolled_at=client.enrolled_at,
            last_seen_at=client.last_seen_at,
            key_rotated_at=client.key_rotated_at,
            models=client.models,
            model=client.model,
            version=client.version,
            rounds=client.rounds,
            samples=client.samples,
            strikes=conduct.strikes,
            quarantines=conduct.quarantines,
            quarantined=client.is_quarantined(now),
            quarantined_until=conduct.quarantined_until,
            charging=said.charging,
            idle=said.idle,
            unmetered=said.unmetered,
        )

    def _enrolled(self, key: Credential, shown: str | None) -> wire.Enrolled:
        seconds = self._pacing.intervals().heartbeat_seconds
        return wire.Enrolled(client_id=key.public, key=str(key), heartbeat_seconds=seconds, signing_key=shown)


def _wanted(client: admin.ClientReply, query: admin.ClientPage) -> bool:
    wished = ("state", "device_type", "model", "alive", "quarantined")
    wishes = {name: getattr(query, name) for name in wished}
    return all(wish is None or getattr(client, name) == wish for name, wish in wishes.items())
