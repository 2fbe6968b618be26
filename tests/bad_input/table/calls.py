"""Bad input for the other calls of the client: reading, waiting, cancelling, retrying, creating."""

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from typing import Any
from uuid import uuid4

from tests.bad_input.place import Place
from tests.bad_input.row import CANARY, ID, NO_ID, Row

CLIENT = "client"


def _calls(
    id_: str, name: str, field: str, make: Callable[[Place, Any], Any], **values: Any
) -> list[Row]:
    return [
        Row(id_, CLIENT, f"{name}-{what}", partial(_made, make, value), "input_invalid", field)
        for what, value in values.items()
    ]


def _made(make: Callable[[Place, Any], Any], value: Any, place: Place) -> Any:
    return make(place, value)


_NO_LIMIT: dict[str, Any] = {
    "zero": 0,
    "minus_one": -1,
    "many": 10**9,
    "float": 1e9,
    "fraction": 5.5,
    "true": True,
}
_NO_LIMIT |= {"text": "5", "none": None, "nan": math.nan, "2_to_the_70": 2**70}
_NO_NAME: dict[str, Any] = {
    "empty": "",
    "path": "../",
    "long": "a" * 10_000,
    "nul": "x\x00",
    "number": 5,
}
_NO_NAME |= {"surrogate": "\ud800", "bytes": b"x", "list": ["notes"], "line_end": "notes\n"}
_NO_LINE: dict[str, Any] = {
    "empty": "",
    "spaces": "  ",
    "long": "x" * 256,
    "nul": "x\x00",
    "line_end": "a\r\nb",
}
_NO_LINE |= {"surrogate": "\ud800", "none": None, "number": 5, "escape": f"\x1b[2J{CANARY}"}

CALLS = [
    *_calls("B15", "status", "correlation_id", lambda p, v: p.client.status(p.project, v), **NO_ID),
    *_calls("B15", "wait", "correlation_id", lambda p, v: p.client.wait(p.project, v), **NO_ID),
    *_calls(
        "B15", "execution", "execution_id", lambda p, v: p.client.execution(p.project, v), **NO_ID
    ),
    *_calls("B15", "cancel", "execution_id", lambda p, v: p.client.cancel(p.project, v), **NO_ID),
    *_calls(
        "B15",
        "retry",
        "execution_ids",
        lambda p, v: p.client.dead_letters.retry(p.project, [v]),
        **NO_ID,
    ),
    *_calls(
        "B15",
        "create_project",
        "created_by",
        lambda p, v: p.client.create_project(name="x", created_by=v),
        none=None,
        **NO_ID,
    ),
    *_calls(
        "B34",
        "failed-limit",
        "limit",
        lambda p, v: p.client.dead_letters.list(p.project, limit=v),
        **_NO_LIMIT,
    ),
    *_calls(
        "B34",
        "document-version",
        "version",
        lambda p, v: p.client.document(p.project, "notes", v),
        **{**_NO_LIMIT, "many": 2**31, "none": "latest"},
    ),
    *_calls(
        "B34",
        "wait-timeout",
        "timeout",
        lambda p, v: p.client.wait(p.project, ID, timeout=v),
        nan=math.nan,
        infinity=math.inf,
        text="5",
        true=True,
    ),
    *_calls(
        "B34",
        "failed-since",
        "since",
        lambda p, v: p.client.dead_letters.list(p.project, since=v),
        naive=datetime(2026, 1, 1),  # noqa: DTZ001
        number=5,
        word=CANARY,
        date=date(2026, 1, 1),
        year_9999=datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
    ),
    *_calls(
        "B34",
        "many",
        "requests",
        lambda p, v: p.client.enqueue_many(p.project, v),
        none=None,
        number=5,
        text=CANARY,
        generator=(n for n in range(3)),
        too_many=[{}] * 10_001,
    ),
    *_calls(
        "B34",
        "many-item",
        "requests[1]",
        lambda p, v: p.client.enqueue_many(
            p.project, [{"agent_type": "echo", "requested_by": p.user}, v]
        ),
        none=None,
        number=5,
        pairs=[("agent_type", "echo")],
        strange_field={"agent_type": "echo", f"{CANARY}\r\n": 1},
        strange_key={"agent_type": "echo", "input": {CANARY.encode(): 1}},
        no_text_as_field={"agent_type": "echo", 5: 1},
    ),
    *_calls(
        "B34",
        "retry-ids",
        "execution_ids",
        lambda p, v: p.client.dead_letters.retry(p.project, v),
        none=None,
        number=5,
        text=ID,
        too_many=[uuid4()] * 1001,
    ),
    *_calls(
        "B20",
        "failed-agent",
        "agent_type",
        lambda p, v: p.client.dead_letters.list(p.project, agent_type=v),
        **_NO_NAME,
    ),
    *_calls(
        "B44",
        "document",
        "document_type",
        lambda p, v: p.client.document(p.project, v),
        none=None,
        composed="caf\u00e9",
        decomposed="cafe\u0301",
        **_NO_NAME,
    ),
    *_calls(
        "B22",
        "cancel-reason",
        "reason",
        lambda p, v: p.client.cancel(p.project, ID, v),
        nul=f"{CANARY}\x00",
        number=5,
        none=None,
        long="x" * 2001,
    ),
    *_calls(
        "B23",
        "cancel-reason",
        "reason",
        lambda p, v: p.client.cancel(p.project, ID, v),
        surrogate="\ud800",
    ),
    *_calls(
        "B22",
        "user-name",
        "name",
        lambda p, v: p.client.create_user(email="a@example.com", name=v),
        **_NO_LINE,
    ),
    *_calls(
        "B22",
        "user-email",
        "email",
        lambda p, v: p.client.create_user(email=v, name="x"),
        **{**_NO_LINE, "long": "a@" + "b" * 320, "no_at": CANARY},
    ),
    *_calls(
        "B22",
        "project-name",
        "name",
        lambda p, v: p.client.create_project(name=v, created_by=p.user),
        **_NO_LINE,
    ),
    *_calls(
        "B44",
        "project-language",
        "language",
        lambda p, v: p.client.create_project(name="x", created_by=p.user, language=v),
        japanese="\u65e5\u672c",
        underscore="en_GB",
        hyphens="--en",
        full_width="\uff45\uff4e",
        long="en-" + "a" * 20,
        none=None,
        line_end="en\n",
    ),
]
"""`input` is a call that is refused."""

ROWS = CALLS
