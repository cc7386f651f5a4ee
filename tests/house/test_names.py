"""One name, one thing: who reads a class's name in a traceback or a review knows which it is."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("chalicelib", "muster", "infra", "bench", "examples")
APART = ROOT / "examples/raw_device"
"""Written as by somebody who has never seen this project, so it may choose the same words."""


def test_no_two_classes_of_the_project_have_one_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if not path.is_relative_to(APART):
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.ClassDef):
                        places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
