"""A PostgreSQL of this run's own, empty databases on it, and migrated ones."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import pytest

from tests.migrations.programs import PROGRAMS
from worker import migrate


def admin_url(socket: Path, database: str) -> str:
    """Return the superuser's URL of a database."""
    return f"postgresql://postgres@/{database}?host={quote(str(socket), safe='')}"


@pytest.fixture(scope="session")
def socket_directory() -> Iterator[Path]:
    """Start a server for this run; answer the directory of its socket."""
    home = Path(tempfile.mkdtemp(prefix="copydesk-test-"))
    account = {}
    if os.geteuid() == 0:  # PostgreSQL refuses root
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    subprocess.run(
        [
            *(PROGRAMS / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust"),
            *("--no-sync", "--encoding=UTF8", "--no-locale"),
        ],
        check=True,
        cwd="/",
        stdout=subprocess.DEVNULL,
        **account,
    )
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(PROGRAMS / "postgres", "-D", home / "data", "-k", home),
                *("-c", "listen_addresses=", "-c", "fsync=off"),
            ],
            cwd="/",
            stdout=log,
            stderr=log,
            **account,
        )
        try:
            deadline = time.monotonic() + 30
            ready = [PROGRAMS / "pg_isready", "-q", "-h", home]
            while subprocess.run(ready, check=False).returncode != 0:
                assert time.monotonic() < deadline, (home / "log").read_text()
            yield home
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
            shutil.rmtree(home)


@pytest.fixture
async def empty_database(socket_directory: Path) -> AsyncIterator[str]:
    """Create a database without anything in it; answer the superuser's URL of it."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(admin_url(socket_directory, "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield admin_url(socket_directory, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def migrated_database(empty_database: str) -> str:
    """Migrate an empty database to the head; answer the superuser's URL of it."""
    assert await migrate.upgrade(empty_database) == []
    return empty_database
