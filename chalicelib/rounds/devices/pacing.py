"""When a device comes again that has nothing to do now: what a model's rounds need, and what is known of their time.

| the device has nothing to do because | it comes |
|---|---|
| the model rests, or the round trains among others | at its next heartbeat |
| its lot is not drawn yet | at the pace of those who wait; where few do, at its turn, if that is sooner |
| the round is full, closed, judged by others, wants another state, or it has done its part | at the pace of those who wait |
| the same, and before the next opening there is nothing for it | when that may be (`every_seconds`) |

How often those who wait come, and whether all at once, is in `muster.pacing.intervals`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.clients.pacing import Pacing
from chalicelib.rounds.devices.current import Current
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round, judges_of, places_of
from muster.pacing.intervals import RoundNeed, places_open
from muster.pacing.waits import WaitReason
from muster.wire import messages as wire
from muster.wire.admin import RoundConfig

OFTENER = 8
"""So many times as often as it is told a device may check in in the long run: after its work it comes at once, and it may be a
device of several models.
"""


class RoundPaces:
    """Says when devices of a model come again."""

    def __init__(self, pacing: Pacing, current: Current) -> None:
        self._pacing = pacing
        self._current = current

    def next_heartbeat(self, model: str, last: Round | None, *, rests: bool, heard_within: float | None) -> float:
        """Seconds until the next heartbeat of a device of the model."""
        return self._pacing.next_heartbeat(None if rests else self._need(model, last), heard_within)

    def wait(
        self,
        model: str,
        last: Round | None,
        reason: WaitReason,
        *,
        now: datetime,
        turn: datetime | None = None,
        may_judge: bool = False,
    ) -> wire.Wait:
        """The answer to a device that has nothing to do. With `may_judge` there may be a candidate for it before the next
        opening.
        """
        need = None if reason == "no-training" else self._need(model, last)
        seconds = self._pacing.wait(
            reason,
            need,
            turn_seconds=0.0 if turn is None else (turn - now).total_seconds(),
            opens_seconds=self._opens(model, last, now) if last is not None and not may_judge else 0.0,
        )
        return wire.Wait(retry_after_seconds=seconds, reason=reason, drawn=True)

    def no_oftener(self, model: str) -> float:
        """The seconds after which a device of the model that comes again and again is answered; 0 where none is known to wait.

        Whoever asks more often than it is told would find a place in each round of a large fleet, whose other devices come once
        in an hour. Nothing is read for it: the caller may be anybody.
        """
        last = self._current.round.last_known(model)
        if last is None:
            return 0.0
        waiting = self._pacing.steering().active(model, last.cohort)
        return self._pacing.intervals(need_of(last.config, waiting)).waiting_seconds / OFTENER

    def active(self, model: str) -> int:
        """How many clients of a model live, as last counted."""
        return self._pacing.steering().active(model)

    def waiting(self, rnd: Round) -> int:
        """How many clients wait for a round, as last counted: all that are of its cohort."""
        return self._pacing.steering().active(rnd.model, rnd.cohort)

    def places(self, places: int, since: datetime, now: datetime) -> int:
        """How many of so many places may be given by now, of which the first was to be had at `since`."""
        return places_open(self._pacing.steering().rules, places, (now - since).total_seconds())

    def _need(self, model: str, last: Round | None) -> RoundNeed:
        waiting = self._pacing.steering().active(model, last.cohort if last is not None else None)
        return need_of(self._current.config(model, last), waiting)

    def _opens(self, model: str, last: Round, now: datetime) -> float:
        """Seconds until the next round may open at the earliest; not above 0 when it may at any time."""
        every = timedelta(seconds=self._current.config(model, last).every_seconds)
        return (last.opened_at + every - now).total_seconds()


def need_of(config: RoundConfig, waiting: int) -> RoundNeed:
    """What rounds that run so need of so many clients that wait for them."""
    return RoundNeed(
        waiting=waiting,
        places=places_of(config),
        seconds=config.report_seconds,
        judges=judges_of(config),
        judge_seconds=config.evaluate_seconds,
    )


def judges_later(last: Round, can_evaluate: bool) -> bool:
    """Whether a device may yet be asked to judge in this round, which has not come to it."""
    return can_evaluate and last.config.evaluators > 0 and last.phase in (Phase.COLLECTING, Phase.AGGREGATING)
