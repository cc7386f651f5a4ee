"""The documented permissions, action by action."""

from __future__ import annotations

import json
from pathlib import Path

from muster import Device
from tests.fleet import World
from tests.operator.backup.stacks import ROOT, made, restored


def actions(section: str) -> set[str]:
    """The actions that a policy in docs/operations.md allows."""
    page = (ROOT / "docs/operations.md").read_text()
    policy = json.loads(page.split(f"### {section}\n")[1].split("```json\n")[1].split("```")[0])
    found = [statement["Action"] for statement in policy["Statement"]]
    return {action for one in found for action in ([one] if isinstance(one, str) else one)} - {"cloudformation:DescribeStacks"}


ACTIONS = {
    "TransactGetItems": "dynamodb:GetItem", "ListObjectsV2": "s3:ListBucket", "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
}  # fmt: skip
"""Actions that are not called like their operations (AWS: "Actions, resources, and condition keys")."""


def test_the_documented_permissions_are_exactly_those_that_are_used(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    with world.calls.count() as reading:
        made(world, tmp_path)
    target = world.second_stack()
    with world.calls.count() as writing:
        restored(world, tmp_path, target)
    used = [{ACTIONS.get(operation, f"dynamodb:{operation}") for operation in seen} for seen in (reading, writing)]
    assert used[0] == actions("Permissions of a backup")
    assert used[1] | {"s3:AbortMultipartUpload"} == actions("Permissions of a restore")
