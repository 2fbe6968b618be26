"""Payloads and envelopes: what is read, what is refused, and with which code."""

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


def envelope(arguments: dict[str, Any]) -> Hint | EnqueueRequest:
    """Read these arguments."""
    return read_envelope(Payload("run_agent", arguments, 1, "json"))


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
