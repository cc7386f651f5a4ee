"""Answers of the API, made up: each with what a test says, and something plain for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from muster.console.known import Known, Learnt, Wish
from muster.wire import admin
from muster.wire import messages as wire

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def known(**answers: object) -> Known:
    """What is known: `status_toy=…`, `rounds_toy=…`, `overview=…`, `round_toy_1=…`."""
    learnt = {Wish(*name.split("_")): Learnt(value=value, at=NOW) for name, value in answers.items()}  # type: ignore[arg-type]
    return Known(learnt=learnt, looked_at=NOW)


def fleet(**said: Any) -> admin.FleetStatistics:
    plain = {
        "clients": 0, "active": 0, "revoked": 0, "by_device_type": {}, "active_by_model": {}, "rounds": 0, "samples": 0,
        "max_clients": 1000, "heartbeat_timeout_seconds": 600.0, "counted_at": NOW,
    }  # fmt: skip
    return admin.FleetStatistics(**{**plain, **said})


def status(**said: Any) -> admin.ModelStatus:
    plain = {
        "model": "toy", "config": admin.RoundConfig(goal=10, quorum=2), "config_revision": 1, "deployed_version": 0,
        "training": {"state": "running", "rounds_completed": 2, "rounds_wanted": 5}, "deployment_revision": 1,
        "newest_version": 0, "round": None, "clients": fleet(active_by_model={"toy": 4}), "alerts": [], "metrics": {},
    }  # fmt: skip
    return admin.ModelStatus(**{**plain, **said})


def round_(number: int = 3, **said: Any) -> admin.RoundReply:
    plain = {
        "round": f"toy.{number}", "number": number, "phase": "completed", "config_revision": 1, "base_version": 0,
        "opened_at": ago(minutes=30), "report_by": ago(minutes=10), "closed_at": ago(minutes=20),
        "finished_at": ago(minutes=15),
        "assigned": 12, "reported": 11, "accepted": 10, "rejected": {}, "late": 0, "uploaded_bytes": 2000, "examples": 100,
        "evaluations": 3, "version": number, "gain": 0.021, "deployed": True, "reason": None,
    }  # fmt: skip
    return admin.RoundReply(**{**plain, **said})


def collecting(**said: Any) -> admin.RoundReply:
    going_on = {"phase": "collecting", "closed_at": None, "finished_at": None, "version": None, "gain": None, "deployed": False}
    return round_(**{**going_on, "opened_at": ago(minutes=5), "report_by": NOW + timedelta(minutes=20), "accepted": 4, **said})


def receipt(client_id: str = "boiler-1", **said: Any) -> admin.RoundReceipt:
    plain = {
        "client_id": client_id, "state": "accepted", "assigned_at": ago(minutes=25), "report_by": ago(minutes=10),
        "reported_at": ago(minutes=22), "encoding": "plain", "examples": 40, "bytes": 2000, "sha256": "a" * 64, "norm": 1.25,
        "metrics": {"train_loss": 0.5}, "reason": None, "expected": None, "got": None, "traceparent": None,
    }  # fmt: skip
    return admin.RoundReceipt(**{**plain, **said})


def receipts(*found: admin.RoundReceipt, after: str | None = None) -> admin.RoundReceiptList:
    return admin.RoundReceiptList(round="toy.3", receipts=list(found), after=after)


def judgement(client_id: str = "boiler-1", **said: Any) -> admin.RoundJudgement:
    plain = {
        "client_id": client_id, "state": "measured", "assigned_at": ago(minutes=19), "report_by": ago(minutes=10),
        "candidate": {"examples": 20, "metrics": {"accuracy": 0.9}, "is_finite": True},
        "deployed": {"examples": 20, "metrics": {"accuracy": 0.88}, "is_finite": True},
        "gain": 0.02, "reason": None, "error": None,
    }  # fmt: skip
    return admin.RoundJudgement(**{**plain, **said})


def judgements(*found: admin.RoundJudgement, after: str | None = None) -> admin.RoundJudgementList:
    return admin.RoundJudgementList(round="toy.3", judgements=list(found), after=after)


def version(number: int = 1, **said: Any) -> admin.VersionReply:
    url = "https://bucket.example/v?X-Amz-Signature=abc"
    plain = {
        "id": f"toy.v{number}", "version": number, "round": number or None, "base": number - 1 if number else None,
        "parent": number - 1 if number else None, "state": "retired", "aliases": [], "created_at": ago(hours=1),
        "manifest_sha256": None, "document_sha256": "d" * 64, "document_url": url, "config": admin.RoundConfig(goal=10,
        quorum=2),
        "metrics": {}, "evaluation": None, "note": None,
        "checkpoint": wire.Checkpoint(version=number, sha256="c" * 64, bytes=10, url=url),
    }  # fmt: skip
    return admin.VersionReply(**{**plain, **said})


def judged(gain: float = 0.02) -> admin.JudgedReply:
    return admin.JudgedReply(judges=5, better=4, worse=1, gain=gain, p=0.1, examples=20)


def rollout(**said: Any) -> admin.RolloutReply:
    plain = {
        "rollout": "toy.r2", "candidate": 1, "strategy": admin.Strategy(kind="canary", steps=[5.0, 25.0]), "step": 1,
        "percent": 25.0, "since": ago(minutes=3), "paused": None,
    }  # fmt: skip
    return admin.RolloutReply(**{**plain, **said})


def deployed(**said: Any) -> admin.DeploymentReply:
    plain = {
        "model": "toy", "revision": 2, "version": 0, "kind": "started", "left": [], "previous": 1, "at": NOW,
        "because": "we try", "by": None, "round": None,
    }  # fmt: skip
    return admin.DeploymentReply(**{**plain, **said})


def alert(**said: Any) -> admin.AlertReply:
    plain = {
        "model": "toy", "metric": "accuracy", "number": 1, "state": "open", "value": 0.4, "minimum": 0.5, "maximum": None,
        "opened_at": ago(hours=1), "acknowledged_at": None, "acknowledged_by": None, "cleared_at": None,
    }  # fmt: skip
    return admin.AlertReply(**{**plain, **said})


def told(*found: admin.AlertReply, silences: Sequence[admin.SilenceReply] = ()) -> admin.AlertList:
    return admin.AlertList(alerts=list(found), silences=list(silences))


def silence(**said: Any) -> admin.SilenceReply:
    plain = {"model": "toy", "metric": "gain", "until": NOW + timedelta(hours=8), "because": "we retrain", "by": "ada"}
    return admin.SilenceReply(**{**plain, **said})


def objective(**said: Any) -> admin.ObjectiveReply:
    plain = {
        "name": "rounds", "what": "rounds", "target": 0.95, "good": 98, "total": 100, "share": 0.98, "budget_left": 0.6,
        "is_burned": False, "used_up_at": None,
    }  # fmt: skip
    return admin.ObjectiveReply(**{**plain, **said})


def objectives(*found: admin.ObjectiveReply, unreadable: Sequence[str] = ()) -> admin.ObjectiveList:
    first, last = ago(days=29).date(), NOW.date()
    return admin.ObjectiveList(model="toy", first_day=first, last_day=last, objectives=list(found), unreadable=list(unreadable))


def client(client_id: str = "boiler-1", **said: Any) -> admin.ClientReply:
    plain = {
        "client_id": client_id, "state": "active", "alive": True, "device_type": "boiler", "sdk_version": "1.2.0",
        "capabilities": {}, "enrolled_at": ago(days=3), "last_seen_at": ago(seconds=30), "key_rotated_at": None, "models": None,
        "model": "toy", "version": 1, "rounds": 2, "samples": 40,
    }  # fmt: skip
    return admin.ClientReply(**{**plain, **said})


def active(model: str, *counts: float) -> admin.MetricReply:
    points = [
        {"at": ago(minutes=5 * at), "value": value, "version": None, "round": None}
        for at, value in zip(range(len(counts) - 1, -1, -1), counts, strict=True)
    ]
    found: dict[str, Any] = {"count": len(counts), "mean": None, "min": None, "max": None, "sum": None, "points": points}
    return admin.MetricReply(model=model, name="active_clients", hours=24, **found)


def why(**said: Any) -> admin.Why:
    return admin.Why(**{"waits_for": "idle", "sentence": "it was never trained", **said})


def glance(model: str = "toy", **said: Any) -> admin.ModelOverview:
    plain = {
        "model": model, "why": why(), "training": {"state": "running", "rounds_completed": 2, "rounds_wanted": 5},
        "deployed_version": 0, "round": None, "active": 4,
    }  # fmt: skip
    return admin.ModelOverview(**{**plain, **said})


def bill(**by_service: float) -> admin.Bill:
    services = {name.replace("_", " "): dollars for name, dollars in by_service.items()}
    return admin.Bill(dollars=sum(services.values()), by_service=services, amounts={"api_requests": 100.0, "egress_gb": 0.002})


def model_bill(model: str | None = "toy", **said: Any) -> admin.ModelBill:
    return admin.ModelBill(**{"model": model, "spent": bill(DynamoDB=0.5, Lambda=0.25), "forecast": 2.0, **said})


def cost(*models: admin.ModelBill, **said: Any) -> admin.CostReply:
    plain = {
        "month": "2026-05", "at": NOW, "is_whole": False, "priced_at": NOW.date(), "region": "us-east-1", "dollars": 1.5,
        "forecast": 4.0, "models": models, "there": {"alarms": 1.0, "polling of two queues": 0.5},
    }  # fmt: skip
    return admin.CostReply(**{**plain, **said})


def model_cost(**said: Any) -> admin.ModelCostReply:
    plain: dict[str, Any] = {
        "month": "2026-05", "at": NOW, "priced_at": NOW.date(), "region": "us-east-1", "total": model_bill(),
        "days": [admin.DayBill(day=NOW.date(), dollars=0.75)], "rounds": [admin.RoundBill(round=3, spent=bill(Lambda=0.01))],
    }  # fmt: skip
    return admin.ModelCostReply(**{**plain, **said})


def paces(**active: int) -> admin.FleetPace:
    """So many active clients of each model."""
    each: dict[str, Any] = {
        "heartbeat_seconds": 60.0, "waiting_seconds": None, "meeting_seconds": None, "requests_per_second": 1.0,
    }  # fmt: skip
    return pace(models=[admin.ModelPace(model=name, active=many, **each) for name, many in active.items()])


def pace(**said: Any) -> admin.FleetPace:
    plain: dict[str, Any] = {
        "revision": 0, "ceiling": 5000.0, "budget": None, "at": None, "because": None, "by": None, "clients": 100,
        "counted_at": NOW, "heartbeat_seconds": 900.0, "models": [], "requests_per_second": 0.1, "requests_per_month": 1000.0,
        "dollars_per_month": 0.01,
    }  # fmt: skip
    return admin.FleetPace(**{**plain, **said})


def overview(*models: admin.ModelOverview, **said: Any) -> admin.Overview:
    plain = {
        "at": NOW, "ticked_at": NOW, "counted_at": NOW, "clients": 7, "active": 5, "dead_letters": 0, "alarms": [],
        "troubles": [], "models": models,
    }  # fmt: skip
    return admin.Overview(**{**plain, **said})
