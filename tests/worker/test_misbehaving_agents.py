"""Whatever an agent does is the outcome of one attempt, and nobody else's trouble."""

import io
from collections.abc import Iterable
from uuid import UUID

import pytest

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.misdeeds import NO_ANSWER, PASSWORD, RAISED, STRANGE_ERRORS, TOO_LARGE
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.logs import configure_logging
from worker.readings.reports import ExecutionReport
from worker.settings import Settings


@pytest.fixture
def log(settings: Settings, quiet_logging: None) -> io.StringIO:  # noqa: ARG001
    """What the worker logs, as JSON lines."""
    stream = io.StringIO()
    configure_logging(settings, stream)
    return stream


async def outcomes(desk: Desk, agent: str, kinds: Iterable[str]) -> dict[str, ExecutionReport]:
    """Let an agent commit each of `kinds`, all at once."""
    executions = {kind: await desk.enqueue(agent, {"kind": kind}) for kind in kinds}
    return {kind: await desk.final(execution) for kind, execution in executions.items()}


@pytest.mark.parametrize("agent", ["raises", "raises_in_thread"])
async def test_whatever_an_agent_raises_fails_its_attempt_and_nothing_else(
    agent: str, settings: Settings, desk: Desk, log: io.StringIO
) -> None:
    """Not even SystemExit passes; the message names the type, and no text of the exception."""
    async with running_worker(settings):
        found = await outcomes(desk, agent, [*RAISED, "RecursionError"])
        probe = await desk.run("echo", {"value": "still here"})
    assert {kind: (r.status, r.error_code) for kind, r in found.items()} == dict.fromkeys(
        found, (State.FAILED, "agent_exception")
    )
    for kind, report in found.items():
        # A generator's ending has a meaning to a coroutine; Python renames it.
        named = {kind, "RuntimeError"} if kind.startswith("Stop") else {kind}
        assert any(name in str(report.error_message) for name in named), report.error_message
        assert PASSWORD not in report.model_dump_json()
    assert probe.output == {"value": "still here"}
    assert PASSWORD not in log.getvalue()
    assert "misdeeds.py" in log.getvalue(), "the log has the place"


@pytest.mark.parametrize("agent", ["raises", "raises_in_thread"])
async def test_an_error_of_the_contract_is_kept_as_far_as_it_can_be(
    agent: str, settings: Settings, desk: Desk
) -> None:
    """Codes and messages are made storable; a delay that is none is the ordinary one."""
    async with running_worker(settings):
        found = await outcomes(desk, agent, STRANGE_ERRORS)
        probe = await desk.run("echo", {"value": 1})
    assert {report.status for report in found.values()} == {State.FAILED}
    codes = {kind: report.error_code for kind, report in found.items()}
    assert codes["code_is_long"] == "x" * 64
    assert codes["message_is_no_text"] == "agent_error"
    assert codes["message_is_unstorable"] == "agent_error"
    assert codes["cancelled"] in {"agent_cancelled", "agent_exception"}
    assert codes["code_is_no_text"] == "7"
    assert codes["code_is_unstorable"] == codes["delay_is_no_time"] == "agent_error"
    assert len(str(found["message_is_unstorable"].error_message)) == 2000
    assert probe.status == State.COMPLETED


@pytest.mark.parametrize("agent", ["returns", "returns_from_thread"])
async def test_an_answer_that_breaks_the_contract_is_final(
    agent: str, settings: Settings, desk: Desk
) -> None:
    """It ends `failed` at the first attempt, with a code, and nothing of it is filed."""
    async with running_worker(settings):
        found = await outcomes(desk, agent, NO_ANSWER)
        probe = await desk.run("echo", {"value": 1})
    assert {kind: (r.status, r.error_code, r.attempt) for kind, r in found.items()} == {
        kind: (State.FAILED, "output_too_large" if kind in TOO_LARGE else "output_invalid", 1)
        for kind in NO_ANSWER
    }
    assert PASSWORD not in "".join(report.model_dump_json() for report in found.values())
    for field in ("exports", "document_versions"):
        [row] = await desk.database.ask(f"SELECT count(*) AS n FROM {field}")  # noqa: S608
        assert row["n"] == 0
    assert probe.status == State.COMPLETED


