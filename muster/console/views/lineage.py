"""Which version came of which, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from muster.console.views import charts
from muster.console.views.blocks import Chart
from muster.wire import admin

KINDS = ("deployed", "was deployed, or may be", "in the making, or tried", "rolled back", "deleted")
_KIND = {"deployed": 0, "retired": 1, "staged": 2, "training": 2, "rolling-out": 2, "on-trial": 2, "rolled-back": 3}

MOST = 12
"""Versions in the picture: the newest."""


def lineage(model: str, versions: Sequence[admin.VersionReply]) -> Chart | None:
    """The last versions, oldest first from left to right, each with an arrow from the one that its round started from. What
    others came of lies on a line; what nothing came of lies beneath it. None where there are fewer than two.
    """
    shown = sorted(versions, key=lambda version: version.version)[-MOST:]
    if len(shown) < 2:
        return None
    numbers = {version.version for version in shown}
    origins = {version.version: _origin(version) for version in shown}
    fertile = {origin for origin in origins.values() if origin in numbers}
    kinds = sorted({_kind(version) for version in shown})
    nodes = [
        {
            "name": f"v{version.version}", "category": kinds.index(_kind(version)),
            "value": [at, 0 if version.version in fertile or version.state == "deployed" else -1],
        }
        for at, version in enumerate(shown)
    ]  # fmt: skip
    links = [{"source": f"v{origin}", "target": f"v{number}"} for number, origin in origins.items() if origin in numbers]
    said = ", ".join(f"version {number} of {origin}" for number, origin in origins.items() if origin in numbers)
    return charts.tree(f"Lineage of {model}: {said or 'none came of another'}.", nodes, links, [KINDS[at] for at in kinds])


def _origin(version: admin.VersionReply) -> int | None:
    return version.base if version.base is not None else version.parent


def _kind(version: admin.VersionReply) -> int:
    return 4 if version.deleted_at is not None else _KIND[version.state]
