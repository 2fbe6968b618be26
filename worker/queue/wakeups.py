"""When to look into the queue: at once when it grew, when the next message is due, or by poll.

Redis reports every change of the queue's key to a connection that tracks it, whoever made the
change: a plain arq producer needs to know nothing of this. Workers take from the queue, and give
back, far more often than anyone has something new for it; their scripts touch a second key, so that
Redis reports both together. Where tracking is not to be had, the poll alone finds everything,
later.
"""

import asyncio
import random
import time
from contextlib import suppress
from typing import Any, Literal, NoReturn

from arq.connections import ArqRedis
from redis.asyncio.connection import AbstractConnection

from worker.queue.cancellation import check_cancelled
from worker.queue.outage import Outage
from worker.queue.subscription import Subscription, ask

Cause = Literal["hint", "poll"]

_INVALIDATED = "__redis__:invalidate"
# Seconds between looks: what comes in the meantime is found together.
_SPACING = 0.005
# Seconds after a move of a worker. A message may have been given back, or a new one may have come
# in the same instant; but as a rule there is nothing, and who looks takes time from the work.
_AFTER_MOVE = 0.02


class WakeUps:
    """Wakes one consumer of `queue_name`; `poll_delay` is the time between looks, in seconds."""

    def __init__(self, redis: ArqRedis, queue_name: str, *, poll_delay: float) -> None:
        self._queue = queue_name
        self._poll_delay = poll_delay
        self._moved_key = f"{queue_name}:moved".encode()
        self._changed = asyncio.Event()
        self._grew = asyncio.Event()
        self._looked_at = 0.0
        self._subscription = Subscription(
            redis,
            Outage("queue wake-ups"),
            on_message=self._heard,
            on_subscribed=lambda _: self.wake(),
            prepare=self._track,
        )

    async def run(self) -> NoReturn:
        """Listen for changes until cancelled; faults of Redis are waited out."""
        await self._subscription.add(_INVALIDATED)
        await self._subscription.run()

    def wake(self) -> None:
        """End the current or the next `wait`."""
        self._grew.set()
        self._changed.set()

    def looked(self) -> None:
        """Take note of a look into the queue."""
        self._looked_at = time.monotonic()

    async def wait(self, next_due: float | None) -> Cause:
        """Return when it is time to look again, and why; `next_due` is in seconds from now."""
        check_cancelled()
        # Spread, so that a fleet without wake-ups does not look in one moment.
        longest = self._poll_delay * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        try:
            async with asyncio.timeout(longest if next_due is None else min(longest, next_due)):
                await self._changed.wait()
        except TimeoutError:
            return "poll"
        with suppress(TimeoutError):
            async with asyncio.timeout(_AFTER_MOVE):
                await self._grew.wait()
        await asyncio.sleep(max(self._looked_at + _SPACING - time.monotonic(), 0))
        self._grew.clear()
        self._changed.clear()
        return "hint"

    async def _track(self, connection: AbstractConnection) -> None:
        # Redirected to itself: one connection that both tracks and is subscribed cannot lose half.
        client_id = await ask(connection, "CLIENT", "ID")
        await ask(
            connection,
            *("CLIENT", "TRACKING", "ON", "REDIRECT", client_id, "BCAST", "PREFIX", self._queue),
        )

    def _heard(self, _: bytes, keys: Any) -> None:  # noqa: ANN401 - as it came off the wire
        # None stands for all keys: the database was flushed.
        if keys is None:
            self.wake()
        elif self._queue.encode() in keys:
            self._changed.set()
            if self._moved_key not in keys:
                self._grew.set()
