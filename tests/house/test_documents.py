"""The documents that are made from the code are up to date, and say what the code does."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import app
from muster.aggregation import registry
from muster.wire.failures import FAILURES
from muster.wire.problems import Problem
from muster.wire.reasons import ABOUT
from muster.wire.tensors import ITEM_BYTES

ROOT = Path(__file__).parent.parent.parent
SOURCES = [ROOT / "app.py", *(path for room in ("chalicelib", "muster", "infra") for path in (ROOT / room).rglob("*.py"))]
DOCUMENT = json.loads((ROOT / "docs/openapi.json").read_text())


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_in_the_document_and_every_path_is_a_route() -> None:
    routes = {(path, method.lower()) for path, methods in app.routes.items() for method in methods}
    assert routes == {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}


def test_every_problem_is_refused_by_some_route_and_no_other_is_documented() -> None:
    named = set(re.findall(r"urn:muster:problem:[a-z-]+", json.dumps(DOCUMENT)))
    assert named == {problem.urn for problem in Problem}


def test_every_operation_says_who_may_call_it() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert operation["summary"]
            if path.startswith("/v1/admin/"):
                assert operation["security"] == [{"aws": []}]
            elif path not in ("/v1/health", "/v1/clients"):
                assert operation["security"] == [{"deviceKey": []}]
                assert "401" in operation["responses"]


PAGES = [path.relative_to(ROOT) for folder in (ROOT, ROOT / "docs", ROOT / "docs/adr") for path in sorted(folder.glob("*.md"))]


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_links_between_documents_lead_somewhere(name: Path) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{name} links to {target}"


def test_the_protocol_names_every_route_problem_reason_and_dtype() -> None:
    text = (ROOT / "docs/protocol.md").read_text()
    device_routes = [path for path in DOCUMENT["paths"] if not path.startswith("/v1/admin/")]
    devices = json.dumps([item for path, item in DOCUMENT["paths"].items() if not path.startswith("/v1/admin/")])
    missing = [path for path in device_routes if path.replace("{round_id}", "{round}") not in text]
    missing += [problem.value for problem in Problem if f'"{problem.urn}"' in devices and f"`{problem.value}`" not in text]
    missing += [reason for reason in (*ABOUT, *FAILURES) if f"`{reason}`" not in text]
    missing += [dtype for dtype in ITEM_BYTES if f"`{dtype}`" not in text]
    assert missing == []


def test_the_operations_page_names_every_setting_and_only_commands_that_exist() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    read = re.findall(r'env\.get\("(MUSTER_\w+)"(?:, "?([^")]*))?', (ROOT / "chalicelib/settings.py").read_text())
    assert {name for name, _ in read} == set(re.findall(r"`(MUSTER_\w+)`", page))
    commands = set(re.findall(r"`muster ([a-z]+(?: [a-z]+)?)", page))
    helped = (ROOT / "docs/cli.md").read_text()
    assert [
        words for words in commands if f"## `muster {words}`" not in helped and f"## `muster {words.split()[0]}`" not in helped
    ] == []


def test_the_aggregation_page_names_every_rule_and_every_parameter_with_its_default() -> None:
    page = (ROOT / "docs/aggregation.md").read_text()
    registry.names()
    for table in (registry._AGGREGATORS, registry._OPTIMIZERS):
        for name, kind in table.items():
            (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
            for field in fields(kind):
                assert f"`{field.name}`" in row
                if field.default is not MISSING and field.default is not None:
                    shown = json.dumps(field.default)
                    assert f"`{field.name}` ({shown})" in row or f"`{field.name}` ({float(field.default):g})" in row


def named_in(source: Path) -> set[str]:
    """The functions, classes and methods of a file, methods as `Class.method`."""
    found = set()
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{method.name}" for method in node.body if isinstance(method, ast.FunctionDef)}
    return found


def test_the_walks_of_the_architecture_name_functions_that_are_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    steps = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`((?: `[A-Za-z_.]+`,?)+)", page)
    assert len(steps) > 30
    for path, names in steps:
        missing = set(re.findall(r"`([A-Za-z_.]+)`", names)) - named_in(ROOT / path)
        assert missing == set(), f"docs/architecture.md names what is not in {path}"
    everywhere = {name for source in SOURCES for name in named_in(source)}
    assert {name for name in re.findall(r"`([A-Z]\w+\.\w+)`", page) if not name.endswith(".md")} <= everywhere
