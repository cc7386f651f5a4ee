"""What a rollout asks of this device, and the answer: one a rollout, in a heartbeat (docs/device.md).

    a heartbeat is answered: a rollout asks ──▶ the app has said it already, or it is got ready (`Device.answer_rollout`)
                                                    │
    answered, for good ◀── the next heartbeat carries it ── no answer: the one after that carries it again

Nothing here sends, downloads or measures: it remembers what was asked, what is known, and what was said.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from muster.device.errors import DeviceError, TrainerFailed
from muster.device.failures import LASTING, reason_of, text_of
from muster.device.results import MOST_METRICS, said
from muster.wire import messages as wire

log = logging.getLogger(__name__)

ROLLOUT_TRIES = 3
"""How often a device does the work for one rollout, whether it fails or is needed once more."""

Numbers = Mapping[str, float | None]
"""What was measured, by name; None where it is not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What a trainer measured of a version, for the rollout that asked. The next one has it measured anew: data change."""

    rollout: str
    version: int
    numbers: Numbers


class RolloutAnswers:
    """The question of the rollout that goes on, and what there is to say to it."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._question: wire.RolloutQuestion | None = None
        self._closed: str | None = None
        """The last rollout to which there is nothing more to say. It may go on asking: the server does not look up who has
        answered. In memory is enough: after a restart this device answers once more, and the server counts the first answer.
        """
        self._tries = ("", 0)
        """The last rollout for which there was work, and how often it was done."""
        self._said: tuple[int | None, Numbers] = (None, {})
        """What the app said of a version. Replaced, never changed: another thread may be the one that says it."""
        self._measured: _Measured | None = None
        self._ready: tuple[str, int] | None = None
        """The rollout and the version that waits for it."""

    def say(self, metrics: Mapping[str, float], version: int) -> None:
        """Take what the app measured of a version. What it said of another one before is forgotten.

        Raises:
            ValueError: a name or a number that the protocol does not take, or too many names.
        """
        of, before = self._said
        numbers = {**(before if of == version else {}), **said(metrics)}
        if len(numbers) > MOST_METRICS:
            raise ValueError(f"metrics: expected at most {MOST_METRICS} names for a version, got {len(numbers)}")
        self._said = (version, numbers)

    # ---- heartbeats

    def report(self, running: int | None, given: int | None) -> wire.RunReport | None:
        """What the next heartbeat carries: the whole answer, or None as long as it is not known. What was measured counts only
        of the version that the device is given (`given`), so of another one it is not sent.
        """
        question = self._question
        if question is None:
            return None
        known: Numbers = {}
        if question.metrics:
            known = self._known(running)
            if running is None or running != given or not known.keys() >= set(question.metrics):
                return None
        if question.standby is not None and self._ready != (question.rollout, question.standby):
            return None
        return wire.RunReport(
            rollout=question.rollout, metrics={name: known[name] for name in question.metrics}, ready=question.standby
        )

    def heard(self, sent: wire.RunReport | None, reply: wire.HeartbeatReply) -> None:
        """Take the answer to a heartbeat that carried `sent`.

        That ends the matter, unless the answer names another version to run: what was measured was then not of the version that
        the device is given, and did not count.
        """
        if sent is not None and (reply.newer_version is None or not sent.metrics):
            self._closed = sent.rollout
        asks = reply.asks
        if asks is None:
            if sent is None or self._closed == sent.rollout:
                self._question = None
        elif asks.rollout == self._closed or not self._is_sensible(asks):
            self._question = None
        else:
            self._question = asks

    def refused(self, sent: wire.RunReport) -> None:
        """A heartbeat that carried `sent` was refused. The next one goes without: the server may be one of an earlier release
        again, and that the device lives matters more.
        """
        log.warning("%s: rollout %s is told nothing more, its server refuses it", self._client_id, sent.rollout)
        self._closed, self._question = sent.rollout, None

    # ---- work

    def lacks(self, running: int | None, given: int | None) -> wire.RolloutQuestion | None:
        """What of the question is still to be got ready; None when there is nothing, or when it was tried often enough."""
        question = self._question
        if question is None or self._tried(question.rollout) >= ROLLOUT_TRIES or self.report(running, given) is not None:
            return None
        standby = None if self._ready == (question.rollout, question.standby) else question.standby
        return wire.RolloutQuestion(rollout=question.rollout, metrics=question.metrics, standby=standby)

    def missing(self, version: int) -> list[str]:
        """The metrics that are asked for and not known of a version."""
        known = self._known(version)
        return [name for name in self._question.metrics if name not in known] if self._question else []

    def measured(self, rollout: str, version: int, numbers: Numbers) -> None:
        """Take what a trainer measured of a version."""
        self._measured = _Measured(rollout=rollout, version=version, numbers=numbers)
        self._count(rollout, 1)

    def stands_by(self, rollout: str, version: int) -> None:
        """Note that a version is on the disk, verified."""
        self._ready = (rollout, version)

    def failed(self, rollout: str, error: Exception) -> None:
        """Count work that failed. It is done again after the next heartbeat that asks, unless that would not help."""
        reason = error.reason if isinstance(error, TrainerFailed) else reason_of(error)
        self._count(rollout, ROLLOUT_TRIES if reason in LASTING else 1)
        tries = self._tried(rollout)
        known = isinstance(error, (DeviceError, OSError)) and not isinstance(error, TrainerFailed)
        log.warning(
            "%s: trouble with rollout %s, %s: %s",
            self._client_id, rollout, f"{tries} of {ROLLOUT_TRIES} tries" if tries < ROLLOUT_TRIES else "which is left alone",
            error if isinstance(error, DeviceError) else text_of(error), exc_info=None if known else error,
        )  # fmt: skip

    def _known(self, version: int | None) -> Numbers:
        """What is known of a version. The app's word comes first: it is the one that runs it."""
        known: dict[str, float | None] = {}
        found, question = self._measured, self._question
        if found is not None and question is not None and (found.rollout, found.version) == (question.rollout, version):
            known.update(found.numbers)
        of, numbers = self._said
        if version is not None and of == version:
            known.update(numbers)
        return known

    def _tried(self, rollout: str) -> int:
        return self._tries[1] if self._tries[0] == rollout else 0

    def _count(self, rollout: str, tries: int) -> None:
        self._tries = (rollout, self._tried(rollout) + tries)

    def _is_sensible(self, asks: wire.RolloutQuestion) -> bool:
        """Whether a device can say what is asked at all; if not, it says so in its log, once, and leaves that rollout alone."""
        try:
            wire.RunReport(rollout=asks.rollout, metrics=dict.fromkeys(asks.metrics), ready=asks.standby)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            log.warning("%s: rollout %s asks what no device can say: %s", self._client_id, asks.rollout, first["msg"][:300])
            self._closed = asks.rollout
            return False
        return bool(asks.metrics) or asks.standby is not None
