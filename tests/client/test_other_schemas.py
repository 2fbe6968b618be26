"""A client on a schema that is not its own: it goes on where it can, and else says what to do."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

import migrations
from models.states import State
from tests.conftest import make_settings
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.client import Client
from worker.errors import SchemaMismatchError
from worker.settings import Settings

LATER = "9999_much_later"
HERE = migrations.latest()
UPGRADE = "run `copydesk db upgrade`"
BACK = f"run `copydesk db downgrade {HERE}`"

Call = Callable[[Client, UUID], Awaitable[object]]
CALLS: dict[str, Call] = {
    "enqueue": lambda client, id_: client.enqueue(id_, "echo", requested_by=id_),
    "status": lambda client, id_: client.status(id_, id_),
    "execution": lambda client, id_: client.execution(id_, id_),
    "wait": lambda client, id_: client.wait(id_, id_),
    "cancel": lambda client, id_: client.cancel(id_, id_),
    "documents": lambda client, id_: client.documents(id_),
    "document": lambda client, id_: client.document(id_, "plan"),
    "dead letters": lambda client, id_: client.dead_letters.list(id_),
    "retry": lambda client, id_: client.dead_letters.retry(id_, [id_]),
    "create user": lambda client, _: client.create_user(email="a@example.com", name="A"),
    "create project": lambda client, id_: client.create_project(name="A", created_by=id_),
}


@pytest.mark.parametrize("call", CALLS)
async def test_without_a_schema_every_call_says_how_to_make_one(
    call: str, empty_database: str, redis_url: str
) -> None:
    """The first mistake of everybody who installs it, whatever they do first."""
    settings = make_settings(DatabaseUrls("", empty_database), redis_url)
    async with Client(settings) as client:
        with pytest.raises(SchemaMismatchError) as fault:
            await CALLS[call](client, uuid4())
    versions = f"the schema is at revision none, this copydesk works with {HERE}"
    assert fault.value.message == f"{versions}: {UPGRADE}"


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        ("enqueue", "ALTER FUNCTION enqueue_executions RENAME TO enqueue_before"),
        ("status", "ALTER TABLE agent_executions RENAME COLUMN failures TO faults"),
        ("documents", "ALTER TABLE document_versions RENAME TO documents"),
    ],
)
@pytest.mark.parametrize(
    ("revision", "remedy"),
    [
        ("0000_long_ago", UPGRADE),
        (LATER, f"install the copydesk that has {LATER}, or with that one {BACK}"),
    ],
)
async def test_what_another_revision_lacks_is_told_with_both_and_the_remedy(
    call: str, missing: str, revision: str, remedy: str, desk: Desk
) -> None:
    """A function, a column or a table that was not there yet, or is not there any more."""
    await desk.database.ask(missing)
    await desk.database.ask("UPDATE alembic_version SET version_num = $1", revision)
    with pytest.raises(SchemaMismatchError) as fault:
        await CALLS[call](desk.client, desk.project)
    versions = f"the schema is at revision {revision}, this copydesk works with {HERE}"
    assert (fault.value.message, fault.value.code) == (f"{versions}: {remedy}", "schema_mismatch")


async def test_a_later_schema_that_has_all_that_is_needed_is_no_fault(desk: Desk) -> None:
    """The schema moves before the code, so a client of before goes on."""
    await desk.database.ask("UPDATE alembic_version SET version_num = $1", LATER)
    execution = await desk.enqueue("echo", {"value": 1})
    assert (await desk.report(execution)).status == State.PENDING


async def test_what_is_missing_at_the_right_revision_is_named(desk: Desk) -> None:
    """Then the upgrade repairs nothing; somebody has changed the database by hand."""
    await desk.database.ask("DROP FUNCTION cancel_executions")
    with pytest.raises(SchemaMismatchError, match="a function is missing") as fault:
        await CALLS["cancel"](desk.client, desk.project)
    assert fault.value.code == "schema_missing"


async def test_an_outcome_waits_until_the_schema_has_its_place(
    desk: Desk, settings: Settings
) -> None:
    """What an agent has done is not thrown away because of a migration, or one taken back."""
    with capture_logs() as lines:
        async with running_worker(settings):
            execution = await desk.enqueue("gated", desk.gate())
            await desk.begun()
            await desk.database.ask("ALTER FUNCTION complete_executions RENAME TO put_aside")
            desk.open_gate()
            kept = await until(lambda: [e for e in lines if e["event"] == "outcome_kept_back"])
            await desk.database.ask("ALTER FUNCTION put_aside RENAME TO complete_executions")
            report = await desk.final(execution)
    assert {line["code"] for line in kept} == {"schema_missing"}
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 1, 0)
