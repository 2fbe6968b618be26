"""Exports a project: all its rows as of one moment, and its export files, as an archive.

An import must not start work, so an archive holds nothing that is pending or running. Where such
executions are wanted in it, they are written as cancelled, at the moment of the snapshot and with
an event that says so; in the database they go on.
"""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from models.executions import AgentExecution
from models.projects import Project
from worker.database import Database
from worker.errors import NotFoundError, ProjectBusyError, SettingsError
from worker.maintenance.archive.format import FILES, FORMAT, USERS, VERSION, Manifest
from worker.maintenance.archive.selecting import (
    UNFINISHED,
    events_of,
    executions_of,
    exports_of,
    project_of,
    users_of,
    versions_of,
)
from worker.maintenance.archive.writing import ArchiveWriter, written_archive
from worker.maintenance.files import ExportFiles, name_in

# Rows that are fetched at once; a document, an input and an output may be large.
_FEW, _MANY = 16, 1000

# How values look as text must not depend on a role's or a server's settings.
_SPELLING = text(
    "SELECT set_config('TimeZone', 'UTC', true), set_config('bytea_output', 'hex', true), "
    "set_config('extra_float_digits', '1', true)"
)
_REVISION = text("SELECT version_num FROM alembic_version")


class ProjectExporter:
    """Exports projects; `database` is as copydesk_maintenance, `files` the exports directory."""

    def __init__(self, database: Database, files: ExportFiles | None) -> None:
        self._database = database
        self._files = files

    async def export(
        self, project_id: UUID, target: Path, *, unfinished_as_cancelled: bool = False
    ) -> Manifest:
        """Write a project into a new file, and return the manifest.

        Raises:
            NotFoundError: there is no such project.
            ProjectBusyError: something is pending or running, and `unfinished_as_cancelled` is not
                set.
            SettingsError: it has export files, and no directory is configured.
            InputInvalidError: the file exists, or cannot be written.
        """
        with written_archive(target) as archive:
            async with self._database.project(project_id, snapshot=True) as session:
                await session.execute(_SPELLING)
                await _check(session, project_id, unfinished_as_cancelled)
                revision = str((await session.execute(_REVISION)).scalar_one())
                moment: datetime = (await session.execute(select(func.now()))).scalar_one()
                paths = await _write_rows(session, project_id, archive, unfinished_as_cancelled)
            manifest = Manifest(
                format=FORMAT,
                version=VERSION,
                project_id=project_id,
                schema_revision=revision,
                exported_at=moment,
                members=archive.members,
                missing_files=self._write_files(project_id, paths, archive),
            )
            archive.add_manifest(manifest)
        return manifest

    def _write_files(self, project_id: UUID, paths: list[str], archive: ArchiveWriter) -> list[str]:
        """Write the files of these rows; return the paths of those that are not there."""
        if paths and self._files is None:
            raise SettingsError(
                "COPYDESK_EXPORTS_DIRECTORY is not set, and the project has export files; "
                "name the directory that the workers write to"
            )
        missing = []
        for path in dict.fromkeys(paths):
            name = name_in(project_id, path)
            if name is None or self._files is None:
                missing.append(path)
                continue
            with self._files.opened(project_id, name) as content:
                if content is None:
                    missing.append(path)
                else:
                    archive.add_file(FILES + name, content)
        return missing


async def _check(session: AsyncSession, project_id: UUID, unfinished_as_cancelled: bool) -> None:
    if await session.scalar(select(Project.id).where(Project.id == project_id)) is None:
        raise NotFoundError("project_id: there is no such project")
    number = await session.scalar(
        select(func.count())
        .where(AgentExecution.project_id == project_id)
        .where(AgentExecution.status.in_(UNFINISHED))
    )
    if number and not unfinished_as_cancelled:
        raise ProjectBusyError(
            f"project_id: {number} executions are pending or running; wait for them, cancel them, "
            "or let the archive hold them as cancelled with --unfinished-as-cancelled"
        )


async def _write_rows(
    session: AsyncSession, project_id: UUID, archive: ArchiveWriter, unfinished_as_cancelled: bool
) -> list[str]:
    """Write every table; return the paths of the export files that have to be there."""
    paths: list[str] = []

    async def noting_paths(lines: AsyncIterator[str]) -> AsyncIterator[str]:
        async for line in lines:
            row = json.loads(line)
            if row["status"] == "completed":
                paths.append(row["file_path"])
            yield line

    def rows(statement: Select[str], at_once: int) -> AsyncIterator[str]:
        return _stream(session, statement, at_once)

    await archive.add_rows(USERS, rows(users_of(project_id), _MANY))
    await archive.add_rows("projects", rows(project_of(project_id), _FEW))
    await archive.add_rows(
        "agent_executions",
        rows(executions_of(project_id, repeating=False), _FEW),
        # Behind what they repeat, and behind each other as they were asked for.
        rows(executions_of(project_id, repeating=True), _FEW),
    )
    events = events_of(project_id, unfinished_as_cancelled=unfinished_as_cancelled)
    await archive.add_rows("execution_events", rows(events, _MANY))
    await archive.add_rows("document_versions", rows(versions_of(project_id), _FEW))
    await archive.add_rows("exports", noting_paths(rows(exports_of(project_id), _MANY)))
    return paths


async def _stream(
    session: AsyncSession, statement: Select[str], at_once: int
) -> AsyncIterator[str]:
    found = await session.stream_scalars(statement.execution_options(yield_per=at_once))
    async for line in found:
        yield line
