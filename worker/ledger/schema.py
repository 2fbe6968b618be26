"""A statement that does not fit the schema: told with the schema's revision, and what to do.

The revision is looked up after such a fault only, so that calls that succeed pay nothing.
"""

from collections.abc import Awaitable, Callable

import asyncpg

import migrations
from worker.errors import CopydeskError, SchemaMismatchError
from worker.ledger.faults import FAULTS, doubts_schema, translate

READ_REVISION = "SELECT version_num FROM alembic_version"

_NO_TABLE = asyncpg.UndefinedTableError.sqlstate


async def explained(
    error: BaseException, read_revision: Callable[[], Awaitable[str | None]]
) -> CopydeskError:
    """Return the copydesk error that says what the driver's `error` means.

    Args:
        error: what PostgreSQL or the driver said.
        read_revision: runs `READ_REVISION` on the same database, and lets errors through.
    """
    fault = translate(error)
    if not doubts_schema(getattr(error, "sqlstate", None)):
        return fault
    try:
        found = await read_revision()
    except FAULTS as unread:
        if getattr(unread, "sqlstate", None) != _NO_TABLE:
            return fault
        found = None
    said = migrations.disagreement(found, migrations.latest())
    return SchemaMismatchError(said) if said else fault
