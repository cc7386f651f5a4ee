"""What a device that has pinned a key believes: the rules of signatures, statements and revisions, held against values."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from muster.conformance import vectors
from muster.device import BadSignature, NotOffered, Replayed, Undeployed
from muster.device.trust import Trust, public_key, verified
from muster.wire.messages import Checkpoint, ModelReply
from tests.device.signed import OTHER, PINNED, offer, reply, shown, signature
from tests.fleet import API, IN_MEMORY

REPLIES = {revision: reply(revision, 0, 0) for revision in range(1, 7)}


# ---- what is refused


def test_a_statement_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotOffered, match="expected a statement of toy, got one of tiny"):
        Trust(tmp_path, "toy").check(reply(1, 0, 0, model="tiny"), API, PINNED)


def test_a_statement_that_does_not_offer_what_is_given_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotOffered, match=r"revision 3 offers version 0 .*, version 2 .*, the server gives version 1"):
        Trust(tmp_path, "toy").check(reply(3, 1, 0, 2), API, PINNED)


def test_what_another_key_signed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSignature):
        Trust(tmp_path, "toy").check(reply(1, 0, 0, key=OTHER), API, PINNED)


@pytest.mark.parametrize("text", ['{"format":"muster-deployment-2"}', "{}", "[]", "1", '{"revision":"1"}'])
def test_what_the_key_signed_that_is_no_statement_is_refused(text: str) -> None:
    said = reply(1, 0, 0).model_copy(update={"statement": text, "signature": signature(text)})
    with pytest.raises(BadSignature, match="no statement"):
        verified(said, "toy", PINNED)


# ---- revisions


def test_what_was_seen_counts_for_one_log_that_of_a_url_and_a_key(tmp_path: Path) -> None:
    trust = Trust(tmp_path, "toy")
    trust.check(reply(5, 0, 0), API, PINNED)
    with pytest.raises(Replayed):
        Trust(tmp_path, "toy").check(reply(4, 0, 0), API, PINNED)
    trust.check(reply(4, 0, 0), "https://restored.test", PINNED)
    trust.check(reply(2, 0, 0, key=OTHER), "https://restored.test", shown(OTHER))
    with pytest.raises(Replayed):
        trust.check(reply(1, 0, 0, key=OTHER), "https://restored.test", shown(OTHER))


def test_a_refused_answer_notes_nothing(tmp_path: Path) -> None:
    trust = Trust(tmp_path, "toy")
    with pytest.raises(NotOffered):
        trust.check(reply(9, 1, 0), API, PINNED)
    trust.check(reply(1, 0, 0), API, PINNED)


@given(st.lists(st.integers(1, 6) | st.just("restart"), max_size=12))
def test_a_revision_is_accepted_if_none_higher_was_also_over_restarts(story: list[int | str]) -> None:
    highest = 0
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        trust = Trust(Path(folder), "toy")
        for what in story:
            if isinstance(what, str):
                trust = Trust(Path(folder), "toy")
            elif what >= highest:
                trust.check(REPLIES[what], API, PINNED)
                highest = what
            else:
                with pytest.raises(Replayed):
                    trust.check(REPLIES[what], API, PINNED)


def test_a_disk_that_takes_no_note_stops_nothing_and_is_written_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    trust = Trust(tmp_path, "toy")
    with monkeypatch.context() as patch:
        patch.setattr("muster.device.trust.replace_file", full)
        trust.check(reply(5, 0, 0), API, PINNED)
        with pytest.raises(Replayed):
            trust.check(reply(4, 0, 0), API, PINNED)
    assert "in memory only" in caplog.text
    trust.check(reply(5, 0, 0), API, PINNED)
    with pytest.raises(Replayed):
        Trust(tmp_path, "toy").check(reply(4, 0, 0), API, PINNED)


# ---- keys


@given(st.binary(max_size=200) | st.builds(lambda tail: base64.b64decode(PINNED)[:40] + tail, st.binary(max_size=80)))
def test_whatever_a_server_shows_as_a_key_is_one_of_p256_or_a_value_error(der: bytes) -> None:
    try:
        found = public_key(base64.b64encode(der).decode())
    except ValueError:
        return
    assert isinstance(found.curve, ec.SECP256R1)


# ---- the vectors of the conformance kit


@pytest.mark.parametrize("vector", vectors.load()["statements"], ids=lambda vector: str(vector["name"]))
def test_each_vector_is_what_it_says(vector: dict[str, Any]) -> None:
    said = ModelReply(
        model=vector["model"],
        revision=12,
        round=None,
        checkpoint=Checkpoint(**vector["checkpoint"], url="https://store.test/x"),
        statement=vector["statement"],
        signature=vector["signature"],
    )
    if vector["fit"]:
        assert verified(said, vector["model"], vector["signing_key"]).revision == 12
        return
    with pytest.raises(Undeployed):
        verified(said, vector["model"], vector["signing_key"])


# ---- no forgery by change

_GENUINE = reply(4, 1, 0, 1)
text = st.text(max_size=40) | st.text('{}[]:,"0123456789abcdefghijklmnopqrstuvwxyz-_', max_size=200)


@st.composite
def changed(draw: st.DrawFn, original: str) -> str:
    """A text near to the original, or another one."""
    at, upto = sorted((draw(st.integers(0, len(original))), draw(st.integers(0, len(original)))))
    return draw(
        st.sampled_from([original, original[:at], original[at:], original[:at] + original[upto:], original + original[:at]])
        | st.builds(lambda new: original[:at] + new + original[upto:], text)
        | text
    )


@given(
    version=st.integers(0, 3) | st.integers(),
    sha256=changed(_GENUINE.checkpoint.sha256),
    nbytes=st.integers(99, 103) | st.integers(),
    statement=changed(str(_GENUINE.statement)) | st.none(),
    signed=changed(str(_GENUINE.signature)) | st.none(),
)
def test_no_change_of_checkpoint_statement_and_signature_is_accepted(
    version: int, sha256: str, nbytes: int, statement: str | None, signed: str | None
) -> None:
    given_as = _GENUINE.checkpoint.model_copy(update={"version": version, "sha256": sha256, "bytes": nbytes})
    said = _GENUINE.model_copy(update={"checkpoint": given_as, "statement": statement, "signature": signed})
    genuine = {(offered.version, offered.sha256, offered.bytes) for offered in (offer(0), offer(1))}
    try:
        verified(said, "toy", PINNED)
    except Undeployed:
        return
    assert (statement, signed) == (_GENUINE.statement, _GENUINE.signature)
    assert (version, sha256, nbytes) in genuine


@given(st.integers(0, 8 * 91 - 1) | st.integers(0, 8 * 91 * 4))
def test_every_single_bit_of_the_signature_counts(bit: int) -> None:
    data = bytearray(base64.b64decode(str(_GENUINE.signature)))
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << (bit % 8)
    said = _GENUINE.model_copy(update={"signature": base64.b64encode(data).decode()})
    with pytest.raises(BadSignature):
        verified(said, "toy", PINNED)
