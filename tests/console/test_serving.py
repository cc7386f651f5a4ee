"""The console as it runs: a process of its own, with real sockets. No browser: what a browser must be refused, and told."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from muster.console.policy import inline_scripts

ROOT = Path(__file__).parent.parent.parent
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Running:
    """A console, and the browser that opened it."""

    process: subprocess.Popen[str]
    link: str
    browser: httpx.Client

    @property
    def origin(self) -> str:
        return "http://" + urlsplit(self.link).netloc


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, "-m", "muster", "--url", NOWHERE, "console", "--no-open"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        link = process.stdout.readline().split()[1]
        assert process.stdout.readline() == "The link works once. Ctrl-C stops the console.\n"
        with httpx.Client() as browser:
            opened = browser.get(link)
            assert (opened.status_code, opened.headers["referrer-policy"]) == (200, "no-referrer")
            yield Running(process, link, browser)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
        assert rest == "", "it prints its link, and nothing else"
        assert list(folder.iterdir()) == [], "it writes no file"


pytestmark = pytest.mark.xdist_group("console")


def test_it_listens_on_the_loopback_interface_only(console: Running) -> None:
    port = urlsplit(console.link).port
    assert port is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        mine = probe.getsockname()[0]
    if mine.startswith("127."):
        pytest.skip("this machine has no other address")
    with socket.socket() as other:
        other.settimeout(2.0)
        assert other.connect_ex((mine, port)) != 0


def test_its_link_works_once_and_only_that_browser_sees_anything(console: Running) -> None:
    assert httpx.get(console.link).status_code == 403
    assert httpx.get(console.origin).status_code == 403
    assert console.browser.get(console.link).status_code == 403
    assert console.browser.get(console.origin).status_code == 200


def test_another_name_and_another_origin_are_refused_even_to_that_browser(console: Running) -> None:
    get = console.browser.get
    assert get(console.origin, headers={"Host": f"evil.example:{urlsplit(console.link).port}"}).status_code == 421
    assert get(console.origin, headers={"Origin": "http://evil.example"}).status_code == 403
    assert console.browser.post(f"{console.origin}/_nicegui_ws/socket.io/?EIO=4&transport=polling").status_code == 405


def test_a_websocket_opens_for_its_own_page_and_for_no_other(console: Running) -> None:
    url = console.origin.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    cookie = "; ".join(f"{name}={value}" for name, value in console.browser.cookies.items())
    with connect(url, origin=Origin(console.origin), additional_headers={"Cookie": cookie}) as opened:
        assert str(opened.recv(timeout=10)).startswith("0{")
    refusals: list[tuple[Origin | None, dict[str, str]]] = [
        (Origin(console.origin), {}),
        (Origin("http://evil.example"), {"Cookie": cookie}),
        (None, {"Cookie": cookie}),
    ]
    for origin, sent in refusals:
        with pytest.raises(InvalidStatus) as refused, connect(url, origin=origin, additional_headers=sent):
            raise AssertionError("it was let in")
        assert refused.value.response.status_code == 403


def test_a_page_runs_the_librarys_scripts_and_names_no_other_host(console: Running) -> None:
    page = console.browser.get(console.origin)
    policy = page.headers["content-security-policy"]
    assert policy.count("'sha256-") == len(inline_scripts(page.text)) > 0
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    hosts = set(re.findall(r"(?:src|href)=\"?(?:https?:)?//([^/\"]+)", page.text))
    assert hosts == set()
    assert urlsplit(console.link).query.partition("=")[2] not in page.text


def test_what_lies_behind_a_page_has_no_other_way_in(console: Running) -> None:
    for path in ("/docs", "/openapi.json", "/redoc", "/_nicegui/auto", "/models/..%2f..%2fetc", "/models/NOT-A-MODEL/rounds/0"):
        found = console.browser.get(console.origin + path)
        assert found.status_code == 404, path
        assert "There is no such page" in found.text
