"""What is refused whoever asks: leaving a final state, a lower attempt, a new language."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from models.roles import OWNER
from models.states import FINAL
from tests.ledger.desk import Desk, completion, failure


@pytest.fixture(params=["superuser", "owner"])
async def mighty(desk: Desk, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Connection]:
    """Connect as somebody who may write every column, policies and grants aside."""
    url = desk.database.admin
    if request.param == "owner":
        url = desk.database.owner
        for table in ("projects", "agent_executions"):
            # The owner has no policy of its own: one is made, to get as far as the trigger.
            await desk.database.ask(f"CREATE POLICY for_once ON {table} TO {OWNER} USING (true)")
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT set_config('app.project_id', $1, false)", str(desk.project))
    yield connection
    await connection.close()


async def ended(desk: Desk) -> dict[str, object]:
    """Return an execution in each final state, by state."""
    completed, failed = [await desk.running() for _ in range(2)]
    await desk.ledger.complete(desk.project, completion(completed))
    await desk.ledger.fail(desk.project, failure(failed, delay=None))
    pending = await desk.enqueue()
    await desk.ledger.request_cancel(desk.project, pending.execution_id, "")
    return {
        "completed": completed.execution_id,
        "failed": failed.execution_id,
        "cancelled": pending.execution_id,
    }


async def test_no_final_state_is_left(desk: Desk, mighty: asyncpg.Connection) -> None:
    """Completed, failed and cancelled are for good."""
    executions = await ended(desk)
    assert set(executions) == set(FINAL)

    for state, execution in executions.items():
        for other in {"pending", "running", *FINAL} - {state}:
            with pytest.raises(asyncpg.PostgresError, match="cannot go from") as refused:
                await mighty.execute(
                    "UPDATE agent_executions SET status = $2 WHERE id = $1", execution, other
                )
            assert refused.value.sqlstate == "CD006"


async def test_an_attempt_never_goes_down(desk: Desk, mighty: asyncpg.Connection) -> None:
    """The fence holds only because its number is never given out twice."""
    claim = await desk.running()

    with pytest.raises(asyncpg.PostgresError) as refused:
        await mighty.execute(
            "UPDATE agent_executions SET attempt = attempt - 1 WHERE id = $1", claim.execution_id
        )

    assert refused.value.sqlstate == "CD006"


async def test_the_language_is_set_once(desk: Desk, mighty: asyncpg.Connection) -> None:
    """It is refused to everybody; other columns change, and `updated_at` follows them."""
    with pytest.raises(asyncpg.PostgresError, match="set once") as refused:
        await mighty.execute("UPDATE projects SET language = 'de' WHERE id = $1", desk.project)
    assert refused.value.sqlstate == "CD005"

    changed = await mighty.execute(
        "UPDATE projects SET name = 'New', language = 'en' WHERE id = $1", desk.project
    )

    assert changed == "UPDATE 1"
    [row] = await desk.database.ask("SELECT name, updated_at > created_at AS later FROM projects")
    assert (row["name"], row["later"]) == ("New", True)


async def test_the_workers_role_has_no_say_in_the_language(desk: Desk) -> None:
    """It lacks the grant, so that it does not even get as far as the trigger."""
    connection = await asyncpg.connect(desk.database.app)
    await connection.execute("SELECT set_config('app.project_id', $1, false)", str(desk.project))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("UPDATE projects SET language = 'de'")
    await connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "status = 'resting'",
        "status = 'completed'",
        "status = 'running'",
        "lease_expires_at = now()",
        "completed_at = now()",
        "status = 'failed', completed_at = now()",
        "failures = -1",
        "max_attempts = 0",
    ],
)
async def test_a_half_made_move_cannot_be_stored(desk: Desk, change: str) -> None:
    """State and the columns that go with it agree, or the row is refused."""
    recorded = await desk.enqueue()

    with pytest.raises(asyncpg.CheckViolationError):
        await desk.database.ask(
            f"UPDATE agent_executions SET {change} WHERE id = $1",  # noqa: S608 - listed above
            recorded.execution_id,
        )
