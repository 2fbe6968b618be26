"""Natural batching: what arrives for a project while a call is under way goes in the next one.

Nothing waits on a timer: an item for a project without a call under way is sent at once, alone. A
batch is one transaction. When the database refuses a batch for good, its items are sent again one
by one, so that a bad one takes none of its neighbours down. A batch is bounded by how many items it
has, and by what they weigh; an item that is too heavy for company goes alone, and nobody waits for
it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from worker.errors import CopydeskError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_Waiting = tuple[Item, asyncio.Future[Answer]]
Send = Callable[[UUID, Sequence[Item]], Awaitable[Sequence[Answer]]]


class Batcher(Generic[Item, Answer]):
    """Sends items to `send`, at most `limit` a call and one call a project at a time.

    Those of a call weigh at most `most` together, by `weigh`. One that weighs more is sent at once.
    """

    def __init__(
        self,
        send: Send[Item, Answer],
        *,
        limit: int,
        weigh: Callable[[Item], int] = lambda _: 0,
        most: int = 0,
    ) -> None:
        self._send = send
        self._limit = limit
        self._weigh = weigh
        self._most = most
        self._waiting: dict[UUID, deque[_Waiting[Item, Answer]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, project_id: UUID, item: Item) -> Answer:
        """Send `item` with what else waits for the project, and return the answer to it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._weigh(item) > self._most:
            self._begin(self._answer(project_id, [(item, future)]))
            return await future
        queue = self._waiting.get(project_id)
        if queue is not None:
            queue.append((item, future))
        else:
            self._waiting[project_id] = deque([(item, future)])
            self._begin(self._drain(project_id))
        return await future

    def _begin(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, project_id: UUID) -> None:
        queue = self._waiting[project_id]
        try:
            while queue:
                await self._answer(project_id, self._next(queue))
        finally:
            del self._waiting[project_id]
            for _, future in queue:
                future.cancel()

    def _next(self, queue: deque[_Waiting[Item, Answer]]) -> list[_Waiting[Item, Answer]]:
        batch = [queue.popleft()]
        weight = self._weigh(batch[0][0])
        while queue and len(batch) < self._limit:
            weight += self._weigh(queue[0][0])
            if weight > self._most:
                break
            batch.append(queue.popleft())
        return batch

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
