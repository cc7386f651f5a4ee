"""The first docstring of a package is a map: it names every room in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = sorted(
    path
    for room in ("chalicelib", "muster", "infra", "bench", "examples")
    for path in [ROOT / room / "__init__.py", *(ROOT / room).rglob("*/__init__.py")]
)


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_package_maps_all_its_rooms(path: Path) -> None:
    rooms = {found.stem for found in path.parent.glob("*.py")} | {
        found.parent.name for found in path.parent.glob("*/__init__.py")
    }
    rooms -= {"__init__", "__main__"}
    told = ast.get_docstring(ast.parse(path.read_text())) or ""
    named = {word.rpartition(".")[2] for word in re.findall(r"`([\w.]+?)(?:\.py)?`|\b(\w+)\.py", told) for word in word}
    assert rooms - named == set(), "rooms that the map leaves out"
