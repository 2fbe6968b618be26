"""Messages that cannot be read are set aside for a person: what, when, why, and how they begin.

The list stands beside its queue (`<queue>:quarantine`), newest first, and is bounded.
"""

import base64
import json
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import cast

from arq.connections import ArqRedis

from worker.queue.claims import Claimed, describe_id

KEPT = 1000
_HEAD = 200


@dataclass(frozen=True, slots=True)
class QuarantinedMessage:
    """One message that was set aside.

    Attributes:
        time: when, in ISO 8601, UTC.
        job_id: its id; `hex:...` where it is not printable UTF-8.
        code: the stable code of the fault.
        reason: the rule that was broken; repeats nothing of the message.
        size: of the payload, in bytes.
        head: its first 200 bytes in base64.
    """

    time: str
    job_id: str
    code: str
    reason: str
    size: int
    head: str


class Quarantine:
    """The quarantine of one queue."""

    def __init__(self, redis: ArqRedis, queue_name: str) -> None:
        self._redis = redis
        self._key = f"{queue_name}:quarantine"

    async def put(self, message: Claimed, *, code: str, reason: str) -> None:
        """Set a message aside; the oldest one beyond the bound is dropped.

        Raises:
            RedisError: it was not recorded.
        """
        entry = QuarantinedMessage(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            job_id=describe_id(message.job_id),
            code=code,
            reason=reason,
            size=message.size,
            head=base64.b64encode(message.raw[:_HEAD]).decode(),
        )
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.lpush(self._key, _written(entry))
            pipe.ltrim(self._key, 0, KEPT - 1)
            await pipe.execute()

    async def newest(self, limit: int) -> list[QuarantinedMessage]:
        """Return at most `limit` messages, newest first.

        Raises:
            RedisError: Redis did not answer.
        """
        if limit <= 0:
            return []
        answer = self._redis.lrange(self._key, 0, limit - 1)
        entries = await cast("Awaitable[list[bytes]]", answer)
        return [QuarantinedMessage(**json.loads(entry)) for entry in entries]

    async def remove(self, message: QuarantinedMessage) -> int:
        """Remove a message, as `newest` returned it; returns how many went.

        Raises:
            RedisError: Redis did not answer.
        """
        answer = self._redis.lrem(self._key, 0, _written(message))
        return await cast("Awaitable[int]", answer)


def _written(message: QuarantinedMessage) -> str:
    return json.dumps(asdict(message))
