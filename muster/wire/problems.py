"""The names of every refusal, shared by server and devices (RFC 9457 problem documents).

A refusal is an answer, not a failure: a device may look its name up here and decide what to do. The document on the
wire is `{"type", "title", "status", "detail", "expected"?, "got"?}`, where `type` is `urn:muster:problem:<name>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

URN = "urn:muster:problem:"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of refusal: its HTTP status, and a title that never changes from case to case."""

    status: int
    title: str


class Problem(Enum):
    """Every refusal that a server may answer; the member's value is its name on the wire."""

    MALFORMED_BODY = "malformed-body"
    BODY_TOO_LARGE = "body-too-large"
    INVALID_BODY = "invalid-body"
    INVALID_QUERY = "invalid-query"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    FORBIDDEN = "forbidden"
    TOO_MANY_REQUESTS = "too-many-requests"
    INTERNAL_ERROR = "internal-error"
    UNAVAILABLE = "unavailable"
    SIGNING_FAILED = "signing-failed"

    UNAUTHENTICATED = "unauthenticated"
    ENROLMENT_REFUSED = "enrolment-refused"
    CLIENT_EXISTS = "client-exists"
    FLEET_FULL = "fleet-full"
    REFUSED_BY_SITE = "refused-by-site"

    UNKNOWN_CLIENT = "unknown-client"
    UNKNOWN_MODEL = "unknown-model"
    UNKNOWN_ROUND = "unknown-round"
    UNKNOWN_VERSION = "unknown-version"
    UNKNOWN_TOKEN = "unknown-token"  # noqa: S105 (a name)
    UNKNOWN_METRIC = "unknown-metric"
    UNKNOWN_COHORT = "unknown-cohort"
    UNKNOWN_EXPERIMENT = "unknown-experiment"
    NO_OPEN_ALERT = "no-open-alert"

    NOT_ASSIGNED = "not-assigned"
    ROUND_CLOSED = "round-closed"
    WRONG_LENGTH = "wrong-length"
    TOO_MANY_GRANTS = "too-many-grants"
    UPLOAD_MISSING = "upload-missing"
    UPLOAD_MISMATCH = "upload-mismatch"
    REPORT_CONFLICT = "report-conflict"

    MODEL_EXISTS = "model-exists"
    CHECKPOINT_UNFIT = "checkpoint-unfit"
    VERSION_EXISTS = "version-exists"
    VERSION_IN_TRAINING = "version-in-training"
    VERSION_DELETED = "version-deleted"
    CONFIGURATION_MOVED = "configuration-moved"
    DEPLOYMENT_MOVED = "deployment-moved"
    NOTHING_TO_ROLL_BACK_TO = "nothing-to-roll-back-to"
    ROLLOUT_GOES_ON = "rollout-goes-on"
    NO_ROLLOUT = "no-rollout"
    STRATEGY_UNFIT = "strategy-unfit"
    EXPERIMENTS_GO_ON = "experiments-go-on"
    EXPERIMENTS_OVERLAP = "experiments-overlap"
    EXPERIMENT_UNFIT = "experiment-unfit"
    COHORT_MOVED = "cohort-moved"
    TOO_MANY_COHORTS = "too-many-cohorts"
    PACE_MOVED = "pace-moved"
    PACE_UNFIT = "pace-unfit"
    ROUND_ENDED = "round-ended"
    NOTHING_PUBLISHED = "nothing-published"
    UPDATES_DELETED = "updates-deleted"

    @property
    def kind(self) -> ProblemKind:
        """Status and title of this refusal."""
        return KINDS[self]

    @property
    def urn(self) -> str:
        """The `type` member of the problem document."""
        return URN + self.value

    @classmethod
    def from_urn(cls, urn: str) -> Problem:
        """The refusal that a document's `type` names.

        Raises:
            ValueError: the URN is not one of this list (a newer server, or not a Muster server).
        """
        return cls(urn.removeprefix(URN))


