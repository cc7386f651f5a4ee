"""Why a model stands as it does, in sentences. All pages take them from here."""

from __future__ import annotations

from muster.console.views.blocks import Sentence
from muster.wire import admin


def why(found: admin.Why | None) -> tuple[Sentence, ...]:
    """What a model waits for; what else is to be said of it; and what to type next, if somebody must."""
    if found is None:
        return (Sentence("Asking what it waits for.", "quiet"),)
    said = [Sentence(whole(found.sentence), "bad" if found.needs_somebody else "")]
    said += [Sentence(whole(more)) for more in found.also]
    if found.command is not None:
        said.append(Sentence(f"{'Next' if found.needs_somebody else 'To go on'}: {found.command}", "quiet"))
    return tuple(said)


def whole(said: str) -> str:
    """As a sentence of its own."""
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith(('.', '!', '?')) else '.'}"
