"""A GRU that guesses the next character."""

from __future__ import annotations

import torch
from torch import nn

CHARACTERS = 62
"""In the alphabet of `plays`."""


class PlayReader(nn.Module):
    """An embedding, a GRU, and what comes next: about 72,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CHARACTERS, 32)
        self.memory = nn.GRU(32, 128, batch_first=True)
        self.guess = nn.Linear(128, CHARACTERS)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Logits of shape (batch, time, characters)."""
        return self.guess(self.memory(self.embedding(characters))[0])  # type: ignore[no-any-return]
