"""Backups of the test's own database, by the command itself and by its parts."""

import asyncio
import shlex
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests.processes.conftest import settings, start_worker
from tests.support.databases import DatabaseUrls, database_url
from tests.support.workers import environment
from worker.backup import back_up
from worker.embedded.postgres import postgres_programs
from worker.settings import Settings

__all__ = ["settings", "start_worker"]

_DIGEST = """
    SELECT md5(coalesce(string_agg(md5(t::text), '' ORDER BY t::text COLLATE "C"), ''))
    FROM {table} t
"""


@dataclass
class Command:
    """A `copydesk ...` that runs, in a process of its own."""

    process: asyncio.subprocess.Process

    async def ended(self) -> tuple[int, str, str]:
        """Wait for its end; return exit code, output, and what it said."""
        async with asyncio.timeout(60):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


StartCommand = Callable[..., AbstractAsyncContextManager[Command]]


@pytest.fixture
def start_command(settings: Settings, database: DatabaseUrls) -> StartCommand:
    """Start a command with the settings of the test and some variables that stand above them."""

    @asynccontextmanager
    async def start(*arguments: str, **variables: str) -> AsyncIterator[Command]:
        given = {"COPYDESK_BACKUP_URL": database.backup, **variables}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", *arguments),
            env=environment(settings, **given),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield Command(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return start


@dataclass(frozen=True)
class SlowDump:
    """A pg_dump that waits, before it begins, until it is let go; `asked` is how it was called."""

    directory: Path

    @property
    def asked(self) -> str | None:
        """Its arguments and its environment, once it was called."""
        file = self.directory / "asked"
        return file.read_text() if file.exists() else None

    def let_go(self) -> None:
        """Let it begin."""
        (self.directory / "go").touch()


def put_in_place(directory: Path, name: str, script: str) -> Path:
    """Make a program of a shell script; `$real` is the real one of this name."""
    real = shlex.quote(str(postgres_programs() / name))
    program = directory / name
    program.write_text(
        f'#!/bin/sh\nreal={real}\n[ "$1" = --version ] && exec "$real" "$1"\n{script}'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.fixture
def slow_dump(tmp_path: Path) -> SlowDump:
    """Put a slow pg_dump into a directory, to be found first on a PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    here = shlex.quote(str(directory))
    put_in_place(
        directory,
        "pg_dump",
        f'(echo "$@"; env) > {here}/.asked; mv {here}/.asked {here}/asked\n'
        f'while [ ! -e {here}/go ]; do sleep 0.05; done\nexec "$real" "$@"\n',
    )
    return SlowDump(directory)


@pytest.fixture
async def dump(database: DatabaseUrls, tmp_path: Path) -> Path:
    """A backup of the test's own database, with one project in it."""
    await database.add_project(await database.add_user())
    file, _ = await back_up(database.backup, tmp_path / "some.dump", say=lambda _: None)
    return file


@pytest.fixture
async def new_database(admin_url: str) -> AsyncIterator[DatabaseUrls]:
    """An empty database to restore into."""
    async with made_database(admin_url) as made:
        yield made


@asynccontextmanager
async def made_database(admin_url: str) -> AsyncIterator[DatabaseUrls]:
    """Make an empty database, as an administrator would, and drop it afterwards."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield DatabaseUrls(name, database_url(admin_url, name))
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


async def contents(database: DatabaseUrls, *, snapshot: str | None = None) -> dict[str, str]:
    """Return a digest of every table as the superuser sees it, now or in an exported snapshot."""
    async with database.oracle() as oracle, oracle.transaction(isolation="repeatable_read"):
        if snapshot is not None:
            await oracle.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        tables = await oracle.fetch(
            "SELECT relname AS name FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
        )
        return {
            row["name"]: await oracle.fetchval(_DIGEST.format(table=row["name"])) for row in tables
        }
