"""`python -m tests.stores`: run the contract against every store that is there, and print what holds where.

`--without-local` leaves DynamoDB Local out; MUSTER_DYNAMODB_LOCAL names one that runs already.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.stores import local
from tests.stores.contract.lacks import LACKS, reason

STORES = ("memory", "moto", "dynamodb-local")
CONTRACT = Path(__file__).parent / "contract"


class Table:
    """A plugin of pytest that keeps what came of each test on each store."""

    def __init__(self) -> None:
        self._tests: dict[str, tuple[str, str, str, str]] = {}
        self._came: dict[tuple[str, str, str], Counter[str]] = {}
        self.failed: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the chapter, the name, the store and the case of each test."""
        for item in session.items:
            module: Any = item.getparent(pytest.Module)
            name = getattr(item, "originalname", item.name)
            params = item.callspec.params if hasattr(item, "callspec") else {}
            store = params.get("place") or params.get("rows") or "memory"
            case = item.nodeid.rpartition("[")[2].removesuffix("]").replace(str(store), "", 1).strip("-")
            self._tests[item.nodeid] = (module.obj.__doc__.splitlines()[0], name, str(store), case)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what came of it."""
        if report.when != "call" and report.outcome == "passed":
            return
        chapter, name, store, _ = self._tests[report.nodeid]
        lacking = hasattr(report, "wasxfail") and report.outcome == "skipped"
        outcome = "lacking" if lacking else str(report.outcome)
        if outcome == "failed":
            self.failed.append(report.nodeid)
        self._came.setdefault((chapter, name, store), Counter())[outcome] += 1

    def show(self) -> None:
        """Print the table, and why a store lacks what it lacks."""
        width = 1 + max(len(name) for _, name, _ in self._came)
        chapter = ""
        print(" " * width + "".join(f"{store:>16}" for store in STORES))
        for of, name in dict.fromkeys((of, name) for of, name, _ in self._came):
            if of != chapter:
                chapter = of
                print(f"\n{chapter}")
            cells = (_cell(self._came.get((of, name, store), Counter())) for store in STORES)
            print(f"  {name.removeprefix('test_').replace('_', ' '):{width - 2}}" + "".join(f"{cell:>16}" for cell in cells))
        totals = [sum((came for (_, _, of), came in self._came.items() if of == store), Counter[str]()) for store in STORES]
        print(f"\n{'passed, of all that ran':{width}}" + "".join(f"{_cell(total):>16}" for total in totals))
        for store, lacks in LACKS.items():
            if any(of == store and came["lacking"] for (_, _, of), came in self._came.items()):
                print(f"\n{store} is known to do otherwise:\n" + "\n".join(f"  {why}" for why in lacks))

    def stale(self) -> list[str]:
        """What is listed as lacking, of tests that there are not."""
        known = {(store, reason(store, name, case)) for _, name, store, case in self._tests.values()}
        return [f"{store}: {why}" for store, lacks in LACKS.items() for why in lacks if (store, why) not in known]


def _cell(came: Counter[str]) -> str:
    """How many cases passed, of how many."""
    ran = came["passed"] + came["lacking"] + came["failed"]
    if not ran:
        return "-"
    return f"{came['passed']}" if came["passed"] == ran else f"{came['passed']} of {ran}"


def main() -> int:
    """Run, print, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.stores", description=__doc__)
    parser.add_argument("--without-local", action="store_true", help="leave DynamoDB Local out")
    said = parser.parse_args()
    with ExitStack() as stack:
        if not said.without_local and "MUSTER_DYNAMODB_LOCAL" not in os.environ:
            try:
                os.environ["MUSTER_DYNAMODB_LOCAL"] = stack.enter_context(local.running())
            except local.Unavailable as unavailable:
                print(f"Without DynamoDB Local: {unavailable}")
        table = Table()
        status = pytest.main([str(CONTRACT), "-o", "addopts=", "-p", "no:terminal"], plugins=[table])
    table.show()
    for nodeid in table.failed:
        print(f"FAILED {nodeid}")
    stale = table.stale() if os.environ.get("MUSTER_DYNAMODB_LOCAL") else []
    for line in stale:
        print(f"listed as lacking, and no test is so named: {line}")
    return int(status) or int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
