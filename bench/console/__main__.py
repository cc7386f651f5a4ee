"""`python -m bench.console`: store models and clients, time the console's updates, print tables, and write
`build/bench/console.json`.

It fails, and says so, when the update of a page takes longer than 200 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from bench.console.answers import AnswerCost, answers
from bench.console.stack import console_stack
from bench.console.updates import UpdateCost, updates

FILE = Path(__file__).parent.parent.parent / "build/bench/console.json"
MOST_MILLISECONDS = 200.0


def main() -> int:
    """Measure, write, print, and hold it against what must hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=__doc__)
    parser.add_argument("--models", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--clients", type=int, default=100_000, help="stored clients (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=9, help="updates of each page (default: %(default)s)")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="IAMAuthorizer is not a supported")
    with console_stack(asked.models, asked.clients) as stack:
        told = answers(stack, asked.turns)
        updated = asyncio.run(updates(stack, asked.turns))
    slow = too_slow(updated)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "models": asked.models, "clients": asked.clients, "turns": asked.turns, "too_slow": slow,
        "answers": {name: asdict(one) for name, one in told.items()},
        "updates": {name: {**asdict(one), "total": one.total} for name, one in updated.items()},
    }  # fmt: skip
    FILE.write_text(json.dumps(found, indent=2) + "\n")
    print(answer_table(told), update_table(updated), sep="\n\n")
    print(*(f"slower than {MOST_MILLISECONDS:g} ms: {name}" for name in slow), sep="\n")
    return 1 if slow else 0


def too_slow(found: Mapping[str, UpdateCost]) -> list[str]:
    """The pages that take too long."""
    return [name for name, one in found.items() if one.total >= MOST_MILLISECONDS]


def answer_table(found: Mapping[str, AnswerCost]) -> str:
    """Each question, as Markdown."""
    lines = ["| question | the server, ms | slowest | requests to AWS |", "|---|--:|--:|--:|"]
    return "\n".join(
        [*lines, *(f"| {name} | {one.milliseconds:.1f} | {one.slowest:.1f} | {one.requests} |" for name, one in found.items())]
    )


def update_table(found: Mapping[str, UpdateCost]) -> str:
    """Each page, as Markdown."""
    lines = [
        "| page | questions | the server, ms | asking | drawing | of it the view | all | of 200 ms | sent | opened anew, ms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, one in found.items():
        share = f"{one.total / MOST_MILLISECONDS:.0%}"
        parts = (one.answering, one.asking, one.drawing, one.view, one.total)
        numbers = " | ".join(f"{part:.1f}" for part in parts)
        sent = f"{one.sent_bytes / 1000:.1f} kB"
        lines.append(f"| {name} | {one.questions} | {numbers} | {share} | {sent} | {one.opening:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
