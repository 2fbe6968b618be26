"""The consumer of the arq queue: an `arq.Worker` whose loop, claim and endings are its own.

One Lua call claims a batch. What is claimed leaves the head of the queue until its lease ends, so a
long job does not stand in the way and a dead worker's messages come due by themselves. The handler
takes good messages over and ends them here; bad ones are set aside. Nothing that stands in the
queue, and no fault of Redis, ends the loop.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn, cast

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.exceptions import RedisError

from worker.queue.cancellation import check_cancelled
from worker.queue.claims import Batch, Claimed, describe_id, open_all
from worker.queue.connection import drop_idle_connections
from worker.queue.envelope import FUNCTION
from worker.queue.messages import Delivery, Ending, Handler
from worker.queue.moves import QueueMoves, Result
from worker.queue.outage import Outage
from worker.queue.quarantine import Quarantine, QuarantinedMessage
from worker.queue.wakeups import Cause, WakeUps

MESSAGE_LIMIT = 2_097_152
_HEALTH_RETRY = 1.0

_LOG = structlog.get_logger("worker.queue")


class QueueWorker(Worker):
    """Takes messages off one arq queue and hands them to `handler`.

    `owner` names this start of this process and nothing else; `lease` is how long a claim holds
    without `extend`. `redis_pool` stays the caller's to close. `burst` ends `main` once nothing is
    due and nothing under way. `message_limit` is in bytes; `keep_result` (of a producer's result),
    `poll_delay` (without a wake-up) and `health_check_interval` (arq's record) are in seconds.

    Attributes:
        taken, finished, set_aside: messages handed over, ended, and put in quarantine instead.
        wakes_by_hint, wakes_by_poll: looks that found something, because the queue had changed or
            because it was time to look.
    """

    def __init__(
        self,
        *,
        queue_name: str,
        redis_pool: ArqRedis,
        owner: str,
        lease: timedelta,
        handler: Handler,
        burst: bool = False,
        message_limit: int = MESSAGE_LIMIT,
        poll_delay: float = 1.0,
        keep_result: float = 3600,
        health_check_interval: float = 10,
    ) -> None:
        super().__init__(
            # What arq shows as this worker's functions; the handler does the work.
            [func(_handled_elsewhere, name=FUNCTION)],
            queue_name=queue_name,
            redis_pool=redis_pool,
            burst=burst,
            handle_signals=False,
            poll_delay=poll_delay,
            keep_result=keep_result,
            health_check_interval=health_check_interval,
        )
        self.taken = 0
        self.finished = 0
        self.set_aside = 0
        self.wakes_by_hint = 0
        self.wakes_by_poll = 0
        self._handler = handler
        self._message_limit = message_limit
        self._keep_result_ms = int(keep_result * 1000)
        self._moves = QueueMoves(
            redis_pool,
            queue_name=queue_name,
            owner=owner,
            lease=lease,
            message_limit=message_limit,
        )
        self._wakes = WakeUps(redis_pool, queue_name, poll_delay=poll_delay)
        self._quarantine = Quarantine(redis_pool, queue_name)
        self._taking = Outage("queue")
        self._ending = Outage("queue endings")
        self._quieted = asyncio.Event()

    @property
    def under_way(self) -> list[bytes]:
        """The ids of the messages that were handed over and not ended yet."""
        return [name.encode(errors="surrogateescape") for name in self.tasks]

    async def main(self) -> None:
        """Take messages until cancelled; in a burst, or once quiet, until nothing is under way."""
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._wakes.run()), group.create_task(self._keep_health())]
            await self._take_until_ended()
            for helper in helpers:
                helper.cancel()

    def quiet(self) -> None:
        """Claim nothing more; `main` ends when the last message under way has ended."""
        self.allow_pick_jobs = False
        self._quieted.set()
        self._wakes.wake()

    async def close(self) -> None:
        """End `main` where arq started it; the fleet's health key runs out by itself."""
        if self.main_task is not None:
            self.main_task.cancel()
            await asyncio.wait([self.main_task])

    async def finish(self, endings: Sequence[Ending]) -> list[bool]:
        """End messages; returns for each whether it has ended.

        False means that another owner has it, or that Redis did not answer: then it comes due
        again when its lease ends.
        """
        ended = await self._end(endings)
        for ending, done in zip(endings, ended, strict=True):
            self.finished += done
            self.jobs_complete += done and ending.success
            self.jobs_failed += done and not ending.success
        return ended

    async def defer(self, messages: Sequence[tuple[bytes, int]]) -> list[bool]:
        """Put messages back, each until a Unix time (ms); returns for each if it was ours."""
        try:
            deferred = await self._moves.defer(messages)
        except (RedisError, OSError) as error:
            self._ending.failed(error)
            return [False] * len(messages)
        finally:
            for job_id, _ in messages:
                self._let_go(job_id)
        self._ending.over()
        self.jobs_retried += sum(deferred)
        return deferred

    async def extend(self, job_ids: Sequence[bytes]) -> list[bool]:
        """Let claims hold for a lease from now; returns for each whether it is known to be ours."""
        try:
            ours = await self._moves.extend(job_ids)
        except (RedisError, OSError) as error:
            self._ending.failed(error)
            return [False] * len(job_ids)
        self._ending.over()
        return ours

    async def quarantine(self, job_id: bytes, raw: bytes, code: str, reason: str) -> bool:
        """Set a claimed message aside; returns whether it is out of the queue.

        A producer that asks for its result is told code and reason.
        """
        return await self._set_aside(Claimed(job_id, "ok", raw, len(raw)), code, reason)

    async def quarantined(self, limit: int) -> list[QuarantinedMessage]:
        """Return at most `limit` messages that were set aside, newest first.

        Raises:
            RedisError: Redis did not answer.
        """
        return await self._quarantine.newest(limit)

    async def _take_until_ended(self) -> None:
        cause: Cause = "poll"
        while self.allow_pick_jobs:
            try:
                check_cancelled()
                room = self._handler.capacity()
                if room <= 0:
                    await self._handler.wait_for_capacity()
                    continue
                batch = await self._moves.claim(room)
                self._taking.over()
                await self._hand_over(batch.messages)
            except Exception as error:  # noqa: BLE001 - the loop outlives every fault
                await self._wait_out(error)
                continue
            self._count(batch, cause)
            if batch.more:
                continue
            if self.burst and not batch.messages and not self.tasks:
                return
            cause = await self._wakes.wait(batch.next_due)
        check_cancelled()
        if self.tasks:
            await asyncio.wait(self.tasks.values())

    def _count(self, batch: Batch, cause: Cause) -> None:
        found = bool(batch.messages)
        self._wakes.looked()
        self.wakes_by_hint += found and cause == "hint"
        self.wakes_by_poll += found and cause == "poll"

    async def _wait_out(self, error: Exception) -> None:
        pause = self._taking.failed(error)
        with suppress(RedisError, OSError):
            # After a failover the idle connections still lead to the old primary.
            await drop_idle_connections(self.pool)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._quieted.wait()

    async def _hand_over(self, messages: Sequence[Claimed]) -> None:
        opened = await open_all(messages, limit=self._message_limit)
        await self._pass_on(opened.good)
        for message, fault in opened.bad:
            await self._set_aside(message, fault.code, fault.message)
        if opened.expired:
            await self.finish([message.expired() for message in opened.expired])

    async def _pass_on(self, deliveries: Sequence[Delivery]) -> None:
        # One that is back after a pause longer than its lease: whoever works on it goes on.
        new = [one for one in deliveries if _name(one.job_id) not in self.tasks]
        if not new:
            return
        loop = asyncio.get_running_loop()
        for delivery in new:
            # arq counts what is under way by its tasks; a future is all that it looks at.
            self.tasks[_name(delivery.job_id)] = cast("asyncio.Task[Any]", loop.create_future())
        self.taken += len(new)
        try:
            await self._handler.handle(new)
        except Exception:  # noqa: BLE001 - they come due again when their lease ends
            _LOG.exception("handler_fault", messages=len(new))
            for delivery in new:
                self._let_go(delivery.job_id)

    def _let_go(self, job_id: bytes) -> None:
        under_way = cast("asyncio.Future[None] | None", self.tasks.pop(_name(job_id), None))
        if under_way is not None and not under_way.done():
            under_way.set_result(None)
        if self.burst:
            self._wakes.wake()

    async def _set_aside(self, message: Claimed, code: str, reason: str) -> bool:
        try:
            await self._quarantine.put(message, code=code, reason=reason)
        except (RedisError, OSError) as error:
            self._ending.failed(error)
            self._let_go(message.job_id)
            return False
        self.set_aside += 1
        name = describe_id(message.job_id)
        _LOG.warning("message_quarantined", job_id=name, code=code, reason=reason)
        [ended] = await self._end([message.refused(f"{code}: {reason}")])
        return ended

    async def _end(self, endings: Sequence[Ending]) -> list[bool]:
        results = [
            Result(
                ending.job_id,
                ending.serialize(self.queue_name) if ending.wants_result else b"",
                self._keep_result_ms,
            )
            for ending in endings
        ]
        try:
            ended = await self._moves.finish(results)
        except (RedisError, OSError) as error:
            self._ending.failed(error)
            return [False] * len(endings)
        finally:
            for ending in endings:
                self._let_go(ending.job_id)
        self._ending.over()
        return ended

    async def _keep_health(self) -> NoReturn:
        outage = Outage("queue health")
        while True:
            pause = float(self.health_check_interval or _HEALTH_RETRY)
            # arq skips a record that is a moment early, and the last one runs out a second later.
            self._last_health_check = 0.0
            try:
                await self.record_health()
                outage.over()
            except Exception as error:  # noqa: BLE001 - the record is a courtesy
                outage.failed(error)
                pause = min(pause, _HEALTH_RETRY)
            check_cancelled()
            await asyncio.sleep(pause)


def _name(job_id: bytes) -> str:
    return job_id.decode(errors="surrogateescape")


async def _handled_elsewhere(ctx: dict[Any, Any], *args: Any, **named: Any) -> NoReturn:  # noqa: ANN401 - arq's form
    raise NotImplementedError("messages are handed to the handler; arq runs no function here")
