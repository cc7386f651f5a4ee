"""Prices of AWS in us-east-1, as known on 2026-11-24. They change: check each at its source before you rely on it.

Public on-demand prices in US dollars, without taxes, discounts and free tiers; of tiered prices the first, dearest tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DATE, REGION = "2026-11-24", "us-east-1"


@dataclass(frozen=True, slots=True)
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
    "api requests": Price("API Gateway", 3.50, MILLION, f"{_AWS}/api-gateway/pricing/"),
    "lambda requests": Price("Lambda", 0.20, MILLION, _LAMBDA),
    "lambda GB-seconds": Price("Lambda", 0.0000166667, 1, _LAMBDA),
    "dynamodb write units": Price("DynamoDB", 0.625, MILLION, _DYNAMODB),
    "dynamodb read units": Price("DynamoDB", 0.125, MILLION, _DYNAMODB),
    "dynamodb GB-months": Price("DynamoDB", 0.25, 1, _DYNAMODB),
    "dynamodb recovery GB-months": Price("DynamoDB", 0.20, 1, _DYNAMODB),
    "s3 put requests": Price("S3", 0.005, 1000, _S3),
    "s3 get requests": Price("S3", 0.0004, 1000, _S3),
    "s3 GB-months": Price("S3", 0.023, 1, _S3),
    "sqs requests": Price("SQS", 0.40, MILLION, f"{_AWS}/sqs/pricing/"),
    "sns requests": Price("SNS", 0.50, MILLION, f"{_AWS}/sns/pricing/"),
    "metric requests": Price("CloudWatch", 0.01, 1000, _CLOUDWATCH),
    "metric months": Price("CloudWatch", 0.30, 1, _CLOUDWATCH),
    "alarm months": Price("CloudWatch", 0.10, 1, _CLOUDWATCH),
    "log GB": Price("CloudWatch", 0.50, 1, _CLOUDWATCH),
    "traces": Price("X-Ray", 5.00, MILLION, f"{_AWS}/xray/pricing/"),
    "kms requests": Price("KMS", 0.03, 10_000, f"{_AWS}/kms/pricing/"),
    "egress GB": Price("Egress", 0.09, 1, f"{_EC2}#Data_Transfer"),
    "server hours": Price("t3.medium", 0.0416, 1, _EC2),
    "balancer hours": Price("Load balancer", 0.0225, 1, _ALB),
    "balancer capacity unit hours": Price("Load balancer", 0.008, 1, _ALB),
    "disk GB-months": Price("gp3", 0.08, 1, f"{_AWS}/ebs/pricing/"),
    "address hours": Price("Public IPv4", 0.005, 1, f"{_AWS}/vpc/pricing/"),
}
