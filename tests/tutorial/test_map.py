"""`docs/from-the-tutorial.md` names every class and method of the tutorial, and nothing that is not in the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from muster.cli.app import app

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/from-the-tutorial.md").read_text()

TUTORIAL = {
    "ModelStatus": [],
    "ModelVersion": ["to_dict"],
    "ModelRegistry": [
        "__init__", "_compute_checksum", "_generate_version_id", "register", "deploy", "rollback", "get_model", "list_versions",
    ],
    "ClientInfo": [],
    "ClientManager": [
        "__init__", "_generate_api_key", "register", "authenticate", "heartbeat", "get_active_clients", "record_participation",
        "get_statistics",
    ],
    "MetricPoint": [],
    "MetricsCollector": ["__init__", "record", "set_threshold", "_check_threshold", "_cleanup", "query", "get_alerts"],
    "FLProductionServer": ["__init__", "run_round", "get_status"],
}  # fmt: skip
"""The tutorial's classes and their methods."""

NAMES = sorted(set(re.findall(r"`((?:chalicelib|muster)\.[\w.]+)`", PAGE)))
COMMANDS = sorted(set(re.findall(r"`muster ([\w -]+)`", PAGE)))
FILES = sorted(set(re.findall(r"`([\w/]+\.(?:py|yaml))`", PAGE)) | set(re.findall(r"\]\(\.\./([^)]+)\)", PAGE)))


@pytest.mark.parametrize(("name", "methods"), TUTORIAL.items())
def test_every_class_and_method_of_the_tutorial_has_its_place(name: str, methods: list[str]) -> None:
    assert f"`{name}`" in PAGE or methods
    missing = [method for method in methods if f"`{name}.{method}`" not in PAGE]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_every_name_on_the_page_is_in_the_code(name: str) -> None:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return
    pytest.fail(f"{name} is nowhere")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_the_page_exists_with_its_options(command: str) -> None:
    words = command.split()
    path, options = [w for w in words if not w.startswith("-")], [w for w in words if w.startswith("-")]
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0, shown.output
    for option in options:
        assert option in shown.output


@pytest.mark.parametrize("file", FILES)
def test_every_file_on_the_page_exists(file: str) -> None:
    assert (ROOT / file).exists()


def test_the_page_is_not_empty() -> None:
    assert len(NAMES) > 30
    assert len(COMMANDS) > 15
