"""A word put into every place a project has, and looked for everywhere: rows, Redis, files."""

import base64
import json
import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import redis as sync_redis
from arq.connections import ArqRedis, create_pool
from redis.asyncio import Redis

from models.declarations import project_owned
from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.client import Client
from worker.embedded.postgres import postgres_programs
from worker.queue.connection import to_arq_settings
from worker.settings import Settings, secret

AGENTS = ["tests.maintenance.loud_agents:loud"]

CODECS: dict[str, dict[str, Any]] = {
    "pickle": {},
    "json": {
        "job_serializer": lambda job: json.dumps(job).encode(),
        "job_deserializer": json.loads,
    },
}


class Filled:
    """A project with a word in every place."""

    def __init__(self, settings: Settings, database: DatabaseUrls, word: str) -> None:
        self.word = word
        self.project = UUID(int=0)
        self._settings = settings
        self._database = database

    async def found(self) -> Counter[str]:
        """Return where the word is found, and how often: tables, statistics, Redis, files."""
        places = Counter(dumped_lines(self._database, self.word))
        places["statistics"] = await in_statistics(self._database, self.word)
        places["redis"] = in_redis(secret(self._settings.redis_url), self.word)
        assert self._settings.exports_directory is not None
        places["files"] = in_files(self._settings.exports_directory, self.word)
        return +places


async def fill(settings: Settings, database: DatabaseUrls, user: UUID, number: int) -> list[Filled]:
    """Make projects that each say a word in every way there is, and in a few that are left over.

    Work of every ending, asked for by a client and by plain arq producers of both kinds, with keys
    of their own and without; messages that wait, and one that cannot be read.
    """
    assert settings.exports_directory is not None
    made = []
    async with Client(settings) as client:
        for _ in range(number):
            filled = Filled(settings, database, f"canary{uuid4().hex[:12]}")
            filled.project = await client.create_project(
                name=f"About {filled.word}", created_by=user
            )
            made.append(filled)
        async with running_worker(settings):
            for each in made:
                await _work(settings, client, each.project, user, each.word)
                await _until_final(database, each.project)
        for each in made:
            await _retry(client, database, each.project)
            await _leave_waiting(settings, client, each.project, user, each.word)
            draft = settings.exports_directory / str(each.project) / f".draft.{each.word}.1234"
            draft.write_text(each.word)
    await database.ask("ANALYZE")
    return made


async def _work(settings: Settings, client: Client, project: UUID, user: UUID, word: str) -> None:
    ask: dict[str, Any] = {
        "project_id": str(project),
        "agent_type": "loud",
        "requested_by": str(user),
    }
    for ending in ("completed", "failed", "cancelled"):
        given = {"word": word, "ending": ending}
        await client.enqueue(project, "loud", given, requested_by=user)
        for codec in CODECS:
            own = f"{word}-{codec}-{ending}"
            async with producer(settings, codec) as arq:
                await arq.enqueue_job("run_agent", input=given, **ask)
                await arq.enqueue_job(
                    "run_agent", input=given, _job_id=own, idempotency_key=f"own-{own}", **ask
                )
    given = {"word": word}
    await client.enqueue(project, "loud", given, requested_by=user, idempotency_key=word)
    async with producer(settings, "json") as arq:
        await arq.enqueue_job("run_agent", project_id=str(project), bogus=word)


@asynccontextmanager
async def producer(settings: Settings, codec: str) -> AsyncIterator[ArqRedis]:
    """Open the queue as a service that knows only arq."""
    where = to_arq_settings(secret(settings.redis_url))
    pool = await create_pool(where, **CODECS[codec])
    try:
        yield pool
    finally:
        await pool.aclose(close_connection_pool=True)


