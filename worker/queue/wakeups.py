"""When to look into the queue: at once when it changed, when the next message is due, or by poll.

Redis reports every change of the queue's key to a connection that tracks it, whoever made the
change: a plain arq producer needs to know nothing of this. Where tracking is not to be had,
the poll alone finds everything, later.
"""

import asyncio
import random
import time
from typing import Any, Literal, NoReturn

from arq.connections import ArqRedis
from redis.asyncio.connection import AbstractConnection

from worker.queue.cancellation import check_cancelled
from worker.queue.outage import Outage
from worker.queue.subscription import Subscription, ask

Cause = Literal["hint", "poll"]

_INVALIDATED = "__redis__:invalidate"
_SPACING = 0.005
_LONGEST_SPACING = 0.02


class WakeUps:
    """Wakes one consumer of `queue_name`; `poll_delay` is the time between looks, in seconds."""

    def __init__(self, redis: ArqRedis, queue_name: str, *, poll_delay: float) -> None:
        self._queue = queue_name
        self._poll_delay = poll_delay
        self._woken = asyncio.Event()
        self._looked_at = 0.0
        self._in_vain = 0
        self._subscription = Subscription(
            redis,
            Outage("queue wake-ups"),
            on_message=self._changed,
            on_subscribed=lambda _: self.wake(),
            prepare=self._track,
        )

    async def run(self) -> NoReturn:
        """Listen for changes until cancelled; faults of Redis are waited out."""
        await self._subscription.add(_INVALIDATED)
        await self._subscription.run()

    def wake(self) -> None:
        """End the current or the next `wait`."""
        self._woken.set()

    def looked(self, *, found: bool) -> None:
        """Take note of a look into the queue and whether it brought anything."""
        self._looked_at = time.monotonic()
        self._in_vain = 0 if found else self._in_vain + 1

    async def wait(self, next_due: float | None) -> Cause:
        """Return when it is time to look again, and why; `next_due` is in seconds from now."""
        check_cancelled()
        # Spread, so that a fleet without wake-ups does not look in one moment.
        longest = self._poll_delay * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        try:
            async with asyncio.timeout(longest if next_due is None else min(longest, next_due)):
                await self._woken.wait()
        except TimeoutError:
            return "poll"
        # Every claim and ending of the fleet changes the queue too, this worker's own among them:
        # a look right after another is likely to be in vain, and takes time from what was found.
        spacing = min(_SPACING * 2 ** min(self._in_vain, 10), _LONGEST_SPACING)
        await asyncio.sleep(max(self._looked_at + spacing - time.monotonic(), 0))
        self._woken.clear()
        return "hint"

    async def _track(self, connection: AbstractConnection) -> None:
        # Redirected to itself: one connection that both tracks and is subscribed cannot lose half.
        client_id = await ask(connection, "CLIENT", "ID")
        await ask(
            connection,
            *("CLIENT", "TRACKING", "ON", "REDIRECT", client_id, "BCAST", "PREFIX", self._queue),
        )

    def _changed(self, _: bytes, keys: Any) -> None:  # noqa: ANN401 - as it came off the wire
        # None stands for all keys: the database was flushed.
        if keys is None or self._queue.encode() in keys:
            self.wake()
