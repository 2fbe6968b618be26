"""Enqueue: what is accepted is a committed row with its event; what is refused leaves nothing."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from models.roles import APP
from tests.ledger.desk import INPUT_LIMIT, Desk, unknown
from worker.errors import (
    DatabaseUnavailableError,
    IdempotencyConflictError,
    InputInvalidError,
    NotFoundError,
)
from worker.ledger import Ledger, MovePool


async def test_an_execution_is_recorded_with_its_event(desk: Desk) -> None:
    """Row and event come into being together, in one transaction."""
    recorded = await desk.enqueue(input={"document_type": "plan"}, priority=7, max_attempts=2)

    assert recorded.created
    row = await desk.row(recorded.execution_id)
    assert (row["status"], row["attempt"], row["failures"]) == ("pending", 0, 0)
    assert (row["priority"], row["max_attempts"]) == (7, 2)
    assert json.loads(row["input_data"]) == {"document_type": "plan"}
    assert row["requested_by"] == desk.user
    assert row["correlation_id"] == recorded.correlation_id
    assert row["started_at"] == row["created_at"]
    together = await desk.database.ask(
        "SELECT e.xmin = x.xmin AS together, e.id <> e.correlation_id AS apart "
        "FROM agent_executions e JOIN execution_events x ON x.execution_id = e.id"
    )
    assert [tuple(pair) for pair in together] == [(True, True)]
    assert await desk.events(recorded.execution_id) == ["enqueued"]


async def test_a_row_does_not_outlive_its_event(desk: Desk) -> None:
    """When the event cannot be written, the execution is not recorded either."""
    await desk.database.ask(f"REVOKE INSERT ON execution_events FROM {APP}")

    with pytest.raises(Exception, match="forbids"):
        await desk.enqueue()

    assert await desk.rows() == 0


async def test_ids_are_version_7_and_a_correlation_id_is_kept(desk: Desk) -> None:
    """Keys sort by time; a caller's correlation id comes back as given."""
    correlation = uuid4()
    recorded = await desk.enqueue(correlation_id=correlation)

    assert recorded.execution_id.version == 7
    assert recorded.correlation_id == correlation
    assert (await desk.enqueue()).correlation_id.version == 7


async def test_the_same_key_and_request_is_the_same_execution(desk: Desk) -> None:
    """A repeated request is answered with what was recorded first, and records nothing."""
    first = await desk.enqueue(idempotency_key="order-1", input={"a": 1, "b": 2})
    again = await desk.enqueue(idempotency_key="order-1", input={"b": 2, "a": 1})

    assert again.execution_id == first.execution_id
    assert again.correlation_id == first.correlation_id
    assert (first.created, again.created) == (True, False)
    assert await desk.events(first.execution_id) == ["enqueued"]


async def test_a_repeat_is_answered_with_where_the_execution_stands(desk: Desk) -> None:
    """The key keeps its meaning after the execution went on."""
    claim = await desk.running(idempotency_key="order-1")

    again = await desk.enqueue(idempotency_key="order-1")

    assert (again.execution_id, again.status) == (claim.execution_id, "running")


