"""The agents' door: whatever one answers, raises or logs is the outcome of one attempt."""

import asyncio
import json
from collections.abc import Iterable
from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from models.states import State
from tests.bad_input.place import Place
from tests.bad_input.row import Row
from tests.bad_input.table import agents as table
from tests.bad_input.table.agents import IN_A_PROCESS
from tests.support.misdeeds import PASSWORD, SAID
from worker.reports import ExecutionReport

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHERE = ["loop", "thread", "process"]
RETURNS = {"loop": "returns", "thread": "returns_from_thread", "process": "own_returns"}
RAISES = {"loop": "raises", "thread": "raises_in_thread", "process": "own_raises"}
SAYS = {"loop": "says", "process": "own_says"}

AHEAD = 6


class Ahead:
    """Begins what takes a process of its own a few at a time: each takes a while to start."""

    def __init__(self, place: Place) -> None:
        self._place = place
        rows = [("own_returns", row) for row in table.ANSWERS]
        rows += [("own_raises", row) for row in (*table.RAISES, *table.REFUSALS)]
        rows += [("own_says", row) for row in table.LOGS]
        self._order = [(agent, row.input) for agent, row in rows if row.input in IN_A_PROCESS]
        self._begun: dict[tuple[str, str], UUID] = {}

    async def begin(self, agent: str, kind: str) -> UUID:
        """Return the execution of an agent's misdeed, begun now or before."""
        place = self._order.index((agent, kind)) if agent.startswith("own_") else 0
        ahead = self._order[place : place + AHEAD] if agent.startswith("own_") else [(agent, kind)]
        for other, its in ahead:
            if (other, its) not in self._begun:
                self._begun[other, its] = await self._place.enqueue(other, {"kind": its})
        return self._begun.pop((agent, kind))


@pytest.fixture(scope="module")
def ahead(place: Place) -> Ahead:
    """What is begun for the module."""
    return Ahead(place)


def everywhere(rows: Iterable[Row], where: Iterable[str] = WHERE) -> pytest.MarkDecorator:
    """Make a test of each row wherever agents run."""
    return pytest.mark.parametrize(
        ("where", "row"),
        [
            pytest.param(place, row, id=f"{row.id}-{row.what}-{place}")
            for place in where
            for row in rows
            if place != "process" or row.input in IN_A_PROCESS
        ],
    )


async def ended(place: Place, ahead: Ahead, agent: str, row: Row) -> ExecutionReport:
    """Return how an agent's misdeed ended; nothing else came to harm."""
    execution = await ahead.begin(agent, row.input)
    async with place.unharmed():
        report = await place.final(execution, within=60)
    assert PASSWORD not in report.model_dump_json()
    assert PASSWORD not in place.log.getvalue()
    assert (report.error_message or "").isprintable() or row.code == ""
    assert (report.versions, report.exports) == ([], [])
    return report


def logged(place: Place, report: ExecutionReport) -> list[dict[str, Any]]:
    """Return the lines of the log that belong to an execution."""
    lines = map(json.loads, place.log.getvalue().splitlines())
    return [line for line in lines if line.get("execution_id") == str(report.execution_id)]


@everywhere(table.ANSWERS)
async def test_an_answer_that_breaks_the_contract_is_final(
    where: str, row: Row, place: Place, ahead: Ahead
) -> None:
    """At the first attempt, with the rule that was broken; nothing of it is filed."""
    report = await ended(place, ahead, RETURNS[where], row)
    assert (report.status, report.error_code, report.attempt) == (State.FAILED, row.code, 1)
    if where != "process" or row.input not in table.WORDED_ELSEWHERE:
        assert row.rule in str(report.error_message)


