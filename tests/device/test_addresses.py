"""No key travels in the clear: `http://` goes to this machine only, unless it was asked for by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from muster import Device
from muster.device import Insecure
from muster.http.addresses import check_address
from muster.http.transport import Transport
from muster.operator import Operator
from muster.wire.messages import UploadGrant

HERE = ["http://127.0.0.1:8000", "http://127.9.9.9/x", "http://localhost", "http://LOCALHOST:1", "http://[::1]:8000"]
AWAY = [
    "http://api.example.org", "http://192.168.1.5:8000", "http://127.0.0.1.example.org", "http://localhost.example.org",
    "http://127.0.0.1@example.org", "http://[fe80::1]", "http://0.0.0.0", "HTTP://example.org",
]  # fmt: skip
NEVER = [
    "ftp://127.0.0.1",
    "ws://localhost",
    "file:///etc/passwd",
    "api.example.org",
    "//api.example.org",
    "",
    "https://",
    "http://\x00",
]


@pytest.mark.parametrize("url", ["https://api.example.org/v1", "https://192.168.1.5", *HERE])
def test_https_goes_anywhere_and_http_to_this_machine(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize("url", [*AWAY, *NEVER])
def test_http_to_another_machine_and_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(Insecure, match="expected an https URL"):
        check_address(url)


def test_http_to_another_machine_can_be_asked_for_by_name_and_other_schemes_cannot() -> None:
    for url in AWAY:
        check_address(url, insecure_http=True)
    for url in NEVER:
        with pytest.raises(Insecure):
            check_address(url, insecure_http=True)


def test_a_device_that_would_send_its_token_in_the_clear_sends_and_stores_nothing(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(201, json={"client_id": "boiler", "key": "boiler.secret", "heartbeat_seconds": 900.0})

    asked: list[httpx.Request] = []
    http = httpx.Client(transport=httpx.MockTransport(answer))
    with pytest.raises(Insecure):
        Device.enrol("http://api.test", "a.token", "boiler", model="toy", state_dir=tmp_path / "state", http=http)
    assert (asked, (tmp_path / "state").exists()) == ([], False)
    token = "0123456789." + "s" * 22
    given: dict[str, Any] = {"model": "toy", "state_dir": tmp_path / "state", "http": http, "insecure_http": True}
    Device.enrol("http://api.test", token, "boiler", **given)
    assert len(asked) == 1


def test_a_presigned_url_is_held_to_the_same_rule_and_never_told() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise AssertionError("it was sent")

    http = httpx.Client(transport=httpx.MockTransport(answer))
    made = Transport("https://api.test", http=http)
    grant = UploadGrant(url="http://s3.test/key?secret", headers={}, expires_at="2026-01-01T00:00:00Z")
    with pytest.raises(Insecure) as refused:
        made.upload(grant, b"an update")
    assert "secret" not in str(refused.value)
    with pytest.raises(Insecure):
        made.fetch("http://s3.test/key?secret", 10)


def test_an_operators_client_follows_the_same_rule() -> None:
    with pytest.raises(Insecure):
        Operator("http://api.example.org")
    Operator("http://127.0.0.1:8000").close()
