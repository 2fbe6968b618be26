"""Bad messages are set aside and counted, and never keep a good one waiting."""

import base64
import pickle
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from arq.connections import ArqRedis

from tests.queue.conftest import MakeWorker
from tests.queue.desk import Desk, as_json, eventually, request, running
from tests.queue.test_plain_pickle import Canary
from worker.queue.envelope import Hint, read_envelope
from worker.queue.payload import Payload
from worker.requests import EnqueueRequest

ID = "0198c0de-0000-7000-8000-000000000001"
GOOD: dict[str, Any] = {"t": None, "f": "run_agent", "a": [], "k": {}, "et": 1_700_000_000_000}


def job(**arguments: Any) -> dict[str, Any]:
    """Return an arq job with a good request, changed by `arguments`."""
    return GOOD | {"k": request(project_id=ID, requested_by=ID) | arguments}


BAD_PAYLOADS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "bad_envelope"),
    "truncated json": (as_json(job())[:-5], "bad_envelope"),
    "truncated pickle": (pickle.dumps(job())[:-5], "bad_envelope"),
    "time null": (as_json(job() | {"et": None}), "bad_envelope"),
    "time huge": (pickle.dumps(job() | {"et": 2**200}), "bad_envelope"),
    "time text": (pickle.dumps(job() | {"et": "now"}), "bad_envelope"),
    "try text": (pickle.dumps(job() | {"t": "1"}), "bad_envelope"),
    "name list": (pickle.dumps(job() | {"f": ["run_agent"]}), "bad_envelope"),
    "arguments null": (as_json(GOOD | {"k": None}), "bad_envelope"),
    "ctx": (as_json(job(ctx={})), "bad_envelope"),
    "version": (as_json(job(v=2)), "bad_envelope"),
    "function": (as_json(job() | {"f": "other"}), "unknown_function"),
    "no project": (as_json(GOOD | {"k": {}}), "project_required"),
    "default project": (as_json(job(project_id="default")), "project_required"),
    "all projects": (pickle.dumps(job(project_id="*")), "project_required"),
    "nil": (as_json(job(project_id="0" * 8 + "-0000-0000-0000-" + "0" * 12)), "project_required"),
    "braces": (as_json(job(project_id=f"{{{ID}}}")), "project_required"),
    "newline": (as_json(job(project_id=f"{ID}\n")), "project_required"),
    "foreign hint": (
        as_json(GOOD | {"k": {"v": 1, "project_id": ID, "execution_id": "x"}}),
        "bad_envelope",
    ),
    "NaN": (b'{"t":null,"f":"run_agent","a":[],"k":{"input":{"n":NaN}},"et":1}', "bad_envelope"),
    "1e999": (
        b'{"t":null,"f":"run_agent","a":[],"k":{"input":{"n":1e999}},"et":1}',
        "bad_envelope",
    ),
    "pickled infinity": (pickle.dumps(job(input={"n": float("inf")})), "bad_envelope"),
    "NUL": (as_json(job(input={"n": "\0"})), "input_invalid"),
    "too large": (b"{" + b" " * 3_000_000 + b"}", "payload_too_large"),
    "class": (pickle.dumps(job(input=ValueError("x"))), "bad_envelope"),
    "not arq": (b"hello", "bad_envelope"),
}


async def put(redis: ArqRedis, job_id: bytes | str, raw: bytes, *, score: float = 1) -> None:
    """Put a raw message into the queue, ahead of everything else."""
    key = b"arq:job:" + (job_id if isinstance(job_id, bytes) else job_id.encode())
    await redis.set(key, raw, px=60_000)
    member: Any = job_id
    await redis.zadd(redis.default_queue_name, {member: score})


@pytest.mark.parametrize("name", BAD_PAYLOADS)
async def test_a_bad_payload_is_set_aside_and_the_next_message_handled(
    name: str, redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """It leaves the queue with a code, and a good message right after it is handled."""
    raw, code = BAD_PAYLOADS[name]
    desk = Desk(ends=True)
    worker = make_worker(desk, poll_delay=3600)
    bad_id, good_id = uuid4().hex, uuid4().hex
    async with running(worker):
        await put(redis, bad_id, raw)
        await put(redis, good_id, as_json(job()), score=2)
        await eventually(lambda: worker.finished == 1 and worker.set_aside == 1)
        await eventually(lambda: is_empty(redis))
    assert desk.ids == [good_id]
    [entry] = await worker.quarantined(10)
    assert (entry.job_id, entry.code, entry.size) == (bad_id, code, len(raw))
    assert base64.b64decode(entry.head) == raw[:200]
    assert not await redis.exists(f"arq:job:{bad_id}", f"arq:in-progress:{bad_id}")


async def is_empty(redis: ArqRedis) -> bool:
    """Return whether the queue is empty."""
    return bool(await redis.zcard(redis.default_queue_name) == 0)


@pytest.mark.parametrize(
    "job_id", [b"\xff\xfe", b"\x80", b"a" * 2000, b"ok\xc3\x28"], ids=lambda one: repr(one[:8])
)
async def test_an_id_that_is_not_text_is_set_aside(
    job_id: bytes, redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Members that are not UTF-8, or absurdly long, are set aside with or without a payload."""
    desk = Desk(ends=True)
    worker = make_worker(desk)
    await put(redis, job_id, as_json(job()))
    await redis.zadd(redis.default_queue_name, {job_id + b"2": 1})
    await put(redis, "good", as_json(job()))
    async with running(worker):
        await eventually(lambda: worker.set_aside == 2 and worker.finished == 1)
        await eventually(lambda: is_empty(redis))
    assert desk.ids == ["good"]
    for entry in await worker.quarantined(10):
        assert entry.code == "bad_envelope"
        assert entry.job_id.isprintable()


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


async def test_a_hostile_pickle_in_the_queue_is_never_executed(
    tmp_path: Path, redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """A payload that would run a shell command ends in the quarantine, and runs nothing."""
    canary = tmp_path / "canary"
    worker = make_worker()
    for protocol in range(6):
        await put(redis, f"evil-{protocol}", pickle.dumps(job(input=Canary(canary)), protocol))
    async with running(worker):
        await eventually(lambda: worker.set_aside == 6)
    assert not canary.exists()


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


@pytest.mark.parametrize("score", [0, -1e300, float("-inf"), 1, 1.5, 1e-300])
async def test_messages_with_strange_past_scores_run(
    score: float, redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """Score 0 and scores of the far past are due."""
    desk = Desk(ends=True)
    await put(redis, "m", as_json(job()), score=score)
    async with running(make_worker(desk)):
        await eventually(lambda: desk.ids == ["m"])


@pytest.mark.parametrize("score", [float("inf"), 1e300, 4e12])
async def test_messages_of_the_far_future_wait_and_harm_nobody(
    score: float, redis: ArqRedis, make_worker: MakeWorker
) -> None:
    """They stay in the queue until due, and others run meanwhile."""
    desk = Desk(ends=True)
    worker = make_worker(desk)
    async with running(worker):
        await put(redis, "later", as_json(job()), score=score)
        await put(redis, "now", as_json(job()))
        await eventually(lambda: worker.finished == 1)
    assert desk.ids == ["now"]
    assert await redis.zscore(redis.default_queue_name, "later") == score


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
