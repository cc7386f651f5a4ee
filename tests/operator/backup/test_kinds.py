"""Every kind of row and object is decided about."""

from __future__ import annotations

from chalicelib.storage import keys
from muster.operator.backup import kinds


def test_every_kind_of_row_and_object_is_decided_about() -> None:
    assert {kind.name for kind in keys.ROWS} == {kind.name for kind in kinds.KINDS}
    assert {kind.name for kind in keys.OBJECTS} == {place.name for place in (*kinds.OBJECTS, *kinds.OBJECTS_LEFT)}


def test_what_is_pointed_at_is_restored_before_what_points_at_it() -> None:
    order = [kinds.VERSION, kinds.DEPLOYMENT, kinds.CLIENT, kinds.TOKEN, kinds.ROUND, kinds.RECEIPT, kinds.MODEL]
    stages = [kind.stage for kind in order]
    assert stages == sorted(set(stages))
    assert kinds.MODEL.stage == max(kinds.STAGES), "nothing moves before a model is there"
