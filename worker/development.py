"""A copydesk of your own: development servers, a migrated database, and settings that point there.

Everything stands in one directory. The servers end with the process that started them; a second
process attaches to them. Nothing here is for production: there, every URL is given.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from models.roles import APP, BACKUP, DISPATCH, MAINTENANCE, OWNER
from worker import migrate
from worker.embedded import Servers, embedded_servers
from worker.settings import Settings, read_settings

_DATABASE = "copydesk"


@contextmanager
def development(home: Path) -> Iterator[Settings]:
    """Run or attach to the development servers of `home`; yield settings for them.

    Raises:
        EmbeddedServerError: the servers cannot run here; the message says why.
        MigrationError: the database cannot be brought to this version.
    """
    with embedded_servers(home) as servers:
        asyncio.run(_prepared(servers))
        yield read_settings(
            database_url=servers.postgres_url(APP, _DATABASE),
            dispatch_url=servers.postgres_url(DISPATCH, _DATABASE),
            owner_url=servers.postgres_url(OWNER, _DATABASE),
            maintenance_url=servers.postgres_url(MAINTENANCE, _DATABASE),
            backup_url=servers.postgres_url(BACKUP, _DATABASE),
            monitor_url=servers.postgres_url("postgres", _DATABASE),
            redis_url=servers.redis_url,
            exports_directory=home / "exports",
        )


async def _prepared(servers: Servers) -> None:
    admin = await asyncpg.connect(servers.postgres_admin_url)
    try:
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _DATABASE):
            await admin.execute(f"CREATE DATABASE {_DATABASE}")
    finally:
        await admin.close()
    url = servers.postgres_url("postgres", _DATABASE)
    if await migrate.current(url) != migrate.head_revision():
        await migrate.upgrade(url)


def exported(settings: Settings) -> dict[str, str]:
    """Return the environment variables that lead another process to the same servers."""
    urls = {
        "COPYDESK_DATABASE_URL": settings.database_url,
        "COPYDESK_DISPATCH_URL": settings.dispatch_url,
        "COPYDESK_OWNER_URL": settings.owner_url,
        "COPYDESK_MAINTENANCE_URL": settings.maintenance_url,
        "COPYDESK_REDIS_URL": settings.redis_url,
    }
    variables = {name: url.get_secret_value() for name, url in urls.items() if url is not None}
    if settings.exports_directory is not None:
        variables["COPYDESK_EXPORTS_DIRECTORY"] = str(settings.exports_directory.resolve())
    return variables
