"""What hints and the quarantine look like in Redis: queue logic alone, on a Redis in memory."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from arq.connections import ArqRedis
from arq.constants import default_queue_name, job_key_prefix
from fakeredis import FakeAsyncRedis

from worker.queue import hints as messages
from worker.queue.claims import Claimed
from worker.queue.envelope import read_envelope
from worker.queue.hints import HintSender, HintToSend, encode_hint, read_hint
from worker.queue.payload import decode_payload
from worker.queue.quarantine import KEPT, Quarantine


@pytest.fixture
async def memory() -> AsyncIterator[ArqRedis]:
    """An arq client of a Redis that is not there."""
    fake = FakeAsyncRedis()
    redis = ArqRedis(pool_or_conn=fake.connection_pool)
    yield redis
    await redis.aclose()


def hint(due_at: datetime | None = None) -> HintToSend:
    """A hint for an execution of some project."""
    return HintToSend(uuid4(), uuid4(), due_at)


async def test_a_hint_is_an_arq_job_of_ids_and_nothing_else(memory: ArqRedis) -> None:
    """Any arq client can read it; it carries no input and no agent."""
    one = hint()
    assert await HintSender(memory).send([one])
    raw = await memory.get(job_key_prefix + str(one.execution_id))
    job = json.loads(raw or b"")
    assert set(job) == {"t", "f", "a", "k", "et"}
    assert (job["f"], job["a"]) == ("run_agent", [])
    assert job["k"] == {
        "v": 1,
        "project_id": str(one.project_id),
        "execution_id": str(one.execution_id),
    }


async def test_a_hint_that_is_read_back_is_the_same_hint(memory: ArqRedis) -> None:
    """By the short way, and by the way of everybody's messages: both give the same."""
    one = hint()
    await HintSender(memory).send([one])
    raw = await memory.get(job_key_prefix + str(one.execution_id)) or b""
    payload = decode_payload(raw, limit=10_000)
    assert read_hint(raw) == (read_envelope(payload), payload.enqueued_at_ms)


@pytest.mark.parametrize(
    "change",
    [
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v": 1'),
        (b'"a":[]', b'"a":[1]'),
        (b'"t":null', b'"t":1'),
        (b"run_agent", b"run_agents"),
        (b"},", b"}},"),
        (b"{", b" {"),
        (b'"et":', b'"et":-'),
        (b'"execution_id":"', b'"execution_id":"A'),
    ],
)
def test_what_is_written_in_any_other_way_is_read_the_careful_way(
    change: tuple[bytes, bytes],
) -> None:
    """The short way knows one spelling to the letter."""
    assert read_hint(encode_hint(hint(), 1).encode().replace(*change, 1)) is None


def test_a_hint_for_nobody_is_none() -> None:
    """Nil ids are refused where everybody's are."""
    nobody = HintToSend(UUID(int=0), uuid4())
    assert read_hint(encode_hint(nobody, 1).encode()) is None


async def test_what_is_posted_goes_out_together(memory: ArqRedis) -> None:
    """Nobody waits for Redis; what comes while one is under way goes in the next."""
    sender = HintSender(memory)
    hints = [hint() for _ in range(5)]
    for one in hints:
        sender.post([one])
    assert await memory.zcard(default_queue_name) == 0
    await sender.settle()
    assert await memory.zcard(default_queue_name) == 5


async def test_the_outbox_is_bounded(memory: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Redis is slower than the callers, sweeps find what no hint tells of."""
    monkeypatch.setattr(messages, "_OUTBOX", 3)
    sender = HintSender(memory)
    sender.post([hint() for _ in range(2)])
    sender.post([hint() for _ in range(5)])
    await sender.settle()
    assert await memory.zcard(default_queue_name) == 3


async def test_a_hint_for_later_waits_in_the_queue_until_then(memory: ArqRedis) -> None:
    """The score is the due time, and the payload outlives it."""
    due = datetime.now(UTC) + timedelta(hours=3)
    later = hint(due)
    await HintSender(memory).send([later])
    score = await memory.zscore(default_queue_name, str(later.execution_id))
    assert score == int(due.timestamp() * 1000)
    kept_ms = await memory.pttl(job_key_prefix + str(later.execution_id))
    assert kept_ms > timedelta(hours=3).total_seconds() * 1000


async def test_a_second_hint_for_the_same_execution_moves_nothing(memory: ArqRedis) -> None:
    """What stands in the queue keeps its place; ten hints are one message."""
    first = hint()
    await HintSender(memory).send([first])
    before = await memory.zscore(default_queue_name, str(first.execution_id))
    again = HintToSend(first.project_id, first.execution_id, datetime.now(UTC) + timedelta(days=1))
    await HintSender(memory).send([again])
    assert await memory.zcard(default_queue_name) == 1
    assert await memory.zscore(default_queue_name, str(first.execution_id)) == before


async def test_the_quarantine_keeps_the_newest_and_is_bounded(memory: ArqRedis) -> None:
    """However many bad messages come, the list does not grow beyond its bound."""
    quarantine = Quarantine(memory, "q")
    for number in range(KEPT + 5):
        message = Claimed(str(number).encode(), "ok", b"{", 1)
        await quarantine.put(message, code="bad_envelope", reason="no")
    kept = await quarantine.newest(KEPT * 2)
    assert len(kept) == KEPT
    assert kept[0].job_id == str(KEPT + 4)
