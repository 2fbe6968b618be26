"""Natural batching: what arrives for a project while a call is under way goes in the next one.

Nothing waits on a timer: an item for a project without a call under way is sent at once, alone. A
batch is one transaction. When the database refuses a batch for good, its items are sent again one
by one, so that a bad one takes none of its neighbours down.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from worker.errors import CopydeskError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_Waiting = tuple[Item, asyncio.Future[Answer]]
Send = Callable[[UUID, Sequence[Item]], Awaitable[Sequence[Answer]]]


class Batcher(Generic[Item, Answer]):
    """Sends items to `send`, at most `limit` a call and one call a project at a time."""

    def __init__(self, send: Send[Item, Answer], *, limit: int) -> None:
        self._send = send
        self._limit = limit
        self._waiting: dict[UUID, deque[_Waiting[Item, Answer]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, project_id: UUID, item: Item) -> Answer:
        """Send `item` with what else waits for the project, and return the answer to it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        queue = self._waiting.get(project_id)
        if queue is not None:
            queue.append((item, future))
        else:
            self._waiting[project_id] = deque([(item, future)])
            task = asyncio.create_task(self._drain(project_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _drain(self, project_id: UUID) -> None:
        queue = self._waiting[project_id]
        try:
            while queue:
                batch = [queue.popleft() for _ in range(min(len(queue), self._limit))]
                await self._answer(project_id, batch)
        finally:
            del self._waiting[project_id]
            for _, future in queue:
                future.cancel()

    async def _answer(self, project_id: UUID, batch: list[_Waiting[Item, Answer]]) -> None:
        try:
            answers = await self._send(project_id, [item for item, _ in batch])
        except CopydeskError as error:
            if error.retryable or len(batch) == 1:
                _fail_all(batch, error)
                return
            for waiting in batch:
                await self._answer(project_id, [waiting])
        except BaseException as error:
            _fail_all(batch, error)
            raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail_all(batch: list[_Waiting[Item, Answer]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
