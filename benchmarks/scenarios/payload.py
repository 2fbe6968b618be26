"""Documents of several sizes: what a longer one costs, in time, processors, WAL and disk."""

from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.sizes import Size
from benchmarks.stage import Stage

WRITTEN = "versions of {}"
# Characters of a version, and by how much fewer of them there are than of the usual ones.
_SIZES = {
    "1 KB": (1024, 3),
    "16 KB": (16_384, 6),
    "256 KB": (262_144, 40),
    "1 MB": (1_048_576, 120),
}


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Drain a queue of each size with 20 slots."""
    figures = []
    for name, (characters, fewer) in _SIZES.items():
        number = max(size.drain // fewer, 4)
        async with stage.ground(projects=20) as ground:
            await ground.fill(number, agent="write", payload={"size": characters})
            await ground.oracle.execute("CHECKPOINT")
            since = await ground.oracle.fetchval("SELECT pg_current_wal_insert_lsn()")
            before = cpu(stage)
            async with ground.worker(concurrency=20) as process:
                await ground.until_count("completed", 1)
                started = cpu(stage, [process.pid])
                await ground.until_count("completed", number)
                used = cpu(stage, [process.pid])
            wal = await ground.oracle.fetchval("SELECT pg_current_wal_insert_lsn() - $1", since)
            disk = await ground.oracle.fetchval(
                "SELECT pg_total_relation_size('document_versions')"
            )
            await ground.check(number)
            postgres = (used.postgres - before.postgres) / number * 1e6
            worker = (used.python - started.python) / number * 1e6
            figures.append(
                Figure(
                    WRITTEN.format(name),
                    "copydesk",
                    number / await ground.seconds(),
                    "versions/s",
                    f"{postgres:.0f} / {worker:.0f} us of PostgreSQL / worker; "
                    f"{float(wal) / number / 1000:.1f} KB of WAL, "
                    f"{disk / number / 1000:.1f} KB on disk",
                )
            )
    return figures
