"""The connections of the moves: each call is one statement, and that one transaction.

A call that is one transaction leaves nothing behind in its session, so that a connection needs no
reset between two. And all of a call's time limit is one entry in a table that a timer looks at now
and then. So a call costs the worker a third of what it costs through the driver's own pool, which
has to expect anything.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import asyncpg

from worker.addresses import connection_options
from worker.errors import CopydeskError
from worker.ledger.faults import FAULTS
from worker.ledger.schema import READ_REVISION, explained

Check = Callable[[list[Any]], None]

_CONNECT_WITHIN = 10.0
_CLOSE_WITHIN = 5.0
_IDLE_AT_MOST = 300.0
_LOOKS = 4


class MovePool:
    """Connections of one role, opened when first needed, each call with a time limit.

    Args:
        url: PostgreSQL URL, with the role in it.
        size: connections at most.
        timeout: seconds one call may take, before it counts as unanswered.
        name: shown as application_name in pg_stat_activity.
    """

    def __init__(self, url: str, *, size: int, timeout: float = 35, name: str = "copydesk") -> None:
        self._url = url
        self._size = size
        self._timeout = timeout
        self._name = name
        self._open = 0
        # The one that was used last is the first to be used again.
        self._idle: list[tuple[asyncpg.Connection, float]] = []
        self._busy: dict[asyncpg.Connection, float] = {}
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._calm = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

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
            return await self._call(statement, arguments, check)
        except FAULTS as error:
            raise await explained(error, self._read_revision) from None

    async def _call(
        self, statement: str, arguments: tuple[object, ...] = (), check: Check | None = None
    ) -> list[Any]:
        connection = self._take() or await self._wait_or_open()
        keep = False
        try:
            rows = await self._run(connection, statement, arguments, check)
            keep = True
        except (asyncpg.PostgresError, CopydeskError) as error:
            keep = not _spoils(error)
            raise
        except (AttributeError, RuntimeError):
            # The driver and uvloop stumble over a link that is cut between two steps of a call.
            if connection.is_closed():
                raise asyncpg.ConnectionDoesNotExistError("the connection was cut") from None
            raise
        finally:
            self._give_back(connection, keep=keep)
        return rows

    async def _read_revision(self) -> str | None:
        rows = await self._call(READ_REVISION)
        return rows[0]["version_num"] if rows else None

    async def _run(
        self,
        connection: asyncpg.Connection,
        statement: str,
        arguments: tuple[object, ...],
        check: Check | None,
    ) -> list[Any]:
        """Run the one statement of a call; whoever calls differently overrides this."""
        rows: list[Any]
        if check is None:
            rows = await connection.fetch(statement, *arguments)
            return rows
        async with connection.transaction():
            rows = await connection.fetch(statement, *arguments)
            check(rows)
        return rows

    async def close(self) -> None:
        """Close every connection; calls under way are given a moment to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WITHIN):
                while self._busy:
                    self._calm.clear()
                    await self._calm.wait()
        for connection in list(self._busy):
            connection.terminate()
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        closing = (connection.close(timeout=_CLOSE_WITHIN) for connection, _ in idle)
        await asyncio.gather(*closing, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def _take(self) -> asyncpg.Connection | None:
        """Return an idle connection, as busy from now on."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return self._now_busy(connection)
            self._open -= 1
        return None

    async def _wait_or_open(self) -> asyncpg.Connection:
        if self._open < self._size:
            self._open += 1
        elif connection := await self._handed_over():
            return connection
        try:
            connection = await asyncpg.connect(
                **connection_options(self._url),
                timeout=min(_CONNECT_WITHIN, self._timeout),
                server_settings={"application_name": self._name},
            )
        except BaseException:
            self._give_up_place()
            raise
        return self._now_busy(connection)

    async def _handed_over(self) -> asyncpg.Connection | None:
        """Wait for one's turn: for a connection, or for the place of one that is gone (None)."""
        waiter: asyncio.Future[asyncpg.Connection | None]
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._timeout):
                return await waiter
        except BaseException:
            if not waiter.cancelled():
                # It was this one's turn when it gave up.
                if connection := waiter.result():
                    self._give_back(connection, keep=True)
                else:
                    self._give_up_place()
            raise

    def _now_busy(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        loop = asyncio.get_running_loop()
        self._busy[connection] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._timeout / _LOOKS, self._look)
        return connection

    def _give_back(self, connection: asyncpg.Connection, *, keep: bool) -> None:
        self._busy.pop(connection, None)
        if not keep or connection.is_closed():
            connection.terminate()
            self._give_up_place()
        elif not self._hand_over(connection):
            self._idle.append((connection, asyncio.get_running_loop().time()))
        if not self._busy:
            self._calm.set()

    def _give_up_place(self) -> None:
        if not self._hand_over(None):
            self._open -= 1

    def _hand_over(self, connection: asyncpg.Connection | None) -> bool:
        """Give the one who has waited longest a connection, or the place of one; if any waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection and self._now_busy(connection))
                return True
        return False

    def _look(self) -> None:
        """Cut the links of calls that take too long, and close what nobody has used for long."""
        loop = asyncio.get_running_loop()
        for connection, since in list(self._busy.items()):
            if loop.time() - since > self._timeout:
                connection.terminate()
        while self._idle and loop.time() - self._idle[0][1] > _IDLE_AT_MOST:
            connection, _ = self._idle.pop(0)
            self._open -= 1
            connection.terminate()
        again = self._busy or self._idle
        self._timer = loop.call_later(self._timeout / _LOOKS, self._look) if again else None


def _spoils(error: BaseException) -> bool:
    """Whether what was said leaves no good connection behind.

    One that the server ends, or that leads to a server which cannot write: a new one may reach the
    primary.
    """
    fatal = getattr(error, "severity", "") in {"FATAL", "PANIC"}
    return fatal or isinstance(error, asyncpg.ReadOnlySQLTransactionError)
