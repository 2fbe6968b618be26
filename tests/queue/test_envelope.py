"""Payloads and envelopes: what is read, what is refused, and with which code."""

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.queue.desk import as_json, request
from worker.errors import CopydeskError, EnvelopeError
from worker.queue.envelope import Hint, read_envelope
from worker.queue.payload import Payload, decode_payload
from worker.requests import EnqueueRequest

GOOD: dict[str, Any] = {"t": None, "f": "run_agent", "a": [], "k": {}, "et": 1_700_000_000_000}
LIMIT = 100_000
# Test ids are made of parameters, and must be the same in every process of a run.
ID = "0198c0de-0000-7000-8000-000000000001"


def fixed(**changes: Any) -> dict[str, Any]:
    """Return the arguments of a good request, the same in every run."""
    return request(project_id=ID, requested_by=ID) | changes


def envelope(arguments: dict[str, Any]) -> Hint | EnqueueRequest:
    """Read these arguments."""
    return read_envelope(Payload("run_agent", arguments, 1, "json"))


def code_of(arguments: dict[str, Any]) -> str:
    """Return the code with which these arguments are refused."""
    with pytest.raises(CopydeskError) as caught:
        envelope(arguments)
    return caught.value.code


@pytest.mark.parametrize("write", [as_json, pickle.dumps], ids=["json", "pickle"])
@pytest.mark.parametrize(
    "change",
    [
        {"et": None},
        {"et": "1700000000000"},
        {"et": 10**20},
        {"et": -1},
        {"et": True},
        {"et": 1.5},
        {"t": "1"},
        {"t": -1},
        {"t": 10**9},
        {"f": None},
        {"f": ["run_agent"]},
        {"a": None},
        {"a": "x"},
        {"a": {}},
        {"a": [{}, {}]},
        {"a": [1]},
        {"a": [{"x": 1}], "k": {"y": 1}},
        {"k": None},
        {"k": []},
        {"x": 1},
    ],
    ids=str,
)
def test_malformed_fields_are_refused(write: Any, change: dict[str, Any]) -> None:
    """Null or huge times, text for a number, a list for the name: `bad_envelope`."""
    with pytest.raises(EnvelopeError) as caught:
        decode_payload(write(GOOD | change), limit=LIMIT)
    assert caught.value.code == "bad_envelope"


@pytest.mark.parametrize("field", sorted(GOOD))
def test_missing_fields_are_refused(field: str) -> None:
    """A payload without one of arq's five fields is not an arq job."""
    with pytest.raises(EnvelopeError, match="arq's fields"):
        decode_payload(as_json({k: v for k, v in GOOD.items() if k != field}), limit=LIMIT)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" {}",
        b"[]",
        b"null",
        b"{",
        b'{"t":null',
        b"\xef\xbb\xbf{}",
        b'{"f":"\xff"}',
        as_json(GOOD).decode().encode("utf-16"),
        as_json(GOOD)[:-1],
        as_json(GOOD) + b"x",
        b'{"a":' * 50_000,
        b'{"k":{"n":NaN}}',
        b'{"k":{"n":-Infinity}}',
        b'{"k":{"n":1e999}}',
        b'{"k":{"n":' + b"9" * 5000 + b"}}",
        as_json(GOOD)[:-1] + b',"k":{}}',
        b"\x80",
        b"\x80\x01.",
        b"\x80\x04",
        b"cos\nsystem\n(S'true'\ntR.",
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_unreadable_bytes_are_refused(raw: bytes) -> None:
    """Truncated, deep, not UTF-8, NaN, huge numbers: refused by name of the rule."""
    with pytest.raises(EnvelopeError) as caught:
        decode_payload(raw, limit=10**6)
    assert caught.value.code == "bad_envelope"


def test_the_size_is_checked_before_anything_is_parsed() -> None:
    """A payload above the limit is refused for its size, whatever it holds."""
    with pytest.raises(EnvelopeError) as caught:
        decode_payload(b"{" * 101, limit=100)
    assert caught.value.code == "payload_too_large"


def test_errors_repeat_nothing_of_the_message() -> None:
    """What a message holds does not get into errors, logs and rows through its refusal."""
    canary = "c4n4ry"
    for raw in (
        canary.encode(),
        as_json(GOOD | {"f": [canary]}),
        pickle.dumps(GOOD | {"a": [UnicodeDecodeError]}) + canary.encode(),
        b'{"' + canary.encode() + b'": nan}',
    ):
        with pytest.raises(EnvelopeError) as caught:
            decode_payload(raw, limit=LIMIT)
        assert canary not in str(caught.value)
        assert caught.value.__cause__ is None
    for arguments in ({canary: 1}, request(v=canary), request(project_id=canary)):
        with pytest.raises(CopydeskError) as refused:
            envelope(arguments)
        assert canary not in str(refused.value)


