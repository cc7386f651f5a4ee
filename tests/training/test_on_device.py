"""A device with a torch trainer: what it uploads, and that a restart in the midst of a training changes no bit of it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import httpx
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from muster import TorchTrainer
from muster.training.tasks import regression
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.device.stage import CHECK_IN, PUT, REPORT, Stage, assignment


class Scale(nn.Module):
    """The stage's model: four numbers, `w`."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(4))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(inputs * self.w, 0.2, self.training)


def examples() -> TensorDataset:
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return TensorDataset(inputs, inputs * torch.tensor([1.0, -1.0, 2.0, 0.5]))


class Interrupted(Dataset[Any]):
    """Data whose reader is killed after so many examples."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __len__(self) -> int:
        return 64

    def __getitem__(self, at: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return examples()[at]


def trainer(data: Dataset[Any]) -> TorchTrainer:
    return TorchTrainer(Scale(), data, examples(), task=regression(), optimizer="adam", save_every_seconds=0.0)


def uploaded(folder: Path, *interruptions: int) -> bytes:
    """What the device uploads in its first round, when its process is killed after so many examples, again and again."""
    stage = Stage(folder)
    given = {**assignment(1, "boiler"), "hyperparameters": {"epochs": 5, "batch_size": 16}}
    stage.answers[CHECK_IN] = lambda: httpx.Response(200, json=given)
    for after in interruptions:
        with contextlib.suppress(KeyboardInterrupt):
            stage.device.step(trainer(Interrupted(after)))
        stage.device = stage.start()
    stage.device.step(trainer(examples()))
    assert stage.bodies(REPORT)[0]["metrics"]["epochs_done"] == 5
    (body,) = [body for _, path, body in stage.asked if path.endswith(PUT)]
    return body


def test_a_device_that_is_killed_while_it_trains_uploads_what_it_would_have(tmp_path: Path) -> None:
    whole = uploaded(tmp_path / "whole")
    assert decode(whole, HEADER_LIMIT_BYTES)["w"].any()
    assert uploaded(tmp_path / "cut", 70, 100, 0) == whole
