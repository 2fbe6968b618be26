"""The raw queue's door: what cannot be read is set aside with a code, and the next job runs."""

import base64
import json
import pickle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job, SerializationError
from arq.worker import JobExecutionFailed

from tests.bad_input.place import Place
from tests.bad_input.row import CANARY, Row, each
from tests.bad_input.table import queue as table
from tests.support.waiting import until
from worker.queue.claims import describe_id
from worker.queue.payload import codec_of
from worker.queue.quarantine import Quarantine, QuarantinedMessage

pytestmark = pytest.mark.asyncio(loop_scope="module")


def sent(place: Place, raw: bytes) -> bytes:
    """Return a payload with the place's own ids in it."""
    mine = raw.replace(table.PROJECT.encode(), str(place.project).encode())
    return mine.replace(table.USER.encode(), str(place.user).encode())


async def put(redis: ArqRedis, job_id: bytes, raw: bytes | None, *, score: float = 1) -> None:
    """Put a message into the queue, with whatever payload; ahead of everything else."""
    if raw is not None:
        await redis.set(b"arq:job:" + job_id, raw, px=60_000)
    member: Any = job_id
    await redis.zadd(redis.default_queue_name, {member: score})


async def send_good(place: Place, redis: ArqRedis, **options: Any) -> Job:
    """Enqueue a good job as a plain arq producer does."""
    job = await redis.enqueue_job(
        "run_agent",
        project_id=str(place.project),
        requested_by=str(place.user),
        agent_type="echo",
        input={"value": "a good one"},
        **options,
    )
    assert job is not None
    return job


async def completed(job: Job) -> None:
    """Wait until a good job has its answer."""
    answer = await job.result(timeout=10, poll_delay=0.01)
    assert answer["output"] == {"value": "a good one"}


async def set_aside(place: Place, redis: ArqRedis, job_id: bytes) -> QuarantinedMessage:
    """Wait until a message is in the quarantine, and out of the queue."""
    quarantine = Quarantine(redis, place.settings.queue_name)

    async def found() -> QuarantinedMessage | None:
        newest = await quarantine.newest(5)
        return next((entry for entry in newest if entry.job_id == describe_id(job_id)), None)

    entry = await until(found, what="the message is set aside")

    async def gone() -> bool:
        return await redis.zscore(redis.default_queue_name, job_id) is None

    await until(gone, what="the message is out of the queue")
    return entry


async def told(redis: ArqRedis, job_id: bytes, raw: bytes) -> str:
    """Return what the producer of a message is told; it can be read without running anything."""
    job = Job(job_id.decode(), redis, redis.default_queue_name)
    if codec_of(raw) == "json":
        job._deserializer = json.loads
    with pytest.raises((JobExecutionFailed, SerializationError)) as failed:
        await job.result(timeout=10, poll_delay=0.01)
    return str(failed.value)


@each(table.MESSAGES)
async def test_a_bad_message_is_set_aside_and_the_next_one_runs(
    row: Row, place: Place, redis: ArqRedis
) -> None:
    """With a code and a reason that repeats nothing of it; its producer is told the same."""
    raw = sent(place, row.input() if callable(row.input) else row.input)
    job_id = uuid4().hex.encode()
    count = place.service._queue.set_aside
    async with place.unharmed(accepts=1):
        await put(redis, job_id, raw)
        good = await send_good(place, redis)
        entry = await set_aside(place, redis, job_id)
        await completed(good)
    assert (entry.code, entry.size) == (row.code, len(raw))
    assert entry.reason.startswith(row.field)
    assert row.rule in entry.reason
    assert CANARY not in entry.reason
    assert entry.reason.isprintable()
    assert base64.b64decode(entry.head) == raw[:200]
    assert not await redis.exists(b"arq:job:" + job_id, b"arq:in-progress:" + job_id)
    assert await told(redis, job_id, raw) == f"{entry.code}: {entry.reason}"
    assert place.service._queue.set_aside == count + 1


@each(table.IDS)
async def test_an_id_that_is_no_text_is_set_aside(row: Row, place: Place, redis: ArqRedis) -> None:
    """With or without a payload."""
    for raw in (b"{}", None):
        async with place.unharmed(accepts=1):
            await put(redis, row.input, raw)
            good = await send_good(place, redis)
            entry = await set_aside(place, redis, row.input)
            await completed(good)
        assert (entry.code, entry.job_id.isprintable()) == (row.code, True)
        await redis.delete(f"{place.settings.queue_name}:quarantine")


@each(table.ODD_IDS)
async def test_a_good_message_with_an_odd_id_runs(row: Row, place: Place, redis: ArqRedis) -> None:
    """Each id that is text names an execution of its own, however strange it is."""
    async with place.unharmed(accepts=1):
        await completed(await send_good(place, redis, _job_id=row.input.decode()))


