"""The stage: servers of the benchmark's own with durable settings, a fresh database a scenario."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from benchmarks.work import AGENTS, DOCUMENT_TYPE, INPUT
from models.roles import APP, DISPATCH, MAINTENANCE, OWNER
from worker import migrate
from worker.client import Client
from worker.development import exported
from worker.embedded import Servers, embedded_servers
from worker.settings import Settings, read_settings

# What deploy/postgres/postgresql.conf says, in a size for the machine of a developer.
POSTGRES = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "synchronous_commit": "on",
    "wal_compression": "off",
    "max_connections": "300",
}
_READY_WITHIN = 60.0
_FEW = 1000
_TEMPLATE = "bench_template"


class WrongError(Exception):
    """What was measured did not do what it should have: the figure is worth nothing."""


@dataclass
class Ground:
    """One scenario's database, empty but for a user and projects, and its settings."""

    settings: Settings
    admin_url: str
    user: UUID
    projects: list[UUID]
    logs: Path
    oracle: asyncpg.Connection = field(repr=False)

    async def fill(
        self,
        number: int,
        *,
        agent: str = "draft",
        projects: Sequence[UUID] = (),
        hints: bool = True,
        payload: Mapping[str, object] = MappingProxyType(INPUT),
        not_before: datetime | None = None,
    ) -> None:
        """Enqueue `number` executions, dealt out over the projects; `hints` tells the queue."""
        places = projects or self.projects
        settings = self.settings
        if not hints:
            settings = settings.model_copy(update={"queue_name": "bench:nobody"})
        async with Client(settings) as client:
            for place, project in enumerate(places):
                count = number // len(places) + (place < number % len(places))
                for start in range(0, count, 1000):
                    some = min(1000, count - start)
                    request = {
                        "agent_type": agent,
                        "input": dict(payload),
                        "requested_by": self.user,
                        "not_before": not_before,
                    }
                    await client.enqueue_many(project, [request] * some)

    @asynccontextmanager
    async def worker(
        self, *, concurrency: int, **settings: object
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a worker process, killed at the end."""
        variables = {f"COPYDESK_{name.upper()}": str(value) for name, value in settings.items()}
        variables["COPYDESK_CONCURRENCY"] = str(concurrency)
        async with self.process("-m", "worker", "worker", **variables) as process:
            yield process

    @asynccontextmanager
    async def process(
        self, *arguments: str, **variables: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a Python process with the settings in its environment; stopped at the end."""
        with (self.logs / f"{monotonic()}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                env={
                    **os.environ,
                    **exported(self.settings),
                    "COPYDESK_AGENTS": AGENTS,
                    "COPYDESK_ENVIRONMENT": "development",
                    **variables,
                },
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                try:
                    async with asyncio.timeout(15):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    async def count(self, status: str) -> int:
        """Return how many executions have a status."""
        return int(
            await self.oracle.fetchval(
                "SELECT count(*) FROM agent_executions WHERE status = $1", status
            )
        )

    async def until_count(self, status: str, number: int, *, within: float = 300) -> None:
        """Wait until that many executions have a status."""
        deadline = monotonic() + within
        while await self.count(status) < number:
            if monotonic() > deadline:
                raise WrongError(f"{await self.count(status)} of {number} {status} in {within} s")
            # Counting reads the whole table, on the processors that are measured.
            await asyncio.sleep(0.05 if number < _FEW else 0.25)

    async def until_at_work(self, workers: int) -> None:
        """Wait until that many workers have started."""
        started = "SELECT count(*) FROM workers"
        async with asyncio.timeout(_READY_WITHIN):
            while await self.oracle.fetchval(started) < workers:  # noqa: ASYNC110 - others decide
                await asyncio.sleep(0.05)

    async def check(self, completed: int) -> None:
        """Check that all was done, once, and that versions are numbered without gaps.

        Raises:
            WrongError: it is not so.
        """
        rows = await self.oracle.fetch(
            "SELECT status, count(*) AS n, max(attempt) AS attempts FROM agent_executions "
            "WHERE agent_type <> 'hold' GROUP BY status"
        )
        states = {row["status"]: (row["n"], row["attempts"]) for row in rows}
        if states != {"completed": (completed, 1)}:
            raise WrongError(f"not {completed} completed in one attempt each: {states}")
        wrong = await self.oracle.fetch(
            "SELECT FROM document_versions GROUP BY project_id, document_type "
            "HAVING count(*) <> max(version) OR count(DISTINCT execution_id) <> count(*)"
        )
        versions = await self.oracle.fetchval(
            "SELECT count(*) FROM document_versions WHERE document_type = $1", DOCUMENT_TYPE
        )
        if wrong or versions != completed:
            raise WrongError(f"{versions} versions of {completed}, {len(wrong)} documents amiss")

    async def seconds(self) -> float:
        """Return the time from the first claim to the last completion, by the database."""
        return float(
            await self.oracle.fetchval(
                "SELECT extract(epoch FROM max(completed_at) - min(started_at)) "
                "FROM agent_executions WHERE status = 'completed'"
            )
        )


class Stage:
    """Both servers, and grounds on them."""

    def __init__(self, servers: Servers, logs: Path) -> None:
        self._servers = servers
        self._logs = logs
        self._count = 0

    @property
    def home(self) -> Path:
        """Where the servers keep their data."""
        return self._servers.home

    @property
    def redis_url(self) -> str:
        """The Redis server, with its password."""
        return self._servers.redis_url

    async def prepare(self) -> None:
        """Migrate the database that the others are made of."""
        admin = await asyncpg.connect(self._servers.postgres_admin_url)
        await admin.execute(f"CREATE DATABASE {_TEMPLATE}")
        await admin.close()
        await migrate.upgrade(self._servers.postgres_url("postgres", _TEMPLATE))

    @asynccontextmanager
    async def ground(self, *, projects: int) -> AsyncIterator[Ground]:
        """Make a database with so many projects, and an empty Redis."""
        self._count += 1
        name = f"bench_{self._count}"
        admin = await asyncpg.connect(self._servers.postgres_admin_url)
        try:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} OWNER {OWNER}")
            await admin.execute(f"REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC")
            async with Redis.from_url(self.redis_url) as redis:
                await redis.flushall()
            url = urlsplit(self._servers.postgres_admin_url)._replace(path=f"/{name}").geturl()
            oracle = await asyncpg.connect(url)
            try:
                yield await self._peopled(name, url, oracle, projects)
            finally:
                await oracle.close()
        finally:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await admin.execute("CHECKPOINT")
            await admin.close()

    async def _peopled(
        self, name: str, url: str, oracle: asyncpg.Connection, projects: int
    ) -> Ground:
        settings = read_settings(
            database_url=self._servers.postgres_url(APP, name),
            dispatch_url=self._servers.postgres_url(DISPATCH, name),
            maintenance_url=self._servers.postgres_url(MAINTENANCE, name),
            owner_url=self._servers.postgres_url(OWNER, name),
            redis_url=self.redis_url,
            environment="development",
        )
        async with Client(settings) as client:
            user = await client.create_user(email="bench@example.com", name="Bench")
            made = [
                await client.create_project(name=f"Project {number}", created_by=user)
                for number in range(projects)
            ]
        return Ground(settings, url, user, made, self._logs, oracle)


@contextmanager
def opened_stage(settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Stage]:
    """Start the servers in a directory that is gone afterwards; `settings` stand above ours."""
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as directory:
        home, logs = Path(directory) / "home", Path(directory) / "logs"
        Path(directory).chmod(0o711)
        logs.mkdir()
        with embedded_servers(home, {**POSTGRES, **settings}) as servers:
            yield Stage(servers, logs)
