"""The script: what a device is led through, step by step, and what goes wrong on the way.

enrol ▸ wait ▸ rest ▸ train, in each kind of trouble ▸ train, in each encoding ▸ judge ▸ no key
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from muster.conformance import faults as fault
from muster.conformance.faults import Fault
from muster.conformance.requests import RoutedRequest
from muster.conformance.world import World
from muster.wire.encodings import Encoding

WAIT_SECONDS = 0.4
REST_SECONDS = 3.0
UNKNOWN_REASON = "of-a-later-release"

Faults = Mapping[str, Sequence[Fault]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptStep:
    """What check-ins are answered with, and the faults of each route, in their order."""

    name: str
    work: Literal["wait", "train", "evaluate", "gone"]
    faults: Faults = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    base: int = 1
    """The version to start from, or the deployed one."""
    encoding: Encoding = "plain"
    judging: Literal["the next", "a wild one"] | None = None
    """Which candidate."""


_TROUBLE: Mapping[str, Faults] = {
    "downloads are spoilt": {"checkpoint": [fault.cut("download-cut"), fault.changed("download-changed")]},
    "downloads are strange": {"checkpoint": [fault.endless("download-long"), fault.packed("download-packed")]},
    "URLs expire": {
        "checkpoint": [fault.expired("download-expired", "check-in")],
        "put": [fault.expired("put-expired", "grant")],
    },
    "replies are lost": {
        "grant": [fault.lost("grant-again", "check-in", same=False)],
        "put": [fault.lost("put-again", "report", same=False)],
        "report": [fault.lost("report-again", "check-in")],
    },
    "the store is in trouble": {
        "put": [fault.slow("put-busy"), fault.conflict("put-conflict")],
        "report": [fault.vanished("upload-missing")],
    },
    "the round closes": {"grant": [fault.closed("round-closed")]},
    "it is refused": {"grant": [fault.unheard_of("unknown-refusal")]},
}
"""One round each: never more than a device must bear before it may give a place up."""


def script(world: World, *, can_restart: bool) -> Iterator[ScriptStep]:
    """The steps, each made when it is reached: by then the device has said what it can do."""
    yield _first(world)
    yield ScriptStep(name="rest", work="wait", faults={}, reason="no-training", seconds=REST_SECONDS)
    garbage = [fault.garbage("garbage")]
    yield ScriptStep(
        name="wait for an unknown reason",
        work="wait",
        faults={"check-in": garbage},
        reason=UNKNOWN_REASON,
        seconds=WAIT_SECONDS,
    )
    base = 1
    for base, (name, faults) in enumerate(_TROUBLE.items(), 2):
        yield ScriptStep(name=f"train: {name}", work="train", faults=faults, base=base)
    encodings: list[Encoding] = [encoding for encoding in world.encodings if encoding != "plain"]
    encodings += ["plain"] * (2 - len(encodings))
    world.store.offers_deltas = True
    for number, encoding in enumerate(encodings):
        base += 1
        faults = {}
        if number == 0:
            faults["delta"] = [fault.changed("delta-damaged", "checkpoint")]
            faults["grant"] = [fault.killed("restart", partial(_wrong_after_restart, world))] if can_restart else []
        yield ScriptStep(name=f"train in {encoding}", work="train", faults=faults, base=base, encoding=encoding)
    lost = [fault.lost("metrics-again", same=False)]
    yield ScriptStep(name="judge", work="evaluate", faults={"metrics": lost}, base=base, judging="the next")
    yield ScriptStep(name="judge a wild candidate", work="evaluate", base=base, judging="a wild one")
    yield ScriptStep(name="the key is refused", work="gone")


def _first(world: World) -> ScriptStep:
    faults = {
        "enrol": [fault.busy("retry-after-503", 503, 1, same=True), fault.lost("enrol-again")],
        "heartbeat": [fault.busy("retry-after-429", 429, 1, same=False)],
        "check-in": [fault.moved("no-redirects", lambda: world.elsewhere), fault.failing("server-errors")],
    }
    return ScriptStep(name="enrol", work="wait", faults=faults, reason="between-rounds", seconds=WAIT_SECONDS)


def _wrong_after_restart(world: World, request: RoutedRequest) -> str | None:
    if request.route == "enrol" and request.said is not None and not world.is_known(request.said):
        return "started again, it enrolled as another device, or with another proof"
    bearer = request.seen.headers.get("authorization", "").partition(" ")[2]
    if request.route in ("heartbeat", "check-in") and not world.is_own(bearer):
        return "started again, it had lost its key"
    return None