@each(table.DUE)
async def test_a_message_of_the_past_runs(row: Row, place: Place, redis: ArqRedis) -> None:
    """Score 0 and scores of the far past are due."""
    job = await _queued(place, redis, score=row.input)
    async with place.unharmed(accepts=1):
        await put(redis, job.job_id.encode(), None, score=row.input)
        await completed(job)


@each(table.NOT_DUE)
async def test_a_message_of_the_far_future_waits(row: Row, place: Place, redis: ArqRedis) -> None:
    """It stays where it is, and holds nobody up."""
    job = await _queued(place, redis, score=row.input)
    async with place.unharmed(accepts=1):
        await put(redis, job.job_id.encode(), None, score=row.input)
        await completed(await send_good(place, redis))
    assert await redis.zscore(redis.default_queue_name, job.job_id) == row.input
    await redis.zrem(redis.default_queue_name, job.job_id)


async def _queued(place: Place, redis: ArqRedis, *, score: float) -> Job:
    """Make a good message that stands nowhere in the queue yet."""
    raw = pickle.dumps(table.job(table.request(input={"value": "a good one"})))
    job_id = f"scored-{score:g}"
    await redis.set(f"arq:job:{job_id}", sent(place, raw), px=60_000)
    return Job(job_id, redis, redis.default_queue_name)


@each(table.HOSTILE)
async def test_a_pickle_never_runs(row: Row, place: Place, redis: ArqRedis, tmp_path: Path) -> None:
    """It names a command; the file that the command would make does not appear."""
    bait = tmp_path / "bait"
    raw = pickle.dumps(table.job(table.request(input=table.Shell(str(bait)))), row.input)
    async with place.unharmed():
        await put(redis, row.what.encode(), raw)
        entry = await set_aside(place, redis, row.what.encode())
    assert entry.code == row.code
    assert not bait.exists()


async def test_b06_an_unknown_agent_waits_is_told_of_and_does_not_circulate(
    place: Place, redis: ArqRedis
) -> None:
    """The row stays pending; the worker logs an error once, and looks again in a while."""
    begin = len(place.log.getvalue())
    async with place.unharmed(accepts=1):
        job = await redis.enqueue_job(
            "run_agent",
            project_id=str(place.project),
            requested_by=str(place.user),
            agent_type="nobody_has_it",
        )
        assert job is not None

        async def deferred() -> bool:
            score = await redis.zscore(redis.default_queue_name, job.job_id)
            return score is not None and score - table.now_ms() > 10_000

        await until(deferred, what="the message is put off")
    logged = place.log.getvalue()[begin:]
    assert logged.count("no_such_agent_here") == 1
    [row] = await place.database.ask(
        "SELECT status, attempt FROM agent_executions WHERE agent_type = 'nobody_has_it'"
    )
    assert (row["status"], row["attempt"]) == ("pending", 0)
    await redis.zrem(redis.default_queue_name, job.job_id)


async def test_b30_the_same_message_id_is_one_execution(place: Place, redis: ArqRedis) -> None:
    """Also when the message is replayed by hand after its end."""
    raw = sent(place, pickle.dumps(table.job(table.request(input={"value": "a good one"}))))
    async with place.unharmed(accepts=1):
        for _ in range(2):
            await redis.delete("arq:result:B30")
            await put(redis, b"B30", raw)
            await completed(Job("B30", redis, redis.default_queue_name))


async def test_b31_the_same_key_for_another_request_is_set_aside(
    place: Place, redis: ArqRedis
) -> None:
    """The first one stays; the second is told."""
    async with place.unharmed(accepts=1):
        await completed(await send_good(place, redis, idempotency_key="queue-B31"))
        raw = pickle.dumps(table.job(table.request(idempotency_key="queue-B31")))
        await put(redis, b"B31", sent(place, raw))
        entry = await set_aside(place, redis, b"B31")
    assert (entry.code, entry.reason[:16]) == ("idempotency_conflict", "idempotency_key:")


async def test_b32_the_same_key_in_another_project_is_another_key(
    place: Place, redis: ArqRedis
) -> None:
    """Keys are a project's own at this door, too."""
    other = await place.database.add_project(place.user)
    async with place.unharmed(accepts=2):
        answers = set[UUID]()
        for project in (place.project, other):
            arguments = table.request(project_id=str(project), idempotency_key="queue-B32")
            raw = sent(place, pickle.dumps(table.job(arguments)))
            job_id = f"B32-{project}"
            await put(redis, job_id.encode(), raw)
            answer = await Job(job_id, redis, redis.default_queue_name).result(
                timeout=10, poll_delay=0.01
            )
            answers.add(UUID(answer["execution_id"]))
    assert len(answers) == 2
