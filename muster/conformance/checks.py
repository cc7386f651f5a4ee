"""What is checked, where docs/protocol.md says it, and how it went."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Outcome(StrEnum):
    """How a check went."""

    PASS = "pass"  # noqa: S105 (a word)
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a device does right or wrong."""

    name: str
    section: int
    """Of docs/protocol.md."""
    about: str
    """What the device does that passes."""
    required: bool = True
    """Whether a device that fails does not conform; the others are advice."""
    needs: Literal["train", "evaluate"] | None = None
    """Skipped when the device does not offer this work."""
    unless: str | None = None
    """Why it is skipped when it never came to it; None: then it fails."""


CHECKS = (
    Check(name="base-url", section=1, about="appends every path to the base URL, which has a path of its own"),
    Check(name="bodies", section=1, about="sends JSON of the documented members, as application/json"),
    Check(name="authorization", section=1, about="bears its key in every request to the API but the enrolment"),
    Check(
        name="key-stays-home",
        section=1,
        about="shows its key to nobody but the API: not to the store, not where a redirect points",
    ),
    Check(name="no-redirects", section=1, about="follows no redirect, and asks the same address again later"),
    Check(name="unknown-members", section=1, about="ignores members of replies that it does not know"),
    Check(name="unknown-refusal", section=1, about="takes a refusal for an answer whose name it does not know", needs="train"),
    Check(name="garbage", section=1, about="asks again after a reply that is no JSON"),
    Check(name="server-errors", section=1, about="asks again after a 500"),
    Check(name="retry-after-503", section=1, about="waits as long as a 503 says, then sends the same again"),
    Check(name="retry-after-429", section=1, about="waits as long as a 429 says, then sends a heartbeat again"),
    Check(name="calm", section=1, about="never sends more than 40 requests in a second"),
    Check(name="stops-without-key", section=1, about="sends next to nothing once its key is refused"),
    Check(name="enrolment", section=2, about="enrols with the token, and its id and proof have the shape that they must have"),
    Check(name="enrol-again", section=2, about="repeats an enrolment whose reply was lost, with the same proof"),
    Check(name="restart", section=2, about="killed and started again, it is the same device", unless="only with --run"),
    Check(
        name="rotation",
        section=2,
        about="repeats a rotation with the same proof",
        required=False,
        unless="the device rotated no key",
    ),
    Check(name="heartbeats", section=3, about="sends heartbeats, and not before the server wants them"),
    Check(name="waits", section=4, about="does not check in again before the wait is over"),
    Check(
        name="rests", section=4, about="does not ask while there is no training, until the wait is over or a heartbeat says so"
    ),
    Check(name="unknown-reason", section=4, about="waits as long as it is told, also for a reason that it does not know"),
    Check(name="urls-as-given", section=4, about="uses the store's URLs as they are, to the last sign"),
    Check(name="download-cut", section=4, about="reads a checkpoint again whose body broke off", needs="train"),
    Check(name="download-changed", section=4, about="uses no checkpoint of another SHA-256", needs="train"),
    Check(name="download-long", section=4, about="stops reading at the announced length", needs="train"),
    Check(
        name="download-packed", section=4, about="uses no body with a content encoding that it did not ask for", needs="train"
    ),
    Check(name="download-expired", section=4, about="checks in again when a checkpoint's URL has expired", needs="train"),
    Check(
        name="keeps-checkpoints",
        section=4,
        about="does not read again what it says it has",
        required=False,
        unless="the device names none that it has",
    ),
    Check(name="grant-again", section=5, about="asks again for a grant whose reply was lost", needs="train"),
    Check(name="put-as-granted", section=5, about="PUTs the declared bytes with exactly the grant's headers", needs="train"),
    Check(name="put-expired", section=5, about="asks for another grant when the URL has expired (403)", needs="train"),
    Check(name="put-busy", section=5, about="PUTs again after a 503 of the store", needs="train"),
    Check(name="put-conflict", section=5, about="PUTs again after a 409 of the store", needs="train"),
    Check(
        name="put-again",
        section=5,
        about="after a PUT whose reply was lost, takes the 412 for success and reports",
        needs="train",
    ),
    Check(name="upload-missing", section=5, about="uploads again what the store has lost before the report", needs="train"),
    Check(
        name="report-again", section=5, about="repeats a report whose reply was lost, and reports nothing else", needs="train"
    ),
    Check(name="one-update-a-round", section=5, about="does nothing more in a round in which it has reported", needs="train"),
    Check(name="round-closed", section=5, about="drops the work when its round has closed, and checks in", needs="train"),
    Check(
        name="gives-up",
        section=5,
        about="says one reason for a place that it gives up, and does nothing more for it",
        unless="the device gave no place up",
    ),
    Check(name="update-plain", section=9, about="its plain update passes the server's inspection", needs="train"),
    Check(
        name="update-float32", section=9, about="its float32 update passes", needs="train", unless="the device does not list it"
    ),
    Check(
        name="update-float16", section=9, about="its float16 update passes", needs="train", unless="the device does not list it"
    ),
    Check(
        name="update-bfloat16",
        section=9,
        about="its bfloat16 update passes",
        needs="train",
        unless="the device does not list it",
    ),
    Check(name="update-int8", section=9, about="its int8 update passes", needs="train", unless="the device does not list it"),
    Check(name="receipt", section=6, about="reads its receipt", required=False, needs="train", unless="the device never asked"),
    Check(
        name="judges-both",
        section=7,
        about="measures the deployed version and the candidate, and reports both",
        needs="evaluate",
    ),
    Check(name="judging-metric", section=7, about="reports the metric that its assignment names, or `worse`", needs="evaluate"),
    Check(name="same-data", section=7, about="measures both on equally many examples", required=False, needs="evaluate"),
    Check(
        name="judges-wild",
        section=7,
        about="judges a candidate of enormous numbers all the same",
        required=False,
        needs="evaluate",
    ),
    Check(name="metrics-again", section=7, about="reports a measurement again whose reply was lost", needs="evaluate"),
    Check(
        name="not-modified",
        section=7,
        about="asks for what it should run with the last ETag",
        required=False,
        unless="it never sent `If-None-Match`",
    ),
    Check(
        name="delta-damaged",
        section=10,
        about="reads the whole checkpoint when its delta is damaged",
        unless="the device read no delta",
    ),
    Check(
        name="delta-applied",
        section=10,
        about="makes a checkpoint of another one and a delta",
        unless="the device read no delta",
    ),
)


