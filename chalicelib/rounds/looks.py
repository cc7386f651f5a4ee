"""Who asks that a model be reconciled before the next tick: once a second at the most, however many would.

A look reads what is stored, so one that begins later than an ask sees what that ask was about. The seconds of a model are taken
by a conditional stamp: the first ask in a second sends a message at once; a later one sends a message for the next second; and
who finds that one taken too need not ask, for the look that comes will see it. A message that is lost costs a tick.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.instants import Clock
from chalicelib.recent import Recent
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Condition, ConditionFailed, Table, Update
from chalicelib.storage.queues import Queue

FAR = 60
"""Seconds from now on which a stamp is nobody's: a clock was wrong."""


@dataclass(frozen=True, slots=True)
class LookStamp:
    """The last second of a model for which somebody asked, since the epoch."""

    second: int


class Looks:
    """Asks for looks."""

    def __init__(self, table: Table, work: Queue, clock: Clock) -> None:
        self._table = table
        self._work = work
        self._clock = clock
        self._taken: Recent[str, int] = Recent()

    def ask(self, model: str) -> bool:
        """Ask that a model be reconciled, now or within a second; False when another one did, whose look will do."""
        now = int(self._clock().timestamp())
        known = self._taken.get(model) or 0
        for second in range(known + 1 if known in (now, now + 1) else now, now + 2):
            if self._take(model, second):
                self._work.send({"reconcile": model}, delay_seconds=second - now)
                return True
        return False

    def _take(self, model: str, second: int) -> bool:
        condition = Condition(
            "attribute_not_exists(#second) OR #second < :second OR #second > :far",
            "nobody has asked for this second or a later one",
            {":second": second, ":far": second + FAR},
        )
        self._taken.put(model, second)
        try:
            self._table.update(
                Update(table=self._table, key=keys.LOOK.key(model=model), condition=condition, set={"second": second})
            )
        except ConditionFailed:
            return False
        return True
