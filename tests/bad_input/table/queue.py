"""Bad input for the raw arq queue: payloads, ids and scores, written by hand."""

import json
import math
import os
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.bad_input.row import CANARY, ID, NO_ID, NO_PROJECT, Row, deep

QUEUE, HINT = "queue", "hint"
PROJECT, USER = "project".ljust(36, "-"), "user".ljust(36, "-")
"""Stand for the place's own ids, and are as long; `sent` puts those in."""

_GOOD: dict[str, Any] = {"t": None, "f": "run_agent", "a": [], "k": {}, "et": 1_700_000_000_000}
_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "json": lambda job: json.dumps(job).encode(),
    "pickle": pickle.dumps,
}


class Shell:
    """What runs a command when an ordinary reader unpickles it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def request(**changes: Any) -> dict[str, Any]:
    """Return the arguments of a good request, with some changed; None takes one out."""
    good = {"project_id": PROJECT, "agent_type": "echo", "requested_by": USER}
    return {**good, "input": {"value": "from the queue"}, **changes}


def hint(**changes: Any) -> dict[str, Any]:
    """Return the arguments of a hint, with some changed."""
    return {"v": 1, "project_id": PROJECT, "execution_id": ID, **changes}


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Return fields without one."""
    return {key: value for key, value in fields.items() if key != name}


