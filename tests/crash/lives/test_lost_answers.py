"""A worker whose link to PostgreSQL is cut right after a COMMIT: it finds out what happened."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pydantic import SecretStr

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.postgres_link import Link, broken_link
from tests.support.workers import running_worker
from worker.settings import Settings

ENDINGS: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "claim": ("claim_executions", "echo", {}, ["claimed", "completed"]),
    "complete": (
        "complete_executions",
        "echo",
        {"document_type": "notes"},
        ["claimed", "completed"],
    ),
    "fail": (
        "fail_executions",
        "flaky",
        {"failures": 1},
        ["claimed", "retry_scheduled", "claimed", "completed"],
    ),
    "cancel": ("cancel_attempts", "pointless", {}, ["claimed", "cancelled"]),
}


@pytest.fixture
async def link(database: DatabaseUrls) -> AsyncIterator[Link]:
    """The worker's link to the database."""
    with TemporaryDirectory(prefix="copydesk-link-") as directory:
        async with broken_link(database.app, Path(directory)) as link:
            yield link


@pytest.fixture
def behind(settings: Settings, link: Link) -> Settings:
    """The settings of a worker behind that link."""
    return settings.model_copy(update={"database_url": SecretStr(link.url)})


@pytest.mark.parametrize("move", ENDINGS)
async def test_an_answer_lost_after_the_commit_delays_nothing_and_doubles_nothing(
    move: str, behind: Settings, link: Link, desk: Desk
) -> None:
    """One event for each move, none refused, and no lease is waited for."""
    function, agent, payload, events = ENDINGS[move]
    async with running_worker(behind):
        link.cut(function)
        execution = await desk.enqueue(agent, payload)
        report = await desk.final(execution)
    assert link.lost == 1
    assert State(report.status).is_final
    assert await desk.events(execution) == ["enqueued", *events]
    versions = await desk.database.ask("SELECT version FROM document_versions")
    assert [row["version"] for row in versions] == ([1] if move == "complete" else [])


async def test_a_release_whose_answer_was_lost_is_one_release(
    behind: Settings, link: Link, desk: Desk
) -> None:
    """A worker that drains gives back what it ran, once, and ends."""
    async with running_worker(behind.model_copy(update={"drain_grace": 0.1})) as worker:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        link.cut("release_executions")
        worker.stop()
    assert link.lost == 1
    assert await desk.events(execution) == ["enqueued", "claimed", "released"]


async def test_many_lost_answers_in_a_row_leave_nothing_behind(
    behind: Settings, link: Link, desk: Desk
) -> None:
    """Claims and completions of forty executions, the links cut again and again."""
    async with running_worker(behind):
        link.cut("claim_executions", 6)
        link.cut("complete_executions", 6)
        executions = [await desk.enqueue("echo", {"value": n}) for n in range(40)]
        reports = await desk.finals(executions)
    assert link.lost == 12
    assert {(report.status, report.attempt) for report in reports} == {(State.COMPLETED, 1)}
    for execution in executions:
        assert await desk.events(execution) == ["enqueued", "claimed", "completed"]
