"""Every line logged inside an execution says which one, whoever logs it, and keeps its secrets."""

import io
import json
from typing import Any

import pytest

from tests.support.desk import Desk
from tests.support.misdeeds import PASSWORD
from tests.support.workers import running_worker
from worker.logs import configure_logging
from worker.settings import Settings

_CONTROL = [chr(code) for code in (*range(9), *range(11, 32), 127, 0x9B, 0x2028)]


@pytest.fixture
def stream(settings: Settings, quiet_logging: None) -> io.StringIO:  # noqa: ARG001
    """What the worker logs."""
    stream = io.StringIO()
    configure_logging(settings.model_copy(update={"log_level": "debug"}), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return what was logged; each line must be one JSON object."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_every_line_of_an_execution_carries_its_ids(
    settings: Settings, desk: Desk, stream: io.StringIO
) -> None:
    """The agent's own, structlog's, a library's; from its task, tasks of its own and threads."""
    async with running_worker(settings):
        report = await desk.run("talker")
    expected = {
        "project_id": str(desk.project),
        "execution_id": str(report.execution_id),
        "attempt": "1",
        "agent": "talker",
        "correlation_id": str(report.correlation_id),
        "worker": report.worker,
    }
    inside = [line for line in lines(stream) if line.get("execution_id")]
    for line in inside:
        assert {name: str(line.get(name)) for name in expected} == expected
    events = [line["event"] for line in inside]
    for said in ("said", "structured", "from a thread", "from a task", "attempt_ended"):
        assert said in events
    [ended] = [line for line in inside if line["event"] == "attempt_ended"]
    assert (ended["status"], ended["accepted"], ended["failures"]) == ("completed", True, 0)
    assert ended["seconds"] >= 0


async def test_what_an_agent_logs_forges_no_line_and_tells_no_secret(
    settings: Settings, desk: Desk, stream: io.StringIO
) -> None:
    """Control characters are escaped, passwords and keys hidden, in every value."""
    async with running_worker(settings):
        await desk.run("talker")
    text = stream.getvalue()
    assert PASSWORD not in text
    assert not [character for character in _CONTROL if character in text]
    assert "forged" not in [line["event"] for line in lines(stream)]
    [said] = [line for line in lines(stream) if line["event"] == "said"]
    assert said["text"] == "\\x1b[31mred\\x1b[0m\\r\\nforged"
    assert said["api_key"] == "[redacted]"


async def test_the_exception_of_an_agent_is_one_line_with_its_place(
    settings: Settings, desk: Desk, stream: io.StringIO
) -> None:
    """Where it was raised, and no word of its text."""
    async with running_worker(settings):
        await desk.run("raises", {"kind": "RuntimeError"})
    [failed] = [line for line in lines(stream) if line["event"] == "attempt_failed"]
    assert failed["code"] == "agent_exception"
    assert "misdeeds.py" in failed["exception"]
    assert failed["exception"].endswith("RuntimeError")
    assert PASSWORD not in stream.getvalue()


async def test_neighbours_do_not_share_their_ids(
    settings: Settings, desk: Desk, stream: io.StringIO
) -> None:
    """Many attempts at once, each with its own."""
    async with running_worker(settings):
        executions = [await desk.enqueue("talker") for _ in range(8)]
        reports = await desk.finals(executions)
    correlations = {str(r.execution_id): str(r.correlation_id) for r in reports}
    said = [line for line in lines(stream) if line["event"] == "from a task"]
    assert {line["execution_id"]: line["correlation_id"] for line in said} == correlations
