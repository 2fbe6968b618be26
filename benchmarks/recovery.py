"""How long a dead worker's work stands still: kill -9 with 100 executions in flight, and count.

Each case has servers of its own. Worker A takes all executions and is killed right after a
heartbeat, which is the worst moment; then they have to be running again, in worker B. The moments
are those of the claims. `python -m benchmarks.recovery` prints the table and writes it to
`benchmarks/recovery.md`.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pydantic import BaseModel

from worker.agents.contract import Outcome, RunContext, agent
from worker.client import Client
from worker.development import development, exported
from worker.settings import Settings, secret

_EXECUTIONS = 100
_PATIENCE = 90.0
_PAGE = Path(__file__).with_suffix(".md")


class Nothing(BaseModel):
    """No input."""


@agent("hold", timeout=600)
async def hold(context: RunContext, input: Nothing) -> Outcome:  # noqa: A002, ARG001
    """Run until somebody stops it."""
    await asyncio.Event().wait()
    return Outcome()


@dataclass(frozen=True)
class Case:
    """Times in seconds; `same_name`: B is A, come back under its stable name after the kill."""

    title: str
    lease: float
    heartbeat: float
    sweep: float
    same_name: bool = False

    @property
    def bound(self) -> float:
        """Seconds within which all must be running: after the kill, or after B's start."""
        return 1.0 if self.same_name else self.lease + 2 * self.sweep


CASES = (
    Case("another worker, lease 30 s, sweep 2 s (default)", 30, 10, 2),
    Case("another worker, lease 3 s, sweep 1 s", 3, 1, 1),
    Case("the same worker under a stable name, lease 30 s", 30, 10, 2, same_name=True),
)


@dataclass(frozen=True)
class Measured:
    """Seconds from the kill to the first and last claim, and from B's start to the last."""

    first: float
    last: float
    after_start: float


class Bench:
    """One case: its settings, and the executions and workers as their roles see them."""

    def __init__(
        self,
        settings: Settings,
        case: Case,
        *,
        app: asyncpg.Connection,
        dispatch: asyncpg.Connection,
    ) -> None:
        self._settings = settings
        self._case = case
        self._app = app
        self._dispatch = dispatch

    async def measure(self) -> Measured:
        """Kill worker A with everything in flight, and wait until it runs in worker B."""
        async with self._worker() as first:
            await self._enqueue()
            await self._running_in(first)
            if self._case.same_name:
                killed = await _kill(first)
                async with self._worker() as second:
                    claims = await self._running_in(second)
                    started = await self._start_of(second)
            else:
                async with self._worker() as second:
                    started = await self._start_of(second)
                    await self._renewed()
                    killed = await _kill(first)
                    claims = await self._running_in(second)
        return Measured(
            first=(min(claims) - killed).total_seconds(),
            last=(max(claims) - killed).total_seconds(),
            after_start=(max(claims) - max(started, killed)).total_seconds(),
        )

    async def _enqueue(self) -> None:
        async with Client(self._settings) as client:
            user = await client.create_user(email="bench@example.com", name="Bench")
            project = await client.create_project(name="Recovery", created_by=user)
            for _ in range(_EXECUTIONS):
                await client.enqueue(project, "hold", requested_by=user)

    async def _running_in(self, worker: asyncio.subprocess.Process) -> list[datetime]:
        """Wait until a worker runs everything; return when it claimed each."""
        statement = (
            "SELECT started_at FROM agent_executions "
            "WHERE status = 'running' AND split_part(worker, ':', 2) = $1"
        )
        return await self._until(self._dispatch, statement, str(worker.pid), rows=_EXECUTIONS)

    async def _start_of(self, worker: asyncio.subprocess.Process) -> datetime:
        statement = "SELECT started_at FROM workers WHERE split_part(id, ':', 2) = $1"
        [started] = await self._until(self._app, statement, str(worker.pid), rows=1)
        return started

    async def _renewed(self) -> None:
        """Wait for the next heartbeat: the leases are as long as they ever are."""
        longest = "SELECT max(lease_expires_at) FROM agent_executions"
        statement = "SELECT now() FROM agent_executions HAVING min(lease_expires_at) > $1"
        before = await self._dispatch.fetchval(longest)
        await self._until(self._dispatch, statement, before, rows=1)

    async def _until(
        self, connection: asyncpg.Connection, statement: str, argument: object, *, rows: int
    ) -> list[datetime]:
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = await connection.fetch(statement, argument)
                if len(found) == rows:
                    return [row[0] for row in found]
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "worker"),
            env={
                **os.environ,
                **exported(self._settings),
                "COPYDESK_AGENTS": "benchmarks.recovery:hold",
                "COPYDESK_WORKER_NAME": "bench-0",
                "COPYDESK_STABLE_NAME": str(self._case.same_name),
                "COPYDESK_LEASE": str(self._case.lease),
                "COPYDESK_HEARTBEAT": str(self._case.heartbeat),
                "COPYDESK_SWEEP": str(self._case.sweep),
                "COPYDESK_LOG_LEVEL": "error",
            },
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _kill(worker: asyncio.subprocess.Process) -> datetime:
    worker.send_signal(signal.SIGKILL)
    killed = datetime.now(UTC)
    await worker.wait()
    return killed


async def _measured(settings: Settings, case: Case) -> Measured:
    app = await asyncpg.connect(secret(settings.database_url))
    dispatch = await asyncpg.connect(secret(settings.dispatch_url))
    try:
        return await Bench(settings, case, app=app, dispatch=dispatch).measure()
    finally:
        await app.close()
        await dispatch.close()


def _measure(case: Case) -> Measured:
    with (
        tempfile.TemporaryDirectory(prefix="copydesk-bench-") as directory,
        development(Path(directory) / "home") as settings,
    ):
        return asyncio.run(_measured(settings, case))


def _table(measured: dict[Case, Measured]) -> str:
    lines = [
        "| who takes over | first running again | all running again | after its start | promised |",
        "|---|---|---|---|---|",
    ]
    for case, found in measured.items():
        since = "its start" if case.same_name else "the kill"
        times = " | ".join(f"{t:.2f} s" for t in (found.first, found.last, found.after_start))
        lines.append(f"| {case.title} | {times} | {case.bound:g} s after {since} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure every case, print and write the table; 1 where one is over its bound."""
    measured = {case: _measure(case) for case in CASES}
    table = _table(measured)
    sys.stdout.write(table)
    _PAGE.write_text(
        "# Recovery\n\n"
        f"kill -9 of a worker with {_EXECUTIONS} executions in flight, right after a heartbeat; "
        f"{os.cpu_count()} processors,\nservers on the same machine. Written by "
        "`python -m benchmarks.recovery`.\n\n" + table
    )
    late = [
        case.title
        for case, found in measured.items()
        if (found.after_start if case.same_name else found.last) > case.bound
    ]
    for title in late:
        sys.stderr.write(f"over its bound: {title}\n")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
