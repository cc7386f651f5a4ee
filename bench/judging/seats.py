"""Who judges, when some of a fleet want to be judges: each client comes back again and again, and the hostile are quickest."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from bench.judging.rules import DEFAULTS
from chalicelib.clients.client import Client, ClientState
from chalicelib.rounds.devices.drawing import places, turn
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster.wire.refs import CheckpointRef

PUBLISHED = datetime(2026, 1, 1)  # noqa: DTZ001 (a simulated time, beside no other)
PACE_SECONDS = 60.0
"""After so long, stretched by up to a quarter, an honest client asks again."""

MEASURING_SECONDS = (5.0, 60.0)
"""What an honest judge takes to download and measure two versions."""

Turn = Callable[[Round, Client, int], datetime]


def first_come(rnd: Round, client: Client, active: int) -> datetime:
    """Everybody's turn at once: whoever is quickest takes a place."""
    return PUBLISHED


WAYS: dict[str, Turn] = {"whoever comes first": first_come, "drawn by lot (default)": turn}


@dataclass(frozen=True, slots=True)
class Seated:
    """Who had judged when a round was decided."""

    judges: int
    hostile: int
    seconds: float
    """From the publication to the decision."""


def seat(fleet: int, hostile: int, way: Turn, rng: np.random.Generator) -> Seated:
    """A round of a fleet, beside those who trained: the hostile have been told the moment when the candidate is published,
    come when their turn comes, and say at once what they want to. Of the others one in ten is away.
    """
    base = CheckpointRef(version=0, sha256="f" * 64, nbytes=100, header_bytes=50, min_update_bytes=10, max_update_bytes=1000)
    candidate = replace(base, version=1, sha256=rng.bytes(32).hex())
    whole = timedelta(seconds=DEFAULTS.evaluate_seconds)
    rnd = Round(
        model="m",
        number=1,
        phase=Phase.EVALUATING,
        fence=3,
        config=DEFAULTS,
        base=base,
        deployed=base,
        deployment_revision=1,
        opened_at=PUBLISHED,
        report_by=PUBLISHED,
        completed_before=0,
        manifest_sha256="0" * 64,
        candidate=candidate,
        evaluate_by=PUBLISHED + whole,
    )
    clients = [
        Client(
            client_id=f"client-{n}",
            key_hash="",
            state=ClientState.ACTIVE,
            device_type="iot",
            sdk_version="1",
            enrolled_at=PUBLISHED,
            last_seen_at=PUBLISHED,
        )
        for n in range(fleet)
    ]
    turns = [way(rnd, client, fleet + DEFAULTS.goal) for client in clients]
    coming = [
        ((turns[n] - PUBLISHED).total_seconds() if n < hostile else rng.uniform(0.0, PACE_SECONDS), n)
        for n in range(fleet)
        if n < hostile or rng.random() < 0.9
    ]
    heapq.heapify(coming)
    judged: list[tuple[float, bool]] = []  # when each judge has judged, and whether it is hostile
    tick = 0.0
    while tick < whole.total_seconds() and sum(at <= tick for at, _ in judged) < DEFAULTS.evaluators:
        tick += PACE_SECONDS
        while coming and coming[0][0] <= tick:
            at, number = heapq.heappop(coming)
            now = PUBLISHED + timedelta(seconds=at)
            if now >= turns[number] and len(judged) < places(rnd, turns[number], now):
                judged.append((at if number < hostile else at + rng.uniform(*MEASURING_SECONDS), number < hostile))
            else:
                again = 1.0 if number < hostile else PACE_SECONDS * rng.uniform(1.0, 1.25)
                heapq.heappush(coming, (at + again, number))
    counted = [is_hostile for at, is_hostile in judged if at <= tick]
    return Seated(len(counted), sum(counted), tick)