@pytest.mark.parametrize(
    "other",
    [
        {"input": {"a": 2}},
        {"agent_type": "revise"},
        {"priority": 1},
        {"max_attempts": 5},
        {"correlation_id": uuid4()},
        {"not_before": datetime.now(UTC) + timedelta(days=1)},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_the_same_key_for_another_request_is_a_conflict(
    desk: Desk, other: dict[str, Any]
) -> None:
    """A key stands for one request; whatever the caller chose belongs to it."""
    await desk.enqueue(idempotency_key="order-1", input={"a": 1})

    with pytest.raises(IdempotencyConflictError, match="idempotency_key"):
        await desk.enqueue(**{"idempotency_key": "order-1", "input": {"a": 1}, **other})

    assert await desk.rows() == 1


async def test_a_key_of_another_project_is_another_key(desk: Desk) -> None:
    """Idempotency keys are the project's own: neither answers for, nor blocks, the other."""
    first = await desk.enqueue(idempotency_key="order-1", input={"a": 1})
    elsewhere = await desk.database.add_project(desk.user)

    second = await desk.enqueue(project_id=elsewhere, idempotency_key="order-1", input={"a": 2})

    assert second.created
    assert second.execution_id != first.execution_id


async def test_unknown_projects_and_users_are_not_found(desk: Desk) -> None:
    """The message names the field; nothing of the database shows."""
    with pytest.raises(NotFoundError, match=r"^project_id: there is no such project$"):
        await desk.enqueue(project_id=unknown())
    with pytest.raises(NotFoundError, match=r"^requested_by: there is no such user"):
        await desk.enqueue(requested_by=unknown())

    assert await desk.rows() == 0


async def test_not_before_is_when_it_becomes_due(desk: Desk) -> None:
    """A later time is kept; one that has passed means now, so that nobody jumps the queue."""
    later = datetime.now(UTC) + timedelta(hours=1)
    past = datetime.now(UTC) - timedelta(hours=1)

    assert (await desk.enqueue(not_before=later)).scheduled_at == later
    recorded = await desk.enqueue(not_before=past)

    row = await desk.row(recorded.execution_id)
    assert row["scheduled_at"] == row["created_at"]


async def test_many_are_recorded_in_order_in_one_transaction(desk: Desk) -> None:
    """The answers stand in the order of the requests."""
    requests = [desk.request(input={"place": place}) for place in range(100)]

    recorded = await desk.ledger.enqueue_many(requests)

    rows = await desk.database.ask("SELECT id, input_data FROM agent_executions ORDER BY id")
    placed = {row["id"]: json.loads(row["input_data"])["place"] for row in rows}
    assert [placed[answer.execution_id] for answer in recorded] == list(range(100))
    [one] = await desk.database.ask("SELECT count(DISTINCT xmin::text) AS n FROM agent_executions")
    assert one["n"] == 1


async def test_many_are_recorded_all_or_none(desk: Desk) -> None:
    """One request that cannot be recorded takes the others of its transaction with it."""
    requests = [desk.request(), desk.request(requested_by=unknown()), desk.request()]

    with pytest.raises(NotFoundError, match="requested_by"):
        await desk.ledger.enqueue_many(requests)

    assert await desk.rows() == 0


async def test_a_conflict_among_many_records_none(desk: Desk) -> None:
    """A key that stands for something else is a refusal of the whole call."""
    await desk.enqueue(idempotency_key="order-1", input={"a": 1})
    requests = [desk.request(), desk.request(idempotency_key="order-1", input={"a": 2})]

    with pytest.raises(IdempotencyConflictError):
        await desk.ledger.enqueue_many(requests)

    assert await desk.rows() == 1


async def test_a_key_twice_among_many_is_one_execution(desk: Desk) -> None:
    """A repeat inside one call is a repeat like any other."""
    requests = [desk.request(idempotency_key="order-1") for _ in range(2)]

    first, again = await desk.ledger.enqueue_many(requests)

    assert first.execution_id == again.execution_id
    assert (first.created, again.created) == (True, False)


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        ({"text": "a\x00b"}, "NUL"),
        ({"score": float("nan")}, "NaN or Infinity"),
        ({"score": float("-inf")}, "NaN or Infinity"),
        ({"text": "\ud800"}, "lone surrogate"),
        ({"when": datetime(2026, 1, 1, tzinfo=UTC)}, "not JSON"),
        ({"text": "a" * INPUT_LIMIT}, "at most"),
    ],
    ids=["nul", "nan", "infinity", "surrogate", "datetime", "large"],
)
async def test_input_that_cannot_be_stored_is_refused(
    desk: Desk, payload: dict[str, Any], rule: str
) -> None:
    """It is refused at the door, by field and rule, and never comes back as something else."""
    with pytest.raises(InputInvalidError, match=f"^input: .*{rule}"):
        await desk.enqueue(input=payload)

    assert await desk.rows() == 0


async def test_input_comes_back_exactly(desk: Desk) -> None:
    """What the database stores is what the agent gets."""
    payload = {
        "n": 2**64,
        "f": 0.1,
        "e": "🌱",
        "slash": "\\u0000 in words",
        "d": {"": [None, True]},
    }

    claim = await desk.running(input=payload)

    assert claim.input == payload


async def test_a_database_that_is_gone_accepts_nothing_and_says_so(desk: Desk) -> None:
    """The error is one that may be tried again."""
    url = desk.database.app.replace(desk.database.name, "nowhere_at_all")
    gone = MovePool("postgresql://copydesk_app@127.0.0.1:1/none", size=1)
    with pytest.raises(DatabaseUnavailableError, match="nothing is known to be accepted") as caught:
        await Ledger(gone, input_limit=INPUT_LIMIT).enqueue(desk.request())
    assert caught.value.retryable

    missing = MovePool(url, size=1)
    with pytest.raises(Exception, match="no such database") as refused:
        await Ledger(missing, input_limit=INPUT_LIMIT).enqueue(desk.request())
    assert not isinstance(refused.value, asyncpg.PostgresError)
