"""The version that a device runs, as a flag of OpenFeature (extra `openfeature`): an app asks for it as for its other flags.

    api.set_provider_and_wait(MusterProvider(device))
    api.get_client().get_integer_value("comfort", -1)

A flag's key is the model's name. Its value is the version: a number, its digits, or an object with digest and revision. To
evaluate it asks nobody: it says what `Device.model` gave last, which is on the disk too. So that is quick, works without a
network, and may be done in any thread.

| reason | |
|---|---|
| `SPLIT` | the version was signed, and other clients are given another one |
| `STATIC` | it was signed, and all clients are given it |
| `UNKNOWN` | it was not signed: a device does not know what others are given |
| `STALE` | a heartbeat has named another version since, which the app has not asked for yet (`Device.model`) |
| `CACHED` | it was given before this start, and nothing was given since |

Before anything was ever given it is PROVIDER_NOT_READY, another key is FLAG_NOT_FOUND, a boolean or a float TYPE_MISMATCH
(OpenFeature specification, sections 1.4.7, 2.2.5 and "Types": Resolution Reason, Error Code).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, ProviderNotReadyError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata

from muster.device.device import Device
from muster.device.variant import Variant


class MusterProvider(AbstractProvider):
    """One device as a provider. The evaluation's context changes nothing: who is given what follows from the device's id."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(name="muster")

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """The version's number."""
        variant = self._known(flag_key)
        return self._details(variant, variant.version)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """The version's number, in digits."""
        variant = self._known(flag_key)
        return self._details(variant, str(variant.version))

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[Any] | Mapping[str, Any],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[Any] | Mapping[str, Any]]:
        """The version's number and SHA-256, and the revision that gave it."""
        variant = self._known(flag_key)
        value = {"version": variant.version, "sha256": variant.sha256, "revision": variant.revision}
        return self._details(variant, value)

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A version is no boolean."""
        self._mistyped(flag_key, "a boolean")

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A version is no float."""
        self._mistyped(flag_key, "a float")

    def _known(self, flag_key: str) -> Variant:
        if flag_key != self._device.model_name:
            raise FlagNotFoundError(f"expected {self._device.model_name}, the model of this device, got {flag_key[:48]}")
        variant = self._device.variant
        if variant is None:
            raise ProviderNotReadyError("this device was given no version yet: Device.model asks for one")
        return variant

    def _mistyped(self, flag_key: str, kind: str) -> NoReturn:
        self._known(flag_key)
        raise TypeMismatchError(f"a version is a number, a text or an object, and not {kind}")

    def _details(self, variant: Variant, value: Any) -> FlagResolutionDetails[Any]:
        return FlagResolutionDetails(
            value=value,
            reason=self._reason(variant),
            variant=f"v{variant.version}",
            flag_metadata={"revision": variant.revision, "sha256": variant.sha256},
        )

    def _reason(self, variant: Variant) -> Reason:
        if self._device.newer_version not in (None, variant.version):
            return Reason.STALE
        if not self._device.is_variant_fresh:
            return Reason.CACHED
        if variant.offered is None:
            return Reason.UNKNOWN
        return Reason.SPLIT if variant.offered > 1 else Reason.STATIC
