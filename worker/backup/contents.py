"""What a database holds, as a backup and its restoration look at it: tables, rows, versions."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import MetaData, Table, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import DDL

from models.roles import FUNCTION_OWNERS

SCHEMA = "public"

_OWN_TABLES = text("""
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname
""")

# Relations, functions and types of nobody's extension, in any schema but PostgreSQL's own.
_OBJECTS = text("""
WITH schemas AS (
    SELECT oid FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
), objects AS (
    SELECT 'pg_class'::regclass AS class, oid, oid::regclass::text AS name FROM pg_class
    WHERE relnamespace IN (SELECT oid FROM schemas)
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, oid::regprocedure::text FROM pg_proc
    WHERE pronamespace IN (SELECT oid FROM schemas)
    UNION ALL
    SELECT 'pg_type'::regclass, oid, oid::regtype::text FROM pg_type
    WHERE typnamespace IN (SELECT oid FROM schemas) AND typtype IN ('e', 'd', 'r')
)
SELECT name FROM objects o
WHERE NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i', 'a'))
ORDER BY name
LIMIT 3
""")

_SERVER = text("""
SELECT current_database() AS database, current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major, current_user AS role,
       (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS sees_all
""")

_EXISTS = text("SELECT to_regproc(:name) IS NOT NULL")


class Server(NamedTuple):
    """Who answers, and as whom."""

    database: str
    version: str
    major: int
    role: str
    sees_all: bool


async def read_server(connection: AsyncConnection) -> Server:
    """Return the database, PostgreSQL's version (`18.6`) and the connected role."""
    row = (await connection.execute(_SERVER)).one()
    return Server(row.database, row.version.split()[0], row.major, row.role, row.sees_all)


async def read_tables(connection: AsyncConnection) -> list[str]:
    """Return the tables of the schema, without those of extensions, by name."""
    return [str(name) for name in await connection.scalars(_OWN_TABLES)]


async def read_objects(connection: AsyncConnection) -> list[str]:
    """Return a few of the things that stand in a database that is not empty."""
    return [str(name) for name in await connection.scalars(_OBJECTS)]


async def count_rows(connection: AsyncConnection, tables: Iterable[str]) -> dict[str, int]:
    """Return how many rows each table has; raises where a policy would hide one."""
    await connection.execute(text("SET LOCAL row_security = off"))
    counted = {}
    for name in tables:
        [rows] = await connection.scalars(select(func.count()).select_from(_table(name)))
        counted[name] = int(rows)
    return counted


async def count_as_owner(connection: AsyncConnection, tables: Iterable[str]) -> dict[str, int]:
    """Do what `count_rows` does as the owner, from whom the policies hide every row too.

    The owner lays that aside for itself in a transaction that is rolled back.
    """
    names = list(tables)
    async with connection.begin() as transaction:
        no_force: DDL = DDL(  # type: ignore[no-untyped-call]
            "ALTER TABLE %(fullname)s NO FORCE ROW LEVEL SECURITY"
        )
        for name in names:
            await connection.execute(no_force.against(_table(name)))
        counted = await count_rows(connection, names)
        await transaction.rollback()
    return counted


async def hand_over_functions(connection: AsyncConnection) -> None:
    """Give each function that is not to be the owner's to its own role, with its grants.

    Not pg_restore's to do: it grants after that, when the owner has nothing to grant any more.
    """
    for name, role in FUNCTION_OWNERS.items():
        if await connection.scalar(_EXISTS, {"name": f"{SCHEMA}.{name}"}):
            names = {"schema": SCHEMA, "name": name, "role": role}
            # To be given a function, a role has to be allowed to create in its schema.
            for statement in (
                "GRANT CREATE ON SCHEMA %(schema)s TO %(role)s",
                "ALTER FUNCTION %(name)s OWNER TO %(role)s",
                "REVOKE CREATE ON SCHEMA %(schema)s FROM %(role)s",
            ):
                await connection.execute(DDL(statement, context=names))  # type: ignore[no-untyped-call]
    await connection.commit()


def refusal(error: DBAPIError) -> str:
    """Return what PostgreSQL said, without the rows it may quote below."""
    return str(error.orig).splitlines()[0].rpartition(">: ")[2]


def _table(name: str) -> Table:
    return Table(name, MetaData(), schema=SCHEMA)
