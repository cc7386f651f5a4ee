"""`python -m bench.cost`: run rounds, write `build/cost.json`, print what they cost beside an always-on server."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from rich.console import Console
from rich.table import Table

from bench.cost import assumptions, scenarios
from bench.cost.run import parameters_of, play
from muster.pricing.prices import DATE, PRICES, REGION
from muster.pricing.usage import MONTH_HOURS, Usage, added, bill

FILE = Path(__file__).parent.parent.parent / "build/cost.json"
SMALL, LARGE = 1_400_000, 45_000_000
TINY = 40_000
"""Bytes of an update in the runs from which larger ones are derived."""


def main() -> int:
    """Run, count, bill."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000, help="of the large rounds (default: %(default)s)")
    parser.add_argument("--downloads", type=float, default=1.0, help="share of a checkpoint that is fetched (default: all)")
    arguments = parser.parse_args()
    many, share, started = arguments.clients, arguments.downloads, time.monotonic()
    few_tiny, few, lots = play(50, parameters_of(TINY)), play(50, parameters_of(SMALL)), play(many, parameters_of(TINY))
    cpu = scenarios.cpu_per_byte(few_tiny, few)
    runs = {"50 x 1.4 MB": few, f"{many:,} x 1.4 MB": lots, f"{many:,} x 45 MB": lots}
    sizes = dict(zip(runs, (None, SMALL, LARGE), strict=True))

    def rounds(downloads: float) -> dict[str, scenarios.MeasuredRound]:
        return {
            name: scenarios.at_size(runs[name], size, cpu, downloads) if size else scenarios.as_run(runs[name], downloads)
            for name, size in sizes.items()
        }

    found = rounds(share)
    waits = {name: scenarios.waiting(runs[name], rnd.clients, assumptions.ROUND_MINUTES) for name, rnd in found.items()}
    idle = scenarios.idle_month(few)
    resting = {name: scenarios.resting_month(runs[name], rnd.clients) for name, rnd in found.items()}
    busy = {name: scenarios.busy_month(runs[name], rnd) for name, rnd in found.items()}
    server = {name: scenarios.server_month(rnd, MONTH_HOURS) for name, rnd in found.items()}
    fractions = {f"{part:g}": {n: _total(r.used) for n, r in rounds(part).items()} for part in (1.0, 0.5, 0.25, 0.1)}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(
        json.dumps(
            {
                "prices": {"date": DATE, "region": REGION, **{name: asdict(price) for name, price in PRICES.items()}},
                "assumptions": {n: getattr(assumptions, n) for n in dir(assumptions) if n.isupper()},
                "seconds": time.monotonic() - started,
                "downloads": share,
                "cpu_seconds_per_gigabyte": {name: seconds * 1e9 for name, seconds in cpu.items()},
                "rounds": {
                    name: {
                        "bytes_are": "derived from a run with small tensors" if sizes[name] else "measured",
                        "used": dict(rnd.used),
                        "dollars": bill(rnd.used),
                        "waiting": bill(waits[name]),
                        "parts": rnd.parts,
                        "calls": dict(runs[name].counts["round"]),
                    }
                    for name, rnd in found.items()
                },
                "idle_month": _causes(idle),
                "resting_month": {name: _causes(month) for name, month in resting.items()},
                "busy_month": {name: _causes(month) for name, month in busy.items()},
                "server_month": {name: _causes(month) for name, month in server.items()},
                "round_by_download_share": fractions,
            },
            indent=2,
        )
        + "\n"
    )
    console = Console(width=110)
    _print_rounds(console, found, waits)
    _print_causes(console, "an idle month (one model, 50 silent devices)", {"dollars": idle})
    _print_causes(console, "a month without rounds, devices always on", resting)
    _print_causes(console, "a month at one round an hour, devices always on", busy)
    _print_causes(console, "the same on a server that is always on (t3.medium, ALB, 30 GB gp3)", server)
    table = Table("share of a checkpoint that a device downloads", *fractions["1"], title="dollars a round, by downloads")
    for part, totals in fractions.items():
        table.add_row(part, *(f"{dollars:.4f}" for dollars in totals.values()))
    console.print(table)
    console.print(
        f"prices of {REGION} as known on {DATE}, without free tiers; check them at the sources in muster/pricing/prices.py"
    )
    return 0


def _total(used: Usage) -> float:
    return sum(bill(used).values())


def _causes(month: Mapping[str, Usage]) -> dict[str, Any]:
    """Dollars by cause, and all of it by service."""
    by_cause = {cause: _total(used) for cause, used in month.items()}
    return {**by_cause, "total": sum(by_cause.values()), "by_service": bill(added(*month.values()))}


def _print_rounds(console: Console, found: Mapping[str, scenarios.MeasuredRound], waits: Mapping[str, Usage]) -> None:
    table = Table("service", *(name.replace(" x ", " × ") for name in found), title="dollars a round")
    bills = {name: bill(rnd.used) for name, rnd in found.items()}
    for service in max(bills.values(), key=len):
        table.add_row(service, *(f"{dollars.get(service, 0.0):.5f}" for dollars in bills.values()))
    table.add_row("all", *(f"{sum(dollars.values()):.5f}" for dollars in bills.values()), style="bold")
    waiting = (f"{_total(used):.5f}" for used in waits.values())
    table.add_row(f"and if all ask once a minute, {assumptions.ROUND_MINUTES} minutes", *waiting)
    console.print(table)


def _print_causes(console: Console, title: str, months: Mapping[str, Mapping[str, Usage]]) -> None:
    table = Table("what", *(name.replace(" x ", " × ") for name in months), title=f"dollars: {title}")
    for cause in next(iter(months.values())):
        table.add_row(cause, *(f"{_total(month[cause]):.2f}" for month in months.values()))
    table.add_row("all", *(f"{_total(added(*month.values())):.2f}" for month in months.values()), style="bold")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
