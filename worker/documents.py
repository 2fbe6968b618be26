"""The scoped reader agents get: documents of the one project their execution belongs to."""

from uuid import UUID

from worker.agents.context import Document
from worker.database import Database
from worker.readings.documents import read_document, read_latest
from worker.readings.reports import DocumentReport


class ProjectReader:
    """Reads documents of one project; each read is a transaction of its own, over at once."""

    def __init__(self, database: Database, project_id: UUID) -> None:
        self._database = database
        self._project_id = project_id

    async def document(self, document_type: str, version: int | None) -> Document | None:
        """Return one version, or the latest where `version` is None; None where there is none."""
        async with self._database.project(self._project_id, snapshot=True) as session:
            found = await read_document(session, self._project_id, document_type, version)
        return None if found is None else _document(found)

    async def latest_documents(self) -> list[Document]:
        """Return the latest version of every document type, ordered by type."""
        async with self._database.project(self._project_id, snapshot=True) as session:
            return [_document(found) for found in await read_latest(session, self._project_id)]


def _document(report: DocumentReport) -> Document:
    return Document(
        document_type=report.document_type,
        version=report.version,
        content=report.content or "",
        metadata=report.metadata,
        readability_score=report.readability_score,
        grammar_score=report.grammar_score,
        created_at=report.created_at,
        execution_id=report.execution_id,
    )