@dataclass(frozen=True, slots=True)
class Result:
    """A check and how it went."""

    check: Check
    outcome: Outcome
    why: str
    """What was seen; of a check that passed, it may be empty."""


class Board:
    """Notes how each check goes: what has failed stays so."""

    def __init__(self) -> None:
        self._noted: dict[str, Result] = {}

    def passed(self, name: str, what: str = "") -> None:
        """The device did it right, once at least."""
        if name not in self._noted:
            self._noted[name] = Result(BY_NAME[name], Outcome.PASS, what)

    def failed(self, name: str, why: str) -> None:
        """The device did it wrong; the first time is kept."""
        known = self._noted.get(name)
        if known is None or known.outcome is not Outcome.FAIL:
            self._noted[name] = Result(BY_NAME[name], Outcome.FAIL, why)

    @property
    def has_failed(self) -> bool:
        """Whether a required check has failed."""
        return any(found.outcome is Outcome.FAIL and found.check.required for found in self._noted.values())

    def results(self, can: Collection[str], ended: str) -> tuple[Result, ...]:
        """Every check. `can` is the work that the device offered, `ended` says how the walk ended."""
        return tuple(self._noted.get(check.name) or _untouched(check, can, ended) for check in CHECKS)


def _untouched(check: Check, can: Collection[str], ended: str) -> Result:
    if check.needs and check.needs not in can:
        return Result(check, Outcome.SKIP, f"the device does not offer to {check.needs}")
    if check.unless:
        return Result(check, Outcome.SKIP, check.unless)
    return Result(check, Outcome.FAIL, f"it did not come to that: {ended}")


BY_NAME = {check.name: check for check in CHECKS}