KINDS: dict[Problem, ProblemKind] = {
    Problem.MALFORMED_BODY: ProblemKind(400, "The body is not JSON, or has a key twice"),
    Problem.BODY_TOO_LARGE: ProblemKind(413, "The body is larger than this route accepts"),
    Problem.INVALID_BODY: ProblemKind(422, "A field of the body is missing, unknown or out of bounds"),
    Problem.INVALID_QUERY: ProblemKind(422, "A query parameter is unknown or out of bounds"),
    Problem.UNSUPPORTED_MEDIA_TYPE: ProblemKind(415, "The body must be application/json"),
    Problem.FORBIDDEN: ProblemKind(403, "No such route is there for this caller"),
    Problem.TOO_MANY_REQUESTS: ProblemKind(429, "There are more requests than the server takes; send this one later"),
    Problem.INTERNAL_ERROR: ProblemKind(500, "The server failed; the same request may be sent again"),
    Problem.UNAVAILABLE: ProblemKind(503, "The server did not answer in time; the same request may be sent again"),
    Problem.SIGNING_FAILED: ProblemKind(
        503, "The key that signs deployments cannot be used; the same request may be sent again"
    ),
    Problem.UNAUTHENTICATED: ProblemKind(401, "The device key is not valid"),
    Problem.ENROLMENT_REFUSED: ProblemKind(403, "The enrolment token does not admit this client"),
    Problem.CLIENT_EXISTS: ProblemKind(409, "This client id belongs to another device"),
    Problem.FLEET_FULL: ProblemKind(403, "The fleet has as many clients as it may have"),
    Problem.REFUSED_BY_SITE: ProblemKind(403, "The rule of this site does not admit this"),
    Problem.UNKNOWN_CLIENT: ProblemKind(404, "There is no such client"),
    Problem.UNKNOWN_MODEL: ProblemKind(404, "There is no such model"),
    Problem.UNKNOWN_ROUND: ProblemKind(404, "There is no such round"),
    Problem.UNKNOWN_VERSION: ProblemKind(404, "There is no such version"),
    Problem.UNKNOWN_TOKEN: ProblemKind(404, "There is no such enrolment token"),
    Problem.UNKNOWN_METRIC: ProblemKind(404, "There is no such metric"),
    Problem.UNKNOWN_COHORT: ProblemKind(404, "There is no such cohort"),
    Problem.UNKNOWN_EXPERIMENT: ProblemKind(404, "No such experiment goes on in this model"),
    Problem.NO_OPEN_ALERT: ProblemKind(404, "There is no open alert of this metric"),
    Problem.NOT_ASSIGNED: ProblemKind(409, "This client has no place in this round"),
    Problem.ROUND_CLOSED: ProblemKind(409, "The round no longer takes updates"),
    Problem.WRONG_LENGTH: ProblemKind(422, "An update of this length cannot fit the model"),
    Problem.TOO_MANY_GRANTS: ProblemKind(409, "This client has declared too many different updates in this round"),
    Problem.UPLOAD_MISSING: ProblemKind(409, "Nothing was uploaded under the grant"),
    Problem.UPLOAD_MISMATCH: ProblemKind(409, "What was uploaded is not what was declared"),
    Problem.REPORT_CONFLICT: ProblemKind(409, "Something else was already reported"),
    Problem.MODEL_EXISTS: ProblemKind(409, "A model of this name exists with other content"),
    Problem.CHECKPOINT_UNFIT: ProblemKind(422, "The uploaded file cannot be a checkpoint"),
    Problem.VERSION_EXISTS: ProblemKind(409, "This checkpoint was registered with other words"),
    Problem.VERSION_IN_TRAINING: ProblemKind(409, "The round that made this version has not decided yet"),
    Problem.VERSION_DELETED: ProblemKind(410, "The version was deleted"),
    Problem.CONFIGURATION_MOVED: ProblemKind(409, "The model was configured in the meantime"),
    Problem.DEPLOYMENT_MOVED: ProblemKind(409, "Something else was deployed in the meantime"),
    Problem.NOTHING_TO_ROLL_BACK_TO: ProblemKind(409, "The history of deployments does not go back so far"),
    Problem.ROLLOUT_GOES_ON: ProblemKind(409, "A rollout of this model goes on"),
    Problem.NO_ROLLOUT: ProblemKind(409, "No rollout of this model goes on"),
    Problem.STRATEGY_UNFIT: ProblemKind(422, "The strategy cannot be carried out for this model"),
    Problem.EXPERIMENTS_GO_ON: ProblemKind(409, "Experiments of this model go on"),
    Problem.EXPERIMENTS_OVERLAP: ProblemKind(409, "Another experiment of this model may have the same clients"),
    Problem.EXPERIMENT_UNFIT: ProblemKind(422, "The experiment cannot be carried out for this model"),
    Problem.COHORT_MOVED: ProblemKind(409, "The cohort was changed in the meantime"),
    Problem.TOO_MANY_COHORTS: ProblemKind(409, "The fleet has as many cohorts as it may have"),
    Problem.PACE_MOVED: ProblemKind(409, "The bounds of the fleet's pace were set in the meantime"),
    Problem.PACE_UNFIT: ProblemKind(422, "The bounds cannot serve the clients that are enrolled"),
    Problem.ROUND_ENDED: ProblemKind(409, "The round has ended"),
    Problem.NOTHING_PUBLISHED: ProblemKind(409, "The round has published no version"),
    Problem.UPDATES_DELETED: ProblemKind(410, "The round's updates were deleted"),
}
