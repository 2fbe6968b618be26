"""Natural batching: nothing waits on a timer, and what comes during a call goes in the next."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from tests.support.waiting import until
from worker.errors import CopydeskError, DatabaseUnavailableError, InputInvalidError
from worker.ledger.batching import Batcher

HERE, ELSEWHERE = uuid4(), uuid4()


class Door:
    """A receiver of batches that a test holds shut, and that refuses some items."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.calls: list[tuple[UUID, list[str]]] = []
        self.refused: dict[str, BaseException] = {}
        self.open = asyncio.Event()
        if is_open:
            self.open.set()

    async def send(self, project_id: UUID, items: Sequence[str]) -> list[str]:
        """Note the call, wait for the door, answer in capitals."""
        self.calls.append((project_id, list(items)))
        await self.open.wait()
        for item in items:
            if item in self.refused:
                raise self.refused[item]
        return [item.upper() for item in items]

    @property
    def batches(self) -> list[list[str]]:
        """The items of each call."""
        return [items for _, items in self.calls]


def send_all(
    batcher: Batcher[str, str], items: str, project: UUID = HERE
) -> list[asyncio.Task[str]]:
    """Submit every letter of `items` at once."""
    return [asyncio.create_task(batcher.submit(project, item)) for item in items]


async def test_an_item_alone_is_sent_at_once() -> None:
    """Nobody waits for company."""
    door = Door()

    assert await Batcher(door.send, limit=8).submit(HERE, "a") == "A"

    assert door.batches == [["a"]]


async def test_what_arrives_during_a_call_goes_in_the_next() -> None:
    """The load makes the batches, and each answer finds its asker."""
    door = Door(is_open=False)
    batcher = Batcher(door.send, limit=8)
    tasks = send_all(batcher, "a")
    await until(lambda: door.calls)
    tasks += send_all(batcher, "bcd")
    await asyncio.sleep(0)
    assert door.batches == [["a"]]

    door.open.set()

    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D"]
    assert door.batches == [["a"], ["b", "c", "d"]]


async def test_a_batch_has_a_weight() -> None:
    """What would make a call too heavy goes in the call after that."""
    door = Door(is_open=False)
    batcher = Batcher(door.send, limit=8, weigh=ord, most=ord("a") + ord("b"))
    tasks = send_all(batcher, "a")
    await until(lambda: door.calls)
    tasks += send_all(batcher, "abcab")
    await asyncio.sleep(0)

    door.open.set()

    assert await asyncio.gather(*tasks) == ["A", "A", "B", "C", "A", "B"]
    assert door.batches == [["a"], ["a", "b"], ["c"], ["a", "b"]]


async def test_what_is_too_heavy_for_company_keeps_nobody_waiting() -> None:
    """It is sent at once, and what comes meanwhile does not wait for its answer."""
    door = Door(is_open=False)
    batcher = Batcher(door.send, limit=8, weigh=ord, most=ord("m"))
    heavy = send_all(batcher, "z")
    await until(lambda: door.calls)
    light = send_all(batcher, "a")
    await until(lambda: len(door.calls) == 2)
    heavy += send_all(batcher, "y")
    await until(lambda: len(door.calls) == 3)

    door.open.set()

    assert await asyncio.gather(*heavy, *light) == ["Z", "Y", "A"]
    assert door.batches == [["z"], ["a"], ["y"]]


async def test_a_batch_has_a_limit() -> None:
    """What does not fit goes in the call after that."""
    door = Door(is_open=False)
    batcher = Batcher(door.send, limit=3)
    tasks = send_all(batcher, "a")
    await until(lambda: door.calls)
    tasks += send_all(batcher, "bcdefgh")
    await asyncio.sleep(0)
    door.open.set()

    await asyncio.gather(*tasks)

    assert door.batches == [["a"], ["b", "c", "d"], ["e", "f", "g"], ["h"]]


async def test_projects_share_no_call_and_do_not_wait_for_each_other() -> None:
    """One transaction, one project."""
    door = Door(is_open=False)
    batcher = Batcher(door.send, limit=8)
    tasks = [*send_all(batcher, "ab"), *send_all(batcher, "xy", ELSEWHERE)]
    await until(lambda: len(door.calls) == 2)
    door.open.set()

    assert await asyncio.gather(*tasks) == ["A", "B", "X", "Y"]
    assert {project for project, items in door.calls if {"a", "b"} & set(items)} == {HERE}
    assert {project for project, items in door.calls if {"x", "y"} & set(items)} == {ELSEWHERE}


async def test_a_bad_item_fails_alone() -> None:
    """When a batch is refused for good, its items are sent one by one."""
    door = Door(is_open=False)
    door.refused["c"] = InputInvalidError("c: is bad")
    batcher = Batcher(door.send, limit=8)
    tasks = send_all(batcher, "a")
    await until(lambda: door.calls)
    tasks += send_all(batcher, "bcd")
    await asyncio.sleep(0)
    door.open.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [a for a in answers if isinstance(a, str)] == ["A", "B", "D"]
    assert isinstance(answers[2], InputInvalidError)
    assert door.batches == [["a"], ["b", "c", "d"], ["b"], ["c"], ["d"]]


async def test_a_fault_that_passes_fails_all_without_another_call() -> None:
    """Sending a batch again one by one would not help while the database is away."""
    door = Door(is_open=False)
    door.refused["c"] = DatabaseUnavailableError("away")
    batcher = Batcher(door.send, limit=8)
    tasks = send_all(batcher, "a")
    await until(lambda: door.calls)
    tasks += send_all(batcher, "bcd")
    await asyncio.sleep(0)
    door.open.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [getattr(a, "retryable", None) for a in answers] == [None, True, True, True]
    assert door.batches == [["a"], ["b", "c", "d"]]


async def test_after_a_refusal_the_next_item_is_sent_as_ever() -> None:
    """A refused batch leaves nothing behind that could block a project."""
    door = Door()
    door.refused["a"] = CopydeskError("no")
    batcher = Batcher(door.send, limit=8)

    with pytest.raises(CopydeskError, match="no"):
        await batcher.submit(HERE, "a")

    assert await batcher.submit(HERE, "b") == "B"


async def test_an_asker_who_leaves_takes_no_neighbour_along() -> None:
    """A cancelled caller's item is carried out all the same; the others get their answers."""
    door = Door(is_open=False)
    batcher = Batcher(door.send, limit=8)
    tasks = send_all(batcher, "a")
    await until(lambda: door.calls)
    tasks += send_all(batcher, "bc")
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.sleep(0)
    door.open.set()

    assert await tasks[2] == "C"
    assert door.batches == [["a"], ["b", "c"]]
