"""DynamoDB's numbers: 38 digits, magnitudes from 1e-130 to 9.99…e125 (AWS: "Supported data types and naming rules", Number).

A number is kept as the text that DynamoDB answers, written out without an exponent; equal numbers have equal texts.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

from infra.memory.service import ServiceError

DIGITS = 38
LARGEST_EXPONENT = 125
SMALLEST_EXPONENT = -130

_PLAIN = re.compile(r"0|-?[1-9][0-9]{0,37}")
_ANY = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_EXACT = Context(prec=600, Emin=-9999, Emax=9999)


def normalised(text: str) -> str:
    """A number's only text.

    Raises:
        ServiceError: it is no number, has too many digits, or is too large or too small.
    """
    if _PLAIN.fullmatch(text):
        return text
    if not _ANY.fullmatch(text):
        raise ServiceError("ValidationException", f"The parameter cannot be converted to a numeric value: {text}")
    return _text(Decimal(text))


def total(one: str, other: str, sign: int = 1) -> str:
    """The exact sum of two numbers, or with `sign` -1 their difference.

    Raises:
        ServiceError: DynamoDB cannot hold it; it never rounds.
    """
    return _text(_EXACT.add(Decimal(one), Decimal(other) * sign))


def size(text: str) -> int:
    """Bytes that a number costs an item: one, one for each pair of digits, one for a minus (AWS: "DynamoDB Item sizes and
    formats" says "approximately"; this is what DynamoDB Local counts).
    """
    if text == "0":
        return 1
    if text.isdecimal():
        return 1 + (len(text) + 1) // 2 - (len(text) - len(text.rstrip("0"))) // 2
    whole, _, fraction = text.lstrip("-").partition(".")
    pairs = whole.zfill(len(whole) + len(whole) % 2) + fraction + "0" * (len(fraction) % 2)
    first, last = len(pairs) - len(pairs.lstrip("0")), len(pairs.rstrip("0"))
    return 1 + (last + 1) // 2 - first // 2 + text.startswith("-")


def _text(value: Decimal) -> str:
    if not value:
        return "0"
    value = value.normalize(_EXACT)
    if len(value.as_tuple().digits) > DIGITS:
        raise ServiceError("ValidationException", "Attempting to store more than 38 significant digits in a Number")
    for out, word, which in (
        (value.adjusted() > LARGEST_EXPONENT, "overflow", "larger"),
        (value.adjusted() < SMALLEST_EXPONENT, "underflow", "smaller"),
    ):
        if out:
            says = f"Number {word}. Attempting to store a number with magnitude {which} than supported range"
            raise ServiceError("ValidationException", says)
    return f"{value:f}"
