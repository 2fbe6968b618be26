"""Another project's ids, given to every move, are ids that do not exist."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from models.roles import FUNCTION_GRANTS
from tests.isolation.canaries import CANARY, KEY, Seeded
from tests.ledger.desk import AGENTS, LEASE, draft
from worker.client import Client
from worker.database import Database
from worker.documents import ProjectReader
from worker.errors import CopydeskError, ScopeConflictError
from worker.ledger import Completion, Failure, Ledger, MovePool, Progress, Release
from worker.ledger.records import Cancellation

Move = Callable[[Ledger, UUID, UUID], Awaitable[Any]]

MOVES: dict[str, Move] = {
    "claim": lambda ledger, project, id_: ledger.claim(project, [id_], LEASE, AGENTS),
    "complete": lambda ledger, project, id_: ledger.complete(
        project, Completion(id_, 1, "{}", (draft(),))
    ),
    "fail": lambda ledger, project, id_: ledger.fail(
        project, Failure(id_, 1, "code", "message", timedelta(0))
    ),
    "release": lambda ledger, project, id_: ledger.release(project, Release(id_, 1, "")),
    "cancel_attempt": lambda ledger, project, id_: ledger.cancel_attempt(
        project, Cancellation(id_, 1, "")
    ),
    "request_cancel": lambda ledger, project, id_: ledger.request_cancel(project, id_, ""),
    "rescue": lambda ledger, project, id_: ledger.rescue(project, [id_]),
    "retry": lambda ledger, project, id_: ledger.retry(project, [id_], None),
    "progress": lambda ledger, project, id_: ledger.progress(project, [Progress(id_, 1, 0.5, "")]),
}


async def answer(call: Awaitable[Any], id_: UUID) -> str:
    """Return what a call answers or raises, in words, with its id left out."""
    try:
        said = repr(await call)
    except CopydeskError as error:
        said = f"{type(error).__name__} {error.code} {error.message}"
    return said.replace(str(id_), "ID")


async def everything(victim: Seeded) -> list[str]:
    """Return every row the victim's project has."""
    rows = await victim.desk.database.ask(
        "SELECT e::text AS row FROM agent_executions e WHERE project_id = $1 "
        "UNION ALL SELECT x::text FROM execution_events x WHERE project_id = $1 "
        "UNION ALL SELECT d::text FROM document_versions d WHERE project_id = $1 ORDER BY 1",
        victim.project,
    )
    return [row["row"] for row in rows]


def test_every_move_is_attacked() -> None:
    """A move that is added is added here too."""
    public = {name for name in vars(Ledger) if not name.startswith("_")}
    assert public - {"enqueue", "enqueue_many"} == set(MOVES)


@pytest.mark.parametrize("move", MOVES)
async def test_a_move_on_another_projects_execution_is_one_on_nothing(
    move: str, victim: Seeded, stranger: Seeded
) -> None:
    """The same answer as for an unknown id, and nothing of the other project changes."""
    await victim.desk.expire(victim.running.execution_id)
    before, ghost = await everything(victim), uuid4()
    ledger = stranger.desk.ledger  # even in the name of the very worker that holds the claim

    for target in (victim.running, victim.completed, victim.failed):
        id_ = target.execution_id
        theirs = await answer(MOVES[move](ledger, stranger.project, id_), id_)
        nobodys = await answer(MOVES[move](ledger, stranger.project, ghost), ghost)
        assert theirs == nobodys

    assert await everything(victim) == before


async def run_inside(database: Database, project: UUID, statement: str) -> None:
    """Run a statement in a transaction that is bound to a project."""
    async with database.project(project) as session:
        await (await session.connection()).exec_driver_sql(statement)


async def test_the_functions_refuse_a_transaction_of_another_project(
    victim: Seeded, stranger: Seeded
) -> None:
    """Inside a transaction bound to one project no function serves another."""
    async with stranger.desk.database.oracle() as oracle:
        signatures = await oracle.fetch(
            "SELECT p.oid::regprocedure::text AS name, p.pronargs AS n FROM pg_proc p "
            "WHERE p.proname = ANY ($1) AND p.proargnames[1] = 'p_project_id'",
            list(FUNCTION_GRANTS["copydesk_app"]),
        )
    assert len(signatures) >= 10
    database = Database(stranger.desk.database.app, size=1)
    for function in signatures:
        name = function["name"].split("(")[0]
        if name in {"reject_writes", "find_repeats"}:
            continue  # parts of the moves, which bind the transaction before they use them
        nulls = ", ".join(["NULL"] * (function["n"] - 1))
        statement = f"SELECT {name}('{victim.project}'{', ' + nulls if nulls else ''})"
        if name == "enqueue_execution":
            statement = f"SELECT {name}('{victim.project}', 'review', '{{}}', '{uuid4()}')"
        with pytest.raises(ScopeConflictError):
            await run_inside(database, stranger.project, statement)
    await database.close()


async def test_keys_and_correlation_ids_of_two_projects_stay_apart(
    victim: Seeded, stranger: Seeded, client: Client
) -> None:
    """The same words in two projects are two things, each with its own answer."""
    correlation = uuid4()
    both = []
    for seeded in (victim, stranger):
        execution = await client.enqueue(
            seeded.project,
            "review",
            {"document_type": "plan"},
            requested_by=seeded.desk.user,
            correlation_id=correlation,
            idempotency_key="order-1",
        )
        both.append(execution)
    assert all(execution.created for execution in both)

    for seeded, execution in zip((victim, stranger), both, strict=True):
        report = await client.status(seeded.project, correlation)
        assert [e.execution_id for e in report.executions] == [execution.execution_id]
    rows = await victim.desk.database.ask(
        "SELECT count(*) AS n FROM agent_executions WHERE idempotency_key = $1", KEY
    )
    assert rows[0]["n"] == 2


async def test_an_agents_reader_sees_its_own_project_only(victim: Seeded, stranger: Seeded) -> None:
    """It was bound by the claim; the agent cannot name another project."""
    await victim.desk.database.ask(
        "UPDATE document_versions SET document_type = 'secret' WHERE project_id = $1",
        victim.project,
    )
    async with MovePool(victim.desk.database.app, size=1) as pool:
        reader = ProjectReader(pool, stranger.project)
        assert await reader.document("secret", None) is None
        assert await reader.document("secret", 1) is None
        found = await reader.latest_documents()

    assert [(document.document_type, document.content) for document in found] == [
        ("article", "# harmless\n")
    ]
    assert CANARY not in repr(found)


async def test_answers_to_a_stranger_hold_no_canary(
    victim: Seeded, stranger: Seeded, client: Client
) -> None:
    """Everything a client of one project can ask for tells of that project alone."""
    answers = [
        repr(await client.documents(stranger.project)),
        repr(await client.document(stranger.project, "article")),
        repr(await client.status(stranger.project, stranger.correlation)),
        repr(await client.execution(stranger.project, stranger.failed.execution_id)),
    ]

    assert all("harmless" in text or "article" in text for text in answers)
    assert CANARY not in "".join(answers)
    assert str(victim.project) not in "".join(answers)
