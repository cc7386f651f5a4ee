"""One SHA-256, whatever the order, the number of parts, the number of threads, the BLAS kernel and the CPU's instructions."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation.grids import Averaged, grids
from muster.aggregation.ranges import elements
from muster.aggregation.registry import find_aggregator
from tests.aggregation import fingerprint
from tests.aggregation.making import LIMITS, Made, frozen, made, rule

ROOT = Path(__file__).parent.parent.parent
KERNELS = {
    "SkylakeX": "AVX512_SKX", "Haswell": "AVX2", "Zen": "AVX2", "Sandybridge": "AVX", "Nehalem": "SSE42", "Prescott": "SSE3",
}  # fmt: skip
"""Kernels of OpenBLAS, and the instructions that each is made of: OpenBLAS runs the one that it is told to, whether or not the
CPU has them."""

NUMPY = import_module("numpy._core._multiarray_umath")
CPU = {name for name, there in NUMPY.__cpu_features__.items() if there}


@cache
def round_of(name: str) -> Made:
    return fingerprint.made(name)


@cache
def expected(name: str) -> str:
    return fingerprint.fingerprint(round_of(name))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("parts", list(LIMITS))
@pytest.mark.parametrize("name", fingerprint.RULES)
def test_neither_parts_nor_threads_nor_their_order_change_a_bit(
    name: str, parts: int | str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster.aggregation.threads.THREADS", threads)
    for seed in range(2):
        fingerprint.ShuffledParts.rng = random.Random(seed)
        assert fingerprint.fingerprint(round_of(name), LIMITS[parts]) == expected(name)


@pytest.mark.parametrize("parts", [1, 2, 7, 64])
def test_the_limits_of_these_tests_do_make_as_many_parts_as_they_say(parts: int) -> None:
    made = round_of("mean")
    plan = find_aggregator(made.manifest.aggregator).plan(made.manifest, made.schema, LIMITS[parts])
    sums = next(stage for stage in plan.stages if stage.parts[-1].stop == elements(made.schema))
    assert len(sums.parts) == parts


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_blas_kernel_that_this_cpu_has_changes_a_bit(kernel: str) -> None:
    if KERNELS[kernel] not in CPU:
        pytest.skip(f"this CPU has no {KERNELS[kernel]}, of which OpenBLAS's {kernel} kernel is made")
    assert printed({"OPENBLAS_CORETYPE": kernel}) == {name: expected(name) for name in fingerprint.RULES}


def test_the_cpus_wider_instructions_change_no_bit() -> None:
    optional = [name for name in NUMPY.__cpu_dispatch__ if name in CPU]
    if not optional:
        pytest.skip("numpy has no wider instructions for this CPU than it needs in any case")
    assert printed({"NPY_DISABLE_CPU_FEATURES": " ".join(optional)}) == {name: expected(name) for name in fingerprint.RULES}


def printed(environment: dict[str, str]) -> dict[str, str]:
    """What another process makes of the same rounds."""
    command = [sys.executable, "-m", "tests.aggregation.fingerprint"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True)
    lines = [line.partition("\t") for line in done.stdout.splitlines()]
    return {name: digests for name, _, digests in lines}


@settings(max_examples=25)
@given(st.integers(5, 9), st.integers(0, 2**32 - 1), st.sampled_from(list(LIMITS)), st.integers(1, 700), st.randoms())
def test_neither_the_shape_nor_the_parts_change_a_bit(
    count: int, seed: int, parts: int | str, size: int, rng: random.Random
) -> None:
    updates = made(count, seed, size=size)
    if rng.random() < 0.5:
        updates[0]["w"][rng.randrange(size), 0] = 9e29
    name = rng.choice(sorted({one.name for one in fingerprint.RULES.values()} - {"lora"}))  # which has a test of its own
    byzantine = {"multi-krum": 1, "trimmed-mean": 2}.get(name)
    parameters = {} if byzantine is None else {"byzantine" if name == "multi-krum" else "trim": byzantine}
    one = frozen(updates, rule(name, **parameters), encodings=["plain", "int8", "bfloat16"])
    assert fingerprint.fingerprint(one, LIMITS[parts]) == fingerprint.fingerprint(one)


def test_the_rounds_of_these_tests_do_take_every_way_through_a_mean() -> None:
    taken = set()
    for name in ("mean", "mean of a giant", "mean of wide updates"):
        found = round_of(name)
        averaged = Averaged.of(found.manifest, found.manifest.entries, [1] * len(found.manifest.entries))
        taken |= {(grid.bits is None, grid.limbs) for grid in grids(averaged, found.schema) if grid}
    assert taken == {(False, 1), (False, 2), (True, 1), (True, 2)}
