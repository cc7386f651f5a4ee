"""What has more than three values is made by their names, so that no two of them can be swapped."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MOST = 3
"""Values that may be told apart by their order."""

SOURCES = [
    ROOT / "app.py",
    *(path for room in ("chalicelib", "muster", "infra", "examples", "bench") for path in (ROOT / room).rglob("*.py")),
]


def keywords_of(decorator: ast.expr) -> dict[str, bool] | None:
    """The switches of a `dataclass` decorator; None of any other."""
    call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
    if ast.unparse(call.func).rpartition(".")[2] != "dataclass":
        return None
    return {str(word.arg): bool(getattr(word.value, "value", True)) for word in call.keywords}


def is_elsewhere(member: ast.AnnAssign) -> bool:
    """Whether it is no value that is told apart by its order: the class's own, or given by its name."""
    return "ClassVar" in ast.unparse(member.annotation) or "kw_only=True" in ast.unparse(member)


def by_order(tree: ast.Module) -> Iterator[str]:
    """The classes of a module that take more than `MOST` values by their order."""
    for found in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        switches = next((words for d in found.decorator_list if (words := keywords_of(d)) is not None), None)
        if switches is not None:
            values = [s for s in found.body if isinstance(s, ast.AnnAssign) and not is_elsewhere(s)]
            if switches.get("frozen") and not switches.get("kw_only") and len(values) > MOST:
                yield found.name
        for method in (s for s in found.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"):
            if len(method.args.posonlyargs + method.args.args) - 1 > MOST:
                yield found.name


def test_what_has_many_values_is_made_by_their_names() -> None:
    found = {path.relative_to(ROOT): list(by_order(ast.parse(path.read_text()))) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}
