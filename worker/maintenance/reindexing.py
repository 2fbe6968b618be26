"""Building indexes anew, one at a time, beside workers at work.

REINDEX CONCURRENTLY builds a second index, waits for transactions that are older than it, and swaps
the two. Where a wait is given up, the second one is left behind, invalid, and costs every write:
such leftovers are dropped before every try, the next run's too. Only the owner may drop an index,
so they are told where no owner's connection is given.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import asyncpg

from models.roles import OWNER
from models.tables import Base
from worker.addresses import DIRECT, connection_options
from worker.backoff import Backoff
from worker.errors import (
    CopydeskError,
    DatabaseUnavailableError,
    InputInvalidError,
    SettingsError,
)
from worker.ledger.faults import FAULTS, translate

_TRIES = 5
_AGAIN = Backoff(first=timedelta(seconds=1), cap=timedelta(seconds=15), jitter=0.5)

# The statements are made by the server, which quotes the names; %s is CONCURRENTLY or nothing.
_INDEXES = """
    SELECT c.relname::text AS name, t.relname::text AS of_table,
           pg_relation_size(c.oid) AS size,
           format('REINDEX INDEX %s public.%I', $2::text, c.relname) AS statement
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY ($1::text[])
        AND c.relname !~ '_cc(new|old)[0-9]*$'
    ORDER BY t.relname, c.relname
"""
_LEFTOVERS = """
    SELECT c.relname::text AS name,
           format('DROP INDEX CONCURRENTLY IF EXISTS public.%I', c.relname) AS statement
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY ($1::text[])
        AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
    ORDER BY c.relname
"""
_SIZE = "SELECT pg_relation_size(to_regclass(quote_ident($1)))"
_PATIENCE = (
    "SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', '0', false)"
)
_BECOME_OWNER = "SELECT set_config('role', $1, false)"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One index: its sizes in bytes, and how long it took in seconds."""

    name: str
    of_table: str
    before: int
    after: int
    seconds: float


class Reindexer:
    """Rebuilds the indexes of copydesk's tables.

    Args:
        connection: as copydesk_maintenance, outside any transaction.
        owner: as the owner or an administrator, to drop what was left behind; may be None.
        patience: seconds to wait for a lock, or for older transactions, before trying again later.
        again: how much later.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        owner: asyncpg.Connection | None,
        *,
        patience: float,
        again: Backoff = _AGAIN,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._patience = f"{int(patience * 1000)}ms"
        self._again = again

    async def rebuild(self, table: str | None, *, concurrently: bool) -> AsyncIterator[Rebuilt]:
        """Rebuild every index, or those of one table; yield each when it is done.

        Raises:
            InputInvalidError: there is no such table.
            DatabaseUnavailableError: an index could not be had in several tries.
            CopydeskError: `index_leftovers`, where only the owner can drop them.
        """
        tables = _tables(table)
        for connection in filter(None, (self._connection, self._owner)):
            await connection.execute(_PATIENCE, self._patience)
        await self._patiently(tables, "leftovers", None)
        how = "CONCURRENTLY" if concurrently else ""
        for row in await self._connection.fetch(_INDEXES, tables, how):
            began = monotonic()
            await self._patiently(tables, row["name"], row["statement"])
            after = await self._connection.fetchval(_SIZE, row["name"])
            yield Rebuilt(
                row["name"], row["of_table"], row["size"], after or 0, monotonic() - began
            )

    async def _patiently(self, tables: list[str], name: str, statement: str | None) -> None:
        """Drop what was left behind and run the statement, again and again where others hold on."""
        for tries in range(1, _TRIES + 1):
            try:
                await self._drop_leftovers(tables)
                if statement is not None:
                    await self._connection.execute(statement)
            except asyncpg.UndefinedObjectError:
                return  # dropped meanwhile
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                if tries < _TRIES:
                    await asyncio.sleep(self._again.delay(tries).total_seconds())
            else:
                return
        raise DatabaseUnavailableError(
            f"{name}: others held the table, or a transaction stayed open, in each of {_TRIES} "
            "tries; when pg_stat_activity shows no long one, call it again, which also drops what "
            "these tries left"
        )

    async def _drop_leftovers(self, tables: list[str]) -> None:
        left = await self._connection.fetch(_LEFTOVERS, tables)
        if not left:
            return
        if self._owner is None:
            statements = "; ".join(row["statement"] for row in left)
            raise CopydeskError(
                "an index that was never finished is left, and only the owner may drop it; set "
                f"COPYDESK_OWNER_URL, or run as {OWNER}: {statements}",
                code="index_leftovers",
            )
        for row in left:
            await self._owner.execute(row["statement"])


@asynccontextmanager
async def opened_reindexer(
    url: str, owner_url: str | None, *, patience: float, again: Backoff = _AGAIN
) -> AsyncIterator[Reindexer]:
    """Connect as copydesk_maintenance, and, where a URL is given, as the owner."""
    # Around the ends of the connections too: to close one that was cut is a fault as well.
    try:
        async with AsyncExitStack() as stack:
            connection, owner = await _connected(url), None
            stack.push_async_callback(connection.close)
            if owner_url is not None:
                owner = await _connected(owner_url)
                stack.push_async_callback(owner.close)
                await owner.execute(_BECOME_OWNER, OWNER)
            yield Reindexer(connection, owner, patience=patience, again=again)
    except FAULTS as error:
        raise translate(error) from None


async def _connected(url: str) -> asyncpg.Connection:
    settings = {**DIRECT, "application_name": "copydesk reindex"}
    try:
        # No command_timeout: an index may take hours.
        return await asyncpg.connect(
            **connection_options(url), timeout=10, server_settings=settings
        )
    except asyncpg.ProtocolViolationError as error:
        raise SettingsError(
            f"a URL leads to a pooler ({error}): to rebuild indexes takes a session of its own, so "
            "give COPYDESK_MAINTENANCE_URL and COPYDESK_OWNER_URL PostgreSQL's own address"
        ) from None


def _tables(table: str | None) -> list[str]:
    known = sorted(Base.metadata.tables)
    if table is None:
        return known
    if table not in known:
        raise InputInvalidError(f"table: must be one of {', '.join(known)}")
    return [table]
