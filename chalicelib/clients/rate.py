"""How often a client may ask: a leaky bucket of one number, the generic cell rate algorithm (ITU-T I.371, annex A).

    arrival    when the next request would come from a client that keeps exactly to its rate (the theoretical arrival time)
    in order   a request at `now` for which  arrival <= now + (burst - 1) · seconds
    then       arrival = max(arrival, now) + seconds

A client that has been silent may send `burst` requests at once; in the long run it may send one each `seconds`. Who comes no
sooner than `seconds` after its last request finds `arrival <= now`, whatever the burst is: a store can decide that case in one
conditional write, without having read the number.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_BURST = 10_000
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class TooSoon:
    """A request that came before its time, and after how many seconds the same one will be in order."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRate:
    """So many requests at once, and one each so many seconds in the long run."""

    burst: int
    seconds: float
    """0: as many as anybody likes."""

    def __post_init__(self) -> None:
        if not (1 <= self.burst <= MOST_BURST and 0.0 <= self.seconds <= LONGEST_SECONDS):
            raise ValueError(
                f"a rate of requests: expected a burst of 1 to {MOST_BURST} and 0 to {LONGEST_SECONDS:g} seconds, "
                f"got {self.burst} and {self.seconds:g}"
            )

    @property
    def is_unlimited(self) -> bool:
        """Whether there is nothing to count."""
        return self.seconds == 0.0

    def slowed(self, seconds: float) -> RequestRate:
        """The same burst, and one each so many seconds in the long run, if that is slower; no limit stays none."""
        if self.is_unlimited or seconds <= self.seconds:
            return self
        return RequestRate(burst=self.burst, seconds=min(seconds, LONGEST_SECONDS))

    def fresh(self, now: float) -> float:
        """The arrival time after a request that came no sooner than the rate asks."""
        return round(now + self.seconds, 6)

    def taken(self, arrival: float | None, now: float) -> float | TooSoon:
        """The arrival time after a request at `now`, or by how much that came too soon. Both in seconds since 1970.

        No request that was in order leaves an arrival time of more than the whole burst ahead. One from which a client would
        have to wait longer than that was written under a clock that has jumped back since: the request is in order, and
        the bucket empty after it. So a wrong clock keeps nobody out for longer than the burst.
        """
        whole = self.burst * self.seconds
        early = 0.0 if arrival is None else round(arrival - now - (whole - self.seconds), 6)
        if early > whole:
            return round(now + whole, 6)
        if early > 0.0:
            return TooSoon(early)
        return self.fresh(max(now, now if arrival is None else arrival))
