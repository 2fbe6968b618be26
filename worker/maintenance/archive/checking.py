"""What the rows of an archive have to be before the database is asked to take them."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from models.states import FINAL
from worker.errors import ArchiveInvalidError
from worker.identifiers import parse_id
from worker.maintenance.archive.format import COLUMNS, USERS, member_of
from worker.maintenance.archive.reading import Archive
from worker.maintenance.archive.users import ArchivedUser
from worker.maintenance.files import name_in

_LONGEST_NAME = 255

Row = dict[str, Any]


class RowChecker:
    """Checks the rows of one archive; `users` are the ids it explains."""

    def __init__(self, project_id: UUID, users: Sequence[str] = ()) -> None:
        self._project_id = str(project_id)
        self._users = frozenset(users)

    def checked(self, table: str, number: int, line: bytes) -> Row:
        """Return the row of a line, the `number`-th of its table.

        Raises:
            ArchiveInvalidError: it is no row of the table, or one of another project, or not ended.
        """
        where = f"{member_of(table)}, line {number}"
        try:
            row = json.loads(line, object_pairs_hook=_unique, parse_int=str, parse_float=str)
        except (ValueError, RecursionError) as error:
            raise ArchiveInvalidError(f"{where}: is no JSON ({type(error).__name__})") from None
        if not isinstance(row, dict) or set(row) != set(COLUMNS[table]):
            raise ArchiveInvalidError(f"{where}: has not the fields of the format")
        if table != USERS:
            self._check_owner(where, table, row)
        return row

    def _check_owner(self, where: str, table: str, row: Row) -> None:
        owner = row["id"] if table == "projects" else row["project_id"]
        if owner != self._project_id:
            raise ArchiveInvalidError(f"{where}: belongs to another project")
        for name in ("created_by", "requested_by"):
            if name in row and row[name] not in self._users:
                raise ArchiveInvalidError(f"{where}: {name} is none of the archive's users")
        if table == "agent_executions" and row["status"] not in [state.value for state in FINAL]:
            raise ArchiveInvalidError(
                f"{where}: has not ended, and an import must not start anything"
            )


def checked_users(archive: Archive) -> list[ArchivedUser]:
    """Return the users of an archive."""
    checker = RowChecker(archive.manifest.project_id)
    users = []
    for number, line in enumerate(archive.lines(USERS), 1):
        row = checker.checked(USERS, number, line)
        where, email, name = f"{member_of(USERS)}, line {number}", row["email"], row["name"]
        if not isinstance(email, str) or "@" not in email or not email.isprintable():
            raise ArchiveInvalidError(f"{where}: email must be an email address")
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or "\x00" in name:
            raise ArchiveInvalidError(f"{where}: name must be text of at most {_LONGEST_NAME}")
        try:
            users.append(ArchivedUser(parse_id(row["id"]), email, name))
        except ValueError as error:
            raise ArchiveInvalidError(f"{where}: id {error}") from None
    if len({user.id for user in users}) + len({user.email for user in users}) != 2 * len(users):
        raise ArchiveInvalidError(f"{member_of(USERS)}: has a user twice")
    return users


def check_exports(archive: Archive) -> None:
    """Check that rows and files belong together, and that no path leads anywhere else."""
    manifest = archive.manifest
    checker = RowChecker(manifest.project_id)
    wanted = set()
    for number, line in enumerate(archive.lines("exports"), 1):
        row = checker.checked("exports", number, line)
        name = name_in(manifest.project_id, row["file_path"])
        if name is None and (row["file_path"] is not None or row["status"] == "completed"):
            raise ArchiveInvalidError(
                f"{member_of('exports')}, line {number}: file_path leads out of the project's "
                "directory"
            )
        if row["status"] == "completed" and row["file_path"] not in manifest.missing_files:
            wanted.add(name)
    if wanted != set(archive.file_names):
        raise ArchiveInvalidError(
            f"FILE: its files are not those that {member_of('exports')} names"
        )


def _unique(pairs: list[tuple[str, Any]]) -> Row:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("the same key twice")
    return made
