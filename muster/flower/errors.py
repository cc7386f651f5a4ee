"""What can go wrong with a Flower app, and that a person can do something about.

FlowerError
├── NoFlower     flwr is not installed
├── BadApp       the folder is no app, or its configuration does not fit
├── UnfitReply   a ClientApp answered with what cannot be used
├── Unmapped     a strategy of Flower's own says what Muster's rules cannot do
├── RunDiverged  a ServerApp that was run again did not do what it did before
├── OtherRun     the folder holds another run
└── NotTrained   rounds in the cloud came to nothing
"""

from __future__ import annotations


class FlowerError(Exception):
    """Something about a Flower app; its sentence names what."""


class NoFlower(FlowerError):
    """The extra is not installed."""

    def __init__(self) -> None:
        super().__init__("flwr is not installed")


class BadApp(FlowerError):
    """The folder holds no app that could be run, or a value does not fit its configuration."""


class UnfitReply(FlowerError):
    """A ClientApp returned nothing, or something that no model can be made of."""


class Unmapped(FlowerError):
    """What a strategy asks for, that Muster's rules do not do."""


class RunDiverged(FlowerError):
    """A call of a ServerApp is another one than at the same place before."""


class OtherRun(FlowerError):
    """A state folder was begun by another run."""


class NotTrained(FlowerError):
    """No round completed, again and again."""
