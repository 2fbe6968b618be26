"""One connection that listens, and comes back: what wake-ups, cancellations and endings share.

What is sent while it is away is not heard. So every subscription that takes effect is reported like
a message, and the owner looks at the truth once: then nothing is missed, only late.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from arq.connections import ArqRedis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.queue.cancellation import check_cancelled
from worker.queue.connection import dedicated_connection
from worker.queue.outage import Outage

SILENCE = 10.0

Prepare = Callable[[AbstractConnection], Awaitable[None]]


async def ask(connection: AbstractConnection, *command: object) -> Any:  # noqa: ANN401
    """Send a command on a connection that is not subscribed yet, and return its answer."""
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()


class Subscription:
    """Listens on channels (exact, or patterns with `*`) until `run` is cancelled.

    `on_message(channel, data)` and `on_subscribed(channel)` are called in the loop and must be
    quick. `prepare` is called on each new connection before it subscribes. A link that is silent
    for ten seconds is asked for a sign of life, and given up after ten more.
    """

    def __init__(
        self,
        redis: ArqRedis,
        outage: Outage,
        *,
        on_message: Callable[[bytes, Any], None],
        on_subscribed: Callable[[bytes], None],
        prepare: Prepare | None = None,
    ) -> None:
        self._redis = redis
        self._outage = outage
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._prepare = prepare
        self._channels: set[str] = set()
        self._live: AbstractConnection | None = None

    async def add(self, channel: str) -> None:
        """Listen on `channel` too, from the moment that `on_subscribed` names it."""
        self._channels.add(channel)
        await self._tell(_verb(channel), channel)

    async def remove(self, channel: str) -> None:
        """Listen on `channel` no more."""
        self._channels.discard(channel)
        await self._tell("UNSUBSCRIBE", channel)

    async def run(self) -> NoReturn:
        """Listen for ever; faults of Redis are waited out."""
        while True:
            connection = dedicated_connection(self._redis)
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                if self._prepare is not None:
                    await self._prepare(connection)
                self._live = connection
                for channel in tuple(self._channels):
                    await self._tell(_verb(channel), channel)
                if not self._channels:
                    self._outage.over()
                await self._read(connection)
            except Exception as error:  # noqa: BLE001 - a listener outlives every fault
                pause = self._outage.failed(error)
            finally:
                # A run that was cancelled may end after its successor has begun.
                if self._live is connection:
                    self._live = None
                await connection.disconnect(nowait=True)
            check_cancelled()
            await asyncio.sleep(pause)

    async def _tell(self, verb: str, channel: str) -> None:
        if self._live is None:
            return
        try:
            await self._live.send_command(verb, channel, check_health=False)
        except Exception:  # noqa: BLE001 - the reader of this connection meets the same fault
            return

    async def _read(self, connection: AbstractConnection) -> NoReturn:
        asked = False
        while True:
            check_cancelled()
            answer = await connection.read_response(timeout=SILENCE)
            if answer is not None:
                asked = False
                self._pass_on(answer)
            elif asked:
                raise RedisConnectionError("no sign of life on the subscribed connection")
            else:
                asked = True
                await connection.send_command("PING", check_health=False)

    def _pass_on(self, answer: list[Any]) -> None:
        match answer:
            case [b"message", channel, data] | [b"pmessage", _, channel, data]:
                self._on_message(channel, data)
            case [b"subscribe" | b"psubscribe", channel, _]:
                self._outage.over()
                self._on_subscribed(channel)
            case _:
                return  # the answer to PING or UNSUBSCRIBE


def _verb(channel: str) -> str:
    return "PSUBSCRIBE" if "*" in channel else "SUBSCRIBE"
