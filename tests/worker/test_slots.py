"""Who gets the next free slot: hints first in, first out, and the sweep in between."""

import asyncio

import pytest

from models.states import State
from tests.support.desk import Desk
from tests.support.workers import running_worker
from worker.client import Client
from worker.settings import Settings
from worker.slots import Slots
from worker.telemetry import Source


async def test_what_no_hint_has_brought_runs_while_hints_fill_every_slot(
    settings: Settings, desk: Desk
) -> None:
    """Its hint was lost, and the queue never empties: a full worker still comes to it soon."""
    async with Client(settings.model_copy(update={"queue_name": "arq:nobody"})) as elsewhere:
        lost = await elsewhere.enqueue(desk.project, "nap", {}, requested_by=desk.user)
    flood = [{"agent_type": "nap", "input": {}, "requested_by": desk.user}] * 300
    await desk.client.enqueue_many(desk.project, flood)
    async with running_worker(settings.model_copy(update={"concurrency": 2})):
        report = await desk.final(lost.execution_id)
        left = await pending(desk)
    assert report.status == State.COMPLETED
    assert left > len(flood) / 3


async def test_another_projects_execution_does_not_wait_for_a_flood_of_hints(
    settings: Settings, desk: Desk
) -> None:
    """Its hint stands behind all of the flood's; the sweep takes projects in turn."""
    flood = [{"agent_type": "nap", "input": {}, "requested_by": desk.user}] * 600
    await desk.client.enqueue_many(desk.project, flood)
    other = await desk.database.add_project(desk.user)
    async with running_worker(settings.model_copy(update={"concurrency": 4})):
        recorded = await desk.client.enqueue(other, "nap", {}, requested_by=desk.user)
        report = await desk.client.wait(other, recorded.correlation_id, timeout=15)
        left = await pending(desk)
    assert report.executions[0].status == State.COMPLETED
    assert left > len(flood) / 3


async def pending(desk: Desk) -> int:
    """Return how many executions still wait."""
    [row] = await desk.database.ask(
        "SELECT count(*) AS n FROM agent_executions WHERE status = 'pending'"
    )
    return int(row["n"])


def test_a_kept_slot_is_the_sweeps() -> None:
    """Hints see the free slots without those kept, and all of them when it has had its turn."""
    slots = Slots(4)
    slots.take(2)
    slots.keep_for_sweep(1)
    assert (slots.room("hint"), slots.room("sweep")) == (1, 2)
    slots.keep_for_sweep(0)
    assert (slots.room("hint"), slots.room("sweep")) == (2, 2)


@pytest.mark.parametrize("source", ["hint", "sweep"])
async def test_when_closed_nobody_waits_and_nobody_gets_any(source: Source) -> None:
    """A worker that drains takes nothing more."""
    slots = Slots(1)
    slots.take(1)
    waiting = asyncio.create_task(slots.wait_for_room(source))
    await asyncio.sleep(0)
    slots.close()
    await asyncio.wait_for(waiting, 5)
    slots.give_back(1)
    assert slots.room(source) == 0


async def test_a_full_house_is_noticed_and_so_is_the_first_slot_that_is_free() -> None:
    """Whoever waits for either is woken by it."""
    slots = Slots(2)
    full = asyncio.create_task(slots.wait_until_full())
    slots.take(1)
    await asyncio.sleep(0)
    assert not full.done()
    slots.take(1)
    await asyncio.wait_for(full, 5)
    free = asyncio.create_task(slots.wait_for_room("hint"))
    await asyncio.sleep(0)
    slots.give_back(1)
    await asyncio.wait_for(free, 5)
    assert slots.room("hint") == 1
