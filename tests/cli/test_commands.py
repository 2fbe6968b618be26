"""Commands: what they print, and the exit codes that are part of the interface."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.cli.conftest import Copydesk
from worker.settings import Settings, secret

NOBODY = str(uuid4())


@pytest.fixture
def desk(copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch) -> Copydesk:
    """The command line with a project and a user in the environment."""
    made = copydesk("project", "create", "Garden", "--by", "writer@example.com").value
    monkeypatch.setenv("COPYDESK_PROJECT", made["project"])
    monkeypatch.setenv("COPYDESK_USER", made["user"])
    return copydesk


def enqueue(desk: Copydesk, content: str = "Hello, garden.") -> dict[str, str]:
    """Enqueue an import and return the ids the command printed."""
    payload = json.dumps({"document_type": "plan", "content": content})
    said = desk("enqueue", "import_document", "--input", payload)
    assert (said.code, said.err) == (0, "")
    return said.value


def test_create_prints_ids_and_knows_a_user_again(copydesk: Copydesk) -> None:
    """A project is new each time; the user of an email address is the same one."""
    first = copydesk("project", "create", "One", "--by", "writer@example.com").value
    second = copydesk("project", "create", "Two", "--by", "writer@example.com").value
    assert UUID(first["project"]) != UUID(second["project"])
    assert UUID(first["user"]) == UUID(second["user"])


def test_an_enqueued_execution_shows_in_status(desk: Copydesk) -> None:
    """Status finds by correlation id what enqueue recorded."""
    ids = enqueue(desk)
    said = desk("status", ids["correlation"])
    assert said.code == 0
    assert "import_document" in said.out
    assert "pending" in said.out


def test_status_as_json_is_the_whole_report(desk: Copydesk) -> None:
    """`--json` prints what the client returns, for programs."""
    ids = enqueue(desk)
    report = json.loads(desk("status", ids["correlation"], "--json").out)
    [execution] = report["executions"]
    assert execution["execution_id"] == ids["execution"]
    assert [event["event"] for event in execution["events"]] == ["enqueued"]


def test_the_same_idempotency_key_is_answered_with_the_first_execution(desk: Copydesk) -> None:
    """A repeated command records nothing new, and says so; another request is refused."""
    payload = '{"document_type": "plan", "content": "x"}'
    command = ("enqueue", "import_document", "--idempotency-key", "k1", "--input")
    first, again = desk(*command, payload), desk(*command, payload)
    assert first.value["execution"] == again.value["execution"]
    assert "known already" in again.out
    other = desk(*command, '{"document_type": "other", "content": "x"}')
    assert (other.code, other.out) == (2, "")
    assert "idempotency_key" in other.err


def test_a_worker_in_a_burst_runs_what_waits_and_ends(
    desk: Copydesk, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was enqueued is filed after the burst, and can be listed and shown."""
    monkeypatch.setenv("COPYDESK_DISPATCH_URL", secret(settings.dispatch_url))
    assert desk("documents").out == "no documents yet\n"
    ids = enqueue(desk, "# Plan\n\nWater the beans.\n")
    assert desk("worker", "--burst").code == 0
    assert "completed" in desk("status", ids["correlation"], "--watch").out
    assert "plan" in desk("documents").out
    assert desk("show", "plan").out == "# Plan\n\nWater the beans.\n"
    assert json.loads(desk("show", "plan", "--json").out)["version"] == 1


def test_input_comes_from_a_file(desk: Copydesk, tmp_path: Path) -> None:
    """`--input @FILE` reads the agent's input from a file."""
    file = tmp_path / "input.json"
    file.write_text('{"document_type": "plan", "content": "From a file."}')
    said = desk("enqueue", "import_document", "--input", f"@{file}")
    assert said.code == 0
    assert UUID(said.value["execution"]).version == 7


def test_cancel_ends_a_pending_execution_at_once(desk: Copydesk) -> None:
    """What no worker has is cancelled by the command itself."""
    ids = enqueue(desk)
    assert desk("cancel", ids["execution"]).out == "cancelled\n"
    assert "cancelled" in desk("status", ids["correlation"]).out


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("status", NOBODY), 4, "stands for nothing"),
        (("show", "plan"), 4, "no such document"),
        (("cancel", NOBODY), 4, "no such execution"),
        (("enqueue", "review", "--by", NOBODY), 4, "no such user"),
        (("worker", "--concurrency", "0"), 2, "--concurrency"),
    ],
)
def test_wrong_use_is_one_line_and_an_exit_code(
    desk: Copydesk, command: tuple[str, ...], code: int, words: str
) -> None:
    """What is well formed and not there is 4; a worker's options are checked like all others."""
    said = desk(*command)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("copydesk: ")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_a_database_that_does_not_answer_is_not_now(
    desk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3 means that trying again may help; the URL's password does not show."""
    monkeypatch.setenv("COPYDESK_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x")
    said = desk("documents")
    assert said.code == 3
    assert "try again" in said.err
    assert "hunter2" not in said.err


def test_missing_settings_are_named_together(
    copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is missing stands in one message."""
    monkeypatch.delenv("COPYDESK_DATABASE_URL")
    monkeypatch.delenv("COPYDESK_REDIS_URL")
    said = copydesk("documents", "--project", NOBODY)
    assert said.code == 2
    assert "COPYDESK_DATABASE_URL" in said.err
    assert "COPYDESK_REDIS_URL" in said.err


def test_agents_lists_the_built_in_ones(copydesk: Copydesk) -> None:
    """What a worker would run, with the fields of its input."""
    said = copydesk("agents")
    for agent in ("import_document", "review", "revise", "export", "llm"):
        assert agent in said.out
    listed = json.loads(copydesk("agents", "--json").out)
    assert listed[0]["input"]["type"] == "object"


def test_db_check_and_current_say_that_the_schema_fits(copydesk: Copydesk) -> None:
    """A migrated database is what the models say, and at the code's revision."""
    assert copydesk("db", "check").out == "the database is what the models say\n"
    current = copydesk("db", "current").value
    assert current["database"] == current["code"]


def test_db_goes_down_and_up(copydesk: Copydesk) -> None:
    """Down to base removes the schema, up brings it back."""
    assert copydesk("db", "downgrade", "base").out == "at base\n"
    difference = copydesk("db", "check")
    assert difference.code == 1
    assert "db upgrade" in difference.out
    assert copydesk("db", "upgrade").code == 0
    assert copydesk("db", "check").code == 0


def test_help_is_shown_when_nothing_is_asked(copydesk: Copydesk) -> None:
    """Bare `copydesk` shows what there is."""
    assert "demo" in copydesk().out
    assert copydesk("--help").code == 0
