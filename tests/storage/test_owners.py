"""Nothing piles up: every kind of object has an owner who deletes it, and the bucket's own rules are the net below."""

from __future__ import annotations

from typing import Any

from chalicelib.rounds.phases import settling, sweeping
from chalicelib.storage import keys
from infra.local import resources
from muster.wire.admin import RoundConfig


def lifecycle() -> list[dict[str, Any]]:
    """The rules of the bucket, as the template has them."""
    bucket = resources.template()["Resources"]["TensorBucket"]["Properties"]
    found: list[dict[str, Any]] = bucket["LifecycleConfiguration"]["Rules"]
    return found


def test_what_nobody_deletes_the_bucket_does_and_what_was_deleted_does_not_stay() -> None:
    rules = lifecycle()
    of = {rule["Prefix"]: rule for rule in rules}
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert set(of) == {"updates/", "parts/", "staged/", ""}
    for prefix in ("updates/", "parts/", "staged/"):
        # An expiration by days also removes the delete markers below which nothing is left.
        assert (of[prefix]["ExpirationInDays"], of[prefix]["NoncurrentVersionExpiration"]) == (1, {"NoncurrentDays": 1})
    assert of[""]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert of[""]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 35}, "as long as the tables' point-in-time recovery"
    assert of[""]["ExpiredObjectDeleteMarker"] is True
    assert "ExpirationInDays" not in of[""], "checkpoints live as long as a version names them"
    longest = next(meta.le for meta in RoundConfig.model_fields["aggregate_seconds"].metadata if hasattr(meta, "le"))
    assert longest <= 86_400, "no aggregation outlives its updates and parts"


def test_every_kind_of_object_has_an_owner_who_deletes_it() -> None:
    prefixes = {rule["Prefix"] for rule in lifecycle()}
    for kind in keys.OBJECTS:
        top = kind.template.split("{", 1)[0]
        by_round, by_sweep, by_life = kind in settling.DELETED, top in sweeping.SWEPT, top in prefixes
        assert by_round or by_sweep or by_life, kind.name
        assert ("finalised" in kind.about, "sweep" in kind.about) == (by_round, by_sweep), kind.name
        assert ("lifecycle" in kind.about) == by_life, kind.name
