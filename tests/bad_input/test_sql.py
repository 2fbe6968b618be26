"""The SQL door: refused with a SQLSTATE, or accepted and ended by a worker that survives it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from models.roles import APP, FUNCTION_GRANTS
from models.states import State
from tests.bad_input.place import Place
from tests.bad_input.row import Row, each
from tests.bad_input.table import sql as table

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {
    "p_project_id": "MINE",
    "p_agent_type": "'echo'",
    "p_input": """'{"value": "from SQL"}'""",
    "p_requested_by": "USER",
}
INNER = {"find_repeats", "hash_request", "reject_writes"}
"""Called by moves, inside the scope that these have entered, or touching no table."""
OTHERWISE = {"create_project"}
"""Makes a project."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(place: Place) -> AsyncIterator[asyncpg.Connection]:
    """A service with a driver and the role copydesk_app."""
    connection = await asyncpg.connect(place.database.app)
    yield connection
    await connection.close()


def statement(place: Place, row: Row) -> str:
    """Return the call of a row, as a service would write it."""
    arguments = {**GOOD, **row.input}
    text = ", ".join(f"{name} => {sql}" for name, sql in arguments.items())
    mine = text.replace("MINE", f"'{place.project}'").replace("USER", f"'{place.user}'")
    return f"SELECT enqueue_execution({mine})"


@each(table.REFUSED)
async def test_what_is_refused_has_a_sqlstate(
    row: Row, place: Place, service: asyncpg.Connection
) -> None:
    """And leaves nothing, with the service's own work around it or without."""
    async with place.unharmed():
        with pytest.raises(asyncpg.PostgresError) as refused:
            await service.fetchval(statement(place, row))
        assert refused.value.sqlstate == row.code, refused.value
        transaction = service.transaction()
        await transaction.start()
        with pytest.raises(asyncpg.PostgresError):
            await service.fetchval(statement(place, row))
        await transaction.rollback()


@each(table.ENDS)
async def test_what_a_worker_cannot_take_ends_with_a_code(
    row: Row, place: Place, service: asyncpg.Connection
) -> None:
    """At the first attempt, and every other job goes on: it does not circulate."""
    async with place.unharmed(accepts=1):
        execution = await service.fetchval(statement(place, row))
        report = await place.final(execution)
    assert (report.status, report.error_code, report.attempt) == (State.FAILED, row.code, 1)


@each(table.RUNS)
async def test_what_the_function_leaves_to_its_caller_runs(
    row: Row, place: Place, service: asyncpg.Connection
) -> None:
    """It checks less than the client does; integers are exact all the same."""
    async with place.unharmed(accepts=1):
        execution = await service.fetchval(statement(place, row))
        assert (await place.final(execution)).status == State.COMPLETED
        [kept] = await place.database.ask(
            "SELECT input_data = output_data AS same FROM agent_executions WHERE id = $1", execution
        )
        assert kept["same"]


@pytest.mark.parametrize("name", sorted({*FUNCTION_GRANTS[APP]} - INNER - OTHERWISE))
async def test_b14_no_move_goes_without_a_project(
    name: str, place: Place, service: asyncpg.Connection
) -> None:
    """Each function that the role may call asks for it first."""
    async with place.unharmed():
        [found] = await place.database.ask(
            "SELECT proargnames[1] AS first, oidvectortypes(proargtypes) AS types "
            "FROM pg_proc WHERE proname = $1",
            name,
        )
        assert found["first"] == "p_project_id"
        nothing = ", ".join(f"NULL::{kind}" for kind in found["types"].split(", "))
        with pytest.raises(asyncpg.PostgresError) as refused:
            await service.fetch(f"SELECT {name}({nothing})")
        assert refused.value.sqlstate == "CD001"


@pytest.mark.parametrize("project", ["", "default", "*"])
async def test_b14_a_scope_that_is_none_shows_nothing(
    project: str, place: Place, service: asyncpg.Connection
) -> None:
    """Bound by hand to what is no project, a statement is an error and not an empty answer."""
    async with place.unharmed():
        transaction = service.transaction()
        await transaction.start()
        await service.execute("SELECT set_config('app.project_id', $1, true)", project)
        with pytest.raises(asyncpg.PostgresError) as refused:
            await service.fetch("SELECT * FROM agent_executions")
        assert refused.value.sqlstate == "22P02"
        await transaction.rollback()


async def keyed(service: asyncpg.Connection, project: UUID, user: UUID, **given: Any) -> Any:
    """Call with a key; return the execution's id."""
    return await service.fetchval(
        "SELECT enqueue_execution($1, 'echo', $2::text::jsonb, $3, p_idempotency_key => $4)",
        project,
        given.get("input", "{}"),
        user,
        given["key"],
    )


async def test_b30_the_same_key_and_request_are_one_execution(
    place: Place, service: asyncpg.Connection
) -> None:
    """Written with other spaces, it is the same request."""
    async with place.unharmed(accepts=1):
        ids = {
            await keyed(service, place.project, place.user, key="sql-30", input=text)
            for text in ('{"value": 1}', '{ "value" : 1 }')
        }
    assert len(ids) == 1


async def test_b31_the_same_key_for_another_request_is_a_conflict(
    place: Place, service: asyncpg.Connection
) -> None:
    """CD003, and the first one stays."""
    async with place.unharmed(accepts=1):
        await keyed(service, place.project, place.user, key="sql-31")
        with pytest.raises(asyncpg.PostgresError) as refused:
            await keyed(service, place.project, place.user, key="sql-31", input='{"value": 2}')
    assert refused.value.sqlstate == "CD003"


async def test_b32_the_same_key_in_another_project_is_another_key(
    place: Place, service: asyncpg.Connection
) -> None:
    """Keys are a project's own."""
    other = await place.database.add_project(place.user)
    async with place.unharmed(accepts=2):
        ids = {
            await keyed(service, project, place.user, key="sql-32")
            for project in (place.project, other)
        }
    assert len(ids) == 2