@pytest.mark.parametrize("as_is", [True, False], ids=["UUID", "text"])
def test_a_hint_is_ids_and_a_version(as_is: bool) -> None:
    """`{v, project_id, execution_id}` is a hint; ids may be UUID objects or canonical text."""
    project, execution = uuid4(), uuid4()
    write: Any = (lambda one: one) if as_is else str
    hint = envelope({"v": 1, "project_id": write(project), "execution_id": write(execution)})
    assert hint == Hint(project, execution)


def test_a_full_request_is_checked_and_typed() -> None:
    """Every field of an enqueue request may come, and comes out as its type."""
    later = datetime.now(UTC) + timedelta(hours=1)
    fields = request(
        v=1,
        correlation_id=str(uuid4()),
        idempotency_key="order-1",
        not_before=later.isoformat(),
        priority=5,
        max_attempts=3,
    )
    made = envelope(fields)
    assert isinstance(made, EnqueueRequest)
    assert made.project_id == UUID(fields["project_id"])
    assert made.not_before == later
    assert envelope(fields | {"not_before": later}) == made
    assert isinstance(envelope(request()), EnqueueRequest)


def test_one_positional_object_serves_as_the_arguments() -> None:
    """`enqueue_job("run_agent", {...})` means the same as keyword arguments."""
    fields = request()
    named = decode_payload(as_json(GOOD | {"k": fields}), limit=LIMIT)
    positional = decode_payload(pickle.dumps(GOOD | {"a": (fields,)}), limit=LIMIT)
    assert named.arguments == positional.arguments == fields


@pytest.mark.parametrize(
    "arguments",
    [
        fixed(ctx={}),
        fixed(extra=1),
        fixed(v=2),
        fixed(v=None),
        fixed(v=True),
        fixed(v="1"),
        {"v": 1, "project_id": ID, "execution_id": ID, "input": {}},
        {"project_id": ID, "execution_id": ID},
        {"v": 1, "project_id": ID, "execution_id": None},
        {"v": 1, "project_id": ID, "execution_id": str(UUID(int=0))},
        {"v": 1, "project_id": ID},
        {"project_id": ID, "agent_type": "review"},
    ],
    ids=str,
)
def test_missing_and_unknown_keys_and_versions_are_bad_envelopes(
    arguments: dict[str, Any],
) -> None:
    """Nothing is guessed and nothing is ignored: `bad_envelope`."""
    assert code_of(arguments) == "bad_envelope"


@pytest.mark.parametrize(
    "project",
    [
        *(None, "", "default", "*", 7, [], UUID(int=0), str(UUID(int=0))),
        *(f"{{{ID}}}", f"urn:uuid:{ID}", f" {ID}", f"{ID}\n", UUID(ID).hex),
        "\uff11" * 8 + ID[8:],
    ],
    ids=repr,
)
def test_a_project_is_one_canonical_id_or_the_message_is_refused(project: object) -> None:
    """Missing, null, empty, `default`, `*`, nil, braces, urn, other digits: `project_required`."""
    assert code_of(request(project_id=project)) == "project_required"
    hint = {"v": 1, "project_id": project, "execution_id": str(uuid4())}
    assert code_of(hint) == "project_required"
    without = request()
    del without["project_id"]
    assert code_of(without) == "project_required"


@pytest.mark.parametrize(
    "change",
    [
        {"agent_type": "../x"},
        {"agent_type": "a" * 10_000},
        {"requested_by": "me"},
        {"correlation_id": "x\r\ny"},
        {"idempotency_key": "ü"},
        {"not_before": "tomorrow"},
        {"not_before": 1_700_000_000},
        {"not_before": "1700000000"},
        {"not_before": "2030-01-01T00:00:00"},
        {"not_before": "9999-01-01T00:00:00Z"},
        {"priority": 1.0},
        {"max_attempts": 0},
        {"input": None},
        {"input": []},
        {"input": {"text": "\x00"}},
        {"input": {"text": "\ud800"}},
        {"input": {"number": float("nan")}},
        {"input": {"number": float("inf")}},
        {"input": {"id": UUID(ID)}},
        {"input": {"bytes": b"x"}},
        {"input": json.loads("[" * 300 + "]" * 300)},
    ],
    ids=lambda change: str(change)[:40],
)
def test_fields_that_break_a_rule_are_invalid_input(change: dict[str, Any]) -> None:
    """The rules of a request hold at this door as at every other: `input_invalid`."""
    assert code_of(request(**change)) == "input_invalid"


def test_another_function_is_not_run() -> None:
    """A worker runs `run_agent` and nothing else."""
    with pytest.raises(EnvelopeError) as caught:
        read_envelope(Payload("os.system", request(), 1, "json"))
    assert caught.value.code == "unknown_function"
