"""Documents: what stands in a project, in which version, and which execution wrote it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from models import AgentExecution, DocumentVersion
from worker.readings.reports import DocumentReport


async def list_documents(session: AsyncSession, project_id: UUID) -> list[DocumentReport]:
    """Return the latest version of every document type, without content, ordered by type."""
    rows = await session.execute(
        _versions(project_id)
        .ext(distinct_on(DocumentVersion.document_type))
        .order_by(DocumentVersion.document_type, DocumentVersion.version.desc())
    )
    return [DocumentReport.model_validate(row) for row in rows.mappings()]


async def read_latest(session: AsyncSession, project_id: UUID) -> list[DocumentReport]:
    """Return the latest version of every document type, with content, ordered by type."""
    rows = await session.execute(
        _versions(project_id)
        .add_columns(DocumentVersion.content)
        .ext(distinct_on(DocumentVersion.document_type))
        .order_by(DocumentVersion.document_type, DocumentVersion.version.desc())
    )
    return [DocumentReport.model_validate(row) for row in rows.mappings()]


async def read_document(
    session: AsyncSession, project_id: UUID, document_type: str, version: int | None
) -> DocumentReport | None:
    """Return one version with its content, the latest where `version` is None."""
    statement = (
        _versions(project_id)
        .add_columns(DocumentVersion.content)
        .where(DocumentVersion.document_type == document_type)
        .order_by(DocumentVersion.version.desc())
        .limit(1)
    )
    if version is not None:
        statement = statement.where(DocumentVersion.version == version)
    row = (await session.execute(statement)).mappings().one_or_none()
    return None if row is None else DocumentReport.model_validate(row)


def _versions(project_id: UUID) -> Select[Any]:
    document = DocumentVersion
    same = document.__table__.alias("same")
    count = (
        select(func.max(same.c.version))
        .where(same.c.project_id == document.project_id)
        .where(same.c.document_type == document.document_type)
        .correlate(document)
        .scalar_subquery()
    )
    return (
        select(
            document.document_type,
            document.version,
            # Versions are numbered without gaps, so the highest number is how many there are.
            count.label("versions"),
            document.readability_score,
            document.grammar_score,
            document.base_version,
            func.coalesce(document.metadata_, func.jsonb_build_object()).label("metadata"),
            document.created_at,
            document.created_by,
            document.execution_id,
            document.attempt,
            AgentExecution.agent_type,
        )
        .join(
            AgentExecution,
            (AgentExecution.project_id == document.project_id)
            & (AgentExecution.id == document.execution_id),
        )
        .where(document.project_id == project_id)
    )