async def test_the_refusal_names_the_rule_that_was_broken(settings: Settings, desk: Desk) -> None:
    """The person who wrote the agent reads what to change."""
    rules = {
        "none": "returned NoneType; it must return one of Outcome, Retry, Snooze, Cancel",
        "nul": "output: contains a NUL character",
        "nan": "output: contains NaN or Infinity",
        "surrogate": "output: contains a lone surrogate",
        "huge": "at most 1000000 bytes",
        "too_deep": "output: is nested deeper than 200 levels",
        "circular": "output: refers to itself",
        "same_type_twice": "two have the same document_type",
        "metadata_nan": "drafts.notes.metadata: contains NaN",
        "draft_nul": "drafts.notes.content: contains a NUL",
        "export_manifest": "exports.manifest: is not JSON",
        "snooze_without_zone": "Snooze.until: has no time zone",
    }
    async with running_worker(settings):
        found = await outcomes(desk, "returns", rules)
    for kind, rule in rules.items():
        assert rule in str(found[kind].error_message)


async def test_an_input_that_its_model_refuses_is_final_and_costs_one_attempt(
    settings: Settings, desk: Desk
) -> None:
    """`input_invalid` names the field; no retry can help."""
    async with running_worker(settings):
        report = await desk.run("flaky", {"failures": "many"})
    assert (report.status, report.error_code, report.attempt) == (
        State.FAILED,
        "input_invalid",
        1,
    )
    assert "failures" in str(report.error_message)
    assert "many" not in str(report.error_message)


async def test_a_validator_that_raises_anything_fails_its_attempt(
    settings: Settings, desk: Desk
) -> None:
    """An input model is the agent's code too: not even SystemExit passes."""
    kinds = ["SystemExit", "KeyboardInterrupt", "OwnBaseError", "RuntimeError", "UnprintableError"]
    async with running_worker(settings):
        executions = [await desk.enqueue("trapped", {"value": kind}) for kind in kinds]
        reports = await desk.finals(executions)
        probe = await desk.run("echo", {"value": 1})
    assert {(r.status, r.error_code) for r in reports} == {(State.FAILED, "agent_exception")}
    assert probe.status == State.COMPLETED


async def test_an_agent_that_names_another_project_writes_and_reads_in_its_own(
    settings: Settings, desk: Desk, database: DatabaseUrls, user: UUID
) -> None:
    """Which project an attempt belongs to was decided by the claim."""
    other = await database.add_project(user)
    await desk.client.enqueue(
        other, "echo", {"document_type": "secret_plan"}, requested_by=desk.user
    )
    async with running_worker(settings):
        report = await desk.run("trespasser", {"other": str(other)})
    assert report.status == State.COMPLETED
    assert report.output is not None
    assert report.output["seen"] == []
    rows = await database.ask("SELECT project_id, document_type FROM document_versions")
    assert {row["document_type"] for row in rows if row["project_id"] == desk.project} == {"notes"}
    assert not {row["document_type"] for row in rows if row["project_id"] == other} - {
        "secret_plan"
    }


async def test_progress_may_be_reported_faster_than_it_is_recorded(
    settings: Settings, desk: Desk
) -> None:
    """Only the latest word of an attempt is recorded, made storable."""
    async with running_worker(settings):
        execution = await desk.enqueue("reporter", desk.gate())
        await desk.begun()

        async def told() -> bool:
            return (await desk.report(execution)).progress[0] is not None

        await until(told)
        desk.open_gate()
        report = await desk.final(execution)
    events = [event for event in report.events if event.event == "progress"]
    assert [event.detail for event in events] == [{"fraction": 0.999, "message": "step 999?"}]
    assert report.status == State.COMPLETED
