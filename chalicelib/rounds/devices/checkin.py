"""Check-in: a client asks for work, and gets a place to train, a place to judge, or is told when to come back and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chalicelib.clients.client import Client
from chalicelib.clients.credentials import Credential
from chalicelib.clients.presence import Presence
from chalicelib.instants import Clock
from chalicelib.registry.urls import handed_out
from chalicelib.rollouts.assigning import given_to
from chalicelib.rounds.devices import drawing
from chalicelib.rounds.devices.current import Current, unknown_model
from chalicelib.rounds.devices.pacing import RoundPaces, judges_later
from chalicelib.rounds.devices.seating import RoundMoved, Seating
from chalicelib.rounds.devices.selection import not_now, places_drawn
from chalicelib.rounds.judgement import Judgement
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import KEEP, OF_A_SITE, Receipt, ReceiptState
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.presign import Presigner
from muster.pacing.waits import WaitReason
from muster.wire import messages as wire
from muster.wire.scheduling import given

RELEASE_SECONDS = 3600.0
"""How long a client in quarantine waits at most until it asks again: an operator may have released it."""


class CheckIns:
    """Admits clients into rounds."""

    def __init__(
        self,
        *,
        presence: Presence,
        rounds: RoundStore,
        seating: Seating,
        current: Current,
        presigner: Presigner,
        clock: Clock,
        paces: RoundPaces,
    ) -> None:
        self._presence = presence
        self._rounds = rounds
        self._seating = seating
        self._current = current
        self._presigner = presigner
        self._clock = clock
        self._paces = paces

    def check_in(self, model: str, caller: Credential | None, request: wire.CheckIn) -> wire.Assignment:
        """Work for this client in the model's current round; asked again, the same work.

        Raises:
            Refusal: `unauthenticated`, `too-many-requests`, `unknown-model`, `refused-by-site`.
        """
        client = self._presence.check_in(caller, model, request.state, self._paces.no_oftener(model))
        if client is None:
            raise unknown_model(model)
        found = self._assigned(model, client, request)
        if not isinstance(found, wire.Wait) or found.reason == "no-training":
            return found
        return found.model_copy(update={"heartbeat": self._hears_something(model, client)})

    def _hears_something(self, model: str, client: Client) -> bool:
        """Whether a heartbeat of this client would be told anything: of another version, or by a rollout or an experiment."""
        deployment = self._current.deployment(model)
        runs = client.version if client.model == model else None
        return deployment.is_moving or given_to(client.described, deployment).version != runs

    def _assigned(self, model: str, client: Client, request: wire.CheckIn) -> wire.Assignment:
        rnd = self._current.round.get(model)
        if self._current.rests(model, rnd):
            return self._paces.wait(model, rnd, "no-training", now=self._clock())
        if (left := client.quarantine_left(self._clock())) > 0.0:
            return wire.Wait(retry_after_seconds=min(left, RELEASE_SECONDS), reason="quarantined")
        if rnd is None:
            return self._paces.wait(model, rnd, "between-rounds", now=self._clock())
        try:
            return self._answer(client, rnd, request)
        except RoundMoved:
            # What was remembered is a phase that has ended since; what is now is read once, and if even that has
            # moved on when it is acted upon, the client may come back.
            fresh = self._current.round.refresh(model)
        try:
            return self._answer(client, fresh or rnd, request)
        except RoundMoved:
            return self._wait(fresh or rnd, request, "between-rounds")

    def _answer(self, client: Client, rnd: Round, request: wire.CheckIn) -> wire.Assignment:
        if rnd.phase is Phase.COLLECTING and "train" in request.can:
            done = request.reported == str(rnd.id)
            return self._wait(rnd, request, "already-done") if done else self._train(client, rnd, request)
        if rnd.phase is Phase.EVALUATING and "evaluate" in request.can:
            done = request.judged == str(rnd.id)
            return self._wait(rnd, request, "already-done") if done else self._evaluate(client, rnd, request)
        return self._wait(rnd, request, "between-rounds")

    def _train(self, client: Client, rnd: Round, request: wire.CheckIn) -> wire.Assignment:
        now = self._clock()
        if now >= rnd.report_by:
            return self._wait(rnd, request, "round-closed")
        refused = not_now(rnd, client, self._paces.waiting(rnd), now)
        if refused is None:
            receipt = self._place(client, rnd, request, now)
        else:  # it may have its place already, and not have heard of it
            receipt = None if refused.reason == "not-eligible" else self._rounds.receipt(rnd.id, client.client_id)
        if receipt is None:
            return (
                self._wait(rnd, request, "round-full")
                if refused is None
                else self._wait(rnd, request, refused.reason, refused.turn, refused.missing)
            )
        if receipt.state is not ReceiptState.ASSIGNED:
            return self._wait(rnd, request, "already-done")
        return wire.TrainAssignment(
            round=str(rnd.id),
            base=handed_out(rnd.base, self._presigner, request.have),
            report_by=rnd.report_by,
            hyperparameters=given(rnd.config.hyperparameters, rnd.number),
            encoding=receipt.encoding,
            seed=rnd.seed_of(client.client_id),
        )

    def _place(self, client: Client, rnd: Round, request: wire.CheckIn, now: datetime) -> Receipt | None:
        """The client's place to train: one that it takes now, or the one that it has; None when all are taken."""
        place = None
        if client.client_id not in rnd.config.sites:
            places = places_drawn(rnd, client.client_id, self._paces.waiting(rnd))
            place = self._seating.take(rnd, "admitted", self._paces.places(places, rnd.opened_at, now), now)
            if place is None:
                return self._rounds.receipt(rnd.id, client.client_id)
        fresh = Receipt(
            round=rnd.id,
            client_id=client.client_id,
            state=ReceiptState.ASSIGNED,
            assigned_at=now,
            report_by=rnd.report_by,
            min_bytes=rnd.base.min_update_bytes,
            max_bytes=rnd.base.max_update_bytes,
            ttl=int((rnd.report_by + KEEP).timestamp()),
            encoding=rnd.config.encoding if rnd.config.encoding in request.encodings else "plain",
            part=OF_A_SITE if place is None else place.part,
        )
        receipt = self._rounds.assign(fresh)
        if place is not None and receipt is not fresh:
            self._seating.give_back(rnd, place)
        return receipt

    def _evaluate(self, client: Client, rnd: Round, request: wire.CheckIn) -> wire.Assignment:
        now, published = self._clock(), rnd.published
        if now >= published.evaluate_by:
            return self._wait(rnd, request, "round-closed")
        may_judge_at = drawing.turn(rnd, client, self._paces.active(rnd.model))
        judge: Judgement | None
        place = None
        if now >= may_judge_at:
            place = self._seating.take(rnd, "judges", drawing.places(rnd, may_judge_at, now), now)
        if place is not None:
            ttl = int((published.evaluate_by + KEEP).timestamp())
            fresh = Judgement(
                round=rnd.id,
                client_id=client.client_id,
                assigned_at=now,
                report_by=published.evaluate_by,
                ttl=ttl,
                part=place.part,
            )
            judge = self._rounds.appoint(fresh)
            if judge is not fresh:
                self._seating.give_back(rnd, place)
        else:
            judge = self._rounds.judgement(rnd.id, client.client_id)
        if judge is None and now < may_judge_at:
            return self._wait(rnd, request, "not-drawn", may_judge_at)
        if judge is None:
            return self._wait(rnd, request, "round-full")
        if judge.is_complete or not judge.is_seated:
            return self._wait(rnd, request, "already-done")
        return wire.EvaluateAssignment(
            round=str(rnd.id),
            candidate=handed_out(published.candidate, self._presigner, [*request.have, published.deployed.sha256]),
            deployed=handed_out(published.deployed, self._presigner, request.have),
            report_by=published.evaluate_by,
            metric=rnd.config.metric.name,
        )

    def _wait(
        self,
        rnd: Round,
        request: wire.CheckIn,
        reason: WaitReason,
        turn: datetime | None = None,
        missing: Sequence[str] = (),
    ) -> wire.Wait:
        later = judges_later(rnd, "evaluate" in request.can)
        found = self._paces.wait(rnd.model, rnd, reason, now=self._clock(), turn=turn, may_judge=later)
        return found.model_copy(update={"missing": list(missing)}) if missing else found
