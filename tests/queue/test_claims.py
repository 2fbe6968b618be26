"""Claims: one owner at a time, taken over when the lease ends, never ended by a former owner."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job, JobStatus

from tests.queue.conftest import MakeWorker
from tests.queue.desk import Desk, eventually, new_id, request, running

SHORT = timedelta(milliseconds=150)


async def enqueue(redis: ArqRedis, *, job_id: str | None = None, **options: Any) -> Job:
    """Enqueue a good request."""
    job = await redis.enqueue_job("run_agent", _job_id=job_id, **options, **request())
    assert job is not None
    return job


def now_ms() -> int:
    """Return the Unix time in ms."""
    return int(time.time() * 1000)


async def test_a_message_goes_to_one_of_many_workers(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Three workers, fifty messages: each is handed over once."""
    desks = [Desk(ends=True) for _ in range(3)]
    workers = [make_worker(one) for one in desks]
    jobs = [await enqueue(redis) for _ in range(50)]
    async with running(*workers):
        await eventually(lambda: sum(worker.finished for worker in workers) == 50)
    taken = [name for one in desks for name in one.ids]
    assert sorted(taken) == sorted(job.job_id for job in jobs)


async def test_a_dead_workers_message_is_taken_over_when_its_lease_ends(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Nobody has to notice the death: the message comes due by itself."""
    dead, heir = Desk(), Desk(ends=True)
    job = await enqueue(redis)
    async with running(make_worker(dead, lease=SHORT)):
        await eventually(lambda: dead.ids == [job.job_id])
    async with running(make_worker(heir, lease=SHORT, poll_delay=3600)):
        await eventually(lambda: heir.ids == [job.job_id])
        assert await job.result(timeout=5, poll_delay=0.01)


async def test_a_paused_owner_cannot_end_what_its_successor_runs(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """A former owner's finish, defer and extend change nothing."""
    paused, heir = Desk(), Desk()
    first = make_worker(paused, lease=SHORT)
    job = await enqueue(redis)
    async with running(first):
        await eventually(lambda: paused.ids == [job.job_id])
    second = make_worker(heir)
    async with running(second):
        await eventually(lambda: heir.ids == [job.job_id])
        job_id = job.job_id.encode()
        before = await redis.zscore(redis.default_queue_name, job_id)
        assert await paused.end(paused.deliveries) == [False]
        assert await first.extend([job_id]) == [False]
        assert await first.defer([(job_id, now_ms() + 60_000)]) == [False]
        assert await redis.zscore(redis.default_queue_name, job_id) == before
        assert await job.status() == JobStatus.in_progress
        assert await heir.end(heir.deliveries) == [True]
    assert (first.finished, second.finished) == (0, 1)
    assert await job.status() == JobStatus.complete


async def test_an_owner_whose_claim_ran_out_untaken_may_still_end_it(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """Nobody else has it, so the answer is worth keeping."""
    job = await enqueue(redis)
    async with running(make_worker(lease=SHORT)):
        await eventually(lambda: desk.ids == [job.job_id])
    await eventually(lambda: is_unclaimed(redis, job))
    assert await desk.end(desk.deliveries) == [True]
    assert await job.result(timeout=5) == {"agent": "review"}


async def is_unclaimed(redis: ArqRedis, job: Job) -> bool:
    """Return whether nobody holds the job."""
    return not await redis.exists(f"arq:in-progress:{job.job_id}")


async def test_extended_claims_are_not_taken_over(redis: ArqRedis, make_worker: MakeWorker) -> None:
    """As long as the owner extends, others leave the message alone; nothing else is prolonged."""
    desk, other = Desk(), Desk()
    worker = make_worker(desk, lease=timedelta(milliseconds=300))
    job = await enqueue(redis)
    async with running(worker):
        await eventually(lambda: desk.ids == [job.job_id])
        claimed = await redis.zscore(redis.default_queue_name, job.job_id)
        assert claimed is not None
        async with running(make_worker(other)):
            while now_ms() < claimed + 300:  # twice the lease
                assert await worker.extend(worker.under_way) == [True]
                await asyncio.sleep(0.05)
            assert other.ids == []
        extended = await redis.zscore(redis.default_queue_name, job.job_id)
        assert extended is not None
        assert extended > claimed + 300
        assert await worker.extend([b"unknown"]) == [False]
        assert await redis.zscore(redis.default_queue_name, "unknown") is None


async def test_a_deferred_message_comes_back_at_its_time_to_anyone(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """`defer` gives the claim up; status says deferred, and the payload is kept long enough."""
    desk, heir = Desk(), Desk(ends=True)
    worker = make_worker(desk)
    job = await enqueue(redis)
    async with running(worker):
        await eventually(lambda: desk.ids == [job.job_id])
        week = 7 * 86_400_000
        assert await worker.defer([(job.job_id.encode(), now_ms() + week)]) == [True]
        assert worker.under_way == []
        assert await job.status() == JobStatus.deferred
        assert await redis.pttl(f"arq:job:{job.job_id}") > week
    due = now_ms() + 200
    await redis.zadd(redis.default_queue_name, {job.job_id: due})
    async with running(make_worker(heir, poll_delay=3600)):
        await eventually(lambda: heir.ids == [job.job_id])
        assert now_ms() >= due


async def test_a_claimed_message_leaves_the_head_of_the_queue(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """Its score moves to the end of its lease, so long jobs never stand before short ones."""
    job = await enqueue(redis)
    async with running(make_worker()):
        await eventually(lambda: desk.ids == [job.job_id])
        score = await redis.zscore(redis.default_queue_name, job.job_id)
    assert score is not None
    assert now_ms() + 25_000 < score <= now_ms() + 30_000


async def test_a_message_sent_again_while_it_runs_is_not_run_twice(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """A replayed ZADD makes the id due again; its claim stands, so it waits for the claim's end."""
    other = Desk()
    job, probe = await enqueue(redis), new_id("probe")
    async with running(make_worker()):
        await eventually(lambda: desk.ids == [job.job_id])
    await redis.zadd(redis.default_queue_name, {job.job_id: 0})
    async with running(make_worker(other)):
        await enqueue(redis, job_id=probe)
        await eventually(lambda: probe in other.ids)
        await eventually(lambda: is_later(redis, job))
    assert other.ids == [probe]


async def is_later(redis: ArqRedis, job: Job) -> bool:
    """Return whether the job is due later than now."""
    score = await redis.zscore(redis.default_queue_name, job.job_id)
    return score is not None and score > now_ms()


async def test_ones_own_message_back_after_a_pause_is_not_handed_over_twice(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """A worker that lost time takes its own claim again and goes on with the work it has."""
    worker = make_worker(lease=SHORT)
    job = await enqueue(redis)
    async with running(worker):
        await eventually(lambda: desk.ids == [job.job_id])
        first = await redis.zscore(redis.default_queue_name, job.job_id)
        assert first is not None
        await eventually(lambda: was_claimed_again(redis, job, first))
        assert desk.ids == [job.job_id]
        assert await desk.end(desk.deliveries) == [True]
    assert worker.taken == 1


async def was_claimed_again(redis: ArqRedis, job: Job, first: float) -> bool:
    """Return whether the job's claim has been renewed since its score was `first`."""
    score = await redis.zscore(redis.default_queue_name, job.job_id)
    return score is not None and score > first


async def test_no_more_is_claimed_than_there_is_room_for(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """What does not fit stays in the queue for others, first come first."""
    desk = Desk(room=2)
    worker = make_worker(desk)
    jobs = [await enqueue(redis, _defer_by=-10 + number) for number in range(5)]
    async with running(worker):
        await eventually(lambda: len(desk.ids) == 2)
        assert [await job.status() for job in jobs].count(JobStatus.in_progress) == 2
        while worker.finished < 5:
            await eventually(lambda: bool(worker.under_way))
            await desk.end([one for one in desk.deliveries if one.job_id in worker.under_way])
    assert desk.ids == [job.job_id for job in jobs]


async def test_a_large_batch_is_cut_by_its_bytes(
    redis: ArqRedis, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payloads are fetched a bounded number of bytes at a time, and all of them arrive."""
    monkeypatch.setattr("worker.queue.moves.FULL_BATCH_BYTES", 50_000)
    desk = Desk(ends=True)
    worker = make_worker(desk, poll_delay=3600)
    monkeypatch.setattr(worker._wakes, "wake", lambda: None)  # nothing else makes it look again
    for _ in range(10):
        await redis.enqueue_job("run_agent", **request(input={"text": "x" * 100_000}))
    async with running(worker):
        await eventually(lambda: worker.finished == 10)


async def test_a_handler_that_fails_does_not_end_the_loop(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Its messages come due again when their lease ends."""

    class Stumbling(Desk):
        async def handle(self, messages: list[Any]) -> None:
            await super().handle(messages)
            if len(self.deliveries) == 1:
                raise RuntimeError("once")

    desk = Stumbling()
    worker = make_worker(desk, lease=SHORT)
    job = await enqueue(redis)
    async with running(worker):
        await eventually(lambda: desk.ids == [job.job_id] * 2)
        now = datetime.now(UTC)
        ending = desk.deliveries[1].succeeded(None, started=now, finished=now)
        assert await worker.finish([ending]) == [True]
