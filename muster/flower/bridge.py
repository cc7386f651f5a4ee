"""Flower's classes, which have moved between its releases; and its messages as bytes, in Flower's own format (protobuf).

Whoever imports this needs flwr. Two things here are in no release's public API: that a process has to say who it is before it
may make a message (`identify`; not in the oldest releases), and the records of the older API (`compat`).
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common import Array
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto, recorddict_from_proto, recorddict_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto
from flwr.serverapp import Grid

RUN, SERVER_NODE = 1, 1
"""The ids of a run and of the ServerApp's node. There is one of each."""

RAISED = int(ErrorCode.CLIENT_APP_RAISED_EXCEPTION)


def _first(*modules: str) -> Any:
    """The first of some modules that this release has."""
    for name in modules[:-1]:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    return import_module(modules[-1])


compat = _first("flwr.compat.common.recorddict_compat", "flwr.common.recorddict_compat")
"""From the older API's values to records, and back."""


def empty_run() -> Any:
    """A description of the run, as a grid has one."""
    return _first("flwr.supercore.run", "flwr.common.typing").Run.create_empty(RUN)


def identify() -> None:
    """Say who this process is, where a release asks for it."""
    try:
        identity = import_module("flwr.supercore.task_identity").TaskIdentity
    except ModuleNotFoundError:
        return
    identity.run_id, identity.task_id, identity.node_id = RUN, 1, SERVER_NODE


# ---- bytes


def packed(message: Message, **metadata: Any) -> bytes:
    """A message as bytes, with other values for some of its metadata; the same bytes for the same message."""
    made = message_to_proto(message)
    for name, value in metadata.items():
        setattr(made.metadata, name, value)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def unpacked(data: bytes) -> Message:
    """A message from its bytes."""
    return message_from_proto(MessageProto.FromString(data))


def packed_records(records: RecordDict) -> bytes:
    """Records as bytes; the same bytes for the same records."""
    data: bytes = recorddict_to_proto(records).SerializeToString(deterministic=True)
    return data


def unpacked_records(data: bytes | None) -> RecordDict:
    """Records from their bytes; none from None."""
    return RecordDict() if data is None else recorddict_from_proto(RecordDictProto.FromString(data))


def digest(message: Message) -> str:
    """The SHA-256 of what a message says, whenever it was made."""
    return hashlib.sha256(packed_records(message.content)).hexdigest()


# ---- contexts


def context(*, node: int, config: dict[str, Any], run_config: dict[str, Any], memory: bytes | None) -> Context:
    """The context of a component: `config` is the node's own, `memory` its state as bytes."""
    return Context(run_id=RUN, node_id=node, node_config=config, state=unpacked_records(memory), run_config=dict(run_config))


__all__ = [
    "RAISED", "RUN", "SERVER_NODE", "Array", "ArrayRecord", "ClientApp", "ConfigRecord", "Context", "Error", "Grid", "Message",
    "MetricRecord", "RecordDict", "compat", "context", "digest", "empty_run", "identify", "packed", "packed_records",
    "unpacked", "unpacked_records",
]  # fmt: skip
