"""Owners of development servers that a test can start, question and kill.

pytest's temporary directories are closed to other users, so for root every home here lies in a
directory that the user who runs PostgreSQL may not enter.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import worker
from worker.embedded.postgres import postgres_answers
from worker.embedded.process import try_lock, wait_until
from worker.embedded.redis import redis_answers

ROOT = Path(worker.__file__).parents[1]

OWNER = """
import json, sys
from pathlib import Path
from worker.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1])) as servers:
    print(json.dumps({
        "postgres_admin_url": servers.postgres_admin_url,
        "redis_url": servers.redis_url,
        "socket_directory": str(servers.socket_directory),
        "attached": servers.attached,
    }), flush=True)
    sys.stdin.read()
"""


def child_environment() -> dict[str, str]:
    """Make an environment in which another Python imports what this one does."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def lock_is_free(path: Path) -> bool:
    """Whether no server holds its lock file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class Owner:
    """A process that has entered `embedded_servers(home)` and stays until told otherwise."""

    home: Path
    process: subprocess.Popen[str]
    postgres_admin_url: str
    redis_url: str
    socket_directory: str
    attached: bool

    def answers(self) -> bool:
        """Whether both servers can be used."""
        return postgres_answers(Path(self.socket_directory)) and redis_answers(self.redis_url)

    def nothing_left(self) -> bool:
        """Whether no process of either server is alive."""
        return lock_is_free(self.home / "postgres.lock") and lock_is_free(self.home / "redis.lock")

    def server_pid(self, name: str) -> int:
        """Tell the process id of `postgres` or `redis`."""
        return int((self.home / f"{name}.lock").read_text())

    def leave(self) -> int:
        """Let the process go through the end of its context; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)

    def kill(self) -> None:
        """End the process without a chance to clean up."""
        self.process.kill()
        self.process.wait(10)


StartOwner = Callable[..., Owner]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Name a servers' directory that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def start_owner() -> Iterator[StartOwner]:
    """Start owners; whatever the test leaves behind is ended."""
    owners: list[Owner] = []

    def start(home: Path, *, prefix: Sequence[str] = ()) -> Owner:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", OWNER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=child_environment(),
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.communicate()
            pytest.fail(f"the owner ended at once with exit code {process.returncode}")
        owners.append(Owner(home=home, process=process, **json.loads(line)))
        return owners[-1]

    yield start
    for owner in owners:
        # A killed owner cannot remove it; it would be used again by the next start on this home.
        shutil.rmtree(owner.socket_directory, ignore_errors=True)
        assert owner.process.stdin is not None
        assert owner.process.stdout is not None
        if owner.process.poll() is None:
            owner.process.send_signal(signal.SIGKILL)
            owner.process.wait(10)
        if not owner.process.stdin.closed:
            owner.process.stdin.close()
        owner.process.stdout.close()
    for owner in owners:
        # A killed owner cannot remove it; it would be used again by the next start on this home.
        shutil.rmtree(owner.socket_directory, ignore_errors=True)
        assert owner.attached or wait_until(owner.nothing_left, 20)
