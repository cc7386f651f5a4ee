"""Adapters: only they travel, nothing changes at first, and merged they are the same module."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from muster import TorchTrainer
from muster.training.lora import LoraLinear, adapt, merge
from muster.training.modules import load, weights
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.training.making import data


class Deep(nn.Module):
    """Two layers in a block, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.block = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
        self.head = nn.Linear(16, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(inputs))  # type: ignore[no-any-return]


def test_at_first_nothing_is_changed_and_only_adapters_travel() -> None:
    made, inputs = Deep(), data().tensors[0]
    before = made(inputs)
    assert adapt(made, ("block.*",), rank=2) == ["block.0", "block.2"]
    assert torch.equal(made(inputs), before)
    assert {name: array.shape for name, array in weights(made).items()} == {
        "block.0.A": (2, 4), "block.0.B": (16, 2), "block.2.A": (2, 16), "block.2.B": (16, 2),
    }  # fmt: skip


def test_adapters_learn_the_rest_stays_and_merged_it_is_the_same_module() -> None:
    made, plain = Deep(), Deep()
    adapt(made, ("block.*", "head"), rank=2, alpha=4)
    trainer = TorchTrainer(made, data(), data(1), optimizer="adam")
    base = decode(trainer.checkpoint(), HEADER_LIMIT_BYTES)
    result = trainer.train(base, {"epochs": 30, "learning_rate": 0.02, "batch_size": 20})
    assert result.weights.keys() == base.keys()
    assert trainer.evaluate(result.weights).metrics["accuracy"] > 0.9
    linear = made.get_submodule("block.0.linear").get_parameter("weight")
    assert torch.equal(linear, plain.get_submodule("block.0").get_parameter("weight"))
    inputs = data(2).tensors[0]
    made.eval()
    wanted = made(inputs)
    layer = made.get_submodule("block.0")
    assert isinstance(layer, LoraLinear)
    change = 2.0 * layer.B.detach() @ layer.A.detach()
    merge(made)
    torch.testing.assert_close(made(inputs), wanted, rtol=1e-4, atol=1e-5)
    assert made.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(linear - plain.get_submodule("block.0").get_parameter("weight"), change, rtol=1e-4, atol=1e-6)
    assert all(parameter.requires_grad for parameter in made.get_submodule("block").parameters())


def test_the_rest_may_train_too() -> None:
    made = Deep()
    adapt(made, ("block.2",), rank=1, rest=True)
    assert weights(made).keys() == {
        "block.0.weight", "block.0.bias", "block.2.A", "block.2.B", "head.weight", "head.bias",
    }  # fmt: skip


def test_adapters_of_another_rank_do_not_fit() -> None:
    two, three = Deep(), Deep()
    adapt(two, ("head",), rank=2)
    adapt(three, ("head",), rank=1)
    with pytest.raises(ValueError, match=r"tensor 'head.A': the module has the shape \(1, 16\), the base \(2, 16\)"):
        load(three, weights(two))


BAD: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "a name that is not there": (("haed",), 1, ValueError, "patterns: no linear layer is called 'haed': did you mean 'head'"),
    "a layer of another kind": (("block.1",), 1, ValueError, "patterns: no linear layer is called 'block.1'"),
    "a text": ("head", 1, TypeError, "patterns: expected a sequence of patterns"),
    "no rank": (("head",), 0, ValueError, "rank: expected from 1 to 2, the shorter side of 'head', got 0"),
    "more than there is": (("block.*", "head"), 3, ValueError, "rank: expected from 1 to 2, the shorter side of 'head', got 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_adapted_is_refused_and_the_module_stays_as_it_is(case: str) -> None:
    patterns, rank, kind, says = BAD[case]
    made = Deep()
    with pytest.raises(kind, match=says):
        adapt(made, patterns, rank=rank)
    assert all(parameter.requires_grad for parameter in made.parameters())
    assert made.state_dict().keys() == Deep().state_dict().keys()
