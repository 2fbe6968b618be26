"""A worker's life under a stable name: proof that it goes on, and what former lives left behind.

Every life holds a lock of its own in PostgreSQL, an advisory one on a connection of its own, from
before its first claim until after its last outcome. The server lets go of it when the connection
ends. A lock that can be had, and still can a moment later, of a life that has no other session
either, is the proof that it is over; then its executions are given back at once, and not when their
leases run out. A life that is frozen, or that the server cannot know to be gone, keeps its lock:
its executions wait for their leases, like anybody's.
"""

import asyncio
import contextlib
from collections import defaultdict
from uuid import UUID

import asyncpg
import structlog

from worker.addresses import DIRECT, connection_options
from worker.errors import CopydeskError, DatabaseUnavailableError, StartupRefusedError
from worker.ledger.dispatch import Dispatch
from worker.ledger.faults import FAULTS, translate
from worker.ledger.moves import Ledger

_BATCH = 200
_ANSWER_WITHIN = 5.0
_AGAIN_AFTER = 0.1

# A living worker whose connection broke has its lock back within this time; seconds. A server that
# has just started has cut everybody's connections at once, and they come back by and by.
_SURE_AFTER = 0.3
_SURE_AFTER_START = 5.0

_PATIENCE = """
    SELECT greatest($1, $2 - extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()))
"""
_HAS_SESSIONS = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND usename = current_user
            AND starts_with(application_name, $1 || ' '))
"""
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('copydesk life ' || $1, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('copydesk life ' || $1, 0))"

# A machine that vanished without a word is noticed within 20 s, before the usual lease is over.
_KEEPALIVES = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def session_name(worker: str) -> str:
    """Return the application_name of a worker's sessions; PostgreSQL keeps 63 bytes of it.

    What tells one life from the others stands first, however long the worker's name is.
    """
    return f"copydesk {_mark(worker)} {worker.rsplit(':', 2)[0]}"


def _mark(worker: str) -> str:
    return ":".join(worker.rsplit(":", 2)[1:])


class Life:
    """The lock of one life, and the recovery of those of the same name that are over.

    Args:
        url: PostgreSQL as the dispatch role.
        worker: this life's id, `name:pid:stable-random`.
        name: the stable name.
        dispatch: finds what former lives hold.
        ledger: gives it back.
        every: seconds between looks at the connection.
    """

    def __init__(
        self,
        url: str,
        *,
        worker: str,
        name: str,
        dispatch: Dispatch,
        ledger: Ledger,
        every: float,
    ) -> None:
        self._url = url
        self._worker = worker
        self._name = name
        self._dispatch = dispatch
        self._ledger = ledger
        self._every = every
        self._connection: asyncpg.Connection | None = None
        self._broken = asyncio.Event()
        self._log = structlog.get_logger("copydesk.life")

    async def begin(self) -> None:
        """Take the lock.

        Raises:
            StartupRefusedError: a pooler stands in between, which would keep the lock or lose it.
            CopydeskError: PostgreSQL does not give it.
        """
        try:
            await self._take()
        except asyncpg.ProtocolViolationError:
            raise StartupRefusedError(
                "COPYDESK_STABLE_NAME takes a lock that lasts as long as its session, and "
                "COPYDESK_DISPATCH_URL leads to a pooler: give it PostgreSQL's own address"
            ) from None
        except FAULTS as error:
            raise translate(error) from None

    async def keep(self) -> None:
        """Watch the connection until cancelled; where it broke, take the lock again at once."""
        while True:
            try:
                await self._watch()
                continue
            except FAULTS as error:
                fault = translate(error)
            self._log.warning("life_lock_lost", code=fault.code, reason=fault.message)
            await self._drop()
            await self._take_again()
            self._log.info("life_lock_taken_again")

    async def recover(self) -> int:
        """Give back what former lives of this name hold, those that are provably over.

        Returns how many executions were moved. Where the database fails, leases do the rest.
        """
        try:
            return await self._recover()
        except FAULTS as error:
            fault = translate(error)
        except CopydeskError as error:
            fault = error
        self._log.warning("former_lives_left", code=fault.code, reason=fault.message)
        return 0

    async def end(self) -> None:
        """Let go of the lock: nothing of this life is under way any more."""
        await self._drop()

    async def _recover(self) -> int:
        found: dict[str, dict[UUID, list[UUID]]] = defaultdict(lambda: defaultdict(list))
        for row in await self._dispatch.find_former(self._name, self._worker):
            found[row.worker][row.project_id].append(row.execution_id)
        moved = 0
        for life, projects in found.items():
            if not await self._is_over(life):
                self._log.info("former_life_goes_on", life=life)
                continue
            try:
                for project_id, execution_ids in projects.items():
                    for start in range(0, len(execution_ids), _BATCH):
                        batch = execution_ids[start : start + _BATCH]
                        moved += len(await self._ledger.rescue(project_id, batch, ended=life))
            finally:
                await self._held().execute(_UNLOCK, life)
            self._log.warning("former_life_recovered", life=life, executions=moved)
        return moved

    async def _is_over(self, life: str) -> bool:
        """Whether a life is provably over; its lock is held then."""
        if not await self._try(life):
            return False
        await self._held().execute(_UNLOCK, life)
        patience = await self._held().fetchval(_PATIENCE, _SURE_AFTER, _SURE_AFTER_START)
        await asyncio.sleep(float(patience))
        if await self._held().fetchval(_HAS_SESSIONS, f"copydesk {_mark(life)}"):
            return False
        return await self._try(life)

    async def _try(self, life: str) -> bool:
        return bool(await self._held().fetchval(_LOCK, life))

    def _held(self) -> asyncpg.Connection:
        if self._connection is None:
            raise ConnectionError("the connection that holds this life's lock is gone")
        return self._connection

    async def _take(self) -> None:
        # One for each connection: the end of an old one may be told late.
        broken = self._broken = asyncio.Event()
        self._connection = await asyncpg.connect(
            **connection_options(self._url),
            timeout=_ANSWER_WITHIN,
            command_timeout=_ANSWER_WITHIN,
            server_settings={
                **DIRECT,
                "application_name": f"copydesk life {_mark(self._worker)}",
                **_KEEPALIVES,
            },
        )
        self._connection.add_termination_listener(lambda _connection: broken.set())
        if not await self._try(self._worker):
            # Held by a connection of ours that the server has not given up yet, or tried by
            # another life at this moment: nobody else has the lock for good.
            await self._drop()
            raise DatabaseUnavailableError("the lock of this worker's life is still held; again")

    async def _take_again(self) -> None:
        while True:
            try:
                await self._take()
            except (*FAULTS, DatabaseUnavailableError):
                await self._drop()
                await asyncio.sleep(_AGAIN_AFTER)
            else:
                return

    async def _watch(self) -> None:
        """Return after a while if the connection answers; raise as soon as it is known broken."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._every):
                await self._broken.wait()
        if self._broken.is_set():
            raise ConnectionError("the connection that holds this life's lock broke")
        await self._held().fetchval("SELECT 1")

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
