"""What tests share has a module of its own: a test can be renamed, moved or deleted without another one's missing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = [path for room in ("bench", "docs", "examples", "infra", "tests") for path in (ROOT / room).rglob("*.py")]


def imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports, in full: of `from a import b` both `a` and `a.b`, which may be a module too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whence = "." * node.level + (node.module or "")
            yield from (whence, *(f"{whence}.{alias.name}" for alias in node.names))


def of_tests(tree: ast.Module) -> list[str]:
    """What a module imports of modules that hold tests."""
    return [name for name in imported(tree) if any(part.startswith("test_") for part in name.split("."))]


def test_nothing_is_imported_from_a_module_of_tests() -> None:
    found = {path.relative_to(ROOT): of_tests(ast.parse(path.read_text())) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    ["import tests.rounds.test_edges", "from tests.rounds.test_edges import ended", "from tests.rounds import test_edges",
     "from . import test_edges", "from .test_edges import ended", "def late(): from tests.rounds.test_edges import ended"],
)  # fmt: skip
def test_every_way_to_import_one_is_seen(line: str) -> None:
    assert of_tests(ast.parse(line))
