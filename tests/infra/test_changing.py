"""What a change set would do, in words, what loses something first."""

from __future__ import annotations

import time

import pytest
import yaml

from infra.changing import is_made, lines, word
from infra.local.resources import template
from infra.stack import Change
from infra.steps import step


def change(action: str, logical_id: str, kind: str = "AWS::SQS::Queue", replacement: str = "False") -> Change:
    return Change(action=action, logical_id=logical_id, kind=kind, replacement=replacement)


@pytest.mark.parametrize(
    ("action", "replacement", "told"),
    [
        ("Add", "False", "create"), ("Import", "False", "create"), ("Remove", "False", "remove"), ("Modify", "False", "change"),
        ("Modify", "True", "replace"), ("Modify", "Conditional", "perhaps replace"), ("Dynamic", "False", "change"),
    ],
)  # fmt: skip
def test_each_change_has_a_word(action: str, replacement: str, told: str) -> None:
    assert word(change(action, "X", replacement=replacement)) == told


def test_what_is_made_anew_or_goes_is_told_first_and_what_becomes_of_its_data() -> None:
    found = [
        change("Add", "WorkQueue"),
        change("Modify", "Api", "AWS::Lambda::Function"),
        change("Remove", "TensorBucket", "AWS::S3::Bucket"),
        change("Modify", "AlertTopic", "AWS::SNS::Topic", "Conditional"),
        change("Modify", "RoundsTable", "AWS::DynamoDB::Table", "True"),
        change("Add", "InspectionQueue"),
    ]
    told = list(lines(found, {"Resources": {}}, {}))
    assert [line.split()[0] if line.startswith(" ") else line for line in told] == [
        "1 to be REPLACED, by new and empty ones:", "replace",
        "1 to be perhaps REPLACED, by new and empty ones:", "perhaps",
        "1 to be removed:", "remove",
        "1 to be changed in place:", "change",
        "2 to be created:", "create", "create",
    ]  # fmt: skip
    assert "RoundsTable" in told[1]
    assert "(Muster would know nothing of what is in the old one, which stays where it is)" in told[1]
    assert "(" not in told[3], "a topic holds nothing"
    assert "it stays in the account" in told[5]
    assert [line.split()[1] for line in told[-2:]] == ["InspectionQueue", "WorkQueue"]


def test_what_a_condition_leaves_out_is_not_told() -> None:
    """CloudFormation's emulators list it."""
    ours = template()
    conditional = {name for name, said in ours["Resources"].items() if "Condition" in said}
    assert conditional
    found = [change("Add", name) for name in ours["Resources"]]
    told = yaml.safe_dump(list(lines(found, ours, {})))
    left_out = {name for name in conditional if not is_made(name, ours, {})}
    assert left_out == {name for name in conditional if ours["Resources"][name]["Condition"] in ("HasFirewall", "HasBudget")}
    assert not [name for name in left_out if f" {name} " in told]
    with_budget = "\n".join(lines(found, ours, {"MonthlyBudgetDollars": "50", "WafRequestsPerAddress": "0"}))
    budget = next(name for name, said in ours["Resources"].items() if said.get("Condition") == "HasBudget")
    assert f" {budget} " in with_budget
    assert is_made("MadeOfAnotherOne", ours, {})
    removed = [change("Remove", name) for name in left_out]
    assert len(list(lines(removed, ours, {}))) == 1 + len(left_out), "what was there and goes is told"


def test_conditions_are_computed_as_cloudformation_does() -> None:
    conditions = {
        "Is": {"Fn::Equals": [{"Ref": "A"}, "x"]},
        "Both": {"Fn::And": [{"Condition": "Is"}, {"Fn::Equals": [{"Ref": "N"}, 3]}]},
        "Either": {"Fn::Or": [{"Condition": "Is"}, {"Fn::Equals": [{"Ref": "N"}, 3]}]},
        "Not": {"Fn::Not": [{"Condition": "Either"}]},
    }
    whole = {
        "Conditions": conditions,
        "Parameters": {"A": {"Default": "x"}, "N": {"Default": 3}},
        "Resources": {name: {"Condition": name} for name in conditions},
    }
    assert [is_made(name, whole, {}) for name in conditions] == [True, True, True, False]
    assert [is_made(name, whole, {"A": "y"}) for name in conditions] == [False, False, True, False]
    assert [is_made(name, whole, {"A": "y", "N": "4"}) for name in conditions] == [False, False, False, True]


def test_a_step_says_on_stderr_that_it_begins_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((10.0, 72.5, 80.0, 81.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    with step("packaging"):
        pass
    with pytest.raises(ZeroDivisionError), step("uploading"):
        raise ZeroDivisionError
    out, err = capsys.readouterr()
    assert out == "", "what a shell evaluates is not mixed with it"
    assert err.splitlines() == [
        "· packaging …",
        "  done after 62.5 s: packaging",
        "· uploading …",
        "  failed after 1.0 s: uploading",
    ]