@everywhere(table.RAISES)
async def test_whatever_an_agent_raises_fails_its_attempt_and_nothing_else(
    where: str, row: Row, place: Place, ahead: Ahead
) -> None:
    """Not even SystemExit passes; the message names the type, and no text of the exception."""
    report = await ended(place, ahead, RAISES[where], row)
    assert (report.status, report.error_code) == (State.FAILED, row.code)
    # A generator's ending has a meaning to a coroutine; Python renames it.
    named = {row.input, "RuntimeError"} if row.input.startswith("Stop") else {row.input}
    assert any(name in str(report.error_message) for name in named), report.error_message
    [failed] = [line for line in logged(place, report) if line["event"] == "attempt_failed"]
    assert "misdeeds.py" in failed["exception"], "the log has the place"


@everywhere(table.REFUSALS)
async def test_an_error_of_the_contract_is_kept_as_far_as_it_can_be(
    where: str, row: Row, place: Place, ahead: Ahead
) -> None:
    """Codes and messages are made storable."""
    report = await ended(place, ahead, RAISES[where], row)
    codes = {"code_is_long": {"x" * 64}, "code_is_no_text": {"7"}}
    codes["cancelled"] = {"agent_cancelled", "agent_exception"}
    if row.input in ("message_is_unstorable", "message_is_huge"):
        assert len(report.error_message or "") == 2000
    assert report.status == State.FAILED
    assert report.error_code in codes.get(row.input, {"agent_error"})
    assert len(report.error_message or "") <= 2000


@everywhere(table.LOGS, SAYS)
async def test_what_an_agent_logs_is_one_line_without_secrets(
    where: str, row: Row, place: Place, ahead: Ahead
) -> None:
    """Or a line that says that it could not be written; the agent's work is not harmed."""
    with place.alone():
        report = await ended(place, ahead, SAYS[where], row)
    assert report.status == State.COMPLETED
    apart = ("attempt_ended", "loop_blocked", "loop_turns_again")
    [said] = [line for line in logged(place, report) if line["event"] not in apart]
    assert said["logger"] in ("copydesk.agent", "copydesk.logs")
    assert "forged" not in (said["event"], *said.values())
    assert len(json.dumps(said)) < 250_000


@pytest.mark.parametrize("where", WHERE)
async def test_b38_200_megabytes_of_output_hold_nobody_up(where: str, place: Place) -> None:
    """Refused at a glance, before anything of it is written; the loop turns all the while."""
    async with place.unharmed(accepts=3):
        agent = {"loop": "heavy", "thread": "heavy_in_thread", "process": "own_heavy"}[where]
        for kind in ("text", "numbers", "texts"):
            watching = asyncio.create_task(longest_turn())
            report = await place.run(agent, {"kind": kind})
            watching.cancel()
            assert (report.status, report.error_code) == (State.FAILED, "output_too_large")
            assert report.attempt == 1
            assert await watching < 3


async def longest_turn() -> float:
    """Return the longest time that the loop took for a turn, until cancelled."""
    longest = 0.0
    try:
        while True:
            began = monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, monotonic() - began)
    except asyncio.CancelledError:
        return longest


async def test_b39_an_agent_that_names_another_project_writes_and_reads_in_its_own(
    place: Place,
) -> None:
    """Which project an attempt belongs to was decided by the claim."""
    other = await place.database.add_project(place.user)
    async with place.unharmed(accepts=2):
        theirs = await place.client.enqueue(
            other, "echo", {"document_type": "secret_plan"}, requested_by=place.user
        )
        await place.client.wait(other, theirs.correlation_id, timeout=20)
        report = await place.run("trespasser", {"other": str(other)})
    assert report.output is not None
    assert (report.status, report.output["seen"]) == (State.COMPLETED, [])
    rows = await place.database.ask("SELECT project_id, document_type FROM document_versions")
    assert {row["document_type"] for row in rows if row["project_id"] == other} == {"secret_plan"}


async def test_b42_every_kind_of_line_was_tried() -> None:
    """Nothing of the list was left out by its name."""
    assert {row.input for row in table.LOGS} == set(SAID)
