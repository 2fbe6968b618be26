"""What the tests of the queue share: a trivial handler, requests, and waiting for conditions."""

import asyncio
import contextlib
import inspect
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from worker.queue.intake import QueueWorker
from worker.queue.messages import Delivery


class Desk:
    """Notes deliveries; with `ends` it ends each at once, with the agent type as its result."""

    def __init__(self, *, room: int = 100, ends: bool = False, fails: str = "") -> None:
        self.room = room
        self.ends = ends
        self.fails = fails
        self.deliveries: list[Delivery] = []
        self.worker: QueueWorker | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def ids(self) -> list[str]:
        """The ids of what came, in order."""
        return [delivery.job_id.decode() for delivery in self.deliveries]

    def capacity(self) -> int:
        """Return the room that is left."""
        assert self.worker is not None
        return self.room - len(self.worker.under_way)

    async def wait_for_capacity(self) -> None:
        """Return when something has ended."""
        assert self.worker is not None
        await asyncio.wait(self.worker.tasks.values(), return_when=asyncio.FIRST_COMPLETED)

    async def handle(self, messages: list[Delivery]) -> None:
        """Note the messages, and end them where that is this desk's way."""
        self.deliveries += messages
        if self.ends or self.fails:
            task = asyncio.create_task(self.end(messages))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def end(self, messages: list[Delivery]) -> list[bool]:
        """End messages through the worker."""
        assert self.worker is not None
        now = datetime.now(UTC)
        return await self.worker.finish(
            [
                message.failed(self.fails, started=now, finished=now)
                if self.fails
                else message.succeeded(
                    {"agent": getattr(message.content, "agent_type", None)},
                    started=now,
                    finished=now,
                )
                for message in messages
            ]
        )


def new_id(label: str) -> str:
    """Return a message id that no other test uses: arq's keys are the same for every queue."""
    return f"{label}-{uuid4().hex}"


def request(**changes: Any) -> dict[str, Any]:
    """Return the arguments of a good full request, as JSON values."""
    return {
        "project_id": str(uuid4()),
        "agent_type": "review",
        "requested_by": str(uuid4()),
        "input": {"text": "a b"},
    } | changes


def as_json(fields: dict[str, Any]) -> bytes:
    """Write as a JSON producer does."""
    return json.dumps(fields).encode()


@contextlib.asynccontextmanager
async def running(*workers: QueueWorker) -> AsyncIterator[None]:
    """Run workers while in the context; a worker that ends by a fault fails the test."""
    tasks = [asyncio.create_task(worker.main()) for worker in workers]
    try:
        yield
        assert not any(task.done() for task in tasks), "the loop has ended"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, within: float = 10
) -> None:
    """Return when `condition` holds; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        assert time.monotonic() < deadline, "the condition did not come about"
        await asyncio.sleep(0.005)
