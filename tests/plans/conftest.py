"""A database with years of executions and versions behind it, for the tests of this directory."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from benchmarks.history import store
from tests.plans.explained import Book, explain_everything
from tests.plans.workload import Site
from tests.support.databases import DatabaseUrls
from worker.database import Database
from worker.documents import ProjectReader
from worker.ledger import Dispatch, Ledger, MovePool

# `make test` asks for a million; that takes a minute, which the short suite does not have.
ROWS = int(os.environ.get("PLAN_ROWS", "100000"))
CONTENTS = ["The quick brown fox jumps over the lazy dog. " * 4, "Nothing to see here. " * 8]


@dataclass(frozen=True)
class Place:
    """A database, a user, and projects: the first is the large one."""

    database: DatabaseUrls
    user: UUID
    projects: list[UUID]


async def settle(database: DatabaseUrls, number: int) -> Place:
    """Make a user and projects, and let the running roles explain what they do."""
    user = await database.add_user()
    rows = await database.ask(
        "INSERT INTO projects (name, created_by) SELECT 'Project ' || n, $1 "
        "FROM generate_series(1, $2::int) n RETURNING id",
        user,
        number,
    )
    await explain_everything(database)
    return Place(database, user, [UUID(str(row["id"])) for row in rows])


@asynccontextmanager
async def working(place: Place, project: UUID, book: Book) -> AsyncIterator[Site]:
    """Open what readings and moves need, one connection each, with the book listening."""
    known = await place.database.ask(
        "SELECT id, correlation_id FROM agent_executions WHERE project_id = $1 LIMIT 1", project
    )
    execution, correlation = known[0] if known else (uuid4(), uuid4())
    with book.listening():
        database = Database(place.database.app, size=1)
        pools = [MovePool(url, size=1) for url in (place.database.app, place.database.dispatch)]
        yield Site(
            database,
            pools[0],
            Ledger(pools[0], worker="w1:1:test", input_limit=10_000),
            Dispatch(pools[1]),
            ProjectReader(pools[0], project),
            project,
            place.user,
            UUID(str(correlation)),
            UUID(str(execution)),
        )
        await database.close()
        for pool in pools:
            await pool.close()


@pytest.fixture
async def full(database: DatabaseUrls) -> Place:
    """Give a database with that many executions and versions in 200 projects."""
    place = await settle(database, 200)
    async with database.oracle() as oracle:
        await store(oracle, ROWS, user=place.user, projects=place.projects, contents=CONTENTS)
    return place
