"""The connections of the moves: a plain asyncpg pool on which each call is its own transaction.

A connection is handed back without a reset: every call sets its scope for its own transaction only,
so nothing of it is left, and the reset would cost a quarter of the throughput.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Self

import asyncpg

from worker.ledger.faults import FAULTS, translate

Check = Callable[[list[Any]], None]

_SPOILT = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
)


async def _leave_as_is(connection: asyncpg.Connection) -> None:
    """Do nothing where asyncpg would reset the session."""


async def _fetch(
    connection: asyncpg.Connection,
    statement: str,
    arguments: tuple[object, ...],
    check: Check | None,
) -> list[Any]:
    rows: list[Any]
    if check is None:
        rows = await connection.fetch(statement, *arguments)
        return rows
    async with connection.transaction():
        rows = await connection.fetch(statement, *arguments)
        check(rows)
    return rows


class MovePool:
    """Connections of one role, opened when first needed, each call with a time limit.

    Args:
        url: PostgreSQL URL, with the role in it.
        size: connections at most.
        timeout: seconds one call may take, connecting included, before it counts as unanswered.
        name: shown as application_name in pg_stat_activity.
    """

    def __init__(self, url: str, *, size: int, timeout: float = 35, name: str = "copydesk") -> None:
        self._url = url
        self._size = size
        self._timeout = timeout
        self._name = name
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def call(
        self, statement: str, *arguments: object, check: Check | None = None
    ) -> list[Any]:
        """Run one statement, which is one transaction, and return its rows.

        Args:
            statement: SQL with $1, $2, ... for the arguments.
            arguments: what stands for them.
            check: looks at the rows before they are committed; what it raises undoes them.

        Raises:
            CopydeskError: what PostgreSQL's fault means; `retryable` where trying again may help.
        """
        try:
            pool = self._pool or await self._open()
            async with asyncio.timeout(self._timeout), pool.acquire() as connection:
                try:
                    return await _fetch(connection, statement, arguments, check)
                except _SPOILT:
                    # Cut in the middle of something, or to a server that cannot write: nobody must
                    # be handed it again, and a new one may reach the primary.
                    connection.terminate()
                    raise
        except FAULTS as error:
            raise translate(error) from None

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._size,
                    timeout=10,
                    command_timeout=self._timeout,
                    reset=_leave_as_is,
                    server_settings={"application_name": self._name},
                )
            return self._pool

    async def close(self) -> None:
        """Close every connection; calls under way are given a moment to end."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
