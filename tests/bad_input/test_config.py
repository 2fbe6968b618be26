"""The configuration's door: a worker that must not start says why in one line, and no secret."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.bad_input.place import Place
from tests.bad_input.row import CANARY, Row, each
from tests.bad_input.table import config as table
from tests.queue.redis_server import RedisServer, runnable_redis
from tests.support.databases import DatabaseUrls
from tests.support.workers import environment, worker_process
from worker.cli import main
from worker.queue.connection import open_redis
from worker.settings import secret

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refused(row: Row, place: Place, **variables: str) -> None:
    """Start a worker with these variables; it ends as the row says. Another one goes on."""
    log = place.directory / f"{uuid4().hex}.log"
    async with place.unharmed(), worker_process(place.settings, log, **variables) as worker:
        code = await worker.ended(within=60)
    check(row, code, log.read_text("utf-8", "replace"))


def check(row: Row, code: object, said: str) -> None:
    """One line on standard error with the fault, the exit code of the row, and no secret."""
    assert str(code) == row.code, said
    assert said.startswith("copydesk: ")
    assert row.field in said
    assert row.rule in said
    assert said[-1] == "\n"
    assert said[:-1].isprintable()
    assert CANARY not in said


def with_password(url: str) -> str:
    """Return the URL with a password, which the server does not ask for, in it."""
    return re.sub("@", f":{CANARY}@", url, count=1)


@asynccontextmanager
async def bypassing(database: DatabaseUrls) -> AsyncIterator[str]:
    """Make a role that may bypass row level security, and give the URL with it."""
    name = f"test_{uuid4().hex}"
    await database.ask(f"CREATE ROLE {name} LOGIN BYPASSRLS")
    await database.ask(f"GRANT copydesk_app TO {name}")
    try:
        yield database.as_role(name)
    finally:
        await database.ask(f"REVOKE copydesk_app FROM {name}")
        await database.ask(f"DROP ROLE {name}")


@each(table.ROLES)
async def test_a_role_that_may_too_much_is_refused(row: Row, place: Place) -> None:
    """Isolation is the roles' doing; the line names the role and the remedy."""
    name, role = row.input
    async with bypassing(place.database) as bypass:
        url = bypass if role == "bypass" else getattr(place.database, role)
        await refused(row, place, **{f"COPYDESK_{name.upper()}": with_password(url)})


@each(table.DEFAULTS)
async def test_a_default_project_is_refused(row: Row, place: Place, database: DatabaseUrls) -> None:
    """On the database, on the role, or in the URL."""
    app = with_password(database.app)
    if row.input:
        await database.ask(row.input.format(name=database.name, project=uuid4()))
    else:
        app = f"{app}&app.project_id={uuid4()}"
    await refused(row, place, COPYDESK_DATABASE_URL=app, COPYDESK_DISPATCH_URL=database.dispatch)


@each(table.URLS)
async def test_a_wrong_url_is_refused_without_its_password(row: Row, place: Place) -> None:
    """2 where it cannot be right, 3 where nobody answers now."""
    name, value = row.input
    await refused(row, place, **{f"COPYDESK_{name}": value})


@each(table.VALUES)
async def test_a_wrong_value_is_refused_without_itself(
    row: Row, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As soon as the settings are read, and nothing was opened."""
    name, value = row.input
    for known, given in environment(place.settings, **{f"COPYDESK_{name}": value}).items():
        if known.startswith("COPYDESK_"):
            monkeypatch.setenv(known, given)
    monkeypatch.setattr(sys, "argv", ["copydesk", "worker"])
    async with place.unharmed():
        with pytest.raises(SystemExit) as ended:
            main()
    check(row, ended.value.code, capsys.readouterr().err)


@each(table.REDIS)
async def test_a_redis_that_is_not_safe_is_refused(row: Row, place: Place, tmp_path: Path) -> None:
    """Open to everybody, or free to throw away what it holds."""
    if row.input == "no password":
        url = re.sub("//.*@", "//", secret(place.settings.redis_url))
        await refused(row, place, COPYDESK_REDIS_URL=url)
        return
    server = RedisServer(runnable_redis(tmp_path), tmp_path, password=CANARY)
    server.start()
    try:
        redis = open_redis(server.url, queue_name="any")
        await redis.config_set("maxmemory-policy", row.input)
        await redis.aclose()
        await refused(row, place, COPYDESK_REDIS_URL=server.url)
    finally:
        server.stop()
