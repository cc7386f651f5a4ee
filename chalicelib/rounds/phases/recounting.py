"""Sets a round's hints of places right, part by part, by what its receipts, or its judges' places, say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from chalicelib.clients.shares import share
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.counters import Counters, Held, PlaceKind, corrected
from chalicelib.rounds.judgement import Judgement
from chalicelib.rounds.receipt import Receipt, ReceiptState
from chalicelib.rounds.round import Round


def recount(
    store: CounterStore, rnd: Round, kind: PlaceKind, counters: Sequence[Counters], held: Mapping[int, Held], now: datetime
) -> None:
    """Correct the hints of one kind of places where that is due; a part in which a place was taken meanwhile is left."""
    places, turns_away = (
        (rnd.open_places, rnd.open_places) if kind == "admitted" else (rnd.judges_wanted, rnd.config.evaluators)
    )
    for each in counters:
        given = corrected(
            each,
            kind,
            held.get(each.part, Held()),
            places=share(places, rnd.parts, each.part),
            turns_away=share(turns_away, rnd.parts, each.part),
            now=now,
        )
        if given is not None:
            store.correct(rnd, each, kind, given)


def held_by_part(receipts: Iterable[Receipt]) -> Mapping[int, Held]:
    """Places to train that are somebody's, and that were given up, by part."""
    return _by_part((receipt.part, receipt.state is ReceiptState.FAILED) for receipt in receipts)


def judges_by_part(judges: Iterable[Judgement]) -> Mapping[int, Held]:
    """The same of judges. Who was taken out has no place and gave none up."""
    return _by_part((judge.part, judge.failure is not None) for judge in judges if judge.is_seated or judge.failure is not None)


def _by_part(places: Iterable[tuple[int, bool]]) -> Mapping[int, Held]:
    counted = Counter(places)
    return {part: Held(held=counted[part, False], given_up=counted[part, True]) for part, _ in counted}
