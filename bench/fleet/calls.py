"""What each call costs, in a stack with few stored clients and in one with many. It should be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from bench.fleet.stack import MODEL, FleetStack
from muster.wire.admin import RoundConfig

CONFIG = RoundConfig(goal=20, quorum=10, report_seconds=3600.0)
FIRST = f"{MODEL}.1"

MORE_BYTES, MORE_SHARE = 16, 0.02
"""By so many bytes, or so much of them, rows and answers may differ: a larger fleet's numbers have more digits."""


Ask = Callable[[], httpx.Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """What one call asks of AWS."""

    requests: int
    """To all services."""
    read_units: float
    write_units: float
    row_bytes: int
    """Of the rows that it reads and writes."""
    reply_bytes: int

    def is_like(self, other: CallCost) -> bool:
        """Whether another one costs the same."""
        mine, theirs = (self.requests, self.read_units, self.write_units), (other.requests, other.read_units, other.write_units)
        lengths = ((self.row_bytes, other.row_bytes), (self.reply_bytes, other.reply_bytes))
        return mine == theirs and all(abs(one - two) <= max(MORE_BYTES, MORE_SHARE * one) for one, two in lengths)


def costs(clients: int) -> dict[str, CallCost]:
    """What each call costs in a stack with so many stored clients. Functions are warm: each was called once before."""
    with FleetStack(clients, CONFIG) as stack:
        stack.cloud.monitor()  # the census
        return _costs(stack)


def unlike(few: Mapping[str, CallCost], many: Mapping[str, CallCost]) -> list[str]:
    """The calls that do not cost the same."""
    return [call for call, cost in few.items() if not cost.is_like(many[call])]


def _costs(stack: FleetStack) -> dict[str, CallCost]:
    replies: Counter[str] = Counter()

    def measured(name: str, call: Ask) -> httpx.Response:
        with stack.metered(name):
            answer = call()
        replies[name] = len(answer.content)
        return answer

    token = stack.operator.mint_token(1_000).token
    _day(stack, token, 0, lambda name, call: call())
    _day(stack, token, 1, measured)
    for number in range(2, stack.config.goal * 2):
        stack.check_in(number)
    measured("check-in, the round is full", lambda: stack.check_in(stack.config.goal * 2))
    stack.cloud.deliver()
    for name, run in (("tick", stack.cloud.tick), ("monitor, no census due", stack.cloud.monitor)):
        stack.cloud.clock.advance(60)
        run()
        stack.cloud.clock.advance(60)
        with stack.metered(name):
            run()
        replies[name] = 0
    return {name: _cost(stack, name, reply_bytes) for name, reply_bytes in replies.items()}


def _day(stack: FleetStack, token: str, number: int, asked: Callable[[str, Ask], httpx.Response]) -> None:
    """What a device does, from its enrolment on. The one that enrols is another one than that which takes part."""
    asked("enrol", lambda: stack.enrol(token, f"device-{number:08d}"))
    asked("heartbeat", lambda: stack.heartbeat(number))
    asked("check-in, a place given", lambda: stack.check_in(number))
    granted = asked("grant", lambda: stack.grant(number, FIRST))
    stack.put(granted)
    asked("report", lambda: stack.report(number, FIRST))
    asked("model", lambda: stack.model(number))
    asked("statistics", stack.statistics)


def _cost(stack: FleetStack, name: str, reply_bytes: int) -> CallCost:
    used, counts = stack.meter.used[name], stack.meter.counts[name]
    return CallCost(
        requests=sum(counts.values()),
        read_units=used["dynamodb_read_units"],
        write_units=used["dynamodb_write_units"],
        row_bytes=stack.meter.row_bytes[name],
        reply_bytes=reply_bytes,
    )
