"""Takes the lines of an archive into a table; PostgreSQL reads the JSON itself.

So every value comes back exactly as it went out: numbers of any size, times to the microsecond.
"""

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Insert,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from models.tables import Base
from worker.errors import ArchiveInvalidError, CopydeskError, ProjectExistsError
from worker.ledger.faults import translate
from worker.maintenance.archive.checking import RowChecker
from worker.maintenance.archive.format import COLUMNS, member_of

_MOST_ROWS = 500
_MOST_BYTES = 4 << 20
_UNIQUE = "23505"
_USER_COLUMNS = frozenset({"created_by", "requested_by"})


def insertion(table: str, *, owner: UUID | None) -> Insert:
    """Return the statement that inserts rows of a table.

    Its parameters are `lines`, a JSON array of rows; `users`, an object that leads from each user's
    id in the archive to the one here; and `missing`, the paths of files that the archive lacks.
    `owner`, where given, becomes the project's owner.
    """
    target = Base.metadata.tables[table]
    names = COLUMNS[table]
    lines = cast(bindparam("lines", type_=Text), JSON)
    rows = (
        func.json_to_recordset(lines)
        .table_valued(*(column(name, target.c[name].type) for name in names))
        .render_derived(name="r", with_types=True)
    )
    values: list[ColumnElement] = []  # type: ignore[type-arg]
    for name in names:
        value: ColumnElement = rows.c[name]  # type: ignore[type-arg]
        if name in _USER_COLUMNS:
            users = bindparam("users", type_=JSONB)
            value = cast(users[cast(value, Text)].astext, Uuid)
        if table == "projects" and name == "created_by" and owner is not None:
            value = literal(owner, Uuid)
        if table == "exports" and name == "status":
            # A row that is completed has its file; where that is lost, it has expired.
            missing = bindparam("missing", type_=ARRAY(Text))
            value = case((rows.c.file_path == any_(missing), "expired"), else_=value)
        values.append(value)
    return insert(target).from_select(names, select(*values).select_from(rows))


async def insert_lines(
    session: AsyncSession,
    table: str,
    lines: Iterable[bytes],
    checker: RowChecker,
    statement: Insert,
    parameters: Mapping[str, object],
) -> int:
    """Insert all lines of a table with `insertion`'s statement; return how many there were.

    Raises:
        ArchiveInvalidError: a line is no row of the project, or the database refuses it.
        ProjectExistsError: a row has the id of one that is here.
    """
    number = 0
    for batch in _batches(lines):
        first = number + 1
        for line in batch:
            number += 1
            checker.checked(table, number, line)
        try:
            text = f"[{b','.join(batch).decode()}]"
            await session.execute(statement, {"lines": text, **parameters})
        except DBAPIError as error:
            raise _refusal(error, f"{member_of(table)}, lines {first} to {number}") from None
    return number


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == _MOST_ROWS or size + len(line) > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def _refusal(error: DBAPIError, where: str) -> CopydeskError:
    cause = (error.orig and error.orig.__cause__) or error.orig or error
    meant = translate(cause)
    if meant.retryable:
        return meant
    state, constraint = getattr(cause, "sqlstate", None), getattr(cause, "constraint_name", None)
    if state == _UNIQUE:
        return ProjectExistsError(
            f"{where}: something with such an id is here already ({constraint}); a project is "
            "imported once, into a database that it was never in"
        )
    return ArchiveInvalidError(
        f"{where}: PostgreSQL refuses them (SQLSTATE {state}, constraint {constraint or 'none'})"
    )
