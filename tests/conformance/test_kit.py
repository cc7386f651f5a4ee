"""The kit passes devices that follow the protocol, and finds what is wrong with those that do not."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from typer.testing import CliRunner

from muster import conformance
from muster.cli.app import app
from muster.conformance import kit
from muster.conformance.checks import CHECKS, Outcome
from muster.conformance.http import Answer
from muster.conformance.kit import KitSettings, NoPlace, Report, check
from muster.conformance.requests import RoutedRequest
from muster.conformance.world import World
from muster.wire.arrays import encode
from tests import contract
from tests.conformance.faulty import FAULTS
from tests.fleet import BASE

pytestmark = pytest.mark.xdist_group("conformance")

PYTHON = sys.executable
TOLD = "{url} {token} {client_id} {model} {folder}"
PATIENCE_SECONDS = 60.0
LESS_PATIENCE = {"wants-no-more": 8.0}
"""For a device that is found out by its silence alone: it backs off until that is as long as the kit's patience."""


def walked(module: str, patience: float = PATIENCE_SECONDS, **more: object) -> Report:
    return check(KitSettings(command=f"{PYTHON} -m {module} {TOLD}", patience_seconds=patience, **more))  # type: ignore[arg-type]


def failed(report: Report) -> dict[str, str]:
    return {found.check.name: found.why for found in report.results if found.outcome is Outcome.FAIL}


class Recorded(World):
    """The kit's honest server, whose answers are kept."""

    kept: ClassVar[list[tuple[RoutedRequest, Answer]]] = []

    def answer(self, request: RoutedRequest) -> Answer:
        return self._keep(request, super().answer(request))

    def place(self, request: RoutedRequest) -> Answer:
        return self._keep(request, super().place(request))

    def _keep(self, request: RoutedRequest, answer: Answer) -> Answer:
        self.kept.append((request, answer))
        return answer


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Future[Report]]]:
    """The SDK and every faulty device, each on a walk of its own, all side by side: they mostly wait."""
    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(len(FAULTS) + 1) as pool:
        patched.setattr(kit, "World", Recorded)
        yield {
            "the SDK": pool.submit(walked, "tests.conformance.sdk_device", base=encode(BASE)),
            **{
                name: pool.submit(
                    walked, f"tests.conformance.faulty {name}", LESS_PATIENCE.get(name, PATIENCE_SECONDS), fail_fast=True
                )
                for name in FAULTS
            },
        }


def test_the_raw_device_passes_every_check(runs: dict[str, Future[Report]], tmp_path: Path) -> None:
    assert runs, "the others walk meanwhile"
    file = tmp_path / "report.json"
    command = f"{PYTHON} -m examples.raw_device {TOLD} 0.1"
    done = CliRunner().invoke(app, ["conformance", "--run", command, "--json", str(file), "--patience-seconds", "60"])
    assert done.exit_code == 0, done.output
    found = json.loads(file.read_text())
    assert found["conforms"]
    outcomes = {one["name"]: one["outcome"] for one in found["checks"]}
    assert outcomes.keys() == {one.name for one in CHECKS}
    assert {name for name, outcome in outcomes.items() if outcome != "pass"} == {"rotation", "not-modified", "gives-up"}
    assert "conforms: " in done.output


def test_the_sdk_passes_with_a_model_of_its_own(runs: dict[str, Future[Report]]) -> None:
    report = runs["the SDK"].result()
    assert report.conforms, (failed(report), report.output)
    skipped = {found.check.name for found in report.results if found.outcome is Outcome.SKIP}
    assert skipped <= {"rotation", "receipt", "gives-up"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_device_with_a_fault_fails_the_check_that_is_about_it(runs: dict[str, Future[Report]], fault: str) -> None:
    report, expected = runs[fault].result(), FAULTS[fault][1]
    assert report.conforms == (expected is None), (report.ended, failed(report), report.output)
    assert expected is None or expected in failed(report), (report.ended, failed(report), report.output)


def test_the_kit_speaks_as_the_server_does(runs: dict[str, Future[Report]]) -> None:
    for run in runs.values():
        run.result()
    spoken = [(request, answer) for request, answer in Recorded.kept if not request.seen.target.startswith("/store/")]
    for request, answer in spoken:
        path = request.seen.target.partition("?")[0].removeprefix("/api")
        response = httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)
        contract.check(request.seen.method, path, response)
    routes = {"enrol", "heartbeat", "check-in", "grant", "report", "receipt", "metrics", "model", "failure"}
    assert {request.route for request, _ in spoken} == routes


def test_a_device_that_ends_at_once_fails_and_the_command_says_so() -> None:
    done = CliRunner().invoke(app, ["conformance", "--run", f"{PYTHON} -c \"print('no-device')\""])
    assert done.exit_code == 5
    assert "the device ended with status 0, in step 'enrol'" in done.output
    assert "no-device" in done.output
    assert "DOES NOT CONFORM" in done.output


def test_without_a_device_the_walk_ends_when_patience_does() -> None:
    told: list[str] = []
    report = check(KitSettings(patience_seconds=0.2), lambda told_to: told.append(told_to.url))
    assert told[0].startswith("http://127.0.0.1:")
    assert told[0].endswith("/api")
    assert not report.conforms
    assert report.requests == 0
    assert "no request came for 0.2 s" in report.ended


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:0", "ftp://here", "http://", "http://127.0.0.1:0/api?x=1", "http://192.0.2.1:0"]
)
def test_the_kit_stands_only_where_a_server_can(url: str) -> None:
    with pytest.raises(NoPlace):
        check(KitSettings(url=url))
    done = CliRunner().invoke(app, ["conformance", url])
    assert done.exit_code == 2


def test_every_check_is_made_somewhere_and_names_a_section_of_the_page() -> None:
    page = (Path(__file__).parent.parent.parent / "docs/protocol.md").read_text(encoding="utf-8")
    sections = {int(number) for number in re.findall(r"^## (\d+)\. ", page, re.MULTILINE)}
    assert {one.section for one in CHECKS} <= sections
    assert len({one.name for one in CHECKS}) == len(CHECKS)
    code = "".join(path.read_text() for path in Path(conformance.__file__).parent.glob("*.py"))
    assert [one.name for one in CHECKS if code.count(f'"{one.name}"') < 2 and not one.name.startswith("update-")] == []


def test_without_run_the_command_says_what_the_device_must_be_told() -> None:
    done = CliRunner().invoke(app, ["conformance", "--patience-seconds", "1", "--client-id", "board-7"])
    assert done.exit_code == 5
    for said in ("http://127.0.0.1:", "/api", "token", "board-7", "toy", "no request came for 1 s"):
        assert said in done.output


def test_a_base_that_is_no_tensor_file_and_a_command_that_is_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"no tensors")
    done = CliRunner().invoke(app, ["conformance", "--base", str(tmp_path / "model")])
    assert (done.exit_code, "The file is not a tensor file" in done.output) == (2, True)
    done = CliRunner().invoke(app, ["conformance", "--run", str(tmp_path / "no-device")])
    assert (done.exit_code, "no-device" in done.output.replace("\n", "")) == (2, True)
