"""Searches: documents and executions by what their JSON contains, and documents by their words."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import cast

from models.documents import DocumentVersion
from models.executions import AgentExecution
from worker.errors import SearchUnavailableError
from worker.readings.documents import latest_versions
from worker.reports import FoundExecution, FoundText, FoundVersion

# Below it words have little more in common than their language.
_LEAST_SIMILAR = 0.5


async def find_versions(
    session: AsyncSession, project_id: UUID, metadata: str, limit: int
) -> list[FoundVersion]:
    """Return the latest versions whose metadata contain a value, given as JSON text."""
    version = DocumentVersion
    statement = select(
        version.document_type,
        version.version,
        version.metadata_.label("metadata"),
        version.created_at,
        version.execution_id,
    )
    rows = await session.execute(_containing(statement, version, project_id, metadata, limit))
    return [FoundVersion.model_validate(row) for row in rows.mappings()]


async def find_executions(
    session: AsyncSession, project_id: UUID, output: str, limit: int
) -> list[FoundExecution]:
    """Return the latest executions whose output contains a value, given as JSON text."""
    execution = AgentExecution
    statement = select(
        execution.id.label("execution_id"),
        execution.correlation_id,
        execution.agent_type,
        execution.status,
        execution.output_data.label("output"),
        execution.created_at,
        execution.completed_at,
    )
    rows = await session.execute(_containing(statement, execution, project_id, output, limit))
    return [FoundExecution.model_validate(row) for row in rows.mappings()]


async def find_text(
    session: AsyncSession, project_id: UUID, words: str, limit: int
) -> list[FoundText]:
    """Return documents whose latest version has words like these, the most similar first.

    It compares the latest version of each document, and needs no index for that.

    Raises:
        SearchUnavailableError: the database has no pg_trgm.
    """
    known = func.to_regprocedure("word_similarity(text,text)").cast(Text)
    if (await session.execute(select(known))).scalar_one() is None:
        raise SearchUnavailableError(
            "text search needs the extension pg_trgm, which this database does not have; "
            "as an administrator, run CREATE EXTENSION pg_trgm in it"
        )
    version = DocumentVersion
    latest = latest_versions(
        project_id,
        select(
            version.document_type,
            version.version,
            func.word_similarity(words, version.content).label("similarity"),
            version.created_at,
            version.execution_id,
        ).where(version.project_id == project_id),
    ).subquery("latest")
    rows = await session.execute(
        select(latest)
        .where(latest.c.similarity >= _LEAST_SIMILAR)
        .order_by(latest.c.similarity.desc(), latest.c.document_type)
        .limit(limit)
    )
    return [FoundText.model_validate(row) for row in rows.mappings()]


def _containing(
    statement: Select[Any],
    table: type[DocumentVersion | AgentExecution],
    project_id: UUID,
    contained: str,
    limit: int,
) -> Select[Any]:
    """Narrow a selection to what `find_containing` found, which row level security sees again."""
    found = (
        func.find_containing(
            project_id, table.__tablename__, cast(literal(contained, Text), JSONB), limit
        )
        .table_valued("id", with_ordinality="place", name="found")
        .render_derived()
    )
    return (
        statement.join(found, found.c.id == table.id)
        .where(table.project_id == project_id)
        .order_by(found.c.place)
    )
