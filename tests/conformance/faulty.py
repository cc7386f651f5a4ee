"""Devices with a fault: `python -m tests.conformance.faulty FAULT URL TOKEN CLIENT_ID MODEL FOLDER`.

Each is the raw device but for one thing. `FAULTS` names the check of the kit that has to find it.
"""

from __future__ import annotations

import http.client
import json
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from examples.raw_device import deltas, device, tensors, web
from examples.raw_device.device import JSON, Device
from examples.raw_device.tensors import Tensor
from examples.raw_device.web import Answer, Refused, Unreachable, Web

# ---- of requests


class FollowsRedirects(Web):
    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        answer = super().once(method, url, headers, body, limit)
        return super().once(method, answer.headers["Location"], headers, body, limit) if answer.status == 307 else answer


class ShowsItsKey(Web):
    seen = ""

    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        self.seen = headers.get("Authorization", self.seen)
        shown = {"Authorization": self.seen} if self.seen else {}
        return super().once(method, url, {**headers, **shown}, body, limit)


class PutsWithAContentType(Web):
    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        more = {"Content-Type": "application/octet-stream"} if method == "PUT" else {}
        return super().once(method, url, {**headers, **more}, body, limit)


class ReadsOn(Web):
    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        return super().once(method, url, headers, body, 1 << 30)


class ForgetsItsProof(Web):
    lost = False

    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        if self.lost and body and url.endswith("/clients"):
            body = json.dumps({**json.loads(body), "proof": "x" * 43}).encode()
        try:
            return super().once(method, url, headers, body, limit)
        except (OSError, http.client.HTTPException):
            self.lost = True
            raise


class ChangesUrls(Web):
    """Decodes and encodes a URL anew, as some libraries do."""

    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        return super().once(method, url.replace("%2F", "/"), headers, body, limit)


# ---- of the device


class IgnoresTheDigest(Device):
    def is_as_announced(self, data: bytes, wanted: JSON) -> bool:
        return bool(len(data) == wanted["bytes"])


class IgnoresWaits(Device):
    def step(self) -> float:
        super().step()
        return 0.0


class NeverRests(Device):
    def step(self) -> float:
        seconds = super().step()
        self._rests = False
        return seconds


class ForgetsItsKey(Device):
    def _keep(self, name: str, value: JSON) -> None:
        self._identity = value


class InsistsOnItsWork(Device):
    def submit(self, round_id: str, file: bytes, metrics: Mapping[str, float]) -> None:
        for _ in range(3):
            try:
                return super().submit(round_id, file, metrics)
            except Refused:
                pass
        return None


class SendsTwice(Device):
    def submit(self, round_id: str, file: bytes, metrics: Mapping[str, float]) -> None:
        super().submit(round_id, file, metrics)
        super().submit(round_id, file, metrics)


class GoesOnAfterGivingUp(Device):
    def submit(self, round_id: str, file: bytes, metrics: Mapping[str, float]) -> None:
        self._call("POST", f"/v1/rounds/{round_id}/failure", {"work": "train", "reason": "trainer-error"})
        super().submit(round_id, file, metrics)


class SendsText(Device):
    def _call(self, method: str, path: str, body: JSON | None = None) -> JSON:
        return super()._call(method, path, {**body, "examples": "24"} if body and "examples" in body else body)


class KnowsOneHost(Device):
    def __init__(self, *, url: str, **more: Any) -> None:
        super().__init__(url=url.rpartition("/")[0], **more)


class WantsNoMore(Device):
    def _call(self, method: str, path: str, body: JSON | None = None) -> JSON:
        reply = super()._call(method, path, body)
        if "of_a_later_release" in reply:
            raise Unreachable("a member that it does not know")
        return reply


class BelievesItHasReported(Device):
    def _call(self, method: str, path: str, body: JSON | None = None) -> JSON:
        try:
            return super()._call(method, path, body)
        except Refused as refused:
            if refused.word == "upload-missing":
                return {}
            raise


class DiesOfGarbage(Device):
    def _call(self, method: str, path: str, body: JSON | None = None) -> JSON:
        try:
            return super()._call(method, path, body)
        except Unreachable as unreachable:
            if unreachable.status == 200:
                sys.exit("no JSON")
            raise


class JudgesTheCandidate(Device):
    def judge(self, work: JSON) -> None:
        super().judge({**work, "deployed": work["candidate"]})


class JudgesByLoss(Device):
    def judge(self, work: JSON) -> None:
        measure = self._learner.evaluate
        self._learner.evaluate = lambda model: {"loss": measure(model)["loss"]}  # type: ignore[method-assign]
        super().judge({**work, "metric": "loss"})


