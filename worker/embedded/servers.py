"""Development servers for a directory: the first process owns them, the others attach.

`servers.json` in the home is both the lock and the notice. Its owner keeps it locked for life and
fills it once both servers answer; a process that finds it locked waits for the notice and attaches.
The kernel drops the lock of a dead owner, so nothing has to be cleaned up before the next start.

An owner that forks without exec shares its lock and leashes with the child: start other processes
with `spawn` or `exec`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from worker.embedded.errors import EmbeddedServerError
from worker.embedded.postgres import Postgres, postgres_answers, socket_url
from worker.embedded.process import try_lock
from worker.embedded.redis import Redis, redis_answers

ATTACH_SECONDS = 180.0  # the owner may be initialising a cluster on a slow disk
NOTICE_BYTES = 65536


@dataclass(frozen=True)
class Notice:
    """What the owner tells the others: socket directory and Redis URL (a secret: mode 0600)."""

    socket_directory: str
    redis_url: str = field(repr=False)


@dataclass(frozen=True)
class Servers:
    """Running servers. The URLs are valid until the owner leaves; `redis_url` has a password."""

    postgres_admin_url: str
    redis_url: str = field(repr=False)
    home: Path
    attached: bool
    socket_directory: Path

    def postgres_url(self, user: str, database: str) -> str:
        """Build a URL for asyncpg and libpq; SQLAlchemy wants the scheme `postgresql+asyncpg`."""
        return socket_url(self.socket_directory, user, database)


@contextmanager
def embedded_servers(
    home: Path, postgres_settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Servers]:
    """Run a PostgreSQL 18 and a Redis that keep their data in `home` and end with their owner.

    Blocks until both answer: seconds the first time, below one later. Leaving the context stops
    them, unless another process owns them (`attached`). `postgres_settings`, name to value, count
    for the start of an owner only. Raises EmbeddedServerError.
    """
    home = prepared_home(home)
    state = os.open(home / "servers.json", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        notice = owner_notice(state)
        if notice is None:
            with owned_servers(home, state, postgres_settings) as servers:
                yield servers
        else:
            yield described(home, notice, attached=True)
    finally:
        os.close(state)


def owner_notice(state: int) -> Notice | None:
    """Take the lock and answer None, or wait for the notice of the process that has it."""
    deadline = time.monotonic() + ATTACH_SECONDS
    while not try_lock(state):
        notice = read_notice(state)
        # An owner that was killed leaves its notice to its successor, hence the question.
        if notice is not None and answers(notice):
            return notice
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                "another process owns the development servers of this directory, and they do "
                f"not answer after {ATTACH_SECONDS:g} s; end that process and try again"
            )
        time.sleep(0.05)
    return None


@contextmanager
def owned_servers(
    home: Path, state: int, postgres_settings: Mapping[str, str]
) -> Iterator[Servers]:
    """Start both servers, publish the notice, and stop them at the end; the lock is ours."""
    os.ftruncate(state, 0)
    redis, postgres = Redis(home), Postgres(home, postgres_settings)
    try:
        redis.start()  # gets ready while PostgreSQL initialises
        postgres.start()
        redis.wait_ready()
        postgres.wait_ready()
        notice = Notice(str(postgres.socket_directory), redis.url)
        os.pwrite(state, json.dumps(asdict(notice)).encode(), 0)
        yield described(home, notice, attached=False)
    finally:
        os.ftruncate(state, 0)
        try:
            postgres.let_go()  # both stop at the same time
            redis.stop()
        finally:
            postgres.stop()


def read_notice(state: int) -> Notice | None:
    """Read what the owner has published, or None before it has."""
    text = os.pread(state, NOTICE_BYTES, 0)
    try:
        return Notice(**json.loads(text))
    except (ValueError, TypeError):  # not written, or not to the end
        return None


def answers(notice: Notice) -> bool:
    """Whether both servers of the notice can be used."""
    return postgres_answers(Path(notice.socket_directory)) and redis_answers(notice.redis_url)


def described(home: Path, notice: Notice, *, attached: bool) -> Servers:
    """Describe the servers of a notice as the caller sees them."""
    directory = Path(notice.socket_directory)
    return Servers(
        postgres_admin_url=socket_url(directory, "postgres", "postgres"),
        redis_url=notice.redis_url,
        home=home,
        attached=attached,
        socket_directory=directory,
    )


def prepared_home(home: Path) -> Path:
    """Create `home` if needed, hidden from git and closed to others; answers its resolved path.

    For root it is 0711 and not 0700: the user who runs PostgreSQL may pass through it.
    Raises EmbeddedServerError when it belongs to somebody else.
    """
    home = home.resolve()
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        owner = home.stat().st_uid
    except OSError as error:
        raise EmbeddedServerError(
            f"{home} cannot be made or used as the servers' directory: {error.strerror}"
        ) from None
    if owner != os.geteuid():
        raise EmbeddedServerError(
            f"{home} belongs to user {owner}; run as that user, or remove the directory"
        )
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return home
