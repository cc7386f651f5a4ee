"""`python -m bench.judging`: simulate judges and their drawing, write `build/bench/judging.json`, print tables."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.judging.judges import honest, liars
from bench.judging.rules import RULES, Rule, default
from bench.judging.seats import WAYS, seat
from chalicelib.rounds.judgement import Judgement

FILE = Path(__file__).parent.parent.parent / "build/bench/judging.json"
GAINS = (-0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1)
JUDGES = (5, 10, 15, 30)
LIARS = (0.0, 0.1, 0.2, 0.3)
DISAGREEMENTS = (0.12, 0.3)
FORCE, BLOCK = 1.0, 0.0
"""What liars say of the candidate."""

FLEET = 1_000
"""Clients beside those who trained."""


def main() -> int:
    """Simulate them all."""
    parser = argparse.ArgumentParser(prog="python -m bench.judging", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2_000, help="of each kind (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=200, help="rounds in which judges are drawn (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    asked = parser.parse_args()
    started = time.monotonic()
    found = {
        "setting": vars(asked),
        "deployed": {
            disagreement: [
                {"judges": count, "liars": share, "say": say, "deployed": row}
                for count, share, say, row in _deployed(asked.rounds, disagreement, asked.seed)
            ]
            for disagreement in DISAGREEMENTS
        },
        "rules": {name: _compared(rule, asked.rounds, asked.seed) for name, rule in RULES.items()},
        "seats": [_seats(way, share, asked.draws, asked.seed) for way in WAYS for share in (0.1, 0.2, 0.3)],
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({**found, "seconds": time.monotonic() - started}, indent=2) + "\n")
    _tables(found)
    return 0


def share_deployed(rule: Rule, fleets: Sequence[Sequence[Judgement]], lying: int, says: float) -> float:
    """How many of some rounds deploy their candidate when so many of their judges say the same lie instead."""
    lies = list(liars(lying, says))
    return sum(rule([*lies, *fleet[lying:]]) for fleet in fleets) / len(fleets)


def fleets(rounds: int, count: int, gain: float, disagreement: float, seed: int) -> list[list[Judgement]]:
    """The honest judges of some rounds, whose candidates are truly better by `gain`."""
    rng = np.random.default_rng(seed)
    return [honest(count, gain, max(disagreement, abs(gain)), rng) for _ in range(rounds)]


def _deployed(rounds: int, disagreement: float, seed: int) -> list[tuple[int, float, str, dict[float, float]]]:
    """By judges, share of liars and what they want: the share of rounds that deploy, by true gain."""
    rows = []
    for count in JUDGES:
        made = {gain: fleets(rounds, count, gain, disagreement, seed) for gain in GAINS}
        for share in LIARS:
            lying = int(share * count + 1e-9)
            if share and lying == int((share - 0.1) * count + 1e-9):
                continue  # the same number of judges
            for word, says in (("force", FORCE), ("block", BLOCK)) if lying else (("-", FORCE),):
                rows.append((count, share, word, {g: share_deployed(default, made[g], lying, says) for g in GAINS}))
    return rows


def _compared(rule: Rule, rounds: int, seed: int) -> dict[str, float]:
    """What one rule does among fifteen judges of whom none, one or three lie."""
    bad, equal, good = (fleets(rounds, 15, gain, DISAGREEMENTS[0], seed) for gain in (-0.05, 0.0, 0.1))
    return {
        "-0.05, one forces": share_deployed(rule, bad, 1, FORCE),
        "-0.05, three force": share_deployed(rule, bad, 3, FORCE),
        "0, nobody lies": share_deployed(rule, equal, 0, FORCE),
        "0, three force": share_deployed(rule, equal, 3, FORCE),
        "+0.1, nobody lies": share_deployed(rule, good, 0, FORCE),
        "+0.1, one blocks": share_deployed(rule, good, 1, BLOCK),
        "+0.1, three block": share_deployed(rule, good, 3, BLOCK),
    }


def _seats(way: str, share: float, draws: int, seed: int) -> dict[str, object]:
    """Who judged, how long it took, and what the hostile among them then reached."""
    rng = np.random.default_rng(seed)
    seated = [seat(FLEET, int(share * FLEET), WAYS[way], rng) for _ in range(draws)]
    outcomes = {}
    for name, gain, says in (("-0.05 forced", -0.05, FORCE), ("0 forced", 0.0, FORCE), ("+0.1 let through", 0.1, BLOCK)):
        deployed = [
            default([*liars(s.hostile, says), *honest(s.judges - s.hostile, gain, DISAGREEMENTS[0], rng)]) for s in seated
        ]
        outcomes[name] = sum(deployed) / len(deployed)
    return {
        "way": way,
        "hostile": share,
        "hostile_judges": statistics.fmean(s.hostile / s.judges for s in seated),
        "more_than_a_fifth": sum(5 * s.hostile > s.judges for s in seated) / len(seated),
        "judges": statistics.fmean(s.judges for s in seated),
        "seconds": statistics.fmean(s.seconds for s in seated),
        **outcomes,
    }


def _tables(found: dict[str, Any]) -> None:
    """What docs/judging.md shows."""
    for disagreement, rows in found["deployed"].items():
        print(f"\nversions disagree about {disagreement:.0%} of the examples\n")
        print("| judges | liars | they |" + "".join(f" {gain:+.2f} |" for gain in GAINS))
        print("|---|---|---|" + "---|" * len(GAINS))
        for row in rows:
            cells = "".join(f" {row['deployed'][gain]:.3f} |" for gain in GAINS)
            print(f"| {row['judges']} | {int(row['liars'] * row['judges'] + 1e-9)} | {row['say']} |{cells}")
    rules: dict[str, dict[str, float]] = found["rules"]
    columns = list(next(iter(rules.values())))
    print("\n| |" + "".join(f" {column} |" for column in columns) + "\n|---|" + "---|" * len(columns))
    for name, shares in rules.items():
        print(f"| {name} |" + "".join(f" {shares[column]:.3f} |" for column in columns))
    seats: list[dict[str, object]] = found["seats"]
    print("\n| " + " | ".join(seats[0]) + " |\n" + "|---" * len(seats[0]) + "|")
    for told in seats:
        print("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in told.values()) + " |")


if __name__ == "__main__":
    sys.exit(main())
