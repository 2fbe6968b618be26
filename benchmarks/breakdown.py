"""`python -m benchmarks.breakdown`: where each microsecond of an execution goes.

A drain of a full queue by one worker process. The worker is sampled by py-spy while it holds the
interpreter, PostgreSQL counts by pg_stat_statements, Redis by its commandstats.
"""

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from collections import Counter

import uvloop
from redis.asyncio import Redis

from benchmarks.figures import markdown
from benchmarks.meters import cpu
from benchmarks.stage import Ground, Stage, opened_stage
from worker.settings import secret

_EXECUTIONS = 20_000
_RATE = 250
_STATEMENTS, _SHORT = 22, 110
_LEAST = 0.5

# The first line that is in a frame's file names the part; the innermost frame that has one decides.
_LOOP = "event loop, tasks, sockets"
_PARTS = (
    # Where the loop itself runs, this is the innermost frame of Python.
    ("worker/process", _LOOP),
    ("asyncpg/", "asyncpg: calls to PostgreSQL"),
    ("redis/", "redis-py: calls to Redis"),
    ("arq/", "redis-py: calls to Redis"),
    ("structlog/", "the line of the log"),
    ("worker/logs", "the line of the log"),
    ("worker/redaction", "the line of the log"),
    ("logging/", "the line of the log"),
    ("pydantic", "validation of inputs"),
    ("json", "JSON"),
    ("worker/wire", "JSON"),
    ("worker/ledger/", "moves: batches, connections, records"),
    ("worker/queue/", "hints"),
    ("worker/deliveries", "hints"),
    ("worker/claimer", "claims"),
    ("worker/aftermath", "endings"),
    ("worker/recording", "outcomes: checks, drafts, recording"),
    ("worker/outcomes", "outcomes: checks, drafts, recording"),
    ("worker/agents/answers", "outcomes: checks, drafts, recording"),
    ("worker/executor", "attempts: tasks, timeouts, context"),
    ("worker/attempt", "attempts: tasks, timeouts, context"),
    ("worker/agents/", "attempts: tasks, timeouts, context"),
    ("benchmarks/", "the agent itself"),
    ("worker/", "everything else of the worker"),
)
_FRAME = re.compile(r"\((?P<file>[^:()]+)(?::\d+)?\)$")


def parts(samples: str) -> Counter[str]:
    """Return how many samples of py-spy's raw output belong to each part."""
    found: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, number = line.rpartition(" ")
        names = (_part(frame) for frame in reversed(stack.split(";")))
        found[next((name for name in names if name), _LOOP)] += int(number)
    return found


def _part(frame: str) -> str | None:
    match = _FRAME.search(frame)
    if match is None:
        return None
    return next((name for piece, name in _PARTS if piece in match["file"]), None)


async def _statements(ground: Ground, number: int) -> list[tuple[str, ...]]:
    rows = await ground.oracle.fetch(
        "SELECT toplevel, calls, total_exec_time * 1000 / $1 AS each, wal_bytes / $1 AS wal, query "
        "FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database "
        "WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_statements%' "
        "AND query NOT LIKE '%count(*) FROM agent_executions%' "
        "ORDER BY toplevel DESC, total_exec_time DESC",
        float(number),
    )
    told: list[tuple[str, ...]] = []
    for level in (True, False):
        for row in [row for row in rows if row["toplevel"] is level][: _STATEMENTS // 2]:
            if row["each"] >= _LEAST:
                query = " ".join(re.sub(r"--.*", "", row["query"]).split())[:_SHORT]
                told.append(
                    (
                        "call" if level else "inside",
                        f"{row['each']:.1f}",
                        f"{row['calls'] / number:.2f}",
                        f"{row['wal']:.0f}",
                        f"`{query.replace('|', '/')}`",
                    )
                )
    return told


async def _commands(url: str, number: int) -> list[tuple[str, ...]]:
    async with Redis.from_url(url) as redis:
        stats = await redis.info("commandstats")
    rows = sorted(stats.items(), key=lambda item: -item[1]["usec"])
    return [
        (
            name.removeprefix("cmdstat_"),
            f"{one['usec'] / number:.1f}",
            f"{one['calls'] / number:.2f}",
        )
        for name, one in rows
        if one["usec"] / number >= _LEAST / 10
    ]


async def _disk(ground: Ground, number: int) -> list[tuple[str, ...]]:
    await ground.oracle.execute("VACUUM")
    rows = await ground.oracle.fetch(
        "SELECT relname::text AS name, pg_relation_size(oid) AS heap, pg_indexes_size(oid) AS "
        "indexes, pg_total_relation_size(oid) - pg_relation_size(oid) - pg_indexes_size(oid) AS "
        "toast FROM pg_class WHERE relname IN ('agent_executions', 'execution_events', "
        "'document_versions') ORDER BY relname"
    )
    parts = ("heap", "indexes", "toast")
    return [
        (row["name"], *(f"{row[part] / number:.0f}" for part in parts), f"{total / number:.0f}")
        for row in rows
        for total in (sum(row[part] for part in parts),)
    ]


async def measure(stage: Stage, slots: int, projects: int, number: int) -> str:
    """Drain, and return what was seen as a page."""
    await stage.prepare()
    async with stage.ground(projects=projects) as ground:
        await ground.fill(number)
        await ground.oracle.execute("VACUUM ANALYZE agent_executions")
        await ground.oracle.execute("CHECKPOINT")
        async with Redis.from_url(stage.redis_url) as redis:
            await redis.config_resetstat()
        with tempfile.NamedTemporaryFile() as raw:
            async with ground.worker(concurrency=slots) as process:
                await ground.until_count("completed", 1)
                await ground.oracle.execute("SELECT pg_stat_statements_reset()")
                before, done = cpu(stage, [process.pid]), await ground.count("completed")
                spy = await asyncio.create_subprocess_exec(
                    *("py-spy", "record", "--gil", "--format", "raw", "--rate", str(_RATE)),
                    *("--pid", str(process.pid), "--output", raw.name),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                await ground.until_count("completed", number)
                used = cpu(stage, [process.pid]) - before
                statements = await _statements(ground, number - done)
                commands = await _commands(secret(ground.settings.redis_url), number)
                spy.send_signal(2)
                await spy.wait()
            samples = parts(raw.read().decode())
        await ground.check(number)
        disk = await _disk(ground, number)
        rate = number / await ground.seconds()
    total, each = samples.total(), used.python / (number - done) * 1e6
    worker: list[tuple[str, ...]] = [
        (name, f"{count / total * each:.0f}", f"{count / total * 100:.0f} %")
        for name, count in samples.most_common()
    ]
    return (
        f"{slots} slots, {projects} projects: {rate:,.0f} executions/s while it was watched; "
        f"PostgreSQL / Redis / worker: {used.each(number - done)} us of processor each.\n\n"
        + markdown(("worker", "us", "share"), worker)
        + "\n"
        + markdown(("PostgreSQL", "us", "calls", "WAL bytes", "statement"), statements)
        + "\n"
        + markdown(("Redis", "us", "calls"), commands)
        + "\n"
        + markdown(("bytes on disk", "rows", "indexes", "long values", "all"), disk)
    )


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breakdown")
    parser.add_argument("--slots", type=int, default=50)
    parser.add_argument("--projects", type=int, default=50)
    parser.add_argument("--executions", type=int, default=_EXECUTIONS)
    given = parser.parse_args()
    with opened_stage({"pg_stat_statements.track": "all"}) as stage:
        print(uvloop.run(measure(stage, given.slots, given.projects, given.executions)))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
