"""After an attempt's outcome stands: tell the queue, the next worker, and whoever waits.

Everything here is courtesy. It is sent in batches, what gathers while one is under way going in the
next; when Redis is away it is lost, and sweeps and polling find the same facts in PostgreSQL.
"""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

from models.states import State
from worker.deliveries import Deliveries, Place, endings
from worker.errors import CopydeskError
from worker.executor import Attempt
from worker.ledger import Ended, Ledger
from worker.queue.hints import HintSender, HintToSend
from worker.queue.messages import Delivery, Ending
from worker.queue.signals import Signals

_LOST = timedelta(seconds=5)


class Aftermath:
    """Passes on what became of attempts."""

    def __init__(
        self, ledger: Ledger, deliveries: Deliveries, hints: HintSender, signals: Signals
    ) -> None:
        self._ledger = ledger
        self._deliveries = deliveries
        self._hints = hints
        self._signals = signals
        self._ended: list[tuple[Attempt, Ended | None]] = []
        self._flushing: asyncio.Task[None] | None = None

    def ended(self, attempt: Attempt, ended: Ended | None) -> None:
        """Take note of an attempt that is over, and of the answer to its outcome, if there was."""
        self._ended.append((attempt, ended))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def settle(self) -> None:
        """Return when everything has been passed on."""
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        while self._ended:
            over, self._ended = self._ended, []
            batch = [(attempt, ended) for attempt, ended in over if ended is not None]
            # Somebody else has it now, or will: this worker no longer keeps the message.
            lost = [
                (_place(attempt), _LOST)
                for attempt, ended in over
                if ended is None or ended.status in (None, State.RUNNING)
            ]
            if lost:
                await self._deliveries.put_back(lost)
            await asyncio.gather(
                self._tell_waiters(batch), self._end_messages(batch), self._hint_next(batch)
            )

    async def _tell_waiters(self, batch: list[tuple[Attempt, Ended]]) -> None:
        projects: dict[UUID, list[UUID]] = defaultdict(list)
        for attempt, ended in batch:
            projects[attempt.claim.project_id].append(ended.execution_id)
        await self._signals.publish_ended(projects)

    async def _end_messages(self, batch: list[tuple[Attempt, Ended]]) -> None:
        final = [(a, e) for a, e in batch if e.status is not None and State(e.status).is_final]
        open_messages = self._deliveries.take_open(_place(attempt) for attempt, _ in final)
        finished: list[Ending] = []
        for attempt, _ in final:
            finished += await self._endings(attempt, open_messages.get(_place(attempt), []))
        if finished:
            await self._deliveries.queue.finish(finished)

    async def _endings(self, attempt: Attempt, messages: list[Delivery]) -> list[Ending]:
        claim = attempt.claim
        if any(message.wants_result for message in messages):
            # Asking for a final row claims nothing: its answer is what stands in it.
            try:
                answers = await self._ledger.claim(
                    claim.project_id, [claim.execution_id], timedelta(seconds=1), {}
                )
            except CopydeskError:
                # The message comes due again when its lease ends, and is answered then.
                return []
            return endings(messages, answers[0]) if answers else []
        return endings(messages, claim)

    async def _hint_next(self, batch: list[tuple[Attempt, Ended]]) -> None:
        """Let the next try begin on time: by the message that stands there, or a new hint."""
        again = [
            (attempt, ended.scheduled_at)
            for attempt, ended in batch
            if ended.status == State.PENDING and ended.scheduled_at is not None
        ]
        if not again:
            return
        now = datetime.now(UTC)
        await self._deliveries.put_back(
            (_place(attempt), max(due - now, timedelta(0))) for attempt, due in again
        )
        await self._hints.send([HintToSend(*_place(attempt), due) for attempt, due in again])


def _place(attempt: Attempt) -> Place:
    return attempt.claim.project_id, attempt.claim.execution_id
