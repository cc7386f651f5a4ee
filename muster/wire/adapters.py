"""Which tensors are the two halves of a low-rank adapter: A of (rank, inputs) and B of (outputs, rank), whose product changes a
layer (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, §4.1).

    attention.A                          attention.B                            `muster.training.lora`
    attention.lora_A.default.weight      attention.lora_B.default.weight        PEFT; without the adapter's name, when it saves
    words.lora_embedding_A.default       words.lora_embedding_B.default         PEFT, of an embedding
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SPELLINGS = tuple(
    re.compile(spelling, re.DOTALL)
    for spelling in (
        r"(?P<layer>.+)(?P<before>\.)(?P<half>[AB])(?P<after>)",
        r"(?P<layer>.+)(?P<before>\.lora_)(?P<half>[AB])(?P<after>(\.[^.]+)?\.weight)",
        r"(?P<layer>.+)(?P<before>\.lora_embedding_)(?P<half>[AB])(?P<after>(\.[^.]+)?)",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterNames:
    """A layer, and what both halves of its adapter are called."""

    layer: str
    a: str
    b: str


def names_of(tensor: str) -> AdapterNames | None:
    """Of which adapter a tensor is a half, by its name; None if of none."""
    for spelling in SPELLINGS:
        if found := spelling.fullmatch(tensor):
            layer, before, after = found["layer"], found["before"], found["after"]
            return AdapterNames(layer=layer, a=f"{layer}{before}A{after}", b=f"{layer}{before}B{after}")
    return None
