"""Commands about whole projects, and about the database: what they print, and their exit codes."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import Copydesk
from worker.settings import Settings, secret

NOBODY = str(uuid4())


@pytest.fixture
def project(copydesk: Copydesk) -> str:
    """A project with one cancelled execution."""
    made = copydesk("project", "create", "Garden", "--by", "writer@example.com").value
    options = ("--project", made["project"], "--by", made["user"])
    enqueued = copydesk("enqueue", "nobodys", *options).value
    copydesk("cancel", enqueued["execution"], "--project", made["project"])
    return made["project"]


@pytest.fixture
def dispatch(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands know the projects there are."""
    monkeypatch.setenv("COPYDESK_DISPATCH_URL", secret(settings.dispatch_url))


def test_delete_counts_first_and_removes_with_yes(copydesk: Copydesk, project: str) -> None:
    """Without --yes nothing changes; the receipt tells what went; then nothing is there."""
    asked = copydesk("project", "delete", project)
    assert (asked.code, asked.err) == (0, "copydesk: nothing was changed; --yes removes it\n")
    assert asked.value["agent_executions"] == "1"
    assert "0 pending, 0 running" in asked.out
    receipt = copydesk("project", "delete", project, "--yes")
    assert (receipt.code, receipt.err) == (0, "")
    assert {name: receipt.value[name] for name in ("projects", "agent_executions")} == {
        "projects": "1",
        "agent_executions": "1",
    }
    again = copydesk("project", "delete", project, "--yes")
    assert (again.code, again.out) == (4, "")
    assert "no such project" in again.err


def test_prune_counts_first_and_removes_with_yes(copydesk: Copydesk, project: str) -> None:
    """A line for the project, with what would go; then the same with what went."""
    command = ("prune", "--project", project, "--older-than", "1s")
    counted = copydesk(*command)
    while "  1 " not in counted.out:  # until its second is over
        counted = copydesk(*command)
    assert counted.err == "copydesk: nothing was changed; --yes removes it\n"
    pruned = copydesk(*command, "--yes")
    assert (pruned.code, pruned.err) == (0, "")
    assert pruned.out == counted.out
    assert pruned.out.splitlines()[1].split() == [project, "1", "2", "0", "0", "0", "0"]
    assert copydesk(*command).out.splitlines()[1].split() == [project, *"000000"]


@pytest.mark.usefixtures("dispatch")
def test_prune_visits_every_project(copydesk: Copydesk, project: str) -> None:
    """Those with nothing to prune are left out, and all are counted."""
    said = copydesk("prune", "--all-projects", "--older-than", "52w")
    assert said.code == 0
    assert [line.split() for line in said.out.splitlines()[1:]] == [["1", "projects", *"000000"]]
    assert project not in said.out


def test_reindex_shows_sizes(copydesk: Copydesk) -> None:
    """A line for each index of the table."""
    said = copydesk("reindex", "--concurrently", "--table", "workers")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[1].split()[:2] == ["workers", "pk_workers"]
    assert copydesk("reindex", "--no-concurrently", "--table", "workers").code == 0


def test_a_project_goes_out_and_comes_in_again(
    copydesk: Copydesk, project: str, tmp_path: Path
) -> None:
    """Export, delete, import: the id is the same, and so is what it has."""
    file = str(tmp_path / "garden.zip")
    exported = copydesk("project", "export", project, file)
    assert (exported.code, exported.err) == (0, "")
    assert exported.value["execution_events"] == "2"
    assert copydesk("project", "export", project, file).code == 2
    assert copydesk("project", "import", file).code == 2
    assert copydesk("project", "delete", project, "--yes").code == 0
    imported = copydesk("project", "import", file, "--owner-email", "new@example.com")
    assert (imported.code, imported.err) == (0, "")
    assert f"imported project {project}" in imported.out
    assert imported.value["users"] == "1"
    assert copydesk("failed", "--project", project).code == 0


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("project", "delete", "default", "--yes"), 2, "canonical"),
        (("project", "delete", NOBODY, "--yes"), 4, "no such project"),
        (("project", "export", NOBODY, "/tmp/x.zip"), 4, "no such project"),
        (("project", "export", NOBODY, "/nowhere/x.zip"), 2, "FILE"),
        (("project", "import", "/nowhere/x.zip"), 2, "FILE"),
        (("project", "import", __file__), 2, "no project archive"),
        (("prune",), 2, "--project"),
        (("prune", "--project", NOBODY, "--all-projects"), 2, "--all-projects"),
        (("prune", "--project", "x"), 2, "canonical"),
        (("prune", "--project", NOBODY, "--older-than", "1d"), 4, "no such project"),
        (("prune", "--project", NOBODY), 2, "nothing to do"),
        (("prune", "--project", NOBODY, "--documents"), 2, "--older-than"),
        (("prune", "--all-projects", "--older-than", "1d"), 2, "COPYDESK_DISPATCH_URL"),
        *(
            (("prune", "--all-projects", "--older-than", age), 2, "--older-than")
            for age in ("90", "-1d", "0d", "1.5d", "90 days", "1M", "999999d", "9999999d", "")
        ),
        (("prune", "--all-projects", "--batch", "0"), 2, "--batch"),
        (("reindex", "--table", "pg_class"), 2, "agent_executions"),
    ],
)
def test_wrong_use_is_one_line_and_an_exit_code(
    copydesk: Copydesk, command: tuple[str, ...], code: int, words: str
) -> None:
    """No traceback: one line that names the fault, and the documented code."""
    said = copydesk(*command)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("copydesk: ")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_a_project_at_work_is_not_now(copydesk: Copydesk, project: str, tmp_path: Path) -> None:
    """Exit code 3: later it may go."""
    user = copydesk("project", "create", "Other", "--by", "writer@example.com").value["user"]
    copydesk("enqueue", "nobodys", "--project", project, "--by", user)
    said = copydesk("project", "export", project, str(tmp_path / "a.zip"))
    assert (said.code, said.out) == (3, "")
    assert "--unfinished-as-cancelled" in said.err


@pytest.mark.parametrize(
    "command",
    [
        ("project", "delete", NOBODY),
        ("project", "export", NOBODY, "/tmp/x"),
        ("prune", "--project", NOBODY, "--older-than", "1d"),
        ("reindex",),
    ],
)
def test_the_maintenance_url_is_asked_for(
    copydesk: Copydesk, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have no use for it, so it is missing where only they were set up."""
    monkeypatch.delenv("COPYDESK_MAINTENANCE_URL")
    said = copydesk(*command)
    assert said.code == 2
    assert "COPYDESK_MAINTENANCE_URL is not set" in said.err
