"""`copydesk failed`, `retry` and `quarantine`: what needs a person, from a terminal."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from arq import create_pool

from tests.cli.conftest import Copydesk
from worker.queue.connection import to_arq_settings
from worker.settings import Settings, secret


@pytest.fixture
def desk(copydesk: Copydesk, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Copydesk:
    """The command line with a project, a user, and one execution that failed."""
    made = copydesk("project", "create", "Garden", "--by", "writer@example.com").value
    monkeypatch.setenv("COPYDESK_PROJECT", made["project"])
    monkeypatch.setenv("COPYDESK_USER", made["user"])
    monkeypatch.setenv("COPYDESK_DISPATCH_URL", secret(settings.dispatch_url))
    assert copydesk("failed").out == "nothing has failed\n"
    copydesk("enqueue", "review", "--input", '{"document_type": "missing"}')
    assert copydesk("worker", "--burst").code == 0
    return copydesk


def failed_id(desk: Copydesk) -> str:
    """Return the id of the one dead letter."""
    [letter] = json.loads(desk("failed", "--json").out)
    return str(UUID(letter["execution_id"]))


def test_failed_lists_what_failed_and_why(desk: Copydesk) -> None:
    """Execution, agent, time and reason; filters leave out the rest."""
    said = desk("failed")
    assert failed_id(desk) in said.out
    assert "document_not_found" in said.out
    assert desk("failed", "--agent", "export").out == "nothing has failed\n"
    assert desk("failed", "--since", "2999-01-01").out == "nothing has failed\n"


def test_retry_asks_for_one_again_once(desk: Copydesk) -> None:
    """The answer names the old and the new execution; a second time there is nothing to repeat."""
    dead = failed_id(desk)
    said = desk("retry", dead)
    assert said.code == 0
    assert said.out.startswith(f"{dead} again as ")
    assert desk("retry", dead).code == 4
    assert said.out.split()[-1] in desk("failed").out


def test_retry_all_takes_what_was_not_retried_yet(desk: Copydesk) -> None:
    """`--all` with filters, and nothing the second time."""
    assert desk("retry", "--all", "--agent", "export").out == "nothing to retry\n"
    assert len(desk("retry", "--all", "--agent", "review").out.splitlines()) == 1
    assert desk("retry", "--all").out == "nothing to retry\n"


@pytest.mark.parametrize("wrong", [(), (str(uuid4()), "--all"), (str(uuid4()), "--agent", "x")])
def test_retry_needs_one_execution_or_all(desk: Copydesk, wrong: tuple[str, ...]) -> None:
    """Neither nothing nor everything by accident."""
    said = desk("retry", *wrong)
    assert (said.code, said.out) == (2, "")


def test_quarantine_shows_messages_that_could_not_be_read(
    desk: Copydesk, settings: Settings
) -> None:
    """A message that names no project is set aside by the worker and can be looked at."""
    assert desk("quarantine").out == "the quarantine is empty\n"

    async def send_nonsense() -> None:
        pool = await create_pool(to_arq_settings(secret(settings.redis_url)))
        await pool.enqueue_job("run_agent", agent_type="review")
        await pool.aclose()

    asyncio.run(send_nonsense())
    assert desk("worker", "--burst").code == 0
    assert "project_required" in desk("quarantine").out
    [message] = json.loads(desk("quarantine", "--json").out)
    assert message["code"] == "project_required"
