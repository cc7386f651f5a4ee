"""What a change set would do, in words: what loses something first, and nothing that a condition leaves out (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.stack import Change

HOLDS_DATA = frozenset({"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change: its heading, and what it means for what holds data."""

    heading: str
    of_data: str = ""


KINDS = {
    "replace": Kind(
        "REPLACED, by new and empty ones", "Muster would know nothing of what is in the old one, which stays where it is"
    ),
    "perhaps replace": Kind(
        "perhaps REPLACED, by new and empty ones",
        "Muster would know nothing of what is in the old one, which stays where it is",
    ),
    "remove": Kind("removed", "it stays in the account, and Muster no longer knows it"),
    "change": Kind("changed in place"),
    "create": Kind("created"),
}
"""By word, in the order in which they are told: what can lose something comes first."""


def word(change: Change) -> str:
    """What becomes of a resource."""
    match change.action:
        case "Add" | "Import":
            return "create"
        case "Remove":
            return "remove"
    return {"True": "replace", "Conditional": "perhaps replace"}.get(change.replacement, "change")


def lines(changes: Iterable[Change], template: Mapping[str, Any], parameters: Mapping[str, str]) -> Iterator[str]:
    """What would happen, a line each, under a heading for each kind of change."""
    made = [change for change in changes if change.action != "Add" or is_made(change.logical_id, template, parameters)]
    for known, kind in KINDS.items():
        some = sorted((change for change in made if word(change) == known), key=lambda one: (one.kind, one.logical_id))
        if not some:
            continue
        yield f"{len(some)} to be {kind.heading}:"
        for change in some:
            note = f"   ({kind.of_data})" if kind.of_data and change.kind in HOLDS_DATA else ""
            yield f"  {known:<16} {change.logical_id:<40} {change.kind}{note}"


def is_made(logical_id: str, template: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Whether a resource's condition holds. One that the template does not name is made of another, and is made."""
    condition = template["Resources"].get(logical_id, {}).get("Condition")
    if condition is None:
        return True
    defaults = {name: said.get("Default", "") for name, said in template.get("Parameters", {}).items()}
    return _holds(template["Conditions"], {"Condition": condition}, {**defaults, **parameters})


def _holds(conditions: Mapping[str, Any], condition: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """CloudFormation's condition functions (CloudFormation: "Condition functions")."""
    ((function, given),) = condition.items()
    match function:
        case "Condition":
            return _holds(conditions, conditions[given], parameters)
        case "Fn::Equals":
            one, other = (_value(part, parameters) for part in given)
            return one == other
        case "Fn::Not":
            return not _holds(conditions, given[0], parameters)
        case "Fn::And":
            return all(_holds(conditions, part, parameters) for part in given)
        case "Fn::Or":
            return any(_holds(conditions, part, parameters) for part in given)
    raise AssertionError(f"a condition with {function}")


def _value(part: Any, parameters: Mapping[str, Any]) -> str:
    """As CloudFormation compares: numbers by their text."""
    return str(parameters[part["Ref"]] if isinstance(part, Mapping) else part)
