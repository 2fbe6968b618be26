"""Grants: what a role could do to others with more than its moves need, and cannot with just that.

A lock on a table holds up every project, and a key that is written compares with all of them.
"""

from uuid import UUID, uuid4

import pytest

from models.roles import MOVED_COLUMNS
from models.tables import Base
from tests.isolation.attack import TABLES, Ground, intruder

pytestmark = pytest.mark.usefixtures("untouched")

LOCKS = ("SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")

STAY = (
    *("id", "project_id", "agent_type", "correlation_id", "input_data", "created_at", "priority"),
    *("requested_by", "idempotency_key", "request_hash", "retry_of"),
)
"""What is recorded when an execution is enqueued, and never changed by a move."""

PLANTS = {
    "a version": (
        "INSERT INTO document_versions (id, project_id, document_type, version, content, "
        "created_by, execution_id, attempt) VALUES ($1, $2, 'x', 9, '', $3, $4, 1) RETURNING 1"
    ),
    "a version of the past": (
        "INSERT INTO document_versions (created_at, project_id, document_type, version, content, "
        "created_by, execution_id, attempt) "
        "SELECT 'epoch', $2, $1::uuid::text, 9, '', $3, $4, 1 RETURNING 1"
    ),
    "an export": (
        "INSERT INTO exports (id, project_id, execution_id, attempt) "
        "SELECT $1, $2, $4, 1 WHERE $3::uuid IS NOT NULL RETURNING 1"
    ),
    "an export of the past": (
        "INSERT INTO exports (created_at, project_id, execution_id, attempt) "
        "SELECT 'epoch', $2, $4, 1 WHERE $1::uuid <> $3::uuid RETURNING 1"
    ),
    "an event": (
        "INSERT INTO execution_events (id, project_id, execution_id, event, attempt) "
        "OVERRIDING SYSTEM VALUE SELECT 1, $2, $4, 'progress', 1 WHERE $1::uuid <> $3::uuid "
        "RETURNING 1"
    ),
}


@pytest.mark.parametrize("table", [table for table, _ in TABLES])
async def test_no_table_can_be_locked(table: str, ground: Ground) -> None:
    """Hopes to stop all writers of a table, or all readers; a move needs no such lock."""
    async with intruder(ground) as attempt:
        for lock in LOCKS:
            assert await attempt.refused(f"LOCK TABLE {table} IN {lock} MODE") == "42501", lock


@pytest.mark.parametrize("column", STAY)
async def test_what_was_asked_for_cannot_be_changed(column: str, ground: Ground) -> None:
    """Hopes to learn from a key that is taken whether it exists, or to rewrite a request."""
    async with intruder(ground) as attempt:
        write = f"UPDATE agent_executions SET {column} = {column} WHERE id = $1 RETURNING 1"  # noqa: S608
        assert await attempt.refused(write, ground.mine.running) == "42501"
        if column == "id":
            taken = "UPDATE agent_executions SET id = $1 WHERE id = $2 RETURNING 1"
            said = await attempt.alike(taken, ground.theirs.running, ground.mine.running)
            assert said.startswith("42501 ")


def test_every_column_of_an_execution_is_moved_or_stays() -> None:
    """A column that is added is thought about."""
    columns = {column.name for column in Base.metadata.tables["agent_executions"].columns}
    assert columns == {*STAY, *MOVED_COLUMNS}


@pytest.mark.parametrize("plant", PLANTS)
async def test_no_id_or_time_is_chosen_by_whoever_writes(plant: str, ground: Ground) -> None:
    """Hopes that a chosen id collides with one that exists elsewhere, or that a row looks old."""
    [taken] = await ground.database.ask(
        "SELECT id FROM document_versions WHERE project_id = $1 LIMIT 1", ground.theirs.project
    )
    async with intruder(ground) as attempt:
        ids: list[UUID] = [taken["id"], uuid4()]
        for given in ids:
            rest = (ground.mine.project, ground.user, ground.mine.running)
            assert await attempt.refused(PLANTS[plant], given, *rest) == "42501"
