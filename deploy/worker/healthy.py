# ruff: noqa: INP001 - a script that the image copies, not a part of a package
"""Whether the worker of this container is alive: whether it has renewed its presence lately.

A worker writes its row of the table `workers` with every heartbeat, over the pool that moves its
work. So a recent row says that its event loop turns and that it reaches the database, which is all
it needs: without Redis it goes on by its sweeps. Exit code 0, or 1 and the reason in one line.
"""

import asyncio
import sys

import asyncpg

from worker.addresses import connection_options
from worker.errors import CopydeskError
from worker.settings import Settings, read_settings, secret

BEATS = 3
"""Heartbeats that may be missed."""

TIMEOUT = 5
"""Seconds for the connection, and for the answer."""

# The name is the container's host name: other workers have other rows, and so had this one's life
# before a restart, which is why the latest counts.
ALIVE = """
    SELECT coalesce(max(seen_at) > now() - make_interval(secs => $2), false)
    FROM workers WHERE name = $1
"""


async def alive(settings: Settings) -> bool:
    """Ask the database."""
    settings.require("database_url")
    connection = await asyncpg.connect(
        **connection_options(secret(settings.database_url)),
        timeout=TIMEOUT,
        command_timeout=TIMEOUT,
    )
    try:
        within = BEATS * settings.heartbeat
        return bool(await connection.fetchval(ALIVE, settings.worker_name, within))
    finally:
        await connection.close()


def main() -> None:
    """Answer by exit code."""
    try:
        if not asyncio.run(alive(read_settings())):
            sys.exit("the worker has not renewed its presence")
    except CopydeskError as error:
        sys.exit(error.message)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Its text may hold what no log should; its class says enough.
        sys.exit(f"the database did not answer: {type(error).__name__}")


if __name__ == "__main__":
    main()
