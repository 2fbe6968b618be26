"""`copydesk restore`: a dump into an empty database, and the proof that all of it is there.

Everything is restored in one transaction, so that the database stays empty where anything fails,
and nobody sees rows without their policies. Then rows are counted, the schema is compared with the
models, and isolation is checked as a worker would.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.declarations import estimates
from models.roles import OWNER
from worker import migrate
from worker.backup.contents import (
    SCHEMA,
    count_as_owner,
    hand_over_functions,
    read_objects,
    read_server,
    read_tables,
)
from worker.backup.errors import RestoreError
from worker.backup.isolated import check_isolation
from worker.backup.manifest import Manifest
from worker.backup.programs import find_program, run_program

Say = Callable[[str], None]


@dataclass(frozen=True)
class Restored:
    """What was restored, and what was found out about it."""

    manifest: Manifest
    is_current: bool
    isolation_checked: bool


async def restore(
    url: str, dump: Path, *, app_url: str | None, dispatch_url: str | None, say: Say
) -> Restored:
    """Restore a dump into the empty database of `url`, and check that it is all there.

    Args:
        url: PostgreSQL as copydesk_owner or an administrator.
        dump: the file; its manifest stands beside it.
        app_url: PostgreSQL as copydesk_app, to check isolation with.
        dispatch_url: as copydesk_dispatch, for the same.
        say: called with a line now and then.

    Raises:
        RestoreError: the backup or the database is not as it has to be, or the result is not.
        MigrationError: roles are missing, and may not be made.
    """
    manifest = await asyncio.to_thread(Manifest.of, dump)
    if manifest.revision not in migrate.revisions():
        raise RestoreError(
            f"the dump is of revision {manifest.revision}, which this copydesk does not know: "
            f"restore with copydesk {manifest.copydesk} or newer"
        )
    say(f"{dump} is whole: {manifest.total:,} rows of {manifest.started_at:%Y-%m-%d %H:%M:%S} UTC")
    async with migrate.connected(url) as connection:
        await _check_target(connection, manifest)
    program = await find_program("pg_restore", at_least=manifest.server_major, fault=RestoreError)
    for left in await migrate.prepare_database(url):
        say(f"not repaired: {left}")
    say("restoring")
    await run_program(
        program,
        url,
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        f"--role={OWNER}",
        f"--schema={SCHEMA}",
        str(dump),
        fault=RestoreError,
    )
    async with migrate.owner_session(url) as connection:
        await hand_over_functions(connection)
        for table, statement in estimates().items():
            if table in manifest.rows:
                await connection.execute(text(statement))
        await connection.commit()
        await _check_rows(connection, manifest)
    say(f"every table has the rows it had: {manifest.total:,} in {len(manifest.rows)} tables")
    is_current = manifest.revision == migrate.head_revision()
    if is_current:
        await _check_schema(url, say)
    else:
        say(f"at {manifest.revision}, which is older than this copydesk: run `copydesk db upgrade`")
    checked = is_current and await check_isolation(url, app_url, dispatch_url, say=say)
    return Restored(manifest, is_current, checked)


async def _check_target(connection: AsyncConnection, manifest: Manifest) -> None:
    server = await read_server(connection)
    if server.major < manifest.server_major:
        raise RestoreError(
            f"the dump is of PostgreSQL {manifest.server}, and this is {server.version}: restore "
            "into the same major version, or a newer one"
        )
    found = await read_objects(connection)
    if found:
        raise RestoreError(
            f"the database {server.database} is not empty (it has {', '.join(found)}): restore "
            "into a new one, made by CREATE DATABASE; nothing was changed"
        )


async def _check_rows(connection: AsyncConnection, manifest: Manifest) -> None:
    tables = await read_tables(connection)
    await connection.rollback()
    rows = await count_as_owner(connection, tables)
    wrong = [
        f"{name} has {rows.get(name, 'no table')}, and had {manifest.rows.get(name, 'no table')}"
        for name in sorted({*rows, *manifest.rows})
        if rows.get(name) != manifest.rows.get(name)
    ]
    if wrong:
        raise RestoreError(
            f"what was restored is not what the manifest says: {'; '.join(wrong)}; "
            "drop this database, and restore another backup"
        )


async def _check_schema(url: str, say: Say) -> None:
    differences = await migrate.check(url)
    if differences:
        raise RestoreError(
            f"the rows are there, and the schema is not what the models say: "
            f"{'; '.join(differences)}; `copydesk db check` tells the same"
        )
    say("the database is what the models say")
