"""What a device says for itself, as requests: it enrols, takes another key, and is alive."""

from __future__ import annotations

from typing import Any

from tests.fleet import World

PROOF, OTHER_PROOF = "p" * 43, "q" * 43


def enrolment(token: str, client: str = "thermostat-7", proof: str = PROOF, **more: Any) -> dict[str, Any]:
    return {"token": token, "client_id": client, "proof": proof, "device_type": "iot", "sdk_version": "0.1.0", **more}


def enrol(world: World, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = world.request("POST", "/v1/clients", body=body)
    return response.status_code, response.json()


def rotate(world: World, key: str, proof: str = OTHER_PROOF) -> tuple[int, dict[str, Any]]:
    response = world.request("POST", "/v1/clients/me/key", key=key, body={"proof": proof})
    return response.status_code, response.json()


def beats(world: World, key: str) -> int:
    return world.request("POST", "/v1/heartbeat", key=key, body={}).status_code
