"""What a device has it does not download again; what it has is used only if it is what its name says."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import stat
from pathlib import Path

import httpx
import numpy as np
import pytest

from muster import Device
from muster.device import Overloaded, Unreachable, Untrusted
from muster.device import checkpoints as module
from muster.device.checkpoints import KEPT_CHECKPOINTS, CheckpointCache
from muster.device.files import replace_file
from muster.device.transport import DeviceTransport
from muster.wire.deltas import DeltaEnds, encode_delta
from muster.wire.messages import MOST_HELD, Checkpoint, Delta
from tests.fleet import World

FILES = [(np.arange(1000) * factor).astype("<f4").tobytes() for factor in (1.0, 1.001, 1.002, 1.003)]
DIGESTS = [hashlib.sha256(file).hexdigest() for file in FILES]


class Store:
    """An object store that counts what is read of it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {f"/{sha256}": file for sha256, file in zip(DIGESTS, FILES, strict=True)}
        self.read: list[str] = []
        self.overloaded: int | None = None
        http = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.transport = DeviceTransport("https://api.test", http=http, sleep=lambda _: None)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.read.append(request.url.path)
        if self.overloaded:
            return httpx.Response(self.overloaded)
        content = self.objects.get(request.url.path)
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    def checkpoint(self, number: int, *, base: int | None = None, **changed: object) -> Checkpoint:
        """A version, and, if there is a base, a delta from that."""
        delta = None
        if base is not None:
            ends = DeltaEnds(DIGESTS[base], DIGESTS[number], len(FILES[number]))
            content = b"".join(encode_delta(io.BytesIO(FILES[base]), io.BytesIO(FILES[number]), ends))
            self.objects.setdefault("/delta", content)
            fields = {"base_sha256": DIGESTS[base], "bytes": len(content), "url": "https://s3.test/delta"}
            delta = Delta.model_validate(fields | changed)
        url = f"https://s3.test/{DIGESTS[number]}"
        return Checkpoint(version=number, sha256=DIGESTS[number], bytes=len(FILES[number]), url=url, delta=delta)


@pytest.fixture
def store() -> Store:
    return Store()


def get(folder: Path, store: Store, *numbers: int) -> CheckpointCache:
    """Checkpoints of a device that has used these versions."""
    kept = CheckpointCache(folder)
    for number in numbers:
        assert kept.get(store.checkpoint(number), store.transport) == FILES[number]
    return kept


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_checkpoint_is_downloaded_once_also_over_a_restart(tmp_path: Path, store: Store) -> None:
    get(tmp_path / "kept", store, 0, 0, 1, 0)
    get(tmp_path / "kept", store, 1, 0, 1)
    assert store.read == [f"/{DIGESTS[0]}", f"/{DIGESTS[1]}"]
    assert names(tmp_path / "kept") == {f"{sha256}.safetensors" for sha256 in DIGESTS[:2]}
    for path in (tmp_path / "kept").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_last_ones_that_were_used_are_kept_and_no_more_are_told_than_may_be(tmp_path: Path, store: Store) -> None:
    kept = get(tmp_path, store, 0, 1, 0, 2)
    assert kept.held == [DIGESTS[0], DIGESTS[2]]
    assert names(tmp_path) == {f"{DIGESTS[number]}.safetensors" for number in (0, 2)}
    os.utime(tmp_path / f"{DIGESTS[2]}.safetensors", ns=(1, 1))
    assert CheckpointCache(tmp_path).held == [DIGESTS[2], DIGESTS[0]]
    os.utime(tmp_path / f"{DIGESTS[0]}.safetensors", ns=(2, 2))
    kept.find(DIGESTS[2])
    assert CheckpointCache(tmp_path).held == [DIGESTS[0], DIGESTS[2]]
    assert len(kept.held) == KEPT_CHECKPOINTS <= MOST_HELD


