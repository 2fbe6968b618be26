"""A PostgreSQL of a test's own, which may crash, and come back at the same place."""

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import asyncpg

from tests.support.databases import DatabaseUrls, database_url
from worker import migrate
from worker.embedded.postgres import Postgres, socket_url
from worker.embedded.servers import prepared_home


class OwnPostgres:
    """One cluster with one migrated database."""

    def __init__(self, home: Path, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self._home = prepared_home(home)
        self._settings = settings
        self._server = Postgres(self._home, settings)
        admin = socket_url(self._server.socket_directory, "postgres", "postgres")
        self.database = DatabaseUrls("copydesk", database_url(admin, "copydesk"))
        self._admin = admin

    @property
    def _postmaster(self) -> int:
        return int((self._home / "postgres" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._server.start()
        self._server.wait_ready()

    def crash(self) -> None:
        """End it at once, without a checkpoint: the next start recovers from its log."""
        os.kill(self._postmaster, signal.SIGQUIT)
        self._server.stop()

    def restart(self) -> None:
        """Start it again after a crash."""
        self._server = Postgres(self._home, self._settings)
        self.start()

    def crash_a_backend(self, pid: int) -> None:
        """Kill one backend; the postmaster ends all others and recovers by itself."""
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop it for good."""
        self._server.stop()

    async def migrate(self) -> None:
        """Make the database."""
        admin = await asyncpg.connect(self._admin)
        try:
            await admin.execute("CREATE DATABASE copydesk")
        finally:
            await admin.close()
        await migrate.upgrade(self.database.admin)


@asynccontextmanager
async def own_postgres(
    home: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[OwnPostgres]:
    """Run a cluster with a migrated database; stopped at the end."""
    server = OwnPostgres(home, settings)
    server.start()
    try:
        await server.migrate()
        yield server
    finally:
        server.stop()
