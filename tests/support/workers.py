"""Workers for tests: in this process for most, as real processes where signals matter."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from worker.process import assembled
from worker.service import WorkerService
from worker.settings import Settings

_VARIABLES = (
    *("database_url", "dispatch_url", "owner_url"),
    *("maintenance_url", "backup_url", "redis_url"),
)


@asynccontextmanager
async def running_worker(
    settings: Settings, *, burst: bool = False
) -> AsyncIterator[WorkerService]:
    """Run a worker inside this process; stopped, and waited for, at the end."""
    async with assembled(settings, burst=burst) as service:
        ready = asyncio.Event()
        task = asyncio.create_task(service.run(ready=ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            yield service
        finally:
            service.stop()
            await task


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Return the environment that gives another process these settings."""
    values = settings.model_dump(exclude_defaults=True, exclude=set(_VARIABLES))
    variables = {
        f"COPYDESK_{name.upper()}": ",".join(value) if isinstance(value, list) else str(value)
        for name, value in values.items()
    }
    for name in _VARIABLES:
        url = getattr(settings, name)
        if url is not None:
            variables[f"COPYDESK_{name.upper()}"] = url.get_secret_value()
    return {**os.environ, **variables, **more}


class WorkerProcess:
    """A worker in a process of its own, to be signalled like a real one."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text("utf-8", "replace")

    @property
    def is_ready(self) -> bool:
        """Whether it takes work."""
        return '"worker_ready"' in self.log

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def ended(self, within: float = 20) -> int:
        """Wait for its end and return the exit code."""
        async with asyncio.timeout(within):
            return await self._process.wait()


@asynccontextmanager
async def worker_process(
    settings: Settings, log: Path, *command: str, **more: str
) -> AsyncIterator[WorkerProcess]:
    """Start `command` (default: copydesk worker) as a process; kill it at the end if it runs."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(command or (sys.executable, "-m", "worker", "worker")),
            env=environment(settings, **more),
            stdout=output,
            stderr=output,
        )
    try:
        yield WorkerProcess(process, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
