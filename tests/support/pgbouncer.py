"""A real PgBouncer in front of a test's PostgreSQL, where one is installed."""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from models.roles import ROLES
from tests.support.databases import DatabaseUrls

PORT = 6432
_PREPARED_SINCE = (1, 21)


def program() -> Path:
    """Return PgBouncer; skip the test where there is none."""
    for place in ("pgbouncer", "/usr/sbin/pgbouncer"):
        if found := shutil.which(place):
            return Path(found)
    pytest.skip("no pgbouncer is installed (Debian: apt-get install pgbouncer)")


def keeps_statements() -> bool:
    """Whether it keeps prepared statements apart in transaction mode."""
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"PgBouncer (\d+)\.(\d+)", said.stdout)
    assert version is not None
    return (int(version[1]), int(version[2])) >= _PREPARED_SINCE


@dataclass(frozen=True)
class Pooler:
    """A running PgBouncer; `database` is the database as it is reached through it."""

    directory: Path
    database: DatabaseUrls

    async def ask(self, command: str) -> list[dict[str, object]]:
        """Return what its console answers, such as SHOW POOLS."""
        where = f"postgresql://postgres@/pgbouncer?host={self.directory}&port={PORT}"
        # The console speaks the simple protocol only, and asyncpg the other one.
        psql = [shutil.which("psql") or "psql", "-XAt", "--field-separator=\t", "-P", "footer=off"]
        process = await asyncio.create_subprocess_exec(
            *psql, "-P", "tuples_only=off", "-c", command, where, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        heading, *rows = said.decode().splitlines()
        return [dict(zip(heading.split("\t"), row.split("\t"), strict=True)) for row in rows]


@asynccontextmanager
async def pgbouncer(
    database: DatabaseUrls, *, pool: int = 20, **more: object
) -> AsyncIterator[Pooler]:
    """Run PgBouncer in transaction mode, with `pool` connections for each role; `more` is ini."""
    query = parse_qs(urlsplit(database.admin).query)
    directory = Path(tempfile.mkdtemp(prefix="bouncer-", dir="/tmp"))
    users = directory / "users"
    users.write_text("".join(f'"{role}" ""\n' for role in (*ROLES, "postgres")))
    settings = {
        "listen_addr": "",
        "listen_port": PORT,
        "unix_socket_dir": directory,
        "auth_type": "trust",
        "auth_file": users,
        "admin_users": "postgres",
        "pool_mode": "transaction",
        "default_pool_size": pool,
        "max_client_conn": 500,
        "logfile": directory / "log",
        # Where it can, it does so by default from 1.24 on only.
        **({"max_prepared_statements": 200} if keeps_statements() else {}),
        **more,
    }
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        settings["user"] = nobody.pw_name
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    lines = ["[databases]", f"* = host={query['host'][0]} port={query['port'][0]}", "[pgbouncer]"]
    ini = directory / "ini"
    ini.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items())]))
    process = await asyncio.create_subprocess_exec(
        str(program()),
        str(ini),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    admin = urlsplit(database.admin)._replace(query=f"host={directory}&port={PORT}").geturl()
    pooled = replace(database, admin=admin)
    try:
        await _answers(pooled, process, directory / "log")
        yield Pooler(directory, pooled)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        shutil.rmtree(directory)


async def _answers(pooled: DatabaseUrls, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(10):
        while True:
            assert process.returncode is None, f"it ended; see {log}"
            try:
                connection = await asyncpg.connect(pooled.app, statement_cache_size=0)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)
                continue
            await connection.close()
            return
