"""The servers of compose.yaml without an engine: the same files, started by hand.

PostgreSQL runs with deploy/postgres/postgresql.conf, is prepared by deploy/postgres/roles.sql as
its image would do it, and asks every role but the superuser for a password.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import asyncpg

from models.roles import LOGINS
from tests.deploy.composefile import ROOT, SECRETS
from worker.embedded import postgres
from worker.embedded.process import wait_until
from worker.embedded.redis import free_port, redis_answers, redis_program
from worker.embedded.servers import prepared_home

DATABASE = "copydesk"
ROLES_SQL = ROOT / "deploy/postgres/roles.sql"
START_REDIS = ROOT / "deploy/redis/start.sh"
PASSWORDS = {role: SECRETS[f"{role.upper()}_PASSWORD"] for role in LOGINS}

# As compose.yaml starts it, on the socket of a test and with less memory.
SETTINGS = {
    "config_file": str(ROOT / "deploy/postgres/postgresql.conf"),
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "fsync": "off",
}


@dataclass(frozen=True)
class Site:
    """A running PostgreSQL with the database copydesk in it."""

    home: Path
    socket: Path

    @property
    def address(self) -> str:
        """What stands in a URL after the role and its password."""
        return f"@/{DATABASE}?{urlencode({'host': self.socket, 'port': postgres.PORT})}"

    def url(self, role: str, password: str | None = None) -> str:
        """Return the URL of a role; without a password given, with its own."""
        secret = PASSWORDS.get(role, "") if password is None else password
        return f"postgresql://{role}:{secret}{self.address}"

    async def ask(self, statement: str) -> list[Any]:
        """Return the rows of a statement as the superuser sees them."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            rows: list[Any] = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.home / "postgres.log").read_text("utf-8")

    def psql(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run psql as the image does for its init scripts, on a server that logs all it can."""
        program = str(postgres.postgres_programs() / "psql")
        options = ["-v", "ON_ERROR_STOP=1", "--no-password", "--no-psqlrc"]
        where = ["--host", str(self.socket), "--username", "postgres", "--dbname", DATABASE]
        return subprocess.run(
            [program, *options, *where, *arguments],
            env={
                **plain_environment(),
                "PGOPTIONS": "-c log_statement=all -c log_min_duration_statement=0",
                **environment,
            },
            check=False,
            capture_output=True,
            text=True,
        )

    def prepare(self, secrets: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run roles.sql with these secrets in the environment."""
        return self.psql("--file", str(ROLES_SQL), **secrets)


def plain_environment() -> dict[str, str]:
    """Return this process's environment without anything that speaks to copydesk or PostgreSQL."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COPYDESK_", "PG", "PYTHONPATH"))
    }


@contextmanager
def running_site() -> Iterator[Site]:
    """Run a PostgreSQL of its own for as long as the context lasts, prepared by roles.sql."""
    directory = Path(tempfile.mkdtemp(prefix="copydesk-deploy-"))
    directory.chmod(0o711)
    home = prepared_home(directory / "home")
    server = postgres.Postgres(home)
    try:
        with mock.patch.dict(postgres.SETTINGS, SETTINGS, clear=True):
            server.start()
        server.wait_ready()
        site = Site(home, server.socket_directory)
        made = site.psql("--dbname", "postgres", "--command", f"CREATE DATABASE {DATABASE}")
        assert made.returncode == 0, made.stderr
        prepared = site.prepare(SECRETS)
        assert prepared.returncode == 0, prepared.stderr
        access = ["local all postgres trust", "local all all scram-sha-256", ""]
        (home / "postgres/pg_hba.conf").write_text("\n".join(access))
        assert site.psql("--command", "SELECT pg_reload_conf()").returncode == 0
        yield site
    finally:
        server.stop()
        shutil.rmtree(directory)


def start_redis(
    home: Path, password: str, *options: str, output: Any = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start start.sh with a real redis-server on its PATH."""
    programs = home / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / "redis-server").symlink_to(redis_program(home))
    return subprocess.Popen(
        ["/bin/sh", str(START_REDIS), *options],
        env={**plain_environment(), "PATH": f"{programs}:/usr/bin:/bin", "REDISCLI_AUTH": password},
        cwd=home,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running_redis(home: Path) -> Iterator[tuple[str, int]]:
    """Run start.sh on a free port; yield the URL, with the password in it, and the process id."""
    password, port = SECRETS["COPYDESK_REDIS_PASSWORD"], free_port()
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    options = ("--port", str(port), "--bind", "127.0.0.1")
    process = start_redis(home, password, *options, output=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: redis_answers(url), 15)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(15)
