"""The moves of the queue, each one Lua call: claim, finish, extend, defer; whole or not at all.

The scripts stand beside this file and say there what they take and give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from arq.connections import ArqRedis

from worker.queue.claims import FULL_BATCH_BYTES, MOST_MESSAGES, Batch
from worker.queue.scripts import Arguments, script

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Result:
    """What `arq:result:<id>` is to hold, empty for nothing, and for how many milliseconds."""

    job_id: bytes
    value: bytes
    keep_ms: int


class QueueMoves:
    """The moves of one owner in one queue; every one of them raises RedisError or OSError.

    `owner` fences: only its own claims are finished, extended or deferred. Payloads larger than
    `message_limit` bytes are reported, not fetched.
    """

    def __init__(
        self,
        redis: ArqRedis,
        *,
        queue_name: str,
        owner: str,
        lease: timedelta,
        message_limit: int,
    ) -> None:
        self._redis = redis
        self._keys = [queue_name]
        self._owner = owner
        self._lease_ms = int(lease.total_seconds() * 1000)
        self._message_limit = message_limit
        self._claim = script(redis, "claim")
        self._finish = script(redis, "finish")
        self._extend = script(redis, "extend")
        self._defer = script(redis, "defer")

    async def claim(self, room: int) -> Batch:
        """Claim due messages, at most `room`."""
        most = min(room, MOST_MESSAGES)
        arguments: Arguments = [
            self._owner,
            self._lease_ms,
            most,
            self._message_limit,
            FULL_BATCH_BYTES,
        ]
        return Batch.read(await self._claim(self._keys, arguments))

    async def finish(self, results: Sequence[Result]) -> list[bool]:
        """End messages; returns for each whether it ended, False where another owner has it."""
        ended: list[bool] = []
        for start in range(0, len(results), _AT_ONCE):
            arguments: Arguments = [self._owner]
            for result in results[start : start + _AT_ONCE]:
                arguments += (result.job_id, result.value, result.keep_ms)
            ended += map(bool, await self._finish(self._keys, arguments))
        return ended

    async def extend(self, job_ids: Sequence[bytes]) -> list[bool]:
        """Let claims hold for a lease from now; returns for each whether it is still ours."""
        ours: list[bool] = []
        for start in range(0, len(job_ids), _AT_ONCE):
            arguments: Arguments = [
                self._owner,
                self._lease_ms,
                *job_ids[start : start + _AT_ONCE],
            ]
            ours += map(bool, await self._extend(self._keys, arguments))
        return ours

    async def defer(self, messages: Sequence[tuple[bytes, int]]) -> list[bool]:
        """Put messages back, each until a Unix time (ms); returns for each if it was ours."""
        ours: list[bool] = []
        for start in range(0, len(messages), _AT_ONCE):
            arguments: Arguments = [self._owner, self._redis.expires_extra_ms]
            for message in messages[start : start + _AT_ONCE]:
                arguments += message
            ours += map(bool, await self._defer(self._keys, arguments))
        return ours
