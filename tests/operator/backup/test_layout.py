"""Every kind of row and object is decided about."""

from __future__ import annotations

from chalicelib.storage import keys
from muster.operator.backup import layout


def test_every_kind_of_row_and_object_is_decided_about() -> None:
    server = {(kind.name, kind.table, kind.pk, kind.sk) for kind in keys.ROWS}
    assert server == {(kind.name, kind.table, kind.pk, kind.sk) for kind in layout.KINDS}
    assert {kind.name: kind.template for kind in keys.OBJECTS} == {**layout.OBJECTS, **layout.OBJECTS_LEFT}


def test_what_is_pointed_at_is_restored_before_what_points_at_it() -> None:
    order = [layout.VERSION, layout.DEPLOYMENT, layout.CLIENT, layout.TOKEN, layout.ROUND, layout.RECEIPT, layout.MODEL]
    stages = [kind.stage for kind in order]
    assert stages == sorted(set(stages))
    assert layout.MODEL.stage == max(layout.STAGES), "nothing moves before a model is there"
