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


@dataclass(frozen=True, slots=True)
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
    Check("base-url", 1, "appends every path to the base URL, which has a path of its own"),
    Check("bodies", 1, "sends JSON of the documented members, as application/json"),
    Check("authorization", 1, "bears its key in every request to the API but the enrolment"),
    Check("key-stays-home", 1, "shows its key to nobody but the API: not to the store, not where a redirect points"),
    Check("no-redirects", 1, "follows no redirect, and asks the same address again later"),
    Check("unknown-members", 1, "ignores members of replies that it does not know"),
    Check("unknown-refusal", 1, "takes a refusal for an answer whose name it does not know", needs="train"),
    Check("garbage", 1, "asks again after a reply that is no JSON"),
    Check("server-errors", 1, "asks again after a 500"),
    Check("retry-after-503", 1, "waits as long as a 503 says, then sends the same again"),
    Check("retry-after-429", 1, "waits as long as a 429 says, then sends a heartbeat again"),
    Check("calm", 1, "never sends more than 40 requests in a second"),
    Check("stops-without-key", 1, "sends next to nothing once its key is refused"),
    Check("enrolment", 2, "enrols with the token, and its id and proof have the shape that they must have"),
    Check("enrol-again", 2, "repeats an enrolment whose reply was lost, with the same proof"),
    Check("restart", 2, "killed and started again, it is the same device", unless="only with --run"),
    Check("rotation", 2, "repeats a rotation with the same proof", False, unless="the device rotated no key"),
    Check("heartbeats", 3, "sends heartbeats, and not before the server wants them"),
    Check("waits", 4, "does not check in again before the wait is over"),
    Check("rests", 4, "does not ask while there is no training, until the wait is over or a heartbeat says so"),
    Check("unknown-reason", 4, "waits as long as it is told, also for a reason that it does not know"),
    Check("urls-as-given", 4, "uses the store's URLs as they are, to the last sign"),
    Check("download-cut", 4, "reads a checkpoint again whose body broke off", needs="train"),
    Check("download-changed", 4, "uses no checkpoint of another SHA-256", needs="train"),
    Check("download-long", 4, "stops reading at the announced length", needs="train"),
    Check("download-packed", 4, "uses no body with a content encoding that it did not ask for", needs="train"),
    Check("download-expired", 4, "checks in again when a checkpoint's URL has expired", needs="train"),
    Check("keeps-checkpoints", 4, "does not read again what it says it has", False, unless="the device names none that it has"),
    Check("grant-again", 5, "asks again for a grant whose reply was lost", needs="train"),
    Check("put-as-granted", 5, "PUTs the declared bytes with exactly the grant's headers", needs="train"),
    Check("put-expired", 5, "asks for another grant when the URL has expired (403)", needs="train"),
    Check("put-busy", 5, "PUTs again after a 503 of the store", needs="train"),
    Check("put-conflict", 5, "PUTs again after a 409 of the store", needs="train"),
    Check("put-again", 5, "after a PUT whose reply was lost, takes the 412 for success and reports", needs="train"),
    Check("upload-missing", 5, "uploads again what the store has lost before the report", needs="train"),
    Check("report-again", 5, "repeats a report whose reply was lost, and reports nothing else", needs="train"),
    Check("one-update-a-round", 5, "does nothing more in a round in which it has reported", needs="train"),
    Check("round-closed", 5, "drops the work when its round has closed, and checks in", needs="train"),
    Check("update-plain", 9, "its plain update passes the server's inspection", needs="train"),
    Check("update-float32", 9, "its float32 update passes", needs="train", unless="the device does not list it"),
    Check("update-float16", 9, "its float16 update passes", needs="train", unless="the device does not list it"),
    Check("update-bfloat16", 9, "its bfloat16 update passes", needs="train", unless="the device does not list it"),
    Check("update-int8", 9, "its int8 update passes", needs="train", unless="the device does not list it"),
    Check("receipt", 6, "reads its receipt", False, "train", "the device never asked"),
    Check("judges-both", 7, "measures the deployed version and the candidate, and reports both", needs="evaluate"),
    Check("same-data", 7, "measures both on equally many examples", False, "evaluate"),
    Check("judges-wild", 7, "judges a candidate of enormous numbers all the same", False, "evaluate"),
    Check("metrics-again", 7, "reports a measurement again whose reply was lost", needs="evaluate"),
    Check("not-modified", 7, "asks for what it should run with the last ETag", False, unless="it never sent `If-None-Match`"),
    Check("delta-damaged", 10, "reads the whole checkpoint when its delta is damaged", unless="the device read no delta"),
    Check("delta-applied", 10, "makes a checkpoint of another one and a delta", unless="the device read no delta"),
)  # fmt: skip


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
