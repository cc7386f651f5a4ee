"""What a device may send that is wrong, and with which word it is refused or rejected.

The table of docs/protocol.md, "What is refused, and with which word", is written from here (docs/generate.py), and
tests/rounds/test_bad_input.py sends each of these: a line of the table is a test.
"""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from muster.wire import messages as wire
from muster.wire.arrays import Array, encode
from muster.wire.problems import Problem as P
from tests.fleet import BASE

UPDATE: dict[str, Array] = {name: np.zeros_like(array) for name, array in BASE.items() if array.dtype != bool}
ZEROS = "0" * 64


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of a device that is refused. The model `toy` is in its first round; `device` has a place, `other` has none."""

    method: str
    path: str
    body: Any = None
    """JSON, or bytes as they are."""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    who: Literal["device", "other", "nobody"] = "device"


@dataclass(frozen=True, slots=True)
class Refused:
    """A line of the table: requests that one word refuses."""

    what: str
    problem: P
    requests: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line of the table: updates that one reason rejects."""

    what: str
    reason: str
    updates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A line of the table that tests elsewhere show, each by its file and name."""

    what: str
    happens: str
    tests: tuple[str, ...]


UPLOAD = "/v1/rounds/toy.1/upload"
REPORT = "/v1/rounds/toy.1/report"
FAILURE = "/v1/rounds/toy.1/failure"
METRICS = "/v1/models/toy/versions/0/metrics"
GRANT = {"bytes": 900, "sha256": ZEROS, "examples": 1}
FAILED = {"work": "train", "reason": "out-of-memory"}
MEASURED = {"round": "toy.1", "examples": 1, "metrics": {"accuracy": 0.5}}
ENROL = {"token": "a" * 16 + "." + "b" * 43, "client_id": "device-7", "proof": "p" * 43, "device_type": "x", "sdk_version": "1"}


def _grant(**other: Any) -> Sent:
    return Sent("POST", UPLOAD, {**GRANT, **other})


def _raw(body: bytes, path: str = UPLOAD) -> Sent:
    return Sent("POST", path, body)


def _examples(text: bytes) -> Sent:
    return _raw(b'{"bytes": 900, "sha256": "%s", "examples": %s}' % (ZEROS.encode(), text))


def _everywhere(model: str) -> tuple[Sent, ...]:
    return (
        Sent("POST", f"/v1/models/{model}/checkin", {}),
        Sent("GET", f"/v1/models/{model}"),
    )


def _of_a_round(round_id: str, who: Literal["device", "other"] = "device") -> tuple[Sent, ...]:
    return (
        Sent("POST", f"/v1/rounds/{round_id}/upload", GRANT, who=who),
        Sent("POST", f"/v1/rounds/{round_id}/report", {"sha256": ZEROS}, who=who),
        Sent("GET", f"/v1/rounds/{round_id}/report", who=who),
        Sent("POST", f"/v1/rounds/{round_id}/failure", FAILED, who=who),
    )


def _with(tensors: Mapping[str, Array] | None = None, without: str = "", **changed: Any) -> bytes:
    named = {"bias": "layer.bias", "weight": "layer.weight", "steps": "norm.num_batches_tracked", "extra": "extra"}
    made = {**(UPDATE if tensors is None else tensors), **{named[name]: array for name, array in changed.items()}}
    return encode({name: array for name, array in made.items() if name != without})


_WHOLE = encode(UPDATE)

REFUSED = (
    Refused(
        "a body that is empty, cut off, compressed, no JSON or not in UTF-8",
        P.MALFORMED_BODY,
        (
            _raw(b""),
            _raw(b"{"),
            _raw(b"\xff\xfe"),
            _raw(b'{"bytes": 900'),
            _raw(b"{'bytes': 900}"),
            _raw(b"{} {}"),
            _raw(gzip.compress(b'{"bytes": 1}', mtime=0)),
            _raw(json.dumps(GRANT).encode("utf-16")),
            _raw(b"\xef\xbb\xbf" + json.dumps(GRANT).encode()),
            _raw(b'{"client_id": "device\xff"}', "/v1/clients"),
        ),
    ),
    Refused(
        "a body with a key twice, written alike or not",
        P.MALFORMED_BODY,
        (
            _raw(b'{"bytes": 900, "bytes": 900, "sha256": "%s", "examples": 1}' % ZEROS.encode()),
            _raw(b'{"bytes": 900, "\\u0062ytes": 901, "sha256": "%s", "examples": 1}' % ZEROS.encode()),
            _raw(b'{"sha256": "%s", "metrics": {"loss": 1, "loss": 2}}' % ZEROS.encode(), REPORT),
            _raw(b'{"model": "toy", "model": "toy"}', "/v1/heartbeat"),
        ),
    ),
    Refused(
        "a text that is no Unicode, a number of thousands of digits, nesting without end",
        P.MALFORMED_BODY,
        (
            _raw(b'{"sha256": "\\ud800"}'),
            _examples(b"9" * 5000),
            _raw(b"[" * 60_000),
            _raw(b'{"a":' * 12_000),
            _raw(b'{"sdk_version": "1", "capabilities": {"a": "\\udfff"}}', "/v1/clients"),
        ),
    ),
    Refused(
        "a body that is no object; a member that is missing, unknown, null or of another type",
        P.INVALID_BODY,
        (
            _raw(b"[]"),
            _raw(b"null"),
            _raw(b"1"),
            _raw(b'"x"'),
            _raw(b'{"bytes": 1}'),
            _grant(bytes="900"),
            _grant(more=1),
            _grant(sha256=5),
            _grant(sha256=None),
            _grant(examples=None),
            _grant(examples=True),
            _grant(examples="5"),
            Sent("POST", REPORT, {"sha256": ZEROS, "metrics": []}),
            Sent("POST", REPORT, {"sha256": ZEROS, "metrics": {"a": "1"}}),
            Sent("POST", FAILURE, {"reason": "disk"}),
            Sent("POST", FAILURE, {"work": "rest", "reason": "disk"}),
            Sent("POST", FAILURE, {**FAILED, "error": None, "more": 1}),
            Sent("POST", "/v1/models/toy/checkin", {"can": "train"}),
            Sent("POST", "/v1/models/toy/checkin", {"can": ["rest"]}),
        ),
    ),
    Refused(
        "a number out of its bounds: `examples` outside 1 to 10⁹, `1.5` or `1e9` for a whole number, NaN, an infinity",
        P.INVALID_BODY,
        (
            _grant(bytes=0),
            _grant(bytes=-1),
            _grant(bytes=2**63),
            _grant(examples=0),
            _grant(examples=-5),
            _examples(b"NaN"),
            _examples(b"Infinity"),
            _examples(b"-Infinity"),
            _examples(b"1e9"),
            _examples(b"1.5"),
            _examples(b"1000000001"),
            _examples(b"9" * 400),
            Sent("POST", REPORT, {"sha256": ZEROS, "metrics": {"loss": 1e31}}),
            _raw(b'{"sha256": "%s", "metrics": {"loss": NaN}}' % ZEROS.encode(), REPORT),
            Sent("POST", "/v1/heartbeat", {"version": 10**9}),
            *(
                Sent("PUT", "/v1/clients/me", {"sdk_version": "2.0", "capabilities": {"memory": number}})
                for number in (10**31, 10**50, 10**400, -(10**50))
            ),
        ),
    ),
    Refused(
        "a reason of a failure that is not in the table of section 5, the name of an exception that is none",
        P.INVALID_BODY,
        (
            *(Sent("POST", FAILURE, {**FAILED, "reason": reason}) for reason in ("", "of-tomorrow", "OUT-OF-MEMORY", None, 5)),
            *(Sent("POST", FAILURE, {**FAILED, "error": name}) for name in ("a b", "", "x" * 65, "9", "Key.Error", "é", 5)),
        ),
    ),
    Refused(
        "an id, a name, a digest or a label of another form in a body; too many members",
        P.INVALID_BODY,
        (
            *(
                Sent("POST", "/v1/clients", {**ENROL, "client_id": name}, who="nobody")
                for name in (
                    "dévice",
                    "device\u0000",
                    "device 7",
                    "-device",
                    "ab",
                    "d" * 65,
                    "",
                    "d#1",
                    "../device",
                    "d" * 2048,
                )
            ),
            _grant(sha256="xyz"),
            _grant(sha256="0" * 63),
            _grant(sha256="A" * 64),
            _grant(sha256="0" * 2048),
            Sent("POST", "/v1/heartbeat", {"model": "x" * 2048}),
            Sent("POST", "/v1/heartbeat", {"model": "Toy"}),
            Sent("POST", "/v1/models/toy/checkin", {"reported": "toy.01"}),
            Sent("POST", "/v1/models/toy/checkin", {"have": [ZEROS] * 5}),
            Sent("PUT", "/v1/clients/me", {"sdk_version": "é"}),
            Sent("PUT", "/v1/clients/me", {"sdk_version": "1" * 65}),
            Sent("POST", REPORT, {"sha256": ZEROS, "metrics": {"Loss": 1.0}}),
            Sent("POST", REPORT, {"sha256": ZEROS, "metrics": {f"m{number}": 1.0 for number in range(17)}}),
        ),
    ),
    Refused(
        "a measurement without the metric that decides, or with a number outside its bounds; an accuracy outside 0 to 1",
        P.INVALID_BODY,
        tuple(
            Sent("POST", METRICS, {**MEASURED, "metrics": metrics})
            for metrics in ({"accuracy": 1.5}, {"accuracy": -0.1}, {"loss": 1.0}, {"accuracy": "1"}, {})
        ),
    ),
    Refused(
        "a body of more than 64 KiB",
        P.BODY_TOO_LARGE,
        (_raw(b" " * (wire.BODY_LIMIT_BYTES + 1)), _raw(json.dumps({"x": "y" * wire.BODY_LIMIT_BYTES}).encode())),
    ),
    Refused(
        "a body without `Content-Type: application/json`, with two types, or in another charset than UTF-8",
        P.UNSUPPORTED_MEDIA_TYPE,
        tuple(
            Sent("POST", "/v1/heartbeat", b"{}", {"Content-Type": media_type})
            for media_type in (
                None,
                "",
                "application/octet-stream",
                "image/png",
                "text/plain",
                "*/*",
                "application/json, text/plain",
                "application/jsonp",
                "application/json; charset=utf-16",
                "multipart/form-data",
            )
        ),
    ),
    Refused(
        "a query parameter that is unknown, stands twice, or is of another form",
        P.INVALID_QUERY,
        tuple(
            Sent("GET", f"/v1/models/toy?{query}")
            for query in (
                "other=1",
                "have=xyz",
                "have=",
                f"have={ZEROS}&have={ZEROS}",
                f"have={','.join([ZEROS] * 5)}",
                "have=%FF",
            )
        ),
    ),
    Refused(
        "a path with a slash at its end, two in its middle, in capitals, with letters encoded; a method that it does not have",
        P.FORBIDDEN,
        (
            Sent("POST", "/v1/heartbeat/", {}),
            Sent("POST", "/v1//heartbeat", {}),
            Sent("POST", "//v1/heartbeat", {}),
            Sent("POST", "/V1/heartbeat", {}),
            Sent("POST", "/v1/heart%62eat", {}),
            Sent("GET", f"{REPORT}/"),
            Sent("GET", "/v1/rounds/toy.1//report"),
            Sent("GET", "/v1/rounds//report"),
            Sent("POST", f"{UPLOAD}/", GRANT),
            Sent("GET", "/v1/models/toy/"),
            Sent("GET", "/v1/models/toy/nothing"),
            Sent("GET", "/v1/admin/models/"),
            Sent("DELETE", "/v1/heartbeat"),
            Sent("GET", "/v1/heartbeat"),
            Sent("OPTIONS", "/v1/heartbeat"),
            Sent("HEAD", UPLOAD),
        ),
    ),
    Refused(
        "a model that does not exist, or whose name nothing can have",
        P.UNKNOWN_MODEL,
        (
            *_everywhere("nosuch"),
            *_everywhere("Toy"),
            *_everywhere("toy%2F"),
            *_everywhere("x" * 2048),
            *_everywhere("toy%00"),
        ),
    ),
    Refused(
        "a round that does not exist, or whose id nothing can have: `digits.01`, other digits, not UTF-8",
        P.UNKNOWN_ROUND,
        (
            *_of_a_round("toy.9"),
            *_of_a_round("toy.01"),
            *_of_a_round("toy.001"),
            *_of_a_round("toy.0"),
            *_of_a_round("toy.x"),
            *_of_a_round("nonsense"),
            *_of_a_round("toy.%D9%A1"),
            *_of_a_round("%FF%FE"),
            *_of_a_round("toy.%C3%28"),
            *_of_a_round("toy.1%00"),
            *_of_a_round("toy.1%20"),
            *_of_a_round("x" * 2048),
            *_of_a_round("toy." + "9" * 2048),
            *_of_a_round("toy.1%2F..%2Ftoy.1"),
            Sent("POST", "/v1/models/other/versions/0/metrics", MEASURED),
            Sent("POST", METRICS, {**MEASURED, "round": "other.1"}),
            Sent("POST", METRICS, {**MEASURED, "round": "toy.9"}),
        ),
    ),
    Refused(
        "a version that is not being judged, or that no number names",
        P.UNKNOWN_VERSION,
        tuple(
            Sent("POST", f"/v1/models/toy/versions/{version}/metrics", MEASURED)
            for version in ("7", "01", "-1", "1.0", "x", "%D9%A1", "9" * 2048)
        ),
    ),
    Refused(
        "an upload, a report, a receipt, a measurement or a failure of a round in which the device has no place",
        P.NOT_ASSIGNED,
        (
            *_of_a_round("toy.1", "other"),
            Sent("POST", METRICS, MEASURED, who="other"),
            Sent("POST", METRICS, MEASURED),
            Sent("POST", FAILURE, {**FAILED, "work": "evaluate"}),
        ),
    ),
    Refused("a length that no update of the model has", P.WRONG_LENGTH, (_grant(bytes=10), _grant(bytes=100_000))),
    Refused("a report of what was not uploaded", P.UPLOAD_MISSING, (Sent("POST", REPORT, {"sha256": ZEROS}),)),
)

REJECTED = (
    Rejected(
        "NaN, an infinity, a float16 that overflowed",
        "not-finite",
        tuple(_with(bias=np.array([0, value, 0], "f4")) for value in (np.nan, np.inf, -np.inf)),
    ),
    Rejected(
        "a counter moved by more than the model's `max_count`",
        "counter-overflow",
        tuple(_with(steps=np.array(by)) for by in (1_000_001, -(2**63))),
    ),
    Rejected(
        "an L2 norm beyond the model's `max_norm`, be it 1e38",
        "norm-overflow",
        (_with(bias=np.full(3, 1e38, "f4")), _with(bias=np.full(3, 1e6, "f4"))),
    ),
    Rejected(
        "`(1,)` for `(10,)`, a transposed shape: nothing is ever broadcast",
        "wrong-shape",
        (
            *(_with(bias=np.zeros(shape, "f4")) for shape in ((1, 3), 1, (), 0)),
            _with(weight=np.zeros((4, 3), "f4")),
        ),
    ),
    Rejected(
        "another dtype, bfloat16 where it was not agreed",
        "wrong-dtype",
        (_with(steps=np.array(1, "u1")), _with(bias=np.zeros(6, "f2"))),
    ),
    Rejected(
        "tensors that are missing, extra, renamed; boolean ones",
        "wrong-tensors",
        (
            encode({("layer.bios" if n == "layer.bias" else n): a for n, a in UPDATE.items()}),
            _with(without="layer.bias"),
            _with(extra=np.zeros(1, "f4")),
            encode(BASE),
        ),
    ),
    Rejected(
        "pickle, a zip, gzip, a header too long: nothing is unpickled or decompressed",
        "oversized-header",
        (pickle.dumps(UPDATE), gzip.compress(_WHOLE, 0), b"\xff" * len(_WHOLE)),
    ),
    Rejected(
        "a file that is shorter or longer than its header says",
        "wrong-length",
        (_WHOLE[:-1], _WHOLE + b"\0", len(_WHOLE).to_bytes(8, "little") + b"{" * (len(_WHOLE) - 8)),
    ),
    Rejected(
        "a header that is no JSON, or breaks a rule of section 8",
        "bad-header",
        ((len(_WHOLE) - 8).to_bytes(8, "little") + b"{" * (len(_WHOLE) - 8),),
    ),
)

BAD_INPUT, UPLOADS, KEYS = "tests/rounds/test_bad_input.py", "tests/rounds/test_uploads.py", "tests/clients/test_keys_end.py"
GIVEN_UP = "tests/rounds/test_failures.py"

ARRIVALS = "tests/clients/test_arrivals.py"
SHOWN = (
    Shown(
        "no key, an unknown id, a wrong or rotated key, a revoked client",
        "refused, 401 `unauthenticated`, all alike",
        (
            f"{BAD_INPUT}::test_an_unknown_a_wrong_and_a_revoked_key_get_the_same_answer",
            f"{KEYS}::test_after_a_rotation_the_old_key_has_no_place_and_the_new_one_has_it",
            f"{KEYS}::test_a_revocation_that_died_after_its_first_write_has_ended_the_key",
        ),
    ),
    Shown(
        "anything of a model outside the scope of the enrolment token",
        "refused, 404, as if it did not exist",
        (
            f"{KEYS}::test_a_round_of_a_model_outside_the_scope_is_answered_like_one_that_does_not_exist",
            "tests/clients/test_fleet_care.py::test_a_model_outside_a_clients_scope_does_not_exist_for_it",
        ),
    ),
    Shown(
        "more heartbeats, or more check-ins, than its rate allows",
        "refused, 429 `too-many-requests`, with the seconds after which the request is in order; nothing is changed",
        (
            f"{ARRIVALS}::test_after_the_burst_a_request_is_answered_429_with_when_to_come",
            f"{ARRIVALS}::test_a_refused_device_comes_when_it_was_told_to",
        ),
    ),
    Shown(
        "requests without its key, to use up what another device may send",
        "refused, 401 `unauthenticated`; nothing is counted",
        (f"{ARRIVALS}::test_a_wrong_key_empties_nobodys_bucket",),
    ),
    Shown(
        "bad updates, one after the other",
        "each is rejected; after three without an accepted one in between, check-ins are answered with `wait`, `quarantined`",
        ("tests/rounds/test_strikes.py::test_three_bad_updates_in_a_row_are_a_quarantine_from_work_and_from_nothing_else",),
    ),
    Shown(
        "what the site's own rule does not admit",
        "refused, 403 `refused-by-site`, with the rule's reason; a rule that fails is a 500, and admits nobody",
        (
            "tests/clients/test_site_rules.py::test_the_pages_rule_refuses_an_enrolment_before_its_token_is_used",
            "tests/clients/test_site_rules.py::test_a_rule_that_fails_is_a_500_and_the_device_is_not_enrolled",
        ),
    ),
    Shown(
        "the same report again; other bytes, or other metrics, after the report",
        "the same receipt; refused, 409 `report-conflict`",
        (
            f"{BAD_INPUT}::test_another_report_after_the_first_conflicts_and_the_same_is_the_same",
            f"{UPLOADS}::test_a_report_with_other_metrics_conflicts_and_the_same_is_the_same",
        ),
    ),
    Shown(
        "the same failure again; another reason, an update after it, a failure after the report",
        "the same answer; refused, 409 `report-conflict`",
        (
            f"{GIVEN_UP}::test_the_same_report_again_is_the_same_answer_and_another_one_is_refused",
            f"{GIVEN_UP}::test_an_update_after_the_failure_is_refused_and_left",
            f"{GIVEN_UP}::test_a_failure_after_the_report_changes_nothing",
        ),
    ),
    Shown(
        "a report of other bytes than the last that were declared",
        "refused, 409 `upload-mismatch`",
        (f"{BAD_INPUT}::test_a_report_without_an_upload_or_of_other_bytes",),
    ),
    Shown(
        "an upload or a report after the close",
        "refused, 409 `round-closed`; the receipt says `late`",
        (f"{BAD_INPUT}::test_an_update_after_close_is_refused_and_never_counted",),
    ),
    Shown(
        "another PUT under the same grant",
        "412 from the store: the first one stays",
        ("tests/e2e/story.py::test_a_grant_is_good_for_its_own_bytes_once_and_for_nothing_else",),
    ),
    Shown(
        "a PUT with `x-amz-…` headers that were not signed: a storage class, an ACL, tags, a key",
        "403 from the store",
        (
            "tests/e2e/story.py::test_a_grant_is_good_for_its_own_bytes_once_and_for_nothing_else",
            "tests/infra/test_package.py::test_the_bucket_is_closed_versioned_encrypted_and_refuses_weak_requests",
        ),
    ),
    Shown(
        "a PUT with `Content-Encoding`",
        "an update is the bytes that were stored, whatever that header says",
        (f"{UPLOADS}::test_an_update_is_the_bytes_that_were_stored_whatever_its_encoding_header_says",),
    ),
    Shown(
        "a late PUT under an earlier grant: of a declaration that was replaced, after the report, after the round",
        "nobody reads it",
        (
            f"{UPLOADS}::test_a_late_put_under_the_grant_of_a_declaration_that_was_replaced_is_read_by_nobody",
            f"{UPLOADS}::test_a_late_put_after_the_report_and_after_the_round_changes_nothing",
        ),
    ),
    Shown(
        "an object that was changed after its report; other bytes than were declared, though the store took them",
        "rejected, `upload-changed`; `wrong-digest`",
        (
            f"{BAD_INPUT}::test_an_object_that_changed_after_its_report_is_rejected",
            f"{BAD_INPUT}::test_bytes_that_are_not_the_declared_ones_are_rejected_though_the_store_took_them",
        ),
    ),
    Shown(
        "tensors in another order",
        "rejected, `wrong-order`",
        ("tests/wire/test_gate.py::test_tensors_in_another_order_are_refused_because_ranges_of_them_are_read",),
    ),
    Shown(
        "an update in another encoding than the agreed one",
        "rejected, `wrong-tensors` or `wrong-dtype`",
        ("tests/rounds/test_encodings.py::test_an_update_in_another_encoding_than_the_agreed_one_is_rejected_by_its_reason",),
    ),
    Shown(
        "−0",
        "a zero like another; its sign changes no bit of a version",
        ("tests/aggregation/test_odd_updates.py::test_a_negative_zero_is_a_zero_and_its_sign_changes_no_bit",),
    ),
    Shown(
        "integer tensors",
        "counters: the largest change counts (with a robust rule, the median), held at the ends of the dtype",
        ("tests/aggregation/test_odd_updates.py::test_integers_of_every_width_are_counters_and_their_ends_are_no_accident",),
    ),
    Shown(
        "weights sent in place of a delta, a delta to another base, big-endian numbers in a valid file",
        "cannot be told from an update; clipping, outlier quarantine and the judges bound what it does",
        (
            "tests/rounds/test_rounds.py::"
            "test_weights_that_are_sent_in_the_place_of_their_change_move_a_clipped_model_no_further_than_the_norm",
        ),
    ),
    Shown(
        "an update of zeros; a round of one client",
        "counted; published",
        ("tests/rounds/test_edges.py::test_one_client_and_an_update_of_zeros_are_a_round",),
    ),
    Shown(
        "nothing accepted by the deadline",
        "the round is abandoned, `quorum-not-reached`; what is served stays",
        (
            "tests/rounds/test_edges.py::"
            "test_when_all_updates_are_rejected_the_round_is_abandoned_and_says_how_many_were_wanted",
        ),
    ),
    Shown(
        "too few or too many updates for the rule; a model that would not be finite; an aggregation that takes too long",
        "the round is abandoned, `too-few-updates`, `too-many-updates`, `model-unfit`, `aggregation-timed-out`",
        (
            "tests/rounds/test_edges.py::test_too_few_updates_for_a_rule_abandon_the_round_by_name",
            "tests/rounds/test_edges.py::test_too_many_updates_for_a_rule_abandon_the_round_by_name",
            "tests/rounds/test_rounds.py::test_a_model_that_would_not_be_finite_is_never_published",
            "tests/rounds/test_leftovers.py::test_a_round_that_aggregates_for_too_long_is_abandoned_by_name_and_leaves_nothing",
        ),
    ),
    Shown(
        "an update that is finite, and whose square an adaptive optimizer's float32 state cannot hold",
        "the round is abandoned, `state-unfit`",
        ("tests/aggregation/test_published.py::test_a_round_whose_state_would_not_be_finite_is_abandoned_by_name",),
    ),
    Shown(
        "a ninth declaration in a round",
        "refused, 409 `too-many-grants`; the last one still counts",
        (
            "tests/rounds/test_leftovers.py::test_a_client_may_declare_only_so_many_different_updates_and_the_same_one_again_"
            "counts_nothing",
        ),
    ),
    Shown(
        "a check-in whose round closes before it is answered",
        "a place that comes to nothing: the receipt says `late` to whoever asks",
        ("tests/rounds/test_places.py::test_a_receipt_that_is_born_after_its_round_has_settled_is_late_to_whoever_asks",),
    ),
    Shown(
        "`have` that is not true, digests that no version has",
        "believed: a delta may come that is of no use, beside the whole checkpoint",
        ("tests/rounds/test_deltas.py::test_a_device_that_lies_about_what_it_has_gets_the_right_version_all_the_same",),
    ),
    Shown(
        "a delta that was cut off, changed, is of other files, or is gone",
        "the device's business: it reads the whole checkpoint",
        ("tests/device/test_checkpoints.py::test_a_delta_that_is_of_no_use_costs_the_whole_download_and_a_line_in_the_log",),
    ),
    Shown(
        "a device's clock that is wrong",
        "does not matter: a device only measures durations. An operator's signature is good for five minutes; `muster` says so",
        ("tests/operator/test_signing.py::test_an_operator_whose_clock_is_wrong_is_told_so",),
    ),
)


def lines() -> Iterator[str]:
    """The table, as Markdown."""
    yield "| what a device sends | what happens |"
    yield "|---|---|"
    for refused in REFUSED:
        yield f"| {refused.what} | refused, {refused.problem.kind.status} `{refused.problem.value}` |"
    for rejected in REJECTED:
        yield f"| {rejected.what} | rejected, `{rejected.reason}` |"
    for shown in SHOWN:
        yield f"| {shown.what} | {shown.happens} |"
