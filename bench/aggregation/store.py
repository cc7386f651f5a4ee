"""Where the benchmark's object stores are, and a client of them."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

PORT = 18_471


def client(port: int) -> Any:
    """A client of the store on this port, configured as the server's is."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 (of a store in memory)
        config=Config(signature_version="s3v4", response_checksum_validation="when_required"),
    )
