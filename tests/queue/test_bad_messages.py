"""Bad messages are set aside and counted, and never keep a good one waiting."""

from typing import Any

import pytest
from arq.connections import ArqRedis

from tests.queue.conftest import MakeWorker
from tests.queue.desk import Desk, as_json, eventually, request, running
from worker.queue.envelope import Hint, read_envelope
from worker.queue.payload import Payload
from worker.requests import EnqueueRequest

ID = "0198c0de-0000-7000-8000-000000000001"
GOOD: dict[str, Any] = {"t": None, "f": "run_agent", "a": [], "k": {}, "et": 1_700_000_000_000}


def job(**arguments: Any) -> dict[str, Any]:
    """Return an arq job with a good request, changed by `arguments`."""
    return GOOD | {"k": request(project_id=ID, requested_by=ID) | arguments}


async def put(redis: ArqRedis, job_id: bytes | str, raw: bytes, *, score: float = 1) -> None:
    """Put a raw message into the queue, ahead of everything else."""
    key = b"arq:job:" + (job_id if isinstance(job_id, bytes) else job_id.encode())
    await redis.set(key, raw, px=60_000)
    member: Any = job_id
    await redis.zadd(redis.default_queue_name, {member: score})


async def is_empty(redis: ArqRedis) -> bool:
    """Return whether the queue is empty."""
    return bool(await redis.zcard(redis.default_queue_name) == 0)


async def test_a_line_break_in_an_id_stays_on_one_line(
    redis: ArqRedis, make_worker: MakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids are written so that they cannot forge a line of a log."""
    worker = make_worker()
    await put(redis, b"a\r\nforged", b"bad")
    async with running(worker):
        await eventually(lambda: worker.set_aside == 1)
    [entry] = await worker.quarantined(1)
    assert entry.job_id == "hex:" + b"a\r\nforged".hex()
    assert not any(line.startswith("forged") for line in capsys.readouterr().out.splitlines())


async def test_keys_of_the_wrong_type_do_not_end_the_loop(
    redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """A list where a payload, or a hash where a claim should stand, harms nobody else."""
    desk = Desk(ends=True)
    worker = make_worker(desk)
    name = redis.default_queue_name
    await redis.lpush(f"arq:job:{name}-list", "x")  # type: ignore[misc]
    await redis.hset(f"arq:in-progress:{name}-hash", "a", "b")  # type: ignore[misc]
    await redis.pexpire(f"arq:in-progress:{name}-hash", 100)
    await put(redis, f"{name}-hash", as_json(job()))
    await redis.zadd(name, {f"{name}-list": 1})
    await put(redis, "good", as_json(job()), score=2)
    async with running(worker):
        await eventually(lambda: worker.set_aside == 1 and worker.finished == 2)
    assert sorted(desk.ids) == sorted(["good", f"{name}-hash"])


async def test_the_quarantine_is_bounded_and_newest_first(
    redis: ArqRedis, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of bad messages cannot fill Redis, and none of them holds up a good one."""
    monkeypatch.setattr("worker.queue.quarantine.KEPT", 5)
    desk = Desk(ends=True)
    worker = make_worker(desk)
    for number in range(20):
        await put(redis, f"bad-{number:02}", b"x", score=number)
    await put(redis, "good", as_json(job()), score=100)
    async with running(worker):
        await eventually(lambda: worker.set_aside == 20 and worker.finished == 1)
    entries = await worker.quarantined(100)
    assert [entry.job_id for entry in entries] == [f"bad-{number}" for number in range(19, 14, -1)]
    assert await worker.quarantined(0) == []


async def test_a_handler_may_set_a_message_aside_itself(
    redis: ArqRedis, make_worker: MakeWorker, desk: Desk
) -> None:
    """What only the database can judge is set aside with the handler's code."""
    worker = make_worker()
    await put(redis, "m", as_json(job()))
    async with running(worker):
        await eventually(lambda: desk.ids == ["m"])
        [message] = desk.deliveries
        assert await worker.quarantine(message.job_id, message.raw, "not_found", "no such row")
        assert worker.under_way == []
    [entry] = await worker.quarantined(1)
    assert (entry.code, entry.reason) == ("not_found", "no such row")
    assert await is_empty(redis)


async def test_a_fault_of_ours_while_reading_harms_one_message_only(
    redis: ArqRedis, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw is logged, and the message set aside; the next one is handled."""

    def stumble(payload: Payload) -> Hint | EnqueueRequest:
        if "stumble" in payload.arguments:
            raise RuntimeError("unforeseen")
        return read_envelope(payload)

    monkeypatch.setattr("worker.queue.claims.read_envelope", stumble)
    desk = Desk(ends=True)
    worker = make_worker(desk)
    await put(redis, "bad", as_json(job(stumble=1)))
    await put(redis, "good", as_json(job()), score=2)
    async with running(worker):
        await eventually(lambda: worker.set_aside == 1 and worker.finished == 1)
    assert desk.ids == ["good"]
