"""The scoped reader agents get: documents of the one project their execution belongs to."""

from typing import Any
from uuid import UUID

from worker.agents.context import Document
from worker.ledger import MovePool
from worker.strict_json import decode

_READ = "SELECT * FROM read_documents($1, $2, $3)"


class ProjectReader:
    """Reads documents of one project; each read is one call, over at once."""

    def __init__(self, pool: MovePool, project_id: UUID) -> None:
        self._pool = pool
        self._project_id = project_id

    async def document(self, document_type: str, version: int | None) -> Document | None:
        """Return one version, or the latest where `version` is None; None where there is none."""
        rows = await self._pool.call(_READ, self._project_id, document_type, version)
        return _document(rows[0]) if rows else None

    async def latest_documents(self) -> list[Document]:
        """Return the latest version of every document type, ordered by type."""
        rows = await self._pool.call(_READ, self._project_id, None, None)
        return [_document(row) for row in rows]


def _document(row: Any) -> Document:  # noqa: ANN401 - a record of the driver
    return Document(**{**row, "metadata": decode(row["metadata"])})
