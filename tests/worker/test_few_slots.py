"""Who gets slots that are few: what a sweep asks for, and what is left after hints have come."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from worker.claimer import Answers, Claimer
from worker.deliveries import Deliveries
from worker.executor import Executor
from worker.ledger import Claim, Dispatch, Found, Ledger
from worker.queue.envelope import Hint
from worker.queue.intake import QueueWorker
from worker.queue.messages import Delivery
from worker.queue.payload import Payload
from worker.slots import Slots
from worker.sweep import Sweep
from worker.telemetry import Source, Telemetry


class ADispatch:
    """Finds what it was given, and nothing that was abandoned; meanwhile hints take slots."""

    def __init__(self, due: Sequence[Found], slots: Slots, *, taken_by_hints: int) -> None:
        self.due = due
        self.slots = slots
        self.taken_by_hints = taken_by_hints

    async def find_expired(self, _limit: int) -> list[Found]:
        """Find nothing."""
        return []

    async def find_due(self, _agents: tuple[str, ...], **_bounds: object) -> Sequence[Found]:
        """Find it all."""
        self.slots.take(self.taken_by_hints)
        return self.due


class AClaimer:
    """Claims as far as slots are free, and notes how many each project got."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.claimed: dict[UUID, int] = {}

    def holds(self, _project_id: UUID, _execution_id: UUID) -> bool:
        """Hold nothing."""
        return False

    def claim(
        self, project_id: UUID, ids: Sequence[UUID], source: Source
    ) -> Coroutine[Any, Any, Answers]:
        """Take slots at once."""
        wanted = ids[: self.slots.room(source)]
        self.slots.take(len(wanted))
        self.claimed[project_id] = len(wanted)

        async def answers() -> Answers:
            return dict.fromkeys(wanted)

        return answers()


async def test_a_flood_does_not_take_the_slot_of_another_project_when_hints_were_quicker() -> None:
    """Between looking and claiming slots go to hints; what is left is handed out in turns."""
    noisy, quiet = sorted([uuid4(), uuid4()])
    flood = [Found(noisy, uuid4()) for _ in range(20)]
    slots = Slots(30)
    claimer = AClaimer(slots)
    due = [flood[0], Found(quiet, uuid4()), *flood[1:]]
    sweep = Sweep(
        cast("Dispatch", ADispatch(due, slots, taken_by_hints=24)),
        cast("Ledger", None),
        cast("Claimer", claimer),
        slots,
        ("draft",),
        Telemetry(),
        every=5,
    )
    await sweep.once()
    assert claimer.claimed == {noisy: 5, quiet: 1}


class ASlowLedger:
    """Answers no claim before it is told to."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    async def claim(self, *_: object, **__: object) -> list[Claim]:
        """Find that the project has none of these."""
        await self.answer.wait()
        return []


class AnExecutor:
    """Runs nothing."""

    agents: Mapping[str, int] = {"draft": 3}

    def holds(self, _project_id: UUID, _execution_id: UUID) -> bool:
        """Hold nothing."""
        return False


class AQueue:
    """Takes what nobody knows out of the queue."""

    async def quarantine(self, *_: object) -> bool:
        """Set it aside."""
        return True


async def test_hints_have_their_slots_as_soon_as_they_are_handed_over() -> None:
    """Else the queue would be asked for as many again, only to get them back for two seconds."""
    slots = Slots(5)
    ledger = ASlowLedger()
    claimer = Claimer(
        cast("Ledger", ledger),
        cast("Executor", AnExecutor()),
        slots,
        Telemetry(),
        lease=timedelta(seconds=30),
    )
    deliveries = Deliveries(cast("Ledger", ledger), claimer, slots, lease=timedelta(seconds=30))
    deliveries.attach(cast("QueueWorker", AQueue()))
    hints = [
        Delivery(b"", Hint(uuid4(), uuid4()), Payload("run_agent", {}, 0, "json"), b"")
        for _ in range(3)
    ]
    await deliveries.handle(hints)
    assert deliveries.capacity() == 2
    ledger.answer.set()
    await deliveries.settle()
    assert deliveries.capacity() == 5
