"""Schemas as text, and the revisions that lead from one to the next."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.support.databases import fresh_database
from worker import migrate
from worker.embedded.postgres import postgres_programs

ROOT = Path(migrate.__file__).parents[1]

REVISIONS = [
    script.revision for script in ScriptDirectory.from_config(Config(migrate.INI)).walk_revisions()
][::-1]
"""All of them, the first one first."""

STEPS = [*zip(["base", *REVISIONS], REVISIONS, strict=False)]
"""Each revision behind the one it comes from."""


async def _run(program: str, *arguments: str, given: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *(str(postgres_programs() / program), *arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate(given.encode())
    assert process.returncode == 0, err.decode()
    return out.decode()


async def schema_of(url: str, *options: str) -> str:
    """Dump the schema with owners and grants, without the key that is new in every dump.

    Grants on one object stand in the order in which they were given, which says nothing: sorted.
    """
    found = await _run("pg_dump", "--schema-only", *options, "--dbname", url)
    lines = [line for line in found.splitlines() if not line.startswith("\\")]
    runs = groupby(lines, key=lambda line: line.startswith("GRANT "))
    return "\n".join(line for grants, run in runs for line in (sorted(run) if grants else run))


async def load(url: str, sql: str) -> None:
    """Execute a script with psql, and stop at the first error."""
    options = ("--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1")
    await _run("psql", *options, "-d", url, given=sql)


async def settled_schema(url: str) -> str:
    """Dump, restore elsewhere, dump again: PostgreSQL settles on one spelling of expressions."""
    async with fresh_database(url, template="template0") as second:
        await load(second.admin, await schema_of(url))
        return await schema_of(second.admin)


@asynccontextmanager
async def copydesk_db(url: str, *arguments: str) -> AsyncIterator[Process]:
    """Start `copydesk db` as a process of its own; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "db", *arguments),
        env={"COPYDESK_OWNER_URL": url, "PATH": ""},
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process) -> tuple[int | None, str]:
    """Wait for the end of a process; return its exit code and all it said."""
    out, err = await process.communicate()
    return process.returncode, (out + err).decode()
