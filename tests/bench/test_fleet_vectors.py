"""The rules over arrays are the rules: of the server's pace, of its lots and buckets, and of the SDK."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.fleet import vectors
from bench.fleet.rounds import MIDNIGHT, SimulatedRounds, instant
from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.rate import RequestRate, TooSoon
from chalicelib.rounds.devices import drawing, lots
from chalicelib.rounds.devices.selection import is_resting, turn_to_train
from muster.device import pace
from muster.pacing.intervals import PaceRules, RoundNeed, intervals
from muster.pacing.waits import WaitReason, spread, wait
from muster.wire.admin import RoundConfig

DRAWS = st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=5)
SECONDS = st.floats(0.0, 100_000.0)
REASONS: tuple[WaitReason, ...] = (
    "no-training", "not-eligible", "not-drawn", "resting", "not-ready", "between-rounds", "round-full", "round-closed",
    "already-done",
)  # fmt: skip


@given(
    st.sampled_from(REASONS), st.integers(1, 10**8), st.integers(1, 20_000), st.floats(0, 1e9), DRAWS, SECONDS,
    st.floats(-1000.0, 100_000.0),
)  # fmt: skip
def test_waits_of_many_are_the_wait_of_each(
    reason: WaitReason, clients: int, places: int, now: float, draws: list[float], turn: float, opens: float
) -> None:
    paces = intervals(PaceRules(), clients, RoundNeed(waiting=clients, places=places, seconds=600))
    found = vectors.waits(reason, paces, now=now, draws=np.array(draws), turns=turn, opens_seconds=opens)
    each = [wait(reason, paces, now=now, draw=draw, turn_seconds=turn, opens_seconds=opens) for draw in draws]
    assert found == pytest.approx(each, rel=1e-12)


@given(SECONDS, SECONDS, st.integers(0, 40), DRAWS)
def test_what_the_sdk_does_in_trouble_is_what_many_do(seconds: float, beat: float, failures: int, draws: list[float]) -> None:
    some = np.array(draws)
    for draw, *found in zip(
        draws,
        vectors.spreads(seconds, some),
        vectors.stretches(seconds, some),
        vectors.returns(np.full(len(draws), seconds), np.full(len(draws), beat), some),
        vectors.back_offs(5.0, 900.0, np.full(len(draws), failures), some),
        strict=True,
    ):
        drawn = (lambda number: lambda: number)(draw)
        one = pace.BackOff(5.0, failures=min(failures, 32))
        told = [pace.spread(seconds, drawn), pace.stretched(seconds, drawn), pace.returning(seconds, beat, drawn)]
        assert found == pytest.approx([*told, one.seconds(drawn)])
        assert spread(seconds, draw) == pace.spread(seconds, drawn)


@given(st.integers(1, 30), st.floats(0.5, 20.0), st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60))
def test_buckets_of_many_are_the_bucket_of_each(burst: int, seconds: float, gaps: list[float]) -> None:
    rate, now = RequestRate(burst=burst, seconds=seconds), 1000.0
    arrival: float | None = None
    arrivals = np.zeros(1)
    for gap in gaps:
        now += gap
        one = rate.taken(arrival, now)
        in_order, arrivals = vectors.admitted(rate, arrivals, now)
        assert in_order[0] == (not isinstance(one, TooSoon))
        if not isinstance(one, TooSoon):
            arrival = one
            assert arrivals[0] == pytest.approx(one, abs=2e-6)


@pytest.mark.parametrize("lottery", [False, True])
@pytest.mark.parametrize("waiting", [30, 300, 10**6])
def test_turns_to_train_of_many_are_the_turn_of_each(lottery: bool, waiting: int) -> None:
    rounds = SimulatedRounds(RoundConfig(goal=50, quorum=10, lottery=lottery), seed=1, rules=PaceRules())
    rounds.look(0.0, tick=True)
    names = [f"client-{n}" for n in range(300)]
    assert rounds.round is not None
    each = [(turn_to_train(rounds.round, name, waiting) - MIDNIGHT).total_seconds() for name in names]
    assert rounds.turns_to_train(names, waiting) == pytest.approx(each, abs=1e-5)


@pytest.mark.parametrize("rest_rounds", [0, 1, 5])
def test_many_rest_when_each_does(rest_rounds: int) -> None:
    rounds = SimulatedRounds(RoundConfig(goal=1, quorum=1, rest_rounds=rest_rounds, evaluators=0), seed=1, rules=PaceRules())
    for at in range(0, 1000, 10):
        rounds.look(float(at), tick=True)
        rounds.inspected(1, len(rounds.courses))
    rnd = rounds.round
    assert rnd is not None
    assert rnd.number > 7
    for last, rests in enumerate(rounds.are_resting(np.arange(rnd.number + 1))):
        assert rests == is_resting(rnd, (f"{rnd.model}.{last}",) if last else ())


@pytest.mark.parametrize("active", [30, 10**6])
def test_turns_to_judge_of_many_are_the_turn_of_each(active: int) -> None:
    rounds = SimulatedRounds(RoundConfig(goal=2, quorum=1), seed=1, rules=PaceRules())
    rounds.look(0.0, tick=True)
    rounds.inspected(2, 1)
    rounds.look(1.0, tick=False)
    rounds.look(100.0, tick=False)
    rnd = rounds.round
    assert rnd is not None
    names, enrolled = [f"client-{n}" for n in range(100)], np.where(np.arange(100) % 5, 0.0, 150.0)
    trained = np.arange(100) % 7 == 0
    found = rounds.turns_to_judge(names, trained, enrolled, active)
    for name, did, at, turn in zip(names, trained, enrolled, found, strict=True):
        client = Client(
            client_id=name, key_hash="h", state=ClientState.ACTIVE, device_type="iot", sdk_version="1",
            enrolled_at=instant(at), last_seen_at=instant(at), credited=(str(rnd.id),) if did else (),
        )  # fmt: skip
        assert turn == pytest.approx((drawing.turn(rnd, client, active) - MIDNIGHT).total_seconds(), abs=1e-5)


def test_a_lot_is_drawn_for_many_when_it_is_for_each() -> None:
    some = np.linspace(1e-9, 1 - 1e-9, 500)
    found = vectors.drawn_after(some, 0.01, 0.1, 0.25)
    assert found == pytest.approx([lots.drawn_after(lot, 0.01, 0.1, 0.25) for lot in some])
    assert all(a <= b + 1e-12 for a, b in pairwise(found))
    assert timedelta(seconds=float(found[-1])) <= timedelta(seconds=0.25 + 1e-9)
