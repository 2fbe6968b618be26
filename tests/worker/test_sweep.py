"""What a pass of the sweep asks for when slots are few."""

from collections import deque
from collections.abc import Sequence
from typing import cast
from uuid import UUID, uuid4

from worker.claimer import Claimer
from worker.ledger import Dispatch, Found, Ledger
from worker.slots import Slots
from worker.sweep import Sweep
from worker.telemetry import Source, Telemetry


class ADispatch:
    """Finds what it was given, and nothing that was abandoned."""

    def __init__(self, due: Sequence[Found]) -> None:
        self.due = due

    async def find_expired(self, _limit: int) -> list[Found]:
        """Find nothing."""
        return []

    async def find_due(self, _agents: tuple[str, ...], **_bounds: object) -> Sequence[Found]:
        """Find it all."""
        return self.due


class AClaimer:
    """Claims as far as slots are free, after hints have taken some of them."""

    def __init__(self, slots: Slots, taken_by_hints: int) -> None:
        self.slots = slots
        self.hints = deque([taken_by_hints])
        self.claimed: dict[UUID, int] = {}

    def holds(self, _project_id: UUID, _execution_id: UUID) -> bool:
        """Hold nothing."""
        return False

    async def claim(
        self, project_id: UUID, ids: Sequence[UUID], source: Source
    ) -> dict[UUID, None]:
        """Take slots, and note how many a project got."""
        while self.hints:
            self.slots.take(self.hints.pop())
        wanted = ids[: self.slots.room(source)]
        self.slots.take(len(wanted))
        self.claimed[project_id] = len(wanted)
        return dict.fromkeys(wanted)


async def test_a_flood_does_not_take_the_slot_of_another_project_when_hints_were_quicker() -> None:
    """Between looking and claiming slots go to hints; what is left suffices for the quiet one."""
    noisy, quiet = sorted([uuid4(), uuid4()])
    due = [
        Found(noisy, uuid4()),
        Found(quiet, uuid4()),
        *(Found(noisy, uuid4()) for _ in range(19)),
    ]
    slots = Slots(30)
    claimer = AClaimer(slots, taken_by_hints=24)
    sweep = Sweep(
        cast("Dispatch", ADispatch(due)),
        cast("Ledger", None),
        cast("Claimer", claimer),
        slots,
        ("draft",),
        Telemetry(),
        every=5,
    )
    await sweep.once()
    assert claimer.claimed == {noisy: 5, quiet: 1}
