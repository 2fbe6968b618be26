"""News between processes, by project: "this one is to be cancelled", "these have ended".

Channels are `proj:{project_id}:cancel` and `proj:{project_id}:ended`; messages are execution ids.
Signals only hurry: a cancellation stands as a flag in the database and travels with the next
heartbeat, and whoever waits for an ending also asks from time to time. So faults of Redis are
waited out here and never raised.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn
from uuid import UUID

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from worker.identifiers import parse_id
from worker.queue.outage import Outage
from worker.queue.subscription import Subscription

_CANCEL = "cancel"
_ENDED = "ended"
_BATCH = 500
_PATIENCE = 1.0


class EndedSignal:
    """Tells that executions of one project may have ended."""

    def __init__(self, executions: Collection[UUID] | None) -> None:
        self._executions = None if executions is None else frozenset(executions)
        self._event = asyncio.Event()

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - how long a caller may sleep
        """Return True as soon as it is worth a look, False after `timeout` seconds without news.

        Worth a look means: one of the executions ended since the last `wait`, or news may have been
        missed because the subscription only now took effect.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()
        heard = self._event.is_set()
        self._event.clear()
        return heard

    def notice(self, ended: Collection[UUID] | None) -> None:
        """Take note that `ended` did; None stands for any."""
        if ended is None or self._executions is None or not self._executions.isdisjoint(ended):
            self._event.set()


class Signals:
    """Sends and hears signals through one Redis; one connection serves all waits of a process."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._sending = Outage("signals")
        self._waiting: dict[UUID, set[EndedSignal]] = {}
        self._endings = Subscription(
            redis,
            Outage("ended signals"),
            on_message=self._heard_ended,
            on_subscribed=lambda channel: self._notice(channel, None),
        )
        self._listener: asyncio.Task[NoReturn] | None = None

    async def publish_cancel(self, project_id: UUID, execution_id: UUID) -> bool:
        """Tell the workers to cancel an execution; returns whether Redis took it."""
        return await self._publish({_channel(project_id, _CANCEL): [execution_id]})

    async def publish_ended(self, ended: Mapping[UUID, Sequence[UUID]]) -> bool:
        """Tell whoever waits that executions of projects ended; returns whether Redis took it."""
        return await self._publish(
            {_channel(project_id, _ENDED): ids for project_id, ids in ended.items()}
        )

    async def listen_cancel(self, callback: Callable[[UUID, UUID], None]) -> NoReturn:
        """Call `callback(project_id, execution_id)` for every cancellation, until cancelled."""

        def heard(channel: bytes, data: Any) -> None:  # noqa: ANN401 - as it came off the wire
            project_id = _project_of(channel, _CANCEL)
            if project_id is not None:
                for execution_id in _ids(data):
                    callback(project_id, execution_id)

        subscription = Subscription(
            self._redis,
            Outage("cancel signals"),
            on_message=heard,
            on_subscribed=lambda _: None,
        )
        await subscription.add(_channel("*", _CANCEL))
        await subscription.run()

    @asynccontextmanager
    async def ended(
        self, project_id: UUID, executions: Collection[UUID] | None = None
    ) -> AsyncIterator[EndedSignal]:
        """Listen for endings in a project, of these executions or of any, while in the context.

        The first `wait` returns when it is worth a look: as soon as nothing can be missed any more,
        or at once where others listen already. The connection is kept until `close`.
        """
        signal = EndedSignal(executions)
        try:
            await self._enter(project_id, signal)
            yield signal
        finally:
            await self._leave(project_id, signal)

    async def close(self) -> None:
        """Hear nothing more: give up the connection that all `ended` of this process listen on."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])

    async def _enter(self, project_id: UUID, signal: EndedSignal) -> None:
        others = self._waiting.setdefault(project_id, set())
        others.add(signal)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._endings.run())
        if len(others) == 1:
            await self._endings.add(_channel(project_id, _ENDED))
        else:
            signal.notice(None)

    async def _leave(self, project_id: UUID, signal: EndedSignal) -> None:
        others = self._waiting[project_id]
        others.discard(signal)
        if not others:
            del self._waiting[project_id]
            await self._endings.remove(_channel(project_id, _ENDED))

    async def _publish(self, news: Mapping[str, Sequence[UUID]]) -> bool:
        if self._sending.pausing:
            return False
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                self._redis.pipeline(transaction=False) as pipe,
            ):
                for channel, executions in news.items():
                    for start in range(0, len(executions), _BATCH):
                        part = executions[start : start + _BATCH]
                        pipe.publish(channel, ",".join(map(str, part)))
                await pipe.execute()
        except (RedisError, OSError) as error:
            self._sending.failed(error)
            return False
        self._sending.over()
        return True

    def _heard_ended(self, channel: bytes, data: Any) -> None:  # noqa: ANN401
        executions = _ids(data)
        if executions:
            self._notice(channel, executions)

    def _notice(self, channel: bytes, executions: Collection[UUID] | None) -> None:
        project_id = _project_of(channel, _ENDED)
        if project_id is not None:
            for signal in self._waiting.get(project_id, ()):
                signal.notice(executions)


def _channel(project_id: UUID | str, news: str) -> str:
    return f"proj:{project_id}:{news}"


def _project_of(channel: bytes, news: str) -> UUID | None:
    try:
        head, project, tail = channel.decode().split(":")
        return parse_id(project) if (head, tail) == ("proj", news) else None
    except ValueError:
        return None


def _ids(data: object) -> list[UUID]:
    """Return the execution ids of a message; a message that is not made of ids says nothing."""
    if not isinstance(data, bytes) or len(data) > _BATCH * 37:
        return []
    try:
        return [parse_id(part) for part in data.decode().split(",")]
    except ValueError:
        return []
