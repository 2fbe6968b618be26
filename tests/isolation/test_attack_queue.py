"""The queue: messages that mix two projects, or that stand where another project's would.

Whoever can write to Redis is no friend. What they send is recorded, refused or set aside in the
project it names, and whatever else it names is nobody's there.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from arq.connections import ArqRedis, create_pool
from arq.constants import job_key_prefix
from arq.jobs import Job
from arq.worker import JobExecutionFailed

from models.states import State
from tests.isolation.attack import Ground
from tests.isolation.conftest import Workplace
from tests.support.workers import running_worker
from worker.queue.connection import to_arq_settings
from worker.queue.quarantine import Quarantine
from worker.settings import secret


@pytest.fixture
async def arq(workplace: Workplace) -> AsyncIterator[ArqRedis]:
    """Give a producer that knows only arq."""
    pool = await create_pool(to_arq_settings(secret(workplace.settings.redis_url)))
    yield pool
    await pool.aclose()


async def sent(arq: ArqRedis, *arguments: Any, **named: Any) -> Job:
    """Send a message with plain arq."""
    job = await arq.enqueue_job("run_agent", *arguments, **named)
    assert job is not None
    return job


async def ending(job: Job) -> str:
    """Return how a message ended, in the words its producer is told."""
    try:
        return str(await job.result(timeout=15, poll_delay=0.01))
    except JobExecutionFailed as error:
        return str(error)


@pytest.mark.usefixtures("untouched")
async def test_a_hint_for_foreign_work_ends_like_one_for_no_work(
    workplace: Workplace, ground: Ground, arq: ArqRedis
) -> None:
    """Hopes that my project with an execution of theirs is told apart, run, or ended."""
    said = []
    async with running_worker(workplace.settings):
        for id_ in (*ground.theirs.executions, uuid4()):
            job = await sent(arq, v=1, project_id=str(ground.mine.project), execution_id=str(id_))
            said.append(await ending(job))
    assert set(said) == {"not_found: execution_id: the project has no such execution"}


@pytest.mark.usefixtures("untouched")
async def test_a_request_that_borrows_foreign_names_is_ones_own(
    workplace: Workplace, ground: Ground, arq: ArqRedis
) -> None:
    """Hopes that a correlation id, a key and an input of theirs lead there; here they are words."""
    mine, theirs = ground.mine, ground.theirs
    before = await workplace.client.status(theirs.project, theirs.correlation)
    async with running_worker(workplace.settings):
        job = await sent(
            arq,
            project_id=str(mine.project),
            agent_type="echo",
            requested_by=str(ground.user),
            correlation_id=str(theirs.correlation),
            idempotency_key=theirs.key,
            input={"value": {"project_id": str(theirs.project)}, "document_type": "borrowed"},
        )
        answer = await ending(job)
    assert "execution_id" in answer
    assert await workplace.client.status(theirs.project, theirs.correlation) == before
    here = await workplace.client.status(mine.project, theirs.correlation)
    assert [execution.agent_type for execution in here.executions] == ["echo"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([{"project_id": "MINE", "agent_type": "echo"}], {"project_id": "THEIRS"}),
        ([{"project_id": "MINE"}, {"project_id": "THEIRS"}], {}),
        ([], {"project_id": ["MINE", "THEIRS"], "agent_type": "echo"}),
        ([], {"project_id": "MINE,THEIRS", "agent_type": "echo"}),
        ([], {"project_id": "MINE", "project": "THEIRS", "agent_type": "echo"}),
        ([], {"v": 1, "project_id": "MINE", "execution_id": "PENDING", "agent_type": "echo"}),
        ([], {"v": 1, "project_id": "MINE", "execution_id": ["PENDING"]}),
    ],
)
@pytest.mark.usefixtures("untouched")
async def test_a_message_that_names_two_projects_is_set_aside(
    arguments: list[Any], named: dict[str, Any], workplace: Workplace, ground: Ground, arq: ArqRedis
) -> None:
    """Hopes that one of two names is checked and the other used; it is no message at all."""
    text = json.dumps([arguments, named])
    for word, value in (
        ("MINE", ground.mine.project),
        ("THEIRS", ground.theirs.project),
        ("PENDING", ground.theirs.pending),
    ):
        text = text.replace(word, str(value))
    given, words = json.loads(text)
    async with running_worker(workplace.settings):
        said = await ending(await sent(arq, *given, **words))
        [entry] = await Quarantine(arq, "arq:queue").newest(9)
    assert said.startswith(("bad_envelope: ", "project_required: "))
    for value in (ground.theirs.project, ground.theirs.pending):
        assert str(value) not in said + entry.reason


async def test_a_message_in_the_place_of_a_foreign_hint_costs_latency_only(
    workplace: Workplace, ground: Ground, arq: ArqRedis
) -> None:
    """Hopes to replace the message that would wake their work; the sweep finds the row."""
    execution = await workplace.theirs.enqueue("echo", {"value": "theirs"})
    request = {
        "project_id": str(ground.mine.project),
        "agent_type": "echo",
        "requested_by": str(ground.user),
        "input": {"value": "mine"},
    }
    job: dict[str, Any] = {"t": None, "f": "run_agent", "a": [], "k": request, "et": 1}
    await arq.set(f"{job_key_prefix}{execution}", json.dumps(job))
    async with running_worker(workplace.settings):
        report = await workplace.theirs.final(execution)
    assert (report.status, report.output) == (State.COMPLETED, {"value": "theirs"})


async def test_a_message_that_asks_for_running_work_learns_nothing_of_its_end(
    workplace: Workplace, ground: Ground, arq: ArqRedis
) -> None:
    """Hopes that its own message is kept until the foreign work ends, and answered with it."""
    desk = workplace.theirs
    async with running_worker(workplace.settings):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        job = await sent(arq, v=1, project_id=str(ground.mine.project), execution_id=str(execution))
        assert (await ending(job)).startswith("not_found: ")
        desk.open_gate()
        report = await desk.final(execution)
        assert (await ending(job)).startswith("not_found: ")
    assert (report.status, report.attempt) == (State.COMPLETED, 1)


async def test_one_batch_of_messages_of_two_projects_goes_to_two_projects(
    workplace: Workplace, arq: ArqRedis
) -> None:
    """Hopes that what is taken off the queue together is claimed together."""
    desks = {desk.project: desk for desk in (workplace.mine, workplace.theirs)}
    executions: dict[UUID, list[UUID]] = {project: [] for project in desks}
    for number in range(8):
        for project, desk in desks.items():
            value = {"value": f"{project} {number}"}
            executions[project].append(await desk.enqueue("echo", value))
    mixed = [
        await sent(arq, v=1, project_id=str(here), execution_id=str(there))
        for here, theres in zip(desks, reversed(executions.values()), strict=True)
        for there in theres
    ]
    async with running_worker(workplace.settings):
        for project, desk in desks.items():
            for report in await desk.finals(executions[project]):
                assert report.attempt == 1
                assert str((report.output or {})["value"]).startswith(str(project))
        answers = await asyncio.gather(*(ending(job) for job in mixed))
    assert {answer.split(":")[0] for answer in answers} == {"not_found"}
