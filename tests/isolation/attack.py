"""The ground of the attacks: two projects full of canaries, an intruder, and an oracle.

An intruder has a role of running processes, and, where a test says nothing else, a transaction that
is bound to a project of its own: all that SQL can do there. Everything that comes back is kept, and
no canary may be in it. The oracle is the superuser, who compares the other project before and
after.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from models.declarations import project_owned
from models.roles import APP
from tests.isolation.canaries import CANARY, seed
from tests.ledger.desk import Desk, completion, draft
from tests.support.databases import DatabaseUrls

TABLES = sorted(project_owned().items())
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+([+-]\d\d(:?\d\d)?|Z)?|datetime\.datetime\([^)]*\)")

DORMANT = "dormant"
"""The agent type of what is pending and running: no worker of a test has it, so it stays so."""


@dataclass(frozen=True)
class Side:
    """One project, and the ids and names that stand for something in it alone."""

    project: UUID
    correlation: UUID
    completed: UUID
    failed: UUID
    running: UUID
    pending: UUID
    key: str
    document_type: str
    canary: str

    @classmethod
    def nobodys(cls) -> "Side":
        """Return ids and names that stand for nothing anywhere."""
        word = uuid4().hex
        ids = (uuid4(), uuid4(), uuid4(), uuid4(), uuid4(), uuid4())
        return cls(*ids, key=f"key-{word}", document_type=f"plan_{word}", canary=f"word-{word}")

    @property
    def executions(self) -> list[UUID]:
        """One in each state."""
        return [self.completed, self.failed, self.running, self.pending]


@dataclass(frozen=True)
class Ground:
    """A database with two projects of one user: the intruder's and the other one."""

    database: DatabaseUrls
    user: UUID
    mine: Side
    theirs: Side

    def turned(self) -> "Ground":
        """Return the same ground with the sides exchanged."""
        return Ground(self.database, self.user, self.theirs, self.mine)


def masked(text: str, given: object) -> str:
    """Return a text with what was given named so, and all other ids and times left out."""
    if isinstance(given, Side):
        for name, value in asdict(given).items():
            text = text.replace(str(value), name.upper())
    return _TIME.sub("TIME", _ID.sub("ID", text.replace(str(given), "GIVEN")))


async def prepare(database: DatabaseUrls) -> Ground:
    """Fill two projects of a database; each has words of its own in all its texts."""
    user = await database.add_user()
    sides = [await _side(database, user, word) for word in ("harmless", CANARY)]
    await database.ask("UPDATE users SET name = 'Somebody'")
    return Ground(database, user, *sides)


async def _side(database: DatabaseUrls, user: UUID, word: str) -> Side:
    desk = Desk(database, await database.add_project(user), user)
    seeded = await seed(desk, word)
    said = {"text": word}
    named = f"plan_{word.replace('-', '_')}"
    plan = await desk.running(input=said, idempotency_key=f"key-{word}")
    await desk.ledger.complete(desk.project, completion(plan, draft(f"# {word}\n", named)))
    pending = await desk.enqueue(input=said, agent_type=DORMANT)
    await database.ask(
        "UPDATE agent_executions SET agent_type = $2, "
        "lease_expires_at = lease_expires_at + interval '1 day' "
        "WHERE project_id = $1 AND status IN ('pending', 'running')",
        desk.project,
        DORMANT,
    )
    await desk.close()
    return Side(
        project=desk.project,
        correlation=seeded.correlation,
        completed=seeded.completed.execution_id,
        failed=seeded.failed.execution_id,
        running=seeded.running.execution_id,
        pending=pending.execution_id,
        key=f"key-{word}",
        document_type=named,
        canary=word,
    )


async def fingerprint(ground: Ground) -> list[str]:
    """Return a digest of all rows the other project has, one for each table."""
    digests = " UNION ALL ".join(
        f"SELECT '{table} ' || count(*) || md5(string_agg(t::text, '' ORDER BY t::text)) AS digest "  # noqa: S608 - names of the models
        f"FROM {table} t WHERE {column} = $1"
        for table, column in TABLES
    )
    return [row["digest"] for row in await ground.database.ask(digests, ground.theirs.project)]


async def forget_what_was_made(ground: Ground) -> None:
    """Remove what an attack has recorded in its own project, so that the next one finds it so."""
    known = [*ground.mine.executions, *ground.theirs.executions]
    await ground.database.ask(
        "DELETE FROM agent_executions WHERE project_id = $1 AND (retry_of IS NOT NULL OR "
        "created_at > (SELECT max(created_at) FROM agent_executions WHERE id = ANY ($2)))",
        ground.mine.project,
        known,
    )


class Intruder:
    """Runs statements, each in a savepoint of its own, and keeps whatever comes back."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.heard: list[str] = []
        connection.add_log_listener(lambda _, message: self.heard.append(_worded(message)))

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        """Return the rows of a statement that is allowed."""
        async with self.connection.transaction():
            rows: list[Any] = await self.connection.fetch(statement, *arguments)
        self.heard.append(str(rows))
        return rows

    async def value(self, statement: str, *arguments: Any) -> Any:
        """Return the one value of the one row of a statement that is allowed."""
        [row] = await self.rows(statement, *arguments)
        return row[0]

    async def refused(self, statement: str, *arguments: Any) -> str:
        """Return the SQLSTATE with which a statement is refused; it has to be."""
        state = (await self.outcome(statement, *arguments)).partition(" ")[0]
        assert len(state) == len("42501"), (statement, self.heard[-1])
        return state

    async def outcome(self, statement: str, *arguments: Any) -> str:
        """Return the rows of a statement, or its SQLSTATE and every word of the error."""
        try:
            return str(await self.rows(statement, *arguments))
        except asyncpg.PostgresError as error:
            self.heard.append(f"{error.sqlstate} {_worded(error)}")
            return self.heard[-1]

    async def alike(self, statement: str, theirs: Any, *arguments: Any) -> str:
        """Run a statement with an id or a name of theirs as $1, and with one that nobody has.

        Both have to come out the same, word for word; returns what came out.
        """
        nobodys: Any = uuid4() if isinstance(theirs, UUID) else f"x{uuid4().hex}"[: len(theirs)]
        answers = [
            masked(await self.outcome(statement, given, *arguments), given)
            for given in (theirs, nobodys)
        ]
        assert answers[0] == answers[1]
        return answers[0]


def _worded(message: Any) -> str:
    """Return all that the server said: message, detail, hint, context, names."""
    # Where in the server's source it was said, and at which position, tells of nobody's rows.
    said = {k: v for k, v in message.as_dict().items() if not k.startswith(("server_", "position"))}
    return f"{message} {said}"


@asynccontextmanager
async def intruder(
    ground: Ground, role: str = APP, *, scope: UUID | None = None, bound: bool = True
) -> AsyncIterator[Intruder]:
    """Open a role's transaction, bound to the intruder's own project unless told otherwise.

    It is rolled back, and no canary may have come out of it.
    """
    connection = await asyncpg.connect(ground.database.as_role(role))
    attempt = Intruder(connection)
    transaction = connection.transaction()
    await transaction.start()
    try:
        if bound:
            project = str(scope or ground.mine.project)
            await connection.fetch("SELECT set_config('app.project_id', $1, true)", project)
        yield attempt
    finally:
        await transaction.rollback()
        await connection.close()
    assert ground.theirs.canary not in "\n".join(attempt.heard)
