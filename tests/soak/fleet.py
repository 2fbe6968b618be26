"""Worker processes under a supervisor that starts again what ended.

It notes what should not have: a worker that was ready and ends untold is a violation.
"""

import asyncio
import signal
from pathlib import Path

from tests.support.waiting import until
from tests.support.workers import WorkerProcess, worker_process
from worker.settings import Settings

_NO_DATABASE = 3  # the exit code of a worker that finds no PostgreSQL when it starts
_HALT_WITHIN = 30.0


class Place:
    """One place in the fleet: a worker process, started anew for as long as the place is kept."""

    def __init__(self, settings: Settings, logs: Path, number: int) -> None:
        self._settings = settings
        self._logs = logs
        self._number = number
        self._starts = 0
        self._told = False
        self._closing = False
        self._again = asyncio.Event()
        self._again.set()
        self._worker: WorkerProcess | None = None
        self._task = asyncio.create_task(self._keep())
        self.faults: list[str] = []

    @property
    def is_ready(self) -> bool:
        """Whether its worker takes work."""
        return self._worker is not None and self._worker.is_ready

    async def _keep(self) -> None:
        while not self._closing:
            await self._again.wait()
            self._starts += 1
            self._told = False
            log = self._logs / f"worker-{self._number}-{self._starts}.log"
            async with worker_process(self._settings, log) as worker:
                self._worker = worker
                code = await worker.ended(within=86_400)
                self._worker = None
                if not self._told and (code != _NO_DATABASE or worker.is_ready):
                    self.faults.append(f"I9: {log.name} ended by itself with {code}")
                if "Traceback" in worker.log:
                    self.faults.append(f"I9: {log.name} has a traceback")

    def send(self, number: signal.Signals) -> None:
        """Send its worker a signal, if there is one."""
        if self._worker is not None:
            if number not in {signal.SIGSTOP, signal.SIGCONT}:
                self._told = True
            self._worker.send(number)

    async def end(self, number: signal.Signals, *, away: float) -> None:
        """End its worker by a signal, and start the next `away` seconds after that was sent."""
        self._again.clear()
        self.send(number)
        await asyncio.sleep(away)
        self._again.set()

    async def close(self) -> None:
        """Drain its worker for good; one that does not end is a violation."""
        self._closing = True
        self.send(signal.SIGTERM)
        self._again.set()
        try:
            await until(self._task.done, within=_HALT_WITHIN)
        except AssertionError:
            self.faults.append(f"I9: worker {self._number} does not end")
            self.send(signal.SIGKILL)
        await self._task
