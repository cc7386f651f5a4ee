"""Where a Query looks: one partition and a range of it (AWS: "Key condition expressions for the Query operation")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.memory.dynamodb import conditions
from infra.memory.dynamodb.attributes import Attribute, invalid
from infra.memory.dynamodb.conditions import Both, ConditionPart, Predicate
from infra.memory.dynamodb.expressions import Placeholders
from infra.memory.dynamodb.tables import Key, StoredTable, filled

WHAT = "KeyConditionExpression"
OPERATORS = ("=", "<", "<=", ">", ">=", "BETWEEN", "begins_with")


@dataclass(frozen=True, slots=True)
class Looked:
    """A partition key, the places of a range in that partition, and the sort key after which to begin."""

    partition: str
    within: range
    after: str | None


def where(table: StoredTable, request: Mapping[str, Any], given: Placeholders) -> Looked:
    """What a Query asks for.

    Raises:
        ServiceError: it is not one partition and at most one range of it, or begins outside.
    """
    if WHAT not in request:
        raise invalid(f"Either the KeyConditions or {WHAT} parameter must be specified in the request.")
    test = conditions.read(request[WHAT], WHAT).bind(given)
    tests = list(test.tests) if isinstance(test, Both) and test.word == "AND" else [test]
    by_name = _by_name(tests, given)
    partition_name, sort_name = table.names
    if partition_name not in by_name:
        raise invalid(f"Query condition missed key schema element: {partition_name}")
    if len(by_name) == 2 and sort_name not in by_name:
        raise invalid(f"Query condition missed key schema element: {sort_name}")
    partition = by_name[partition_name]
    if partition.word != "=":
        raise invalid("Query key condition not supported")
    (key,) = _texts(partition_name, partition, given)
    within = table.partition(key).between(None, None)
    if sort_name in by_name:
        within = _range(table, key, by_name[sort_name].word, _texts(sort_name, by_name[sort_name], given))
    if "ExclusiveStartKey" not in request:
        return Looked(key, within, None)
    start = start_key(table, request["ExclusiveStartKey"])
    if start[0] != key:
        raise invalid("The provided starting key is outside query boundaries based on provided conditions")
    if not test.holds(table.as_key(start), given):
        raise invalid("The provided starting key does not match the range key predicate")
    return Looked(key, within, start[1])


def start_key(table: StoredTable, given: Mapping[str, Any]) -> Key:
    """The key after which a page begins; there need not be such a row."""
    if given.keys() != set(table.names):
        raise invalid("The provided starting key is invalid: The provided key element does not match the schema")
    return table.exact_key(given)


def _by_name(tests: list[ConditionPart], given: Placeholders) -> dict[str, Predicate]:
    found: dict[str, Predicate] = {}
    for test in tests:
        word = test.word if isinstance(test, (Both, Predicate)) else "NOT"
        if not isinstance(test, Predicate) or word not in OPERATORS:
            raise invalid(f"Invalid operator used in {WHAT}: {word}")
        path = given.real(test.operands[0].path)
        if len(path) != 1 or test.operands[0].size or not all(operand.value for operand in test.operands[1:]):
            raise NotImplementedError(f"a {WHAT} that is not `name {word} :value` is not answered by the store in this process")
        name = str(path[0])
        if name in found:
            raise invalid(f"{WHAT}s must only contain one condition per key")
        found[name] = test
    if len(found) > 2:
        raise invalid("Conditions can be of length 1 or 2 only")
    return found


def _texts(name: str, test: Predicate, given: Placeholders) -> list[str]:
    """The operands of a test of a key, which are text and not empty."""
    values: list[Attribute] = [given.values[operand.value] for operand in test.operands[1:]]
    for value in values:
        if "S" not in value:
            raise invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
        filled(name, value["S"])
    return [value["S"] for value in values]


def _range(table: StoredTable, key: str, word: str, texts: list[str]) -> range:
    partition, low = table.partition(key), texts[0]
    match word:
        case "begins_with":
            return partition.beginning(low)
        case "BETWEEN":
            return partition.between(low, texts[1])
        case "=":
            return partition.between(low, low)
        case "<" | "<=":
            return partition.between(None, low, open_high=word == "<")
        case _:
            return partition.between(low, None, open_low=word == ">")
