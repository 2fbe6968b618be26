"""Export files that nobody needs any more: expired ones, and those that no row names.

An expired file goes, and its row says so. A file without a row was left by a worker that was killed
between the two (decision 0013); it is removed when it is older than a day, since by then its worker
has recorded the row or lost the attempt.
"""

import time
from collections import Counter
from collections.abc import Collection
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from models.documents import Export
from worker.database import Database
from worker.maintenance.files import ExportFiles, name_in
from worker.maintenance.patience import patiently
from worker.maintenance.rows import Counts

FILES, EXPIRED = "files", "expired"
"""What is counted: files that go, and rows that become `expired`."""

_OLD = 86_400.0
_BATCH = 1000


class Leftovers:
    """Removes the files of one project after the other, as copydesk_maintenance."""

    def __init__(self, database: Database, files: ExportFiles) -> None:
        self._database = database
        self._files = files

    async def prune(self, project_id: UUID, counted: Collection[str], *, for_real: bool) -> Counts:
        """Remove what expired, and what is nobody's; return how many files and rows.

        Args:
            project_id: the project; one that exists no more has nobody's files only.
            counted: files that go for another reason.
            for_real: remove; otherwise only count.
        """
        expired: list[str] = []
        if for_real:
            while some := await patiently(partial(self._mark_expired, project_id)):
                expired += some
        async with self._database.project(project_id, snapshot=True) as session:
            if not for_real:
                expired = await _paths(session, select(Export.file_path).where(*_over(project_id)))
            needed = await _needed(session, project_id)
        over = {path: name_in(project_id, path) for path in expired}
        going = {name for name in over.values() if name} | set(counted)
        now = time.time()
        there = [
            file.name
            for file in self._files.of(project_id)
            if file.name in going or (file.name not in needed and now - file.modified > _OLD)
        ]
        files = self._files.remove(project_id, there) if for_real else len(there)
        others = [path for path, name in over.items() if name not in counted]
        return Counter({EXPIRED: len(others), FILES: files})

    async def _mark_expired(self, project_id: UUID) -> list[str]:
        """Mark a batch of expired rows; return the paths of their files."""
        some = select(Export.id).where(*_over(project_id)).limit(_BATCH)
        async with self._database.project(project_id) as session:
            return await _paths(
                session,
                update(Export)
                .where(Export.project_id == project_id)
                .where(Export.id.in_(some.with_for_update(skip_locked=True)))
                .values(status="expired")
                .returning(Export.file_path),
            )


def _over(project_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        Export.project_id == project_id,
        Export.status == "completed",
        Export.expires_at < func.now(),
    )


async def _paths(session: AsyncSession, statement: Executable) -> list[str]:
    return [row[0] or "" for row in await session.execute(statement)]


async def _needed(session: AsyncSession, project_id: UUID) -> set[str]:
    """Return the names of the files that rows name which have not expired."""
    paths = await session.scalars(
        select(Export.file_path).where(
            Export.project_id == project_id, Export.status.in_(["completed", "pending"])
        )
    )
    return {name for path in paths if (name := name_in(project_id, path))}
