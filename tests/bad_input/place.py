"""A place for bad input: real servers, a worker that runs, and a look at what it did to them."""

import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from models.states import State
from tests.bad_input.row import CANARY, Row
from tests.conftest import make_settings
from tests.support.databases import TEMPLATE, DatabaseUrls, fresh_database
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.client import Client
from worker.errors import CopydeskError
from worker.logs import configure_logging
from worker.service import WorkerService
from worker.settings import Settings

AGENTS = ["tests.support.desk_agents", "tests.support.isolated_agents"]

_COMPLETED = """
    SELECT output_data = '{"value": "a good one"}' FROM agent_executions
    WHERE id = $1 AND status = 'completed'
"""


@dataclass(frozen=True)
class Place(Desk):
    """A desk with a worker beside it, whose log is read."""

    settings: Settings
    service: WorkerService
    log: io.StringIO
    oracle: asyncpg.Connection
    handler: logging.Handler

    async def recorded(self) -> int:
        """Return how many executions there are, in all projects."""
        return int(await self.oracle.fetchval("SELECT count(*) FROM agent_executions"))

    @asynccontextmanager
    async def unharmed(self, *, accepts: int = 0) -> AsyncIterator[None]:
        """Look on: exactly `accepts` executions are recorded, and a good job afterwards completes.

        What is logged meanwhile is JSON, one line an event, and repeats no canary.
        """
        before, begin = await self.recorded(), len(self.log.getvalue())
        yield
        assert await self.recorded() == before + accepts
        await self.probe()
        logged = self.log.getvalue()[begin:]
        assert CANARY not in logged
        assert all(isinstance(json.loads(line), dict) for line in logged.splitlines())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let the place's own log alone hear lines: pytest's raises at what it cannot write."""
        root = logging.getLogger()
        handlers = root.handlers
        root.handlers = [self.handler]
        try:
            yield
        finally:
            root.handlers = handlers

    async def probe(self) -> None:
        """Show that work goes on: a good job completes, and no part of the worker has ended."""
        execution = await self.enqueue("echo", {"value": "a good one"})

        async def completed() -> bool:
            # Not through the client: there are a thousand of these.
            return bool(await self.oracle.fetchval(_COMPLETED, execution))

        await until(completed, what="a good job completes")
        assert self.service._broken is None
        assert not self.service._stopping.is_set()

    async def probe_signal(self) -> None:
        """Return when whatever was published before has been heard: a real cancellation is."""
        execution = await self.enqueue("gated", self.gate("probe"))
        try:
            await self.begun("probe")
            await self.client.cancel(self.project, execution)
            assert (await self.final(execution)).status == State.CANCELLED
        finally:
            (self.directory / "probe.begun.1").unlink(missing_ok=True)


def check(row: Row, error: CopydeskError) -> None:
    """The answer has the row's code, names field and rule on one line, and repeats no value."""
    assert (error.code, error.retryable) == (row.code, False), error.message
    assert re.match(rf"{re.escape(row.field)}[.:\[]", error.message), error.message
    assert row.rule in error.message
    assert error.message.isprintable()
    assert CANARY not in str(error)


@asynccontextmanager
async def open_place(
    admin_url: str, redis_url: str, directory: Path, **given: Any
) -> AsyncIterator[Place]:
    """Make a place with a project, a user and a running worker of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    async with fresh_database(admin_url, template=TEMPLATE) as database:
        settings = _settings(database, redis_url, directory, given)
        user = await database.add_user()
        project = await database.add_project(user)
        log = io.StringIO()
        configure_logging(settings, log)
        [handler] = root.handlers
        try:
            async with (
                database.oracle() as oracle,
                Client(settings) as client,
                running_worker(settings) as service,
            ):
                desk = (client, database, project, user, directory)
                yield Place(*desk, settings, service, log, oracle, handler)
        finally:
            root.handlers, root.level = handlers, level
            structlog.reset_defaults()


def _settings(
    database: DatabaseUrls, redis_url: str, directory: Path, given: dict[str, Any]
) -> Settings:
    limits = {"output_limit": 1_000_000, "document_limit": 1_000_000}
    where = {"exports_directory": directory / "exports", "agents": AGENTS}
    return make_settings(database, redis_url, **{**limits, **where, **given})
