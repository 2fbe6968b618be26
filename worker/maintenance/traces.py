"""What of a project stands in Redis: messages, results, quarantined heads, keys of its own.

Messages and results are found by looking at all of them, since plain arq producers choose their
ids. Nothing here can be undone, and nothing here is needed: PostgreSQL remembers.
"""

from base64 import b64decode
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from arq.connections import ArqRedis
from arq.constants import (
    abort_jobs_ss,
    in_progress_key_prefix,
    job_key_prefix,
    result_key_prefix,
    retry_key_prefix,
)
from redis.exceptions import RedisError

from worker.errors import RedisUnavailableError
from worker.maintenance.messages import Result, asks_for, names, read_result
from worker.queue.outage import describe_fault
from worker.queue.quarantine import KEPT, Quarantine, QuarantinedMessage

_LOOK_AT = 1000
_READ_AT_ONCE = 50
_FORGET_AT_ONCE = 500
# Twice the largest message: what is larger still is read no further, and told by its beginning.
_MOST_BYTES = 4_194_304
_OF_A_MESSAGE = (job_key_prefix, in_progress_key_prefix, retry_key_prefix, result_key_prefix)


class QueueTraces:
    """The Redis behind one queue; every method raises RedisUnavailableError where it is away."""

    def __init__(self, redis: ArqRedis, queue_name: str) -> None:
        self._redis = redis
        self._queue = queue_name
        self._quarantine = Quarantine(redis, queue_name)

    async def check(self) -> None:
        """Refuse a Redis that does not answer before anything is touched."""
        with _translated():
            await self._redis.ping()

    async def messages(self, project_id: UUID) -> list[bytes]:
        """Return the ids of the messages that ask for something in the project."""
        return [
            key.removeprefix(job_key_prefix.encode())
            async for key, raw in self._values(job_key_prefix)
            if asks_for(raw, project_id, limit=_MOST_BYTES)
        ]

    async def results(self) -> AsyncIterator[tuple[bytes, Result]]:
        """Yield the id of each result, and what it tells of whose it is."""
        async for key, raw in self._values(result_key_prefix):
            result = read_result(raw)
            if result is not None:
                yield key.removeprefix(result_key_prefix.encode()), result

    async def own_keys(self, project_id: UUID) -> list[bytes]:
        """Return the keys that begin with `proj:<id>:`."""
        with _translated():
            pattern = f"proj:{project_id}:*"
            return [key async for key in self._redis.scan_iter(pattern, count=_LOOK_AT)]

    async def quarantined(self, project_id: UUID) -> list[QuarantinedMessage]:
        """Return what was set aside and names the project in its first bytes or in its id."""
        with _translated():
            messages = await self._quarantine.newest(KEPT)
        return [
            message
            for message in messages
            if names(b64decode(message.head), project_id)
            or names(message.job_id.encode(), project_id)
        ]

    async def forget(self, message_ids: Iterable[bytes]) -> int:
        """Remove messages with their locks and results; return how many keys and members went."""
        removed = 0
        for some in _portions(list(message_ids), _FORGET_AT_ONCE):
            with _translated():
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.zrem(self._queue, *some)
                    pipe.zrem(abort_jobs_ss, *some)
                    for prefix in _OF_A_MESSAGE:
                        pipe.unlink(*(prefix.encode() + id_ for id_ in some))
                    removed += sum(await pipe.execute())
        return removed

    async def remove_keys(self, keys: Sequence[bytes]) -> int:
        """Remove keys; return how many went."""
        removed = 0
        for some in _portions(keys, _FORGET_AT_ONCE):
            with _translated():
                removed += int(await self._redis.unlink(*some))
        return removed

    async def remove_quarantined(self, messages: Sequence[QuarantinedMessage]) -> int:
        """Remove messages from the quarantine; return how many went."""
        with _translated():
            return sum([await self._quarantine.remove(message) for message in messages])

    async def _values(self, prefix: str) -> AsyncIterator[tuple[bytes, bytes]]:
        keys: list[bytes] = []
        with _translated():
            async for key in self._redis.scan_iter(f"{prefix}*", count=_LOOK_AT):
                keys.append(key)
                if len(keys) == _READ_AT_ONCE:
                    for pair in await self._read(keys):
                        yield pair
                    keys = []
            for pair in await self._read(keys):
                yield pair

    async def _read(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.getrange(key, 0, _MOST_BYTES - 1)
            values: list[Any] = await pipe.execute(raise_on_error=False)
        # A key of another type than a string holds no message.
        return [
            (key, value) for key, value in zip(keys, values, strict=True) if type(value) is bytes
        ]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise RedisUnavailableError(
            f"Redis did not answer ({describe_fault(error)}); try again"
        ) from None


def _portions(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
