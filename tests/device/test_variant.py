"""The version that was given last, as the disk has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.device.variant import LastVariant, Variant, variant_file

VARIANT = Variant(version=4, sha256="a" * 64, revision=3, offered=1)


def test_it_is_known_after_a_restart_and_not_fresh(tmp_path: Path) -> None:
    last = LastVariant(tmp_path, "toy")
    assert (last.known, last.is_fresh) == (None, False)
    last.note(VARIANT)
    assert (last.known, last.is_fresh) == (VARIANT, True)
    again = LastVariant(tmp_path, "toy")
    assert (again.known, again.is_fresh) == (VARIANT, False)
    again.note(VARIANT)
    assert again.is_fresh


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": -1}', b"\xff"])
def test_a_file_that_is_of_no_use_is_named_and_passed_over(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / variant_file("toy")).write_bytes(content)
    assert LastVariant(tmp_path, "toy").known is None
    assert "is of no use" in caplog.text


def test_a_disk_that_does_not_take_it_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("muster.device.variant.replace_file", full)
    last = LastVariant(tmp_path, "toy")
    last.note(VARIANT)
    assert last.known == VARIANT
    assert LastVariant(tmp_path, "toy").known is None
