"""Whatever an agent does is the outcome of one attempt, and nobody else's trouble."""

from models.states import State
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.settings import Settings


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
