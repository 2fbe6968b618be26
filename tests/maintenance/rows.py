"""Rows made by the superuser: executions that ended at some time, with what goes with them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from models.declarations import project_owned
from tests.support.databases import DatabaseUrls

_EXECUTIONS = """
    INSERT INTO agent_executions (project_id, agent_type, correlation_id, input_data, requested_by,
        status, attempt, worker, created_at, scheduled_at, started_at, completed_at, error_code,
        max_attempts, retry_of, lease_expires_at)
    SELECT $1, 'loud', uuidv7(), '{}', $2, $4::text, 1, 'w', at, at, at,
        CASE WHEN $4::text IN ('completed', 'failed', 'cancelled') THEN at END,
        CASE WHEN $4::text = 'failed' THEN 'x' END, 3, $6,
        CASE WHEN $4::text = 'running' THEN now() + interval '1 hour' END
    FROM (SELECT now() - $5::interval + n * interval '1 millisecond' AS at
          FROM generate_series(1, $3::int) n) AS times
    RETURNING id
"""
_EVENTS = """
    INSERT INTO execution_events (project_id, execution_id, event, attempt)
    SELECT $1, id, event, 1
    FROM unnest($2::uuid[]) id CROSS JOIN (VALUES ('enqueued'), ('claimed')) AS v (event)
"""


class Records:
    """One project's record, as it might have gathered over months."""

    def __init__(self, database: DatabaseUrls, project: UUID, user: UUID) -> None:
        self.database = database
        self.project = project
        self.user = user

    async def ended(
        self,
        age: timedelta,
        *,
        number: int = 1,
        status: str = "completed",
        retry_of: UUID | None = None,
    ) -> list[UUID]:
        """Make executions with two events each; they were enqueued, and ended, that long ago."""
        made = await self.database.ask(
            _EXECUTIONS, self.project, self.user, number, status, age, retry_of
        )
        ids = [UUID(str(row["id"])) for row in made]
        await self.database.ask(_EVENTS, self.project, ids)
        return ids

    async def version(self, execution: UUID, document_type: str, version: int) -> None:
        """Let an execution have written a version."""
        await self.database.ask(
            "INSERT INTO document_versions (project_id, document_type, version, content, "
            "created_by, execution_id, attempt) VALUES ($1, $2, $3, 'text', $4, $5, 1)",
            self.project,
            document_type,
            version,
            self.user,
            execution,
        )

    async def export(
        self, execution: UUID, name: str, *, expires_at: datetime | None = None
    ) -> None:
        """Let an execution have built a file; only its row is made."""
        await self.database.ask(
            "INSERT INTO exports (project_id, status, manifest, file_path, expires_at, "
            "execution_id, attempt) VALUES ($1, 'completed', '{}', $2, $3, $4, 1)",
            self.project,
            f"{self.project}/{name}",
            expires_at,
            execution,
        )

    async def left(self) -> dict[str, int]:
        """Return how many rows the project has, by table; tables without any are left out."""
        counts = " UNION ALL ".join(
            f"SELECT '{table}' AS name, count(*) AS n FROM {table} WHERE {column} = $1"  # noqa: S608 - names of the models
            for table, column in project_owned().items()
        )
        rows: list[Any] = await self.database.ask(counts, self.project)
        return {row["name"]: row["n"] for row in rows if row["n"]}

    async def ids(self) -> set[UUID]:
        """Return the executions that there are."""
        rows = await self.database.ask(
            "SELECT id FROM agent_executions WHERE project_id = $1", self.project
        )
        return {UUID(str(row["id"])) for row in rows}