def test_what_an_earlier_run_left_unfinished_or_too_much_of_is_removed(tmp_path: Path, store: Store) -> None:
    get(tmp_path, store, 0, 1)
    (tmp_path / f".{DIGESTS[2]}.safetensors.123").write_bytes(b"half")
    (tmp_path / f"{DIGESTS[3]}.safetensors").write_bytes(FILES[3])
    assert CheckpointCache(tmp_path).held == [DIGESTS[1], DIGESTS[3]]
    assert names(tmp_path) == {f"{DIGESTS[number]}.safetensors" for number in (1, 3)}


@pytest.mark.parametrize("damage", [b"", FILES[0][:-1], FILES[0] + b"!", FILES[1], None])
def test_a_damaged_file_is_dropped_and_downloaded_again(
    tmp_path: Path, store: Store, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    kept = get(tmp_path, store, 0)
    path = tmp_path / f"{DIGESTS[0]}.safetensors"
    path.unlink() if damage is None else path.write_bytes(damage)
    assert kept.get(store.checkpoint(0), store.transport) == FILES[0]
    assert "no longer used" in caplog.text
    assert len(store.read) == 2
    assert path.read_bytes() == FILES[0]


def test_a_disk_that_is_full_does_not_stop_a_device(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "replace_file", full)
    kept = get(tmp_path, store, 0, 0)
    assert kept.get(store.checkpoint(1, base=0), store.transport) == FILES[1]
    assert kept.get(store.checkpoint(0), store.transport) == FILES[0]
    assert store.read == [f"/{DIGESTS[0]}", "/delta"]
    assert caplog.text.count("No space left on device") == 2
    kept.get(store.checkpoint(2), store.transport)
    assert kept.held == [DIGESTS[0], DIGESTS[2]]
    assert CheckpointCache(tmp_path).held == []


def test_a_folder_that_cannot_be_one_is_said_and_stops_nothing(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_text("a file")
    get(tmp_path / "kept", store, 0, 0)
    assert "cannot be used" in caplog.text
    assert len(store.read) == 1


def test_a_file_that_could_not_be_written_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file(tmp_path / "file", b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(tmp_path / "file", b"after")
    assert names(tmp_path) == {"file"}
    assert (tmp_path / "file").read_bytes() == b"before"


def test_a_delta_from_what_is_there_is_enough(tmp_path: Path, store: Store) -> None:
    kept = get(tmp_path, store, 0)
    assert kept.get(store.checkpoint(1, base=0), store.transport) == FILES[1]
    assert store.read == [f"/{DIGESTS[0]}", "/delta"]
    assert get(tmp_path, store, 1, 0).held == [DIGESTS[1], DIGESTS[0]]
    assert len(store.read) == 2


@pytest.mark.parametrize(
    "wrong",
    ["gone", "changed", "longer", "shorter", "another base", "another target", "damaged base", "missing base"],
)
def test_a_delta_that_is_of_no_use_costs_the_whole_download_and_a_line_in_the_log(
    tmp_path: Path, store: Store, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = get(tmp_path, store, 0)
    checkpoint = store.checkpoint(1, base=0)
    delta = bytearray(store.objects["/delta"])
    base = tmp_path / f"{DIGESTS[0]}.safetensors"
    if wrong == "gone":
        del store.objects["/delta"]
    elif wrong == "changed":
        delta[len(delta) // 2] ^= 1
        store.objects["/delta"] = bytes(delta)
    elif wrong == "longer":
        store.objects["/delta"] = bytes(delta) + b"!"
    elif wrong == "shorter":
        store.objects["/delta"] = bytes(delta[:-1])
    elif wrong == "another base":
        del store.objects["/delta"]
        store.checkpoint(1, base=2)
        checkpoint = store.checkpoint(1, base=0, bytes=len(store.objects["/delta"]))
    elif wrong == "another target":
        del store.objects["/delta"]
        store.checkpoint(2, base=0)
        checkpoint = store.checkpoint(1, base=0, bytes=len(store.objects["/delta"]))
    elif wrong == "damaged base":
        base.write_bytes(FILES[0][:-1] + b"!")
    elif wrong == "missing base":
        base.unlink()
    assert kept.get(checkpoint, store.transport) == FILES[1]
    assert "downloaded whole" in caplog.text
    assert "http://" not in caplog.text
    assert store.read[-1] == f"/{DIGESTS[1]}"
    assert kept.held == ([DIGESTS[1]] if wrong.endswith("d base") or wrong == "missing base" else [DIGESTS[0], DIGESTS[1]])


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_store_is_not_asked_for_the_whole_file_instead(tmp_path: Path, store: Store, status: int) -> None:
    kept = get(tmp_path, store, 0)
    checkpoint = store.checkpoint(1, base=0)
    store.overloaded = status
    with pytest.raises(Overloaded):
        kept.get(checkpoint, store.transport)
    assert store.read == [f"/{DIGESTS[0]}", "/delta"]
    store.overloaded = None
    assert kept.get(checkpoint, store.transport) == FILES[1]


def test_a_delta_that_is_no_help_is_not_even_read(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    kept = get(tmp_path, store, 0)
    kept.get(store.checkpoint(1, base=2), store.transport)
    kept.get(store.checkpoint(3, base=0, bytes=len(FILES[3])), store.transport)
    assert "/delta" not in store.read
    assert "downloaded whole" not in caplog.text


def test_what_is_neither_there_nor_to_be_had_is_an_error_and_nothing_is_kept(tmp_path: Path, store: Store) -> None:
    kept = get(tmp_path, store, 0)
    checkpoint = store.checkpoint(1, base=0)
    store.objects["/delta"] = store.objects[f"/{DIGESTS[1]}"] = b"something else"
    with pytest.raises(Untrusted):
        kept.get(checkpoint, store.transport)
    store.objects.clear()
    with pytest.raises(Unreachable):
        kept.get(checkpoint, store.transport)
    assert kept.held == [DIGESTS[0]]
    assert names(tmp_path) == {f"{DIGESTS[0]}.safetensors"}


def test_a_device_that_was_restarted_downloads_nothing_that_it_has(world: World) -> None:
    world.model()
    world.tick()
    token = world.token(uses=1)
    first = world.device(token, "thermostat-7")
    first.model()
    before = world.downloaded_bytes
    again = world.device(token, "thermostat-7")
    assert again.model()[0] == 0
    world.update(again)
    assert world.downloaded_bytes == before > 0


def asked(world: World, device: Device) -> list[httpx.Request]:
    """The requests to the API that a device sends from now on."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.test":
            requests.append(request)
        return world._answer(request)

    device._transport.http = httpx.Client(transport=httpx.MockTransport(answer))
    return requests


def test_a_device_asks_whether_its_model_has_changed_and_runs_what_it_has_if_not(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=1)
    world.tick()
    device, other = world.devices(2)
    device.model()
    requests = asked(world, device)
    assert device.model()[0] == 0
    assert requests[-1].headers["if-none-match"].startswith('"0.')
    assert world.request("GET", "/v1/models/toy", key=world.key_of(device), **{"If-None-Match": '"another"'}).status_code == 200
    world.update(other, step=0.4)
    world.play([device, other])
    number, arrays = device.model()
    assert number == 1
    assert arrays.keys() == device.model()[1].keys()
    assert [r.headers.get("if-none-match", "")[:3] for r in requests if r.method == "GET"] == ['"0.', '"0.', '"1.']


def test_a_device_that_lost_its_file_does_not_say_that_it_has_it(world: World) -> None:
    """A 304 would leave it with a URL that has expired."""
    world.model()
    (device,) = world.devices(1)
    device.model()
    requests = asked(world, device)
    for path in device._checkpoints._folder.iterdir():
        path.write_bytes(b"damaged")
    assert device.model()[0] == 0
    assert "if-none-match" not in requests[-1].headers
    assert "have" not in requests[-1].url.params


def test_a_server_that_says_unasked_that_nothing_has_changed_is_not_believed(world: World) -> None:
    world.model()
    (device,) = world.devices(1)
    device._transport.http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(304)))
    with pytest.raises(Unreachable):
        device.model()
