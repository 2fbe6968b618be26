"""`python -m tests.soak --seconds 600 --seed 7`: one soak on servers of its own.

Prints its seed first; the same seed draws the same faults. Ends with 1 where a promise was broken,
and then leaves the logs where the last line says.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.queue.redis_server import RedisServer, runnable_redis
from tests.soak.swizzle import Result, soak
from tests.support.databases import TEMPLATE, fresh_database, make_template
from worker.embedded import embedded_servers


async def run(admin_url: str, directory: Path, *, seconds: float, seed: int) -> Result:
    """Make a database and a Redis, and soak them."""
    await make_template(admin_url)
    redis = RedisServer(
        runnable_redis(directory), directory, appendonly=True, password="soak-soak-soak"
    )
    redis.start()
    try:
        async with fresh_database(admin_url, template=TEMPLATE) as database:
            return await soak(database, redis, directory, seconds=seconds, seed=seed)
    finally:
        redis.stop()


def say(line: str) -> None:
    """Tell whoever waits, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line, run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(2**31) if given.seed is None else given.seed
    say(f"soak: {given.seconds:g} s with seed {seed}")
    home = Path(tempfile.mkdtemp(prefix="copydesk-soak-"))
    home.chmod(0o711)
    logs = home / "logs"
    logs.mkdir()
    with embedded_servers(home / "servers") as servers:
        result = asyncio.run(
            run(servers.postgres_admin_url, logs, seconds=given.seconds, seed=seed)
        )
    say(str(result))
    if result.violations:
        say(f"logs and ledger: {logs}")
        return 1
    shutil.rmtree(home)
    return 0


sys.exit(main())