async def _until_final(database: DatabaseUrls, project: UUID) -> None:
    async def done() -> bool:
        [row] = await database.ask(
            "SELECT count(*) AS n, count(*) FILTER (WHERE completed_at IS NULL) AS open "
            "FROM agent_executions WHERE project_id = $1",
            project,
        )
        return bool(row["n"] == 16 and row["open"] == 0)  # 3 * (1 + 4) + 1

    await until(done, within=30, what="the end of all that was asked for")


async def _retry(client: Client, database: DatabaseUrls, project: UUID) -> None:
    [failed, *_] = await client.dead_letters.list(project)
    [again] = await client.dead_letters.retry(project, [failed.execution_id])
    await client.cancel(project, again.execution_id)
    assert await database.ask("SELECT 1 FROM agent_executions WHERE retry_of IS NOT NULL")


async def _leave_waiting(
    settings: Settings, client: Client, project: UUID, user: UUID, word: str
) -> None:
    """Leave what nobody works on: rows with hints, full requests, a key of the project's own."""
    given = {"word": word}
    await client.enqueue(project, "loud", given, requested_by=user)
    for codec in CODECS:
        async with producer(settings, codec) as arq:
            await arq.enqueue_job(
                "run_agent",
                project_id=str(project),
                agent_type="loud",
                input=given,
                requested_by=user if codec == "pickle" else str(user),
            )
    async with Redis.from_url(secret(settings.redis_url)) as redis:
        await redis.set(f"proj:{project}:{word}", word)


def dumped_lines(database: DatabaseUrls, word: str) -> list[str]:
    """Return the table of every line with the word in a full dump of the data."""
    program = str(postgres_programs() / "pg_dump")
    dump = subprocess.run(
        [program, "--data-only", "--dbname", database.admin],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
    ).stdout
    found, table = [], ""
    for line in dump.splitlines():
        if begins := re.match(r"COPY public\.(\w+) ", line):
            table = begins[1]
        if word in line:
            found.append(table)
    return found


async def in_statistics(database: DatabaseUrls, word: str) -> int:
    """Return how many columns' statistics hold the word."""
    rows = await database.ask("SELECT s::text AS row FROM pg_stats s WHERE schemaname = 'public'")
    return sum(word in row["row"] for row in rows)


def in_redis(url: str, word: str) -> int:
    """Return how many keys, or values, of a Redis hold the word."""
    with sync_redis.Redis.from_url(url) as redis:
        return sum(word in _text(redis, key) for key in redis.scan_iter("*"))


def _text(redis: Any, key: bytes) -> str:
    read: dict[bytes, Callable[[], Any]] = {
        b"string": lambda: redis.get(key),
        b"zset": lambda: redis.zrange(key, 0, -1),
        b"list": lambda: redis.lrange(key, 0, -1),
        b"hash": lambda: redis.hgetall(key),
        b"set": lambda: redis.smembers(key),
    }
    value = read[redis.type(key)]()
    heads = [
        base64.b64decode(json.loads(entry)["head"])
        for entry in (value if key.endswith(b":quarantine") else ())
    ]
    return f"{key!r} {value!r} {heads!r}"


def in_files(root: Path, word: str) -> int:
    """Return how many files below a directory have the word in them, or in their names."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return sum(word in path.name or word.encode() in path.read_bytes() for path in files)


async def silent_columns(database: DatabaseUrls, project: UUID, word: str) -> set[str]:
    """Return the columns of project-owned tables that take text, and hold the word in no row."""
    columns = await database.ask(
        "SELECT table_name AS t, column_name AS c FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = ANY ($1) "
        "AND data_type IN ('text', 'character varying', 'jsonb')",
        list(project_owned()),
    )
    silent = set()
    for row in columns:
        owner = project_owned()[row["t"]]
        said = await database.ask(
            f"SELECT 1 FROM {row['t']} WHERE {owner} = $1 AND {row['c']}::text LIKE $2 LIMIT 1",  # noqa: S608 - names of the catalog
            project,
            f"%{word}%",
        )
        if not said:
            silent.add(f"{row['t']}.{row['c']}")
    return silent
