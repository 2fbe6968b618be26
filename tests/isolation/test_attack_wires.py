"""Wires: Redis channels and keys, NOTIFY, and logs, as somebody at the other end of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from models.functions import ORDER, function_sources
from models.roles import APP
from models.states import Event, State
from tests.isolation.attack import TABLES, Ground
from tests.isolation.conftest import Workplace
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker import client as clients
from worker.errors import CopydeskError
from worker.reports import StatusReport

SLOW_HEARTBEAT = {"lease": 600, "heartbeat": 250}


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Give somebody who reaches Redis."""
    async with Redis.from_url(redis_url) as redis:
        yield redis


async def heard(listener: PubSub, *ids: UUID) -> list[tuple[str, str]]:
    """Return the channels and messages that have arrived and name one of the ids.

    Channels know no database numbers: tests that run beside this one are heard as well.
    """
    messages = []
    while message := await listener.get_message(timeout=0.05):
        if message["type"] in {"message", "pmessage"}:
            messages.append((message["channel"].decode(), message["data"].decode()))
    return [(where, what) for where, what in messages if any(str(i) in where + what for i in ids)]


async def own_cancellation_arrives(workplace: Workplace, name: str) -> None:
    """Cancel work of one's own and wait for its end: what was sent before has been heard too."""
    mine = await workplace.mine.enqueue("gated", workplace.mine.gate(name))
    await workplace.mine.begun(name)
    await workplace.client.cancel(workplace.mine.project, mine)
    assert (await workplace.mine.final(mine)).status == State.CANCELLED


