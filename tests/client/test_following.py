"""Following what was enqueued: status, wait, documents, and the end of the client itself."""

import asyncio
from time import monotonic
from uuid import uuid4

import pytest
from pydantic import SecretStr

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker import client as clients
from worker.client import Client
from worker.errors import InputInvalidError, NotFoundError, ProjectRequiredError
from worker.settings import Settings

NO_REDIS = SecretStr("redis://:none@127.0.0.1:1/0")


async def test_status_tells_the_life_of_everything_under_a_correlation_id(
    client: Client, desk: Desk, settings: Settings
) -> None:
    """One picture: executions in the order they came, attempts, events, and what they wrote."""
    correlation = uuid4()
    async with running_worker(settings):
        for agent, payload in (("echo", {"document_type": "notes"}), ("flaky", {"failures": 1})):
            await desk.enqueue(agent, payload, correlation_id=correlation)
        report = await client.wait(desk.project, correlation, timeout=15)
    assert report.is_final
    assert [e.agent_type for e in report.executions] == ["echo", "flaky"]
    echo, flaky = report.executions
    assert [e.event for e in echo.events] == ["enqueued", "claimed", "completed"]
    assert [(v.document_type, v.version, v.attempt) for v in echo.versions] == [("notes", 1, 1)]
    assert [a.ending for a in flaky.attempts] == ["retry_scheduled", "completed"]
    assert all(a.seconds is not None and a.seconds >= 0 for a in flaky.attempts)
    assert echo.completed_at is not None
    assert echo.created_at <= echo.started_at <= echo.completed_at


async def test_another_projects_work_cannot_be_told_from_none(client: Client, desk: Desk) -> None:
    """Its ids are answered as ids that were never given out."""
    execution = await desk.enqueue("echo")
    correlation = (await desk.report(execution)).correlation_id
    other = await client.create_project(name="Other", created_by=desk.user)
    for project, id_ in ((other, correlation), (desk.project, uuid4()), (uuid4(), correlation)):
        assert (await client.status(project, id_)).executions == []
        with pytest.raises(NotFoundError):
            await client.wait(project, id_, timeout=1)
    for call in (client.execution, client.cancel):
        with pytest.raises(NotFoundError):
            await call(other, execution)
    assert (await desk.report(execution)).status == State.PENDING


@pytest.mark.parametrize("wrong", [None, "", "all", 7])
async def test_every_call_names_its_project(wrong: object, client: Client) -> None:
    """There is no default, nowhere."""
    id_ = uuid4()
    for call in (
        client.status(wrong, id_),  # type: ignore[arg-type]
        client.execution(wrong, id_),  # type: ignore[arg-type]
        client.wait(wrong, id_),  # type: ignore[arg-type]
        client.documents(wrong),  # type: ignore[arg-type]
        client.document(wrong, "notes"),  # type: ignore[arg-type]
        client.cancel(wrong, id_),  # type: ignore[arg-type]
        client.enqueue_many(wrong, []),  # type: ignore[arg-type]
    ):
        with pytest.raises(ProjectRequiredError):
            await call
    with pytest.raises(InputInvalidError, match="correlation_id"):
        await client.status(uuid4(), "not an id")
    with pytest.raises(InputInvalidError, match="execution_id"):
        await client.execution(uuid4(), "not an id")


