"""What the functions say of themselves: when the tick last ran, and what fails, since when.

    the tick, once a minute ──▶ pulse     when that was, and which round and revision each model had then
    whatever fails          ──▶ trouble   of which model, while doing what, since when, how often, and what was said

Nobody notes that a trouble is over: what fails is tried again and told of again, so one of which nothing was heard for a while
(`LASTING`) is over. What a log says at length is here in a line, for who asks why a model stands still.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.instants import Clock, Instant, text
from chalicelib.log import log
from chalicelib.recent import Recent
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table
from chalicelib.storage.rows import readable_one, to_item
from muster.wire.admin import NO_MODEL as NO_MODEL

LASTING = timedelta(minutes=3)
"""After so long without a word of it a trouble is over."""

KEPT = timedelta(days=1)

TOLD_AGAIN = timedelta(seconds=20)
"""A function tells of the same trouble once in so long: ten thousand messages that fail are one trouble."""

SELDOM = 5
"""While all models rest, the tick leaves its mark in one minute of so many: each is a write."""

LONGEST = 240
"""Characters that are kept of what an error says."""

_ADDRESS = re.compile(r"\b\w+://\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """What a model had when the tick looked: 0 is none yet."""

    round: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The tick has run."""

    at: Instant
    newest: dict[str, Newest] = field(default_factory=dict)
    """By model: where somebody may begin to look for what is newest."""
    rests: bool = False
    """Whether nothing was due in any model, so that the next one comes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something fails."""

    doing: str
    """`reconciling`, `inspecting updates`, …"""
    what: str
    """The error, in a line, without addresses."""
    since: Instant
    at: Instant
    times: int
    """How often it was told of, which may be seldomer than it failed."""
    ttl: int
    model: str | None = None
    """None: it concerns the stack."""

    def lasts(self, now: datetime) -> bool:
        """Whether it was told of lately; not one of a time to come, which was told under a wrong clock."""
        return abs(now - self.at) < LASTING


class Vitals:
    """Writes them, in the `monitoring` table; `MonitoringStore` reads them."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._told: Recent[tuple[str, str], datetime] = Recent()

    def beat(self, newest: Mapping[str, Newest], *, rests: bool = False) -> bool:
        """Note that the tick has run; False when a later one has noted that, or while all rests and it is not time yet."""
        now = self._clock()
        if rests and now.minute % SELDOM:
            return False
        later = Condition(
            "attribute_not_exists(#at) OR #at < :at OR #at > :far",
            "no later tick has noted it, but one whose clock was wrong",
            {":at": text(now), ":far": text(now + LASTING)},
        )
        pulse = Pulse(at=now, newest=dict(newest), rests=rests)
        try:
            self._table.put(Put(table=self._table, key=keys.PULSE.key(), item=to_item(pulse), condition=later))
        except ConditionFailed:
            return False
        return True

    @contextmanager
    def telling(self, model: str | None, doing: str) -> Iterator[None]:
        """Tell of what fails inside the block, and let it fail."""
        try:
            yield
        except Exception as error:
            self.tell(model, doing, error)
            raise

    def tell(self, model: str | None, doing: str, error: Exception) -> None:
        """Tell of a failure, which is on its way to a log and a retry already: that it cannot be told of is only logged."""
        now, name = self._clock(), (model or NO_MODEL, doing)
        told = self._told.get(name)
        if told is not None and timedelta(0) <= now - told < TOLD_AGAIN:
            return
        self._told.put(name, now)
        try:
            self._note(model, doing, in_a_line(error), now)
        except Exception:  # noqa: BLE001 (what failed first is what matters, and is raised)
            log.exception("a trouble could not be noted")

    def _note(self, model: str | None, doing: str, what: str, now: datetime) -> None:
        key = keys.TROUBLE.key(model=model or NO_MODEL, doing=doing)
        was = readable_one(Trouble, self._table.get(key))
        fresh = Trouble(
            model=model, doing=doing, what=what, since=now, at=now, times=1, ttl=int((now + KEPT).timestamp())
        )  # fmt: skip
        condition = NEW
        if was is not None:
            condition = Condition("#at = :was", "nobody has told of it since it was read", {":was": text(was.at)})
            if was.lasts(now):
                fresh = replace(fresh, since=was.since, times=was.times + 1)
        try:
            self._table.put(Put(table=self._table, key=key, item=to_item(fresh), condition=condition))
        except ConditionFailed:
            return  # another function tells of it


def in_a_line(error: BaseException) -> str:
    """What an error says, in a line: of several the first one, of AWS's its code and the call. No address is in it, and
    nothing that a terminal would obey.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    answer, call = getattr(error, "response", None), getattr(error, "operation_name", None)
    if isinstance(answer, dict) and call:
        said = answer.get("Error", {})
        found = f"{said.get('Code', 'an error')} at {call}: {said.get('Message', '')}"
    else:
        found = f"{type(error).__name__}: {error}"
    shown = "".join(letter if letter.isprintable() else " " for letter in _ADDRESS.sub("(address)", found))
    found = " ".join(shown.split()).removesuffix(":")
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"
