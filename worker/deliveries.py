"""Messages of the queue, from hint to ending: what to claim, and what to tell the producer.

A message is a hint for a row that exists, or a whole request, which becomes a row first (under the
message's id as its idempotency key, so that a replay is the same execution). It stays in the queue
until the row is final; then the producer's result is written from what the row says.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog

from models.states import State
from worker.claimer import Answers, Claimer, by_project
from worker.errors import CopydeskError
from worker.ledger import Claim, Ledger
from worker.queue.envelope import Hint
from worker.queue.intake import QueueWorker
from worker.queue.messages import Delivery, Ending
from worker.slots import Slots

Place = tuple[UUID, UUID]
"""A project and an execution as a message names them: only together do they mean a row."""

_Claiming = tuple[UUID, list[UUID], Coroutine[Any, Any, Answers]]

# What is printable, and short enough for a key together with what stands before it.
_PLAIN_ID = re.compile(rb"[\x21-\x7e]{1,251}")
_NO_AGENT_HERE = timedelta(seconds=15)
_DATABASE_AWAY = timedelta(seconds=2)


class Deliveries:
    """Handles the messages that `queue` hands over (bound after construction by `attach`)."""

    def __init__(self, ledger: Ledger, claimer: Claimer, slots: Slots, *, lease: timedelta) -> None:
        self._ledger = ledger
        self._claimer = claimer
        self._slots = slots
        self._lease = lease
        self._queue: QueueWorker | None = None
        self._open: dict[Place, list[Delivery]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("copydesk.queue")

    def attach(self, queue: QueueWorker) -> None:
        """Name the queue whose messages are handled here."""
        self._queue = queue

    @property
    def queue(self) -> QueueWorker:
        """The attached queue."""
        if self._queue is None:
            raise RuntimeError("no queue is attached")
        return self._queue

    def capacity(self) -> int:
        """Return how many more messages may be handed over now."""
        return self._slots.room("hint")

    async def wait_for_capacity(self) -> None:
        """Return once `capacity` is above zero."""
        await self._slots.wait_for_room("hint")

    async def handle(self, messages: list[Delivery]) -> None:
        """Take messages over; each is ended later.

        When this returns, hints have their slots, and `capacity` says what is left.
        """
        hints = [(place, m) for m in messages if (place := _hinted(m)) is not None]
        requests = [m for m in messages if _hinted(m) is None]
        if hints:
            self._see_to(self._answered_all(self._claiming(hints)))
        if requests:
            self._see_to(self._record(requests))

    def _see_to(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Return when nothing handed over is still on its way to a claim."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def take_open(self, places: Iterable[Place]) -> dict[Place, list[Delivery]]:
        """Return and forget the messages that wait for these executions to end."""
        return {place: self._open.pop(place) for place in places if place in self._open}

    async def _record(self, requests: list[Delivery]) -> None:
        places = await asyncio.gather(*(self._recorded(message) for message in requests))
        recorded = zip(places, requests, strict=True)
        await self._answered_all(self._claiming([(p, m) for p, m in recorded if p is not None]))

    def _claiming(self, wanted: Sequence[tuple[Place, Delivery]]) -> list[_Claiming]:
        # Registered first: an attempt may have ended before the claim's answer is looked at.
        for place, message in wanted:
            self._open[place].append(message)
        found = by_project(place for place, _ in wanted)
        return [
            (project_id, ids, self._claimer.claim(project_id, ids, "hint"))
            for project_id, ids in found.items()
        ]

    async def _answered_all(self, claiming: Sequence[_Claiming]) -> None:
        answers = await asyncio.gather(*(claim for _, _, claim in claiming))
        for (project_id, ids, _), answer in zip(claiming, answers, strict=True):
            await self._answered(project_id, ids, answer)

    async def _recorded(self, message: Delivery) -> Place | None:
        content = message.content
        if isinstance(content, Hint):
            raise TypeError("a hint has its row already")
        if content.idempotency_key is None:
            content = content.model_copy(update={"idempotency_key": _key(message.job_id)})
        try:
            recorded = await self._ledger.enqueue(content)
        except CopydeskError as error:
            if error.retryable:
                await self.queue.defer([(message.job_id, _unix_ms(_DATABASE_AWAY))])
            else:
                await self.queue.quarantine(message.job_id, message.raw, error.code, error.message)
            return None
        return recorded.project_id, recorded.execution_id

    async def _answered(
        self, project_id: UUID, execution_ids: list[UUID], answers: Answers
    ) -> None:
        over: list[Ending] = []
        later: list[tuple[Place, timedelta]] = []
        for execution_id in execution_ids:
            place = (project_id, execution_id)
            if execution_id not in answers:
                # Where it runs here, its end is this message's end too. Else there was no slot, or
                # no database: due again in a moment, or at once elsewhere when this worker stops.
                if not self._claimer.holds(*place):
                    quiet = self._claimer.is_quiet
                    later.append((place, timedelta(0) if quiet else _DATABASE_AWAY))
                continue
            claim = answers[execution_id]
            if claim is None:
                await self._refuse_unknown(place)
            elif State(claim.status).is_final:
                over += endings(self._open.pop(place, []), claim)
            elif not claim.claimed:
                later.append((place, self._wait_for(claim)))
        if over:
            await self.queue.finish(over)
        if later:
            await self.put_back(later)

    async def put_back(self, places: Iterable[tuple[Place, timedelta]]) -> None:
        """Put the messages of executions back into the queue, each for a time from now."""
        messages = [
            (message.job_id, _unix_ms(after))
            for place, after in places
            for message in self._open.pop(place, ())
        ]
        if messages:
            await self.queue.defer(messages)

    async def _refuse_unknown(self, place: Place) -> None:
        # Also the answer where another project has it: an id of theirs says nothing here.
        self._log.warning("unknown_execution", project_id=str(place[0]), execution_id=str(place[1]))
        for message in self._open.pop(place, ()):
            await self.queue.quarantine(
                message.job_id,
                message.raw,
                "not_found",
                "execution_id: the project has no such execution",
            )

    def _wait_for(self, claim: Claim) -> timedelta:
        """Return when it is worth to ask again for what was not claimed."""
        if claim.status != State.PENDING:
            return self._lease
        if claim.scheduled_at > datetime.now(UTC):
            return claim.scheduled_at - datetime.now(UTC)
        if claim.agent_type not in self._claimer.agents:
            self._log.error("no_such_agent_here", agent=claim.agent_type)
        return _NO_AGENT_HERE


def _hinted(message: Delivery) -> Place | None:
    content = message.content
    return (content.project_id, content.execution_id) if isinstance(content, Hint) else None


def endings(messages: Sequence[Delivery], claim: Claim) -> list[Ending]:
    """Return what the producers of these messages are told about a final execution."""
    started, finished = claim.created_at, datetime.now(UTC)
    if claim.status == State.COMPLETED:
        result = {"execution_id": str(claim.execution_id), "output": claim.output}
        return [m.succeeded(result, started=started, finished=finished) for m in messages]
    error = f"{claim.status}: {claim.error_code or 'cancelled'}: {claim.error_message or ''}"
    return [m.failed(error.rstrip(": "), started=started, finished=finished) for m in messages]


def _key(job_id: bytes) -> str:
    """Return the idempotency key of a message: its id, or what stands for one that cannot be it."""
    if _PLAIN_ID.fullmatch(job_id):
        return f"arq:{job_id.decode()}"
    return f"arq:sha256:{sha256(job_id).hexdigest()}"


def _unix_ms(after: timedelta) -> int:
    return int((time.time() + after.total_seconds()) * 1000)