async def test_wait_returns_as_soon_as_the_worker_says_that_it_has_ended(
    client: Client, desk: Desk, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the signal: with nothing else to wake it, it does not sleep until its next look."""
    monkeypatch.setattr(clients, "_LOOK_AGAIN", 3600)
    async with running_worker(settings):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        correlation = (await desk.report(execution)).correlation_id
        waiting = asyncio.create_task(client.wait(desk.project, correlation))
        await until(lambda: bool(client._signals._waiting))
        desk.open_gate()
        async with asyncio.timeout(10):
            report = await waiting
    assert report.executions[0].status == State.COMPLETED


async def test_wait_does_without_redis(desk: Desk, settings: Settings) -> None:
    """It looks again from time to time."""
    deaf = settings.model_copy(update={"redis_url": NO_REDIS})
    async with running_worker(settings), Client(deaf) as client:
        recorded = await client.enqueue(desk.project, "echo", requested_by=desk.user)
        report = await client.wait(desk.project, recorded.correlation_id, timeout=15)
    assert report.is_final


async def test_wait_gives_up_after_its_time_and_not_before(client: Client, desk: Desk) -> None:
    """TimeoutError says that it is not over; the execution is not touched."""
    execution = await desk.enqueue("echo")
    correlation = (await desk.report(execution)).correlation_id
    began = monotonic()
    with pytest.raises(TimeoutError, match=r"0\.3 s"):
        await client.wait(desk.project, correlation, timeout=0.3)
    assert monotonic() - began >= 0.3
    assert (await desk.report(execution)).status == State.PENDING


async def test_many_may_wait_over_one_connection(
    client: Client, desk: Desk, settings: Settings
) -> None:
    """Each gets its own report, and one that is cancelled disturbs nobody."""
    async with running_worker(settings):
        gate = desk.gate()
        executions = [await desk.enqueue("gated", gate) for _ in range(6)]
        ids = [(await desk.report(e)).correlation_id for e in executions]
        waits = [asyncio.create_task(client.wait(desk.project, id_, timeout=20)) for id_ in ids]
        await until(lambda: len(client._signals._waiting.get(desk.project, ())) == 6)
        waits[0].cancel()
        desk.open_gate()
        reports = await asyncio.gather(*waits[1:])
    assert [r.correlation_id for r in reports] == ids[1:]
    assert client._signals._waiting == {}


async def test_documents_are_read_with_and_without_content(
    client: Client, desk: Desk, settings: Settings
) -> None:
    """The list has the latest of each; one version can be asked for by number."""
    async with running_worker(settings):
        for kind in ("notes", "plan", "notes"):
            await desk.run("echo", {"document_type": kind})
    found = await client.documents(desk.project)
    assert [(d.document_type, d.version, d.content) for d in found] == [
        ("notes", 2, None),
        ("plan", 1, None),
    ]
    assert (await client.document(desk.project, "notes")).version == 2
    first = await client.document(desk.project, "notes", 1)
    assert (first.content, first.created_by) == ("# Attempt 1\n", desk.user)
    for kind, version in (("notes", 3), ("notes", 2**31 - 1), ("nothing", None)):
        with pytest.raises(NotFoundError):
            await client.document(desk.project, kind, version)


async def test_users_and_projects_are_made_once(client: Client, database: DatabaseUrls) -> None:
    """The same address is the same user; a project keeps its language."""
    user = await client.create_user(email="writer@example.com", name="Writer")
    assert await client.create_user(email="writer@example.com", name="Writer again") == user
    project = await client.create_project(name="Plan", created_by=user, language="de-AT")
    [row] = await database.ask("SELECT * FROM projects WHERE id = $1", project)
    assert (row["name"], row["language"], row["created_by"]) == ("Plan", "de-AT", user)
    with pytest.raises(NotFoundError, match="created_by"):
        await client.create_project(name="Plan", created_by=uuid4())


async def test_a_closed_client_leaves_nothing_behind(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """No task, no connection, even where a wait was under way."""
    before = asyncio.all_tasks()
    async with Client(settings) as client:
        recorded = await client.enqueue(desk.project, "echo", requested_by=desk.user)
        waiting = asyncio.create_task(client.wait(desk.project, recorded.correlation_id))
        await until(lambda: bool(client._signals._waiting))
        waiting.cancel()
        await asyncio.wait([waiting])
        with pytest.raises(ZeroDivisionError):
            async with client:
                raise ZeroDivisionError
    assert asyncio.all_tasks() - before == set()

    async def alone() -> bool:
        rows = await database.ask(
            "SELECT FROM pg_stat_activity WHERE datname = $1 AND application_name = $2",
            database.name,
            "copydesk client",
        )
        return len(rows) <= desk.client._pool._open

    await until(alone)
