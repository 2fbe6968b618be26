"""The client's door: whatever is called with what is wrong refuses it, and records nothing."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.bad_input.place import Place, check
from tests.bad_input.row import CANARY, ID, Row, each
from tests.bad_input.table import calls
from tests.bad_input.table import client as table
from worker.errors import CopydeskError, IdempotencyConflictError
from worker.ledger import Enqueued

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS: dict[str, Callable[[Place, Any], Awaitable[Any]]] = {
    "enqueue": lambda p, project: p.client.enqueue(project, "echo", requested_by=p.user),
    "enqueue_many": lambda p, project: p.client.enqueue_many(
        project, [{"agent_type": "echo", "requested_by": p.user}]
    ),
    "enqueue_many of nothing": lambda p, project: p.client.enqueue_many(project, []),
    "status": lambda p, project: p.client.status(project, ID),
    "execution": lambda p, project: p.client.execution(project, ID),
    "wait": lambda p, project: p.client.wait(project, ID, timeout=1),
    "cancel": lambda p, project: p.client.cancel(project, ID),
    "documents": lambda p, project: p.client.documents(project),
    "document": lambda p, project: p.client.document(project, "notes"),
    "failed": lambda p, project: p.client.dead_letters.list(project),
    "retry": lambda p, project: p.client.dead_letters.retry(project, [ID]),
}
"""Every call of the client that names a project."""


async def refusal(call: Awaitable[Any]) -> CopydeskError:
    """Return the error a call ends with; nothing of it shows a canary, however it is printed."""
    with pytest.raises(CopydeskError) as caught:
        await call
    printed = "".join(traceback.format_exception(caught.value, limit=0))
    assert CANARY not in printed
    return caught.value


@each(table.PROJECTS)
async def test_no_call_goes_without_one_project(row: Row, place: Place) -> None:
    """There is no default, and only the canonical spelling of an id."""
    async with place.unharmed():
        for call in CALLS.values():
            check(row, await refusal(call(place, row.input)))
        async with session(place) as own:
            check(row, await refusal(joined(place, own, project_id=row.input)))


@each(table.ENQUEUE)
async def test_a_field_that_breaks_its_rule_is_refused(row: Row, place: Place) -> None:
    """Alone, among others, and inside the caller's transaction: by the same rule."""
    good = {"agent_type": "echo", "requested_by": place.user}
    async with place.unharmed():
        given = {**good, "project_id": place.project, **row.input}
        check(row, await refusal(place.client.enqueue(**given)))
        several = await refusal(
            place.client.enqueue_many(place.project, [good, {**good, **row.input}])
        )
        assert several.message.startswith(f"requests[1].{row.field}"), several.message
        assert several.code == row.code
        async with session(place) as own:
            check(row, await refusal(joined(place, own, **row.input)))


@each(calls.CALLS)
async def test_an_argument_that_breaks_its_rule_is_refused(row: Row, place: Place) -> None:
    """Before the database is asked, which would answer in its own words."""
    async with place.unharmed():
        check(row, await refusal(row.input(place)))


@each(table.NUMBERS)
async def test_what_is_accepted_comes_back_as_it_was(row: Row, place: Place) -> None:
    """Integers are exact at any size, also through an engine with a serializer of its own.

    A float without a fraction comes back as the integer it is; as a float it is the same again.
    """
    async with place.unharmed(accepts=2):
        report = await place.run("echo", {"value": row.input})
        async with session(place) as own:
            joined_to = await joined(place, own, input={"value": row.input})
            await own.commit()
        other = await place.final(joined_to.execution_id)
        for kept in (report.output, other.output):
            assert kept is not None
            value = kept["value"]
            if isinstance(row.input, float):
                value = float(value)
            assert value == row.input
            assert type(value) is type(row.input)


async def test_b30_the_same_key_and_request_are_one_execution(place: Place) -> None:
    """However many ask at once."""
    async with place.unharmed(accepts=1):
        asks = [
            place.client.enqueue(
                place.project, "echo", requested_by=place.user, idempotency_key="B30"
            )
            for _ in range(100)
        ]
        answers = await asyncio.gather(*asks)
    assert len({answer.execution_id for answer in answers}) == 1


@pytest.mark.parametrize(
    "change",
    [{"input": {"value": 2}}, {"agent_type": "flaky"}, {"priority": 1}, {"max_attempts": 3}],
    ids=lambda change: f"B31-{next(iter(change))}",
)
async def test_b31_the_same_key_for_another_request_is_a_conflict(
    change: dict[str, Any], place: Place
) -> None:
    """It would be accepted and lost otherwise; the first one stays as it is."""
    key = f"B31-{next(iter(change))}"
    good: dict[str, Any] = {"agent_type": "echo", "requested_by": place.user}
    good["idempotency_key"] = key
    async with place.unharmed(accepts=1):
        await place.client.enqueue(place.project, **good)
        conflict = await refusal(place.client.enqueue(place.project, **{**good, **change}))
        several = await refusal(place.client.enqueue_many(place.project, [{**good, **change}]))
    assert {type(conflict), type(several)} == {IdempotencyConflictError}
    assert conflict.message.startswith("idempotency_key: ")


async def test_b32_the_same_key_in_another_project_is_another_key(place: Place) -> None:
    """Keys are a project's own."""
    other = await place.database.add_project(place.user)
    async with place.unharmed(accepts=2):
        answers = [
            await place.client.enqueue(
                project, "echo", requested_by=place.user, idempotency_key="B32"
            )
            for project in (place.project, other)
        ]
    assert all(answer.created for answer in answers)


async def test_b20_an_agent_that_nobody_has_waits_and_can_be_cancelled(place: Place) -> None:
    """A name that is none is refused; one that no worker knows yet is not lost."""
    async with place.unharmed(accepts=1):
        execution = await place.enqueue("nobody_has_it")
        assert (await place.report(execution)).status == "pending"
    assert await place.client.cancel(place.project, execution) == "cancelled"


@pytest.mark.parametrize("field", ["project_id", "requested_by"])
@pytest.mark.parametrize("spelled", [UUID, str, str.upper], ids=["object", "text", "capitals"])
async def test_b15_an_id_that_nothing_has_is_not_found(
    field: str, spelled: Callable[[str], Any], place: Place
) -> None:
    """Well written, and unknown."""
    good = {"project_id": place.project, "requested_by": place.user}
    async with place.unharmed():
        given = {**good, field: spelled(ID)}
        error = await refusal(place.client.enqueue(agent_type="echo", **given))
    assert (error.code, error.message.split(":")[0]) == ("not_found", field)


@asynccontextmanager
async def session(place: Place) -> AsyncIterator[AsyncSession]:
    """Open a session of a service whose engine writes JSON in a way of its own."""
    url = place.database.app.replace("postgresql:", "postgresql+asyncpg:", 1)
    engine = create_async_engine(url, json_serializer=lambda _: '{"value": "something else"}')
    try:
        async with AsyncSession(engine) as own:
            yield own
    finally:
        await engine.dispose()


async def joined(place: Place, own: AsyncSession, **changes: Any) -> Enqueued:
    """Enqueue inside the session's transaction."""
    given = {"project_id": place.project, "agent_type": "echo", "requested_by": place.user}
    return await place.client.enqueue_in(own, **{**given, **changes})