def job(arguments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return an arq job with these arguments, with some of its own fields changed."""
    return {**_GOOD, "k": arguments, **changes}


def _written(
    id_: str,
    what: str,
    value: Any,
    code: str,
    field: str = "",
    rule: str = "",
    *,
    door: str = QUEUE,
) -> list[Row]:
    """Return a row for each way of writing that can write the value at all."""
    rows = []
    for name, write in _WRITERS.items():
        try:
            raw = write(value)
        except (TypeError, ValueError, RecursionError):
            continue
        rows.append(Row(id_, door, f"{door}-{name}-{what}", raw, code, field, rule))
    return rows


def _fields(id_: str, field: str, values: dict[str, Any], rule: str = "") -> list[Row]:
    return [
        row
        for what, value in values.items()
        for row in _written(
            id_, f"{field}-{what}", job(request(**{field: value})), "input_invalid", field, rule
        )
    ]


def _raw(id_: str, what: str, raw: bytes | Callable[[], bytes], code: str, rule: str = "") -> Row:
    return Row(id_, QUEUE, f"queue-{what}", raw, code, "", rule)


_MALFORMED: dict[str, dict[str, Any]] = {
    "time-null": {"et": None},
    "time-text": {"et": CANARY},
    "time-huge": {"et": 10**20},
    "time-2^200": {"et": 2**200},
    "time-negative": {"et": -1},
    "time-true": {"et": True},
    "time-fraction": {"et": 1.5},
    "tries-text": {"t": "1"},
    "tries-negative": {"t": -1},
    "tries-huge": {"t": 10**9},
    "name-null": {"f": None},
    "name-list": {"f": ["run_agent"]},
    "positional-null": {"a": None},
    "positional-text": {"a": CANARY},
    "positional-object": {"a": {}},
    "positional-and-named": {"a": [{"x": 1}], "k": {"y": 1}},
    "positional-two": {"a": [{}, {}]},
    "positional-number": {"a": [1]},
    "extra-field": {CANARY: 1},
}

_RAW = json.dumps(job(request())).encode()

MESSAGES = [
    *(
        row
        for what, change in _MALFORMED.items()
        for row in _written("B02", what, job(request(), **change), "bad_envelope")
    ),
    *(
        row
        for name in _GOOD
        for row in _written("B02", f"no-{name}", without(job(request()), name), "bad_envelope")
    ),
    *_written("B05", "arguments-null", {**_GOOD, "k": None}, "bad_envelope"),
    *_written("B05", "arguments-list", {**_GOOD, "k": []}, "bad_envelope"),
    *_written("B05", "ctx", job(request(ctx={})), "bad_envelope", "", "unknown argument"),
    *_written("B05", "extra", job(request(**{CANARY: 1})), "bad_envelope", "", "unknown argument"),
    *_written("B05", "both-kinds", job(hint(input={})), "bad_envelope", "", "unknown argument"),
    *_written("B05", "nothing-to-do", job({"v": 1, "project_id": ID}), "bad_envelope"),
    *_written("B05", "no-agent", job(without(request(), "agent_type")), "bad_envelope"),
    *_written("B05", "no-user", job(without(request(), "requested_by")), "bad_envelope"),
    *(
        row
        for what, version in {
            "2": 2,
            "null": None,
            "true": True,
            "text": "1",
            "canary": CANARY,
        }.items()
        for row in _written("B05", f"version-{what}", job(request(v=version)), "bad_envelope", "v")
    ),
    *_written("B05", "function", job(request(), f="os.system"), "unknown_function"),
    *_written(
        "B05", "hint-without-version", job(without(hint(), "v")), "bad_envelope", "v", door=HINT
    ),
    *_written("B05", "hint-version-2", job(hint(v=2)), "bad_envelope", "v", door=HINT),
    *_written("B13", "hint-of-nothing", job(hint()), "not_found", "execution_id", door=HINT),
    _raw("B09", "class", pickle.dumps(job(request(input=ValueError(CANARY)))), "bad_envelope"),
    _raw("B09", "decimal", pickle.dumps(job(request(input={"a": Decimal(1)}))), "bad_envelope"),
    _raw("B09", "path", pickle.dumps(job(request(input={"a": Path("x")}))), "bad_envelope"),
    _raw("B09", "infinity", pickle.dumps(job(request(input={"a": math.inf}))), "bad_envelope"),
    _raw("B10", "empty", b"", "bad_envelope"),
    _raw("B10", "text", CANARY.encode(), "bad_envelope"),
    _raw("B10", "space-first", b" " + _RAW, "bad_envelope"),
    _raw("B10", "list", b"[]", "bad_envelope"),
    _raw("B10", "null", b"null", "bad_envelope"),
    _raw("B10", "brace", b"{", "bad_envelope"),
    _raw("B10", "open-50000-times", b'{"a":' * 50_000, "bad_envelope"),
    _raw("B10", "pickle-one-byte", b"\x80", "bad_envelope"),
    _raw("B10", "pickle-protocol-1", b"\x80\x01.", "bad_envelope"),
    _raw("B10", "pickle-head", b"\x80\x04", "bad_envelope"),
    _raw("B09", "protocol-0-by-hand", b"cos\nsystem\n(S'true'\ntR.", "bad_envelope"),
    _raw("B10", "json-cut", _RAW[:-5], "bad_envelope"),
    _raw("B10", "json-too-long", _RAW + b"x", "bad_envelope"),
    _raw("B10", "pickle-cut", pickle.dumps(job(request()))[:-5], "bad_envelope"),
    _raw("B10", "same-key-twice", _RAW[:-1] + b',"k":{}}', "bad_envelope", "same key twice"),
    _raw("B10", "byte-order-mark", b"\xef\xbb\xbf" + _RAW, "bad_envelope"),
    _raw("B10", "utf-16", _RAW.decode().encode("utf-16"), "bad_envelope"),
    _raw("B10", "no-utf-8", b'{"f":"\xff"}', "bad_envelope"),
    _raw(
        "B10", "3MB", lambda: b"{" + b" " * 3_000_000 + b"}", "payload_too_large", "at most 2097152"
    ),
    _raw(
        "B10",
        "50MB",
        lambda: b"{" + b" " * 50_000_000 + b"}",
        "payload_too_large",
        "at most 2097152",
    ),
    *(
        row
        for what, value in NO_PROJECT.items()
        for kind, made in {"request": request, "hint": hint}.items()
        for row in _written(
            "B14", f"{kind}-{what}", job(made(project_id=value)), "project_required", "project_id"
        )
    ),
    *_written("B14", "missing", job(without(request(), "project_id")), "project_required"),
    *_written(
        "B14", "hint-missing", job(without(hint(), "project_id")), "project_required", door=HINT
    ),
    *(
        row
        for what, value in NO_ID.items()
        for row in _written(
            "B15",
            f"project-{what}",
            job(request(project_id=value)),
            "project_required",
            "project_id",
        )
    ),
    *(
        row
        for what, value in {"null": None, **NO_ID}.items()
        for row in _written(
            "B15",
            f"execution-{what}",
            job(hint(execution_id=value)),
            "bad_envelope",
            "execution_id",
            door=HINT,
        )
    ),
    *_fields(
        "B15", "requested_by", {"null": None, "nil": str(UUID(int=0)), "urn": f"urn:uuid:{ID}"}
    ),
    *_fields("B20", "agent_type", {"path": "../x", "10000-characters": "a" * 10_000, "null": None}),
    *_fields("B21", "correlation_id", {"line-ends": f"x\r\n{CANARY}", "1MB": "x" * 10**6}, "UUID"),
    *_fields("B22", "input", {"nul": {"a": f"{CANARY}\x00"}, "nul-key": {"\x00": 1}}, "NUL"),
    *_fields("B23", "input", {"surrogate": {"a": f"{CANARY}\ud800"}}, "lone surrogate"),
    _raw("B24", "nan", _RAW.replace(b'"from the queue"', b"NaN"), "bad_envelope", "NaN"),
    _raw("B24", "1e999", _RAW.replace(b'"from the queue"', b"-1e999"), "bad_envelope", "too large"),
    _raw("B25", "5000-digits", _RAW.replace(b'"from the queue"', b"9" * 5000), "bad_envelope"),
    *_fields("B25", "priority", {"fraction": 1.0, "text": "5", "true": True, "101": 101}),
    *_fields("B25", "max_attempts", {"zero": 0, "true": True, "2^63": 2**63}),
    *_fields(
        "B26", "input", {"depth-201": {"a": deep(200)}, "depth-900": {"a": deep(900)}}, "deeper"
    ),
    _raw(
        "B26",
        "depth-100000",
        _RAW.replace(b'"from the queue"', b"[" * 10**5 + b"]" * 10**5),
        "bad_envelope",
    ),
    *_fields(
        "B29",
        "not_before",
        {
            "word": "tomorrow",
            "naive": "2030-01-01T00:00:00",
            "naive-object": datetime(2030, 1, 1),  # noqa: DTZ001
            "unix-time": 1_900_000_000,
            "unix-time-text": "1900000000",
            "year-9999": "9999-01-01T00:00:00Z",
            "infinity": "infinity",
            "delta": timedelta(days=1),
            "eleven-years": datetime.now(UTC) + timedelta(days=4000),
        },
    ),
    *_fields("B31", "idempotency_key", {"umlaut": "\u00fc", "space": "a b", "long": "k" * 256}),
    *_fields(
        "B36", "input", {"null": None, "list": [], "bytes": {"a": b"x"}, "id": {"a": UUID(ID)}}
    ),
]
"""`input` is a payload, or makes it; all are set aside."""

IDS = [
    Row("B01", QUEUE, "id-not-utf-8", b"\xff\xfe", "bad_envelope"),
    Row("B01", QUEUE, "id-continuation", b"\x80", "bad_envelope"),
    Row("B01", QUEUE, "id-broken-inside", b"ok\xc3\x28", "bad_envelope"),
    Row("B01", QUEUE, "id-surrogate", "\ud800".encode("utf-8", "surrogatepass"), "bad_envelope"),
    Row("B01", QUEUE, "id-2000-bytes", b"a" * 2000, "bad_envelope"),
]
"""`input` is the id of a message, with and without a payload."""

ODD_IDS = [
    Row("B01", QUEUE, "id-with-nul", b"a\x00b", ""),
    Row("B01", QUEUE, "id-with-line-ends", b"a\r\nforged", ""),
    Row("B01", QUEUE, "id-with-escape", b"\x1b[2J", ""),
    Row("B01", QUEUE, "id-umlaut", "\u00e9".encode(), ""),
    Row("B01", QUEUE, "id-backslash", rb"\xe9", ""),
    Row("B01", QUEUE, "id-empty", b"", ""),
    Row("B01", QUEUE, "id-1000-characters", b"a" * 1000, ""),
]
"""`input` is the id of a good message; each is an execution of its own."""

DUE = [
    Row("B07", QUEUE, f"score-{score:g}", score, "")
    for score in (0, -1e300, -math.inf, 1, 1.5, 1e-300)
]
NOT_DUE = [Row("B07", QUEUE, f"score-{score:g}", score, "") for score in (math.inf, 1e300, 4e12)]
"""`input` is the score of a good message."""

HOSTILE = [Row("B09", QUEUE, f"protocol-{number}", number, "bad_envelope") for number in range(6)]
"""`input` is the protocol of a pickle that would run a command."""

ROWS = [*MESSAGES, *IDS, *ODD_IDS, *DUE, *NOT_DUE, *HOSTILE]


def now_ms() -> float:
    """Return the time as scores have it."""
    return datetime.now(UTC).timestamp() * 1000
