"""The swizzle: three workers, two projects, one client, and faults in the order of a seed.

Each fault ends by itself; several may overlap. When the time is over everything is made well again,
all that was accepted has to end within a bound, a probe in each project has to complete, and then
the ledger of the client is held against the tables.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from models.states import State
from tests.conftest import make_settings
from tests.queue.redis_server import RedisServer
from tests.soak.fleet import Place
from tests.soak.ledger import verdict
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.invariants import not_final
from tests.support.waiting import until
from tests.support.workers import worker_process
from worker.client import Client
from worker.settings import Settings

WORKERS = 3
_END_WITHIN = 60.0
_PRODUCER = str(Path(__file__).with_name("producer.py"))


@dataclass
class Result:
    """How a soak ended."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    settled_after: float = 0.0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {len(self.violations)} violations",
            f"faults: {dict(sorted(self.faults.items()))}",
            f"the client's ledger, the rows and their events: {dict(sorted(self.counts.items()))}",
            f"all ended {self.settled_after:.1f} s after the last fault",
        ]
        return "\n".join([*lines, *self.violations])


class Swizzle:
    """The faults. Each method is one, and returns when it is over."""

    def __init__(
        self, seed: int, places: list[Place], database: DatabaseUrls, redis: RedisServer
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not guessed
        self._places = places
        self._database = database
        self._redis = redis
        self._redis_is_up = True
        self._closed = False
        self.seen: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Break things for some seconds; return when the last fault is over."""
        faults: list[Callable[[random.Random], Awaitable[None]]] = [
            self.kill,
            self.kill,
            self.pause,
            self.pause,
            self.deploy,
            self.cut_redis,
            self.flush_redis,
            self.restart_redis,
            self.stall_redis,
            self.cut_postgres,
            self.close_postgres,
        ]
        deadline = monotonic() + seconds
        under_way = []
        while monotonic() < deadline:
            fault = self._random.choice(faults)
            # A source of its own for each: what one does cannot change what the next one draws.
            chance = random.Random(self._random.random())  # noqa: S311
            self.seen[fault.__name__] += 1
            under_way.append(asyncio.ensure_future(fault(chance)))
            await asyncio.sleep(self._random.uniform(0.1, 1.5))
        await asyncio.gather(*under_way)

    async def kill(self, chance: random.Random) -> None:
        """Kill a worker; another comes in its place."""
        await chance.choice(self._places).end(signal.SIGKILL, away=chance.uniform(0, 1))

    async def deploy(self, chance: random.Random) -> None:
        """Drain a worker; another comes in its place."""
        await chance.choice(self._places).end(signal.SIGTERM, away=0)

    async def pause(self, chance: random.Random) -> None:
        """Freeze a worker, for less or for more than its lease."""
        place = chance.choice(self._places)
        place.send(signal.SIGSTOP)
        await asyncio.sleep(chance.choice((0.2, 1.0, 2.5, 4.0)))
        place.send(signal.SIGCONT)

    async def cut_redis(self, chance: random.Random) -> None:
        """Cut every connection to Redis."""
        await self._tell("CLIENT", "KILL", "TYPE", chance.choice(("normal", "pubsub")))

    async def flush_redis(self, _chance: random.Random) -> None:
        """Let Redis forget everything."""
        await self._tell("FLUSHALL")

    async def stall_redis(self, chance: random.Random) -> None:
        """Let Redis say nothing for a while."""
        await self._tell("DEBUG", "SLEEP", str(chance.uniform(0.2, 6)))

    async def restart_redis(self, chance: random.Random) -> None:
        """Kill Redis, and start it again a while later."""
        if self._redis_is_up:
            self._redis_is_up = False
            self._redis.kill()
            await asyncio.sleep(chance.uniform(0, 2))
            await asyncio.to_thread(self._redis.start)
            self._redis_is_up = True

    async def cut_postgres(self, _chance: random.Random) -> None:
        """Terminate every backend of the workers and the client."""
        await self._database.ask(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_roles r "
            "ON r.rolname = a.usename WHERE a.datname = $1 AND NOT r.rolsuper",
            self._database.name,
        )

    async def close_postgres(self, chance: random.Random) -> None:
        """Let nobody in for a while."""
        if self._closed:
            return
        self._closed = True
        name = self._database.name
        await self._database.ask(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        await self.cut_postgres(chance)
        await asyncio.sleep(chance.uniform(0, 2))
        await self._database.ask(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        self._closed = False

    async def _tell(self, *command: str) -> None:
        with suppress(RedisError, OSError):
            async with Redis.from_url(self._redis.url, socket_timeout=10) as redis:
                await redis.execute_command(*command)


async def soak(
    database: DatabaseUrls, redis: RedisServer, directory: Path, *, seconds: float, seed: int
) -> Result:
    """Run one soak and return what came of it."""
    settings = make_settings(
        database,
        redis.url,
        agents=["tests.soak.agents"],
        # The client asks for less than half of what the fleet can do in peace.
        concurrency=32,
        lease=1.5,
        heartbeat=0.4,
        drain_grace=1,
    )
    user = await database.add_user()
    projects = [await database.add_project(user) for _ in range(2)]
    notebook = directory / "notebook.jsonl"
    result = Result(seed)
    places = [Place(settings, directory, number) for number in range(WORKERS)]
    try:
        await until(lambda: all(place.is_ready for place in places), within=60)
        async with producing(settings, directory, notebook, projects, user, seed):
            swizzle = Swizzle(seed, places, database, redis)
            await swizzle.run(seconds)
            result.faults = swizzle.seen
        began = monotonic()
        await settle(database, result)
        result.settled_after = monotonic() - began
        await probe(settings, database, directory, projects, user, result)
    finally:
        await asyncio.gather(*(place.close() for place in places))
    found, result.counts = await verdict(database, notebook)
    result.violations += [*found, *(fault for place in places for fault in place.faults)]
    return result


@asynccontextmanager
async def producing(
    settings: Settings,
    directory: Path,
    notebook: Path,
    projects: list[UUID],
    user: UUID,
    seed: int,
) -> AsyncIterator[None]:
    """Run the client process; it notes its last answer and ends before this returns."""
    order = {
        "notebook": str(notebook),
        "projects": [str(project) for project in projects],
        "user": str(user),
        "seed": seed,
    }
    command = (sys.executable, _PRODUCER, json.dumps(order))
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    log = directory / "producer.log"
    async with worker_process(settings, log, *command, **path) as client:
        await until(lambda: notebook.exists() and notebook.stat().st_size > 0, within=30)
        yield
        client.send(signal.SIGTERM)
        assert await client.ended(within=60) == os.EX_OK, client.log


async def settle(database: DatabaseUrls, result: Result) -> None:
    """Wait until everything has ended; what has not within the bound is a violation (I1)."""

    async def ended() -> bool:
        return not await not_final(database)

    try:
        await until(ended, within=_END_WITHIN)
    except AssertionError:
        left = await not_final(database)
        result.violations.append(f"I1: {len(left)} not final after {_END_WITHIN:g} s: {left[:5]}")


async def probe(
    settings: Settings,
    database: DatabaseUrls,
    directory: Path,
    projects: list[UUID],
    user: UUID,
    result: Result,
) -> None:
    """See that work goes on in every project (I9)."""
    async with Client(settings) as client:
        for project in projects:
            work = {
                "seconds": 0,
                "failures": 0,
                "document_type": "probe",
                "text": f"canary-{project}",
            }
            desk = Desk(client, database, project, user, directory)
            report = await desk.run("steady", work)
            if report.status != State.COMPLETED:
                result.violations.append(f"I9: a probe ended {report.status}")
