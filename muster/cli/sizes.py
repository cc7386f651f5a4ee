"""Bytes, for a person."""

from __future__ import annotations

from muster.wire import admin


def size(nbytes: int) -> str:
    """Some bytes, for a person: in units of 1,000."""
    value, unit = float(nbytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    if unit == "B":
        return f"{nbytes} B"
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:,.0f} {unit}"


def storage(found: admin.StorageReply | None) -> str | None:
    """What a model's versions take, in one line; None before it was counted."""
    if found is None:
        return None
    parts = [
        f"{amount.count} {name} {size(amount.bytes)}"
        for name, amount in (("checkpoints", found.checkpoints), ("states", found.states), ("deltas", found.deltas))
    ]
    versions = f"versions expiring: {found.expiring.count} ({size(found.expiring.bytes)}), deleted: {found.deleted}"
    return f"{', '.join(parts)}; {versions}; counted {found.counted_at:%Y-%m-%d %H:%M}"
