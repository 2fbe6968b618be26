"""Bad input for the calls of the client that enqueue, and for the project of every call."""

import math
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

from tests.bad_input.row import CANARY, ID, NO_ID, NO_PROJECT, Row, deep, spread

CLIENT = "client"

PROJECTS = [
    *spread("B14", CLIENT, NO_PROJECT, "project_required", "project_id", "there is no default"),
    *spread("B15", CLIENT, NO_ID, "project_required", "project_id", "UUID"),
]
"""`input` is a project's id."""


class _EvilZone(tzinfo):
    """A time zone that is no use, and says too much."""

    def utcoffset(self, _when: datetime | None) -> timedelta:
        raise RuntimeError(CANARY)

    def tzname(self, _when: datetime | None) -> str:
        raise RuntimeError(CANARY)

    def dst(self, _when: datetime | None) -> timedelta:
        raise RuntimeError(CANARY)


class _EvilDict(dict[str, Any]):
    """A dict that does not let itself be read, and says too much."""

    def values(self) -> Any:
        raise RuntimeError(CANARY)

    items = keys = values


def _circular() -> dict[str, Any]:
    value: dict[str, Any] = {"text": CANARY}
    value["self"] = value
    return value


def _shared() -> dict[str, Any]:
    value: Any = [CANARY]
    for _ in range(40):
        value = [value, value]
    return {"value": value}


def _invalid(id_: str, field: str, values: dict[str, Any], rule: str = "") -> list[Row]:
    """Return rows that change one field of a good request."""
    changes = {f"{field}-{what}": {field: value} for what, value in values.items()}
    return spread(id_, CLIENT, changes, "input_invalid", field, rule)


ENQUEUE = [
    *_invalid("B15", "requested_by", {"none": None, **NO_ID}, "UUID"),
    *_invalid("B15", "correlation_id", NO_ID, "UUID"),
    *_invalid(
        "B20",
        "agent_type",
        {
            "empty": "",
            "10000-characters": "a" * 10_000,
            "path": "../",
            "absolute-path": "/etc/passwd",
            "capitals": "Review",
            "canary": f"{CANARY} !",
            "51-characters": "a" * 51,
            "space": "re view",
            "newline": "review\n",
            "nul": "review\x00",
            "surrogate": "\ud800",
            "cyrillic": "re\u0432iew",
            "digit-first": "1st",
            "none": None,
            "number": 7,
            "bytes": b"review",
        },
        "tring",
    ),
    *_invalid(
        "B21",
        "correlation_id",
        {
            "word": CANARY,
            "line-ends": f"{ID}\r\n{CANARY}",
            "1MB": CANARY * 80_000,
            "number": 5,
            "empty": "",
        },
        "UUID",
    ),
    *_invalid(
        "B22", "input", {"nul": {"a": f"{CANARY}\x00"}, "nul-in-a-key": {"a\x00": CANARY}}, "NUL"
    ),
    *_invalid(
        "B23",
        "input",
        {"surrogate": {"a": f"{CANARY}\ud800"}, "surrogate-in-a-key": {"a": {"\udfff": CANARY}}},
        "lone surrogate",
    ),
    *_invalid(
        "B24",
        "input",
        {"nan": {CANARY: math.nan}, "infinity": {"a": [math.inf]}, "1e999": {"a": float("-1e999")}},
        "NaN or Infinity",
    ),
    *_invalid(
        "B25", "input", {"4301-digits": {"a": 10**4300}, "5000-digits": {"a": [10**5000]}}, "digits"
    ),
    *_invalid("B25", "input", {"decimal": {"a": Decimal("0.1")}}, "Decimal"),
    *_invalid(
        "B25",
        "input",
        {
            "number-as-key": {"a": {1: CANARY}},
            "true-as-key": {"a": {True: 1, "true": 2}},
            "none-as-key": {"a": [{None: 1}]},
        },
        "key that is not text",
    ),
    *_invalid(
        "B25",
        "priority",
        {
            "true": True,
            "text": "5",
            "fraction": 1.5,
            "whole-float": 5.0,
            "101": 101,
            "-101": -101,
            "1e9": 10**9,
            "5000-digits": 10**5000,
            "none": None,
        },
    ),
    *_invalid(
        "B25", "max_attempts", {"zero": 0, "101": 101, "false": False, "text": "3", "2^63": 2**63}
    ),
    *_invalid(
        "B26",
        "input",
        {
            "depth-201": {"a": deep(200)},
            "depth-2000": {"a": deep(2_000)},
            "depth-100000": {"a": deep(100_000)},
        },
        "deeper than 200",
    ),
    *_invalid("B26", "input", {"circular": _circular()}, "refers to itself"),
    *_invalid(
        "B26", "input", {"2^40-values": _shared(), "2MB": {"a": CANARY * 200_000}}, "too large"
    ),
    *_invalid(
        "B29",
        "not_before",
        {
            "naive": datetime(2030, 1, 1),  # noqa: DTZ001
            "naive-text": "2030-01-01T00:00:00",
            "year-9999": datetime(9999, 12, 31, tzinfo=timezone(timedelta(hours=-5))),
            "year-1": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
            "year-1-utc": datetime(1, 1, 1, tzinfo=UTC),
            "eleven-years": datetime.now(UTC) + timedelta(days=4000),
            "infinity": "infinity",
            "float-infinity": math.inf,
            "nan": math.nan,
            "unix-time": 1_900_000_000,
            "unix-time-text": "1900000000",
            "word": CANARY,
            "date": date(2030, 1, 1),
            "true": True,
            "evil-zone": datetime(2030, 1, 1, tzinfo=_EvilZone()),
        },
    ),
    *_invalid(
        "B31",
        "idempotency_key",
        {
            "empty": "",
            "256-characters": "k" * 256,
            "space": f"{CANARY} {CANARY}",
            "line-end": f"{CANARY}\n",
            "umlaut": "\u00e4",
            "number": 5,
        },
    ),
    *_invalid(
        "B36",
        "input",
        {
            "list": [],
            "text": "{}",
            "number-as-key": {1: CANARY},
            "bytes": {"a": b"x"},
            "set": {"a": {1}},
            "datetime": {"a": datetime.now(UTC)},
            "evil": {"a": _EvilDict(b=1)},
            "evil-itself": _EvilDict(b=1),
        },
    ),
]
"""`input` is what is changed in a good request."""


EXACT: dict[str, Any] = {
    "2^53+1": 2**53 + 1,
    "2^63": 2**63,
    "-2^63-1": -(2**63) - 1,
    "2^64": 2**64,
    "10^4299": 10**4299,
    "0.1": 0.1,
    "1e-7": 1e-7,
    "smallest": 5e-324,
    "1e15": 1e15,
    "largest": 1.7976931348623157e308,
    "1e308": 1e308,
    "1e23": 1e23,
    "minus-zero": -0.0,
    "true": True,
    "text": "1",
    "empty-list": [],
    "depth-199": deep(197),
    "emoji": "\U0001f600\x7f\u2028",
    "spelled-out-nul": "\\u0000",
}
NUMBERS = [Row("B25", CLIENT, f"exact-{what}", value, "") for what, value in EXACT.items()]
"""`input` is accepted, and comes back as it was."""

ROWS = [*PROJECTS, *ENQUEUE, *NUMBERS]
