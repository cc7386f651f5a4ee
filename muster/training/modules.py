"""A module's tensors: which of them travel, as arrays by name, and back.

| tensor | travels |
|---|---|
| a parameter | yes |
| a buffer of `state_dict` (BatchNorm's running statistics) | yes, and a checkpoint says that it is a buffer |
| a buffer that is not persistent | never |
| a frozen parameter (`requires_grad` is False) | only with `frozen=True`; else the module keeps its own |
| what a pattern of `personal` names, parameter or buffer | never; the device keeps its own |
| a tensor with several names (tied weights) | once, under the first of them |

numpy has no bfloat16, and a model on the server has none either: such tensors travel as float32, which holds every bfloat16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import nn

from muster.device.failures import ForeignTensors
from muster.wire.arrays import Array, encode
from muster.wire.spelling import near

_AS_IT_IS = (
    torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleTensors:
    """A module's own tensors by name, as far as its `state_dict` has them; a tensor of several names under its first."""

    shared: Mapping[str, torch.Tensor]
    personal: Mapping[str, torch.Tensor]
    aliases: Mapping[str, str]
    """Of further names of a tensor, the first."""

    @classmethod
    def of(cls, module: nn.Module, personal: Sequence[str] = (), frozen: bool = False) -> ModuleTensors:
        """Sort a module's tensors.

        Raises:
            ValueError: a pattern of `personal` names nothing, or nothing is left to travel.
            TypeError: the module's state holds something other than tensors, or a tensor of a dtype that cannot travel.
        """
        if isinstance(personal, str):
            raise TypeError(f"personal: expected a sequence of patterns, such as ('head.*',), got the text {personal!r}")
        names: dict[int, list[str]] = {}
        tensors: dict[int, torch.Tensor] = {}
        for name, tensor in module.state_dict(keep_vars=True).items():
            if not isinstance(tensor, torch.Tensor):
                raise TypeError(f"{name!r}: expected a tensor, got {type(tensor).__name__}: extra state cannot travel")
            names.setdefault(id(tensor), []).append(name)
            tensors[id(tensor)] = tensor
        every = [name for group in names.values() for name in group]
        for pattern in personal:
            if not any(fnmatchcase(name, pattern) for name in every):
                raise ValueError(f"personal: nothing in the module is called {pattern!r}: {near(pattern, every)}")
        shared: dict[str, torch.Tensor] = {}
        own: dict[str, torch.Tensor] = {}
        for key, tensor in tensors.items():
            if any(fnmatchcase(name, pattern) for name in names[key] for pattern in personal):
                own[names[key][0]] = tensor
            elif frozen or tensor.requires_grad or not isinstance(tensor, nn.Parameter):
                shared[names[key][0]] = tensor
        for name, tensor in {**shared, **own}.items():
            if tensor.dtype not in (*_AS_IT_IS, torch.bfloat16):
                raise TypeError(f"tensor {name!r}: expected a dtype that can travel, got {tensor.dtype}")
        if not shared:
            raise ValueError("the module shares nothing: all of its parameters are frozen or personal")
        return cls(shared=shared, personal=own, aliases={name: group[0] for group in names.values() for name in group[1:]})

    def arrays(self) -> dict[str, Array]:
        """What travels."""
        return {name: array_of(tensor) for name, tensor in self.shared.items()}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Put what travelled into the module.

        Raises:
            ForeignTensors (a ValueError): names, a shape or a dtype are not the module's; nothing was loaded.
        """
        self.check(arrays)
        put(self.shared, arrays)

    def check(self, arrays: Mapping[str, Array]) -> None:
        """Raises ForeignTensors, a ValueError, for the first array that is not as the module has it, with both shapes."""
        if missing := sorted(self.shared.keys() - arrays.keys()):
            raise ForeignTensors(f"tensor {missing[0]!r}: the module has it, and the base does not: {near(missing[0], arrays)}")
        for name, array in arrays.items():
            if name not in self.shared:
                why = "the base has it, and the module does not share it"
                if name in self.aliases:
                    why = f"the base has it, and in the module it is tied to {self.aliases[name]!r}, which travels for both"
                raise ForeignTensors(f"tensor {name!r}: {why}")
            tensor = self.shared[name]
            if tuple(tensor.shape) != array.shape:
                raise ForeignTensors(f"tensor {name!r}: the module has the shape {tuple(tensor.shape)}, the base {array.shape}")
            wanted = dtype_of(tensor)
            if array.dtype != wanted:
                raise ForeignTensors(
                    f"tensor {name!r}: the module has the dtype {wanted} (as it travels), the base {array.dtype}"
                )


def dtype_of(tensor: torch.Tensor) -> np.dtype[np.generic]:
    """Numpy's dtype of a tensor that travels."""
    kind = torch.float32 if tensor.dtype == torch.bfloat16 else tensor.dtype
    return torch.empty(0, dtype=kind).numpy().dtype


def array_of(tensor: torch.Tensor) -> Array:
    """A tensor as an array: a copy, on the CPU; of bfloat16, float32."""
    found = tensor.detach()
    return (found.float() if found.dtype == torch.bfloat16 else found).cpu().numpy().copy()


def put(tensors: Mapping[str, torch.Tensor], arrays: Mapping[str, Array]) -> None:
    """Copy arrays into tensors of the same names and shapes, wherever these are; into bfloat16 rounded to nearest, even."""
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))


def weights(module: nn.Module, *, personal: Sequence[str] = (), frozen: bool = False) -> dict[str, Array]:
    """What of a module travels, as arrays by name: copies, on the CPU."""
    return ModuleTensors.of(module, personal, frozen).arrays()


def load(module: nn.Module, arrays: Mapping[str, Array], *, personal: Sequence[str] = (), frozen: bool = False) -> None:
    """Put arrays into a module: what travelled, no more and no less.

    Raises:
        ValueError: names, a shape or a dtype are not the module's.
    """
    ModuleTensors.of(module, personal, frozen).load(arrays)


def checkpoint(module: nn.Module, *, personal: Sequence[str] = (), frozen: bool = False) -> bytes:
    """A module as a tensor file that says which of its tensors are buffers: what an operator creates a model from."""
    arrays = weights(module, personal=personal, frozen=frozen)
    return encode(arrays, {name for name, _ in module.named_buffers()} & arrays.keys())
