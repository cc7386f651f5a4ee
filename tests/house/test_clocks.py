"""The time is passed in. Devices go by durations, so that a clock that is wrong by any amount changes nothing for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ASKS = {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime", "ctime"}
"""Functions of `datetime` and `time` that tell the machine's time of day; `monotonic` tells only how long something took."""


def questions(source: str) -> Iterator[int]:
    """The lines in which a source asks the machine for the time of day."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ASKS:
            of = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if of in ("datetime", "date", "time"):
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "time" and ASKS & {name.name for name in node.names}:
            yield node.lineno


@pytest.mark.parametrize(
    ("source", "asks"),
    [
        ("from datetime import datetime\ndatetime.now()", 1), ("import time\ntime.time()", 1), ("from time import time", 1),
        ("import datetime\ndatetime.datetime.now()", 1), ("import time\ntime.monotonic()", 0), ("self.time()", 0),
        ("from datetime import time", 0),
    ],
)  # fmt: skip
def test_a_question_is_found(source: str, asks: int) -> None:
    assert len(list(questions(source))) == asks


def test_neither_a_device_nor_a_rule_nor_the_server_asks_the_machine_for_the_time() -> None:
    packages = ("muster/wire", "muster/device", "muster/aggregation", "chalicelib")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 50
    found = {str(path.relative_to(ROOT)): lines for path in files if (lines := list(questions(path.read_text())))}
    assert found.keys() == {"chalicelib/instants.py"}, found