async def test_a_cancellation_from_another_channel_stops_nothing(
    workplace: Workplace, ground: Ground, redis: Redis
) -> None:
    """Hopes that a worker heeds an execution's id on any project's channel."""
    desk = workplace.theirs
    async with running_worker(workplace.settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        for project in (ground.mine.project, uuid4()):
            assert await redis.publish(f"proj:{project}:cancel", str(execution))
        await own_cancellation_arrives(workplace, "probe")
        desk.open_gate()
        report = await desk.final(execution)
    assert (report.status, report.attempt) == (State.COMPLETED, 1)


async def test_a_cancellation_that_nobody_asked_for_stops_nothing(
    workplace: Workplace, ground: Ground, redis: Redis
) -> None:
    """Hopes that a message on the right channel is enough; the flag in the database decides."""
    desk = workplace.theirs
    async with running_worker(workplace.settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        assert await redis.publish(f"proj:{ground.theirs.project}:cancel", str(execution))
        await own_cancellation_arrives(workplace, "probe")
        desk.open_gate()
        report = await desk.final(execution)
    assert (report.status, report.attempt) == (State.COMPLETED, 1)
    assert [event.event for event in report.events] == ["enqueued", "claimed", "completed"]


@pytest.mark.parametrize("channel", ["proj:*:cancel", "proj::cancel", "proj:{}:{}:cancel", "proj"])
async def test_a_channel_that_names_no_project_is_not_heard(
    channel: str, workplace: Workplace, ground: Ground, redis: Redis
) -> None:
    """Hopes for a channel that stands for all; a worker looks for exactly one project in it."""
    desk = workplace.theirs
    name = channel.format(ground.mine.project, ground.theirs.project)
    async with running_worker(workplace.settings.model_copy(update=SLOW_HEARTBEAT)):
        execution = await desk.enqueue("gated", desk.gate(channel[-3:]))
        await desk.begun(channel[-3:])
        await redis.publish(name, str(execution))
        await own_cancellation_arrives(workplace, "probe")
        desk.open_gate(channel[-3:])
        assert (await desk.final(execution)).status == State.COMPLETED


async def test_an_ending_that_is_made_up_ends_nobodys_waiting(
    workplace: Workplace, ground: Ground, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hopes that whoever waits believes the signal; they look, and wait on."""
    client, desk = workplace.client, workplace.theirs
    execution = await desk.enqueue("dormant")
    correlation = (await desk.report(execution)).correlation_id
    status, looks = client.status, []

    async def look(*place: UUID) -> StatusReport:
        looks.append(await status(*place))
        return looks[-1]

    monkeypatch.setattr(client, "status", look)
    monkeypatch.setattr(clients, "_LOOK_AGAIN", 60)
    waiting = asyncio.create_task(client.wait(desk.project, correlation, timeout=60))
    await until(lambda: len(looks) == 1, what="the client listens, and has looked")
    assert await redis.publish(f"proj:{ground.theirs.project}:ended", str(execution))
    await until(lambda: len(looks) == 2, what="the client looks")
    assert not waiting.done()
    await client.cancel(desk.project, execution)
    assert (await waiting).executions[0].status == State.CANCELLED


async def test_ones_own_channels_are_silent_about_others(
    workplace: Workplace, ground: Ground, redis: Redis
) -> None:
    """Hopes to hear on one's own channels what happens elsewhere; each channel has one project."""
    async with redis.pubsub() as everything, redis.pubsub() as mine:
        await everything.psubscribe("*")
        await mine.psubscribe(f"*{ground.mine.project}*")
        async with running_worker(workplace.settings):
            done = await workplace.theirs.run("echo", {"document_type": "plan", "value": "x"})
            running = await workplace.theirs.enqueue("gated", workplace.theirs.gate("channels"))
            await workplace.theirs.begun("channels")
            await workplace.client.cancel(ground.theirs.project, running)
            await workplace.theirs.final(running)
        said = await heard(everything, ground.theirs.project, done.execution_id, running)
        assert await heard(mine, ground.mine.project) == []
    assert {channel for channel, _ in said} == {
        f"proj:{ground.theirs.project}:ended",
        f"proj:{ground.theirs.project}:cancel",
    }


async def test_asking_for_foreign_ids_leaves_no_trace_in_redis(
    workplace: Workplace, ground: Ground, redis: Redis
) -> None:
    """Hopes that a refused call still sends a hint or a signal with the id that was given."""
    client, mine = workplace.client, ground.mine.project
    async with redis.pubsub() as everything:
        await everything.psubscribe("*")
        for id_ in ground.theirs.executions:
            for call in (client.cancel(mine, id_), client.dead_letters.retry(mine, [id_])):
                with pytest.raises(CopydeskError) as refused:
                    await call
                assert refused.value.code == "not_found"
        theirs = (ground.theirs.project, *ground.theirs.executions)
        assert await heard(everything, mine, *theirs) == []
    assert await redis.keys("*") == []


async def test_listening_to_postgresql_hears_nothing(workplace: Workplace, ground: Ground) -> None:
    """Hopes for NOTIFY, which reaches every session of the database: copydesk never uses it."""
    said: list[str] = []
    listener = await asyncpg.connect(ground.database.as_role(APP))

    def hear(_: object, __: int, channel: str, payload: object) -> None:
        said.append(f"{channel} {payload}")

    names = {table for table, _ in TABLES} | set(ORDER) | {event.value for event in Event}
    for name in (*names, str(ground.theirs.project), "probe"):
        await listener.add_listener(name, hear)
    async with running_worker(workplace.settings):
        report = await workplace.theirs.run("echo", {"document_type": "plan"})
        assert report.status == State.COMPLETED
    await ground.database.ask("SELECT pg_notify('probe', 'over')")
    await until(lambda: bool(said), what="the probe is heard")
    await listener.reset()
    await listener.close()
    assert said == ["probe over"]
    assert not [source for source in function_sources() if "notify" in source.lower()]


async def test_postgresqls_own_log_holds_no_value(workplace: Workplace, ground: Ground) -> None:
    """Hopes that refused statements stand in the server's log with what was in them."""
    secret, project = f"canary-{uuid4().hex}", ground.theirs.project
    client = workplace.client
    asked = {"agent_type": "dormant", "requested_by": ground.user, "idempotency_key": secret}
    await client.enqueue_many(project, [{**asked, "input": {"text": secret}}])
    for fields in (
        {**asked, "input": {"other": secret}},
        {**asked, "idempotency_key": None, "requested_by": uuid4(), "input": {"text": secret}},
        {**asked, "input": {"text": f"{secret}\x00"}},
    ):
        with pytest.raises(CopydeskError):
            await client.enqueue_many(project, [fields])
    with pytest.raises(CopydeskError):
        await client.document(project, secret)
    [place] = await ground.database.ask("SELECT current_setting('data_directory') AS path")
    log = Path(place["path"]).with_name("postgres.log").read_text("utf-8", "replace")
    assert "fk_agent_executions_requested_by" in log
    assert secret not in log
