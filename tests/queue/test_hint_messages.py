"""What hints and the quarantine look like in Redis: queue logic alone, on a Redis in memory."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from arq.connections import ArqRedis
from arq.constants import default_queue_name, job_key_prefix
from fakeredis import FakeAsyncRedis

from worker.queue.claims import Claimed
from worker.queue.hints import HintSender, HintToSend
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
