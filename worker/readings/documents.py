"""Documents: what stands in a project, in which version, and which execution wrote it."""

from typing import Any
from uuid import UUID

from sqlalchemy import CTE, Select, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from models.documents import DocumentVersion
from models.executions import AgentExecution
from worker.reports import DocumentReport


async def list_documents(session: AsyncSession, project_id: UUID) -> list[DocumentReport]:
    """Return the latest version of every document type, without content, ordered by type."""
    rows = await session.execute(latest_versions(project_id, described_versions(project_id)))
    return [DocumentReport.model_validate(row) for row in rows.mappings()]


async def read_document(
    session: AsyncSession, project_id: UUID, document_type: str, version: int | None
) -> DocumentReport | None:
    """Return one version with its content, the latest where `version` is None."""
    statement = (
        described_versions(project_id)
        .add_columns(DocumentVersion.content)
        .where(DocumentVersion.document_type == document_type)
        .order_by(DocumentVersion.version.desc())
        .limit(1)
    )
    if version is not None:
        statement = statement.where(DocumentVersion.version == version)
    row = (await session.execute(statement)).mappings().one_or_none()
    return None if row is None else DocumentReport.model_validate(row)


def document_types(project_id: UUID) -> CTE:
    """Return the document types of a project, however many versions each has; the last is NULL.

    One step on the index for each: every type is looked up from the one before.
    """
    table = DocumentVersion.__table__
    first, later = table.alias("first"), table.alias("later")
    types = (
        select(func.min(first.c.document_type).label("document_type"))
        .where(first.c.project_id == project_id)
        .cte("types", recursive=True)
    )
    following = (
        select(func.min(later.c.document_type))
        .where(later.c.project_id == project_id, later.c.document_type > types.c.document_type)
        .scalar_subquery()
    )
    return types.union_all(select(following).where(types.c.document_type.is_not(None)))


def described_versions(project_id: UUID) -> Select[Any]:
    """Return a selection of versions of a project, each as a DocumentReport tells it."""
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


def latest_versions(project_id: UUID, versions: Select[Any]) -> Select[Any]:
    """Return of a selection of versions the latest of each document type, ordered by type."""
    types = document_types(project_id)
    latest = (
        versions.where(DocumentVersion.document_type == types.c.document_type)
        .order_by(DocumentVersion.version.desc())
        .limit(1)
        .lateral("latest")
    )
    return select(latest).select_from(types.join(latest, true())).order_by(types.c.document_type)
