"""Prices of AWS in us-east-1, as known on 2026-11-24. They change: check each at its source before you rely on it.

Public on-demand prices in US dollars, without taxes, discounts and free tiers; of tiered prices the first, dearest tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DATE, REGION = "2026-11-24", "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What some units of something cost."""

    service: str
    dollars: float
    per: float
    """Units that cost so much."""
    source: str


_AWS = "https://aws.amazon.com"
_DYNAMODB, _S3, _LAMBDA = f"{_AWS}/dynamodb/pricing/on-demand/", f"{_AWS}/s3/pricing/", f"{_AWS}/lambda/pricing/"
_CLOUDWATCH, _EC2, _ALB = (
    f"{_AWS}/cloudwatch/pricing/",
    f"{_AWS}/ec2/pricing/on-demand/",
    f"{_AWS}/elasticloadbalancing/pricing/",
)
MILLION = 1e6

PRICES: Mapping[str, Price] = {
    "api_requests": Price(service="API Gateway", dollars=3.50, per=MILLION, source=f"{_AWS}/api-gateway/pricing/"),
    "lambda_requests": Price(service="Lambda", dollars=0.20, per=MILLION, source=_LAMBDA),
    "lambda_gb_seconds": Price(service="Lambda", dollars=0.0000166667, per=1, source=_LAMBDA),
    "dynamodb_write_units": Price(service="DynamoDB", dollars=0.625, per=MILLION, source=_DYNAMODB),
    "dynamodb_read_units": Price(service="DynamoDB", dollars=0.125, per=MILLION, source=_DYNAMODB),
    "dynamodb_gb_months": Price(service="DynamoDB", dollars=0.25, per=1, source=_DYNAMODB),
    "dynamodb_recovery_gb_months": Price(service="DynamoDB", dollars=0.20, per=1, source=_DYNAMODB),
    "s3_put_requests": Price(service="S3", dollars=0.005, per=1000, source=_S3),
    "s3_get_requests": Price(service="S3", dollars=0.0004, per=1000, source=_S3),
    "s3_gb_months": Price(service="S3", dollars=0.023, per=1, source=_S3),
    "sqs_requests": Price(service="SQS", dollars=0.40, per=MILLION, source=f"{_AWS}/sqs/pricing/"),
    "sns_requests": Price(service="SNS", dollars=0.50, per=MILLION, source=f"{_AWS}/sns/pricing/"),
    "metric_requests": Price(service="CloudWatch", dollars=0.01, per=1000, source=_CLOUDWATCH),
    "metric_months": Price(service="CloudWatch", dollars=0.30, per=1, source=_CLOUDWATCH),
    "alarm_months": Price(service="CloudWatch", dollars=0.10, per=1, source=_CLOUDWATCH),
    "log_gb": Price(service="CloudWatch", dollars=0.50, per=1, source=_CLOUDWATCH),
    "traces": Price(service="X-Ray", dollars=5.00, per=MILLION, source=f"{_AWS}/xray/pricing/"),
    "kms_requests": Price(service="KMS", dollars=0.03, per=10_000, source=f"{_AWS}/kms/pricing/"),
    "kms_key_months": Price(service="KMS", dollars=1.00, per=1, source=f"{_AWS}/kms/pricing/"),
    "kms_signatures": Price(service="KMS", dollars=0.15, per=10_000, source=f"{_AWS}/kms/pricing/"),
    "egress_gb": Price(service="Egress", dollars=0.09, per=1, source=f"{_EC2}#Data_Transfer"),
    "server_hours": Price(service="t3.medium", dollars=0.0416, per=1, source=_EC2),
    "balancer_hours": Price(service="Load balancer", dollars=0.0225, per=1, source=_ALB),
    "balancer_capacity_unit_hours": Price(service="Load balancer", dollars=0.008, per=1, source=_ALB),
    "disk_gb_months": Price(service="gp3", dollars=0.08, per=1, source=f"{_AWS}/ebs/pricing/"),
    "address_hours": Price(service="Public IPv4", dollars=0.005, per=1, source=f"{_AWS}/vpc/pricing/"),
}
