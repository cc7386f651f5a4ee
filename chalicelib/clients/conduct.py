"""Strikes: what becomes of a client whose updates are rejected for what they are.

    rejected ──▶ a strike, once a round ──▶ `most` of them, and no update accepted in between ──▶ quarantined for a while
    accepted ──▶ no strikes                                  one more after the quarantine ──▶ quarantined for twice as long

A quarantined client is given no work. It lives, and runs what it is served. The strikes stay until an update of it is
accepted, so the first bad update after a quarantine begins the next one. An operator's release forgets them, and the
quarantines that there were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.clients.client import REMEMBERED_ROUNDS, Client, Conduct

LONGEST_SECONDS = 86_400.0
"""No quarantine is longer: a device that was mended should not need an operator."""

MOST_STRIKES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StrikeRule:
    """After how many strikes a client is quarantined, and for how long the first time."""

    most: int
    first_seconds: float
    """0: nobody is quarantined; strikes are counted all the same."""

    def __post_init__(self) -> None:
        if not (1 <= self.most <= MOST_STRIKES and 0.0 <= self.first_seconds <= LONGEST_SECONDS):
            raise ValueError(
                f"a rule for strikes: expected 1 to {MOST_STRIKES} strikes and 0 to {LONGEST_SECONDS:g} seconds, "
                f"got {self.most} and {self.first_seconds:g}"
            )

    def struck(self, client: Client, round_id: str, now: datetime) -> Client:
        """The client after a strike for this round; the same as before when that round was counted.

        Strikes for places that it had before its quarantine began do not begin another one.
        """
        conduct = client.conduct or Conduct()
        if round_id in conduct.rounds:
            return client
        rounds = (*conduct.rounds, round_id)[-REMEMBERED_ROUNDS:]
        counted = replace(conduct, strikes=conduct.strikes + 1, rounds=rounds)
        if self.first_seconds and counted.strikes >= self.most and not client.is_quarantined(now):
            until = now + timedelta(seconds=self.seconds(conduct.quarantines))
            counted = replace(counted, quarantines=conduct.quarantines + 1, quarantined_until=until)
        return replace(client, conduct=counted)

    def seconds(self, before: int) -> float:
        """How long a quarantine is that comes after so many."""
        return min(LONGEST_SECONDS, self.first_seconds * 2.0 ** min(before, 32))


def accepted(client: Client, round_id: str, samples: int) -> Client:
    """The client after an accepted update of this round; the same as before when that round was counted."""
    if round_id in client.credited:
        return client
    credited = (*client.credited, round_id)[-REMEMBERED_ROUNDS:]
    conduct = client.conduct and replace(client.conduct, strikes=0)
    return replace(client, rounds=client.rounds + 1, samples=client.samples + samples, credited=credited, conduct=conduct)


def released(conduct: Conduct) -> Conduct:
    """As an operator lets a client go: what was counted is forgotten, and which rounds were is not."""
    return Conduct(rounds=conduct.rounds)
