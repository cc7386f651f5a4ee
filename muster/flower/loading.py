"""A Flower app as a folder: its `pyproject.toml`, read and checked, and its components, imported.

    [tool.flwr.app.components]
    serverapp = "quickstart.server_app:app"
    clientapp = "quickstart.client_app:app"

    [tool.flwr.app.config]
    num-server-rounds = 3

Tables within the configuration are flattened, with dots between the names. Reading needs no flwr; importing does.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from muster.flower.errors import BadApp, NoFlower
from muster.wire.spelling import near

Setting = bool | int | float | str
Part = Literal["serverapp", "clientapp"]

_ASSIGNMENT = re.compile(r"""([\w.-]+)\s*=\s*("[^"]*"|'[^']*'|\S+)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowerApp:
    """An app that can be run: where it is, which objects it consists of (`module:name`), and its run's configuration."""

    name: str
    folder: Path
    serverapp: str
    clientapp: str
    config: Mapping[str, Setting]
    supernodes: int | None = None
    """How many clients it says that a simulation has, if it does."""


def described(folder: Path, overrides: Sequence[str] = ()) -> FlowerApp:
    """The app in a folder. Each of `overrides` holds one or several `name=value` (values as in TOML), or names a TOML file.

    Raises:
        BadApp: the file, a component or a value is missing, or is none; the sentence names it.
    """
    file = folder / "pyproject.toml"
    document = _document(file)
    project = document.get("project")
    name = project.get("name") if isinstance(project, dict) else None
    app = document
    for key in ("tool", "flwr", "app"):
        found = app.get(key)
        if not isinstance(found, dict):
            raise BadApp(f"{file}: expected a table [tool.flwr.app], got none: this is no Flower app")
        app = found
    components = app.get("components")
    if not isinstance(components, dict):
        raise BadApp(f"{file}: expected a table [tool.flwr.app.components], got none")
    config = flattened(app.get("config", {}), f"{file}: [tool.flwr.app.config]")
    return FlowerApp(
        name=name if isinstance(name, str) and name else folder.resolve().name,
        folder=folder.resolve(),
        serverapp=_reference(file, components, "serverapp"),
        clientapp=_reference(file, components, "clientapp"),
        config=overridden(config, overrides),
        supernodes=_supernodes(document),
    )


def component(app: FlowerApp, part: Part) -> Any:
    """The object that the app names as its ServerApp or its ClientApp; its folder is put on the path of imports.

    Raises:
        NoFlower: flwr is not installed.
        BadApp: the module or the object is not there, or is something else.
    """
    reference = getattr(app, part)
    module, _, name = reference.partition(":")
    wanted = _classes()[part]
    if str(app.folder) not in sys.path:
        sys.path.insert(0, str(app.folder))
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module == missing.name or module.startswith(f"{missing.name}.")):
            raise BadApp(f"{part} {reference!r}: there is no module {missing.name!r} in {app.folder}") from missing
        raise BadApp(f"{part} {reference!r} needs {missing.name!r}, which is not installed") from missing
    for step in name.split("."):
        if not hasattr(found, step):
            raise BadApp(f"{part} {reference!r}: {module} has no {step!r}")
        found = getattr(found, step)
    if not isinstance(found, wanted):
        raise BadApp(f"{part} {reference!r}: expected a {wanted.__name__}, got {type(found).__name__}")
    return found


def overridden(config: Mapping[str, Setting], overrides: Sequence[str]) -> dict[str, Setting]:
    """A configuration with other values for some of its keys.

    Raises:
        BadApp: a key is not in the configuration, or a value is of another kind.
    """
    made = dict(config)
    for override in overrides:
        for key, value in _values(override).items():
            if key not in config:
                raise BadApp(f"--run-config {key}: [tool.flwr.app.config] has no such key: {near(key, config)}")
            made[key] = _as(config[key], value, key)
    return made


def flattened(table: object, where: str, above: str = "") -> dict[str, Setting]:
    """A table with the names of the tables within it before their keys, with dots between.

    Raises:
        BadApp: a value is neither text, nor a number, nor true or false.
    """
    if not isinstance(table, dict):
        raise BadApp(f"{where}: expected a table, got {type(table).__name__}")
    found: dict[str, Setting] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= flattened(value, where, f"{above}{key}.")
        elif isinstance(value, bool | int | float | str):
            found[above + key] = value
        else:
            raise BadApp(f"{where} {above}{key}: expected text, a number, true or false, got {type(value).__name__}")
    return found


def _values(override: str) -> dict[str, Setting]:
    if override.endswith(".toml"):
        return flattened(_document(Path(override)), override)
    found: dict[str, Setting] = {}
    rest = _ASSIGNMENT.sub("", override).strip(" ,")
    if rest or not _ASSIGNMENT.search(override):
        raise BadApp(f"--run-config {override!r}: expected name=value, got {rest or 'nothing'!r}")
    for key, value in _ASSIGNMENT.findall(override):
        try:
            found |= flattened(tomllib.loads(f"{key} = {value}"), f"--run-config {key}")
        except tomllib.TOMLDecodeError as error:
            raise BadApp(f"--run-config {key}: {value} is no value in TOML (text needs quotes: {key}='\"{value}\"')") from error
    return found


def _as(default: Setting, value: Setting, key: str) -> Setting:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) != isinstance(default, bool) or isinstance(value, str) != isinstance(default, str):
        raise BadApp(f"--run-config {key}: expected {type(default).__name__} as in the app, got {value!r}")
    return value


def _document(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadApp(f"{file} is not there") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadApp(f"{file} is not TOML: {error}") from error


def _reference(file: Path, components: Mapping[str, Any], part: Part) -> str:
    found = components.get(part)
    if not isinstance(found, str) or not re.fullmatch(r"[\w.]+:[\w.]+", found):
        got = "none" if found is None else repr(found)
        raise BadApp(f'{file}: [tool.flwr.app.components] {part}: expected "module:object", got {got}')
    return found


def _supernodes(document: Mapping[str, Any]) -> int | None:
    """The number of `options.num-supernodes` of the default federation, where the file has one."""
    found: Any = document["tool"]["flwr"].get("federations", {})
    for key in (found.get("default") if isinstance(found, dict) else None, "options", "num-supernodes"):
        if not isinstance(found, dict) or key is None:
            return None
        found = found.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def _classes() -> Mapping[Part, type[Any]]:
    try:
        from flwr.clientapp import ClientApp
        from flwr.server import ServerApp
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "flwr":
            raise
        raise NoFlower from missing
    return {"serverapp": ServerApp, "clientapp": ClientApp}
