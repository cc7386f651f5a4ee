"""Whatever numbers the messages admit and the gate measures, their rows can be written and read back as they were."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.token import EnrolmentToken
from chalicelib.monitoring.threshold import Threshold
from chalicelib.registry.model import Model
from chalicelib.rounds.judgement import Judgement, Measurement
from chalicelib.rounds.receipt import Declared, Receipt, ReceiptState
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage.dynamo import Condition, Put, Table
from chalicelib.storage.rows import SMALLEST, from_item, storable, to_item
from muster.wire import admin, gate
from muster.wire import messages as wire
from muster.wire.arrays import schema_of
from muster.wire.magnitudes import packed
from muster.wire.tensors import Unfit
from muster.wire.values import encode_update
from tests.fleet import SESSION, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = {"pk": "numbers", "sk": "row"}
ANYTHING = Condition("attribute_exists(#pk) OR attribute_not_exists(#pk)", "whatever was there")

# Wider than what the messages admit: that they refuse the rest is part of the law.
floats = st.floats() | st.sampled_from([1e30, -1e30, 1e37, 1e38, 2.0**63, 2.0**53 + 2, 1e22, 1e-128, 9e-129, -0.0, 5e-324])
ints = st.integers(-(2**64), 2**64) | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, 10**18 + 1])
scalars = st.booleans() | ints | floats | st.text("a~ 1", max_size=5)
names = st.sampled_from(["loss", "accuracy", "a", "x_1"])
metrics = st.dictionaries(names, floats, max_size=3)
capabilities = st.dictionaries(names, scalars, max_size=3)

ENROLMENT = {
    "token": f"{'t' * 20}.{'s' * 43}",
    "client_id": "device-1",
    "proof": "p" * 43,
    "device_type": "d",
    "sdk_version": "1",
}
CONFIG = {"goal": 1, "quorum": 1}


def read_back(world: World, row: Any) -> Any:
    """A row after a way through a table."""
    table = Table(SESSION.client("dynamodb"), world.settings.rounds_table)
    table.put(Put(table=table, key=KEY, item=to_item(row), condition=ANYTHING))
    item = table.get(KEY)
    assert item
    return from_item(type(row), item)


def as_it_reads(value: Any) -> Any:
    """A number as `storable` has it: what is too small is zero."""
    return 0.0 if isinstance(value, float) and abs(value) < SMALLEST else value


def test_what_a_device_says_of_itself_is_read_as_it_was_said(world: World) -> None:
    @given(capabilities)
    @settings(max_examples=150)
    def law(said: dict[str, Any]) -> None:
        try:
            request = wire.Enrolment.model_validate({**ENROLMENT, "capabilities": said})
        except ValidationError:
            return
        client = Client(
            client_id="device-1",
            key_hash="h",
            state=ClientState.ACTIVE,
            device_type="d",
            sdk_version="1",
            enrolled_at=NOW,
            last_seen_at=NOW,
            capabilities=dict(request.capabilities),
        )
        found = read_back(world, client).capabilities
        assert found.keys() == request.capabilities.keys()
        for name, value in request.capabilities.items():
            # A float that is whole comes back as an int: the one that its shortest decimal writes.
            same = float(found[name]) if isinstance(value, float) else found[name]
            assert same == as_it_reads(value)
            assert isinstance(found[name], bool) is isinstance(value, bool)

    law()


def test_what_a_device_declares_reports_and_measures_is_read_as_it_came(world: World) -> None:
    @given(ints, ints, metrics)
    @settings(max_examples=150)
    def law(nbytes: int, examples: int, measured: dict[str, float]) -> None:
        receipt = Receipt(
            round=RoundId("toy", 1),
            client_id="device-1",
            state=ReceiptState.ASSIGNED,
            assigned_at=NOW,
            report_by=NOW,
            min_bytes=1,
            max_bytes=2,
            ttl=0,
        )
        try:
            request = wire.UploadRequest(bytes=nbytes, sha256="0" * 64, examples=examples)
            receipt = replace(
                receipt, declared=Declared(key="key", sha256=request.sha256, nbytes=request.bytes, examples=request.examples)
            )
        except ValidationError:
            pass
        try:
            report = wire.UpdateReport(sha256="0" * 64, metrics=measured)
            receipt = replace(receipt, metrics=storable(report.metrics))
        except ValidationError:
            pass
        assert read_back(world, receipt) == receipt
        try:
            judged = wire.EvaluationReport(round="toy.1", examples=examples, metrics={"accuracy": 0.5, **measured})
        except ValidationError:
            return
        measurement = Measurement(judged.examples, storable(judged.metrics))
        judge = Judgement(
            round=RoundId("toy", 1),
            client_id="device-1",
            assigned_at=NOW,
            report_by=NOW,
            ttl=0,
            measured={"candidate": measurement},
        )
        assert read_back(world, judge) == judge

    law()


def test_what_an_operator_configures_is_read_as_it_was_set(world: World) -> None:
    @given(capabilities, floats, floats, floats, ints)
    @settings(max_examples=150)
    def law(hyperparameters: dict[str, Any], low: float, high: float, norm: float, uses: int) -> None:
        try:
            bounds = admin.SetThreshold(minimum=low, maximum=high)
            threshold = Threshold(model="toy", metric="loss", minimum=bounds.minimum, maximum=bounds.maximum)
            expected = replace(threshold, minimum=as_it_reads(low), maximum=as_it_reads(high))
            assert read_back(world, threshold) == expected
        except ValidationError:
            pass
        try:
            config = admin.RoundConfig.model_validate({**CONFIG, "hyperparameters": hyperparameters, "max_norm": norm})
            model = Model(name="toy", config=config, created_at=NOW)
            assert read_back(world, model) == model
        except ValidationError:
            pass
        try:
            token = admin.MintToken(uses=uses)
            minted = EnrolmentToken(
                token_id="t",
                secret_hash="h",
                uses=token.uses,
                shares=1,
                label=token.label,
                created_at=NOW,
                expires_at=NOW,
                ttl=0,
            )
            assert read_back(world, minted) == minted
        except ValidationError:
            pass

    law()


def test_what_the_gate_measures_is_read_as_it_was_measured(world: World) -> None:
    @given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=4), st.sampled_from(["plain", "int8", "float32"]))
    @settings(max_examples=150)
    def law(values: list[float], encoding: Any) -> None:
        tensors = {"w": np.array(values), "b": np.zeros(2)}
        data = encode_update(tensors, encoding)
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            measured = gate.inspect(io.BytesIO(data), len(data), schema_of(tensors), sha256, encoding)
        except Unfit:
            return
        receipt = Receipt(
            round=RoundId("toy", 1),
            client_id="device-1",
            state=ReceiptState.ACCEPTED,
            assigned_at=NOW,
            report_by=NOW,
            min_bytes=1,
            max_bytes=2,
            ttl=0,
            norm=measured.norm,
            magnitudes=packed(measured.exponents, measured.levels),
            header_bytes=measured.header_bytes,
        )
        assert math.isfinite(measured.norm)
        assert read_back(world, receipt) == replace(receipt, norm=as_it_reads(measured.norm))

    law()
