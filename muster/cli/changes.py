"""What differs between two configurations, by dotted names, and how one is changed by such names (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from muster.wire import admin

MARGINS = frozenset({"min_gain", "max_regression"})
"""What is in units of the metric that decides: another metric needs others."""

Change = tuple[str, Any, Any]
"""A dotted name, what it was, and what it is; None where there is nothing."""


def changes(before: admin.RoundConfig, after: admin.RoundConfig) -> list[Change]:
    """What changed, in the order of the configuration's members."""
    old, new = (dict(_flat(config.model_dump(mode="json"))) for config in (before, after))
    names = [*new, *(name for name in old if name not in new)]
    return [(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def changed(config: admin.RoundConfig, assignments: Sequence[str], file: Mapping[str, Any]) -> admin.RoundConfig:
    """A configuration with some members replaced: first by those of a file, then by `name=value`, where the name may be dotted
    (`hyperparameters.learning_rate=0.01`) and the value is JSON, or a word. `name=` takes a member out: it has its default.

    Raises:
        typer.BadParameter: an assignment has no `=`, or goes into what has no members.
        pydantic.ValidationError: the result is no configuration.
    """
    values: dict[str, Any] = config.model_dump(mode="json") | dict(file)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected name=value, got {assignment!r}", param_hint="--set")
        *path, last = name.split(".")
        place = values
        for part in path:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise typer.BadParameter(f"{part} in {name!r} is {inner!r}, and has no members", param_hint="--set")
            place = inner
        if text:
            place[last] = _value(text)
        else:
            place.pop(last, None)
    named = {*file, *(assignment.partition("=")[0] for assignment in assignments)}
    metric = values.get("metric")
    if isinstance(metric, dict) and metric.get("name") != config.metric.name:
        for margin in MARGINS - named:  # they were in units of the other metric
            values.pop(margin)
        if "metric" not in named:
            values["metric"] = {name: value for name, value in metric.items() if name == "name" or f"metric.{name}" in named}
    return admin.RoundConfig.model_validate(values)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
