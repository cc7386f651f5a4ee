"""A request that must be refused."""

from __future__ import annotations

from typing import Any

from muster.wire.problems import MEDIA_TYPE, Problem
from tests.fleet import World


def refused(world: World, problem: Problem, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The problem document of a request that must be refused with this name and change nothing."""
    before = world.everything()
    response = world.request(method, path, **request)
    document: dict[str, Any] = response.json()
    assert response.headers["content-type"] == MEDIA_TYPE
    assert (response.status_code, document["status"]) == (problem.kind.status, problem.kind.status)
    assert document["type"] == problem.urn
    assert document["title"] == problem.kind.title
    assert document["detail"]
    assert world.everything() == before
    return document
