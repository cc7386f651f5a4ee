"""An app, from its file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from muster.simulation.app import App
from muster.simulation.errors import NoApp


def load(where: str) -> App:
    """The app that a file names `app`, or by another name: `my_app.py:federated`. It can import modules that lie beside it.

    Raises:
        NoApp: there is no such file, or nothing of that name in it, or it is no `App`.
        Exception: whatever the file itself raises.
    """
    path_text, _, name = where.partition(":") if ":" in Path(where).name else (where, "", "")
    path, name = Path(path_text).resolve(), name or "app"
    if not path.is_file() or path.suffix != ".py":
        raise NoApp(f"{path_text}: expected a Python file, {'which this is not' if path.exists() else 'and there is none'}")
    module_name = f"muster_app_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise NoApp(f"{path_text}: Python does not know how to load it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if found is None:
        raise NoApp(f"{path_text}: expected it to say {name} = muster.App(…), and it says nothing of {name}")
    if not isinstance(found, App):
        raise NoApp(f"{path_text}: expected {name} to be a muster.App, got {type(found).__name__}")
    return found