class NeverGivesUp(Device):
    def _doubt(self) -> float:
        return 0.0


class SendsWeights(Device):
    """Cannot be found: the numbers of a model are as good as those of a change."""

    def update(self, base: Mapping[str, Tensor], trained: Mapping[str, Tensor], encoding: str) -> Any:
        nothing = {name: Tensor(tensor.dtype, tensor.shape, [0] * len(tensor.values)) for name, tensor in base.items()}
        return super().update(nothing, trained, encoding)


# ---- of files


def instead(module: ModuleType, **faulty: Callable[..., Any]) -> None:
    """Put functions with a fault in the place of a module's own."""
    for name, function in faulty.items():
        setattr(module, name, function)


def by_name_only() -> None:
    tensors.ORDER[:] = sorted(tensors.ORDER)


def without_scales() -> None:
    encoded = tensors.encoded

    def unscaled(update: Mapping[str, Tensor], encoding: str) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in encoded(update, encoding).items() if not name.startswith("scale:")}

    instead(device, encoded=unscaled, decoded=lambda written, name: written[name].values)


def truncates_to_bfloat16() -> None:
    """Not found either, and no fault: it is less precise, and that is all."""
    instead(tensors, _bfloat16=lambda value: struct.unpack("<I", struct.pack("<f", value))[0] >> 16)


def trusts_deltas() -> None:
    apply = deltas.apply

    def trusting(base: bytes, *rest: Any) -> bytes:
        try:
            return apply(base, *rest)
        except deltas.BadDelta:
            return base

    instead(deltas, apply=trusting)


def cannot_apply_deltas() -> None:
    def unable(*_: Any) -> bytes:
        raise deltas.BadDelta("it was told so")

    instead(deltas, apply=unable)


def does_not_wait_for_the_server() -> None:
    instead(web, _retry_after=lambda _: 0.0)


FAULTS: dict[str, tuple[Any, str | None]] = {
    "follows-redirects": (FollowsRedirects, "no-redirects"),
    "shows-its-key": (ShowsItsKey, "key-stays-home"),
    "puts-with-a-content-type": (PutsWithAContentType, "put-as-granted"),
    "reads-on": (ReadsOn, "download-long"),
    "forgets-its-proof": (ForgetsItsProof, "enrol-again"),
    "changes-urls": (ChangesUrls, "urls-as-given"),
    "ignores-the-digest": (IgnoresTheDigest, "download-changed"),
    "ignores-waits": (IgnoresWaits, "waits"),
    "never-rests": (NeverRests, "rests"),
    "forgets-its-key": (ForgetsItsKey, "restart"),
    "insists-on-its-work": (InsistsOnItsWork, "round-closed"),
    "sends-twice": (SendsTwice, "one-update-a-round"),
    "goes-on-after-giving-up": (GoesOnAfterGivingUp, "gives-up"),
    "sends-text": (SendsText, "bodies"),
    "knows-one-host": (KnowsOneHost, "base-url"),
    "wants-no-more": (WantsNoMore, "unknown-members"),
    "believes-it-has-reported": (BelievesItHasReported, "upload-missing"),
    "dies-of-garbage": (DiesOfGarbage, "garbage"),
    "judges-the-candidate": (JudgesTheCandidate, "judges-both"),
    "judges-by-loss": (JudgesByLoss, "judging-metric"),
    "never-gives-up": (NeverGivesUp, "stops-without-key"),
    "by-name-only": (by_name_only, "update-plain"),
    "without-scales": (without_scales, "update-int8"),
    "trusts-deltas": (trusts_deltas, "delta-damaged"),
    "cannot-apply-deltas": (cannot_apply_deltas, "delta-applied"),
    "does-not-wait-for-the-server": (does_not_wait_for_the_server, "retry-after-503"),
    "sends-weights": (SendsWeights, None),
    "truncates-to-bfloat16": (truncates_to_bfloat16, None),
}
"""What each does wrong, and the check that finds it; None: no check can."""


def main(fault: str, url: str, token: str, client_id: str, model: str, folder: str) -> None:
    what, _ = FAULTS[fault]
    made: type[Device] = Device
    with_web: Web = Web()
    if isinstance(what, type) and issubclass(what, Web):
        with_web = what()
    elif isinstance(what, type) and issubclass(what, Device):
        made = what
    else:
        what()
    made(url=url, token=token, client_id=client_id, model=model, folder=Path(folder), web=with_web, trouble_seconds=0.1).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
