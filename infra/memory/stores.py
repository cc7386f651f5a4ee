"""How calls get in: real botocore clients, whose calls are answered in this process instead of being sent.

A client keeps everything of its own: its parameters are checked against its service's model, its events are emitted (so that
boto3's resources translate and `chalicelib.storage.answers.watch` looks), its exceptions are raised, its paginators and waiters
work. Only what lies between the request and the answer is left out: serialising, signing, sending, retrying, parsing.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ParamValidationError

from infra.memory.cloudwatch import CloudWatch
from infra.memory.dynamodb.api import DynamoDB
from infra.memory.kms import KMS
from infra.memory.parameters import Parameters
from infra.memory.s3.api import S3
from infra.memory.service import Request, Service, ServiceError
from infra.memory.sns import SNS
from infra.memory.sqs import SQS


@dataclass(frozen=True, slots=True)
class _Http:
    """What handlers of a client's events look at."""

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


_parameters = Parameters()


class Stores:
    """One of each service, empty in the beginning."""

    def __init__(self) -> None:
        self.dynamodb = DynamoDB()
        self.s3 = S3()
        self.sqs = SQS()
        self.sns = SNS(self.sqs)
        self.cloudwatch = CloudWatch()
        self.kms = KMS()
        self._services: dict[str, Service] = {
            "dynamodb": self.dynamodb, "s3": self.s3, "sqs": self.sqs, "sns": self.sns, "cloudwatch": self.cloudwatch,
            "kms": self.kms,
        }  # fmt: skip
        self._numbers = itertools.count(1)

    def copy(self) -> Stores:
        """Stores that hold the same, and go their own way."""
        return deepcopy(self)

    def become(self, others: Stores) -> None:
        """Hold from now on what others hold, who keep it too."""
        vars(self).update(vars(others.copy()))

    def written(self) -> bytes:
        """All that they hold: the same bytes as before if nothing was changed."""
        return pickle.dumps(self._services)

    def answer(self, client: Any, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a call of a client, in the place of `BaseClient._make_api_call`.

        Raises:
            botocore.exceptions.ClientError: as the service would refuse it; its class is the client's.
            botocore.exceptions.ParamValidationError: botocore would not send it.
            NotImplementedError: no store here answers that.
        """
        service = client.meta.service_model.service_name
        if service not in self._services:
            raise NotImplementedError(f"{service} is not a service that lives in this process")
        model = client.meta.service_model.operation_model(operation)
        context: dict[str, Any] = {"client_region": client.meta.region_name, "client_config": client.meta.config}
        request: Request = client._emit_api_params(api_params=dict(arguments), operation_model=model, context=context)
        if model.input_shape is not None:
            report = _parameters.validate(request, model.input_shape)
            if report.has_errors():
                raise ParamValidationError(report=report.generate_report())
        if context.get("encoding_type_auto_set"):
            del request["EncodingType"]  # botocore asks for it, and undoes it, by itself
        event = f"{client.meta.service_model.service_id.hyphenize()}.{operation}"
        http, parsed, refused = self._answered(client, event, service, request, model, context)
        client.meta.events.emit(f"after-call.{event}", http_response=http, parsed=parsed, model=model, context=context)
        if http.status_code >= 300:
            code = refused.known_as if refused else parsed.get("Error", {}).get("Code")
            raise client.exceptions.from_code(code)(parsed, operation)
        return parsed

    def _answered(
        self, client: Any, event: str, service: str, request: Request, model: Any, context: dict[str, Any]
    ) -> tuple[Any, dict[str, Any], ServiceError | None]:
        """What a handler of the client's events says (a botocore Stubber's), or else the service."""
        sent = {"headers": {}, "body": b"", "url": "", "url_path": "", "method": model.http.get("method"), "context": context}
        _, said = client.meta.events.emit_until_response(
            f"before-call.{event}", model=model, params=sent, request_signer=client._request_signer, context=context
        )
        if said is not None:
            return said[0], said[1], None
        status, refused = 200, None
        try:
            parsed = self._services[service].answer(model.name, request)
        except ServiceError as error:
            status, refused = error.status, error
            parsed = _refusal(client, error)
        metadata = {"RequestId": f"{next(self._numbers):032d}", "HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0}
        return _Http(status), parsed | {"ResponseMetadata": metadata}, refused

    @contextmanager
    def in_place_of_aws(self) -> Iterator[Stores]:
        """Inside the block, the calls of all clients come here."""
        original = BaseClient._make_api_call  # type: ignore[attr-defined]
        call: Callable[..., Any] = lambda client, operation, arguments: self.answer(client, operation, arguments)  # noqa: E731
        BaseClient._make_api_call = call  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            BaseClient._make_api_call = original  # type: ignore[attr-defined]


def _refusal(client: Any, error: ServiceError) -> dict[str, Any]:
    """An error as botocore parses it: with the members that its class has in the service's model."""
    parsed: dict[str, Any] = {"Error": {"Code": error.code, "Message": error.message}, **error.members}
    shape = client.meta.service_model.shape_for_error_code(error.known_as)
    if shape is not None:
        for member in shape.members:
            if member.lower() == "message":
                parsed[member] = error.message
    return parsed
