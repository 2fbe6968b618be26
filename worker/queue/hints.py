"""Sends hints: small messages that wake a worker for executions that are committed already.

A hint is an arq job like any other, so any arq client can see it in the queue. Its id is the
execution's, so that ten hints for one execution are one message. A hint that cannot be sent costs
latency, never work: the sweep finds the row. So nothing here raises, and nobody waits long.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from worker.backoff import Backoff
from worker.identifiers import parse_id
from worker.queue.envelope import FUNCTION, VERSION, Hint
from worker.queue.outage import Outage
from worker.queue.scripts import script

PATIENCE = timedelta(seconds=1)
# In one call of the script, for which all of Redis waits.
_BATCH = 250
_OUTBOX = 100_000
_ID = rb"([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
_WRITTEN = re.compile(
    rb'{"t":null,"f":"%b","a":\[\],"k":{"v":%d,"project_id":"%b","execution_id":"%b"},"et":(\d{1,14})}'
    % (FUNCTION.encode(), VERSION, _ID, _ID)
)
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
        self._put = script(redis, "post")
        self._patience = patience.total_seconds()
        self._outage = Outage("hints", backoff=_PAUSE)
        self._outbox: list[HintToSend] = []
        self._posting: asyncio.Task[None] | None = None

    def post(self, hints: Sequence[HintToSend]) -> None:
        """Send hints soon, together with what else is posted meanwhile; nobody waits for Redis.

        While Redis is slower than the callers, what goes beyond the bound of the outbox is dropped.
        """
        self._outbox += hints[: max(_OUTBOX - len(self._outbox), 0)]
        if self._outbox and (self._posting is None or self._posting.done()):
            self._posting = asyncio.create_task(self._post())

    async def settle(self) -> None:
        """Return when what was posted has been sent, or could not be."""
        while self._posting is not None and not self._posting.done():
            await asyncio.wait([self._posting])

    async def _post(self) -> None:
        while self._outbox:
            hints, self._outbox = self._outbox, []
            await self.send(hints)

    async def send(self, hints: Sequence[HintToSend]) -> bool:
        """Send hints, 250 a round trip; returns whether Redis took them.

        A hint that stands in the queue already keeps its place. After a fault, hints are dropped
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
        lines: list[str] = []
        for hint in hints:
            due = now if hint.due_at is None else int(hint.due_at.timestamp() * 1000)
            kept = max(due - now, 0) + self._redis.expires_extra_ms
            lines.append(f"{hint.execution_id} {due} {kept} {encode_hint(hint, now)}\n")
        await self._put([self._redis.default_queue_name], ["".join(lines)])


def encode_hint(hint: HintToSend, now_ms: int) -> str:
    """Return a hint as the JSON of an arq job that is enqueued at `now_ms`, without spaces."""
    # Ids and numbers only: there is nothing in it that JSON would have to escape.
    return (
        f'{{"t":null,"f":"{FUNCTION}","a":[],"k":{{"v":{VERSION},"project_id":"{hint.project_id}",'
        f'"execution_id":"{hint.execution_id}"}},"et":{now_ms}}}'
    )


def read_hint(raw: bytes) -> tuple[Hint, int] | None:
    """Return the hint in `raw` and its `et`, where `encode_hint` wrote it; None for all else.

    Nearly every message is one of these, and so need not be read as JSON.
    """
    found = _WRITTEN.fullmatch(raw)
    if found is None:
        return None
    project, execution, now_ms = (part.decode() for part in found.groups())
    try:
        return Hint(parse_id(project), parse_id(execution)), int(now_ms)
    except ValueError:
        return None
