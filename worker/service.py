"""The life of a worker: start, quiet, drain, stop.

Start opens nothing that is not needed and never waits for Redis. Quiet claims nothing more. Drain
lets running attempts end within the grace, then asks them to stop and gives them back. Stop may
come early, twice, or in the middle; the heartbeat goes on until the last attempt has ended.
"""

import asyncio
from collections.abc import Callable, Coroutine
from uuid import UUID

import structlog

from worker.aftermath import Aftermath
from worker.claimer import Claimer
from worker.deliveries import Deliveries
from worker.errors import AgentsLeakedError, CopydeskError
from worker.executor import Executor
from worker.heartbeat import Heartbeat
from worker.ledger import Life
from worker.presence import Presence
from worker.progress import ProgressBoard
from worker.queue.intake import QueueWorker
from worker.queue.signals import Signals
from worker.sweep import Sweep
from worker.watchdog import Watchdog


class WorkerService:
    """The long-lived parts of one worker process, started and stopped together."""

    def __init__(
        self,
        *,
        executor: Executor,
        claimer: Claimer,
        queue: QueueWorker,
        deliveries: Deliveries,
        aftermath: Aftermath,
        heartbeat: Heartbeat,
        sweep: Sweep,
        board: ProgressBoard,
        presence: Presence,
        signals: Signals,
        watchdog: Watchdog,
        life: Life | None = None,
        grace: float,
        burst: bool = False,
    ) -> None:
        self._executor = executor
        self._claimer = claimer
        self._queue = queue
        self._deliveries = deliveries
        self._aftermath = aftermath
        self._heartbeat = heartbeat
        self._sweep = sweep
        self._board = board
        self._presence = presence
        self._signals = signals
        self._watchdog = watchdog
        self._life = life
        self._grace = grace
        self._burst = burst
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._broken: CopydeskError | None = None
        self._log = structlog.get_logger("copydesk.worker")

    def stop(self) -> None:
        """Ask the worker to stop: the first time it drains, the second time it hurries."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Work until told to stop, or, in a burst, until there is nothing more to do.

        Raises:
            AgentsLeakedError: too many agents never end; it has drained.
            CopydeskError: `worker_failed`: a part of it failed, which is a bug; it has drained.
        """
        await self._presence.here(0)
        if self._life is not None:
            await self._life.recover()
        takers = [
            self._keep(self._sweep.run(), "sweep"),
            self._keep(self._signals.listen_cancel(self._heard_cancel), "signals"),
        ]
        keepers = [
            self._keep(self._heartbeat.run(self._with_heartbeat), "heartbeat"),
            self._keep(self._board.run(), "progress"),
            self._keep(self._watchdog.run(), "watchdog"),
            self._keep(self._executor.leaks_to_the_full(), "agents"),
        ]
        if self._life is not None:
            keepers.append(self._keep(self._life.keep(), "life"))
        intake = self._keep(self._queue.main(), "intake")
        stopping = asyncio.create_task(self._stopping.wait())
        self._log.info("worker_ready", agents=sorted(self._executor.agents))
        ready()
        try:
            await asyncio.wait({intake, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._burst and not self._stopping.is_set():
                await self._finish_burst()
            await self._wind_down(takers, intake)
        finally:
            for task in (stopping, intake, *takers, *keepers):
                task.cancel()
            await asyncio.gather(stopping, intake, *takers, *keepers, return_exceptions=True)
        await self._presence.gone()
        self._log.info(
            "worker_stopped", finished=self._executor.finished, leaked=self._executor.leaked
        )
        if self._broken is not None:
            raise self._broken

    async def _finish_burst(self) -> None:
        """Work off what the queue does not know of, until nothing is due and nothing runs."""
        more = True
        while (more or self._executor.running) and not self._stopping.is_set():
            more = await self._sweep.once()
            if not more:
                idle = asyncio.ensure_future(self._executor.idle())
                stop = asyncio.ensure_future(self._stopping.wait())
                await asyncio.wait({idle, stop}, return_when=asyncio.FIRST_COMPLETED)
                idle.cancel()
                stop.cancel()

    async def _with_heartbeat(self) -> None:
        """Say that the worker is here, and keep the messages of running attempts out of reach."""
        await self._presence.here(self._executor.running)
        under_way = self._queue.under_way
        if under_way:
            await self._queue.extend(under_way)

    async def _wind_down(
        self, takers: list[asyncio.Task[None]], intake: asyncio.Task[None]
    ) -> None:
        self._log.info("worker_draining", running=self._executor.running)
        self._claimer.quiet()
        self._queue.quiet()
        for task in takers:
            task.cancel()
        await asyncio.gather(*takers, return_exceptions=True)
        await self._deliveries.settle()
        await self._claimer.settle()
        drained = asyncio.create_task(self._executor.drain(self._grace))
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({drained, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not drained.done():
            drained.cancel()
            await self._executor.drain(0)
        hurry.cancel()
        await self._aftermath.settle()
        # Messages whose executions were given back come due again; nothing waits for them here.
        await asyncio.wait({intake}, timeout=1)

    def _heard_cancel(self, project_id: UUID, execution_id: UUID) -> None:
        # Redis only hurries. Whether somebody asked, and in which project, stands in PostgreSQL.
        if self._executor.holds(project_id, execution_id):
            self._heartbeat.hurry()

    def _keep(self, work: Coroutine[object, object, None], part: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._watched(work, part), name=part)

    async def _watched(self, work: Coroutine[object, object, None], part: str) -> None:
        """Let a part work; a bug in it (outages it handles itself) ends the worker, loudly.

        Whoever supervises the process starts it afresh, and the leases bring the work back.
        """
        try:
            await work
        except AgentsLeakedError as error:
            self._log.error("worker_gives_up", code=error.code, reason=error.message)
            self._end_because(error)
        except Exception:  # noqa: BLE001 - reported here, raised when the worker has drained
            self._log.exception("part_failed", part=part)
            self._end_because(
                CopydeskError(
                    f"the worker's {part} failed; its log has the place", code="worker_failed"
                )
            )

    def _end_because(self, error: CopydeskError) -> None:
        self._broken = self._broken or error
        self._stopping.set()
