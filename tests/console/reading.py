"""Reads a page as its reader does: its words, its tables, its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from muster.console.views.blocks import Chart, DataTable, Sentence, Terms, View, Ways


def texts(view: View) -> list[str]:
    """All words of a page."""
    return [said for section in view.sections for said in (section.heading, *_words(section.blocks))]


def _words(blocks: Any) -> Iterator[str]:
    for block in blocks:
        match block:
            case Sentence(text=text):
                yield text
            case Terms(pairs=pairs):
                yield from (f"{name}: {span.text}" for name, span in pairs)
            case DataTable():
                yield block.caption
                yield from (span.text for row in block.rows for span in row)
                yield from () if block.rows else (block.empty,)
            case Ways(spans=spans):
                yield from (span.text for span in spans)
            case Chart():
                yield block.label


def listing(view: View, caption: str) -> DataTable:
    found = [block for section in view.sections for block in section.blocks if isinstance(block, DataTable)]
    return next(block for block in found if block.caption.startswith(caption))


def charts(view: View) -> list[Chart]:
    return [block for section in view.sections for block in section.blocks if isinstance(block, Chart)]
