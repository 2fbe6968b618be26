"""Imports a project from an archive: every row and file of it, or nothing.

The files are put in place first, then all rows in one transaction: a row that can be seen has its
file. Users are known by their email address; ids of everything else stay as they are. Nothing that
is imported is pending, so no worker begins anything.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from models.projects import Project
from worker.database import Database
from worker.errors import (
    CopydeskError,
    DatabaseUnavailableError,
    InputInvalidError,
    ProjectExistsError,
    SettingsError,
)
from worker.maintenance.archive.checking import RowChecker, check_exports, checked_users
from worker.maintenance.archive.format import COLUMNS, FILES, USERS
from worker.maintenance.archive.inserting import insert_lines, insertion
from worker.maintenance.archive.reading import Archive
from worker.maintenance.archive.users import ArchivedUser, resolve
from worker.maintenance.files import ExportFiles
from worker.maintenance.rows import Counts


class ProjectImporter:
    """Imports projects; `database` is as copydesk_maintenance, `files` the exports directory."""

    def __init__(self, database: Database, files: ExportFiles | None) -> None:
        self._database = database
        self._files = files

    async def import_project(self, archive: Archive, *, owner_email: str | None = None) -> Counts:
        """Take a project in; return how many rows and files came, and how many users were new.

        Args:
            archive: what was opened; it is verified before anything is written.
            owner_email: the user who is to own the project here, created where there is none.

        Raises:
            ArchiveInvalidError: it is damaged, was changed, or holds what no project may hold.
            ProjectExistsError: the project, or something with the id of a part of it, is here.
            SettingsError: it has files, and no exports directory is configured.
            DatabaseUnavailableError: call it again.
        """
        archive.verify()
        project_id = archive.manifest.project_id
        users = checked_users(archive)
        check_exports(archive)
        if owner_email is not None and ("@" not in owner_email or not owner_email.isprintable()):
            raise InputInvalidError("--owner-email: must be an email address")
        if await self._exists(project_id):
            raise ProjectExistsError(
                f"project_id: there is a project {project_id} already; delete it, or leave it"
            )
        written = self._write_files(archive)
        try:
            counts = await self._insert(archive, users, owner_email)
        except DatabaseUnavailableError:
            # The answer to the commit may have been lost: then the files are somebody's.
            if not await self._may_be_there(project_id):
                self._discard(project_id, written)
            raise
        except BaseException:
            self._discard(project_id, written)
            raise
        counts["files"] = len(archive.file_names)
        return counts

    async def _exists(self, project_id: UUID) -> bool:
        async with self._database.project(project_id, snapshot=True) as session:
            found = select(Project.id).where(Project.id == project_id)
            return await session.scalar(found) is not None

    async def _may_be_there(self, project_id: UUID) -> bool:
        try:
            return await self._exists(project_id)
        except CopydeskError:
            return True

    def _write_files(self, archive: Archive) -> list[str]:
        """Put the files in place; those that an earlier try has left are the same, and stay."""
        project_id, files = archive.manifest.project_id, self._files
        written: list[str] = []
        if files is None:
            if archive.file_names:
                raise SettingsError(
                    "COPYDESK_EXPORTS_DIRECTORY is not set, and the archive has export files; "
                    "name the directory that the workers write to"
                )
            return written
        try:
            for name in archive.file_names:
                if not _is_there(files, archive, name):
                    with archive.opened(FILES + name) as content:
                        files.add(project_id, name, content)
                    written.append(name)
        except BaseException:
            self._discard(project_id, written)
            raise
        return written

    def _discard(self, project_id: UUID, written: Sequence[str]) -> None:
        if self._files is not None:
            self._files.remove(project_id, written)
            self._files.remove_empty(project_id)

    async def _insert(
        self, archive: Archive, users: Sequence[ArchivedUser], owner_email: str | None
    ) -> Counts:
        project_id = archive.manifest.project_id
        checker = RowChecker(project_id, [str(user.id) for user in users])
        everybody = [*users]
        if owner_email is not None:
            everybody.append(ArchivedUser(None, owner_email, owner_email.split("@", 1)[0]))
        counts: Counts = Counter()
        async with self._database.project(project_id) as session:
            resolved = await resolve(session, everybody)
            counts[USERS] = resolved.created
            owner = None if owner_email is None else resolved.ids[owner_email]
            parameters = {
                "users": {str(user.id): str(resolved.ids[user.email]) for user in users},
                "missing": archive.manifest.missing_files,
            }
            for table in COLUMNS:
                if table != USERS:
                    statement = insertion(table, owner=owner)
                    lines = archive.lines(table)
                    counts[table] = await insert_lines(
                        session, table, lines, checker, statement, parameters
                    )
        return counts


def _is_there(files: ExportFiles, archive: Archive, name: str) -> bool:
    with files.opened(archive.manifest.project_id, name) as content:
        if content is None:
            return False
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return digest == archive.manifest.members[FILES + name].sha256
