"""`copydesk backup`: pg_dump and a count of every table, in one snapshot, with a manifest.

The snapshot is one of a transaction of ours that does nothing else; pg_dump is told its name, so
that it dumps exactly the rows that were counted. Both files are written beside their places and
renamed when they are whole and synced: what stands at its place is a backup.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from models.roles import BACKUP
from worker.backup.contents import SCHEMA, Server, count_rows, read_server, read_tables, refusal
from worker.backup.errors import BackupError
from worker.backup.manifest import Manifest, file_name, hash_file, manifest_path, sync_directory
from worker.backup.programs import find_program, run_program
from worker.migrate import connected

Say = Callable[[str], None]

# How long to wait for a table that a migration has locked.
_LOCK_WAIT = "60s"
_BYPASS = (
    f"connect as {BACKUP} with COPYDESK_BACKUP_URL; where it lacks the attribute, a superuser runs "
    f"ALTER ROLE {BACKUP} BYPASSRLS"
)


async def back_up(
    url: str, place: Path, *, replace: bool = False, say: Say
) -> tuple[Path, Manifest]:
    """Write a dump of the database of `url` and its manifest; return the file and what it holds.

    Args:
        url: PostgreSQL as copydesk_backup.
        place: the file, or a directory, in which it is named after the moment.
        replace: whether a backup that stands there may go.
        say: called with a line now and then.

    Raises:
        BackupError: it cannot be made here, or broke off; nothing was left, and nothing replaced.
        CopydeskError: PostgreSQL does not let anybody in.
    """
    started = datetime.now(UTC)
    target = _target(place, started, replace=replace)
    with _files_beside(target) as (dump, manifest):
        async with _snapshot(url) as (connection, server):
            say(f"backing up {server.database} (PostgreSQL {server.version})")
            tables = await read_tables(connection)
            revision = await _revision(connection, tables)
            rows = await _counted(connection, tables)
            total = sum(rows.values())
            say(f"revision {revision}, {total:,} rows in {len(rows)} tables; dumping")
            snapshot = await connection.scalar(text("SELECT pg_export_snapshot()"))
            await run_program(
                await find_program("pg_dump", at_least=server.major, fault=BackupError),
                url,
                "--format=custom",
                f"--schema={SCHEMA}",
                f"--snapshot={snapshot}",
                f"--lock-wait-timeout={_LOCK_WAIT}",
                f"--file={dump}",
                fault=BackupError,
                tell=lambda: say(f"{dump.stat().st_size:,} bytes written"),
            )
        written = Manifest(
            copydesk=version("copydesk"),
            revision=revision,
            server=server.version,
            database=server.database,
            started_at=started,
            ended_at=datetime.now(UTC),
            rows=rows,
            bytes=dump.stat().st_size,
            sha256=await asyncio.to_thread(hash_file, dump),
        )
        _write(manifest, written.text())
        _sync(dump)
        dump.replace(target)
        manifest.replace(manifest_path(target))
        sync_directory(target.parent)
    say(f"{written.bytes:,} bytes, SHA-256 {written.sha256}")
    return target, written


def _target(place: Path, moment: datetime, *, replace: bool) -> Path:
    target = place / file_name(moment) if place.is_dir() else place
    if not target.parent.is_dir():
        raise BackupError(f"{target.parent} is no directory; make it first")
    for file in (target, manifest_path(target)):
        if file.exists() and not replace:
            raise BackupError(f"{file} exists; take another name, or --force to replace it")
    return target


@contextmanager
def _files_beside(target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield two private files beside the target, and leave none of them behind."""
    files: list[Path] = []
    try:
        for _ in range(2):
            descriptor, name = tempfile.mkstemp(
                dir=target.parent, prefix=f".{target.name}.", suffix=".unfinished"
            )
            os.close(descriptor)
            files.append(Path(name))
        yield files[0], files[1]
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        for file in files:
            file.unlink(missing_ok=True)


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[tuple[AsyncConnection, Server]]:
    """Open a transaction that sees one moment, as a role that sees every row of it."""
    async with connected(url) as connection:
        await connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        async with connection.begin():
            server = await read_server(connection)
            if not server.sees_all:
                raise BackupError(
                    f"row level security hides every project from the role {server.role}: {_BYPASS}"
                )
            yield connection, server


async def _revision(connection: AsyncConnection, tables: list[str]) -> str:
    if "alembic_version" in tables:
        try:
            found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        except DBAPIError as error:
            raise BackupError(f"the revision cannot be read: {refusal(error)}; {_BYPASS}") from None
        if found is not None:
            return str(found)
    raise BackupError("there is no copydesk in this database; check the URL")


async def _counted(connection: AsyncConnection, tables: list[str]) -> dict[str, int]:
    try:
        return await count_rows(connection, tables)
    except DBAPIError as error:
        raise BackupError(
            f"not everything can be read: {refusal(error)}; `copydesk db check` tells what grants "
            "are missing, or what stands in this database and is not copydesk's"
        ) from None


def _write(file: Path, content: str) -> None:
    file.write_text(content, "utf-8")
    _sync(file)


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
