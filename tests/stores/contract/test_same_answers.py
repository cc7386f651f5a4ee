"""Random calls, one after another, are answered alike by the store in this process and by moto, and leave the same rows.

And by DynamoDB Local, when there is one. Errors are compared by their codes; only well-written requests are drawn, because moto
does not answer others (`lacks`).
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stores.contract.places import EMULATORS, Rows, key, n, opened, s, values

SORTS = ["a", "a#1", "a#2", "b"]
SOME: dict[str, Any] = {"0": n(0), "1": n(1), "2": n(2), "text": s("text"), "long": s("a longer text")}
SETS: dict[str, Any] = {"x": {"SS": ["x"]}, "xy": {"SS": ["x", "y"]}}

sorts = st.sampled_from(SORTS)
NUMBERS, ANYTHING = ("0", "1", "2"), tuple(SOME)
"""What a value may be. moto raises where a text is compared with a number."""

tests = st.sampled_from(
    [
        "attribute_exists(pk)", "attribute_not_exists(pk)", "attribute_exists(v)", "attribute_not_exists(doc.x)", "v = :0",
        "v <> :1", "v < :2", "v >= :1", "v BETWEEN :0 AND :1", "v IN (:0, :text)", "doc.x = :1", "begins_with(v, :text)",
        "contains(tags, :text)",
        "attribute_type(v, :text_type)", "attribute_exists(v) AND v = doc.x",
        "w <= :2",
    ]
)  # fmt: skip
conditions = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.builds("NOT ({})".format, tests),
        st.builds("({}) AND ({})".format, tests, inner.filter(lambda text: not text.startswith("("))),
        st.builds("({}) OR ({})".format, tests, inner.filter(lambda text: not text.startswith("("))),
    ),
    max_leaves=4,
)
POSSIBLE = [
    "SET v = :1", "SET v = :text", "SET doc = :doc", "ADD tags :x", "ADD tags :xy", "REMOVE v", "SET w = if_not_exists(w, :1)",
]  # fmt: skip
"""Of every row. The emulators cancel no transaction for the others (`lacks`)."""
DEPENDS = ["SET w = v", "SET doc.x = :2", "SET doc.y = :0, w = :1", "ADD w :1", "SET v = :2 ADD w :2", "REMOVE doc.x"]
GIVEN: dict[str, Any] = {f":{name}": value for name, value in (SOME | SETS).items()} | {
    ":doc": {"M": {"x": n(1)}}, ":text_type": s("S")
}  # fmt: skip


def used(*expressions: str) -> dict[str, Any]:
    """The values that some expressions use, as a parameter."""
    words = "".join(
        character if character.isalnum() or character in ":_" else " " for character in " ".join(expressions)
    ).split()
    found = {word: GIVEN[word] for word in words if word in GIVEN}
    return {"ExpressionAttributeValues": found} if found else {}


@st.composite
def writes(draw: st.DrawFn, some: tuple[str, ...], changes: list[str]) -> tuple[str, str, dict[str, Any]]:
    """An action: its kind, its row, and what else it says."""
    kind = draw(st.sampled_from(["Put", "Put", "Update", "Update", "Delete"]))
    condition = draw(st.none() | conditions)
    said: dict[str, Any] = {} if condition is None else {"ConditionExpression": condition}
    if kind == "Put":
        said["Item"] = {"v": SOME[draw(st.sampled_from(some))]} | ({"doc": {"M": {"x": n(1)}}} if draw(st.booleans()) else {})
    if kind == "Update":
        said["UpdateExpression"] = draw(
            st.sampled_from([change for change in changes if some is ANYTHING or ":text" not in change])
        )
    said |= used(said.get("ConditionExpression", ""), said.get("UpdateExpression", ""))
    return kind, draw(sorts), said


def checks() -> st.SearchStrategy[tuple[str, str, dict[str, Any]]]:
    """A ConditionCheck."""
    return st.builds(
        lambda sort, text: ("ConditionCheck", sort, {"ConditionExpression": text, **used(text)}), sorts, conditions
    )


queries = st.fixed_dictionaries(
    {
        "KeyConditionExpression": st.sampled_from(["pk = :p", "pk = :p AND begins_with(sk, :s)", "pk = :p AND sk >= :s"]),
        "ScanIndexForward": st.booleans(),
    },
    optional={"Limit": st.integers(1, 5)},
)


def steps(some: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Some calls, one after another."""
    together = writes(some, POSSIBLE) | checks()
    transactions = st.lists(together, min_size=1, max_size=4, unique_by=lambda action: action[1])
    step = st.one_of(
        st.tuples(st.just("write"), writes(some, POSSIBLE + DEPENDS)),
        st.tuples(st.just("transact"), transactions),
        st.tuples(st.just("query"), queries),
    )
    return st.lists(step, min_size=1, max_size=12)


def answer(rows: Rows, what: str, said: Any) -> Any:
    """What a store says to one step: rows and codes, in a form that can be compared."""
    try:
        match what:
            case "write":
                kind, sort, request = said
                request = dict(request)
                where = {"Item": key(sort) | request.pop("Item")} if kind == "Put" else {"Key": key(sort)}
                returned = {"ReturnValues": "ALL_NEW" if kind == "Update" else "ALL_OLD"}
                told = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if "ConditionExpression" in request else {}
                found = rows.call(f"{kind.lower()}_item", **where, **request, **returned, **told)
                return plain(found.get("Attributes", {}))
            case "transact":
                rows.transact(*(rows.action(kind, sort, **request) for kind, sort, request in said))
                return None
            case _:
                bound = {"p": s("p")} | ({"s": s("a#")} if ":s" in said["KeyConditionExpression"] else {})
                return [plain(item) for item in rows.call("query", **said, **values(**bound))["Items"]]
    except ClientError as error:
        reasons = [reason["Code"] for reason in error.response.get("CancellationReasons", [])]
        return [error.response["Error"]["Code"], reasons, plain(error.response.get("Item", {}))]


def plain(item: Any) -> Any:
    return {name: {kind: sorted(of) if kind == "SS" else of for kind, of in value.items()} for name, value in item.items()}


def everything(rows: Rows) -> list[Any]:
    return sorted((plain(item) for item in rows.call("scan", ConsistentRead=True)["Items"]), key=str)


def played(store: str, said: Any) -> list[Any]:
    """What a store answers, step by step, and the rows that it has in the end."""
    with opened(store) as place:
        rows = Rows(place)
        found = [answer(rows, *step) for step in said]
        found.append(everything(rows))
        rows.call("delete_table")
    return found


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(said=steps(NUMBERS))
def test_random_calls_are_answered_alike_here_and_by_moto(said: Any) -> None:
    assert played("memory", said) == played("moto", said)


NONE = pytest.param("", marks=pytest.mark.skip("no DynamoDB Local runs here: `make stores` starts one"))


@pytest.mark.parametrize("rows", EMULATORS or [NONE])
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(said=steps(ANYTHING))
def test_random_calls_are_answered_alike_here_and_by_an_emulator(rows: str, said: Any) -> None:
    assert played("memory", said) == played(rows, said)
