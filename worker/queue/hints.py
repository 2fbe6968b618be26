"""Sends hints: small messages that wake a worker for executions that are committed already.

A hint is an arq job like any other, so any arq client can see it in the queue. Its id is the
execution's, so that ten hints for one execution are one message. A hint that cannot be sent costs
latency, never work: the sweep finds the row. So nothing here raises, and nobody waits long.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from redis.exceptions import RedisError

from worker.backoff import Backoff
from worker.queue.envelope import FUNCTION, VERSION
from worker.queue.outage import Outage

PATIENCE = timedelta(seconds=1)
_BATCH = 1000
_PAUSE = Backoff(first=timedelta(milliseconds=250), cap=timedelta(seconds=2), jitter=0.5)


@dataclass(frozen=True, slots=True)
class HintToSend:
    """An execution that is, or at `due_at` will be, ready; None means now."""

    project_id: UUID
    execution_id: UUID
    due_at: datetime | None = None


class HintSender:
    """Sends hints to the queue that `redis` is opened for, waiting at most `patience` in all."""

    def __init__(self, redis: ArqRedis, *, patience: timedelta = PATIENCE) -> None:
        self._redis = redis
        self._patience = patience.total_seconds()
        self._outage = Outage("hints", backoff=_PAUSE)

    async def send(self, hints: Sequence[HintToSend]) -> bool:
        """Send hints in one round trip; returns whether Redis took them.

        A hint that stands in the queue already is left as it is. After a fault, hints are dropped
        for a moment instead of making every caller wait.
        """
        if self._outage.pausing:
            return False
        try:
            async with asyncio.timeout(self._patience):
                for start in range(0, len(hints), _BATCH):
                    await self._send(hints[start : start + _BATCH])
        except (RedisError, OSError) as error:
            self._outage.failed(error)
            return False
        if hints:
            self._outage.over()
        return True

    async def _send(self, hints: Sequence[HintToSend]) -> None:
        now = int(time.time() * 1000)
        scores: dict[str, int] = {}
        async with self._redis.pipeline(transaction=False) as pipe:
            for hint in hints:
                job_id = str(hint.execution_id)
                due = now if hint.due_at is None else int(hint.due_at.timestamp() * 1000)
                scores[job_id] = due
                kept = max(due - now, 0) + self._redis.expires_extra_ms
                pipe.set(job_key_prefix + job_id, encode_hint(hint, now), px=kept)
            # After the payloads, so that no id stands in the queue without one.
            pipe.zadd(self._redis.default_queue_name, scores, nx=True)
            await pipe.execute()


def encode_hint(hint: HintToSend, now_ms: int) -> bytes:
    """Return a hint as the JSON of an arq job that is enqueued at `now_ms`."""
    arguments = {
        "v": VERSION,
        "project_id": str(hint.project_id),
        "execution_id": str(hint.execution_id),
    }
    job: dict[str, object] = {"t": None, "f": FUNCTION, "a": [], "k": arguments, "et": now_ms}
    return json.dumps(job, separators=(",", ":")).encode()
