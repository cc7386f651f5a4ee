"""What loading the code costs, and what each side may load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import muster
from muster.conformance.vectors.statements import KEY

ROOT = Path(__file__).parent.parent.parent


def loaded_by(statement: str) -> set[str]:
    """Packages of which a fresh interpreter has loaded more than the name after a statement."""
    code = f"import sys, json; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1]) if name != "botocore"}


def test_importing_the_app_loads_neither_numpy_nor_an_aws_library() -> None:
    assert not loaded_by("import app") & {
        "numpy", "boto3", "botocore", "cryptography", "httpx", "opentelemetry", "torch", "aws_xray_sdk",
    }  # fmt: skip


def test_a_device_loads_no_aws_library_no_server_and_no_torch() -> None:
    theirs = {"boto3", "botocore", "chalice", "chalicelib", "openfeature", "opentelemetry", "torch"}
    assert not loaded_by("from muster import Device") & theirs


def test_a_device_loads_what_verifies_signatures_when_there_is_one() -> None:
    assert "cryptography" not in loaded_by("from muster import Device")
    assert "cryptography" in loaded_by(f"from muster.device.trust import public_key; public_key({KEY!r})")


def test_trainers_load_no_library_until_one_of_them_is_asked_for() -> None:
    assert not loaded_by("import muster.training, muster.training.hyperparameters") & {"torch", "sklearn"}
    assert "sklearn" not in loaded_by("from muster import TorchTrainer")
    assert "torch" not in loaded_by("from muster import SklearnTrainer")


def test_the_wire_loads_no_numpy_until_tensors_are_touched() -> None:
    assert "numpy" not in loaded_by("import muster.wire.messages, muster.wire.problems, muster.wire.tensors")
    assert "numpy" in loaded_by("import muster.wire.arrays")


def test_the_public_names_are_these() -> None:
    assert muster.__all__ == [
        "App", "Data", "Device", "LocalData", "SklearnTrainer", "TorchTrainer", "Trainer", "TrainingResult", "__version__",
    ]  # fmt: skip
    assert all(getattr(muster, name) for name in muster.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        muster.nonsense  # noqa: B018
