"""The heartbeat: one statement renews the leases of all running attempts, and brings back news.

What the answer leaves out is no longer this worker's, and its agent is stopped at once; what
somebody asked to cancel is told so. It goes on while the worker drains, until the last attempt has
ended. Whoever heard that there is news lets it beat at once; what is true is still read here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from time import monotonic

import structlog

from worker.attempt import Stop
from worker.errors import CopydeskError
from worker.executor import Executor
from worker.ledger import Dispatch
from worker.outages import OutageLog

# Rumours come from Redis: any number of them must not become as many statements.
_SHORTEST_PAUSE = 0.02


class Heartbeat:
    """Renews leases every `every` seconds until cancelled, and at once where it is hurried."""

    def __init__(
        self,
        dispatch: Dispatch,
        executor: Executor,
        *,
        worker: str,
        lease: timedelta,
        every: float,
    ) -> None:
        self._dispatch = dispatch
        self._executor = executor
        self._worker = worker
        self._lease = lease
        self._every = every
        self._hurried = asyncio.Event()
        self._log = structlog.get_logger("copydesk.heartbeat")
        self._outage = OutageLog(self._log, "heartbeat")
        self._answered = monotonic()

    @property
    def age(self) -> float:
        """Seconds since the leases were last renewed, or there was none to renew."""
        return monotonic() - self._answered

    def hurry(self) -> None:
        """Beat now: somebody says that there is news."""
        self._hurried.set()

    async def run(self, also: Callable[[], Awaitable[None]]) -> None:
        """Beat until cancelled; `also` runs beside each beat and never holds the next one up."""
        aside: asyncio.Future[None] | None = None
        try:
            while True:
                await self._pause()
                await self.beat()
                if aside is None or aside.done():
                    if aside is not None:
                        aside.result()  # a bug in it is loud
                    aside = asyncio.ensure_future(also())
        finally:
            if aside is not None:
                aside.cancel()
                await asyncio.wait([aside])

    async def _pause(self) -> None:
        await asyncio.sleep(_SHORTEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every):
                await self._hurried.wait()
        self._hurried.clear()

    async def beat(self) -> None:
        """Renew every lease once and act on the answer."""
        held = self._executor.held()
        try:
            answer = await self._dispatch.extend(self._worker, held, self._lease)
        except CopydeskError as error:
            self._outage.failed(error)
            return
        self._outage.over()
        self._answered = monotonic()
        still = self._executor.held()
        for execution_id, attempt in held.items():
            # What ended meanwhile is missing from the answer for a good reason.
            if still.get(execution_id) != attempt:
                continue
            mine = answer.get(execution_id)
            if mine is None:
                self._executor.stop(execution_id, Stop.LOST)
            elif mine.cancel_requested:
                self._executor.stop(execution_id, Stop.CANCEL)
